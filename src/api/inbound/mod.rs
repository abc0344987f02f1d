//! What comes in from channels: messages on the generic webhook and the simulator, and WhatsApp's deliveries.

pub(super) mod generic;
pub(super) mod whatsapp;
