//! The access token is good no more: the channel pauses, somebody is told, and a new one lets the living go on.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::meta::sign;
use testkit::site::{Seen, Site, answer};

use crate::whatsapp::crash::{patiently, until};
use crate::whatsapp::world::{World, cart, cart_context, cart_template};

fn phone(n: usize) -> String {
    format!("+1415555{n:04}")
}

/// Asks to hear when the channel pauses and goes on, and gives the endpoint's secret.
async fn listen(world: &World, site: &Site) -> String {
    let wanted = json!({"url": site.url("/hook"), "events": ["channel.paused", "channel.resumed"]});
    let endpoint = world.app.post("/webhook-endpoints", &wanted).await.expect(201);
    endpoint["secret"].as_str().unwrap().to_owned()
}

async fn site() -> Site {
    Site::start(|_| answer(204, "text/plain", b"")).await
}

/// The events that came, each signed over its very bytes with the secret that the endpoint was given.
fn told(site: &Site, secret: &str) -> Vec<(String, Value)> {
    let told = |request: &Seen| {
        let signature = request.header("x-qyvo-signature").unwrap();
        let (at, signed) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let expected = sign(secret, format!("{at}.{}", request.body).as_bytes());
        assert_eq!(Some(signed), expected.strip_prefix("sha256="), "{}", request.body);
        assert_ne!(sign("another secret", format!("{at}.{}", request.body).as_bytes()), expected);
        let event = request.header("x-qyvo-event").unwrap().to_owned();
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["event"], event);
        (event, body["channel"].clone())
    };
    site.seen().iter().map(told).collect()
}

async fn readiness(world: &World) -> (u16, Value) {
    let ready = world.app.request(reqwest::Method::GET, "/readyz", None, None).await;
    (ready.status.as_u16(), ready.body["status"].clone())
}

async fn set_token(world: &World, token: &str) {
    world.cloud.set_token(token);
    let settings = json!({"whatsapp.access_token": token});
    let answer = world.app.send(reqwest::Method::PUT, "/settings", &[], Some(&settings)).await.expect(200);
    assert!(!answer.to_string().contains(token), "a secret is never shown");
}

/// Why the listed messages failed, by their sessions.
fn by_session(messages: &[Value]) -> BTreeMap<String, Value> {
    messages.iter().map(|row| (row["session_id"].as_str().unwrap().to_owned(), row["reason"].clone())).collect()
}

#[actix_web::test]
async fn a_new_token_lets_the_living_speak_and_says_why_the_others_do_not() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let site = site().await;
    let secret = listen(&world, &site).await;
    world.cloud.revoke_token();
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(world.trigger(flow, &phone(n), cart_context()).await);
    }
    world.settle().await;
    assert_eq!(readiness(&world).await, (200, json!("degraded")), "it still takes triggers");
    world.app.runtime.run_due_webhooks().await.unwrap();
    let heard = told(&site, &secret);
    let names: Vec<&str> = heard.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(names, ["webhook.test", "channel.paused"], "the operator is told once");
    assert_eq!((&heard[1].1["name"], &heard[1].1["reason"]), (&json!("whatsapp"), &json!("190")));
    let refused = world.cloud.refused().len();
    assert!(refused <= 4, "a paused channel is not asked on and on: {refused}");

    // Of four, one is cancelled, one's person says STOP, and two expire overnight; two more come before the morning.
    world.app.post(&format!("/sessions/{}/cancel", ids[1].as_str().unwrap()), &json!({})).await.expect(200);
    world.cloud.phone(&phone(2)).say("STOP");
    world.settle().await;
    world.wait(29 * 60).await;
    for n in [7, 8] {
        ids.push(world.trigger(flow, &phone(n), cart_context()).await);
    }
    world.wait(120).await;
    assert_eq!(world.cloud.refused().len(), refused);
    assert!(world.cloud.accepted().is_empty());
    set_token(&world, "EAAnew").await;
    world.settle().await;

    let reasons = by_session(&world.with_status("failed").await);
    let name = |n: usize| ids[n].as_str().unwrap().to_owned();
    let expected = [(0, "session_ended"), (1, "session_ended"), (2, "opted_out"), (3, "session_ended")];
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(n, reason)| (name(n), json!(reason))).collect();
    assert_eq!(reasons, expected);
    assert_eq!(world.with_status("failed").await.len(), expected.len(), "one message of each");
    for (n, ended) in [(0, "expired"), (1, "cancelled"), (2, "cancelled"), (3, "expired")] {
        assert_eq!(world.app.session(&ids[n]).await["status"], ended, "{n}");
    }
    let mut went_to: Vec<_> = world.cloud.accepted().into_iter().map(|it| (it.went_to.unwrap(), it.kind)).collect();
    went_to.sort();
    let digits = |n: usize| phone(n).trim_start_matches('+').to_owned();
    let expected = [(digits(2), "text"), (digits(7), "template"), (digits(8), "template")];
    assert_eq!(went_to, expected.map(|(to, kind)| (to, kind.to_owned())), "the living, and the word on STOP");
    for n in [4, 5] {
        assert_eq!(world.app.session(&ids[n]).await["status"], "running");
        let sent = world.with_status("delivered").await;
        assert_eq!(sent.iter().filter(|row| row["session_id"] == ids[n]).count(), 1);
    }
    assert_eq!(world.with_status("queued").await, [] as [Value; 0]);
    assert_eq!(readiness(&world).await, (200, json!("ready")));
    world.app.runtime.run_due_webhooks().await.unwrap();
    let heard = told(&site, &secret);
    assert_eq!(heard.last().unwrap().0, "channel.resumed");
    assert_eq!(heard.len(), 3);
}

#[actix_web::test]
async fn a_new_token_wakes_the_worker_by_itself() {
    let world = World::start_alive(|cloud| cloud.add_template(cart_template()), |_| {}).await;
    let flow = world.app.publish(&cart()).await;
    let site = site().await;
    let secret = listen(&world, &site).await;
    world.cloud.revoke_token();
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(world.trigger(flow, &phone(n), cart_context()).await);
    }
    patiently("the word that the channel is paused", site.wait_for(2)).await;
    until("degraded", async || readiness(&world).await == (200, json!("degraded"))).await;
    until("what was under way", async || world.with_status("queued").await.len() == 3).await;
    let refused = world.cloud.refused().len();
    world.app.post(&format!("/sessions/{}/cancel", ids[1].as_str().unwrap()), &json!({})).await.expect(200);
    set_token(&world, "EAAnew").await;
    // Nobody calls anything from here on.
    for n in [0, 2] {
        let inbox = world.cloud.phone(&phone(n)).wait_for(1).await;
        assert_eq!((inbox.len(), inbox[0].kind.as_str()), (1, "template"));
    }
    patiently("the word that it goes on", site.wait_for(3)).await;
    for under_way in ["queued", "sending", "sent"] {
        until("the last status", async || world.with_status(under_way).await.is_empty()).await;
    }
    assert_eq!(readiness(&world).await, (200, json!("ready")));
    let names: Vec<String> = told(&site, &secret).into_iter().map(|(event, _)| event).collect();
    assert_eq!(names, ["webhook.test", "channel.paused", "channel.resumed"]);
    assert_eq!(world.cloud.refused().len(), refused, "the old token was not tried again");
    assert_eq!(world.cloud.accepted().len(), 2);
    let reasons = by_session(&world.with_status("failed").await);
    assert_eq!(reasons, BTreeMap::from([(ids[1].as_str().unwrap().to_owned(), json!("session_ended"))]));
}
