//! `kill -9` at moments that nobody chose, under load and while calls and events are under way.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use testkit::meta::{Delivery, Fault, Gate, Pacing, Phone};
use testkit::site::{Seen, Site, answer};
use tokio::sync::Notify;

use crate::whatsapp::crash::{Mortal, heard, patiently, until};

/// Half of them are in a conversation, half have been silent.
const PEOPLE: usize = 200;
const KILLS: usize = 6;
/// Messages of each life that are taken and not answered.
const UNANSWERED: usize = 5;
/// Messages that are under way at once, as the outbox has it.
const IN_FLIGHT: usize = 64;

fn number(n: usize) -> String {
    format!("+1415666{n:04}")
}

/// A pause of up to so many milliseconds that no run repeats.
fn some_pause(longest: u64) -> Duration {
    Duration::from_millis(RandomState::new().build_hasher().finish() % longest)
}

/// Starts a flow for everybody who has no session yet, until the process is gone.
async fn trigger_all(
    mortal: &Mortal,
    (talk, cart): (&str, &str),
    sessions: &HashMap<usize, String>,
) -> Vec<(usize, String)> {
    let waiting = (0..PEOPLE).filter(|n| !sessions.contains_key(n));
    let triggered = futures::stream::iter(waiting).map(async |n: usize| {
        let (status, session) = mortal.trigger(if is_silent(n) { cart } else { talk }, &number(n)).await?;
        assert!(matches!(status, 200 | 201), "{status} {session}");
        Some((n, session["id"].as_str().unwrap().to_owned()))
    });
    triggered.buffer_unordered(8).filter_map(std::future::ready).collect().await
}

fn is_silent(n: usize) -> bool {
    n % 2 == 1
}

