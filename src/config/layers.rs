//! Where a configuration comes from: a file, the environment and flags, each laid over what was there.
//!
//! Every source must be valid by itself: a wrong value in the file is refused even where a variable overrides it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::{Table, Value};

use super::Config;
use super::values::{SECRET_MARK, with_secrets_marked};
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

/// What is wrong with a source, and was left out of a configuration that was read all the same.
#[derive(Debug)]
pub struct LeftOut {
    /// The key; empty where it is no single one, such as a file that is no TOML.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub error: Error,
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
    /// What sets a key: the path of the file (of `sources`, which were read), the name of the variable, the flag.
    pub fn set_by(&self, key: &str, sources: &[String]) -> Option<String> {
        match self.origins.get(key)? {
            Origin::File => sources.last().cloned(),
            Origin::Environment => match self.secret_sources.get(key) {
                Some(SecretSource::Alone(_)) => Some(format!("{}_FILE", variable(key))),
                _ => Some(variable(key)),
            },
            Origin::Flag if key == "server.bind" => Some("--bind".to_owned()),
            Origin::Flag => Some("--database".to_owned()),
        }
    }

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

    /// [`Config::load`] that leaves out what is wrong, so that the rest can be shown: each key, and a file that cannot
    /// be read as a whole.
    ///
    /// # Errors
    /// `Invalid` when a flag is wrong.
    pub fn load_leaving_out<K, V>(
        flags: &Flags,
        env: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(Loaded, Vec<LeftOut>)>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut left_out = Vec::new();
        let loaded = Self::load_with(flags, env, &SEARCH.map(PathBuf::from), &mut |key, error| {
            left_out.push(LeftOut { key: key.to_owned(), error });
            Ok(())
        })?;
        Ok((loaded, left_out))
    }

    fn load_from<K, V>(flags: &Flags, env: impl IntoIterator<Item = (K, V)>, search: &[PathBuf]) -> Result<Loaded>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        Self::load_with(flags, env, search, &mut |_, error| Err(error))
    }

    /// `on_wrong` gets the key, or nothing where it is no single one, and decides whether it is left out.
    fn load_with<K, V>(
        flags: &Flags,
        env: impl IntoIterator<Item = (K, V)>,
        search: &[PathBuf],
        on_wrong: &mut dyn FnMut(&str, Error) -> Result<()>,
    ) -> Result<Loaded>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut layers = Layers::new()?;
        let mut sources = Vec::new();
        let file = find_file(flags.config.as_deref(), search).and_then(|found| match found {
            Some((path, text)) => Ok(Some((parse_file(&path.display().to_string(), &text)?, path))),
            None => Ok(None),
        });
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                on_wrong("", error)?;
                None
            }
        };
        if let Some((table, path)) = file {
            let name = path.display().to_string();
            let blame = |key: &str, message: &str, example: Option<&Value>| {
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
            };
            let table = layers.add(table, blame, on_wrong)?;
            layers.note_origin(&table, Origin::File);
            layers.note_secrets(&table, &path);
            sources.push(name);
        }
        let mut unknown = Vec::new();
        let mut emptied = Vec::new();
        let table =
            read_env(&layers.defaults, env, (&mut unknown, &mut emptied), &mut layers.secret_sources, on_wrong)?;
        // An empty variable leaves what the file says, and goes before what the database has.
        for key in emptied {
            layers.origins.entry(key).or_insert(Origin::Environment);
        }
        let blame = |key: &str, message: &str, example: Option<&Value>| {
            let variable = variable(key);
            let instead = example.map(|value| write_instead(&variable, value)).unwrap_or_default();
            format!("{variable}: {message}.{instead}")
        };
        let table = layers.add(table, blame, on_wrong)?;
        layers.note_origin(&table, Origin::Environment);

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
        let source = SecretSource::Configuration(path.to_owned());
        let secrets = keys(table)
            .into_iter()
            .filter(|(key, value)| is_secret(key) && value.as_str().is_some_and(|secret| !secret.is_empty()));
        self.secret_sources.extend(secrets.map(|(key, _)| (key, source.clone())));
    }

    /// Lays `layer` over what is there, and returns it without what is wrong in it. `blame` makes the message out of
    /// the key, what is wrong with it, and its default value if there is such a key; `on_wrong` decides whether the
    /// key is left out.
    fn add(
        &mut self,
        mut layer: Table,
        blame: impl Fn(&str, &str, Option<&Value>) -> String,
        on_wrong: &mut dyn FnMut(&str, Error) -> Result<()>,
    ) -> Result<Table> {
        loop {
            let mut values = self.values.clone();
            merge(&mut values, layer.clone());
            let error = match serde_path_to_error::deserialize(Value::Table(values.clone())) {
                Ok(config) => {
                    (self.config, self.values) = (config, values);
                    return Ok(layer);
                }
                Err(error) => error,
            };
            let path = error.path().to_string();
            let key = if path == "." { "" } else { path.as_str() };
            let message = error.inner().message().trim().trim_end_matches('.');
            on_wrong(key, Error::invalid(blame(key, message, look_up(&self.defaults, key))))?;
            take_out(&mut layer, key);
        }
    }
}

/// Takes a key out of a table; where it is none of it, its section, and at last everything, so that something goes.
fn take_out(table: &mut Table, key: &str) {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match (table.get_mut(first), rest) {
        (Some(Value::Table(inner)), Some(rest)) if look_up(inner, rest).is_some() => take_out(inner, rest),
        (Some(_), _) => drop(table.remove(first)),
        (None, _) => table.clear(),
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

/// Whether a key's value is never shown, and a variable ending in `_FILE` may set it, too: whether its type is
/// [`Secret`](super::Secret).
pub(super) fn is_secret(key: &str) -> bool {
    static SECRETS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let marked =
            with_secrets_marked(|| Table::try_from(Config::default())).expect("there is a default for each key");
        keys(&marked).into_iter().filter(|(_, value)| value.as_str() == Some(SECRET_MARK)).map(|(key, _)| key).collect()
    });
    SECRETS.contains(key)
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
    on_wrong: &mut dyn FnMut(&str, Error) -> Result<()>,
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
            let of_secret = known
                .iter()
                .find(|(variable, key, _)| is_secret(key) && name.strip_suffix("_FILE") == Some(variable.as_str()));
            if let Some((_, key, _)) = of_secret {
                match read_secret_file(&name, &value) {
                    Ok(Some(secret)) => {
                        put(&mut table, key, secret);
                        secret_sources.insert(key.clone(), SecretSource::Alone(PathBuf::from(&value)));
                    }
                    Ok(None) => emptied.push(key.clone()),
                    Err(error) => on_wrong(key, error)?,
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
        let text = value.to_str().ok_or_else(|| blame("the value is not UTF-8"));
        match text.and_then(|text| read_as(default, text).map_err(|message| blame(&message))) {
            Ok(Some(value)) => {
                put(&mut table, key, value);
                secret_sources.remove(key);
            }
            Ok(None) => emptied.push(key.clone()),
            Err(error) => on_wrong(key, error)?,
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
mod tests;
