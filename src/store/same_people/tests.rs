//! A file of version 4 with every kind of row, brought forward.

use crate::domain::{AddressKey, AddressKind, Phone};
use crate::store::schema::CURRENT;
use crate::store::{Conn, Tx, addresses, contacts, messages};

/// The schema of version 4 as that release made it.
const VERSION_4: &str = include_str!("../../../tests/schemas/4.sql");

fn file() -> Conn {
    let conn = Conn::open_in_memory().unwrap();
    conn.raw().pragma_update(None, "foreign_keys", true).unwrap();
    conn.execute_batch(VERSION_4).unwrap();
    conn
}

fn id(n: u32) -> String {
    format!("x'{n:032x}'")
}

fn contact(conn: &Conn, n: u32, addresses: &[&str], more: &str) {
    let opted_out = if more.contains("out") { "50" } else { "NULL" };
    conn.execute_batch(&format!(
        "INSERT INTO contacts (seq, id, name, source, metadata, opted_in_at, opted_out_at, total_messages,
         created_at, updated_at)
         VALUES ({n}, {}, 'Contact {n}', 'api', '{{\"n{n}\":{n}}}', {n}, {opted_out}, 1, {n}, {n});",
        id(n)
    ))
    .unwrap();
    for address in addresses {
        let (kind, value) = address.split_once(' ').unwrap_or(("phone", address));
        conn.execute("INSERT INTO addresses VALUES (?1, ?2, ?3, ?3, NULL)", (kind, value, n)).unwrap();
    }
}

fn session(conn: &Conn, n: u32, flow: u32, contact: u32, prompted_at: &str) {
    conn.execute_batch(&format!(
        "INSERT INTO sessions (seq, id, flow_seq, version, contact_seq, status, waiting_for, wake_at, expires_at,
         due_at, turn, prompted_at, state, started_at, last_interaction_at)
         VALUES ({n}, {}, {flow}, 1, {contact}, 'running', 'reply', 90, 99, 90, 1, {prompted_at}, 'not JSON', 1, 1);
         INSERT INTO messages (seq, id, contact_seq, session_seq, turn, direction, channel, type, body, status,
             next_attempt_at, created_at, updated_at, origin)
         VALUES ({n}, {}, {contact}, {n}, 1, 'out', 'webhook', 'text', '{{}}', 'queued', 1, 1, 1, 'flow');
         INSERT INTO http_calls (id, session_seq, turn, call, next_attempt_at, created_at)
         VALUES ({}, {n}, 1, '{{}}', 1, 1);",
        id(n),
        id(n),
        id(n)
    ))
    .unwrap();
}

fn owner(conn: &Conn, phone: &str) -> Option<i64> {
    addresses::owner(conn, &AddressKey::new(AddressKind::PHONE, phone)).unwrap()
}

fn text(conn: &Conn, sql: &str) -> String {
    conn.query_row(&format!("SELECT coalesce(({sql}), '-')"), [], |row| row.get(0)).unwrap()
}

