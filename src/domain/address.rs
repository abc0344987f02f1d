//! What leads to a person: a phone number, the number as WhatsApp writes it, a business-scoped id.

use super::Phone;
use super::phone::other_form;

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

    /// All addresses that the owner of this one may be known by, the likeliest first: itself, then the same number in
    /// the other notation and in the other way of writing it.
    pub fn forms(&self) -> impl Iterator<Item = Self> + use<> {
        let variant = self.variant();
        let twin_of_variant = variant.as_ref().and_then(Self::twin);
        [Some(self.clone()), self.twin(), variant, twin_of_variant].into_iter().flatten()
    }

    /// [`AddressKey::forms`], and the number as releases have kept it that left what is dialled inside a country in it.
    pub fn forms_ever_kept(&self) -> impl Iterator<Item = Self> + use<> {
        let digits = self.value.trim_start_matches('+');
        let number = if self.kind == AddressKind::Bsuid { None } else { Phone::from_e164(&format!("+{digits}")).ok() };
        let with_prefix = number.and_then(|number| number.with_trunk_prefix());
        self.forms().chain(with_prefix.map(|number| Self::of_phone(&number)))
    }

    /// The same number as WhatsApp, or people, write it elsewhere, in the countries where there are two ways.
    pub fn variant(&self) -> Option<Self> {
        match self.kind {
            AddressKind::Phone => {
                Some(Self::new(self.kind, format!("+{}", other_form(self.value.trim_start_matches('+'))?)))
            }
            AddressKind::WaId => Some(Self::new(self.kind, other_form(&self.value)?)),
            AddressKind::Bsuid => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
