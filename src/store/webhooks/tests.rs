//! Tests of endpoints, their deliveries and lanes.

use std::time::Duration;

use uuid::Uuid;

use super::lanes::{DUE, HEAD, OLDEST, PARK_BEHIND, RELEASE, RESUME, WAITING};
use super::*;
use crate::store::testing::{self, now};

fn endpoint(tx: &Tx<'_>, n: u128, events: &[&str]) -> EndpointId {
    let id = EndpointId(Uuid::from_u128(n));
    let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
    let new = NewEndpoint { id, url: "https://e.example/", description: "", events: &events, secret: "whsec_1" };
    insert_endpoint(tx, &new, now()).unwrap();
    id
}

/// Queues delivery `n` about no contact.
fn queue(tx: &Tx<'_>, endpoint: EndpointId, n: u128, created_at: Timestamp) {
    queue_for(tx, endpoint, None, n, created_at);
}

/// Queues delivery `n` about a contact.
fn queue_for(tx: &Tx<'_>, endpoint: EndpointId, contact_seq: Option<i64>, n: u128, created_at: Timestamp) {
    let id = Uuid::from_u128(n);
    let delivery = NewDelivery { id, endpoint, contact_seq, event: "session.started", body: "{}", created_at };
    insert_delivery(tx, &delivery).unwrap();
}

/// The deliveries that may be posted at a time.
fn due_at(tx: &Tx<'_>, endpoint: EndpointId, at: Timestamp) -> Vec<u128> {
    due_beside(tx, endpoint, at, &[], 9)
}

fn due_beside(tx: &Tx<'_>, endpoint: EndpointId, at: Timestamp, under_way: &[i64], limit: usize) -> Vec<u128> {
    let found = due(tx, endpoint, at, under_way, limit).unwrap();
    found.map_or(Vec::new(), |(_, rows)| rows.iter().map(|row| row.id.as_u128()).collect())
}

fn row(tx: &Tx<'_>, n: u128) -> i64 {
    let sql = "SELECT seq FROM webhook_deliveries WHERE id = ?1";
    tx.query_row(sql, [Uuid::from_u128(n).as_bytes()], |row| row.get(0)).unwrap()
}

fn at(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn standing(tx: &Tx<'_>, endpoint: EndpointId) -> Standing {
    find_endpoint(tx, endpoint).unwrap().unwrap().standing
}

#[test]
fn only_active_endpoints_hear_and_only_what_they_want() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (all, some) = (endpoint(&tx, 1, &[]), endpoint(&tx, 2, &["session.started", "session.failed"]));
    let off = endpoint(&tx, 3, &[]);
    deactivate(&tx, off, now()).unwrap();
    let found = listeners(&tx).unwrap();
    let wants = |it: &Listener| (it.wants(EventKind::SessionFailed), it.wants(EventKind::SessionExpired));
    assert_eq!(
        found.iter().map(|it| (it.id, wants(it).0, wants(it).1)).collect::<Vec<_>>(),
        [(all, true, true), (some, true, false)]
    );
    for (n, id) in [(1, all), (2, some), (3, off), (4, EndpointId(Uuid::from_u128(9)))] {
        queue(&tx, id, n, now());
    }
    let listed = list_endpoints(&tx).unwrap();
    assert_eq!(
        listed.iter().map(|(it, queue)| (it.id, queue.queued)).collect::<Vec<_>>(),
        [(all, 1), (some, 1), (off, 0)]
    );
    assert!(delete_some(&tx, all, 9).unwrap() && delete_some(&tx, all, 9).unwrap());
    assert_eq!(find_endpoint(&tx, all).unwrap(), None);
    queue(&tx, some, 5, now());
    assert!(!delete_some(&tx, some, 1).unwrap() && !delete_some(&tx, some, 1).unwrap());
    assert!(delete_some(&tx, some, 1).unwrap());
}

