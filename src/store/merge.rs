//! Making one contact of two that turn out to be the same person.

use rusqlite::params;

use super::contacts::{self, StoredContact};
use super::{Tx, addresses, search, search_queue, webhooks};
use crate::domain::{AddressKey, Timestamp};
use crate::error::Result;

/// Makes everything of one contact the other's: sessions, messages, addresses, tags, webhook deliveries. The two
/// profiles are [united](crate::domain::Contact::united_with). The id that goes leads to the contact that stays from
/// now on. No flow may run for both.
pub fn unite(tx: &Tx<'_>, keep: &StoredContact, gone: &StoredContact, now: Timestamp) -> Result<()> {
    contacts::unite(tx, keep, gone, now)?;
    let pair = (keep.seq, gone.seq);
    tx.prepare_cached(
        "INSERT INTO pair_clocks (channel, contact_seq, arrival_at)
         SELECT channel, ?1, arrival_at FROM pair_clocks WHERE contact_seq = ?2
         ON CONFLICT DO UPDATE SET arrival_at = max(arrival_at, excluded.arrival_at)",
    )?
    .execute(pair)?;
    for sql in [
        "UPDATE sessions SET contact_seq = ?1 WHERE contact_seq = ?2",
        "UPDATE messages SET contact_seq = ?1 WHERE contact_seq = ?2",
        "UPDATE addresses SET contact_seq = ?1 WHERE contact_seq = ?2",
        "UPDATE webhook_deliveries SET contact_seq = ?1 WHERE contact_seq = ?2",
        "UPDATE contact_redirects SET contact_seq = ?1 WHERE contact_seq = ?2",
    ] {
        tx.prepare_cached(sql)?.execute(pair)?;
    }
    webhooks::join_lanes(tx, keep.seq)?;
    search::index::remove(tx, gone.seq)?;
    search_queue::mark(tx, keep.seq)?;
    for sql in ["DELETE FROM pair_clocks WHERE contact_seq = ?1", "DELETE FROM contact_tags WHERE contact_seq = ?1"] {
        tx.prepare_cached(sql)?.execute([gone.seq])?;
    }
    contacts::remove(tx, gone.seq)?;
    tx.prepare_cached("INSERT INTO contact_redirects (old_id, contact_seq) VALUES (?1, ?2)")?
        .execute(params![gone.contact.id, keep.seq])?;
    Ok(())
}

