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

use crate::domain::{Resend, Synchronous};
use crate::error::{Error, Result};

pub use layers::{Flags, Loaded, Origin, SecretSource};
pub use settings::Setting;
pub use values::{ByteSize, LogFilter, Secret};

/// Keys whose value is never shown, and that a variable ending in `_FILE` may set, too.
const SECRETS: [&str; 5] =
    ["admin.password", "whatsapp.access_token", "whatsapp.app_secret", "whatsapp.verify_token", "webhook.secret"];

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
    /// Proxies whose `X-Forwarded-For` tells the caller's address.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Connections that one address may have at once; 0 switches the limit off. Of IPv6, a /64 is one address.
    #[serde(deserialize_with = "values::count")]
    pub connections_per_peer: u32,
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
    /// The WhatsApp Cloud API.
    WhatsApp,
    /// The operator's URL.
    Webhook,
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
    /// Which messages go out again when nobody can tell whether they arrived.
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
    /// Which messages go out again when nobody can tell whether they arrived.
    pub resend: Resend,
    /// Characters that the receiver takes in one message; longer texts are posted in parts.
    #[serde(deserialize_with = "values::text_chars")]
    pub text_chars: u32,
}

/// How messages go out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbox {
    /// How long to wait for word of a message of which nobody can tell whether it arrived: 1 second to 1 hour.
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

impl Config {
    /// The channel that messages go out on: never [`DefaultChannel::Auto`].
    ///
    /// # Errors
    /// `Invalid` when a channel is configured in part: names the keys that are missing.
    pub fn live_channel(&self) -> Result<DefaultChannel> {
        let mut whole = Vec::new();
        for needed in self.needed() {
            if needed.are_set(self.channel.default == needed.channel)? {
                whole.push(needed.channel);
            }
        }
        Ok(match self.channel.default {
            DefaultChannel::Auto => whole.first().copied().unwrap_or(DefaultChannel::Simulator),
            named => named,
        })
    }

    /// What each channel needs, in the order in which [`DefaultChannel::Auto`] looks for them.
    fn needed(&self) -> [Needed<'_>; 2] {
        let Self { whatsapp, webhook, .. } = self;
        [
            Needed {
                channel: DefaultChannel::WhatsApp,
                title: "WhatsApp",
                keys: vec![
                    ("whatsapp.phone_number_id", &whatsapp.phone_number_id),
                    ("whatsapp.business_account_id", &whatsapp.business_account_id),
                    ("whatsapp.access_token", whatsapp.access_token.expose()),
                    ("whatsapp.app_secret", whatsapp.app_secret.expose()),
                    ("whatsapp.verify_token", whatsapp.verify_token.expose()),
                ],
            },
            Needed {
                channel: DefaultChannel::Webhook,
                title: "webhook",
                keys: vec![("webhook.url", &webhook.url), ("webhook.secret", webhook.secret.expose())],
            },
        ]
    }

    /// Which messages of a channel go out again when nobody can tell whether they arrived.
    pub fn resend_on(&self, channel: DefaultChannel) -> Resend {
        match channel {
            DefaultChannel::Webhook => self.webhook.resend,
            DefaultChannel::Auto | DefaultChannel::Simulator | DefaultChannel::WhatsApp => self.whatsapp.resend,
        }
    }
}

/// The channel that a server with settings in its database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveChannel {
    /// Which; never [`DefaultChannel::Auto`].
    pub channel: DefaultChannel,
    /// What the settings of the database hold a part of, in a sentence.
    pub in_part: Option<String>,
    /// Whether that is the channel itself: then it is paused, and its messages wait.
    pub waits: bool,
}

impl Config {
    /// The channel that messages go out on if `laid` is this configuration with the settings of the database under it.
    ///
    /// # Errors
    /// `Invalid` when file or environment configure a channel in part. A part that only the database holds stops no
    /// start.
    pub fn live_channel_with(&self, laid: &Self) -> Result<LiveChannel> {
        let error = match laid.live_channel() {
            Ok(channel) => return Ok(LiveChannel { channel, in_part: None, waits: false }),
            Err(error) => error,
        };
        let Ok(channel) = self.live_channel() else { return Err(error) };
        // Who asks for the simulator, or has another channel, does not wait for this one.
        let waits = channel == DefaultChannel::Simulator && self.channel.default == DefaultChannel::Auto;
        let in_part = laid.needed().into_iter().find(|needed| needed.are_set(false).is_err());
        let channel = in_part.filter(|_| waits).map_or(channel, |needed| needed.channel);
        Ok(LiveChannel { channel, in_part: Some(error.message().to_owned()), waits })
    }
}

