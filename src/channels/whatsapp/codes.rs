//! Meta's error codes, and what each calls for: one table, so that no known code is left to a guess.
//!
//! By Meta's page of error codes (2026-09-11), the Graph API's general ones, and what client packages know besides
//! (pywa, whatsapp-api-js, whatsapp-business, @kapso/whatsapp-cloud-api, hiws). What counts is whom a code concerns:
//! the number or the account (the channel pauses and the queue is kept), the template or the message (it fails alone),
//! the person, or the moment.

use crate::channels::outgoing::RefusalClass;

/// The codes by what they call for. Each is in it once.
pub(super) const CODES: &[(RefusalClass, &[i64])] = &[
    // Too much to one person.
    (RefusalClass::RecipientPacing, &[131056]),
    // Too much of the number, the account or the app.
    (RefusalClass::ChannelPacing, &[4, 17, 32, 341, 429, 613, 80007, 80008, 130429]),
    // Of the moment: the service, or a number in maintenance.
    (RefusalClass::Transient, &[1, 2, 500, 131000, 131016, 131057, 133004, 2494100]),
    (RefusalClass::WindowClosed, &[131047]),
    (RefusalClass::OptedOut, &[131050]),
    // Not for this person: test list, blocked, marketing cap, experiment, business-scoped id, identity key.
    (RefusalClass::Permanent, &[130403, 130472, 131021, 131026, 131030, 131049, 131062, 137000]),
    // Not in this form, or too late.
    (
        RefusalClass::Permanent,
        &[100, 506, 131001, 131002, 131006, 131008, 131009, 131043, 131051, 131052, 131053, 134011, 135000],
    ),
    // Not with this template, or what it opens. Of marketing templates alone: 131063.
    (
        RefusalClass::Permanent,
        &[
            131063, 132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132018, 132068, 132069, 139000,
            139001, 139002, 139003, 139004, 2388019, 2388040, 2388047, 2388072, 2388073, 2388293, 2388299,
        ],
    ),
    // About what is never sent from here: calls, groups, blocking, usernames, sign-up links. No other message is
    // concerned.
    (
        RefusalClass::Permanent,
        &[
            131020, 131041, 131059, 131201, 131202, 131204, 131207, 131208, 131209, 131210, 131211, 131212, 131213,
            131214, 131215, 138000, 138001, 138002, 138003, 138004, 138005, 138006, 138007, 138009, 138012, 138013,
            138018, 139100, 139101, 139102, 139103, 147001, 147002, 147003, 147004, 147005, 2494164, 2494165, 2494166,
            2494167, 2494168, 2494176, 2494177, 2494179,
        ],
    ),
    // The token and what it may do; 200 to 299 as well, see `is_of_token`.
    (RefusalClass::ChannelDown, &[0, 3, 5, 10, 101, 102, 104, 190, 131005]),
    // The account: blocked, restricted, payment, display name, spam, classification. Trying on makes 131048 worse.
    (RefusalClass::ChannelDown, &[33, 368, 803, 130497, 131031, 131037, 131042, 131044, 131045, 131048, 131064]),
    // The number's registration: not registered, not verified, its PIN, moved, taken off too often.
    (
        RefusalClass::ChannelDown,
        &[
            133000, 133001, 133002, 133003, 133005, 133006, 133007, 133008, 133009, 133010, 133015, 133016, 136025,
            2388001, 2388012, 2388091, 2388093, 2388103,
        ],
    ),
];

/// What a code calls for; `None` of one that is not known.
pub(super) fn class_of(code: i64) -> Option<RefusalClass> {
    match code {
        200..=299 => Some(RefusalClass::ChannelDown),
        _ => CODES.iter().find(|(_, codes)| codes.contains(&code)).map(|(class, _)| *class).or_else(|| {
            // A sibling that came later concerns the number's registration like all of them.
            (133_000..134_000).contains(&code).then_some(RefusalClass::ChannelDown)
        }),
    }
}

