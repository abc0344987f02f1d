//! The lanes of the outbox, and how messages leave them.

use std::time::Duration;

use uuid::Uuid;

use super::lanes::*;
use super::*;
use crate::store::messages::{self, NewOutgoing};
use crate::store::testing::{self, now};

fn queue(tx: &Tx<'_>, n: u128, contact_seq: i64, channel: &str, session: Option<(i64, u32)>) -> i64 {
    let message = NewOutgoing {
        id: MessageId(Uuid::from_u128(n)),
        contact_seq,
        session,
        channel,
        kind: "text",
        body: "{}",
        status: MessageStatus::Queued,
        reason: None,
        next_attempt_at: Some(now()),
        origin: Origin::Flow,
        good_until: None,
        created_at: now(),
    };
    messages::insert_outgoing(tx, &message).unwrap()
}

fn row(tx: &Tx<'_>, seq: i64) -> OutboxRow {
    find(tx, seq).unwrap().unwrap()
}

#[test]
fn only_the_head_of_a_lane_is_due() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (_, one) = testing::flow_and_contact(&tx);
    let two = crate::store::contacts::insert(
        &tx,
        &crate::domain::Contact::new(testing::contact_id(2), Some("+14155550124".parse().unwrap())),
        "test",
        now(),
    )
    .unwrap();
    let [first, second, other, elsewhere] = [
        queue(&tx, 1, one, "whatsapp", None),
        queue(&tx, 2, one, "whatsapp", None),
        queue(&tx, 3, two, "whatsapp", None),
        queue(&tx, 4, one, "webhook", None),
    ];
    assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [first, other]);
    assert_eq!(due(&tx, "webhook", now(), 9).unwrap(), [elsewhere], "a channel is a lane of its own");
    assert_eq!(row(&tx, second).next_attempt_at, Some(parked()));
    assert!(is_behind(&tx, &row(&tx, second)).unwrap() && !is_behind(&tx, &row(&tx, first)).unwrap());
    assert!(!release(&tx, "whatsapp", one, now()).unwrap(), "its head is not parked");
    claim(&tx, first, None, now().plus(Duration::from_secs(60)), now()).unwrap();
    assert_eq!(due(&tx, "whatsapp", parked(), 9).unwrap(), [other, second], "and this one is held back");
    assert!(!release(&tx, "whatsapp", one, now()).unwrap());
    settle(&tx, first, MessageStatus::Sent, Some(now()), now()).unwrap();
    assert!(release(&tx, "whatsapp", one, now()).unwrap());
    assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [second, other]);
}

#[test]
fn dropping_a_head_lets_the_next_one_go() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let session = testing::running(&tx);
    let of_session = queue(&tx, 1, 1, "whatsapp", Some((session, 1)));
    let of_nobody = queue(&tx, 2, 1, "whatsapp", None);
    assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [of_session]);
    messages::fail_queued_of_session(&tx, session, None, "session_ended", now()).unwrap();
    assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [of_nobody]);
}

#[test]
fn what_waits_for_the_channel_alone_is_counted_by_its_people() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    testing::flow_and_contact(&tx);
    assert_eq!(held_up(&tx, "whatsapp", now()).unwrap(), None);
    let first = queue(&tx, 1, 1, "whatsapp", None);
    queue(&tx, 2, 1, "whatsapp", None);
    assert_eq!(held_up(&tx, "whatsapp", now()).unwrap(), Some((1, now())), "the second waits for the first");
    assert_eq!(held_up(&tx, "webhook", now()).unwrap(), None);
    assert_eq!(held_up(&tx, "whatsapp", now().minus(Duration::from_secs(1))).unwrap(), None, "not for long");
    delay_for_hours(&tx, first, now().plus(Duration::from_secs(60)), None).unwrap();
    assert_eq!(held_up(&tx, "whatsapp", now()).unwrap(), None, "it waits for its hours");
}

