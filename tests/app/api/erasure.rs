//! What an erasure leaves in the files: nothing, however often their pages were split and put together before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use qyvo::channels::incoming::{IncomingKind, Sender};
use qyvo::domain::{Direction, FlowId, FlowKind, HttpCall, ReplyKind};
use qyvo::runtime::{ContactRef, Inbound, OnRunning, Received, Runtime, Trigger, Triggered};
use qyvo::store::http_calls::NewCall;
use qyvo::store::sessions::Place;
use qyvo::store::{
    channels, contacts, erasure, http_calls, messages, outbox, sessions, settings, unprocessed_deliveries,
};
use serde_json::{Value, json};
use testkit::app::{TestApp, local};

/// People in the database.
const PEOPLE: u64 = 2_000;
/// Every so many of them is erased.
const EVERY: u64 = 10;

/// A flow whose session state, contact and trace grow with each answer.
fn survey() -> Value {
    let ask = |id: &str, next: &str| {
        json!({"id": id, "type": "ask", "text": "Hello {{contact.name}} {{context.secret}}", "save_as": id,
               "expects": "any", "exits": {"reply": next, "no_match": next}})
    };
    json!({
        "schema_version": 1, "name": "Survey", "entry_node": "one",
        "nodes": [
            ask("one", "know"),
            {"id": "know", "type": "update_contact", "name": "{{input.text}}",
             "email": "{{context.mail}}", "metadata": {"note": "{{context.secret}}"}, "add_tags": ["{{context.tag}}"],
             "exits": {"next": "two"}},
            ask("two", "three"),
            ask("three", "end"),
            {"id": "end", "type": "end", "text": "Thank you {{context.two}}"}
        ]
    })
}

/// A number in letters that no other text has.
fn word(n: u64, salt: u64) -> String {
    let mut x = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mut word = String::new();
    for _ in 0..12 {
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word.push(char::from(b'a' + (x >> 40) as u8 % 26));
    }
    word
}

/// A text that is a few bytes for some people and several pages for others.
fn text(n: u64, salt: u64) -> String {
    let times = match n % 17 {
        0 => 600,
        1..4 => 40,
        _ => n % 5,
    };
    format!("{}{}", word(n, salt), " and so on".repeat(times as usize))
}

fn phone(n: u64) -> String {
    // Scattered, so that addresses come in no order.
    format!("+1{:010}", 2_000_000_000 + n.wrapping_mul(2_654_435_761) % 7_999_999_999)
}

async fn trigger(runtime: &Runtime, flow_id: FlowId, n: u64) -> Triggered {
    let context = json!({"secret": text(n, 1), "mail": format!("{}@example.org", word(n, 2)), "tag": word(n, 3)});
    let context = context.as_object().unwrap().clone();
    let contact_ref = ContactRef::Phone(phone(n).parse().unwrap());
    runtime
        .handle(Trigger { flow_id, kind: FlowKind::Flow, contact_ref, context, on_running: OnRunning::Return })
        .await
        .unwrap()
}

async fn say(runtime: &Runtime, n: u64, salt: u64) -> Received {
    let inbound = Inbound {
        provider_id: format!("wamid.{}", word(n, salt + 100)),
        from: Sender::of_phone(&phone(n).parse().unwrap()),
        kind: IncomingKind::Reply(ReplyKind::Text),
        text: Some(text(n, salt)),
        option: None,
        reply_to: None,
        payload: None,
        sent_at: None,
        is_overheard: false,
        arrival: Arc::new(runtime.arrive()),
    };
    runtime.receive(inbound).await.unwrap()
}

