//! `qyvo settings …`: what the admin page keeps in the database, also where no server starts any more.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Context, note, out, plain};
use crate::config::{Config, Flags, LeftOut};
use crate::domain::audit::Actor;
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::settings::{Setting, Wrong, changed, keep, source, stored, validate};
use crate::store::{Direct, audit};

/// Characters of a value that are shown in a column; `--json` and `qyvo settings get` have all of it.
const VALUE_CHARS: usize = 48;

/// A key with its value and where that comes from.
#[derive(Serialize)]
struct Row {
    key: String,
    value: Value,
    default: Value,
    /// `default`, `database`, `file`, `environment` or `flag`.
    source: &'static str,
    /// The path of the file, the name of the variable or the flag.
    set_by: Option<String>,
    is_secret: bool,
}

/// What is wrong with a source, and left out.
#[derive(Serialize)]
struct Problem {
    /// Empty where it is no single key.
    key: String,
    text: String,
}

/// What `qyvo settings --json` prints.
#[derive(Serialize)]
struct Printed {
    /// The files that were read.
    files: Vec<String>,
    /// The database that was read; `None` where there is none.
    database: Option<String>,
    settings: Vec<Row>,
    problems: Vec<Problem>,
}

/// `qyvo settings`: prints every key that is in force with its value and where that comes from, for people or as JSON.
/// What is wrong with a source is left out and said, and needs no database.
///
/// # Errors
/// `Invalid` when something was left out, after all the rest is printed.
pub fn show(flags: &Flags, is_json: bool) -> Result<()> {
    let (loaded, left_out) = Config::load_leaving_out(flags, std::env::vars_os())?;
    let mut problems: Vec<Problem> =
        left_out.into_iter().map(|LeftOut { key, error }| Problem { key, text: error.to_string() }).collect();
    let path = &loaded.config.storage.path;
    let (stored, database) = match path.exists() {
        false => (BTreeMap::new(), None),
        true => match Direct::open(path).and_then(|direct| direct.read(stored)) {
            Ok(stored) => (stored, Some(super::shown(path))),
            Err(error) => {
                problems.push(Problem { key: String::new(), text: error.to_string() });
                (BTreeMap::new(), None)
            }
        },
    };
    let (laid, stored, bad) = lay(&loaded.config, &stored)?;
    problems.extend(bad.into_iter().map(|(key, sentence)| {
        let text = format!(
            "The database has a value of {key} that is left out: {sentence} Take it away with \
                            `qyvo settings unset {key}`."
        );
        Problem { key, text }
    }));
    for variable in &loaded.unknown {
        let text = format!("{variable} is not a key of the configuration and is ignored: see qyvo.toml.example");
        problems.push(Problem { key: String::new(), text });
    }
    let row = |setting: Setting| Row {
        source: source(&setting, &stored),
        set_by: loaded.config.set_by(&setting.key, &loaded.sources),
        is_secret: setting.is_secret,
        default: setting.default,
        value: setting.value,
        key: setting.key,
    };
    let settings = laid.keys()?.into_iter().map(row).collect();
    let printed = Printed { files: loaded.sources.clone(), database, settings, problems };
    if is_json {
        let text = serde_json::to_string_pretty(&printed)
            .map_err(|error| Error::internal("The settings cannot be written as JSON").caused_by(error))?;
        out(&text)?;
    } else {
        print(&printed, path)?;
    }
    match printed.problems.len() {
        0 => Ok(()),
        1 => Err(Error::invalid("One source has something wrong in it, which is left out: see above")),
        many => Err(Error::invalid(format!("{many} things are wrong and left out: see above"))),
    }
}

/// Prints settings in columns, and on standard error what was read and what is wrong.
fn print(printed: &Printed, path: &Path) -> Result<()> {
    match printed.files.is_empty() {
        true => note("Configuration: defaults, no file"),
        false => printed.files.iter().for_each(|file| note(format_args!("Configuration {file}"))),
    }
    match &printed.database {
        Some(database) => note(format_args!("Database {database}")),
        None => {
            note(format_args!("Database {}: not read, so nothing of the page's settings counts", super::shown(path)))
        }
    }
    let cell = |value: &Value| match shown(value) {
        empty if empty.is_empty() => "-".to_owned(),
        text if text.chars().count() > VALUE_CHARS => {
            format!("{}…", text.chars().take(VALUE_CHARS - 1).collect::<String>())
        }
        text => text,
    };
    let values: Vec<String> = printed.settings.iter().map(|row| cell(&row.value)).collect();
    let keys = printed.settings.iter().map(|row| row.key.len()).max().unwrap_or_default();
    let width = values.iter().map(|value| value.chars().count()).max().unwrap_or_default();
    for (row, value) in printed.settings.iter().zip(&values) {
        let set_by = row.set_by.as_ref().map_or_else(String::new, |set_by| format!(" {}", plain(set_by)));
        out(&format!("{:keys$}  {value:width$}  {}{set_by}", row.key, row.source))?;
    }
    for problem in &printed.problems {
        note(plain(&problem.text));
    }
    Ok(())
}

