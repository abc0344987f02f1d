//! The API against the real application: port 0, a database of its own, a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod authoring;
mod auto_replies;
mod calls;
mod channels;
mod codings;
mod conformance;
mod connections;
mod consent;
mod contacts;
mod conversations;
mod dead_ends;
mod deliveries;
mod docs;
mod erasure;
mod errors;
mod events;
mod flows;
mod heads;
mod inspection;
mod mcp;
mod mcp_protocol;
mod meta_tells;
mod node;
mod people;
mod phones;
mod private_answers;
mod public_contacts;
mod public_limits;
mod public_messages;
mod public_polling;
mod public_sequences;
mod public_templates;
mod routing;
mod simulations;
mod templates;
mod test_cases;
mod timers;
mod tokens;
mod trigger;
mod trigger_batch;
mod webhook_payloads;
mod webhooks;
