//! The configuration: defaults, a file, the environment and flags, the later overriding the earlier.
//!
//! The keys are those of [`Config`] and nothing else lists them: the names of the environment variables, the type
//! that a variable's text is read as, and the examples in error messages come from serialising `Config::default()`.
//! A key must therefore always serialise to something. One that is unset by default is an empty text or an empty
//! list, never `None`, which TOML leaves out.

mod layers;
mod live_channel;
mod settings;
mod values;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::domain::{Resend, Synchronous};

pub use layers::{Flags, LeftOut, Loaded, Origin, SecretSource};
pub use live_channel::{DefaultChannel, LiveChannel, Sending};
pub use settings::Setting;
pub use values::{ByteLimit, ByteSize, LogFilter, Secret};

/// All settings of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub server: Server,
    /// The database file.
    pub storage: Storage,
    /// Copies of the database that the server makes by itself.
    pub backup: Backup,
    /// For how long rows are kept.
    pub retention: Retention,
    /// How long conversations live.
    pub sessions: Sessions,
    /// What one caller may ask of the server.
    pub limits: Limits,
    /// How messages reach people.
    pub channel: Channel,
    /// The WhatsApp Cloud API.
    pub whatsapp: WhatsApp,
    /// The generic channel: messages go to a URL of the operator's.
    pub webhook: Webhook,
    /// How messages go out.
    pub outbox: Outbox,
    /// Where messages from people go.
    pub routing: Routing,
    /// What flows may call.
    pub http_request: HttpRequest,
    /// The admin page.
    pub admin: Admin,
    /// What the server says of its owner.
    pub account: Account,
    /// What is logged, and how.
    pub log: Log,
    /// Where the keys come from that are not at their defaults; a key that is not here may be set on the admin page.
    #[serde(skip)]
    pub origins: BTreeMap<String, Origin>,
    /// Files that secrets were read from, by key.
    #[serde(skip)]
    pub secret_sources: BTreeMap<String, SecretSource>,
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
    /// Proxies whose `X-Forwarded-For` has the caller's address.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Connections that one address may have at once; 0 switches the limit off. Of IPv6, a /64 is one address.
    #[serde(deserialize_with = "values::count")]
    pub connections_per_peer: u32,
    /// What `/metrics` takes in place of a token of scope admin; empty for none.
    #[serde(deserialize_with = "values::metrics_token")]
    pub metrics_token: Secret,
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
    /// Free space on its disk, beside the size of the write-ahead log, below which no session is started any more.
    /// Below half of it nothing but erasures and opt-outs is written.
    pub min_free: ByteSize,
    /// `serve --new`: begin with an empty database where there was one that is gone.
    #[serde(skip)]
    pub begin_anew: bool,
    /// `serve --keep-log`: take the write-ahead log in that stands beside the file, though the file is another one.
    #[serde(skip)]
    pub keep_log: bool,
}

/// Copies of the database that the server makes by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Interval between backups: at least 1 minute; zero: none are made.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::backup_interval")]
    pub every: Duration,
    /// How many are kept: 1 to 10,000.
    #[serde(deserialize_with = "values::backups_kept")]
    pub keep: u32,
    /// Their folder, relative to that of the database.
    #[serde(deserialize_with = "values::file")]
    pub dir: PathBuf,
}

/// For how long rows are kept: at least 8 days, since a provider may deliver a message again for a week and more, and
/// late replies look back for as long; zero: for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Sessions after their end, with their traces.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::kept")]
    pub sessions: Duration,
    /// Messages.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::kept")]
    pub messages: Duration,
    /// Traces of sessions that have ended.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::kept")]
    pub traces: Duration,
    /// Deliveries to webhook endpoints that are settled; zero: for a day.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::kept")]
    pub deliveries: Duration,
    /// Rows of the audit: never for good.
    #[serde(serialize_with = "values::as_days", deserialize_with = "values::audit_kept")]
    pub audit: Duration,
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

/// What one caller may ask of the server, and what the server stores at most. 0 switches a limit off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per token in 60 seconds.
    #[serde(deserialize_with = "values::count")]
    pub requests_per_minute: u32,
    /// Rows of batches that one token may have started within 60 seconds.
    #[serde(deserialize_with = "values::count")]
    pub rows_per_minute: u32,
    /// Bytes that one token may have stored within 60 seconds.
    pub bytes_per_minute: ByteLimit,
    /// Bytes of answers that are kept for the `Idempotency-Key`s of one token.
    pub kept_answers_per_token: ByteLimit,
    /// Bytes of answers that are kept for the `Idempotency-Key`s of all callers.
    pub kept_answers: ByteLimit,
    /// Flows and sequences that are not deleted.
    #[serde(deserialize_with = "values::count")]
    pub flows: u32,
    /// Those of them that one token was the last to save.
    #[serde(deserialize_with = "values::count")]
    pub flows_per_token: u32,
    /// Bytes of the drafts of all flows.
    pub draft_bytes: ByteLimit,
    /// Bytes of the drafts that one token was the last to save.
    pub draft_bytes_per_token: ByteLimit,
    /// Test cases of one flow.
    #[serde(deserialize_with = "values::count")]
    pub test_cases_per_flow: u32,
    /// Bytes of the test cases of all flows.
    pub test_case_bytes: ByteLimit,
    /// Bytes of memory that simulations take.
    pub simulation_bytes: ByteLimit,
}

