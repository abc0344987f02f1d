//! How far a delivery to a webhook endpoint got.

use super::named::named;

named! {
    /// How far a delivery to a webhook endpoint got.
    pub enum DeliveryStatus {
        /// It waits for its turn or its next attempt.
        Queued = "queued",
        /// The endpoint has taken it.
        Sent = "sent",
        /// It is given up.
        Failed = "failed",
    }
}
