//! The configuration: defaults, a file, the environment and flags, the later overriding the earlier.
//!
//! The keys are those of [`Config`] and nothing else lists them: the names of the environment variables, the type
//! that a variable's text is read as, and the examples in error messages come from serialising `Config::default()`.
//! A key must therefore always serialise to something. One that is unset by default is an empty text or an empty
//! list, never `None`, which TOML leaves out.
//!
//! Every source must be valid by itself: a wrong value in the file is refused even where a variable overrides it.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::error::{Error, Result};

/// Where the file is looked for, in order, unless `--config` names one.
const SEARCH: [&str; 2] = ["qyvo.toml", "/etc/qyvo/qyvo.toml"];
/// What a variable's name begins with.
const PREFIX: &str = "QYVO_";

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
    /// What is logged, and how.
    pub log: Log,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where it listens; port 0 takes any free port.
    #[serde(deserialize_with = "address")]
    pub bind: SocketAddr,
    /// The largest request body.
    pub max_body: ByteSize,
}

/// The database file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The file, relative to the working directory.
    #[serde(deserialize_with = "file")]
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
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "time_to_live")]
    pub default_ttl: Duration,
    /// How often due timers are looked for: 10 milliseconds to 1 hour.
    #[serde(serialize_with = "humantime_serde::serialize", deserialize_with = "sweep_interval")]
    pub sweep_interval: Duration,
}

/// What one caller may ask of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per token in 60 seconds; 0 switches the limit off.
    #[serde(deserialize_with = "count")]
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

/// What the command line says, typed by its parser.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`: the only file to read. It must exist.
    pub config: Option<PathBuf>,
    /// `--database`: overrides `storage.path`.
    pub database: Option<PathBuf>,
    /// `--bind`: overrides `server.bind`.
    pub bind: Option<SocketAddr>,
}

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Paths of the files that were read; empty where there was none.
    pub sources: Vec<String>,
    /// Variables that look like a key of a section and are none: they are ignored, and their user should hear of it.
    pub unknown: Vec<String>,
}

impl Config {
    /// Puts the configuration together: defaults, the file, `env`, `flags`.
    ///
    /// The file is `flags.config`, else `./qyvo.toml`, else `/etc/qyvo/qyvo.toml`, else none. The variable of the
    /// key `server.max_body` is `QYVO_SERVER_MAX_BODY`. An empty variable counts as unset, except that it empties a
    /// list. Variables that belong to no key are left alone, because clients use some of the same prefix.
    ///
    /// # Errors
    /// `Invalid` with a sentence that names the file and the key, the variable, or the flag, and says what to write
    /// instead.
    pub fn load<K, V>(flags: &Flags, env: impl IntoIterator<Item = (K, V)>) -> Result<Loaded>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        Self::load_from(flags, env, &SEARCH.map(PathBuf::from))
    }

    fn load_from<K, V>(flags: &Flags, env: impl IntoIterator<Item = (K, V)>, search: &[PathBuf]) -> Result<Loaded>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut layers = Layers::new()?;
        let mut sources = Vec::new();
        if let Some((path, text)) = find_file(flags.config.as_deref(), search)? {
            let name = path.display().to_string();
            let table = parse_file(&name, &text)?;
            layers.add(table, |key, message, example| {
                let place = if key.is_empty() { String::new() } else { format!(" `{key}`:") };
                let instead = match example {
                    Some(Value::Table(_)) => format!(" It is a section: write [{key}] and its keys below it."),
                    Some(value) => {
                        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
                        format!(" Write for example {name} = {value} in [{section}].")
                    }
                    None => String::new(),
                };
                format!("{name}:{place} {message}.{instead}")
            })?;
            sources.push(name);
        }
        let mut unknown = Vec::new();
        let table = read_env(&layers.defaults, env, &mut unknown)?;
        layers.add(table, |key, message, example| {
            let variable = variable(key);
            let instead = example.map(|value| write_instead(&variable, value)).unwrap_or_default();
            format!("{variable}: {message}.{instead}")
        })?;

        let mut config = layers.config;
        if let Some(path) = &flags.database {
            if path.as_os_str().is_empty() {
                return Err(Error::invalid("--database: the path is empty. Write for example --database qyvo.db"));
            }
            config.storage.path.clone_from(path);
        }
        if let Some(bind) = flags.bind {
            config.server.bind = bind;
        }
        Ok(Loaded { config, sources, unknown })
    }
}

