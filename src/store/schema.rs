//! The schema of a database file: telling whose it is, creating it, bringing it forward, comparing it.

use std::collections::BTreeMap;

use super::{Conn, same_people};
use crate::error::{Error, Result};

/// What this version of the program needs in a file.
pub(super) const CURRENT: Schema = Schema {
    application_id: 0x5179_766F,
    whole: include_str!("../../schema.sql"),
    steps: &[
        Step::of(include_str!("migrations/2.sql")),
        Step::of(include_str!("migrations/3.sql")),
        Step::of(include_str!("migrations/4.sql")),
        Step::of(include_str!("migrations/5.sql")),
        // It was part of the step before. Where it has run already it finds nothing.
        Step { sql: include_str!("migrations/6.sql"), then: Some(same_people::join) },
        Step::of(include_str!("migrations/7.sql")),
        Step::of(include_str!("migrations/8.sql")),
        Step::of(include_str!("migrations/9.sql")),
        Step::of(include_str!("migrations/10.sql")),
        Step::of(include_str!("migrations/11.sql")),
        Step::of(include_str!("migrations/12.sql")),
    ],
};

/// What Litestream adds to each database that it replicates, as [`objects`] names it. Copies and restores have it, too.
const OF_LITESTREAM: [&str; 2] = ["table _litestream_lock", "table _litestream_seq"];

/// Changes rows, and returns what it has done, a sentence each.
type Then = fn(&Conn) -> Result<Vec<String>>;

/// What brings a file one version forward.
pub(super) struct Step {
    /// What changes the schema.
    sql: &'static str,
    /// What SQL cannot do with the rows, and returns what it has done, a sentence each. It uses the functions of the
    /// current store, so it runs once the schema is current: after the `sql` of the last step.
    then: Option<Then>,
}

impl Step {
    const fn of(sql: &'static str) -> Self {
        Self { sql, then: None }
    }
}

/// A schema and the way to it.
pub(super) struct Schema {
    /// The mark of our files in the header of a database.
    application_id: i32,
    /// The whole schema, for new files. It sets `application_id` and `user_version`.
    whole: &'static str,
    /// What brings a file of version 1 to 2, of 2 to 3, and so on. A step that has been released never changes.
    steps: &'static [Step],
}

/// What a file is, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It holds nothing at all.
    Empty,
    /// It is ours and of the current version.
    Current,
    /// It is ours and of this older version.
    Older(i64),
}

impl Schema {
    /// The current version of the schema: the first is 1, and each step leads to one more.
    pub(super) fn version(&self) -> i64 {
        1 + i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }

    /// Looks at a file, and changes nothing in it.
    ///
    /// # Errors
    /// `Conflict` when the file belongs to another program, or was written by a newer version of this one.
    pub(super) fn inspect(&self, conn: &Conn) -> Result<State> {
        let application: i32 = match conn.query_row("PRAGMA application_id", [], |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
                return Err(Error::conflict("The file is not an SQLite database"));
            }
            other => other?,
        };
        let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if application == 0 && version == 0 && tables == 0 {
            return Ok(State::Empty);
        }
        if application != self.application_id {
            return Err(Error::conflict("The file is the database of another program"));
        }
        match version {
            newer if newer > self.version() => Err(Error::conflict(format!(
                "The database has schema version {newer} and this program knows versions up to {}: use a newer program",
                self.version()
            ))),
            current if current == self.version() => Ok(State::Current),
            older if older >= 1 => Ok(State::Older(older)),
            other => Err(Error::conflict(format!("The database has schema version {other}, which never was"))),
        }
    }

    /// Creates the schema in an empty file, or brings an older file forward: each step in a transaction of its own, but
    /// for the first with a `then` and all behind it, which are one. Returns what was done to its rows, a sentence
    /// each.
    ///
    /// # Errors
    /// Those of [`Schema::inspect`]; `Internal` when a step fails, which then left nothing behind.
    pub(super) fn prepare(&self, conn: &Conn) -> Result<Vec<String>> {
        let first = match self.inspect(conn)? {
            State::Current => return Ok(Vec::new()),
            State::Empty => {
                let tx = conn.raw().unchecked_transaction()?;
                tx.execute_batch(self.whole)?;
                tx.commit()?;
                return Ok(Vec::new());
            }
            State::Older(version) => version,
        };
        let steps: Vec<_> = self.steps.iter().zip(1..).filter(|&(_, version)| version >= first).collect();
        let alone = steps.iter().position(|(step, _)| step.then.is_some()).unwrap_or(steps.len());
        let (alone, together) = steps.split_at(alone);
        for step in alone {
            take(std::slice::from_ref(step), conn)?;
        }
        take(together, conn)
    }

    /// How the file differs from this schema, a sentence for each difference.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn differences(&self, conn: &Conn) -> Result<Vec<String>> {
        let wanted = Conn::open_in_memory()?;
        wanted.execute_batch(self.whole)?;
        let (wanted, found) = (objects(&wanted)?, objects(conn)?);
        let mut differences = Vec::new();
        for (name, sql) in &wanted {
            match found.get(name) {
                None => differences.push(format!("The {name} is missing.")),
                Some(other) if other != sql => differences.push(format!("The {name} is not as it should be.")),
                Some(_) => {}
            }
        }
        // SQLite keeps the statistics of ANALYZE in tables of its own, which objects() leaves out.
        let is_known = |name: &str| wanted.contains_key(name) || OF_LITESTREAM.contains(&name);
        differences.extend(found.keys().filter(|name| !is_known(name)).map(|name| format!("The {name} is not ours.")));
        Ok(differences)
    }
}

