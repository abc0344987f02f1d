//! Conversations over WhatsApp: the real application against the stand-in for Meta and the phones.
//!
//! Time is a clock that the test moves, for the server and the cloud alike; only where the real binary dies (`crash`,
//! `kill`) or is stopped (`shutdown`) it is the machine's.

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
