//! The keys as the admin page shows them, and what it may change.
//!
//! A key that a file, the environment or a flag sets stays as it is there. Of the others, some may be set on the page;
//! those values live in the database and are laid under the configuration here.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::{Table, Value};

use super::layers::{is_secret, keys, look_up, put};
use super::{Config, Origin};
use crate::channels::ChannelKind;
use crate::error::{Error, Result};

/// Keys that may be set on the admin page, beside those of access tokens. They take effect at once, without a restart.
const EDITABLE: [&str; 17] = [
    "server.public_url",
    "sessions.default_ttl",
    "limits.requests_per_minute",
    "limits.rows_per_minute",
    "limits.bytes_per_minute",
    "limits.kept_answers_per_token",
    "limits.kept_answers",
    "limits.flows",
    "limits.flows_per_token",
    "limits.draft_bytes",
    "limits.draft_bytes_per_token",
    "limits.test_cases_per_flow",
    "limits.test_case_bytes",
    "limits.simulation_bytes",
    "account.name",
    "account.email",
    "account.tenant",
];
/// Characters of a value at most.
const VALUE_CHARS: usize = 500;
/// Characters of a secret at most; Meta's tokens have some hundred.
const SECRET_CHARS: usize = 2_000;
/// What is shown of a secret that is set.
const MASK: &str = "***";
/// The file that has a sentence for each key.
const EXAMPLE: &str = include_str!("../../qyvo.toml.example");

/// A key as the admin page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Such as `server.bind`.
    pub key: String,
    /// Its value; `***` for a secret that is set.
    pub value: Json,
    /// Its value where it is not set.
    pub default: Json,
    /// Where the value comes from; `None` for the default, or for a value from the database.
    pub origin: Option<Origin>,
    /// Whether the page may set it.
    pub is_editable: bool,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// What it is for.
    pub about: String,
}

