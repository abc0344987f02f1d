//! The settings in force: those that the admin page keeps in the database apply where file, environment and flags say
//! nothing. They are effective at once.
//!
//! What a key may hold, and what a file or a variable says about it, is the business of [`config`](crate::config).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;

use crate::channels::{Channel, ChannelKind};
use crate::config::{Config, LiveChannel, Secret};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::error::{Error, Result};
use crate::store::{Conn, Store, Tx, audit, settings};

pub use crate::config::{ByteLimit, Limits, Setting};

/// What keys of ours begin with in the table of settings, which has other rows, too.
const PREFIX: &str = "config:";

/// The row that says which channel the last server had.
const LAST_CHANNEL: &str = "last_channel";

/// How to take away what the database holds of a channel.
pub(crate) const TAKE_AWAY: &str =
    "The database holds a part: `qyvo settings list` shows it, `qyvo settings unset KEY` takes it away.";

/// The settings that a running server follows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effective {
    /// The time to live of sessions whose flow sets none.
    pub default_ttl: Duration,
    /// What callers may ask for, and what is stored of it.
    pub limits: Limits,
    /// Where users reach the server; empty if that is the address it listens on.
    pub public_url: String,
    /// What calls to the channels' providers are authorised with, by the keys that hold it; empty if it is not set.
    pub access_tokens: BTreeMap<&'static str, Secret>,
}

/// A configuration completed by the stored settings.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Every key.
    pub all: Vec<Setting>,
    /// What follows from them.
    pub effective: Effective,
    /// The configuration with the keys of channels that the settings of the database hold: a token that was set on the
    /// admin page is as good as one in the file.
    pub complete: Config,
    /// What the next start would refuse, or leave waiting, in a sentence.
    pub trouble: Option<String>,
}

/// What is wrong: keys, each with a sentence.
pub type Wrong = Vec<(String, String)>;

/// Applies settings of the database to a configuration, as a server does: they fill in what it does not set.
///
/// # Errors
/// What is wrong with them.
pub fn apply(config: &Config, stored: &BTreeMap<String, Value>) -> Result<Applied, Wrong> {
    let applied = config.with_settings(stored)?;
    let unwritable = |error: Error| vec![("config".to_owned(), error.to_string())];
    let all = applied.keys().map_err(unwritable)?;
    let token_keys = ChannelKind::ALL.into_iter().filter_map(ChannelKind::access_token_key);
    let token_of = |key| Ok((key, Secret::from(applied.text(key)?)));
    let effective = Effective {
        default_ttl: applied.sessions.default_ttl,
        limits: applied.limits,
        public_url: applied.server.public_url.clone(),
        access_tokens: token_keys.map(token_of).collect::<Result<_>>().map_err(unwritable)?,
    };
    let tokens = stored.iter().filter(|(key, _)| ChannelKind::with_access_token(key).is_some());
    let complete = config.with_settings(&tokens.map(owned).collect())?;
    let trouble = match config.live_channel_with(&applied) {
        Ok(live) => live.in_part,
        Err(error) => Some(error.message().to_owned()),
    };
    Ok(Applied { all, effective, complete, trouble })
}

/// The channel that a configuration makes live.
///
/// # Errors
/// When the channel does not take the keys of its section.
pub(crate) fn make_channel(config: &Config, live: &LiveChannel) -> Result<Channel> {
    let kind = live.channel;
    if let (true, Some(sentence)) = (live.waits, &live.in_part) {
        let lacks = format!("{sentence} {TAKE_AWAY}");
        return Ok(Channel::Incomplete { kind, lacks });
    }
    Channel::open(kind, config.section(kind.as_str())?)
}