impl Default for Server {
    fn default() -> Self {
        Self { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), max_body: ByteSize(256 * 1024) }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { path: PathBuf::from("qyvo.db"), synchronous: Synchronous::default(), min_free: ByteSize(64 << 20) }
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

/// An amount of data, at least 1 KiB: `256KiB`, `3 MiB`, `10MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(usize);

/// Names and sizes of the units, larger before smaller, so that the first that divides an amount shows it shortest.
const UNITS: [(&str, usize); 5] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("KB", 1_000)];

impl ByteSize {
    /// The amount in bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        let Some((_, size)) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
            return Err(format!("`{text}` is not a size: write a whole number and one of KiB, MiB, GiB, KB, MB"));
        };
        let number: usize = number
            .parse()
            .map_err(|_| format!("`{text}` is not a size: write a whole number and one of KiB, MiB, GiB, KB, MB"))?;
        match number.checked_mul(*size) {
            Some(bytes) if bytes >= 1024 => Ok(Self(bytes)),
            Some(_) => Err(format!("`{text}` is too small: at least 1KiB is needed")),
            None => Err(format!("`{text}` is more than this machine can address")),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, size)| self.0.is_multiple_of(*size)) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// What is logged: a level (`info`), or directives by module (`warn,qyvo=debug`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives, in the syntax of `tracing_subscriber::EnvFilter`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let directives = text.trim();
        // The library takes any single word for the name of a module, so that `verbose` would silence the log.
        let understood = |part: &str| part.contains(['=', '[']) || LevelFilter::from_str(part).is_ok();
        if directives.is_empty() || !directives.split(',').map(str::trim).all(understood) {
            return Err(format!(
                "`{text}` is not a log level: write one of off, error, warn, info, debug, trace, \
                 or levels by module such as warn,qyvo=debug"
            ));
        }
        EnvFilter::try_new(directives).map_err(|error| format!("`{text}` is not a log filter ({error})"))?;
        Ok(Self(directives.to_owned()))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LogFilter> for String {
    fn from(filter: LogFilter) -> Self {
        filter.0
    }
}

/// The sources read so far. Each was checked when it was added, so that an error belongs to the one added last.
struct Layers {
    defaults: Table,
    values: Table,
    config: Config,
}

impl Layers {
    fn new() -> Result<Self> {
        let config = Config::default();
        let defaults = Table::try_from(&config)
            .map_err(|error| Error::internal("The default configuration cannot be written as TOML").caused_by(error))?;
        Ok(Self { values: defaults.clone(), defaults, config })
    }

    /// Lays `layer` over what is there. `blame` makes the message out of the key, what is wrong with it, and its
    /// default value if there is such a key.
    fn add(&mut self, layer: Table, blame: impl Fn(&str, &str, Option<&Value>) -> String) -> Result<()> {
        merge(&mut self.values, layer);
        self.config = serde_path_to_error::deserialize(Value::Table(self.values.clone())).map_err(|error| {
            let path = error.path().to_string();
            let key = if path == "." { "" } else { path.as_str() };
            let message = error.inner().message().trim().trim_end_matches('.');
            Error::invalid(blame(key, message, look_up(&self.defaults, key)))
        })?;
        Ok(())
    }
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn look_up<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, rest)) => look_up(table.get(section)?.as_table()?, rest),
        None => table.get(key),
    }
}

/// The keys of a table and of the tables in it, such as `server.bind`, with their values.
fn keys(table: &Table) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                found.extend(keys(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
            _ => found.push((name.clone(), value)),
        }
    }
    found
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