#[test]
fn a_start_brings_the_outbox_into_order() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    testing::flow_and_contact(&tx);
    let under_way = queue(&tx, 1, 1, "whatsapp", None);
    claim(&tx, under_way, None, now().plus(Duration::from_secs(60)), now()).unwrap();
    let behind = queue(&tx, 2, 1, "whatsapp", None);
    let elsewhere = queue(&tx, 3, 1, "webhook", None);
    let until = now().plus(Duration::from_secs(60));
    assert_eq!(recover(&tx, "whatsapp", "?", until, now()).unwrap(), 1);
    let doubtful = row(&tx, under_way);
    assert_eq!((doubtful.status, doubtful.next_attempt_at), (MessageStatus::Unknown, Some(until)));
    assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [] as [i64; 0], "the lane is held until it is decided");
    assert_eq!(row(&tx, elsewhere).next_attempt_at, Some(parked()), "nobody looks at it in vain");
    let next = next_due(&tx, "whatsapp").unwrap();
    assert_eq!(next, NextDue { queued: None, doubt: Some(until), sending_since: None });
    // The other channel is back.
    recover(&tx, "webhook", "?", until, now()).unwrap();
    assert_eq!(due(&tx, "webhook", now(), 9).unwrap(), [elsewhere]);
    // A head that was never released.
    assert_eq!(parked_heads(&tx, "whatsapp", 9).unwrap(), [] as [i64; 0]);
    settle(&tx, under_way, MessageStatus::Sent, None, now()).unwrap();
    assert_eq!(parked_heads(&tx, "whatsapp", 9).unwrap(), [behind]);
    recover(&tx, "whatsapp", "?", until, now()).unwrap();
    assert_eq!(due(&tx, "whatsapp", now(), 9).unwrap(), [behind]);
}

#[test]
fn no_query_of_the_outbox_scans_or_sorts_what_is_not_due() {
    let conn = testing::conn();
    for (sql, index) in [
        (DUE, "messages_outbox (next_attempt_at<?)"),
        (HELD_UP, "messages_outbox (next_attempt_at<?)"),
        (HOLDS_BACK, "messages_lane (contact_seq=?"),
        (RELEASE, "messages_lane (contact_seq=?)"),
        (STOP_WAITING, "messages_lane (contact_seq=?)"),
        (MOVE_GOOD_UNTIL, "messages_lane (contact_seq=?)"),
        (STOP_HOLDING, "messages_lane (contact_seq=?)"),
        (UNSETTLED_OF_TURN, "messages_lane (contact_seq=?)"),
        (TOO_OLD_ELSEWHERE, "messages_outbox (next_attempt_at>?)"),
        (IN_DOUBT, "messages_in_doubt (next_attempt_at"),
        (ABANDONED, "messages_sending (claimed_at<?)"),
        (PARKED_HEADS, "messages_outbox (next_attempt_at=?)"),
        (PARKED_HEADS, "messages_lane (contact_seq=?"),
        (HOLDS_BACK, "messages_lane (contact_seq=? AND rowid<?)"),
    ] {
        let plan = testing::plan(&conn, sql);
        let scans = plan.contains("SCAN messages") || plan.contains("TEMP");
        assert!(plan.contains(index) && !scans, "{sql}: {plan}");
    }
    let plan = testing::plan(&conn, &messages::INSERT_OUTGOING);
    assert!(plan.contains("messages_lane (contact_seq=?)") && !plan.contains("SCAN messages"), "{plan}");
}

#[test]
fn only_what_flows_and_systems_queued_is_dropped() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (_, contact_seq) = testing::flow_and_contact(&tx);
    let mut n = 0;
    let mut add = |origin, status, next_attempt_at| {
        n += 1;
        let message = NewOutgoing {
            id: MessageId(Uuid::from_u128(n)),
            contact_seq,
            session: None,
            channel: "whatsapp",
            kind: "text",
            body: "{}",
            status,
            reason: None,
            next_attempt_at,
            origin,
            good_until: None,
            created_at: now(),
        };
        messages::insert_outgoing(&tx, &message).unwrap();
    };
    for origin in [Origin::Flow, Origin::Api, Origin::Agent, Origin::Consent] {
        add(origin, MessageStatus::Queued, Some(now()));
    }
    add(Origin::Flow, MessageStatus::Sending, Some(now()));
    assert_eq!(fail_queued_of_contact(&tx, contact_seq, "opted_out", now()).unwrap().len(), 2);
    let left: String =
        tx.query_row("SELECT group_concat(origin || ' ' || status) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(left, "flow failed,api failed,agent queued,consent queued,flow sending");
    assert_eq!(fail_queued_confirmations(&tx, contact_seq, "opted_in", now()).unwrap().len(), 1);
    let left: String = tx
        .query_row("SELECT group_concat(origin) FROM messages WHERE status = 'queued'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, "agent");
}
