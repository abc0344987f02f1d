//! The API against the real application: port 0, a database of its own, a clock that the test moves.

mod authoring;
mod conversations;
mod errors;
mod inspection;
mod support;
mod timers;
mod tokens;
mod trigger;