/// Makes an address lead to another contact than before.
pub fn move_address(tx: &Tx<'_>, address: &AddressKey, contact_seq: i64, now: Timestamp) -> Result<()> {
    if let Some(owner) = addresses::owner(tx, address)? {
        addresses::retire(tx, owner, address, now)?;
    }
    addresses::add(tx, contact_seq, address, now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{AddressKind, Contact, MessageId, Session, Status};
    use crate::store::messages::{self, NewInbound};
    use crate::store::sessions;
    use crate::store::testing::{self, now};

    fn contact(tx: &Tx<'_>, n: u128, phone: Option<&str>, change: impl FnOnce(&mut Contact)) -> StoredContact {
        let mut contact = Contact::new(testing::contact_id(n), phone.map(|phone| phone.parse().unwrap()));
        change(&mut contact);
        let at = now().plus(Duration::from_secs(u64::try_from(n).unwrap()));
        let seq = contacts::insert(tx, &contact, "api", at).unwrap();
        contacts::find_by_seq(tx, seq).unwrap().unwrap()
    }

    #[test]
    fn all_of_one_contact_becomes_the_others() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let flow_seq = testing::flow(&tx, 1);
        let keep = contact(&tx, 1, Some("+14155550001"), |contact| {
            contact.name = Some("Ana".to_owned());
            contact.tags = vec!["a".to_owned(), "b".to_owned()];
            contact.metadata = json!({"x": 1, "y": 1}).as_object().unwrap().clone();
            contact.opted_in_at = Some(now().plus(Duration::from_secs(60)));
        });
        let gone = contact(&tx, 2, Some("+14155550002"), |contact| {
            contact.name = Some("A.".to_owned());
            contact.email = Some("ana@example.org".to_owned());
            contact.tags = vec!["b".to_owned(), "c".to_owned()];
            contact.metadata = json!({"y": 2, "z": 2}).as_object().unwrap().clone();
            contact.opted_in_at = Some(now());
            contact.opted_out_at = Some(now());
        });
        let bystander = contact(&tx, 3, Some("+14155550003"), |_| {});
        contacts::touch(&tx, keep.seq, 2, Some(now()), now()).unwrap();
        contacts::touch(&tx, gone.seq, 3, None, now().plus(Duration::from_secs(5))).unwrap();
        contacts::touch(&tx, bystander.seq, 1, None, now()).unwrap();
        let session = Session { status: Status::Completed, ended_at: Some(now()), ..testing::session(1) };
        let session_seq = sessions::insert(&tx, flow_seq, gone.seq, &session, None).unwrap();
        let message = NewInbound {
            id: MessageId(Uuid::from_u128(1)),
            contact_seq: gone.seq,
            session: None,
            channel: "whatsapp",
            provider_id: Some("a"),
            sender: "",
            kind: "text",
            body: "{}",
            handled: None,
            reason: None,
            created_at: now(),
        };
        messages::insert_inbound(&tx, &message).unwrap();
        tx.execute("INSERT INTO contact_redirects VALUES (?1, ?2)", (testing::contact_id(9), gone.seq)).unwrap();
        tx.execute(
            "INSERT INTO pair_clocks VALUES ('whatsapp', ?1, 5), ('whatsapp', ?2, 7), ('other', ?2, 3)",
            (keep.seq, gone.seq),
        )
        .unwrap();

        unite(&tx, &keep, &gone, now()).unwrap();
        let united = contacts::find_by_id(&tx, gone.contact.id).unwrap().unwrap();
        assert_eq!((united.seq, united.created_at), (keep.seq, keep.created_at));
        let Contact { name, email, tags, metadata, opted_in_at, opted_out_at, .. } = united.contact;
        assert_eq!((name.as_deref(), email.as_deref()), (Some("Ana"), Some("ana@example.org")));
        assert_eq!(tags, ["a", "b", "c"]);
        assert_eq!(serde_json::Value::Object(metadata), json!({"x": 1, "y": 1, "z": 2}));
        assert_eq!((opted_in_at, opted_out_at), (Some(now()), Some(now())));
        let profile = contacts::profile(&tx, keep.seq).unwrap().unwrap();
        assert_eq!((profile.total_messages, profile.last_inbound_at), (5, Some(now())));
        assert_eq!(profile.last_message_at, Some(now().plus(Duration::from_secs(5))));
        for phone in ["+14155550001", "+14155550002"] {
            assert_eq!(contacts::find_by_phone(&tx, &phone.parse().unwrap()).unwrap().unwrap().seq, keep.seq);
        }
        assert_eq!(sessions::find_by_seq(&tx, session_seq).unwrap().unwrap().session.contact_id, keep.contact.id);
        assert_eq!(messages::history_of_contact(&tx, keep.seq, 0, 9).unwrap().len(), 1);
        let former = contacts::former_ids(&tx, keep.seq).unwrap();
        assert_eq!(former.len(), 2, "{former:?}");
        let clocks: String =
            tx.query_row("SELECT group_concat(channel || arrival_at) FROM pair_clocks", [], |row| row.get(0)).unwrap();
        assert_eq!(clocks, "other3,whatsapp7");
        assert_eq!(contacts::find_by_seq(&tx, gone.seq).unwrap(), None);
        assert_eq!(contacts::find_by_seq(&tx, bystander.seq).unwrap().unwrap().contact, bystander.contact);
        let orphans: i64 = tx.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
        assert_eq!(orphans, 0);
    }

    #[test]
    fn an_address_moves_to_who_has_it_now() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let one = contact(&tx, 1, Some("+14155550001"), |_| {});
        let two = contact(&tx, 2, None, |_| {});
        let phone = AddressKey::new(AddressKind::PHONE, "+14155550001");
        move_address(&tx, &phone, two.seq, now()).unwrap();
        assert_eq!(addresses::owner(&tx, &phone).unwrap(), Some(two.seq));
        assert_eq!(contacts::find_by_seq(&tx, one.seq).unwrap().unwrap().contact.phone, None);
        let wa_id = AddressKey::new(AddressKind::digits("wa_id"), "14155550001");
        move_address(&tx, &wa_id, two.seq, now()).unwrap();
        assert_eq!(addresses::owner(&tx, &wa_id).unwrap(), Some(two.seq));
    }
}
