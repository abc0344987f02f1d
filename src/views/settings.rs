//! Settings and who is at the admin page, as that page sees them.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// A key of the configuration.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// Such as `sessions.default_ttl`.
    pub key: String,
    /// The value in force.
    pub value: Value,
    /// What would be in force if nothing set it.
    pub default: Value,
    /// Where the value comes from.
    pub source: &'static str,
    /// Whether it can be changed on the page.
    pub is_editable: bool,
    /// Whether its value is hidden.
    pub is_secret: bool,
    /// What it is for.
    pub about: String,
}

/// The state of the admin page's log-in, and what the page needs to begin.
#[derive(Debug, Serialize)]
pub struct AdminSession {
    /// `logged_in`, `set_up` or `log_in`.
    pub state: &'static str,
    /// The channel that carries messages.
    pub channel: AdminChannel,
    /// Where users reach the server.
    pub public_url: String,
    /// The server's version.
    pub version: &'static str,
    /// The name given at log-in; there only for a browser that is logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What changes must bring along, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}

/// A channel in an [`AdminSession`].
#[derive(Debug, Serialize)]
pub struct AdminChannel {
    /// The channel's name.
    pub name: &'static str,
    /// Whether its messages leave the server.
    pub reaches_phones: bool,
}

/// What `GET /me` gives: whose server it is.
#[derive(Debug, Serialize)]
pub struct Owner<'a> {
    /// A server has only this one.
    pub id: u32,
    /// Where the owner is written to.
    pub email: Option<&'a Value>,
    /// The owner's name.
    pub name: Option<&'a Value>,
    /// The owner's business.
    pub tenant: Tenant<'a>,
}

/// The business of an [`Owner`].
#[derive(Debug, Serialize)]
pub struct Tenant<'a> {
    /// As events name it.
    pub id: Uuid,
    /// What people call it.
    pub name: Option<&'a Value>,
}
