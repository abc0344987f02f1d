//! Sessions as they are stored, found and ended.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{FlowPin, MessageOption, ReplyKind, Status, WaitKind};
use crate::store::testing::{self, now};

fn at(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn option(id: &str, description: Option<&str>) -> MessageOption {
    MessageOption {
        id: id.to_owned(), title: "Überall \"5€\"".to_owned(), description: description.map(str::to_owned)
    }
}

#[test]
fn the_newest_of_a_kind_are_found_without_a_scan() {
    let conn = testing::conn();
    let plan = testing::plan(&conn, NEWEST_OF_RUN);
    let index = "sessions_by_flow (flow_seq=? AND status=? AND rowid<?)";
    assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP"), "{plan}");

    let tx = Tx::new(&conn);
    let (flow, contact) = testing::flow_and_contact(&tx);
    let other = testing::flow(&tx, 2);
    let mut rows = Vec::new();
    for n in 0..12_u32 {
        let mut session = testing::session(100 + u128::from(n));
        session.status = if n == 11 { Status::Running } else { Status::ALL[1 + n as usize % 4] };
        rows.push(insert(&tx, if n % 3 == 0 { other } else { flow }, contact, &session, None).unwrap());
    }
    rows.reverse();
    let seqs = |kind, flow_seq, limit| -> Vec<i64> {
        let found = newest_of_kind(&tx, kind, flow_seq, limit).unwrap();
        found.iter().map(|row| row.seq).collect()
    };
    assert_eq!(seqs(FlowKind::Flow, None, 100), rows);
    assert_eq!(seqs(FlowKind::Flow, None, 5), rows[..5]);
    let of_other: Vec<i64> = rows.iter().rev().step_by(3).copied().collect();
    assert_eq!(seqs(FlowKind::Flow, Some(other), 100), of_other.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(seqs(FlowKind::Sequence, None, 100), [] as [i64; 0]);
    assert_eq!(seqs(FlowKind::Sequence, Some(flow), 100), [] as [i64; 0]);
    let being_erased = crate::store::contacts::find_by_seq(&tx, contact).unwrap().unwrap().contact.id;
    tx.execute(
        "INSERT INTO erasures (contact_seq, contact_id, begun_at) VALUES (?1, ?2, 0)",
        params![contact, being_erased],
    )
    .unwrap();
    assert_eq!(seqs(FlowKind::Flow, None, 100), [] as [i64; 0]);
}

fn odd(n: u128) -> Session {
    Session {
        reason: Some("an odd 'reason'".to_owned()),
        outcome: Some(String::new()),
        current_node: Some("ask_1-a".parse().unwrap()),
        wait: Some(Wait {
            kind: WaitKind::Reply,
            entered_in: 3,
            armed_in: u32::MAX,
            attempts: 2,
            wake_at: Some(Timestamp::from_millis(i64::MAX)),
            timeout: Some(u64::MAX),
            moment: Some(at(4)),
            asked_at: Some(at(2)),
            options: vec![option("yes", None), option("no", Some("\u{0}\u{1F600}"))],
        }),
        turn: 500,
        seed: u64::MAX,
        draws: 1 << 63,
        visits: BTreeMap::from([("a".parse().unwrap(), 1), ("ask_1-a".parse().unwrap(), u32::MAX)]),
        context: json!({
            "zulu": null, "alpha": [1, -1, 1.5, 0.1, 1e300, i64::MIN, u64::MAX, "", {"": {}}],
            "text": "line\nend \u{2028} \u{0} \\ \"",
        })
        .as_object()
        .unwrap()
        .clone(),
        input: Some(SessionInput::of(
            ReplyKind::Tap,
            None,
            Some("yes"),
            Some(&serde_json::json!({"referral": {"source_id": "1"}, "referred_product": {"catalog_id": "2"}})),
        )),
        kept_events: vec![KeptEvent { name: "order.paid".parse().unwrap(), payload: json!({"total": [0.1]}) }],
        frames: vec![Frame {
            id: 2,
            flow: FlowPin { id: testing::flow_id(9), version: 3 },
            returns: false,
            current_node: Some("sub".parse().unwrap()),
            visits: BTreeMap::from([("sub".parse().unwrap(), 2)]),
            context: json!({"z": 1, "a": 0.1}).as_object().unwrap().clone(),
        }],
        spoken: vec![Spoken { node: "sub".parse().unwrap(), frame: 2 }],
        undelivered: Some("131026".to_owned()),
        queued_replies: vec![Reply {
            kind: ReplyKind::Text,
            text: Some("early".to_owned()),
            option: None,
            payload: Some(json!({"n": [0.1]})),
            answers_turn: Some(4),
            received_at: at(7),
        }],
        expires_at: Some(at(1800)),
        ..testing::session(n)
    }
}

fn end(tx: &Tx<'_>, seq: i64) {
    tx.execute("UPDATE sessions SET status = 'completed', due_at = NULL WHERE seq = ?1", [seq]).unwrap();
}

#[test]
fn a_session_comes_back_as_it_went() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
    let session = odd(1);
    let seq = insert(&tx, flow_seq, contact_seq, &session, None).unwrap();
    let mut stored = StoredSession { seq, flow_seq, contact_seq, prompted_at: None, session };
    assert_eq!(find_by_id(&tx, stored.session.id).unwrap().as_ref(), Some(&stored));
    assert_eq!(find_running(&tx, flow_seq, contact_seq).unwrap().as_ref(), Some(&stored));
    assert_eq!(find_running(&tx, flow_seq + 1, contact_seq).unwrap(), None);
    let columns = |tx: &Tx<'_>| {
        tx.query_row("SELECT waiting_for, wake_at, due_at FROM sessions", [], |row| {
            Ok((row.get::<_, Option<String>>(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap()
    };
    let wake_at = Some(Timestamp::from_millis(i64::MAX));
    assert_eq!(columns(&tx), (Some("reply".to_owned()), wake_at, Some(at(1800))));

    let session = &mut stored.session;
    *session = Session {
        wait: None,
        input: None,
        kept_events: Vec::new(),
        frames: Vec::new(),
        spoken: Vec::new(),
        undelivered: None,
        queued_replies: Vec::new(),
        current_node: None,
        expires_at: None,
        ..session.clone()
    };
    (session.status, session.ended_at, session.turn) = (Status::Completed, Some(at(5)), 501);
    session.context.shift_remove("zulu");
    stored.prompted_at = Some(at(1));
    update(&tx, seq, &stored.session, stored.prompted_at).unwrap();
    assert_eq!(find_by_seq(&tx, seq).unwrap().as_ref(), Some(&stored));
    assert_eq!(find_running(&tx, flow_seq, contact_seq).unwrap(), None);
    assert_eq!(columns(&tx), (None, None, None));
}

proptest! {
    #[test]
    fn numbers_come_back_to_the_last_bit(number in any::<f64>().prop_filter("JSON has no other", |n| n.is_finite())) {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
        let mut session = testing::session(1);
        session.context.insert("n".to_owned(), number.into());
        let seq = insert(&tx, flow_seq, contact_seq, &session, None).unwrap();
        prop_assert_eq!(find_by_seq(&tx, seq).unwrap().unwrap().session, session);
    }
}

#[test]
fn a_history_comes_by_flow_and_ends_with_an_empty_page() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
    let other_flow = testing::flow(&tx, 2);
    let mut seqs = Vec::new();
    for (n, flow) in [(1, flow_seq), (2, other_flow), (3, flow_seq), (4, flow_seq), (5, other_flow)] {
        let ended = Session { status: Status::Completed, ended_at: Some(at(n as u64)), ..testing::session(n) };
        seqs.push(insert(&tx, flow, contact_seq, &ended, None).unwrap());
    }
    let (mut listed, mut after) = (Vec::new(), Place::default());
    loop {
        let page = list_of_contact(&tx, contact_seq, after, 2).unwrap();
        let Some(last) = page.last() else { break };
        after = Place { flow_seq: last.flow_seq, seq: last.seq };
        listed.extend(page.into_iter().map(|stored| stored.seq));
    }
    assert_eq!(listed, [seqs[0], seqs[2], seqs[3], seqs[1], seqs[4]]);
    assert!(list_of_contact(&tx, contact_seq + 1, Place::default(), 2).unwrap().is_empty());
    for sql in [
        select!(
            "INDEXED BY sessions_history",
            "WHERE s.contact_seq = ?1 AND s.flow_seq = ?2 AND s.seq > ?3 ORDER BY s.seq LIMIT ?4"
        ),
        "SELECT flow_seq FROM sessions INDEXED BY sessions_history WHERE contact_seq = ?1 AND flow_seq > ?2
         ORDER BY flow_seq LIMIT 1",
        "SELECT seq FROM sessions INDEXED BY sessions_running WHERE contact_seq = ?1 AND status = 'running' LIMIT 1",
    ] {
        let plan = testing::plan(&conn, sql);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
    }
}

#[test]
fn a_session_is_cancelled_without_being_read() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let seq = testing::running(&tx);
    tx.execute("UPDATE sessions SET state = 'no JSON', turn = 7", []).unwrap();
    let marked = mark_cancelled(&tx, 1, "erased", at(1)).unwrap();
    assert_eq!(marked.map(|marked| (marked.seq, marked.flow_seq, marked.version, marked.turn)), Some((seq, 1, 1, 7)));
    assert_eq!(mark_cancelled(&tx, 1, "erased", at(1)).unwrap(), None);
    let row = tx.query_row("SELECT status, reason, due_at, ended_at FROM sessions WHERE seq = ?1", [seq], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<i64>>(2)?, row.get(3)?))
    });
    assert_eq!(row.unwrap(), ("cancelled".to_owned(), "erased".to_owned(), None, at(1)));

    insert(&tx, 1, 1, &odd(2), None).unwrap();
    mark_cancelled(&tx, 1, "erased", at(2)).unwrap();
    let cancelled = find_by_id(&tx, testing::session_id(2)).unwrap().unwrap().session;
    let (status, reason) = (Status::Cancelled, Some("erased".to_owned()));
    let (kept_events, queued_replies) = (Vec::new(), Vec::new());
    let nothing_ahead = Session { wait: None, kept_events, queued_replies, expires_at: None, ..odd(2) };
    assert_eq!(cancelled, Session { status, reason, ended_at: Some(at(2)), ..nothing_ahead });
}

