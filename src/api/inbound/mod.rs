//! What comes in from channels: messages on the generic webhook and the simulator, and what their
//! providers deliver.

pub(super) mod deliveries;
pub(super) mod generic;
pub(super) mod whatsapp;
