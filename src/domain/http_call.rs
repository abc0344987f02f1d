//! An HTTP call that a flow makes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// The change by which a trace records a call; its value has the `url`, filled in.
pub const CALLED: &str = "http_request";
/// How a trace's warning begins where nothing could be called.
pub const NOT_CALLED: &str = "nothing was called";
/// How that warning ends where it shows what stands in the address's place.
pub const NO_WEB_ADDRESS: &str = "is not an http or https address";

/// A call with all templates filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// The node that makes it.
    pub node: NodeId,
    /// Such as `POST`.
    pub method: String,
    /// `http` or `https`.
    pub url: String,
    /// The request headers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What is sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u32,
    /// Attempts after the first.
    pub max_retries: u32,
}