/// All that must not be found any more of a person.
fn needles(n: u64, ids: &BTreeSet<String>) -> Vec<(String, Vec<u8>)> {
    let mut needles: Vec<(String, Vec<u8>)> = (1..=8)
        .map(|salt| (format!("word {salt} of person {n}"), word(n, salt).into_bytes()))
        .chain([4, 5, 6].map(|salt| (format!("provider id {salt} of {n}"), word(n, salt + 100).into_bytes())))
        .collect();
    needles.push((format!("phone of person {n}"), phone(n).as_bytes()[1..].to_vec()));
    for id in ids {
        needles.push((format!("id {id} as text"), id.clone().into_bytes()));
        let bytes = id.parse::<uuid::Uuid>().unwrap().into_bytes().to_vec();
        needles.push((format!("id {id} as bytes"), bytes));
    }
    needles
}

/// Which of the needles are in the files of the database.
fn found(folder: &Path, needles: &[(String, Vec<u8>)]) -> Vec<String> {
    // Needles have 8 bytes at least. The beginnings tell which of them may stand at a place.
    let mut by_start: HashMap<[u8; 8], Vec<&(String, Vec<u8>)>> = HashMap::new();
    let mut may_start = vec![false; 1 << 16];
    for needle in needles {
        let start = *needle.1.first_chunk().unwrap();
        may_start[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
        by_start.entry(start).or_default().push(needle);
    }
    let mut found = BTreeSet::new();
    for file in ["qyvo.db", "qyvo.db-wal", "qyvo.db-shm"] {
        let Ok(bytes) = std::fs::read(folder.join(file)) else { continue };
        let mut at = 0;
        while let Some(start) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            if may_start[usize::from(u16::from_le_bytes([start[0], start[1]]))] {
                let here = by_start.get(start).into_iter().flatten();
                for (name, _) in here.filter(|(_, needle)| bytes[at..].starts_with(needle)) {
                    found.insert(format!("{name} in {file}, page {} at {}", at / 4096 + 1, at % 4096));
                }
            }
            at += 1;
        }
    }
    found.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_person_is_left_in_the_files() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&survey()).await;
        // What is to be told of people has in it what they wrote.
        let endpoint = json!({"url": "http://127.0.0.1:9/hook", "events": ["message.received", "session.completed"]});
        app.post("/webhook-endpoints", &endpoint).await.expect(201);
        let mut ids = vec![BTreeSet::new(); PEOPLE as usize];
        // Everybody does one step before anybody does the next, so that rows grow and pages split all over the file.
        for step in 0..4 {
            let people: Vec<u64> = (0..PEOPLE).collect();
            for chunk in people.chunks(200) {
                let jobs = chunk.iter().map(|&n| {
                    let runtime = app.runtime.clone();
                    async move {
                        if step == 0 {
                            match trigger(&runtime, flow, n).await {
                                Triggered::Started { id, contact_id, .. } => {
                                    vec![id.to_string(), contact_id.to_string()]
                                }
                                other => panic!("{other:?}"),
                            }
                        } else {
                            vec![say(&runtime, n, 3 + step).await.message_id.to_string()]
                        }
                    }
                });
                let new = futures_util::future::join_all(jobs).await;
                for (n, new) in chunk.iter().zip(new) {
                    ids[*n as usize].extend(new);
                }
            }
            // What people are searched by changes with the second step.
            while app.runtime.run_search_index_once().await.unwrap() > 0 {}
        }
        let wanted: Vec<u64> = (0..PEOPLE).step_by(EVERY as usize).collect();
        for n in 0..PEOPLE {
            leave_traces(&app, n).await;
        }
        let needles: Vec<_> = wanted.iter().flat_map(|&n| needles(n, &ids[n as usize])).collect();
        assert!(found(app.folder.path(), &needles).len() >= needles.len(), "the test looks for what is there");
        for n in wanted {
            let path = format!("/contacts?phone=%2B{}", &phone(n)[1..]);
            let id = app.get(&path).await.expect(200)["data"][0]["id"].as_str().unwrap().to_owned();
            app.delete(&format!("/contacts/{id}")).await.expect(200);
        }
        let cleared = app.runtime.clear_page_residue().await.unwrap();
        assert!(cleared > 0, "SQLite leaves nothing behind any more");
        let left = found(app.folder.path(), &needles);
        assert!(left.is_empty(), "{} of {}: {left:#?}", left.len(), needles.len());
        assert_eq!(app.runtime.clear_page_residue().await.unwrap(), 0);
        let folder = app.stop().await;
        let left = found(folder.path(), &needles);
        assert!(left.is_empty(), "{} of {}: {left:#?}", left.len(), needles.len());
        let problems = qyvo::store::Direct::open(&folder.path().join("qyvo.db")).unwrap().check().unwrap();
        assert_eq!(problems, Vec::<String>::new());
    })
    .await;
}

