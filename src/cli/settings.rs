//! `qyvo settings …`: what the admin page keeps in the database, also where no server starts any more.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Context, note, out, plain};
use crate::domain::audit::Actor;
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::settings::{Wrong, changed, keep, source, stored, validate};
use crate::store::audit;

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
    let mut good = stored.clone();
    let mut bad = BTreeMap::new();
    if let Err(wrong) = context.config.with_settings(&good) {
        for (key, _) in wrong {
            bad.extend(good.remove_entry(&key));
        }
    }
    let laid = context.config.with_settings(&good);
    let laid = laid.map_err(|wrong| Error::internal(format!("Settings cannot be laid: {wrong:?}")))?;
    let mut rows: Vec<_> = laid
        .keys()?
        .into_iter()
        .map(|setting| {
            let source = source(&setting, &good);
            (setting.key, setting.value, source)
        })
        .collect();
    rows.extend(bad.into_iter().map(|(key, value)| (key, value, "database, not good any more and left out")));
    Ok(rows)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