/// Everything that a start with these settings in the database would refuse, leave out or leave waiting, a sentence
/// each.
pub fn problems_at_start(config: &Config, stored: &BTreeMap<String, Value>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut stored = stored.clone();
    if let Err(wrong) = apply(config, &stored) {
        for (key, sentence) in wrong {
            problems.push(format!("The setting {key} of the database is left out: {sentence}"));
            stored.remove(&key);
        }
    }
    let live = apply(config, &stored)
        .map_err(|wrong| Error::internal(format!("Settings cannot be laid: {wrong:?}")))
        .and_then(|applied| {
            let live = config.live_channel_with(&applied.complete)?;
            make_channel(&applied.complete, &live)?;
            Ok(live)
        });
    match live {
        Ok(live) => problems.extend(live.in_part.map(|sentence| format!("{sentence} {TAKE_AWAY}"))),
        Err(error) => problems.push(error.to_string()),
    }
    problems
}

/// Checks changes of stored settings: each value by itself, and what the next start would make of all stored settings
/// together. Null removes a key, also one whose value is no longer valid.
///
/// # Errors
/// What is wrong with the changes.
pub fn validate(
    config: &Config,
    stored: &BTreeMap<String, Value>,
    changes: &BTreeMap<String, Value>,
) -> Result<(), Wrong> {
    let is_set = |value: &&Value| !value.is_null();
    let set: BTreeMap<_, _> = changes.iter().filter(|(_, value)| is_set(value)).map(owned).collect();
    apply(config, &set)?;
    let mut before = stored.clone();
    if let Err(wrong) = apply(config, &before) {
        wrong.iter().for_each(|(key, _)| drop(before.remove(key)));
    }
    let had_trouble = apply(config, &before)?.trouble.is_some();
    let mut after = before;
    after.retain(|key, _| !changes.contains_key(key));
    after.extend(set);
    let Some(trouble) = apply(config, &after)?.trouble else { return Ok(()) };
    let to_blame =
        changes.iter().filter(|(key, value)| ChannelKind::is_key_of_any(key) && (!had_trouble || is_set(value)));
    let wrong: Wrong = to_blame.map(|(key, _)| (key.clone(), trouble.clone())).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Where the value of a key comes from, with these values in the database.
pub fn source(setting: &Setting, stored: &BTreeMap<String, Value>) -> &'static str {
    match setting.origin {
        Some(origin) => origin.as_str(),
        None if stored.contains_key(&setting.key) => "database",
        None => "default",
    }
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// Keeps changes of settings; null takes a key away. Inside a write transaction.
///
/// # Errors
/// When the database refuses.
pub fn keep(tx: &Tx<'_>, changes: &BTreeMap<String, Value>, now: Timestamp) -> Result<()> {
    for (key, value) in changes {
        let key = format!("{PREFIX}{key}");
        match value {
            Value::Null => settings::remove(tx, &key)?,
            value => settings::set(tx, &key, &value.to_string(), now)?,
        }
    }
    Ok(())
}

/// That settings were changed, for the audit: their keys, and no values.
pub fn changed(changes: &BTreeMap<String, Value>, by: Actor) -> Deed {
    let keys: Vec<&str> = changes.keys().map(String::as_str).collect();
    Deed::new(AuditAction::SettingsChanged, by).saying(keys.join(", "))
}

/// The settings of a running server.
pub struct Settings {
    config: Config,
    now: RwLock<Arc<Current>>,
    /// Held from writing or reading the stored settings until they are in force, so that the newest ones win.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Current {
    stored: BTreeMap<String, Value>,
    applied: Applied,
}

impl Settings {
    /// Reads the stored settings and applies them to this configuration.
    ///
    /// # Errors
    /// When the database cannot be read, or the configuration itself cannot be shown.
    pub fn load(store: &Store, config: Config) -> Result<Self> {
        let settings = Self { config, now: RwLock::default(), changing: tokio::sync::Mutex::default() };
        settings.follow(store.read(stored)?)?;
        Ok(settings)
    }

    /// Reads what is stored again. A value that is not good any more is left out, with a line in the log.
    ///
    /// # Errors
    /// When the database cannot be read, or the configuration itself cannot be shown.
    pub async fn reload(&self, store: &Store) -> Result<()> {
        let _in_order = self.changing.lock().await;
        self.read_again(store).await
    }

    async fn read_again(&self, store: &Store) -> Result<()> {
        self.follow(store.query(stored).await?)
    }

    fn follow(&self, mut stored: BTreeMap<String, Value>) -> Result<()> {
        if let Err(wrong) = apply(&self.config, &stored) {
            for (key, sentence) in wrong {
                tracing::warn!(key, sentence, "a stored setting is not good any more and is left out");
                stored.remove(&key);
            }
        }
        let applied = apply(&self.config, &stored)
            .map_err(|wrong| Error::internal(format!("Settings cannot be laid: {wrong:?}")))?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Current { stored, applied });
        Ok(())
    }

    /// What the server follows.
    pub fn effective(&self) -> Effective {
        self.current().applied.effective.clone()
    }

    /// The configuration with the keys of channels that the database holds.
    pub(crate) fn complete(&self) -> Config {
        self.current().applied.complete.clone()
    }

    /// Every key, with the source of its value.
    pub fn all(&self) -> Vec<(Setting, &'static str)> {
        let current = self.current();
        current.applied.all.iter().map(|setting| (setting.clone(), source(setting, &current.stored))).collect()
    }

    /// Sets keys, or resets those with null. `by` is who does it, for the audit.
    ///
    /// # Errors
    /// When the database refuses. Wrong values are an outcome, and then nothing is changed.
    pub async fn change(
        &self,
        store: &Store,
        changes: BTreeMap<String, Value>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Result<(), Wrong>> {
        let _in_order = self.changing.lock().await;
        let all = self.all();
        let fixed = |key: &String| match all.iter().find(|(setting, _)| setting.key == *key) {
            None => Some("This key is not known.".to_owned()),
            Some((setting, _)) if setting.is_editable => None,
            // A file is read again when the channel is resumed; a variable of this process cannot be changed.
            Some((Setting { origin: Some(_), .. }, source)) => match ChannelKind::with_access_token(key) {
                Some(_) => Some(format!(
                    "The {source} sets this key: change it there. A file is read again when you resume the channel."
                )),
                None => Some(format!("The {source} sets this key: change it there.")),
            },
            Some(_) => {
                Some("This key is set in the configuration file or the environment, for the next start.".to_owned())
            }
        };
        let mut wrong: Wrong = changes.keys().filter_map(|key| Some((key.clone(), fixed(key)?))).collect();
        let possible = changes.iter().filter(|(key, _)| fixed(key).is_none()).map(owned).collect();
        if let Err(more) = validate(&self.config, &self.current().stored, &possible) {
            wrong.extend(more);
        }
        if !wrong.is_empty() {
            wrong.sort();
            return Ok(Err(wrong));
        }
        let deed = changed(&changes, by);
        let recorded = deed.clone();
        let kept = store.write(move |tx| {
            keep(tx, &changes, now)?;
            audit::record(tx, &recorded, now)
        });
        kept.await?;
        audit::log(&deed);
        self.read_again(store).await.map(Ok)
    }

    fn current(&self) -> Arc<Current> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(f)
    }
}

/// The name of the channel that the last server on this database had; `None` if none has said.
///
/// # Errors
/// When the database cannot be read.
pub fn last_channel(conn: &Conn) -> Result<Option<String>> {
    Ok(settings::get(conn, LAST_CHANNEL)?.and_then(|json| serde_json::from_str(&json).ok()))
}

/// Keeps the name of the channel that the server has, for commands that know only the database.
///
/// # Errors
/// When the database refuses.
pub fn keep_channel(tx: &Tx<'_>, name: &str, now: Timestamp) -> Result<()> {
    settings::set(tx, LAST_CHANNEL, &Value::from(name).to_string(), now)
}

/// The values that the database holds, by key.
///
/// # Errors
/// When the database cannot be read.
pub fn stored(conn: &Conn) -> Result<BTreeMap<String, Value>> {
    let mut stored = BTreeMap::new();
    for (key, json) in settings::all(conn)? {
        if let (Some(key), Ok(value)) = (key.strip_prefix(PREFIX), serde_json::from_str(&json)) {
            stored.insert(key.to_owned(), value);
        }
    }
    Ok(stored)
}