impl Config {
    /// This configuration with `settings` laid under what file, environment and flags say.
    ///
    /// # Errors
    /// For each key that is wrong, the key and a sentence.
    pub fn with_settings(&self, settings: &BTreeMap<String, Json>) -> Result<Self, Vec<(String, String)>> {
        let mut config = self.clone();
        let mut errors = Vec::new();
        for (key, value) in settings {
            match config.with_setting(key, value) {
                Ok(Some(laid)) => config = laid,
                Ok(None) => {}
                Err(sentence) => errors.push((key.clone(), sentence)),
            }
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// `None` where a file, the environment or a flag says otherwise, be it that the key is empty.
    fn with_setting(&self, key: &str, value: &Json) -> Result<Option<Self>, String> {
        if !is_editable(key) {
            return Err("This key cannot be set here, but in the configuration file or the environment.".to_owned());
        }
        let unreadable = |error: &dyn std::fmt::Display| format!("The value cannot be read: {error}.");
        let mut table = Table::try_from(self).map_err(|error| unreadable(&error))?;
        if self.origins.contains_key(key) {
            return Ok(None);
        }
        let value = Value::try_from(value).map_err(|error| unreadable(&error))?;
        match look_up(&table, key) {
            Some(Value::Integer(_)) if !value.is_integer() => {
                return Err("The value must be a whole number.".to_owned());
            }
            Some(Value::String(_)) if !value.is_str() => return Err("The value must be a text.".to_owned()),
            _ => {}
        }
        let is_secret = is_secret(key);
        let most = if is_secret { SECRET_CHARS } else { VALUE_CHARS };
        if value.as_str().is_some_and(|text| text.chars().count() > most) {
            return Err(format!("The value has more than {most} characters."));
        }
        let is_written_out =
            |text: &str| text != MASK && !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if is_secret && !value.as_str().is_some_and(is_written_out) {
            return Err("Write the secret itself: visible ASCII characters without spaces.".to_owned());
        }
        put(&mut table, key, value);
        let mut laid: Self = serde_path_to_error::deserialize(Value::Table(table))
            .map_err(|error| format!("{}.", error.inner().message().trim().trim_end_matches('.')))?;
        laid.origins = self.origins.clone();
        laid.origins.remove(key);
        laid.secret_sources = self.secret_sources.clone();
        Ok(Some(laid))
    }

    /// The value of a key that holds a text.
    ///
    /// # Errors
    /// `Internal` when there is no such key.
    pub fn text(&self, key: &str) -> Result<String> {
        let text = look_up(&self.table()?, key).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| Error::internal(format!("The configuration has no text `{key}`")))
    }

    fn table(&self) -> Result<Table> {
        Table::try_from(self)
            .map_err(|error| Error::internal("The configuration cannot be written as TOML").caused_by(error))
    }

    /// The keys of a section with their values, as JSON; null if there is no such section.
    ///
    /// # Errors
    /// `Internal` when a value cannot be written down.
    pub fn section(&self, name: &str) -> Result<Json> {
        serde_json::to_value(self.table()?.get(name))
            .map_err(|error| Error::internal("A section of the configuration cannot be written").caused_by(error))
    }

    /// Every key, in the order of the sections.
    ///
    /// # Errors
    /// `Internal` when a value cannot be written down.
    pub fn keys(&self) -> Result<Vec<Setting>> {
        let (values, defaults) = (self.table()?, Self::default().table()?);
        let json = |key: &str, value: Option<&Value>| {
            let is_set = value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            let shown = value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_default();
            if is_secret(key) && is_set { Json::from(MASK) } else { shown }
        };
        let key = |key: String| {
            let origin = self.origins.get(&key).copied();
            Setting {
                value: json(&key, look_up(&values, &key)),
                default: json(&key, look_up(&defaults, &key)),
                is_editable: is_editable(&key) && origin.is_none(),
                is_secret: is_secret(&key),
                about: about(&key),
                origin,
                key,
            }
        };
        Ok(keys(&defaults).into_iter().map(|(name, _)| key(name)).collect())
    }
}

fn is_editable(key: &str) -> bool {
    EDITABLE.contains(&key) || ChannelKind::with_access_token(key).is_some()
}

/// The sentences that stand above a key in the example.
fn about(key: &str) -> String {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let mut sentences = Vec::new();
    let mut here = "";
    for line in EXAMPLE.lines() {
        if let Some(header) = line.strip_prefix('[') {
            here = header.trim_end_matches(']');
            sentences.clear();
        } else if let Some(sentence) = line.strip_prefix("# ") {
            sentences.push(sentence);
        } else if line.split_once(" = ").is_some_and(|(key, _)| here == section && key == name) {
            break;
        } else {
            sentences.clear();
        }
    }
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Flags;

    fn settings(pairs: &[(&str, Json)]) -> BTreeMap<String, Json> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn a_setting_lies_under_the_file_and_over_the_default() {
        let mut config = Config::default();
        config.limits.requests_per_minute = 7;
        config.origins.insert("limits.requests_per_minute".to_owned(), Origin::File);
        let laid = config
            .with_settings(&settings(&[
                ("limits.requests_per_minute", json!(9)),
                ("sessions.default_ttl", json!("2h")),
                ("account.name", json!("Shop")),
            ]))
            .unwrap();
        assert_eq!((laid.limits.requests_per_minute, laid.sessions.default_ttl.as_secs()), (7, 7200));
        assert_eq!(laid.account.name, "Shop");
        let keys = laid.keys().unwrap();
        let find = |name: &str| keys.iter().find(|key| key.key == name).unwrap();
        assert_eq!(
            (find("sessions.default_ttl").value.clone(), find("sessions.default_ttl").is_editable),
            (json!("2h"), true)
        );
        assert!(!find("limits.requests_per_minute").is_editable && !find("server.bind").is_editable);
        assert_eq!(find("limits.requests_per_minute").origin, Some(Origin::File));
    }

    #[test]
    fn an_empty_key_goes_before_a_setting() {
        let stored = settings(&[("whatsapp.access_token", json!("t")), ("account.name", json!("Shop"))]);
        let laid = |flags: &Flags, env: &[(&str, &str)]| {
            let config = Config::load(flags, env.iter().copied()).unwrap().config;
            config.with_settings(&stored).unwrap()
        };
        let none = Flags::default();
        assert_eq!(laid(&none, &[]).whatsapp.access_token.expose(), "t");
        let emptied = laid(&none, &[("QYVO_WHATSAPP_ACCESS_TOKEN", ""), ("QYVO_ACCOUNT_NAME", " ")]);
        assert_eq!((emptied.whatsapp.access_token.expose(), emptied.account.name.as_str()), ("", "Qyvo"));
        assert_eq!(laid(&none, &[("QYVO_WHATSAPP_ACCESS_TOKEN_FILE", "")]).whatsapp.access_token.expose(), "");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("qyvo.toml");
        std::fs::write(&path, "[whatsapp]\naccess_token = \"\"\n[account]\nname = \"File\"").unwrap();
        let file = Flags { config: Some(path), ..Flags::default() };
        assert_eq!(laid(&file, &[]).whatsapp.access_token.expose(), "");
        assert_eq!(laid(&file, &[("QYVO_ACCOUNT_NAME", "")]).account.name, "File", "what the file says stays");
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let errors = Config::default()
            .with_settings(&settings(&[
                ("sessions.default_ttl", json!("90s")),
                ("server.public_url", json!("javascript:alert(1)")),
                ("server.bind", json!("0.0.0.0:1")),
                ("limits.requests_per_minute", json!("many")),
                ("account.name", json!("fine")),
            ]))
            .unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["limits.requests_per_minute", "server.bind", "server.public_url", "sessions.default_ttl"]);
        assert!(errors[3].1.contains("whole minutes"), "{errors:?}");
    }

    #[test]
    fn every_key_says_what_it_is_for_and_no_secret_is_shown() {
        let mut config = Config::default();
        config.admin.password = serde_json::from_str("\"correct horse\"").unwrap();
        for key in config.keys().unwrap() {
            assert!(key.about.ends_with('.') && !key.about.is_empty(), "{}: {}", key.key, key.about);
            assert!(!key.value.to_string().contains("horse"), "{}", key.key);
        }
        assert!(!format!("{config:?}").contains("horse"));
    }

    #[test]
    fn every_key_of_a_secret_is_masked_and_no_other() {
        let word = "correct-horse";
        let mut masked = Vec::new();
        for key in Config::default().keys().unwrap() {
            let mut table = Config::default().table().unwrap();
            put(&mut table, &key.key, word.into());
            // The type of a secret does not show it; keys that do not take the word hold no secret.
            let Ok(config) = table.try_into::<Config>() else { continue };
            let is_hidden = !format!("{config:?}").contains(word);
            let shown = config.keys().unwrap().into_iter().find(|shown| shown.key == key.key).unwrap();
            assert_eq!((shown.value == MASK, shown.is_secret), (is_hidden, is_hidden), "{}", key.key);
            masked.extend(is_hidden.then_some(key.key));
        }
        assert!(["admin.password", "webhook.secret"].iter().all(|key| masked.iter().any(|it| it == key)), "{masked:?}");
    }
}
