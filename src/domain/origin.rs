//! The sender of a message to a contact.

use super::Holder;
use super::named::named;

named! {
    /// The sender of a message to a contact.
    #[derive(Hash)]
    pub enum Origin {
        /// A flow, in a turn of a session.
        Flow = "flow",
        /// The server, to confirm an opt-out or opt-in. It may go to an opted-out contact.
        Consent = "consent",
        /// A person: on the admin page, or through a program that has a token of scope `admin`. It may go to an
        /// opted-out contact.
        Agent = "agent",
        /// The operator's own systems.
        Api = "api",
        /// A person in the WhatsApp Business app. It went out past this server.
        Colleague = "colleague",
        /// Another system of Meta that held the conversation. It went out past this server.
        Standby = "standby",
    }
}

impl Origin {
    /// Whether another sender wrote it, so that nothing can be done about it here.
    pub fn is_elsewhere(self) -> bool {
        matches!(self, Self::Colleague | Self::Standby)
    }
}

impl From<Holder> for Origin {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Colleague => Self::Colleague,
            Holder::Standby => Self::Standby,
        }
    }
}
