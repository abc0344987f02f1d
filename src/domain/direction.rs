//! Which way a message goes.

use super::named::named;

named! {
    /// Which way a message goes.
    #[derive(Hash)]
    pub enum Direction {
        /// From the contact.
        In = "in",
        /// To the contact.
        Out = "out",
    }
}
