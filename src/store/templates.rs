//! Templates of channels, each in one language: those that a channel has approved, or that were made by hand for a
//! channel that approves none.
//!
//! The public API calls all languages of one name together a template: see [`groups`].

use rusqlite::{OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::values::Json;
use super::{Conn, Tx};
use crate::domain::{MessageTemplate, TemplateId, TemplateStatus, Timestamp};
use crate::error::Result;

/// A stored template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRow {
    /// Row number of the template.
    pub seq: i64,
    /// Public id; it stays the same while the channel has the template.
    pub id: TemplateId,
    /// The channel's name.
    pub channel: String,
    /// The channel's id of it; `None` for one that was made by hand.
    pub provider_id: Option<String>,
    /// The template as flows and the API read it.
    pub template: MessageTemplate,
    /// When it was first seen, or made.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
}

/// A template in all its languages, as the public API knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateGroup {
    /// An id that is made of the channel and the name, so that it stays the same whichever translations come and go.
    pub id: TemplateId,
    /// The name at the channel, which all have in common.
    pub name: String,
    /// When the first of them was stored.
    pub created_at: Timestamp,
    /// Its translations, by language.
    pub translations: Vec<TemplateRow>,
}

impl TemplateGroup {
    fn of(translations: Vec<TemplateRow>) -> Option<Self> {
        let first = translations.iter().min_by_key(|row| row.seq)?;
        let (name, created_at) = (first.template.name.clone(), first.created_at);
        Some(Self { id: group_id(&first.channel, &name), name, created_at, translations })
    }

    /// The translation that is shown for all: by language the first that can be sent, else the first approved one, else
    /// the first.
    pub fn shown(&self) -> Option<&MessageTemplate> {
        let mut all = self.translations.iter().map(|row| &row.template);
        let approved = all.clone().filter(|template| template.status == TemplateStatus::Approved);
        let sendable = approved.clone().find(|template| template.unfillable.is_empty());
        sendable.or_else(|| approved.clone().next()).or_else(|| all.next())
    }

    /// Whether it can be sent, in one language at least.
    pub fn can_be_sent(&self) -> bool {
        let can =
            |template: &MessageTemplate| template.status == TemplateStatus::Approved && template.unfillable.is_empty();
        self.translations.iter().any(|row| can(&row.template))
    }
}

/// All templates of a channel with their languages, by name.
pub fn groups(conn: &Conn, channel: &str) -> Result<Vec<TemplateGroup>> {
    let rows = list(conn, channel)?;
    let by_name = rows.chunk_by(|one, other| one.template.name == other.template.name);
    Ok(by_name.filter_map(|rows| TemplateGroup::of(rows.to_vec())).collect())
}

/// The template of an id on a channel: its own, or that of any of its translations.
pub fn find_group(conn: &Conn, channel: &str, id: TemplateId) -> Result<Option<TemplateGroup>> {
    let name = match find_by_id(conn, id)? {
        Some(row) if row.channel == channel => row.template.name,
        Some(_) => return Ok(None),
        None => match name_of_group(conn, channel, id)? {
            Some(name) => name,
            None => return Ok(None),
        },
    };
    Ok(TemplateGroup::of(named(conn, channel, &name)?))
}

/// All templates of a channel, by name and language.
pub fn list(conn: &Conn, channel: &str) -> Result<Vec<TemplateRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, channel, provider_id, template, created_at, updated_at FROM templates
         WHERE channel = ?1 ORDER BY name, language",
    )?;
    let rows = statement.query_map([channel], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The templates of a channel by one name, in all their languages, by language.
pub fn named(conn: &Conn, channel: &str, name: &str) -> Result<Vec<TemplateRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, channel, provider_id, template, created_at, updated_at FROM templates
         WHERE channel = ?1 AND name = ?2 ORDER BY language",
    )?;
    let rows = statement.query_map((channel, name), read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The template of an id.
pub fn find_by_id(conn: &Conn, id: TemplateId) -> Result<Option<TemplateRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, channel, provider_id, template, created_at, updated_at FROM templates WHERE id = ?1",
    )?;
    Ok(statement.query_row([id], read).optional()?)
}

