//! The numbers (`seq`) of new rows, each of which is given once.
//!
//! SQLite numbers a row after the highest that is there, and would give the number of one that was erased to the next.
//! Cursors of lists, exports that read on and workers between two jobs would take that for the row they know. So the
//! table `row_numbers` keeps the highest number of those that are gone, which triggers see to, and the writer gives the
//! numbers above it. They are read once in a transaction and counted from there; only deleting the newest row writes.

use super::Conn;
use crate::error::Result;

/// The tables whose numbers are never given again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbered {
    Contacts,
    Sessions,
    Messages,
    HttpCalls,
    WebhookDeliveries,
    UnprocessedDeliveries,
}

/// The highest number of each table that was ever given.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowNumbers([i64; 6]);

impl RowNumbers {
    /// Reads them in the transaction that is going to insert: until it ends no other transaction gives any.
    pub(super) fn read(conn: &Conn) -> Result<Self> {
        let mut statement = conn.prepare_cached(
            "SELECT
                 max(contacts, coalesce((SELECT max(seq) FROM contacts), 0)),
                 max(sessions, coalesce((SELECT max(seq) FROM sessions), 0)),
                 max(messages, coalesce((SELECT max(seq) FROM messages), 0)),
                 max(http_calls, coalesce((SELECT max(seq) FROM http_calls), 0)),
                 max(webhook_deliveries, coalesce((SELECT max(seq) FROM webhook_deliveries), 0)),
                 max(strays, coalesce((SELECT max(seq) FROM strays), 0))
             FROM row_numbers",
        )?;
        Ok(statement.query_row([], |row| {
            Ok(Self([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]))
        })?)
    }

    /// The number of a table's next row.
    pub(super) fn next(&mut self, table: Numbered) -> i64 {
        let last = &mut self.0[table as usize];
        *last += 1;
        *last
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Contact, EndpointId, HttpCall, MessageId, Session, Status};
    use crate::error::Error;
    use crate::store::messages::{self, NewInbound};
    use crate::store::testing::{self, contact_id, now};
    use crate::store::{
        Direct, Store, Tx, WriteClass, contacts, http_calls, sessions, unprocessed_deliveries, webhooks,
    };

    /// Inserts a row into each table, and returns their numbers.
    fn insert(tx: &Tx<'_>, n: u128) -> Result<[i64; 6]> {
        let max = |table: &str| tx.query_row(&format!("SELECT max(seq) FROM {table}"), [], |row| row.get(0));
        let flow_seq = match max("flows")? {
            Some(seq) => seq,
            None => {
                testing::listen(tx);
                testing::flow(tx, 1)
            }
        };
        let contact = contacts::insert(tx, &Contact::new(contact_id(n), None), "trigger", now())?;
        let session = Session { status: Status::Completed, ended_at: Some(now()), ..testing::session(n) };
        let session = sessions::insert(tx, flow_seq, contact, &session, None)?;
        let message = NewInbound {
            id: MessageId(Uuid::from_u128(n)),
            contact_seq: contact,
            session: None,
            channel: "webhook",
            provider_id: None,
            sender: "",
            kind: "text",
            body: "{}",
            handled: None,
            reason: None,
            created_at: now(),
        };
        let message = messages::insert_inbound(tx, &message)?;
        let call = HttpCall {
            node: "call".parse().unwrap(),
            method: "GET".to_owned(),
            url: "https://shop.example/".to_owned(),
            headers: Default::default(),
            body: None,
            timeout_ms: 1,
            max_retries: 0,
        };
        let id = Uuid::from_u128(n);
        let call = http_calls::NewCall { id, session_seq: session, turn: 1, call: &call, created_at: now() };
        http_calls::insert(tx, &call)?;
        let endpoint = EndpointId(Uuid::from_u128(1));
        let (event, body, created_at) = ("webhook.test", "{}", now());
        let delivery = webhooks::NewDelivery { id, endpoint, contact_seq: None, event, body, created_at };
        webhooks::insert_delivery(tx, &delivery)?;
        assert!(unprocessed_deliveries::insert(tx, "webhook", "odd", &n.to_string(), now())?);
        let newest = |table| Ok::<i64, Error>(max(table)?.unwrap_or_default());
        let (call, delivery) = (newest("http_calls")?, newest("webhook_deliveries")?);
        Ok([contact, session, message, call, delivery, newest("strays")?])
    }

    /// Deletes the rows of all these tables.
    fn delete(tx: &Tx<'_>) -> Result<()> {
        Ok(tx.execute_batch(
            "DELETE FROM messages; DELETE FROM http_calls; DELETE FROM sessions; DELETE FROM contacts;
             DELETE FROM webhook_deliveries; DELETE FROM strays;",
        )?)
    }

    fn all(number: i64) -> [i64; 6] {
        [number; 6]
    }