#[test]
fn the_index_refuses_a_second_running_session() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
    let seq = insert(&tx, flow_seq, contact_seq, &testing::session(1), None).unwrap();
    let refused = insert(&tx, flow_seq, contact_seq, &testing::session(2), None).unwrap_err();
    assert!(refused.to_string().contains("UNIQUE"), "{refused}");
    end(&tx, seq);
    insert(&tx, flow_seq, contact_seq, &testing::session(3), None).unwrap();
}

#[test]
fn the_last_prompted_comes_first() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (_, contact_seq) = testing::flow_and_contact(&tx);
    for (n, prompted_at) in [(1, None), (2, Some(at(1))), (3, Some(at(9))), (4, Some(at(1))), (5, None)] {
        let flow_seq = testing::flow(&tx, 10 + n);
        insert(&tx, flow_seq, contact_seq, &testing::session(n), prompted_at).unwrap();
    }
    let ended = find_by_id(&tx, testing::session_id(3)).unwrap().unwrap();
    end(&tx, ended.seq);
    let ids: Vec<_> = running_of_contact(&tx, contact_seq).unwrap().iter().map(|found| found.session.id).collect();
    assert_eq!(ids, [4, 2, 5, 1].map(testing::session_id));
}

#[test]
fn the_last_ended_is_the_last_started() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
    assert_eq!(last_ended(&tx, flow_seq, contact_seq).unwrap(), None);
    for n in 1..=3 {
        let ended = Session { status: Status::Expired, ended_at: Some(at(10)), ..testing::session(n) };
        insert(&tx, flow_seq, contact_seq, &ended, None).unwrap();
    }
    insert(&tx, flow_seq, contact_seq, &testing::session(4), None).unwrap();
    assert_eq!(last_ended(&tx, flow_seq, contact_seq).unwrap(), Some((testing::session_id(3), at(10))));
    assert_eq!(last_ended(&tx, flow_seq + 1, contact_seq).unwrap(), None);
}

