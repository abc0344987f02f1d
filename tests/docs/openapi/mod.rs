//! The API's description, `static/openapi.yaml`: held against its own rules, against the running server by foreign
//! tools, and by clients that were generated from it.

mod bundle;
mod description;
mod generated;
mod generators;
mod schemathesis;
mod typescript;

/// The description that the server serves.
const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/static/openapi.yaml");