#[test]
fn a_contacts_events_are_told_in_order_and_those_of_others_beside_them() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (one, other) = (endpoint(&tx, 1, &[]), endpoint(&tx, 2, &[]));
    for (n, contact) in [(1, Some(7)), (2, Some(7)), (3, Some(8)), (4, None), (5, None), (6, Some(7))] {
        queue_for(&tx, one, contact, n, at(n as u64));
    }
    queue_for(&tx, other, Some(7), 7, at(1));
    assert_eq!(due_at(&tx, one, at(0)), [] as [u128; 0]);
    assert_eq!((due_at(&tx, one, at(9)), due_at(&tx, other, at(9))), (vec![1, 3, 4], vec![7]));
    assert_eq!(due_beside(&tx, one, at(9), &[row(&tx, 1)], 1), [3], "one is under way");
    assert_eq!(waiting(&tx).unwrap(), [(one, at(1)), (other, at(1))]);

    // A head that failed holds up its lane alone.
    set_attempt_failed(&tx, row(&tx, 1), "status 500", Some(at(60)), at(10)).unwrap();
    set_sent(&tx, one, &[row(&tx, 4)], false, at(10)).unwrap();
    assert_eq!(due_at(&tx, one, at(10)), [3, 5], "those that have waited longest first");
    assert_eq!(due_at(&tx, one, at(60)), [3, 5, 1]);
    let parked = find_endpoint(&tx, one).unwrap().unwrap();
    let head = head_of_lane(&tx, parked.seq, Some(7)).unwrap().unwrap();
    assert_eq!((head.id.as_u128(), head.is_parked()), (1, false));
    let listed = list_deliveries(&tx, parked.seq, None, None, 9).unwrap();
    let shown = |it: &DeliveryRow| (it.id.as_u128(), it.is_parked());
    assert_eq!(
        listed.iter().map(shown).collect::<Vec<_>>(),
        [(6, true), (5, false), (4, false), (3, false), (2, true), (1, false)]
    );

    set_sent(&tx, one, &[row(&tx, 1), row(&tx, 3), row(&tx, 5)], false, at(60)).unwrap();
    assert_eq!(due_at(&tx, one, at(60)), [2]);
    // Given up, it makes room for the next.
    set_attempt_failed(&tx, row(&tx, 2), "status 404", None, at(61)).unwrap();
    assert_eq!(due_at(&tx, one, at(61)), [6]);
    set_sent(&tx, one, &[row(&tx, 6)], false, at(61)).unwrap();
    queue_for(&tx, one, Some(7), 8, at(62));
    assert_eq!(due_at(&tx, one, at(62)), [8], "an empty lane has a head at once");
    assert_eq!(prune(&tx, at(61), 9).unwrap(), 4);
    assert_eq!(lag(&tx).unwrap(), [(one, 1, Some(at(62))), (other, 1, Some(at(1)))]);
}

#[test]
fn how_an_endpoint_does_is_kept() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let one = endpoint(&tx, 1, &[]);
    for n in 1..=3 {
        queue_for(&tx, one, Some(n), n as u128, now());
    }
    set_attempt_failed(&tx, row(&tx, 1), "status 500", Some(at(5)), now()).unwrap();
    set_attempt_failed(&tx, row(&tx, 2), "status 503", Some(at(5)), at(1)).unwrap();
    let failing = find_endpoint(&tx, one).unwrap().unwrap();
    assert_eq!((failing.failing_since, failing.last_error.as_deref()), (Some(now()), Some("status 503")));

    // Taken to be down: one at a time, and only when its time has come.
    let down = Standing { failures: 8, failing_lane: Some(1), probe_at: Some(at(30)) };
    set_standing(&tx, one, &down).unwrap();
    assert_eq!(waiting(&tx).unwrap(), [(one, at(30))]);
    assert_eq!((due_at(&tx, one, at(29)), due_at(&tx, one, at(30))), (vec![], vec![3]));
    assert_eq!(due_beside(&tx, one, at(30), &[row(&tx, 3)], 9), [] as [u128; 0]);
    assert!(try_now(&tx, failing.seq, at(2)).unwrap());
    assert_eq!((standing(&tx, one).probe_at, due_at(&tx, one, at(2))), (Some(at(2)), vec![1]));

    // What was under way takes it out of nothing, its probe does, and what failed is tried at once.
    set_standing(&tx, one, &down).unwrap();
    set_attempt_failed(&tx, row(&tx, 1), "status 503", Some(at(900)), at(3)).unwrap();
    set_sent(&tx, one, &[row(&tx, 2)], false, at(4)).unwrap();
    assert_eq!(standing(&tx, one).probe_at, Some(at(30)));
    assert_eq!(find_endpoint(&tx, one).unwrap().unwrap().failing_since, None);
    set_sent(&tx, one, &[row(&tx, 3)], false, at(30)).unwrap();
    assert_eq!((standing(&tx, one), due_at(&tx, one, at(30))), (Standing::default(), vec![1]));

    for change in [
        EndpointChange { is_active: Some(true), ..EndpointChange::default() },
        EndpointChange { url: Some("https://other.example/".to_owned()), ..EndpointChange::default() },
    ] {
        set_standing(&tx, one, &down).unwrap();
        set_attempt_failed(&tx, row(&tx, 1), "status 503", Some(at(900)), at(31)).unwrap();
        assert!(update_endpoint(&tx, one, &change, at(31)).unwrap());
        let known = find_endpoint(&tx, one).unwrap().unwrap();
        assert_eq!((known.standing, known.failing_since), (Standing::default(), None));
        assert_eq!(due_at(&tx, one, at(31)), [1], "there is new hope");
    }
}