#[test]
fn timers_come_in_due_order() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (_, contact_seq) = testing::flow_and_contact(&tx);
    assert_eq!(next_due(&tx).unwrap(), None);
    let mut seqs = Vec::new();
    for (n, expires_at) in [(1, Some(at(30))), (2, None), (3, Some(at(10))), (4, Some(at(10))), (5, Some(at(99)))] {
        let session = Session { expires_at, ..testing::session(n) };
        let flow_seq = testing::flow(&tx, 10 + n);
        seqs.push(insert(&tx, flow_seq, contact_seq, &session, None).unwrap());
    }
    assert_eq!(next_due(&tx).unwrap(), Some(at(10)));
    assert_eq!(due(&tx, at(30), 9).unwrap(), [(seqs[2], at(10)), (seqs[3], at(10)), (seqs[0], at(30))]);
    assert_eq!(due(&tx, at(30), 1).unwrap(), [(seqs[2], at(10))]);
    for seq in [seqs[2], seqs[3]] {
        assert_eq!(mark_failed(&tx, seq, "bug", at(9)).unwrap(), None, "it is not due");
        assert!(mark_failed(&tx, seq, "bug", at(10)).unwrap().is_some());
    }
    assert_eq!(next_due(&tx).unwrap(), Some(at(30)));
    assert_eq!(due(&tx, at(29), 9).unwrap(), []);
}

