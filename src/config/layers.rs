//! Where a configuration comes from: a file, the environment and flags, each laid over what was there.
//!
//! Every source must be valid by itself: a wrong value in the file is refused even where a variable overrides it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, SECRETS};
use crate::error::{Error, Result};

/// Where the file is looked for, in order, unless `--config` names one.
const SEARCH: [&str; 2] = ["qyvo.toml", "/etc/qyvo/qyvo.toml"];
/// What a variable's name begins with.
const PREFIX: &str = "QYVO_";

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

/// Where a key's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File,
    /// An environment variable.
    Environment,
    /// A flag on the command line.
    Flag,
}

impl Origin {
    /// The name that the API shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// A file that a secret was read from, so that it can be read again while the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Holds the secret alone; a variable that ends in `_FILE` names it.
    Alone(PathBuf),
    /// The configuration file.
    Configuration(PathBuf),
}

impl Config {
    /// Reads a secret again where it was read when the server started. `None` where that was no file: a variable of a
    /// process does not change while it runs.
    ///
    /// # Errors
    /// `Invalid` when the file cannot be read, or does not hold the secret any more.
    pub fn read_secret_again(&self, key: &str) -> Result<Option<String>> {
        let secret = match self.secret_sources.get(key) {
            None => return Ok(None),
            Some(SecretSource::Alone(path)) => read_secret_file(&format!("{}_FILE", variable(key)), path.as_os_str())?,
            Some(SecretSource::Configuration(path)) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::invalid(format!("Cannot read {name}")).caused_by(error))?;
                look_up(&parse_file(&name, &text)?, key).cloned()
            }
        };
        match secret {
            Some(Value::String(secret)) if !secret.trim().is_empty() => Ok(Some(secret.trim().to_owned())),
            _ => Err(Error::invalid(format!("`{key}` is empty, or no text, where it was read from before"))),
        }
    }

    /// Puts the configuration together: defaults, the file, `env`, `flags`.
    ///
    /// The file is `flags.config`, else `./qyvo.toml`, else `/etc/qyvo/qyvo.toml`, else none. The variable of the
    /// key `server.max_body` is `QYVO_SERVER_MAX_BODY`. An empty variable leaves what the file says, goes before what
    /// the database has, and empties a list. Variables that belong to no key are left alone, because clients use some
    /// of the same prefix.
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
            layers.note_origin(&table, Origin::File);
            layers.note_secrets(&table, &path);
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
        let mut emptied = Vec::new();
        let table = read_env(&layers.defaults, env, (&mut unknown, &mut emptied), &mut layers.secret_sources)?;
        layers.note_origin(&table, Origin::Environment);
        // An empty variable leaves what the file says, and goes before what the database has.
        for key in emptied {
            layers.origins.entry(key).or_insert(Origin::Environment);
        }
        layers.add(table, |key, message, example| {
            let variable = variable(key);
            let instead = example.map(|value| write_instead(&variable, value)).unwrap_or_default();
            format!("{variable}: {message}.{instead}")
        })?;

        let Layers { mut config, mut origins, secret_sources, .. } = layers;
        if let Some(path) = &flags.database {
            if path.as_os_str().is_empty() {
                return Err(Error::invalid("--database: the path is empty. Write for example --database qyvo.db"));
            }
            config.storage.path.clone_from(path);
            origins.insert("storage.path".to_owned(), Origin::Flag);
        }
        if let Some(bind) = flags.bind {
            config.server.bind = bind;
            origins.insert("server.bind".to_owned(), Origin::Flag);
        }
        config.origins = origins;
        config.secret_sources = secret_sources;
        Ok(Loaded { config, sources, unknown })
    }
}

/// The sources read so far. Each was checked when it was added, so that an error belongs to the one added last.
struct Layers {
    defaults: Table,
    values: Table,
    config: Config,
    origins: BTreeMap<String, Origin>,
    secret_sources: BTreeMap<String, SecretSource>,
}

impl Layers {
    fn new() -> Result<Self> {
        let config = Config::default();
        let defaults = Table::try_from(&config)
            .map_err(|error| Error::internal("The default configuration cannot be written as TOML").caused_by(error))?;
        Ok(Self {
            values: defaults.clone(),
            defaults,
            config,
            origins: BTreeMap::new(),
            secret_sources: BTreeMap::new(),
        })
    }

    fn note_origin(&mut self, layer: &Table, origin: Origin) {
        self.origins.extend(keys(layer).into_iter().map(|(key, _)| (key, origin)));
    }