#[test]
fn a_test_is_in_no_lane() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let one = endpoint(&tx, 1, &[]);
    let id = Uuid::from_u128(1);
    let test =
        NewDelivery { id, endpoint: one, contact_seq: None, event: "webhook.test", body: "{}", created_at: now() };
    insert_test(&tx, &test).unwrap();
    let seq = find_endpoint(&tx, one).unwrap().unwrap().seq;
    assert_eq!((waiting(&tx).unwrap(), due_at(&tx, one, now())), (vec![], vec![]));
    assert!(!try_now(&tx, seq, now()).unwrap());
    assert_eq!(lag(&tx).unwrap(), [(one, 1, None)]);
    assert_eq!(super::tests(&tx).unwrap(), [(one, id)]);
    queue(&tx, one, 2, at(1));
    queue(&tx, one, 3, at(2));
    assert_eq!(due_at(&tx, one, at(2)), [2]);
    assert_eq!(lag(&tx).unwrap(), [(one, 3, Some(at(1)))]);
    let (_, made) = find_test(&tx, one, id).unwrap().unwrap();
    let down = Standing { failures: 8, failing_lane: Some(0), probe_at: Some(at(30)) };
    set_standing(&tx, one, &down).unwrap();
    set_sent(&tx, one, &[made.seq], true, at(2)).unwrap();
    assert_eq!((find_test(&tx, one, id).unwrap(), super::tests(&tx).unwrap()), (None, vec![]));
    assert_eq!((due_at(&tx, one, at(2)), standing(&tx, one)), (vec![2], Standing::default()), "it does take something");
}

#[test]
fn what_is_old_is_given_up_and_lanes_go_on() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let one = endpoint(&tx, 1, &[]);
    for (n, contact) in [(1, 7), (2, 7), (3, 8), (4, 7)] {
        queue_for(&tx, one, Some(contact), n, at(n as u64));
    }
    assert_eq!(give_up_oldest(&tx, one, at(2), "too old", at(9), 1).unwrap(), 1);
    assert_eq!(due_at(&tx, one, at(9)), [2, 3]);
    assert_eq!(give_up_oldest(&tx, one, at(2), "too old", at(9), 9).unwrap(), 1);
    assert_eq!(give_up_oldest(&tx, one, at(2), "too old", at(9), 9).unwrap(), 0);
    assert_eq!(due_at(&tx, one, at(9)), [3, 4]);
    let switched_off = EndpointChange { is_active: Some(false), ..EndpointChange::default() };
    assert!(update_endpoint(&tx, one, &switched_off, at(9)).unwrap());
    assert_eq!((due(&tx, one, at(99), &[], 9).unwrap(), waiting(&tx).unwrap()), (None, vec![]));
    let switched_on = EndpointChange { is_active: Some(true), ..EndpointChange::default() };
    assert!(update_endpoint(&tx, one, &switched_on, at(9)).unwrap());
    assert_eq!(due_at(&tx, one, at(9)), [3, 4]);
}