#[test]
fn a_session_that_cannot_be_read_can_be_failed() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
    let seq = insert(&tx, flow_seq, contact_seq, &odd(1), None).unwrap();
    tx.execute("UPDATE sessions SET state = '{'", []).unwrap();
    assert!(find_by_seq(&tx, seq).is_err());
    let marked = mark_failed(&tx, seq, "unreadable", at(9999)).unwrap().unwrap();
    assert_eq!((marked.flow_seq, marked.version), (flow_seq, odd(1).version));
    assert_eq!(mark_failed(&tx, seq, "unreadable", at(9999)).unwrap(), None, "it has ended");

    let seq = insert(&tx, flow_seq, contact_seq, &odd(2), None).unwrap();
    mark_failed(&tx, seq, "bug", at(9999)).unwrap();
    let failed = find_by_seq(&tx, seq).unwrap().unwrap().session;
    let (status, reason) = (Status::Failed, Some("bug".to_owned()));
    assert_eq!(
        failed,
        Session {
            status,
            reason,
            wait: None,
            kept_events: Vec::new(),
            queued_replies: Vec::new(),
            expires_at: None,
            ended_at: Some(at(9999)),
            ..odd(2)
        }
    );
}

#[test]
fn no_query_of_the_hot_path_scans_or_sorts() {
    let conn = testing::conn();
    for (sql, index) in [
        (
            select!(
                "INDEXED BY sessions_running",
                "WHERE s.contact_seq = ?2 AND s.flow_seq = ?1 AND s.status = 'running'"
            ),
            "sessions_running",
        ),
        (
            select!("INDEXED BY sessions_running", "WHERE s.contact_seq = ?1 AND s.status = 'running'"),
            "sessions_running",
        ),
        (
            "SELECT id FROM sessions WHERE contact_seq = ?2 AND flow_seq = ?1 AND status <> 'running'
             AND ended_at IS NOT NULL ORDER BY seq DESC LIMIT 1",
            "sessions_history",
        ),
        (
            "SELECT seq FROM sessions WHERE status = 'running' AND due_at <= ?1 ORDER BY due_at, seq LIMIT ?2",
            "sessions_due",
        ),
        (
            "SELECT due_at FROM sessions WHERE status = 'running' AND due_at IS NOT NULL ORDER BY due_at LIMIT 1",
            "sessions_due",
        ),
    ] {
        let plan = testing::plan(&conn, sql);
        assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
    }
}

#[test]
fn sessions_that_ended_lately_are_found_unless_somebody_ended_them() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (flow_seq, contact_seq) = testing::flow_and_contact(&tx);
    let week = Duration::from_secs(7 * 24 * 3600);
    for (n, status, ago) in [
        (1, Status::Expired, 10),
        (2, Status::Completed, 5),
        (3, Status::Cancelled, 1),
        (4, Status::Failed, 20),
        (5, Status::Expired, 7 * 24 * 3600),
    ] {
        let ended_at = Some(now().minus(Duration::from_secs(ago)));
        let session = Session { status, ended_at, wait: None, ..testing::session(n) };
        insert(&tx, flow_seq, contact_seq, &session, None).unwrap();
    }
    let found = lately_ended(&tx, contact_seq, week, now()).unwrap();
    let ids: Vec<_> = found.into_iter().map(|stored| stored.session.id).collect();
    assert_eq!(ids, [2, 1, 4].map(testing::session_id));
}