fn find_file(named: Option<&Path>, search: &[PathBuf]) -> Result<Option<(PathBuf, String)>> {
    if let Some(path) = named {
        return match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some((path.to_owned(), text))),
            Err(error) => {
                let path = path.display();
                let message = format!("--config: {path} is not a file that can be read; name another or leave it out");
                Err(Error::invalid(message).caused_by(error))
            }
        };
    }
    for path in search {
        match std::fs::read_to_string(path) {
            Ok(text) => return Ok(Some((path.clone(), text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // A file that is there but not readable was meant: starting with the defaults would hide that.
            Err(error) => {
                let message = format!("Cannot read {}. Make it readable or take it away", path.display());
                return Err(Error::invalid(message).caused_by(error));
            }
        }
    }
    Ok(None)
}

fn parse_file(name: &str, text: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        let place = line.map(|line| format!(" line {line}")).unwrap_or_default();
        let message = error.message().trim().replace('\n', ", ");
        Error::invalid(format!("{name}{place} is not TOML: {message}. Write key = value below a [section]."))
    })
}

/// The variables that belong to a key, each read as the type of the key's default. Those that only look so go to
/// `unknown`.
fn read_env<K, V>(defaults: &Table, env: impl IntoIterator<Item = (K, V)>, unknown: &mut Vec<String>) -> Result<Table>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    let known: Vec<_> = keys(defaults).into_iter().map(|(key, default)| (variable(&key), key, default)).collect();
    let sections: Vec<_> = defaults.keys().map(|section| format!("{}_", variable(section))).collect();
    let mut table = Table::new();
    for (name, value) in env {
        let (name, value): (OsString, OsString) = (name.into(), value.into());
        let Some((variable, key, default)) = known.iter().find(|(variable, ..)| name == variable.as_str()) else {
            let name = name.to_string_lossy();
            if sections.iter().any(|section| name.starts_with(section)) {
                unknown.push(name.into_owned());
            }
            continue;
        };
        let blame =
            |message: &str| Error::invalid(format!("{variable}: {message}.{}", write_instead(variable, default)));
        let text = value.to_str().ok_or_else(|| blame("the value is not UTF-8"))?;
        if let Some(value) = read_as(default, text).map_err(|message| blame(&message))? {
            put(&mut table, key, value);
        }
    }
    Ok(table)
}

/// Reads a variable's text as the type of `default`; `None` if it counts as unset.
fn read_as(default: &Value, text: &str) -> Result<Option<Value>, String> {
    let trimmed = text.trim();
    let value = match default {
        Value::Array(_) => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ if trimmed.is_empty() => return Ok(None),
        Value::Integer(_) => {
            Value::Integer(trimmed.parse().map_err(|_| format!("`{text}` is not a whole number in digits"))?)
        }
        Value::Boolean(_) => {
            Value::Boolean(trimmed.parse().map_err(|_| format!("`{text}` is neither true nor false"))?)
        }
        _ => Value::String(trimmed.to_owned()),
    };
    Ok(Some(value))
}

fn write_instead(variable: &str, default: &Value) -> String {
    let text = match default {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    format!(" Write for example {variable}={text}")
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
        None => {
            table.insert(key.to_owned(), value);
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.trim().parse().map_err(|_| {
        let message = format!("`{text}` is not an IP address with a port; 0.0.0.0 listens on every interface");
        serde::de::Error::custom(message)
    })
}

fn file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() {
        return Err(serde::de::Error::custom("the path is empty"));
    }
    Ok(path)
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number)
        .map_err(|_| serde::de::Error::custom(format!("{number} is out of range: 0 to {} are allowed", u32::MAX)))
}

fn time_to_live<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let ttl: Duration = humantime_serde::deserialize(deserializer)?;
    let whole = ttl.subsec_nanos() == 0 && ttl.as_secs().is_multiple_of(60);
    if !whole || !(1..=43_200).contains(&(ttl.as_secs() / 60)) {
        let shown = humantime::format_duration(ttl);
        let message = format!("{shown} is not a time to live: it has 1 to 43,200 whole minutes");
        return Err(serde::de::Error::custom(message));
    }
    Ok(ttl)
}