/// How many templates a channel has, over all languages, and how many of them may be sent.
pub fn count(conn: &Conn, channel: &str) -> Result<(u32, u32)> {
    let mut statement = conn.prepare_cached(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE status = 'approved') FROM templates WHERE channel = ?1",
    )?;
    Ok(statement.query_row([channel], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Adds a template.
///
/// # Errors
/// When the database refuses, as it does if the channel has one of this name and language: look first.
pub fn insert(
    tx: &Tx<'_>,
    id: TemplateId,
    channel: &str,
    provider_id: Option<&str>,
    template: &MessageTemplate,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO templates (id, channel, name, language, provider_id, status, template, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    )?
    .execute(params![
        id,
        channel,
        template.name,
        template.language,
        provider_id,
        template.status,
        Json(template),
        now
    ])?;
    Ok(())
}

/// Replaces all that is known of a template.
pub fn update(
    tx: &Tx<'_>,
    seq: i64,
    provider_id: Option<&str>,
    template: &MessageTemplate,
    now: Timestamp,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE templates SET name = ?2, language = ?3, provider_id = ?4, status = ?5, template = ?6, updated_at = ?7
         WHERE seq = ?1",
    )?
    .execute(params![seq, template.name, template.language, provider_id, template.status, Json(template), now])?;
    Ok(())
}

/// Records what a channel says of one template between two fetches. Returns whether it is known here.
pub fn set_status(
    tx: &Tx<'_>,
    channel: &str,
    (name, language): (&str, &str),
    status: TemplateStatus,
    now: Timestamp,
) -> Result<bool> {
    let known = named(tx, channel, name)?.into_iter().find(|row| row.template.language == language);
    match known {
        Some(mut row) if row.template.status != status => {
            row.template.status = status;
            update(tx, row.seq, row.provider_id.as_deref(), &row.template, now)?;
            Ok(true)
        }
        known => Ok(known.is_some()),
    }
}

/// Deletes a template. `true` if there was one. Messages that name it are refused from then on. It takes the public id,
/// because SQLite gives the row number of a deleted template to a new one.
pub fn delete(tx: &Tx<'_>, id: TemplateId) -> Result<bool> {
    Ok(tx.prepare_cached("DELETE FROM templates WHERE id = ?1")?.execute([id])? > 0)
}

/// The id that all translations of a template on a channel have in common.
fn group_id(channel: &str, name: &str) -> TemplateId {
    let hash = Sha256::new().chain_update("template\0").chain_update(channel).chain_update("\0").chain_update(name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    TemplateId(Builder::from_custom_bytes(bytes).into_uuid())
}

/// The name from which such an id was made. It tries all names, which are few: Meta's documentation allows an account
/// 6,000 templates at most.
fn name_of_group(conn: &Conn, channel: &str, id: TemplateId) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached("SELECT DISTINCT name FROM templates WHERE channel = ?1")?;
    let mut rows = statement.query([channel])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if group_id(channel, name) == id {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

fn read(row: &Row<'_>) -> rusqlite::Result<TemplateRow> {
    let Json(template) = row.get(4)?;
    Ok(TemplateRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        channel: row.get(2)?,
        provider_id: row.get(3)?,
        template,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::testing;

    fn template(name: &str, language: &str) -> MessageTemplate {
        MessageTemplate {
            name: name.to_owned(),
            language: language.to_owned(),
            status: TemplateStatus::Approved,
            category: String::new(),
            header: None,
            body: "Hi {{1}}".to_owned(),
            footer: None,
            buttons: Vec::new(),
            unfillable: Vec::new(),
        }
    }

    #[test]
    fn a_template_stands_once_for_each_channel_name_and_language() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let id = |n| TemplateId(Uuid::from_u128(n));
        let add = |n, channel: &str, name: &str, language: &str| {
            insert(&tx, id(n), channel, Some("m"), &template(name, language), testing::now())
        };
        add(1, "whatsapp", "cart", "en").unwrap();
        add(2, "whatsapp", "cart", "de").unwrap();
        add(3, "webhook", "cart", "en").unwrap();
        assert!(add(4, "whatsapp", "cart", "en").is_err());
        let languages = |rows: Vec<TemplateRow>| rows.into_iter().map(|row| row.template.language).collect::<Vec<_>>();
        assert_eq!(languages(named(&tx, "whatsapp", "cart").unwrap()), ["de", "en"]);
        assert_eq!(languages(list(&tx, "webhook").unwrap()), ["en"]);
        assert_eq!((named(&tx, "simulator", "cart").unwrap(), find_by_id(&tx, id(9)).unwrap()), (vec![], None));
    }

    #[test]
    fn all_languages_of_a_name_are_one_template() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let id = |n| TemplateId(Uuid::from_u128(n));
        let pending = |language| MessageTemplate { status: TemplateStatus::Pending, ..template("cart", language) };
        insert(&tx, id(9), "whatsapp", None, &template("cart", "fr"), testing::now()).unwrap();
        insert(&tx, id(2), "whatsapp", None, &pending("de"), testing::now()).unwrap();
        insert(&tx, id(3), "webhook", None, &template("cart", "en"), testing::now()).unwrap();
        insert(&tx, id(4), "whatsapp", None, &pending("a_first"), testing::now()).unwrap();
        let mut alone = pending("en");
        alone.name = "about".to_owned();
        insert(&tx, id(5), "whatsapp", None, &alone, testing::now()).unwrap();
        let found = groups(&tx, "whatsapp").unwrap();
        let seen: Vec<_> = found.iter().map(|group| (group.name.as_str(), group.translations.len())).collect();
        assert_eq!(seen, [("about", 1), ("cart", 3)]);
        assert_eq!(found[1].shown().unwrap().language, "fr", "the first that may be sent");
        assert_eq!(found[0].shown().unwrap().language, "en", "none may");
        for any in [9, 2, 4] {
            assert_eq!(find_group(&tx, "whatsapp", id(any)).unwrap().as_ref(), Some(&found[1]));
        }
        assert_eq!(find_group(&tx, "whatsapp", id(3)).unwrap(), None, "another channel's");
        assert_eq!(find_group(&tx, "whatsapp", id(7)).unwrap(), None);
    }

    #[test]
    fn a_template_keeps_its_id_whichever_languages_come_and_go() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let next = std::cell::Cell::new(0);
        let add = |channel: &str, name: &str, language: &str| {
            next.set(next.get() + 1);
            let id = TemplateId(Uuid::from_u128(next.get()));
            insert(&tx, id, channel, Some("m"), &template(name, language), testing::now()).unwrap();
            id
        };
        let of = |channel: &str| groups(&tx, channel).unwrap().iter().map(|group| group.id).collect::<Vec<_>>();
        let found = |id| find_group(&tx, "whatsapp", id).unwrap().map(|group| group.name);
        let remove = |id| assert!(delete(&tx, id).unwrap());
        let german = add("whatsapp", "cart", "de");
        let [kept] = of("whatsapp")[..] else { panic!("one template") };
        let english = add("whatsapp", "cart", "en");
        remove(german);
        assert_eq!((of("whatsapp"), found(kept), found(german)), (vec![kept], Some("cart".to_owned()), None));
        remove(english);
        assert_eq!((of("whatsapp"), found(kept)), (vec![], None));
        let again = add("whatsapp", "cart", "fr");
        assert_eq!((of("whatsapp"), found(kept)), (vec![kept], found(again)));
        add("whatsapp", "car", "en");
        add("webhook", "cart", "en");
        assert_eq!((of("whatsapp")[1], of("whatsapp").len()), (kept, 2));
        assert!(!of("webhook").contains(&kept), "each channel has its own");
        assert_eq!(found(of("webhook")[0]), None);
        assert_eq!(found(of("whatsapp")[0]).as_deref(), Some("car"));
    }

    #[test]
    fn a_status_is_told_of_one_language_and_the_whole_template_knows_it() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        for (n, language) in [(1, "en"), (2, "de")] {
            insert(&tx, TemplateId(Uuid::from_u128(n)), "whatsapp", None, &template("cart", language), testing::now())
                .unwrap();
        }
        let later = testing::now().plus(std::time::Duration::from_secs(1));
        let paused = TemplateStatus::Paused;
        assert!(set_status(&tx, "whatsapp", ("cart", "de"), paused, later).unwrap());
        assert!(set_status(&tx, "whatsapp", ("cart", "de"), paused, later).unwrap(), "told twice");
        assert!(!set_status(&tx, "whatsapp", ("cart", "fr"), paused, later).unwrap());
        assert!(!set_status(&tx, "webhook", ("cart", "de"), paused, later).unwrap());
        let rows = named(&tx, "whatsapp", "cart").unwrap();
        let seen: Vec<_> = rows.iter().map(|row| (row.template.status, row.updated_at)).collect();
        assert_eq!(seen, [(paused, later), (TemplateStatus::Approved, testing::now())]);
        assert_eq!(count(&tx, "whatsapp").unwrap(), (2, 1));
        assert!(delete(&tx, rows[0].id).unwrap());
        assert_eq!(count(&tx, "whatsapp").unwrap(), (1, 1));
    }

    #[test]
    fn a_template_that_is_deleted_twice_takes_no_other_with_it() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (old, new) = (TemplateId(Uuid::from_u128(1)), TemplateId(Uuid::from_u128(2)));
        insert(&tx, old, "webhook", None, &template("old", "en"), testing::now()).unwrap();
        let row = find_by_id(&tx, old).unwrap().unwrap();
        assert!(delete(&tx, old).unwrap());
        insert(&tx, new, "webhook", None, &template("new", "en"), testing::now()).unwrap();
        let next = find_by_id(&tx, new).unwrap().unwrap();
        assert_eq!(next.seq, row.seq, "the row is used again");
        assert!(!delete(&tx, old).unwrap());
        assert_eq!(list(&tx, "webhook").unwrap(), [next]);
    }
}
