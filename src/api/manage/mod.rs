//! What the admin page and operators call: authoring and publishing, what runs, and how the server stands.

pub(super) mod audit;
pub(super) mod backups;
pub(super) mod channels;
pub(super) mod contact_export;
pub(super) mod contacts;
mod draft_room;
pub(super) mod events;
pub(super) mod flows;
pub(super) mod health;
pub(super) mod log_in;
pub(super) mod message_groups;
pub(super) mod messages;
pub(super) mod metrics;
mod page_lists;
pub(super) mod pages;
pub(super) mod problems;
pub(super) mod publishing;
pub(super) mod sessions;
pub(super) mod settings;
mod simulation_fields;
pub(super) mod simulations;
pub(super) mod stats;
pub(super) mod templates;
pub(super) mod test_cases;
pub(super) mod tokens;
pub(super) mod webhook_endpoints;