    #[test]
    fn a_number_is_not_given_again_after_its_row_is_gone() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let given: Vec<_> = (1..=3).map(|n| insert(&tx, n).unwrap()).collect();
        assert_eq!(given, [all(1), all(2), all(3)]);
        // Neither in the transaction that has them in memory nor in the next one.
        delete(&tx).unwrap();
        assert_eq!(insert(&tx, 4).unwrap(), all(4));
        delete(&tx).unwrap();
        assert_eq!(insert(&Tx::new(&conn), 5).unwrap(), all(5));
    }

    #[test]
    fn only_deleting_the_newest_row_is_noted() {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        for n in 1..=3 {
            insert(&tx, n).unwrap();
        }
        let noted = || -> [i64; 2] {
            let sql = "SELECT messages, strays FROM row_numbers";
            tx.query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?])).unwrap()
        };
        for (seq, expected) in [(1, [0, 0]), (3, [3, 3]), (2, [3, 3])] {
            tx.execute("DELETE FROM messages WHERE seq = ?1", [seq]).unwrap();
            tx.execute("DELETE FROM strays WHERE seq = ?1", [seq]).unwrap();
            assert_eq!(noted(), expected);
        }
    }

    #[test]
    fn a_number_is_not_given_again_by_another_process_or_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        assert_eq!(store.write_blocking(|tx| insert(tx, 1)).unwrap(), all(1));
        let mut direct = Direct::open(&dir.path().join("qyvo.db")).unwrap();
        assert_eq!(direct.write(|tx| insert(tx, 2)).unwrap(), all(2));
        assert_eq!(store.write_blocking(|tx| insert(tx, 3)).unwrap(), all(3), "the command's numbers are known");
        direct.write(delete).unwrap();
        assert_eq!(store.write_blocking(|tx| insert(tx, 4)).unwrap(), all(4));
        store.write_blocking(delete).unwrap();
        store.close();
        drop((store, direct));
        let store = testing::store(&dir);
        assert_eq!(store.write_blocking(|tx| insert(tx, 5)).unwrap(), all(5));
    }

    /// A job that inserts a row of each family and returns their numbers.
    type Insert = fn(&Tx<'_>) -> Result<[i64; 6]>;

    /// Submits jobs while the writer is busy, so that they become one batch, and returns their results.
    fn in_one_batch(store: &Store, jobs: Vec<Insert>) -> Vec<Result<[i64; 6]>> {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let busy = store.submit(WriteClass::Ongoing, move |_| {
            // The sender is dropped once all are queued.
            let _ = released.lock().unwrap().recv();
            Ok(())
        });
        let answers: Vec<_> = jobs.into_iter().map(|job| store.submit(WriteClass::Ongoing, job).unwrap()).collect();
        drop(release);
        busy.unwrap().blocking_recv().unwrap().unwrap();
        answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect()
    }

    #[test]
    fn numbers_stay_in_order_where_a_job_of_a_batch_fails() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::store(&dir);
        store.write_blocking(|tx| insert(tx, 1)).unwrap();
        let answers = in_one_batch(
            &store,
            vec![
                |tx| insert(tx, 2),
                |tx| {
                    delete(tx)?;
                    insert(tx, 3)?;
                    Err(Error::conflict("no"))
                },
                |tx| insert(tx, 4),
                |tx| delete(tx).map(|()| all(0)),
                |tx| insert(tx, 5),
            ],
        );
        let given: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|error| error.code())).collect();
        // No caller has seen the numbers of a job that was rolled back.
        let expected = [Ok(all(2)), Err(crate::error::Code::Conflict), Ok(all(3)), Ok(all(0)), Ok(all(4))];
        assert_eq!(given, expected);
        store.write_blocking(delete).unwrap();
        assert_eq!(store.write_blocking(|tx| insert(tx, 6)).unwrap(), all(5));
    }

    #[test]
    fn an_older_file_goes_on_after_its_newest_rows() {
        let conn = testing::conn();
        insert(&Tx::new(&conn), 1).unwrap();
        insert(&Tx::new(&conn), 2).unwrap();
        conn.execute_batch(
            "DROP TABLE row_numbers; DROP TRIGGER contacts_numbers; DROP TRIGGER sessions_numbers;
             DROP TRIGGER messages_numbers; DROP TRIGGER http_calls_numbers; DROP TRIGGER webhook_deliveries_numbers;
             DROP TRIGGER strays_numbers;",
        )
        .unwrap();
        conn.execute_batch(include_str!("migrations/7.sql")).unwrap();
        let sql = "SELECT contacts, sessions, messages, http_calls, webhook_deliveries, strays FROM row_numbers";
        let marks = conn.query_row(sql, [], |row| {
            Ok::<[i64; 6], _>([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?])
        });
        assert_eq!(marks.unwrap(), all(2));
        assert_eq!(insert(&Tx::new(&conn), 3).unwrap(), all(3));
    }
}