/// Kills the server again and again while messages go out, and gives how often each silent person got the template.
async fn kill_under_load(resend: &str) -> Vec<usize> {
    let settings = format!("resend = \"{resend}\"\n[outbox]\nunknown_after = \"1s\"\n");
    let mut mortal = Mortal::start(&settings, &[], Pacing::default()).await;
    let (talk, cart) = mortal.publish().await;
    let phones: Vec<Phone> = (0..PEOPLE).map(|n| mortal.cloud.phone(&number(n))).collect();
    for phone in phones.iter().step_by(2) {
        phone.say("hello");
    }
    until("everybody's hello", async || mortal.cloud.posted().len() >= PEOPLE / 2).await;

    // Nobody tells what became of a message, so that it stays in doubt.
    mortal.cloud.set_delivery(Delivery { delay_statuses: true, ..Delivery::default() });
    let mut sessions = HashMap::new();
    for _ in 0..KILLS {
        let gate = Gate::closed();
        mortal.cloud.next_times(UNANSWERED, Fault::HoldAnswer(gate.clone()));
        let calling = trigger_all(&mortal, (&talk, &cart), &sessions);
        let pid = mortal.server.pid().to_string();
        let killing = async {
            tokio::time::sleep(some_pause(700)).await;
            assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        };
        let (answered, ()) = tokio::join!(calling, killing);
        sessions.extend(answered);
        mortal.server.wait_until_dead().await;
        mortal.cloud.clear_faults();
        gate.open();
        mortal.restart().await;
    }
    let answered = trigger_all(&mortal, (&talk, &cart), &sessions).await;
    sessions.extend(answered);
    assert_eq!(sessions.len(), PEOPLE);
    let has_all = |n: usize| match is_silent(n) {
        true => resend != "all" || !phones[n].inbox().is_empty(),
        false => phones[n].texts().last().is_some_and(|text| text == "And you?"),
    };
    until("everybody's messages", async || (0..PEOPLE).all(has_all) && mortal.has_nothing_under_way().await).await;

    let mut doubled = 0;
    for n in (0..PEOPLE).step_by(2) {
        let heard = heard(&phones[n]);
        let texts: Vec<&str> = heard.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["One.", "Two.", "And you?"], "{n}");
        doubled += heard.iter().map(|(_, times)| times - 1).sum::<usize>();
    }
    for (n, id) in &sessions {
        let session = mortal.session(id).await;
        assert_eq!((&session["status"], &session["waiting_for"]), (&json!("running"), &json!("reply")), "{n}");
        assert!(session["wake_at"].is_string(), "{n}: no timeout is armed: {session}");
    }
    for n in 0..10 {
        let count = phones[n].inbox().len();
        phones[n].say(if is_silent(n) { "Check out" } else { "tea" });
        phones[n].wait_for(count + 1).await;
        assert_eq!(mortal.session(&sessions[&n]).await["status"], "completed", "{n}");
    }
    assert_eq!(mortal.with_status("failed").await, [] as [Value; 0]);
    let unknown = mortal.with_status("unknown").await;
    let arrivals: Vec<usize> = (0..PEOPLE)
        .filter(|n| is_silent(*n))
        .map(|n| {
            let heard = heard(&phones[n]);
            let arrivals =
                heard.first().filter(|(text, _)| text.starts_with("Hi there")).map_or(0, |(_, times)| *times);
            let is_unknown = unknown.iter().any(|message| message["contact"]["phone"] == number(n));
            assert!(arrivals > 0 || is_unknown, "{n} got nothing, and nothing says so");
            doubled += arrivals.saturating_sub(1);
            arrivals
        })
        .collect();
    assert!(doubled + unknown.len() > 0, "nothing was under way when the process was killed");
    assert!(doubled <= KILLS * IN_FLIGHT, "{doubled} came again");
    mortal.assert_at_rest().await;
    arrivals
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_nothing_where_all_is_sent_again() {
    let arrivals = kill_under_load("all").await;
    assert!(arrivals.iter().all(|times| *times > 0), "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_double_no_template_where_only_texts_are_sent_again() {
    let arrivals = kill_under_load("texts").await;
    assert!(arrivals.iter().all(|times| *times <= 1), "{arrivals:?}");
}

/// A conversation that asks a site first, and would not ask again by itself.
fn calling(url: &str) -> Value {
    json!({
        "schema_version": 1, "name": "Call", "entry_node": "call",
        "nodes": [
            {"id": "call", "type": "http_request", "method": "POST", "url": url, "timeout_ms": 30000, "max_retries": 0,
             "save_as": "answer",
             "exits": {"success": "good", "failure": "bad"}},
            {"id": "good", "type": "end", "outcome": "good", "text": "It is {{context.answer.body.colour}}."},
            {"id": "bad", "type": "end", "outcome": "bad"}
        ]
    })
}

/// Lets through whatever waits at a gate, from now on.
fn open(gate: Arc<Notify>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            gate.notify_waiters();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

fn keys(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_are_made_again_under_their_keys_and_heard_once() {
    const CALLS: usize = 12;
    let gate = Arc::new(Notify::new());
    let green = |_: &Seen| answer(200, "application/json", br#"{"colour": "green"}"#);
    let site = Site::start_slow(gate.clone(), green).await;
    let settings = "[http_request]\nallow = [\"127.0.0.1/32\"]\n";
    let mut mortal = Mortal::start(settings, &[], Pacing::OFF).await;
    let flow = mortal.server.publish(&mortal.token, &calling(&site.url("/colour"))).await;
    let phones: Vec<Phone> = (0..CALLS).map(|n| mortal.cloud.phone(&number(n))).collect();
    phones.iter().for_each(|phone| drop(phone.say("hello")));
    until("everybody's hello", async || mortal.cloud.posted().len() == CALLS).await;
    let mut sessions = Vec::new();
    for n in 0..CALLS {
        sessions.push(mortal.trigger(&flow, &number(n)).await.unwrap().1["id"].as_str().unwrap().to_owned());
    }
    patiently("the calls", site.wait_for(CALLS)).await;
    mortal.server.kill();
    let before: BTreeSet<String> = keys(&site.seen()).into_iter().collect();
    assert_eq!(before.len(), CALLS, "each call has a key of its own");

    mortal.restart().await;
    patiently("the calls again", site.wait_for(2 * CALLS)).await;
    let opened = open(gate);
    for phone in &phones {
        phone.wait_for(1).await;
    }
    opened.abort();
    let after = keys(&site.seen()[CALLS..]);
    assert_eq!(after.len(), CALLS, "each is made once again");
    assert_eq!(after.into_iter().collect::<BTreeSet<_>>(), before);
    for (phone, id) in phones.iter().zip(&sessions) {
        assert_eq!(phone.texts(), ["It is green."]);
        let session = mortal.session(id).await;
        assert_eq!((&session["outcome"], &session["turn"]), (&json!("good"), &json!(2)));
    }
    until("the last answer of the cloud", async || mortal.with_status("sending").await.is_empty()).await;
    mortal.assert_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_under_way_are_told_again_under_their_ids_and_in_order() {
    const PEOPLE: usize = 8;
    /// How many the endpoint takes before the process is killed.
    const TAKEN: usize = 9;
    let gate = Arc::new(Notify::new());
    let site = Site::start_slow(gate.clone(), |_| answer(204, "text/plain", b"")).await;
    let mut mortal = Mortal::start("", &[], Pacing::OFF).await;
    let (talk, _) = mortal.publish().await;
    let endpoint =
        json!({"url": site.url("/"), "events": ["session.started", "session.completed", "message.received"]});
    let endpoint = mortal.server.send(&mortal.token, "POST", "/api/v1/webhook-endpoints", &endpoint).await;
    let path = format!("/api/v1/webhook-endpoints/{}/deliveries?limit=200", endpoint["id"].as_str().unwrap());
    // The test goes beside the queue.
    patiently("the test", site.wait_for(1)).await;
    gate.notify_one();
    until("the test's row", async || mortal.server.get(&mortal.token, &path).await["data"][0]["status"] == "sent")
        .await;
    for n in 0..PEOPLE {
        let phone = mortal.cloud.phone(&number(n));
        phone.say("hello");
        let hellos = || mortal.cloud.posted().iter().filter(|posted| posted.body.contains("hello")).count();
        until("the hello", async || hellos() == n + 1).await;
        mortal.trigger(&talk, &number(n)).await.unwrap();
        phone.wait_for(3).await;
        phone.say("tea");
        phone.wait_for(4).await;
    }
    for taken in 1..TAKEN {
        patiently("an event", site.wait_for(taken + 1)).await;
        gate.notify_one();
    }
    patiently("the last event", site.wait_for(TAKEN + 1)).await;
    mortal.server.kill();
    let before = site.seen().len();
    assert!(before <= TAKEN + PEOPLE, "one at a time of each person");

    mortal.restart().await;
    let opened = open(gate);
    until("every event", async || {
        let listed = mortal.server.get(&mortal.token, &path).await;
        listed["data"].as_array().unwrap().iter().all(|row| row["status"] == "sent")
    })
    .await;
    opened.abort();
    let listed = mortal.server.get(&mortal.token, &path).await["data"].as_array().unwrap().clone();
    let queued: Vec<&str> = listed.iter().rev().map(|row| row["id"].as_str().unwrap()).collect();
    assert!(queued.len() > PEOPLE * 3, "{}", queued.len());
    let seen = site.seen();
    let ids: Vec<&str> = seen.iter().map(|request| request.header("x-qyvo-delivery-id").unwrap()).collect();
    assert!(ids[before..].iter().any(|id| ids[..before].contains(id)), "what was under way is told again");
    for n in 0..PEOPLE {
        let digits = number(n)[1..].to_owned();
        let of_person = |id: &&&str| {
            seen.iter().any(|it| it.header("x-qyvo-delivery-id") == Some(**id) && it.body.contains(&digits))
        };
        let told: Vec<&&str> = queued.iter().filter(of_person).collect();
        assert!(told.len() >= 3, "{told:?}");
        let first_at = |id: &&&str| ids.iter().position(|other| other == *id).unwrap();
        assert!(told.is_sorted_by_key(first_at), "each person's are told in order");
    }
    for (index, id) in ids.iter().enumerate() {
        let first = ids.iter().position(|other| other == id).unwrap();
        assert_eq!(seen[index].body, seen[first].body, "the same id is the same event");
    }
}
