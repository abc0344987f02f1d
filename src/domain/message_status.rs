//! How far a message got.

use super::named::named;

named! {
    /// How far a message got.
    #[derive(Hash)]
    pub enum MessageStatus {
        /// It came in.
        Received = "received",
        /// It waits in the outbox.
        Queued = "queued",
        /// It was handed to the channel, and the answer is not there yet.
        Sending = "sending",
        /// The simulator showed it; it reached no phone.
        Simulated = "simulated",
        /// The channel took it.
        Sent = "sent",
        /// It reached the phone.
        Delivered = "delivered",
        /// The person opened it.
        Read = "read",
        /// It was not sent, or the channel took it and could not deliver it; the message's `reason` says why. It is
        /// sent again only if somebody asks for that.
        Failed = "failed",
        /// The channel may or may not have taken it.
        Unknown = "unknown",
    }
}