/// How messages reach people.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channel {
    /// The channel of messages that name no other.
    pub default: DefaultChannel,
}

/// The WhatsApp Cloud API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhatsApp {
    /// What stands in the path of every call; not a phone number.
    #[serde(deserialize_with = "values::id")]
    pub phone_number_id: String,
    /// The account that the templates belong to.
    #[serde(deserialize_with = "values::id")]
    pub business_account_id: String,
    /// What calls are authorised with.
    pub access_token: Secret,
    /// What deliveries are signed with.
    pub app_secret: Secret,
    /// What Meta proves itself with when the webhook is set up: any text of the operator's.
    pub verify_token: Secret,
    /// Where the API is. Without a slash at the end.
    #[serde(deserialize_with = "values::public_url")]
    pub api_base: String,
    /// Which version of it.
    #[serde(deserialize_with = "values::id")]
    pub api_version: String,
    /// The only numbers that messages go to, for staging; empty for all.
    pub only_to: Vec<String>,
    /// Which messages go out again when it is not known whether they arrived.
    pub resend: Resend,
    /// Messages in both directions that the number may handle in a second: 1 to 1,000.
    #[serde(deserialize_with = "values::per_second")]
    pub messages_per_second: u32,
}

/// The generic channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Where messages are posted to.
    #[serde(deserialize_with = "values::public_url")]
    pub url: String,
    /// What they are signed with.
    pub secret: Secret,
    /// Which messages go out again when it is not known whether they arrived.
    pub resend: Resend,
    /// Characters that the receiver takes in one message; longer texts are posted in parts.
    #[serde(deserialize_with = "values::text_chars")]
    pub text_chars: u32,
}

/// How messages go out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbox {
    /// How long to wait for a status of a message of which it is not known whether it arrived: 1 second to 1 hour.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::unknown_after")]
    pub unknown_after: Duration,
}

/// Where messages from people go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// Words that opt out, such as `stop` or `de:stopp`; empty for those of the server.
    #[serde(deserialize_with = "values::words")]
    pub opt_out_words: Vec<String>,
    /// Words that opt in again, such as `start`; empty for those of the server.
    #[serde(deserialize_with = "values::words")]
    pub opt_in_words: Vec<String>,
    /// Id of the flow that takes what no session and no keyword wants; empty for none.
    #[serde(deserialize_with = "values::flow_id")]
    pub fallback_flow: String,
    /// For how long flows are silent after a colleague has written in the WhatsApp Business app; zero: they are not.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "values::colleague_pause")]
    pub colleague_pause: Duration,
}

/// What flows may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpRequest {
    /// Networks besides the public internet.
    #[serde(deserialize_with = "values::networks")]
    pub allow: Vec<IpNet>,
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
            connections_per_peer: 1024,
            metrics_token: Secret::default(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: PathBuf::from("qyvo.db"),
            synchronous: Synchronous::default(),
            min_free: ByteSize::of(64 << 20),
            begin_anew: false,
            keep_log: false,
        }
    }
}

impl Default for Backup {
    fn default() -> Self {
        Self { every: Duration::ZERO, keep: 7, dir: PathBuf::from("backups") }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { default_ttl: Duration::from_secs(30 * 60), sweep_interval: Duration::from_secs(1) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: 6000,
            rows_per_minute: 60_000,
            bytes_per_minute: ByteLimit::of(160 << 20),
            kept_answers_per_token: ByteLimit::of(2 << 30),
            kept_answers: ByteLimit::of(8 << 30),
            flows: 5_000,
            flows_per_token: 1_000,
            draft_bytes: ByteLimit::of(256 << 20),
            draft_bytes_per_token: ByteLimit::of(64 << 20),
            test_cases_per_flow: 100,
            test_case_bytes: ByteLimit::of(256 << 20),
            simulation_bytes: ByteLimit::of(64 << 20),
        }
    }
}

impl Default for WhatsApp {
    fn default() -> Self {
        Self {
            phone_number_id: String::new(),
            business_account_id: String::new(),
            access_token: Secret::default(),
            app_secret: Secret::default(),
            verify_token: Secret::default(),
            api_base: "https://graph.facebook.com".to_owned(),
            api_version: "v26.0".to_owned(),
            only_to: Vec::new(),
            resend: Resend::Texts,
            messages_per_second: 80,
        }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self { url: String::new(), secret: Secret::default(), resend: Resend::All, text_chars: 4_096 }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self { unknown_after: Duration::from_secs(60) }
    }
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            opt_out_words: Vec::new(),
            opt_in_words: Vec::new(),
            fallback_flow: String::new(),
            colleague_pause: Duration::from_secs(3600),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        let (forever, audit) = (Duration::ZERO, Duration::from_secs(365 * 24 * 3600));
        Self { sessions: forever, messages: forever, traces: forever, deliveries: forever, audit }
    }
}

impl Default for Account {
    fn default() -> Self {
        Self { name: "Qyvo".to_owned(), email: "admin@localhost".to_owned(), tenant: "Qyvo".to_owned() }
    }
}

impl Config {
    /// The folder of the backups.
    pub fn backup_dir(&self) -> PathBuf {
        let folder = self.storage.path.parent().map_or_else(PathBuf::new, PathBuf::from);
        folder.join(&self.backup.dir)
    }
}
