//! What Meta's error codes mean, for people who look why a message was not sent: as Meta's list of error codes explains
//! them. What each calls for is in [`super::codes`].

/// Codes with a sentence, in the order of their numbers.
pub(in crate::channels) const CODE_WORDS: &[(i64, &str)] = &[
    (0, "WhatsApp does not take the access token: set a new one."),
    (3, "WhatsApp does not allow this to the access token: check its permissions."),
    (5, "WhatsApp does not take requests from this server's address."),
    (10, "WhatsApp does not allow this to the access token: check its permissions."),
    (33, "WhatsApp does not know the business's phone number any more."),
    (100, "WhatsApp did not understand the message: a value in it is wrong."),
    (101, "WhatsApp does not know the app of the access token: set a new one."),
    (102, "The access token has expired, or was withdrawn: set a new one."),
    (104, "WhatsApp wants a proof of the app's secret with each request: switch that off in the app's settings."),
    (190, "The access token has expired, or was withdrawn: set a new one."),
    (368, "WhatsApp has blocked the account for a time because of a breach of its policy."),
    (80007, "The business account sends too much at once."),
    (130_429, "Too much is sent at once."),
    (130_472, "WhatsApp keeps this person out of marketing messages as part of an experiment."),
    (130_497, "WhatsApp does not let this account write to people in that country."),
    (131_005, "WhatsApp does not allow this to the access token: check its permissions."),
    (131_008, "A value that WhatsApp needs is missing."),
    (131_009, "A value is not valid for WhatsApp."),
    (131_021, "The message went to the business's own number."),
    (131_026, "It cannot be delivered: the number is perhaps not on WhatsApp, or its app is too old."),
    (131_030, "The number is not on the list of numbers that a test account may write to."),
    (131_031, "WhatsApp has locked the account."),
    (131_042, "There is a problem with the payment of the WhatsApp account."),
    (131_045, "The business's phone number is not registered."),
    (131_047, "The contact wrote last more than 24 hours ago: only a template may be sent."),
    (131_048, "WhatsApp limits this number, because too many people blocked or reported it."),
    (131_049, "WhatsApp chose not to deliver this marketing message, to keep people from getting too many."),
    (131_050, "The person does not want marketing messages from this business."),
    (131_051, "WhatsApp does not support this kind of message."),
    (131_052, "WhatsApp could not fetch the medium that the person sent."),
    (131_053, "WhatsApp could not fetch the medium from its link."),
    (131_056, "Too many messages to this person within a short time."),
    (132_000, "The number of the template's values is wrong."),
    (132_001, "WhatsApp has no such template in this language."),
    (132_005, "The template's text becomes too long with its values."),
    (132_007, "The template breaks WhatsApp's policy."),
    (132_012, "A value of the template has the wrong form."),
    (132_015, "WhatsApp has paused the template, because people complained."),
    (132_016, "WhatsApp has switched the template off for good."),
    (133_000, "The business's phone number was not fully taken off WhatsApp: register it again."),
    (133_005, "The PIN of the business's phone number is wrong."),
    (133_006, "The business's phone number has to be verified again."),
    (133_008, "The PIN of the business's phone number was entered wrongly too often."),
    (133_009, "The PIN of the business's phone number was entered too fast."),
    (133_010, "The business's phone number is not registered."),
    (133_015, "The business's phone number was taken off WhatsApp a moment ago: register it in some minutes."),
    (133_016, "The business's phone number was registered too often: it can be done again in 72 hours."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::whatsapp::codes;

    #[test]
    fn every_code_with_words_is_known_and_there_once() {
        assert!(CODE_WORDS.is_sorted_by(|(one, _), (other, _)| one < other));
        let unknown: Vec<_> = CODE_WORDS.iter().filter(|(code, _)| codes::class_of(*code).is_none()).collect();
        assert_eq!(unknown, [] as [&(i64, &str); 0]);
    }
}