/// Leaves of a person what deliveries, sending and calls leave.
async fn leave_traces(app: &TestApp, n: u64) {
    let now = app.clock.now();
    let raw = json!({"from": &phone(n)[1..], "what": text(n, 7)}).to_string();
    let call = HttpCall {
        node: "one".parse().unwrap(),
        method: "GET".to_owned(),
        url: format!("https://api.example.org/{}", text(n, 8).replace(' ', "-")),
        headers: BTreeMap::new(),
        body: None,
        timeout_ms: 10_000,
        max_retries: 2,
    };
    let number = phone(n).parse().unwrap();
    let writing = app.runtime.store().write(move |tx| {
        assert!(unprocessed_deliveries::insert(tx, "whatsapp", "unknown", &raw, now)?);
        let contact = contacts::find_by_phone(tx, &number)?.unwrap();
        channels::set_pair_clock(tx, "whatsapp", contact.seq, now)?;
        let said = messages::list_of_contact(tx, contact.seq, None, 9)?;
        for message in said.iter().filter(|message| message.direction == Direction::Out) {
            outbox::add_stage(tx, message.seq, "sent", now)?;
            outbox::add_stage(tx, message.seq, "delivered", now)?;
        }
        let session = sessions::list_of_contact(tx, contact.seq, Place::default(), 1)?.remove(0);
        let id = uuid::Uuid::now_v7();
        http_calls::insert(tx, &NewCall { id, session_seq: session.seq, turn: 1, call: &call, created_at: now })
    });
    writing.await.unwrap();
}

/// Has rows grow here and there, so that their pages are split and put together anew.
async fn churn(app: &TestApp, salt: u64) {
    let now = app.clock.now();
    for round in 0..8_usize {
        let rows = app.runtime.store().write(move |tx| {
            (0..2_000_usize).filter(|n| round == 0 || n * 7 % 8 == round).try_for_each(|n| {
                let value = format!("\"{salt}: row {n} of round {round}{}\"", " grows".repeat(n * round % 40));
                settings::set(tx, &format!("{salt}.{:05}", n * 7919 % 2_000), &value, now)
            })
        });
        rows.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_use_has_no_page_looked_through_twice() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&survey()).await;
        let erase = async |n: u64| match trigger(&app.runtime, flow, n).await {
            Triggered::Started { contact_id, .. } => {
                app.delete(&format!("/contacts/{contact_id}")).await.expect(200);
            }
            other => panic!("{other:?}"),
        };
        let is_cleared = || app.runtime.store().read(erasure::uncleared).unwrap().is_none();
        churn(&app, 1).await;
        erase(1).await;
        let reader = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        reader.query_row("SELECT count(*) FROM contacts", [], |row| row.get::<_, i64>(0)).unwrap();
        assert!(app.runtime.clear_page_residue().await.unwrap() > 0);
        // Residue from now on is of people who are still there.
        churn(&app, 2).await;
        assert_eq!(app.runtime.clear_page_residue().await.unwrap(), 0);
        assert!(!is_cleared(), "the log has the pages as they were");
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(app.runtime.clear_page_residue().await.unwrap(), 0);
        assert!(is_cleared());
        erase(2).await;
        assert!(app.runtime.clear_page_residue().await.unwrap() > 0, "another erasure has all pages looked through");
        assert!(is_cleared());
        app.stop().await;
    })
    .await;
}
