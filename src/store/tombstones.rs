//! Tombstones, which outlive an erasure: keyed hashes by which a person who had opted out, and a message that was
//! delivered before, are known again without being kept. Their table is called `erased`.
//!
//! A phone number has so few digits that a plain hash of it could be turned back by trying them all. So the hash is
//! keyed: the key is in the database file, too, but a leaked hash alone reveals nothing.

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::OptionalExtension;
use sha2::Sha256;

use super::{Conn, Tx, secrets};
use crate::domain::{Phone, Timestamp};
use crate::error::{Error, Result};

/// Where the key stands among the secrets.
const SECRET: &str = "erasure_key";

/// The key of all hashes. It is made once in the life of a database and never changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErasureKey([u8; 32]);

/// What is kept of an erased person: only its hash is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tombstone<'a> {
    /// An address whose person had opted out: its kind, such as `phone`, and its value.
    OptOut(&'a str, &'a str),
    /// A message from a person: the channel, and the channel's id of it.
    Inbound(&'a str, &'a str),
    /// A message on a channel whose ids count for each sender: the channel, the sender, and the channel's id of it.
    InboundOf(&'a str, &'a str, &'a str),
}

impl<'a> Tombstone<'a> {
    /// The tombstone of a message. `sender` is empty where all messages of the channel share their ids.
    pub fn of_message(channel: &'a str, sender: &'a str, provider_id: &'a str) -> Self {
        match sender {
            "" => Self::Inbound(channel, provider_id),
            sender => Self::InboundOf(channel, sender, provider_id),
        }
    }

    /// The tombstone of a phone number.
    pub fn of_phone(phone: &'a Phone) -> Self {
        Self::OptOut("phone", phone.as_str())
    }

    fn kind(self) -> &'static str {
        match self {
            Self::OptOut(..) => "opt_out",
            Self::Inbound(..) | Self::InboundOf(..) => "provider_id",
        }
    }
}

impl ErasureKey {
    /// A key of random bytes, which [`ErasureKey::keep`] makes the database's own.
    pub fn of(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The database's key; `None` until the first erasure.
    ///
    /// # Errors
    /// When the database cannot be read, or what it holds is no key.
    pub fn find(conn: &Conn) -> Result<Option<Self>> {
        let Some(text) = secrets::get(conn, SECRET)? else { return Ok(None) };
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key)
            .map_err(|error| Error::internal("The key of the erased people is damaged").caused_by(error))?;
        Ok(Some(Self(key)))
    }

    /// Makes this the database's key unless it has one, and returns the one that it has then.
    pub fn keep(self, tx: &Tx<'_>, now: Timestamp) -> Result<Self> {
        if let Some(key) = Self::find(tx)? {
            return Ok(key);
        }
        secrets::set(tx, SECRET, &hex::encode(self.0), now)?;
        Ok(self)
    }

