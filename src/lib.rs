//! Qyvo: a self-hosted server for conversation flows.

pub mod domain;
pub mod engine;
pub mod error;
