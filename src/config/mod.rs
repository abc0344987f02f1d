//! The configuration: defaults, a file, the environment and flags, the later overriding the earlier.
//!
//! The keys are those of [`Config`] and nothing else lists them: the names of the environment variables, the type
//! that a variable's text is read as, and the examples in error messages come from serialising `Config::default()`.
//! A key must therefore always serialise to something. One that is unset by default is an empty text or an empty
//! list, never `None`, which TOML leaves out.

mod layers;
mod settings;
mod values;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use layers::{Flags, Loaded, Origin};
pub use settings::Key;
pub use values::{ByteSize, LogFilter, Secret};

/// All settings of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub server: Server,
    /// The database file.
    pub storage: Storage,
    /// How long conversations live.
    pub sessions: Sessions,
    /// What one caller may ask of the server.
    pub limits: Limits,
    /// How messages reach people.
    pub channel: Channel,
    /// The admin page.
    pub admin: Admin,
    /// What the server says of its owner.
    pub account: Account,
    /// What is logged, and how.
    pub log: Log,
    /// Where the keys come from that are not at their defaults; a key that is not here may be set on the admin page.
    #[serde(skip)]
    pub origins: BTreeMap<String, Origin>,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where it listens; port 0 takes any free port.
    #[serde(deserialize_with = "values::address")]
    pub bind: SocketAddr,
    /// The largest request body.
    pub max_body: ByteSize,
    /// Where its users reach it; empty if that is the address it listens on. Without a slash at the end.
    #[serde(deserialize_with = "values::public_url")]
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` tells the caller's address.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_proxies: Vec<IpNet>,
}

/// The database file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The file, relative to the working directory.
    #[serde(deserialize_with = "values::file")]
    pub path: PathBuf,
    /// When a write counts as durable.
    pub synchronous: Synchronous,
    /// Free space on its disk below which no session is started any more.
    pub min_free: ByteSize,
}

/// When a write counts as durable: SQLite's pragma of the same name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Once it has reached the disk: an answered trigger survives power loss.
    #[default]
    Full,
    /// Once the operating system has it: power loss may take the last moments.
    Normal,
    /// At once: power loss may damage the file. For tests.
    Off,
}

/// How long conversations live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Silence after which a session expires, unless its flow says otherwise: whole minutes, 1 to 43,200.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::time_to_live")]
    pub default_ttl: Duration,
    /// How often due timers are looked for: 10 milliseconds to 1 hour.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::sweep_interval")]
    pub sweep_interval: Duration,
}

/// What one caller may ask of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per token in 60 seconds; 0 switches the limit off.
    #[serde(deserialize_with = "values::count")]
    pub requests_per_minute: u32,
}

/// How messages reach people.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channel {
    /// The channel of messages that name no other.
    pub default: DefaultChannel,
}

/// The channel of messages that name no other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum DefaultChannel {
    /// The first channel that is configured, else the simulator.
    #[default]
    Auto,
    /// Nothing reaches a phone.
    Simulator,
}

/// The admin page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The password; empty if it is set on the first visit.
    #[serde(deserialize_with = "values::password")]
    pub password: Secret,
}

/// What the server says of its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// The owner's name.
    pub name: String,
    /// The owner's address.
    pub email: String,
    /// The organisation.
    pub tenant: String,
}

/// What is logged, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged.
    pub level: LogFilter,
    /// How it is written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For log collectors: one JSON object a line.
    Json,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_body: ByteSize::of(256 * 1024),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { path: PathBuf::from("qyvo.db"), synchronous: Synchronous::default(), min_free: ByteSize::of(64 << 20) }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { default_ttl: Duration::from_secs(30 * 60), sweep_interval: Duration::from_secs(1) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_minute: 6000 }
    }
}

impl Default for Account {
    fn default() -> Self {
        Self { name: "Qyvo".to_owned(), email: "admin@localhost".to_owned(), tenant: "Qyvo".to_owned() }
    }
}

impl TryFrom<String> for DefaultChannel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "simulator" => Ok(Self::Simulator),
            other => Err(format!(
                "`{other}` is not a channel of this version; only `auto` and `simulator` are, others come later"
            )),
        }
    }
}
