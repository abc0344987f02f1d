//! By what WhatsApp knows people: a number as it writes it, and ids.

use serde_json::Value;

use crate::channels::incoming::Sender;
use crate::domain::{AddressKey, AddressKind};

/// A number as WhatsApp writes it: digits, perhaps other ones than the phone's (Brazil, Mexico, Argentina).
pub const WA_ID: AddressKind = AddressKind::digits("wa_id");
/// The id of a person for one business, to whom the person may not show a number.
pub const BSUID: AddressKind = AddressKind::id("bsuid");

/// A person, with all that Meta reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// The phone number, in digits without a plus sign.
    pub(super) wa_id: Option<String>,
    /// The business-scoped id.
    pub(super) bsuid: Option<String>,
    /// The id that the businesses of one portfolio share.
    pub(super) parent_bsuid: Option<String>,
    /// The name that the person goes by.
    pub(super) name: Option<String>,
}

impl Person {
    /// Whether there is anything to identify the person by.
    pub(super) fn is_known(&self) -> bool {
        self.wa_id.is_some() || self.bsuid.is_some() || self.parent_bsuid.is_some()
    }
}

impl From<Person> for Sender {
    /// The id is the surest address: a number may change hands. The id that a portfolio shares stands in where the
    /// person's own is missing.
    fn from(person: Person) -> Self {
        let Person { wa_id, bsuid, parent_bsuid, name } = person;
        let text = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let id = text(bsuid).or_else(|| text(parent_bsuid)).map(|id| AddressKey::new(BSUID, id));
        let number = text(wa_id).map(|digits| AddressKey::new(WA_ID, digits));
        Self { addresses: id.into_iter().chain(number).collect(), name }
    }
}

/// The new addresses of a person in the payload of a notice, as [`super::changes`] has put them there.
pub(in crate::channels) fn new_addresses(payload: &Value) -> Vec<AddressKey> {
    let text = |key: &str| payload[key].as_str().map(str::to_owned);
    let person = Person { wa_id: text("wa_id"), bsuid: text("bsuid"), ..Person::default() };
    Sender::from(person).addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_the_addresses_that_are_told() {
        let person = Person {
            wa_id: Some("554188887777".to_owned()),
            bsuid: Some(" ".to_owned()),
            parent_bsuid: Some("US.ENT.1".to_owned()),
            name: None,
        };
        let known = [AddressKey::new(BSUID, "US.ENT.1"), AddressKey::new(WA_ID, "554188887777")];
        assert_eq!(Sender::from(person).addresses, known);
        assert_eq!(Sender::from(Person::default()), Sender::default());
    }
}
