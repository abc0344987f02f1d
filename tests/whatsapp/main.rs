//! Conversations over WhatsApp: the real application against the stand-in for Meta and the phones.
//!
//! Time is a clock that the test moves, for the server and the cloud alike; only where the real binary dies (`crash`,
//! `kill`) or is stopped (`shutdown`) it is the machine's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../crates/testkit/src/address.rs"]
mod address;
#[path = "../../crates/testkit/src/meta/mod.rs"]
mod meta;
#[path = "../../crates/testkit/src/process.rs"]
mod process;
#[path = "../../crates/testkit/src/site.rs"]
mod site;
#[path = "../../crates/testkit/src/app.rs"]
#[allow(dead_code, reason = "shared with the tests of the API, which use all of it")]
mod support;
mod world;

mod cart;
mod complaints;
mod crash;
mod crowd;
mod expired;
mod held;
mod kill;
mod kinds;
mod lanes;
mod links;
mod long;
mod machines;
mod people;
mod publishing;
mod sends;
mod shutdown;
mod templates;
mod token;
mod told;
mod trouble;
#[path = "../../crates/testkit/src/wait.rs"]
mod wait;
