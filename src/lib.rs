//! Qyvo: a self-hosted server for conversation flows.

pub mod config;
pub mod domain;
pub mod engine;
pub mod error;
pub mod store;
pub mod telemetry;