#[test]
fn two_lanes_that_become_one_have_one_head() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let one = endpoint(&tx, 1, &[]);
    for (n, contact) in [(1, 7), (2, 8), (3, 7), (4, 8)] {
        queue_for(&tx, one, Some(contact), n, now());
    }
    tx.execute("UPDATE webhook_deliveries SET contact_seq = 7", []).unwrap();
    join_lanes(&tx, 7).unwrap();
    assert_eq!(due_at(&tx, one, now()), [1]);
    // It was under way when the lanes were joined, and its failure makes no second head.
    set_attempt_failed(&tx, row(&tx, 2), "status 500", Some(at(5)), now()).unwrap();
    assert_eq!(due_at(&tx, one, at(5)), [1]);
    for n in 1..=4 {
        assert_eq!(due_at(&tx, one, at(5)), [n]);
        set_sent(&tx, one, &[row(&tx, n)], false, at(5)).unwrap();
    }
}

#[test]
fn a_lane_that_lost_its_head_is_found_and_released() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let one = endpoint(&tx, 1, &[]);
    for (n, contact) in [(1, Some(7)), (2, Some(7)), (3, None), (4, None), (5, Some(8))] {
        queue_for(&tx, one, contact, n, now());
    }
    assert_eq!(lanes_without_head(&tx).unwrap(), []);
    tx.execute("DELETE FROM webhook_deliveries WHERE seq IN (?1, ?2)", [row(&tx, 1), row(&tx, 3)]).unwrap();
    assert_eq!(due_at(&tx, one, now()), [5]);
    let lost = lanes_without_head(&tx).unwrap();
    assert_eq!(lost.iter().map(|(_, contact)| *contact).collect::<Vec<_>>(), [None, Some(7)]);
    release_lanes(&tx, &lost, now()).unwrap();
    assert_eq!(due_at(&tx, one, now()), [2, 4, 5]);
}

#[test]
fn an_older_file_has_the_first_of_each_lane_as_its_head() {
    let conn = Conn::open_in_memory().unwrap();
    for step in [
        include_str!("../migrations/1.sql"),
        include_str!("../migrations/2.sql"),
        include_str!("../migrations/3.sql"),
        include_str!("../migrations/4.sql"),
        include_str!("../migrations/5.sql"),
        include_str!("../migrations/6.sql"),
        include_str!("../migrations/7.sql"),
        include_str!("../migrations/8.sql"),
        include_str!("../migrations/9.sql"),
        include_str!("../migrations/10.sql"),
    ] {
        conn.execute_batch(step).unwrap();
    }
    testing::listen(&Tx::new(&conn));
    for (n, contact, next) in
        [(1, "NULL", "NULL"), (2, "NULL", "20"), (3, "7", "30"), (4, "NULL", "40"), (5, "7", "50")]
    {
        conn.execute_batch(&format!(
            "INSERT INTO webhook_deliveries (seq, id, endpoint_seq, contact_seq, event, body, status, next_attempt_at,
                 created_at, updated_at)
             VALUES ({n}, randomblob(16), 1, {contact}, 'e', '{{}}', 'queued', {next}, {n}, {n})"
        ))
        .unwrap();
    }
    conn.execute_batch(include_str!("../migrations/11.sql")).unwrap();
    let next: String = conn
        .query_row(
            "SELECT group_concat(coalesce(next_attempt_at, '-'), ' ') FROM
                 (SELECT next_attempt_at FROM webhook_deliveries ORDER BY seq)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(next, "- 20 30 253402207199999 253402207199999");
}

#[test]
fn no_query_of_the_worker_scans_deliveries() {
    let conn = testing::conn();
    for sql in [
        super::deliveries::INSERT,
        HEAD,
        RELEASE,
        DUE,
        RESUME,
        WAITING,
        OLDEST,
        PARK_BEHIND,
        LIST,
        "SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_by_endpoint
         WHERE endpoint_seq = ?1 AND seq < ?2 AND (?3 IS NULL OR status = ?3) ORDER BY seq DESC LIMIT ?4",
        "SELECT seq FROM webhook_deliveries INDEXED BY webhook_deliveries_by_age
         WHERE status IN ('sent', 'failed') AND updated_at < ?1 LIMIT ?2",
    ] {
        let plan = testing::plan(&conn, sql);
        let scans = ["SCAN d", "SCAN q", "SCAN c", "SCAN h", "SCAN webhook_deliveries", "TEMP"];
        assert!(!scans.iter().any(|scan| plan.contains(scan)), "{sql}: {plan}");
    }
}