fn sweep_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let interval: Duration = humantime_serde::deserialize(deserializer)?;
    if !(Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&interval) {
        let shown = humantime::format_duration(interval);
        return Err(serde::de::Error::custom(format!("{shown} is out of range: 10ms to 1h are allowed")));
    }
    Ok(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ENV: [(&str, &str); 0] = [];

    fn with_file(text: &str, env: &[(&str, &str)]) -> Result<Loaded> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("qyvo.toml");
        std::fs::write(&path, text).unwrap();
        Config::load_from(&Flags::default(), env.iter().copied(), &[directory.path().join("none"), path])
    }

    #[test]
    fn later_sources_override_earlier_ones() {
        let nothing = Config::load_from(&Flags::default(), NO_ENV, &[]).unwrap();
        assert_eq!(nothing.config, Config::default());
        assert!(nothing.sources.is_empty());

        let file = "[server]\nbind = \"0.0.0.0:80\"\nmax_body = \"1MiB\"\n[storage]\npath = \"a.db\"\n\
                    [sessions]\ndefault_ttl = \"2h\"\n[limits]\nrequests_per_minute = 7";
        let env = [
            ("QYVO_SERVER_BIND", "0.0.0.0:81"),
            ("QYVO_STORAGE_PATH", "b.db"),
            ("QYVO_SESSIONS_SWEEP_INTERVAL", "250ms"),
            ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "8"),
            ("QYVO_LOG_LEVEL", "warn,qyvo=debug"),
            ("QYVO_LOG_FORMAT", ""),
            ("QYVO_TOKEN", "a client's"),
            ("QYVO_SERVER", "no key"),
            ("QYVO_STORAGE_PTH", "a slip"),
        ];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("any.toml");
        std::fs::write(&path, file).unwrap();
        let flags = Flags {
            config: Some(path.clone()),
            database: Some("c.db".into()),
            bind: Some(SocketAddr::from(([127, 0, 0, 1], 82))),
        };
        let Loaded { config, sources, unknown } = Config::load(&flags, env).unwrap();
        assert_eq!(unknown, ["QYVO_STORAGE_PTH"]);
        assert_eq!(sources, [path.display().to_string()]);
        assert_eq!(config.server.max_body.bytes(), 1024 * 1024, "from the file");
        assert_eq!(config.sessions.default_ttl, Duration::from_secs(7200), "from the file");
        assert_eq!(config.limits.requests_per_minute, 8, "from the environment");
        assert_eq!(config.sessions.sweep_interval, Duration::from_millis(250), "from the environment");
        assert_eq!(config.log.level.as_str(), "warn,qyvo=debug");
        assert_eq!(config.log.format, LogFormat::Text, "an empty variable is unset");
        assert_eq!(config.server.bind.port(), 82, "from a flag");
        assert_eq!(config.storage.path, Path::new("c.db"), "from a flag");
        assert_eq!(config.channel, Channel::default());
    }

    #[test]
    fn takes_the_first_file_of_the_search_and_no_other_than_the_named_one() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["a.toml", "b.toml"].map(|name| directory.path().join(name));
        std::fs::write(&first, "[limits]\nrequests_per_minute = 1").unwrap();
        std::fs::write(&second, "[limits]\nrequests_per_minute = 2").unwrap();
        let search = [first, second.clone()];
        let limit = |flags: &Flags| Config::load_from(flags, NO_ENV, &search).map(|it| it.config.limits);
        assert_eq!(limit(&Flags::default()).unwrap().requests_per_minute, 1);
        let named = Flags { config: Some(second), ..Flags::default() };
        assert_eq!(limit(&named).unwrap().requests_per_minute, 2);

        let missing = Flags { config: Some(directory.path().join("none.toml")), ..Flags::default() };
        let error = limit(&missing).unwrap_err().to_string();
        assert!(error.contains("--config") && error.contains("none.toml"), "{error}");
        let directory_as_file = Config::load_from(&Flags::default(), NO_ENV, &[directory.path().to_owned()]);
        assert!(directory_as_file.unwrap_err().message().contains("Make it readable"));
    }

    #[test]
    fn errors_in_the_file_name_it_and_the_key_and_say_what_to_write() {
        for (text, expected) in [
            ("[server]\nbind = \"localhost\"", "`server.bind`: `localhost` is not an IP address with a port"),
            ("[server]\nbind = \"localhost\"", "Write for example bind = \"127.0.0.1:8080\" in [server]."),
            ("[server]\nport = 80", "`server.port`: unknown field `port`, expected `bind` or `max_body`"),
            ("[sever]\nport = 80", "unknown field `sever`, expected one of `server`"),
            ("server = 80", "It is a section: write [server] and its keys below it."),
            ("[server]\nmax_body = 262144", "Write for example max_body = \"256KiB\" in [server]."),
            ("[server]\nmax_body = \"12\"", "one of KiB, MiB, GiB, KB, MB"),
            ("[server]\nmax_body = \"1.5MiB\"", "a whole number and one of"),
            ("[server]\nmax_body = \"1000KiB\"\nmax_body = \"1MiB\"", "line 3 is not TOML: duplicate key"),
            ("[server\nmax_body = \"1000KiB\"", "line 1 is not TOML"),
            ("[storage]\npath = \"\"", "`storage.path`: the path is empty"),
            ("[storage]\nsynchronous = \"extra\"", "`storage.synchronous`: unknown variant `extra`, expected one of"),
            ("[sessions]\ndefault_ttl = \"90s\"", "`sessions.default_ttl`: 1m 30s is not a time to live"),
            ("[sessions]\ndefault_ttl = \"0m\"", "1 to 43,200 whole minutes"),
            ("[sessions]\ndefault_ttl = \"43201m\"", "1 to 43,200 whole minutes"),
            ("[sessions]\ndefault_ttl = \"60s 1ns\"", "1 to 43,200 whole minutes"),
            ("[sessions]\ndefault_ttl = 30", "Write for example default_ttl = \"30m\" in [sessions]."),
            ("[sessions]\nsweep_interval = \"9ms\"", "`sessions.sweep_interval`: 9ms is out of range: 10ms to 1h"),
            ("[sessions]\nsweep_interval = \"61m\"", "10ms to 1h are allowed"),
            ("[limits]\nrequests_per_minute = -1", "Write for example requests_per_minute = 6000 in [limits]."),
            ("[channel]\ndefault = \"whatsapp\"", "only `auto` and `simulator` are, others come later"),
            ("[log]\nlevel = \"verbose\"", "`log.level`: `verbose` is not a log level"),
            ("[log]\nlevel = \"qyvo=loud\"", "`log.level`: `qyvo=loud` is not a log filter"),
            ("[log]\nlevel = \" \"", "write one of off, error"),
            ("[log]\nformat = \"xml\"", "`log.format`: unknown variant `xml`, expected `text` or `json`"),
        ] {
            let error = with_file(text, &[]).unwrap_err().to_string();
            assert!(error.contains("qyvo.toml") && error.contains(expected), "{text}\n{error}");
        }
    }

    #[test]
    fn errors_in_the_environment_name_the_variable() {
        for (name, value, expected) in [
            ("QYVO_SERVER_BIND", "80", "QYVO_SERVER_BIND: `80` is not an IP address with a port"),
            ("QYVO_SERVER_BIND", "80", ". Write for example QYVO_SERVER_BIND=127.0.0.1:8080"),
            ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "many", "`many` is not a whole number in digits"),
            (
                "QYVO_LIMITS_REQUESTS_PER_MINUTE",
                "-1",
                "QYVO_LIMITS_REQUESTS_PER_MINUTE: -1 is out of range: 0 to 4294967295",
            ),
            ("QYVO_LIMITS_REQUESTS_PER_MINUTE", "-1", "Write for example QYVO_LIMITS_REQUESTS_PER_MINUTE=6000"),
            ("QYVO_CHANNEL_DEFAULT", "webhook", "QYVO_CHANNEL_DEFAULT: `webhook` is not a channel of this version"),
        ] {
            let error = with_file("", &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("qyvo.toml"), "{name}={value}\n{error}");
        }
        let both = with_file("[log]\nlevel = \"loud\"", &[("QYVO_LOG_LEVEL", "info")]).unwrap_err().to_string();
        assert!(both.contains("qyvo.toml"), "what is overridden must be valid too: {both}");
        let flags = Flags { database: Some(PathBuf::new()), ..Flags::default() };
        assert!(Config::load_from(&flags, NO_ENV, &[]).unwrap_err().message().contains("--database"));
    }

    #[cfg(unix)]
    #[test]
    fn only_variables_of_ours_must_be_utf8() {
        use std::os::unix::ffi::OsStringExt;
        let bytes = || OsString::from_vec(vec![0xff]);
        let load = |name: &str| Config::load_from(&Flags::default(), [(name, bytes())], &[]);
        assert!(load("OTHER").is_ok());
        assert!(load("QYVO_LOG_LEVEL").unwrap_err().message().contains("QYVO_LOG_LEVEL: the value is not UTF-8"));
    }

    #[test]
    fn reads_variables_by_the_type_of_the_default() {
        let list = Value::Array(Vec::new());
        let words = Value::Array(vec!["STOP".into(), "END".into()]);
        assert_eq!(read_as(&list, " STOP, END ,").unwrap(), Some(words.clone()));
        assert_eq!(read_as(&words, "").unwrap(), Some(list));
        assert_eq!(write_instead("QYVO_WORDS", &words), " Write for example QYVO_WORDS=STOP,END");
        assert_eq!(read_as(&Value::Boolean(false), "true").unwrap(), Some(Value::Boolean(true)));
        assert!(read_as(&Value::Boolean(false), "yes").unwrap_err().contains("neither true nor false"));
        assert_eq!(read_as(&Value::Integer(1), " 42 ").unwrap(), Some(Value::Integer(42)));
        assert_eq!(read_as(&"text".into(), "42").unwrap(), Some("42".into()));
        assert_eq!(read_as(&"text".into(), " ").unwrap(), None);
    }

    #[test]
    fn sizes_round_trip() {
        for (text, bytes, shown) in [
            ("256KiB", 262_144, "256KiB"),
            ("1024 kib", 1_048_576, "1MiB"),
            (" 3MiB", 3_145_728, "3MiB"),
            ("2GiB", 2_147_483_648, "2GiB"),
            ("10MB", 10_000_000, "10MB"),
            ("1500KB", 1_500_000, "1500KB"),
            ("1KiB", 1024, "1KiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown));
            assert_eq!(shown.parse(), Ok(size));
        }
        for text in ["", "KiB", "-1KiB", "1", "1TiB", "1KB", "0MiB", "99999999999GiB", "99999999999999999999999KiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_key_has_a_value_and_a_variable_of_its_own() {
        let defaults = Layers::new().unwrap().defaults;
        let mut variables: Vec<_> = keys(&defaults).iter().map(|(key, _)| variable(key)).collect();
        assert!(variables.contains(&"QYVO_SERVER_MAX_BODY".to_owned()));
        let all = variables.len();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), all);
    }

    #[test]
    fn the_example_shows_every_key_with_its_default_and_a_sentence() {
        let text = include_str!("../qyvo.toml.example");
        assert_eq!(with_file(text, &[]).unwrap().config, Config::default());

        let (mut section, mut comment, mut shown) = (String::new(), String::new(), Vec::new());
        for line in text.lines() {
            if let Some(words) = line.strip_prefix('#') {
                comment = words.trim().to_owned();
            } else if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                comment.clear();
            } else if let Some((key, _)) = line.split_once('=') {
                let key = format!("{section}.{}", key.trim());
                assert!(comment.ends_with('.'), "{key} needs a sentence in a comment above it");
                comment.clear();
                shown.push(key);
            }
        }
        shown.sort();
        let mut expected: Vec<_> = keys(&Layers::new().unwrap().defaults).into_iter().map(|(key, _)| key).collect();
        expected.sort();
        assert_eq!(shown, expected);
    }
}