#[test]
fn contacts_and_tags_of_an_older_file_are_joined() {
    let conn = file();
    for flow in 1..=3 {
        conn.execute_batch(&format!(
            "INSERT INTO flows (seq, id, kind, name, draft, revision, created_at, updated_at)
             VALUES ({flow}, {}, 'flow', 'Flow', '{{}}', 1, 1, 1);",
            id(flow)
        ))
        .unwrap();
    }
    // A prefix and the number without it; the younger one has opted out.
    contact(&conn, 1, &["+4407911123401"], "");
    contact(&conn, 2, &["+447911123401", "wa_id 447911123401"], "out");
    session(&conn, 1, 1, 1, "5");
    session(&conn, 2, 2, 2, "6");
    // Both forms of Benin; a flow runs for both, and the older contact's session spoke last.
    contact(&conn, 3, &["+22997258007"], "");
    contact(&conn, 4, &["+2290197258007"], "");
    session(&conn, 3, 1, 3, "8");
    session(&conn, 4, 1, 4, "7");
    session(&conn, 5, 2, 4, "NULL");
    // A prefix alone, of numbers that the plan knows and does not know yet; one of Italy; one of no plan.
    contact(&conn, 5, &["+49015123456701"], "");
    contact(&conn, 17, &["+4407000000"], "");
    contact(&conn, 6, &["+390612345601"], "");
    contact(&conn, 7, &["+440000000000000"], "");
    // Mexico, known by what WhatsApp calls the number; Ivory Coast; Argentina.
    contact(&conn, 8, &["+525512345678"], "");
    contact(&conn, 9, &["wa_id 5215512345678", "bsuid MX.1"], "");
    contact(&conn, 10, &["+22507123401"], "out");
    contact(&conn, 11, &["wa_id 2250707123401"], "");
    contact(&conn, 12, &["+541112345678"], "");
    contact(&conn, 13, &["+5491112345678"], "");
    // Two people by their ids, of whom one shows the other's number.
    contact(&conn, 14, &["+5541988887777", "bsuid BR.1"], "");
    contact(&conn, 15, &["+554188887777", "bsuid BR.2"], "");
    // A number that its contact has left.
    contact(&conn, 16, &["+5521987654321"], "");
    conn.execute_batch(&format!(
        "INSERT INTO addresses VALUES ('phone', '+552187654321', 6, 1, 2), ('phone', '+4915123456701', 7, 1, 2);
         INSERT INTO contact_redirects VALUES ({}, 4);
         INSERT INTO pair_clocks VALUES ('webhook', 3, 5), ('webhook', 4, 7);
         INSERT INTO webhook_endpoints (seq, id, url, description, events, secret, is_active, created_at, updated_at)
         VALUES (1, {}, 'https://example.org', '', '[]', 's', 1, 1, 1);
         INSERT INTO webhook_deliveries (id, endpoint_seq, contact_seq, event, body, status, created_at, updated_at)
         VALUES ({}, 1, 4, 'message.received', '{{}}', 'queued', 1, 1);
         INSERT INTO messages (seq, id, contact_seq, direction, channel, provider_id, type, body, status, created_at,
         updated_at)
         VALUES (90, {}, 2, 'in', 'webhook', '5', 'text', '{{}}', 'received', 1, 1);
         INSERT INTO message_stages VALUES (1, 'sent', 1);
         INSERT INTO tags VALUES (1, 'vip'), (2, 'vi\u{ad}p'), (3, '\u{3164}'), (4, 'cafe\u{301}'), (5, 'plain');
         INSERT INTO contact_tags VALUES (5, 1), (5, 2), (6, 2), (6, 3), (6, 4), (7, 5);
         UPDATE search_progress SET up_to = 100;",
        id(99),
        id(80),
        id(81),
        id(90)
    ))
    .unwrap();
    let told = CURRENT.prepare(&conn).unwrap();
    assert_eq!(
        told,
        [
            "5 contacts joined with another one, because their phone numbers are one number",
            "3 phone numbers lost the digits that are dialled only inside their country",
            "2 contacts left apart, although their phone numbers are one number",
            "3 tags joined with another one, or renamed, because they look the same",
        ]
    );
    assert_eq!(CURRENT.differences(&conn).unwrap(), Vec::<String>::new());
    assert_eq!(text(&conn, "SELECT count(*) || '' FROM pragma_foreign_key_check"), "0");
    assert_eq!(CURRENT.prepare(&conn).unwrap(), Vec::<String>::new());

    for (phone, expected) in [
        ("+447911123401", Some(1)),
        ("+4407911123401", None),
        ("+22997258007", Some(3)),
        ("+2290197258007", Some(3)),
        ("+4915123456701", Some(5)),
        ("+49015123456701", None),
        ("+390612345601", Some(6)),
        ("+440000000000000", Some(7)),
        ("+447000000", Some(17)),
        ("+525512345678", Some(8)),
        ("+22507123401", Some(10)),
        ("+541112345678", Some(12)),
        ("+5491112345678", Some(12)),
        ("+5541988887777", Some(14)),
        ("+554188887777", Some(15)),
        ("+5521987654321", Some(16)),
        ("+552187654321", None),
    ] {
        assert_eq!(owner(&conn, phone), expected, "{phone}");
    }
    let opted_out = "SELECT group_concat(seq, ' ') FROM contacts WHERE opted_out_at IS NOT NULL";
    assert_eq!(text(&conn, opted_out), "1 10", "an opt-out stands, whoever has it");
    let sessions =
        "SELECT group_concat(seq || ' ' || contact_seq || ' ' || status || ' ' || coalesce(reason, '-'), ', ')
                    FROM (SELECT * FROM sessions ORDER BY seq)";
    assert_eq!(
        text(&conn, sessions),
        "1 1 cancelled opted_out, 2 1 cancelled opted_out, 3 3 running -, 4 3 cancelled merged, 5 3 running -"
    );
    assert_eq!(text(&conn, "SELECT group_concat(seq, ' ') FROM sessions WHERE due_at IS NOT NULL"), "3 5");
    let messages =
        "SELECT group_concat(seq || ' ' || contact_seq || ' ' || status || ' ' || coalesce(reason, '-'), ', ')
                    FROM (SELECT * FROM messages ORDER BY seq)";
    assert_eq!(
        text(&conn, messages),
        "1 1 failed opted_out, 2 1 failed opted_out, 3 3 queued -, 4 3 failed merged, 5 3 queued -, 90 1 received -"
    );
    assert_eq!(text(&conn, "SELECT group_concat(session_seq, ' ') FROM http_calls"), "3 5");
    assert_eq!(
        text(&conn, "SELECT sum(value) || '' FROM counters WHERE name = 'session.cancelled' AND version = 1"),
        "3"
    );
    assert_eq!(text(&conn, "SELECT group_concat(session_seq, ' ') FROM turns"), "1 2 4");
    let redirects = "SELECT group_concat(hex(substr(old_id, 16)) || contact_seq, ' ')
                     FROM (SELECT * FROM contact_redirects ORDER BY old_id)";
    assert_eq!(text(&conn, redirects), "021 043 098 0B10 0D12 633");
    assert_eq!(text(&conn, "SELECT metadata FROM contacts WHERE seq = 3"), r#"{"n3":3,"n4":4}"#);
    assert_eq!(text(&conn, "SELECT contact_seq || '' FROM webhook_deliveries"), "3");
    assert_eq!(text(&conn, "SELECT group_concat(contact_seq || ' ' || arrival_at) FROM pair_clocks"), "3 7");
    let tags = "SELECT group_concat(contact_seq || t.name, ' ')
                FROM (SELECT * FROM contact_tags ORDER BY contact_seq, tag_seq) JOIN tags AS t ON t.seq = tag_seq";
    assert_eq!(text(&conn, tags), "5vip 6vip 6caf\u{e9} 7plain");
    assert_eq!(text(&conn, "SELECT group_concat(seq, ' ') FROM tags"), "1 4 5");

    // A message that came before is known again, as the same sender's alone.
    let phone: Phone = "+44 07911 123401".parse().unwrap();
    let known = contacts::find_by_phone(&conn, &phone).unwrap().unwrap();
    let again = |seq| messages::find_received(&conn, "webhook", (phone.as_str(), "5"), Some(seq)).unwrap().is_some();
    assert!(again(known.seq) && !again(3));
    // What is written from now on is written as in any other file.
    let tx = Tx::new(&conn);
    let before = known.contact.clone();
    let after = crate::domain::Contact { tags: vec!["vip".to_owned()], ..before.clone() };
    contacts::update(&tx, known.seq, &after, &before, known.created_at).unwrap();
}
