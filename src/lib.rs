//! Qyvo: a self-hosted server for conversation flows, one binary and one SQLite file.
//!
//! The modules in reading order: [`domain`] (types without input or output), [`engine`] (how a conversation runs, as
//! one pure function), [`views`] (what the outside sees of a contact, a session, a message), [`store`] (the only module
//! that knows SQLite), [`channels`] (how messages leave), [`runtime`] (loads, steps and persists in one write job),
//! `api` (HTTP), `server` with [`App`], which wires them and runs, and [`cli`] (the commands). [`credentials`] and
//! [`settings`] are for API, server and commands; [`config`], [`telemetry`], [`metrics`] and [`error`] serve them all.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
pub mod channels;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod domain;
pub mod engine;
pub mod error;
pub mod metrics;
pub mod runtime;
mod server;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod views;

pub use server::App;
