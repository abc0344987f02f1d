//! What the outside sees: one shape for each thing that the API, the webhooks and the command line show.
//!
//! The fields of a struct are the keys of its JSON in their order, which clients have come to rely on: a key that may
//! be absent says so by `skip_serializing_if`, every other one is there, as null if need be. Shapes are made of what
//! `domain` knows; values that only a row of the database has are passed in beside it.

pub mod audit;
pub mod backup;
pub mod channel;
pub mod contact;
pub mod endpoint;
pub mod event;
pub mod flow;
pub mod message;
pub mod problem;
pub mod session;
pub mod settings;
pub mod stats;
pub mod template;
mod time;
pub mod token;

use serde::Serialize;

pub use time::IsoTime;

/// A part of a list.
#[derive(Debug, Serialize)]
pub struct Listing<T> {
    /// The rows of this part.
    pub data: Vec<T>,
    /// Where the next part begins; `None` where there is none.
    pub next_cursor: Option<String>,
}