    /// The hash under which a tombstone is kept.
    pub fn hash(&self, tombstone: Tombstone<'_>) -> [u8; 32] {
        let parts: &[&str] = match &tombstone {
            Tombstone::OptOut(first, second) | Tombstone::Inbound(first, second) => &[first, second],
            Tombstone::InboundOf(first, second, third) => &[first, second, third],
        };
        // HMAC fills a short key up with zeros to the length of SHA-256's block.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        // No kind, channel or sender has a NUL in it, so no two tombstones of two parts are the same bytes, nor of
        // three. One of two could be one of three only with an id that begins with a sender and a NUL.
        mac.update(tombstone.kind().as_bytes());
        for part in parts {
            mac.update(b"\0");
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// Keeps a tombstone. One that exists already keeps its age.
pub fn insert(tx: &Tx<'_>, key: &ErasureKey, tombstone: Tombstone<'_>, now: Timestamp) -> Result<()> {
    tx.prepare_cached("INSERT INTO erased (kind, hash, erased_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute((tombstone.kind(), key.hash(tombstone), now))?;
    Ok(())
}

/// Deletes a tombstone, if it exists.
pub fn remove(tx: &Tx<'_>, key: &ErasureKey, tombstone: Tombstone<'_>) -> Result<()> {
    tx.prepare_cached("DELETE FROM erased WHERE kind = ?1 AND hash = ?2")?
        .execute((tombstone.kind(), key.hash(tombstone)))?;
    Ok(())
}

/// The hash of a tombstone, if it is kept.
pub fn find(conn: &Conn, key: &ErasureKey, tombstone: Tombstone<'_>) -> Result<Option<[u8; 32]>> {
    let mut statement = conn.prepare_cached("SELECT hash FROM erased WHERE kind = ?1 AND hash = ?2")?;
    Ok(statement.query_row((tombstone.kind(), key.hash(tombstone)), |row| row.get(0)).optional()?)
}

/// Forgets messages that were kept before a moment, the oldest first, at most `limit`, and returns how many. Opt-outs
/// stay.
pub fn prune(tx: &Tx<'_>, before: Timestamp, limit: u32) -> Result<usize> {
    let pruned = tx
        .prepare_cached(
            "DELETE FROM erased WHERE (kind, hash) IN
                 (SELECT kind, hash FROM erased INDEXED BY erased_by_age
                  WHERE kind = 'provider_id' AND erased_at < ?1 ORDER BY erased_at LIMIT ?2)",
        )?
        .execute((before, limit))?;
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::testing::{self, now};

    const KEY: ErasureKey = ErasureKey([7; 32]);

    #[test]
    fn the_first_key_is_the_only_one() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        assert!(ErasureKey::find(&tx).unwrap().is_none());
        for key in [KEY, ErasureKey([8; 32])] {
            assert_eq!(key.keep(&tx, now()).unwrap().0, KEY.0);
            assert_eq!(ErasureKey::find(&tx).unwrap().unwrap().0, KEY.0);
        }
        secrets::set(&tx, SECRET, "0707", now()).unwrap();
        assert!(ErasureKey::find(&tx).is_err(), "a damaged key is not replaced: its hashes would be lost");
    }

    #[test]
    fn a_hash_is_of_its_kind_and_key_alone_and_always_the_same() {
        let of = |key: [u8; 32], tombstone| hex::encode(ErasureKey(key).hash(tombstone));
        let phone = Tombstone::OptOut("phone", "+14155550123");
        // HMAC-SHA-256 of "opt_out\0phone\0+14155550123", so that a hash of today is found by every later release.
        assert_eq!(of([7; 32], phone), "9f0f8b55531cd8b72037c6ebf6d76e4fc79853b5ef102479608f2374f11bf4d9");
        let others = [
            of([8; 32], phone),
            of([7; 32], Tombstone::OptOut("phone", "+14155550124")),
            of([7; 32], Tombstone::OptOut("wa_id", "+14155550123")),
            of([7; 32], Tombstone::Inbound("phone", "+14155550123")),
            of([7; 32], Tombstone::InboundOf("phone", "+14155550123", "")),
            of([7; 32], Tombstone::InboundOf("phone", "+14155550123", "5")),
            of([7; 32], Tombstone::InboundOf("phone", "+14155550124", "5")),
        ];
        assert!(others.iter().all(|other| *other != of([7; 32], phone)), "{others:?}");
    }

    #[test]
    fn messages_are_forgotten_in_time_and_opt_outs_never() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let phone = "+14155550123".parse().unwrap();
        insert(&tx, &KEY, Tombstone::of_phone(&phone), now().minus(Duration::from_secs(99))).unwrap();
        for (id, age) in [("a", 30), ("b", 20), ("c", 10)] {
            insert(&tx, &KEY, Tombstone::Inbound("webhook", id), now().minus(Duration::from_secs(age))).unwrap();
            insert(&tx, &KEY, Tombstone::Inbound("webhook", id), now()).unwrap();
        }
        let before = now().minus(Duration::from_secs(20));
        let is_kept = |tombstone| find(&tx, &KEY, tombstone).unwrap() == Some(KEY.hash(tombstone));
        assert_eq!(prune(&tx, now(), 1).unwrap(), 1);
        assert_eq!(prune(&tx, before, 9).unwrap(), 0);
        let kept = ["a", "b", "c"].map(|id| is_kept(Tombstone::Inbound("webhook", id)));
        assert_eq!(kept, [false, true, true]);
        assert!(is_kept(Tombstone::of_phone(&phone)));
        assert!(!is_kept(Tombstone::Inbound("whatsapp", "b")));
        remove(&tx, &KEY, Tombstone::of_phone(&phone)).unwrap();
        assert!(!is_kept(Tombstone::of_phone(&phone)));
        let plan = testing::plan(
            &conn,
            "SELECT kind, hash FROM erased INDEXED BY erased_by_age
             WHERE kind = 'provider_id' AND erased_at < ?1 ORDER BY erased_at LIMIT ?2",
        );
        assert!(plan.contains("erased_by_age") && !plan.contains("TEMP"), "{plan}");
    }
}