/// The keys that a channel needs, with their values.
struct Needed<'a> {
    channel: DefaultChannel,
    title: &'static str,
    keys: Vec<(&'static str, &'a str)>,
}

impl Needed<'_> {
    /// Whether they are all set; half of them is a mistake, and so is none of a channel that is asked for.
    fn are_set(&self, is_asked_for: bool) -> Result<bool> {
        let missing: Vec<&str> = self.keys.iter().filter(|(_, value)| value.is_empty()).map(|(key, _)| *key).collect();
        if missing.is_empty() {
            return Ok(true);
        }
        if missing.len() == self.keys.len() && !is_asked_for {
            return Ok(false);
        }
        Err(Error::invalid(format!(
            "The {} channel is configured in part: set {} as well, or take the other keys of the channel away.",
            self.title,
            missing.join(", ")
        )))
    }
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

impl Default for Account {
    fn default() -> Self {
        Self { name: "Qyvo".to_owned(), email: "admin@localhost".to_owned(), tenant: "Qyvo".to_owned() }
    }
}

impl DefaultChannel {
    const ALL: [Self; 4] = [Self::Auto, Self::Simulator, Self::WhatsApp, Self::Webhook];

    /// Its name in the configuration, which is also the channel's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Simulator => "simulator",
            Self::WhatsApp => "whatsapp",
            Self::Webhook => "webhook",
        }
    }
}

impl TryFrom<String> for DefaultChannel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(|channel| format!("`{}`", channel.as_str())).join(", ");
            let (others, last) = names.rsplit_once(", ").unwrap_or_default();
            format!("`{text}` is not a channel: write {others} or {last}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_configured_whole_or_not_at_all() {
        let config = |lines: &str| toml::from_str::<Config>(lines).unwrap().live_channel();
        let whole = "phone_number_id = \"1\"\nbusiness_account_id = \"2\"\naccess_token = \"t\"\napp_secret = \"s\"\nverify_token = \"v\"";
        let webhook = "[webhook]\nurl = \"https://bot.example\"\nsecret = \"s\"";
        assert_eq!(config("").unwrap(), DefaultChannel::Simulator);
        assert_eq!(config(&format!("[whatsapp]\n{whole}\n{webhook}")).unwrap(), DefaultChannel::WhatsApp);
        assert_eq!(config(webhook).unwrap(), DefaultChannel::Webhook);
        let simulator = format!("[channel]\ndefault = \"simulator\"\n{webhook}");
        assert_eq!(config(&simulator).unwrap(), DefaultChannel::Simulator);
        let error = config("[whatsapp]\nphone_number_id = \"1\"\naccess_token = \"t\"").unwrap_err().to_string();
        assert!(error.contains("whatsapp.business_account_id, whatsapp.app_secret, whatsapp.verify_token"), "{error}");
        let error = config("[channel]\ndefault = \"webhook\"").unwrap_err().to_string();
        assert!(error.contains("set webhook.url, webhook.secret"), "{error}");
        assert!(config("[webhook]\nurl = \"https://bot.example\"").is_err());
    }

    #[test]
    fn a_part_in_the_database_stops_no_start() {
        let config = |lines: &str| toml::from_str::<Config>(lines).unwrap();
        let live = |lines: &str| {
            let base = config(lines);
            let token = BTreeMap::from([("whatsapp.access_token".to_owned(), serde_json::json!("t"))]);
            base.live_channel_with(&base.with_settings(&token).unwrap())
        };
        let alone = live("").unwrap();
        assert_eq!((alone.channel, alone.waits), (DefaultChannel::WhatsApp, true));
        assert!(alone.in_part.unwrap().contains("set whatsapp.phone_number_id"));
        let simulator = live("[channel]\ndefault = \"simulator\"").unwrap();
        assert_eq!((simulator.channel, simulator.waits), (DefaultChannel::Simulator, false));
        assert!(simulator.in_part.is_some(), "it is told all the same");
        let webhook = live("[webhook]\nurl = \"https://bot.example\"\nsecret = \"s\"").unwrap();
        assert_eq!((webhook.channel, webhook.waits), (DefaultChannel::Webhook, false));
        let three = "[whatsapp]\nphone_number_id = \"1\"\nbusiness_account_id = \"2\"\napp_secret = \"s\"";
        let refused = live(three).unwrap_err().to_string();
        assert!(refused.contains("set whatsapp.verify_token as well"), "{refused}");
        let whole = live(&format!("{three}\nverify_token = \"v\"")).unwrap();
        assert_eq!(whole, LiveChannel { channel: DefaultChannel::WhatsApp, in_part: None, waits: false });
    }
}