/// `qyvo settings list`: prints every key with its value and where that comes from.
///
/// # Errors
/// When the database cannot be read.
pub fn list(context: &Context) -> Result<()> {
    let stored = context.open()?.read(stored)?;
    for (key, value, source) in rows(context, &stored)? {
        out(&format!("{key} = {}  ({source})", shown(&value)))?;
    }
    Ok(())
}

/// `qyvo settings get`: prints the value of a key, alone. A secret is shown as `***`.
///
/// # Errors
/// When there is no such key.
pub fn get(context: &Context, key: &str) -> Result<()> {
    let stored = context.open()?.read(stored)?;
    let found = rows(context, &stored)?.into_iter().find(|(name, ..)| name == key);
    let (_, value, source) = found.ok_or_else(|| unknown(key))?;
    note(format_args!("Source: {source}"));
    out(&shown(&value))
}

/// `qyvo settings set`: keeps a value in the database, under what the file and the environment say.
///
/// # Errors
/// When the value is not one, or the next start would not take it.
pub fn set(context: &Context, key: &str, text: &str) -> Result<()> {
    let all = context.config.keys()?;
    let found = all.iter().find(|known| known.key == key).ok_or_else(|| unknown(key))?;
    if let Some(origin) = found.origin {
        return Err(Error::invalid(format!("The {} sets {key}: change it there", origin.as_str())));
    }
    let value =
        match &found.default {
            Value::Number(_) => json!(text.trim().parse::<i64>().map_err(|_| {
                Error::invalid(format!("{key}: `{}` is not a whole number in digits", plain(text)))
            })?),
            _ => json!(text.trim()),
        };
    change(context, key, value)?;
    note(format_args!("{key} is set."));
    if key == "server.public_url" && text.trim().starts_with("https://") {
        note("From now on the admin page keeps log-ins only where it is visited over https.");
    }
    Ok(())
}

/// `qyvo settings unset`: takes a key out of the database.
///
/// # Errors
/// When the next start would not go without it.
pub fn unset(context: &Context, key: &str) -> Result<()> {
    match change(context, key, Value::Null)? {
        true => note(format_args!("{key} is not set in the database any more.")),
        false => note(format_args!("{key} was not set in the database.")),
    }
    Ok(())
}

/// Changes a key, unless a start would refuse what comes of it. Returns whether it was set before.
fn change(context: &Context, key: &str, value: Value) -> Result<bool> {
    let mut direct = context.open()?;
    let changes = BTreeMap::from([(key.to_owned(), value)]);
    let now = Clock::system().now();
    direct.write(|tx| {
        let stored = stored(tx)?;
        if !stored.contains_key(key) && changes.values().all(Value::is_null) {
            return Ok(false);
        }
        validate(&context.config, &stored, &changes).map_err(refused)?;
        keep(tx, &changes, now)?;
        audit::record(tx, &changed(&changes, Actor::command_line()), now)?;
        Ok(stored.contains_key(key))
    })
}

fn refused(wrong: Wrong) -> Error {
    let sentences: Vec<String> = wrong.into_iter().map(|(key, sentence)| format!("{key}: {sentence}")).collect();
    Error::invalid(sentences.join(" "))
}

fn unknown(key: &str) -> Error {
    Error::not_found(format!("`{}` is not a key: see `qyvo settings list`", plain(key)))
}

/// Keys as a server would have them, with where they come from. Stored values that are no longer valid are there, too.
fn rows(context: &Context, stored: &BTreeMap<String, Value>) -> Result<Vec<(String, Value, &'static str)>> {
    let (laid, good, bad) = lay(&context.config, stored)?;
    let mut rows: Vec<_> = laid
        .keys()?
        .into_iter()
        .map(|setting| {
            let source = source(&setting, &good);
            (setting.key, setting.value, source)
        })
        .collect();
    rows.extend(bad.into_iter().map(|(key, _)| {
        let value = stored.get(&key).cloned().unwrap_or_default();
        (key, value, "database, not good any more and left out")
    }));
    Ok(rows)
}

/// A configuration with the settings of the database, those of them that are valid, and the others with what is wrong.
fn lay(config: &Config, stored: &BTreeMap<String, Value>) -> Result<(Config, BTreeMap<String, Value>, Wrong)> {
    let mut good = stored.clone();
    let bad = config.with_settings(&good).err().unwrap_or_default();
    bad.iter().for_each(|(key, _)| drop(good.remove(key)));
    let laid = config.with_settings(&good);
    let laid = laid.map_err(|wrong| Error::internal(format!("Settings cannot be laid: {wrong:?}")))?;
    Ok((laid, good, bad))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