    /// Notes the secrets that a configuration file has.
    fn note_secrets(&mut self, table: &Table, path: &Path) {
        let has = |key: &&str| look_up(table, key).and_then(Value::as_str).is_some_and(|secret| !secret.is_empty());
        let source = SecretSource::Configuration(path.to_owned());
        self.secret_sources
            .extend(SECRETS.iter().filter(|key| has(key)).map(|key| ((*key).to_owned(), source.clone())));
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

pub(super) fn look_up<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, rest)) => look_up(table.get(section)?.as_table()?, rest),
        None => table.get(key),
    }
}

/// The keys of a table and of the tables in it, such as `server.bind`, with their values.
pub(super) fn keys(table: &Table) -> Vec<(String, &Value)> {
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
/// `unknown`, and the keys of those that are empty to `emptied`.
fn read_env<K, V>(
    defaults: &Table,
    env: impl IntoIterator<Item = (K, V)>,
    (unknown, emptied): (&mut Vec<String>, &mut Vec<String>),
    secret_sources: &mut BTreeMap<String, SecretSource>,
) -> Result<Table>
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
            let of_secret = known.iter().find(|(variable, key, _)| {
                SECRETS.contains(&key.as_str()) && name.strip_suffix("_FILE") == Some(variable.as_str())
            });
            if let Some((_, key, _)) = of_secret {
                match read_secret_file(&name, &value)? {
                    Some(secret) => {
                        put(&mut table, key, secret);
                        secret_sources.insert(key.clone(), SecretSource::Alone(PathBuf::from(&value)));
                    }
                    None => emptied.push(key.clone()),
                }
                continue;
            }
            if sections.iter().any(|section| name.starts_with(section)) {
                unknown.push(name.into_owned());
            }
            continue;
        };
        let blame =
            |message: &str| Error::invalid(format!("{variable}: {message}.{}", write_instead(variable, default)));
        let text = value.to_str().ok_or_else(|| blame("the value is not UTF-8"))?;
        match read_as(default, text).map_err(|message| blame(&message))? {
            Some(value) => {
                put(&mut table, key, value);
                secret_sources.remove(key);
            }
            None => emptied.push(key.clone()),
        }
    }
    Ok(table)
}

/// Reads the file that a variable names, without the end of its last line; `None` if the variable counts as unset.
fn read_secret_file(variable: &str, path: &OsStr) -> Result<Option<Value>> {
    if path.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("{variable}: {} is not a file that can be read", Path::new(path).display());
        Error::invalid(message).caused_by(error)
    })?;
    Ok(Some(Value::String(text.trim_end_matches(['\r', '\n']).to_owned())))
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

pub(super) fn put(table: &mut Table, key: &str, value: Value) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Channel, LogFormat};

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
            ("[server]\nport = 80", "`server.port`: unknown field `port`, expected one of `bind`"),
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
            ("[channel]\ndefault = \"telegram\"", "write `auto`, `simulator`, `whatsapp` or `webhook`"),
            ("[outbox]\nunknown_after = \"0s\"", "1s to 1h are allowed"),
            ("[webhook]\ntext_chars = 999", "1,000 to 65,536 are allowed"),
            ("[whatsapp]\nphone_number_id = \"1/../2\"", "`1/../2` is not an id"),
            ("[whatsapp]\nmessages_per_second = 0", "1 to 1,000 are allowed"),
            ("[whatsapp]\nresend = \"some\"", "expected one of `none`, `texts`, `all`"),
            ("[routing]\nopt_out_words = [\"de: \"]", "a word is blank"),
            ("[routing]\ncolleague_pause = \"30s\"", "1m to 7d are allowed, and 0s for none"),
            ("[routing]\nfallback_flow = \"7\"", "is not the id of a flow"),
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
            ("QYVO_CHANNEL_DEFAULT", "sms", "QYVO_CHANNEL_DEFAULT: `sms` is not a channel"),
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
    fn a_secret_may_stand_in_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "correct horse\n").unwrap();
        let load = |path: &Path| Config::load_from(&Flags::default(), [("QYVO_ADMIN_PASSWORD_FILE", path)], &[]);
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.config.admin.password.expose(), "correct horse");
        assert_eq!(loaded.config.origins.get("admin.password"), Some(&Origin::Environment));
        assert!(loaded.unknown.is_empty());
        let missing = load(&directory.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("QYVO_ADMIN_PASSWORD_FILE") && missing.contains("none"), "{missing}");
        std::fs::write(&path, "short").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("at least 10 characters"));
    }

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
        let text = include_str!("../../qyvo.toml.example");
        let config = with_file(text, &[]).unwrap().config;
        assert_eq!(Config { origins: BTreeMap::new(), ..config }, Config::default());

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