/// Takes steps, each from its version to the next, and then does what SQL could not.
fn take(steps: &[(&Step, i64)], conn: &Conn) -> Result<Vec<String>> {
    let failed = |version: i64, error: Error| {
        Error::internal(format!("Cannot bring the database from version {version} to the next")).caused_by(error)
    };
    let tx = conn.raw().unchecked_transaction()?;
    for &(step, version) in steps {
        tx.execute_batch(step.sql).map_err(|error| failed(version, error.into()))?;
        tx.pragma_update(None, "user_version", version + 1)?;
    }
    let mut told = Vec::new();
    for &(step, version) in steps {
        if let Some(then) = step.then {
            told.extend(then(conn).map_err(|error| failed(version, error))?);
        }
    }
    tx.commit()?;
    Ok(told)
}

/// Every object of a schema, such as "table flows", with the normal form of its definition.
fn objects(conn: &Conn) -> Result<BTreeMap<String, String>> {
    let mut statement = conn.prepare(
        "SELECT type || ' ' || name, sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, normal_form(&row.get::<_, String>(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A definition without comments and white space, so that a file that came here by steps compares equal to a new one.
fn normal_form(sql: &str) -> String {
    sql.lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace() && *c != '"')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Schema = Schema {
        application_id: 77,
        whole: "PRAGMA application_id = 77; PRAGMA user_version = 1; CREATE TABLE a (x) STRICT_LESS;",
        steps: &[],
    };
    const SECOND: Schema = Schema {
        application_id: 77,
        whole: "PRAGMA application_id = 77; PRAGMA user_version = 3;
                CREATE TABLE a (x INTEGER, y TEXT); CREATE INDEX a_by_y ON a (y); -- the index of y",
        steps: &[Step::of("ALTER TABLE a ADD COLUMN y TEXT"), Step::of("CREATE INDEX a_by_y ON a(y)")],
    };

    fn version(conn: &Conn) -> i64 {
        conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    fn of_version_1() -> Conn {
        let conn = Conn::open_in_memory().unwrap();
        conn.execute_batch("PRAGMA application_id = 77; PRAGMA user_version = 1; CREATE TABLE a (x INTEGER);").unwrap();
        conn
    }

    #[test]
    fn an_empty_file_gets_the_whole_schema() {
        let conn = Conn::open_in_memory().unwrap();
        assert_eq!(CURRENT.inspect(&conn).unwrap(), State::Empty);
        CURRENT.prepare(&conn).unwrap();
        assert_eq!(CURRENT.inspect(&conn).unwrap(), State::Current);
        assert_eq!(version(&conn), CURRENT.version());
        assert_eq!(CURRENT.differences(&conn).unwrap(), Vec::<String>::new());
        CURRENT.prepare(&conn).unwrap();
    }

    #[test]
    fn a_file_of_the_first_version_comes_forward() {
        let conn = Conn::open_in_memory().unwrap();
        conn.execute_batch(include_str!("migrations/1.sql")).unwrap();
        assert_eq!(CURRENT.inspect(&conn).unwrap(), State::Older(1));
        let document = r#"{"schema_version":1,"id":"01a20838","name":"Cart","nodes":[{"id":"a","n":0.10}]}"#;
        conn.execute_batch(&format!(
            "INSERT INTO flows VALUES (1, x'{id}', 'flow', 'Cart', '{document}', 3, NULL, NULL, 0, 0);
             INSERT INTO flow_versions VALUES (1, 1, '{document}', NULL, 'ana', 0)",
            id = "11".repeat(16)
        ))
        .unwrap();
        CURRENT.prepare(&conn).unwrap();
        assert_eq!(version(&conn), CURRENT.version());
        assert_eq!(CURRENT.differences(&conn).unwrap(), Vec::<String>::new());
        let kept = r#"{"schema_version":1,"name":"Cart","nodes":[{"id":"a","n":0.10}]}"#;
        for sql in ["SELECT draft FROM flows", "SELECT document FROM flow_versions"] {
            assert_eq!(conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap(), kept);
        }
        assert!(conn.execute("UPDATE flow_versions SET note = 'x'", []).is_err(), "versions are immutable again");
    }

    #[test]
    fn addresses_stay_and_may_be_of_any_kind() {
        let conn = Conn::open_in_memory().unwrap();
        conn.raw().pragma_update(None, "foreign_keys", true).unwrap();
        conn.execute_batch(include_str!("migrations/1.sql")).unwrap();
        let id = "11".repeat(16);
        conn.execute_batch(&format!(
            "INSERT INTO contacts (seq, id, source, metadata, created_at, updated_at)
             VALUES (7, x'{id}', 'api', '{{}}', 0, 0);
             INSERT INTO addresses VALUES ('phone', '+14155550123', 7, 1, NULL), ('bsuid', 'US.1', 7, 2, 3)"
        ))
        .unwrap();
        let another = "INSERT INTO addresses VALUES ('other', 'x', 7, 4, NULL)";
        assert!(conn.execute(another, []).is_err(), "version 1 knew three kinds");
        CURRENT.prepare(&conn).unwrap();
        let kept: String = conn
            .query_row(
                "SELECT group_concat(concat_ws(' ', kind, value, contact_seq, added_at, retired_at), ', ')
                 FROM (SELECT * FROM addresses ORDER BY kind)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(kept, "bsuid US.1 7 2 3, phone +14155550123 7 1");
        conn.execute(another, []).unwrap();
        assert!(conn.execute("INSERT INTO addresses VALUES ('other', 'y', 8, 4, NULL)", []).is_err(), "of no contact");
    }

    #[test]
    fn a_schema_that_fails_leaves_the_file_empty() {
        let conn = Conn::open_in_memory().unwrap();
        assert!(FIRST.prepare(&conn).is_err());
        assert_eq!(FIRST.inspect(&conn).unwrap(), State::Empty);
    }

    #[test]
    fn an_older_file_goes_forward_and_ends_up_the_same() {
        let conn = of_version_1();
        conn.execute("INSERT INTO a (x) VALUES (5)", []).unwrap();
        assert_eq!(SECOND.inspect(&conn).unwrap(), State::Older(1));
        SECOND.prepare(&conn).unwrap();
        assert_eq!(version(&conn), 3);
        assert_eq!(SECOND.differences(&conn).unwrap(), Vec::<String>::new());
        assert_eq!(conn.query_row("SELECT x FROM a", [], |row| row.get::<_, i64>(0)).unwrap(), 5);
    }

    #[test]
    fn a_step_that_fails_keeps_those_before_it() {
        let conn = of_version_1();
        const TWICE: Step = Step {
            sql: "CREATE TABLE b (x)",
            then: Some(|conn| Ok(vec![conn.execute("INSERT INTO b VALUES (1), (nonsense)", [])?.to_string()])),
        };
        for second in [Step::of("CREATE TABLE b (x); nonsense"), TWICE] {
            let steps: &'static [Step] = Box::leak(Box::new([Step::of("ALTER TABLE a ADD COLUMN y TEXT"), second]));
            let error = Schema { steps, ..SECOND }.prepare(&conn).unwrap_err();
            assert!(error.message().contains("from version 2"), "{error}");
            assert_eq!(version(&conn), 2);
            assert!(conn.prepare("SELECT * FROM b").is_err());
        }
        SECOND.prepare(&conn).unwrap();
        assert_eq!(version(&conn), 3);
    }

    #[test]
    fn rows_are_changed_once_the_schema_is_current() {
        const FILL: Step = Step {
            sql: "ALTER TABLE a ADD COLUMN y TEXT",
            then: Some(|conn| Ok(vec![conn.execute("INSERT INTO a (x, y, z) VALUES (1, 2, 3)", [])?.to_string()])),
        };
        let steps = |last| -> &'static [Step] { Box::leak(Box::new([FILL, Step::of(last)])) };
        let conn = of_version_1();
        assert!(Schema { steps: steps("nonsense"), ..SECOND }.prepare(&conn).is_err());
        assert_eq!(version(&conn), 1, "what the first step is to do with the rows is still to be done");
        let told = Schema { steps: steps("ALTER TABLE a ADD COLUMN z TEXT"), ..SECOND }.prepare(&conn).unwrap();
        assert_eq!((version(&conn), told), (3, vec!["1".to_owned()]));
    }

    #[test]
    fn refuses_what_is_newer_and_what_is_foreign() {
        let conn = of_version_1();
        conn.raw().pragma_update(None, "user_version", 9).unwrap();
        let newer = SECOND.inspect(&conn).unwrap_err();
        assert!(newer.message().contains("version 9") && newer.message().contains("up to 3"), "{newer}");
        conn.raw().pragma_update(None, "application_id", 78).unwrap();
        assert!(SECOND.inspect(&conn).unwrap_err().message().contains("another program"));
        let unmarked = Conn::open_in_memory().unwrap();
        unmarked.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(SECOND.inspect(&unmarked).unwrap_err().message().contains("another program"));
    }

    #[test]
    fn names_what_differs() {
        let conn = of_version_1();
        conn.execute_batch("CREATE TABLE stray (x)").unwrap();
        assert_eq!(
            SECOND.differences(&conn).unwrap(),
            ["The index a_by_y is missing.", "The table a is not as it should be.", "The table stray is not ours."]
        );
    }

    #[test]
    fn what_litestream_adds_is_no_difference() {
        let conn = Conn::open_in_memory().unwrap();
        CURRENT.prepare(&conn).unwrap();
        conn.execute_batch(
            "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
             CREATE TABLE _litestream_lock (id INTEGER)",
        )
        .unwrap();
        assert_eq!(CURRENT.differences(&conn).unwrap(), Vec::<String>::new());
    }
}
