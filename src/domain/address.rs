//! What leads to a person: a phone number, the number as WhatsApp writes it, a business-scoped id.

use super::Phone;

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// A phone number in E.164, with its `+`.
    Phone,
    /// The number as WhatsApp knows it: digits, perhaps other ones than the phone's.
    WaId,
    /// WhatsApp's id of a person for one business, who may keep the number to themselves.
    Bsuid,
}

impl AddressKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Phone, Self::WaId, Self::Bsuid];

    /// The name used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::WaId => "wa_id",
            Self::Bsuid => "bsuid",
        }
    }
}

/// An address. It is kept as it was sent and never rewritten.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey {
    /// What it is.
    pub kind: AddressKind,
    /// Such as `+14155550123`.
    pub value: String,
}

impl AddressKey {
    /// An address.
    pub fn new(kind: AddressKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into() }
    }

    /// The address of a phone number.
    pub fn of_phone(phone: &Phone) -> Self {
        Self::new(AddressKind::Phone, phone.as_str())
    }

    /// The same number in the other notation: a phone's as WhatsApp would write it, and the reverse. An id has none.
    pub fn twin(&self) -> Option<Self> {
        match self.kind {
            AddressKind::Phone => Some(Self::new(AddressKind::WaId, self.value.trim_start_matches('+'))),
            AddressKind::WaId => Some(Self::new(AddressKind::Phone, format!("+{}", self.value))),
            AddressKind::Bsuid => None,
        }
    }

    /// Another number that the same person may be known by, because WhatsApp and people write the numbers of some
    /// countries differently. Only where the number itself leads to nobody: it may well be somebody else's.
    pub fn variant(&self) -> Option<Self> {
        match self.kind {
            AddressKind::Phone => {
                Some(Self::new(self.kind, format!("+{}", variant_of(self.value.trim_start_matches('+'))?)))
            }
            AddressKind::WaId => Some(Self::new(self.kind, variant_of(&self.value)?)),
            AddressKind::Bsuid => None,
        }
    }
}

/// The other way in which a number of these countries is written. Meta's documentation says of the numbers of Brazil and
/// Mexico that their prefix "may be modified by the Cloud API"; those of Argentina differ likewise.
fn variant_of(digits: &str) -> Option<String> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match (digits.get(..2)?, digits.len()) {
        // Mobile numbers of Brazil got a ninth digit; who had WhatsApp before is still known without. Landlines never
        // got one, and begin with 2 to 5.
        ("55", 12) if digits.as_bytes()[4] >= b'6' => Some(format!("{}9{}", &digits[..4], &digits[4..])),
        ("55", 13) if digits.as_bytes()[4] == b'9' && digits.as_bytes()[5] >= b'6' => {
            Some(format!("{}{}", &digits[..4], &digits[5..]))
        }
        // A 1 between country code and number used to tell mobiles of Mexico.
        ("52", 12) => Some(format!("521{}", &digits[2..])),
        ("52", 13) if digits.as_bytes()[2] == b'1' => Some(format!("52{}", &digits[3..])),
        // A 9 tells mobiles of Argentina.
        ("54", 12) => Some(format!("549{}", &digits[2..])),
        ("54", 13) if digits.as_bytes()[2] == b'9' => Some(format!("54{}", &digits[3..])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_three_countries_are_written_in_two_ways() {
        for (one, other) in [
            ("554188887777", "5541988887777"),
            ("5512345678", "55123456789"),
            ("525512345678", "5215512345678"),
            ("541112345678", "5491112345678"),
        ] {
            let has = one.len() > 11;
            assert_eq!(variant_of(one).as_deref(), has.then_some(other), "{one}");
            assert_eq!(variant_of(other).as_deref(), has.then_some(one), "{other}");
        }
        for alone in ["", "5", "14155550123", "554133334444", "5541933334444", "5521", "52abc5678901", "4915112345678"]
        {
            assert_eq!(variant_of(alone), None, "{alone}");
        }
    }

    #[test]
    fn a_number_has_two_notations() {
        let phone = AddressKey::new(AddressKind::Phone, "+5215512345678");
        let wa_id = AddressKey::new(AddressKind::WaId, "5215512345678");
        assert_eq!(phone.twin(), Some(wa_id.clone()));
        assert_eq!(wa_id.twin(), Some(phone.clone()));
        assert_eq!(phone.variant(), Some(AddressKey::new(AddressKind::Phone, "+525512345678")));
        let bsuid = AddressKey::new(AddressKind::Bsuid, "US.13491208655302741918");
        assert_eq!((bsuid.twin(), bsuid.variant()), (None, None));
    }
}