/// Whether a code concerns the access token, or what it may do: what another token may mend (Meta, "Authorization
/// errors" of the Cloud API, and the Graph API's general ones).
pub(super) fn is_of_token(code: i64) -> bool {
    matches!(code, 0 | 3 | 5 | 10 | 101 | 102 | 104 | 190 | 200..=299 | 131005)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The codes that client packages name, as of their releases of November 2026.
    const NAMED: &[(&str, &[i64])] = &[
        (
            "pywa 4.5.0",
            &[
                0, 3, 4, 10, 190, 200, 250, 299, 368, 80007, 130429, 130472, 130497, 131000, 131005, 131008, 131009,
                131016, 131020, 131021, 131026, 131030, 131031, 131037, 131041, 131042, 131044, 131045, 131047, 131048,
                131049, 131050, 131051, 131052, 131053, 131056, 131057, 131059, 131062, 131063, 131064, 131201, 131202,
                131204, 131207, 131208, 131209, 131210, 131211, 131212, 131213, 131214, 131215, 132000, 132001, 132005,
                132007, 132008, 132012, 132015, 132016, 132068, 132069, 133016, 135000, 137000, 138000, 138001, 138002,
                138003, 138004, 138005, 138006, 138007, 138009, 138012, 138013, 138018, 139000, 139001, 139002, 139003,
                139004, 139100, 139101, 139102, 139103, 147001, 147002, 147003, 147004, 147005, 2388012, 2388019,
                2388040, 2388047, 2388073, 2388091, 2388093, 2388103, 2388293, 2388299, 2494100, 2494164, 2494165,
                2494166, 2494167, 2494168, 2494176, 2494177, 2494179,
            ],
        ),
        (
            "whatsapp-business 1.7.2",
            &[
                0, 1, 2, 3, 4, 10, 100, 190, 200, 299, 368, 506, 80007, 130429, 131000, 131001, 131002, 131005, 131006,
                131008, 131009, 131016, 131021, 131042, 131043, 131045, 131047, 131048, 131051, 131052, 132000, 132001,
                132005, 132007, 132012, 133000, 133001, 133002, 133003, 133004, 133005, 133006, 133007, 133008, 133009,
                136025,
            ],
        ),
        (
            "@kapso/whatsapp-cloud-api 0.3.0",
            &[
                0, 1, 2, 3, 4, 10, 33, 100, 190, 368, 429, 500, 80007, 130429, 130472, 130497, 131000, 131005, 131008,
                131009, 131016, 131021, 131026, 131031, 131037, 131042, 131045, 131047, 131048, 131049, 131051, 131052,
                131053, 131056, 131057, 132000, 132001, 132005, 132007, 132012, 132015, 132016, 132068, 132069, 133000,
                133004, 133005, 133006, 133008, 133009, 133010, 133015, 133016, 134011, 135000,
            ],
        ),
        (
            "Meta's page and the Graph API",
            &[
                1, 2, 4, 5, 17, 32, 33, 100, 101, 102, 104, 341, 613, 803, 80007, 80008, 130403, 130429, 131030,
                131037, 131044, 131050, 131056, 131062, 131064, 132018, 133010, 2388001, 2388072,
            ],
        ),
    ];

    #[test]
    fn no_code_that_anybody_names_is_without_a_decision() {
        let undecided: Vec<_> = NAMED
            .iter()
            .flat_map(|(package, codes)| codes.iter().map(move |code| (*package, *code)))
            .filter(|(_, code)| class_of(*code).is_none())
            .collect();
        assert_eq!(undecided, []);
    }

    #[test]
    fn each_code_is_decided_once() {
        let mut seen = HashSet::new();
        for code in CODES.iter().flat_map(|(_, codes)| codes.iter()) {
            assert!(seen.insert(*code), "{code} twice");
        }
    }

    #[test]
    fn codes_of_the_number_and_the_account_pause_the_channel() {
        // If these failed single messages, every message would be lost until an operator acts.
        for code in [
            0, 3, 10, 33, 190, 200, 368, 130497, 131005, 131031, 131037, 131042, 131044, 131045, 131048, 131064,
            133000, 133005, 133006, 133008, 133009, 133010, 133015, 133016, 133099, 136025,
        ] {
            assert_eq!(class_of(code), Some(RefusalClass::ChannelDown), "{code}");
        }
        for code in (0..300).filter(|code| is_of_token(*code)) {
            assert_eq!(class_of(code), Some(RefusalClass::ChannelDown), "{code}");
        }
        assert_eq!((class_of(777_777), class_of(134_000)), (None, None));
    }
}
