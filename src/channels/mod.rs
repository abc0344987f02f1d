//! Channels: how messages leave the house.
//!
//! There is one so far, the simulator. The next one brings the trait that both implement.

pub mod incoming;
pub mod outgoing;

/// The channel that messages go out on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Needs no account anywhere: what a flow says is recorded and shown, and no phone rings. There is nobody to hand a
    /// message to, so it counts as accepted in the very transaction that says it; it never waits in the outbox, and a
    /// timeout runs from that commit.
    Simulator,
}

impl Channel {
    /// Its name in the store, in the API and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
        }
    }

    /// Whether anybody's phone rings.
    pub fn reaches_phones(self) -> bool {
        match self {
            Self::Simulator => false,
        }
    }
}
