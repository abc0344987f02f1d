//! What holds of whatever is posted to `/webhooks/whatsapp`, once its signature holds: it is read without a panic, JSON
//! is never an error, and what comes out can be handled: a message has an id and a sender, a status says of which
//! message.
//!
//! The fuzz target and the tests that replay its corpus both include this file, so that they hold the same.

use qyvo::channels::incoming::{Item, Sender};
use qyvo::channels::whatsapp::read_delivery;
use qyvo::domain::AddressKey;
use serde_json::Value;

/// The number that the deliveries are for.
const NUMBER: &str = "106540352242922";

/// Reads a delivery and panics unless what comes out can be handled.
pub(crate) fn check(raw: &[u8]) {
    let Ok(items) = read_delivery(raw, NUMBER) else {
        assert!(serde_json::from_slice::<Value>(raw).is_err(), "JSON was called unreadable");
        return;
    };
    for item in items {
        match item {
            Item::Message(message) | Item::Overheard(message) => {
                assert!(!message.provider_id.trim().is_empty(), "a message without an id: {message:?}");
                assert!(is_somebody(&message.from), "a message without a sender: {message:?}");
            }
            Item::Echo(echo) => {
                assert!(!echo.provider_id.trim().is_empty(), "an echo without an id: {echo:?}");
                assert!(is_somebody(&echo.to), "an echo to nobody: {echo:?}");
            }
            Item::Handover(handover) => assert!(is_somebody(&handover.person), "with whom? {handover:?}"),
            Item::Preference(preference) => assert!(is_somebody(&preference.from), "whose? {preference:?}"),
            Item::Progress(progress) => {
                assert!(progress.provider_id.is_some() || progress.message_id.is_some(), "of which? {progress:?}");
            }
            Item::Template(news) => assert!(!news.name.is_empty() && !news.language.is_empty(), "{news:?}"),
            Item::Templates => {}
            Item::Notice { code, text, .. } => assert!(!code.is_empty() && !text.is_empty(), "{code:?} {text:?}"),
            Item::Unknown { why, .. } => assert!(!why.is_empty(), "kept, and not why"),
        }
    }
}

fn is_somebody(sender: &Sender) -> bool {
    let digits = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit());
    let is_right = |address: &AddressKey| address.kind.is_id() || digits(&address.value);
    assert!(sender.addresses.iter().all(is_right), "not a number: {sender:?}");
    !sender.addresses.is_empty()
}
