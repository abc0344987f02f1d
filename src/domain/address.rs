//! What leads to a person: a phone number, or an address of a channel's own.
//!
//! Which kinds there are besides phone numbers, only the channels know: each declares its own.

use super::Phone;
use super::phone::other_form;

/// A kind of address: its name, and how its values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKind {
    name: &'static str,
    form: Form,
}

/// How the values of a kind are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    /// A phone number in E.164, with its `+`.
    E164,
    /// A phone number's digits alone.
    Digits,
    /// An id, which is no number.
    Id,
}

impl AddressKind {
    /// A phone number in E.164, with its `+`: what is shown, and what a contact is made with.
    pub const PHONE: Self = Self { name: "phone", form: Form::E164 };

    /// Phone numbers as a channel writes them, in digits alone, which may be other ones than those of the phone.
    pub const fn digits(name: &'static str) -> Self {
        Self { name, form: Form::Digits }
    }

    /// Ids by which a channel knows people. Two ids of one kind are two people, while a number may change hands.
    pub const fn id(name: &'static str) -> Self {
        Self { name, form: Form::Id }
    }

    /// The name used in the API and in the store.
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// Whether it is an id, and not a phone number in one of its notations.
    pub fn is_id(self) -> bool {
        self.form == Form::Id
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
    /// An address of a kind, its value as the channel writes it.
    pub fn new(kind: AddressKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into() }
    }

    /// The address of a phone number.
    pub fn of_phone(phone: &Phone) -> Self {
        Self::new(AddressKind::PHONE, phone.as_str())
    }

    /// The same number in the notation of another kind; `None` where either is an id.
    pub fn written_as(&self, kind: AddressKind) -> Option<Self> {
        let digits = match self.kind.form {
            Form::E164 => self.value.trim_start_matches('+'),
            Form::Digits => &self.value,
            Form::Id => return None,
        };
        match kind.form {
            Form::E164 => Some(Self::new(kind, format!("+{digits}"))),
            Form::Digits => Some(Self::new(kind, digits)),
            Form::Id => None,
        }
    }

    /// All addresses that the owner of this one may be known by where there are these kinds, the likeliest first:
    /// itself, then the same number in the other notations and in the other way of writing it.
    pub fn forms(&self, kinds: &[AddressKind]) -> Vec<Self> {
        let ways = [Some(self.clone()), self.variant()];
        let in_all_notations = |way: Self| {
            let others = kinds.iter().filter(|kind| **kind != way.kind).filter_map(|kind| way.written_as(*kind));
            let others: Vec<Self> = others.collect();
            std::iter::once(way).chain(others)
        };
        ways.into_iter().flatten().flat_map(in_all_notations).collect()
    }

    /// [`AddressKey::forms`], and the number as releases have kept it that left what is dialled inside a country in it.
    pub fn forms_ever_kept(&self, kinds: &[AddressKind]) -> Vec<Self> {
        let digits = self.value.trim_start_matches('+');
        let number = if self.kind.is_id() { None } else { Phone::from_e164(&format!("+{digits}")).ok() };
        let with_prefix = number.and_then(|number| number.with_trunk_prefix());
        let mut forms = self.forms(kinds);
        forms.extend(with_prefix.map(|number| Self::of_phone(&number)));
        forms
    }

    /// The same number as a channel, or people, write it elsewhere, in the countries where there are two ways.
    pub fn variant(&self) -> Option<Self> {
        match self.kind.form {
            Form::E164 => Some(Self::new(self.kind, format!("+{}", other_form(self.value.trim_start_matches('+'))?))),
            Form::Digits => Some(Self::new(self.kind, other_form(&self.value)?)),
            Form::Id => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: AddressKind = AddressKind::digits("digits");
    const ID: AddressKind = AddressKind::id("id");

    #[test]
    fn a_number_has_two_notations() {
        let phone = AddressKey::new(AddressKind::PHONE, "+5215512345678");
        let digits = AddressKey::new(DIGITS, "5215512345678");
        assert_eq!(phone.written_as(DIGITS), Some(digits.clone()));
        assert_eq!(digits.written_as(AddressKind::PHONE), Some(phone.clone()));
        assert_eq!(phone.variant(), Some(AddressKey::new(AddressKind::PHONE, "+525512345678")));
        let id = AddressKey::new(ID, "US.13491208655302741918");
        assert_eq!((id.written_as(DIGITS), id.variant()), (None, None));
        assert_eq!(id.forms(&[AddressKind::PHONE, DIGITS, ID]), [id]);
    }

    #[test]
    fn a_number_is_looked_up_in_every_notation_and_both_ways_of_writing_it() {
        let digits = AddressKey::new(DIGITS, "554188887777");
        let forms = digits.forms(&[AddressKind::PHONE, DIGITS, ID]);
        let values: Vec<&str> = forms.iter().map(|form| form.value.as_str()).collect();
        assert_eq!(values, ["554188887777", "+554188887777", "5541988887777", "+5541988887777"]);
    }
}
