//! All kinds of Meta's deliveries and how each is treated: one list, which the code looks up.
//!
//! A delivery that is kept is shown to the operator (`GET /channels/whatsapp/strays`) with its sentence in this list.
//! Kinds that are not in the list are kept as not known. Names by Meta's documentation of webhooks (2026) and by the
//! client packages that the tests name.

/// How a kind of delivery is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// The code acts on it.
    Handled,
    /// It is kept as it came and shown with this sentence, which says what it is and what to do.
    Shown(&'static str),
    /// Nothing is kept of it, because of this.
    Ignored(&'static str),
}

use Treatment::{Handled, Ignored, Shown};

type Entry = (&'static str, Treatment);

/// The fields of webhooks to which an app may be subscribed.
pub(super) const FIELDS: &[Entry] = &[
    ("messages", Handled),
    ("message_template_status_update", Handled),
    ("template_category_update", Handled),
    ("user_preferences", Handled),
    ("user_id_update", Handled),
    ("account_alerts", Shown("Meta warns of a limit or of the account's standing: see WhatsApp Manager.")),
    ("account_review_update", Shown("The review of the account has ended.")),
    ("account_settings_update", Shown("A setting of the account or of the number has changed at Meta.")),
    // By its event, below.
    ("account_update", Shown("Something of the account has changed: see WhatsApp Manager.")),
    ("automatic_events", Ignored("purchases and leads that Meta guesses from chats, which nothing here reports on")),
    (
        "business_capability_update",
        Shown("How many people the business may write to first, or how many numbers it may have, has changed."),
    ),
    ("business_status_update", Shown("The business's own status has changed: see Business settings.")),
    (
        "calls",
        Shown(
            "Somebody called, or a call has moved on. Calls are not taken here: switch calling off for the \
             number, or answer them elsewhere.",
        ),
    ),
    ("flows", Shown("A WhatsApp Flow (form) has changed or is failing. None is sent from here.")),
    ("group_lifecycle_update", Shown("A group was made or removed. Groups are not written to from here.")),
    ("group_participants_update", Shown("Somebody has joined or left a group. Groups are not written to from here.")),
    ("group_settings_update", Shown("A group has changed. Groups are not written to from here.")),
    ("group_status_update", Shown("A group was suspended or let go on. Groups are not written to from here.")),
    ("history", Shown("Chats from before the number was connected. They are not taken over.")),
    ("message_echoes", Shown("A message that another program has sent from the number.")),
    (
        "message_template_components_update",
        Shown("A template's text has changed: it is fetched again. Flows that fill it may need other variables now."),
    ),
    (
        "message_template_quality_update",
        Shown("How people take to a template has changed. At the lowest quality Meta pauses it."),
    ),
    ("messaging_handovers", Handled),
    ("partner_solutions", Shown("A partner's solution has changed, which concerns partners of Meta.")),
    (
        "payment_configuration_update",
        Shown("A configuration of payments has changed. No payments are asked for from here."),
    ),
    (
        "phone_number_name_update",
        Shown(
            "The review of the number's display name has ended. A name that is not approved stops all messages \
             (131037).",
        ),
    ),
    (
        "phone_number_quality_update",
        Shown("The number's quality, or how many people it may write to first, has changed: see WhatsApp Manager."),
    ),
    (
        "security",
        Shown(
            "Somebody has changed the number's PIN or asked for that. If it was none of you, act in WhatsApp \
             Manager at once.",
        ),
    ),
    ("smb_app_state_sync", Shown("The contacts of the WhatsApp Business app. They are not taken over.")),
    ("smb_message_echoes", Handled),
    ("standby", Handled),
    (
        "template_correct_category_detection",
        Shown(
            "Meta finds a template in the wrong category and will change it: see the template's category, which \
             decides what it costs.",
        ),
    ),
    ("tracking_events", Ignored("clicks on marketing messages, which nothing here reports on")),
];

/// The events of `account_update`.
pub(super) const ACCOUNT_EVENTS: &[(&str, &str)] = &[
    ("ACCOUNT_DELETED", "The account is gone: nothing is sent or received any more. Connect another one."),
    (
        "ACCOUNT_OFFBOARDED",
        "The number has left the Cloud API, by a change of device or a registration elsewhere: nothing is sent \
         until it is connected again.",
    ),
    ("ACCOUNT_RECONNECTED", "The number is connected again: let the channel go on, if it is paused."),
    (
        "ACCOUNT_RESTRICTION",
        "The account may not do what the restriction names until it ends. Messages that Meta refuses for it \
         pause the channel, and the queue is kept.",
    ),
    (
        "ACCOUNT_VIOLATION",
        "Meta finds that the account breaks its rules: see Account quality in WhatsApp Manager, and ask for a \
         review. More of it restricts the account.",
    ),
    ("AD_ACCOUNT_LINKED", "An advertising account was linked, which changes nothing here."),
    ("AUTH_INTL_PRICE_ELIGIBILITY_UPDATE", "International prices of authentication messages apply, or will."),
    (
        "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
        "The business's country was set, which decides prices of authentication messages.",
    ),
    (
        "DISABLED_UPDATE",
        "The account was disabled or let go on: see Account quality in WhatsApp Manager. While it is disabled \
         the channel pauses at the first refusal, and the queue is kept.",
    ),
    ("MM_LITE_TERMS_SIGNED", "The terms of Marketing Messages were accepted, which changes nothing here."),
    ("PARTNER_ADDED", "The account was shared with a partner."),
    ("PARTNER_APP_INSTALLED", "An app was given permissions."),
    (
        "PARTNER_APP_UNINSTALLED",
        "An app has lost its permissions. If it is the one whose token stands here, nothing is sent any more.",
    ),
    ("PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE", "The business's verification by a partner has moved on."),
    (
        "PARTNER_REMOVED",
        "A partner has lost access to the account. If the token here is theirs, nothing is sent any more.",
    ),
    ("PHONE_NUMBER_ADDED", "A number was added to the account."),
    (
        "PHONE_NUMBER_REMOVED",
        "A number was removed from the account. If it is the one that is used here, nothing is sent any more.",
    ),
    ("VERIFIED_ACCOUNT", "The account is verified."),
    ("VOLUME_BASED_PRICING_TIER_UPDATE", "The prices of the next tier apply, by the volume that was sent."),
];

/// The types of messages of people. Those that are handled as `unsupported` are taken as messages that no flow can
/// read: a question is asked again.
pub(super) const MESSAGE_TYPES: &[Entry] = &[
    ("audio", Handled),
    ("button", Handled),
    ("contacts", Handled),
    ("document", Handled),
    ("edit", Handled),
    ("image", Handled),
    ("interactive", Handled),
    ("location", Handled),
    ("order", Handled),
    ("reaction", Handled),
    ("request_welcome", Handled),
    ("revoke", Handled),
    ("sticker", Handled),
    ("system", Handled),
    ("text", Handled),
    ("unknown", Handled),
    ("unsupported", Handled),
    ("video", Handled),
    ("voice", Handled),
];

/// What a tap on an interactive message is, by its type. The latter two answer what is never sent from here, and count
/// as messages that no flow can read.
#[cfg(test)]
pub(super) const INTERACTIVE_TYPES: &[Entry] =
    &[("button_reply", Handled), ("list_reply", Handled), ("call_permission_reply", Handled), ("nfm_reply", Handled)];

/// The types of system messages: all that carry a new number or id change the person's addresses, whatever the type,
/// and the others are shown in the conversation.
#[cfg(test)]
pub(super) const SYSTEM_TYPES: &[Entry] = &[
    ("customer_changed_number", Handled),
    ("customer_identity_changed", Handled),
    ("user_changed_number", Handled),
    ("user_changed_user_id", Handled),
    ("user_identity_changed", Handled),
];

/// The statuses of messages of ours.
pub(super) const STATUSES: &[Entry] = &[
    ("sent", Handled),
    ("delivered", Handled),
    ("read", Handled),
    ("played", Handled),
    ("failed", Handled),
    ("deleted", Shown("The person has deleted a message of ours.")),
    ("warning", Shown("A message of ours names an item of the catalogue that is not there.")),
    ("pending", Shown("A payment has not come yet. No payments are asked for from here.")),
    ("captured", Shown("A payment has come. No payments are asked for from here.")),
    ("accepted", Ignored("it is the answer to the request, told once more")),
];

/// The events of `message_template_status_update`. Of the latter three the status is fetched.
#[cfg(test)]
pub(super) const TEMPLATE_EVENTS: &[&str] = &[
    "APPROVED",
    "REINSTATED",
    "UNPAUSED",
    "FLAGGED",
    "PENDING",
    "IN_APPEAL",
    "REJECTED",
    "PAUSED",
    "DISABLED",
    "ARCHIVED",
    "DELETED",
    "PENDING_DELETION",
    "UNARCHIVED",
    "LOCKED",
    "LIMIT_EXCEEDED",
];

/// The treatment of a name; `None` if it is not in the list.
pub(super) fn treatment(entries: &[Entry], name: &str) -> Option<Treatment> {
    entries.iter().find(|(known, _)| *known == name).map(|(_, treatment)| *treatment)
}

/// What an event of `account_update` means.
pub(super) fn account_event(name: &str) -> Option<&'static str> {
    ACCOUNT_EVENTS.iter().find(|(known, _)| *known == name).map(|(_, sentence)| *sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What client packages name (pywa 4.5.0, whatsapp-api-js 6.3.0, whatsapp-business 1.7.2, @whatsapp-cloudapi/types
    /// 4.2.0, @kapso/whatsapp-cloud-api 0.3.0, hiws 0.10.0), and the fields of Meta's dashboard.
    const NAMED: &[(&str, &[Entry], &[&str])] = &[
        (
            "fields",
            FIELDS,
            &[
                "account_alerts",
                "account_review_update",
                "account_settings_update",
                "account_update",
                "automatic_events",
                "business_capability_update",
                "business_status_update",
                "calls",
                "flows",
                "group_lifecycle_update",
                "group_participants_update",
                "group_settings_update",
                "group_status_update",
                "history",
                "message_echoes",
                "message_template_components_update",
                "message_template_quality_update",
                "message_template_status_update",
                "messages",
                "messaging_handovers",
                "partner_solutions",
                "payment_configuration_update",
                "phone_number_name_update",
                "phone_number_quality_update",
                "security",
                "smb_app_state_sync",
                "smb_message_echoes",
                "standby",
                "template_category_update",
                "template_correct_category_detection",
                "tracking_events",
                "user_id_update",
                "user_preferences",
            ],
        ),
        (
            "types of messages",
            MESSAGE_TYPES,
            &[
                "audio",
                "button",
                "contacts",
                "document",
                "edit",
                "image",
                "interactive",
                "location",
                "order",
                "reaction",
                "request_welcome",
                "revoke",
                "sticker",
                "system",
                "text",
                "unknown",
                "unsupported",
                "video",
            ],
        ),
        ("types of taps", INTERACTIVE_TYPES, &["button_reply", "call_permission_reply", "list_reply", "nfm_reply"]),
        (
            "system messages",
            SYSTEM_TYPES,
            &["customer_changed_number", "customer_identity_changed", "user_changed_number", "user_changed_user_id"],
        ),
        ("statuses", STATUSES, &["deleted", "delivered", "failed", "played", "read", "sent", "warning"]),
    ];
    const ACCOUNT: &[&str] = &[
        "ACCOUNT_DELETED",
        "ACCOUNT_OFFBOARDED",
        "ACCOUNT_RECONNECTED",
        "ACCOUNT_RESTRICTION",
        "ACCOUNT_VIOLATION",
        "AD_ACCOUNT_LINKED",
        "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
        "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
        "DISABLED_UPDATE",
        "MM_LITE_TERMS_SIGNED",
        "PARTNER_ADDED",
        "PARTNER_APP_INSTALLED",
        "PARTNER_APP_UNINSTALLED",
        "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
        "PARTNER_REMOVED",
        "VOLUME_BASED_PRICING_TIER_UPDATE",
    ];
    const TEMPLATES: &[&str] = &[
        "APPROVED",
        "DISABLED",
        "IN_APPEAL",
        "PENDING",
        "REINSTATED",
        "REJECTED",
        "DELETED",
        "PENDING_DELETION",
        "FLAGGED",
        "PAUSED",
        "LIMIT_EXCEEDED",
        "ARCHIVED",
        "UNARCHIVED",
        "LOCKED",
    ];

    #[test]
    fn nothing_that_anybody_names_is_left_out() {
        for (what, entries, names) in NAMED {
            for name in *names {
                assert!(treatment(entries, name).is_some(), "{what}: {name}");
            }
        }
        assert!(ACCOUNT.iter().all(|name| account_event(name).is_some()));
        assert!(TEMPLATES.iter().all(|name| TEMPLATE_EVENTS.contains(name)));
    }

    #[test]
    fn each_name_stands_once_and_each_sentence_is_one() {
        for entries in [FIELDS, MESSAGE_TYPES, INTERACTIVE_TYPES, SYSTEM_TYPES, STATUSES] {
            for (index, (name, treatment)) in entries.iter().enumerate() {
                assert!(entries[..index].iter().all(|(other, _)| other != name), "{name} twice");
                if let Shown(sentence) = treatment {
                    assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase), "{name}: {sentence}");
                }
            }
        }
    }
}
