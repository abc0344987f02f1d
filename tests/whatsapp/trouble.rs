//! When the channel, the account or the network is not well.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::meta::{Fault, Pacing};
use crate::support::PHONE;
use crate::world::{World, cart, cart_context, cart_template};

fn phone(n: usize) -> String {
    format!("+1415555{n:04}")
}

#[actix_web::test]
async fn a_token_that_expires_overnight_loses_nothing() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let endpoint = json!({"url": "http://127.0.0.1:9/", "events": ["channel.paused"]});
    let endpoint = world.app.post("/webhook-endpoints", &endpoint).await.expect(201);
    world.cloud.revoke_token();
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(world.trigger(flow, &phone(n), cart_context()).await);
    }
    world.settle().await;
    assert!(world.cloud.accepted().is_empty());
    let ready = world.app.request(reqwest::Method::GET, "/readyz", None, None).await;
    assert_eq!(ready.status, 200, "it still takes triggers");
    assert_eq!(ready.body["status"], "degraded");
    let refused = world.cloud.refused().len();
    assert!(refused <= 3, "a paused channel is not asked on and on: {refused}");
    assert_eq!(world.with_status("queued").await.len(), 3, "nothing is lost");
    let deliveries = format!("/webhook-endpoints/{}/deliveries", endpoint["id"].as_str().unwrap());
    let deliveries = world.app.get(&deliveries).await.expect(200)["data"].as_array().unwrap().clone();
    let told = deliveries.iter().filter(|delivery| delivery["event"] == "channel.paused").count();
    assert_eq!(told, 1, "the operator is told once");

    // One is cancelled and one expires; the token comes in the morning, without a restart.
    let cancelled = ids[1].as_str().unwrap();
    world.app.post(&format!("/sessions/{cancelled}/cancel"), &json!({})).await.expect(200);
    world.wait(29 * 60).await;
    let fresh = world.trigger(flow, &phone(7), cart_context()).await;
    world.wait(120).await;
    assert_eq!(world.cloud.refused().len(), refused);
    world.cloud.set_token("EAAnew");
    let settings = json!({"whatsapp.access_token": "EAAnew"});
    let answer = world.app.send(reqwest::Method::PUT, "/settings", &[], Some(&settings)).await.expect(200);
    assert!(!answer.to_string().contains("EAAnew"), "a secret is never shown");
    world.settle().await;
    let accepted = world.cloud.accepted();
    assert_eq!(accepted.len(), 1, "only of sessions that live");
    assert_eq!(accepted[0].went_to.as_deref(), Some(phone(7).trim_start_matches('+')));
    assert_eq!(world.app.session(&fresh).await["status"], "running");
    let dropped = world.with_status("failed").await;
    assert_eq!(dropped.len(), 3);
    let ready = world.app.request(reqwest::Method::GET, "/readyz", None, None).await;
    assert_eq!(ready.body["status"], "ready");
}

#[actix_web::test]
async fn a_channel_that_is_down_for_ten_minutes_delays_messages_and_no_trigger() {
    let pacing = Pacing { pair: true, per_second: Some(80) };
    let world = World::start_with(pacing, |cloud| cloud.add_template(cart_template()), |_| {}).await;
    let flow = world.app.publish(&cart()).await;
    world.cloud.when(usize::MAX, |request| request.path.ends_with("/messages"), Fault::html());
    let mut slowest = Duration::ZERO;
    for n in 0..200 {
        let begun = Instant::now();
        world.trigger(flow, &phone(n), cart_context()).await;
        slowest = slowest.max(begun.elapsed());
        if n % 20 == 19 {
            world.wait(60).await;
        }
    }
    assert!(slowest < Duration::from_secs(2), "a trigger never waits for the channel: {slowest:?}");
    assert!(world.cloud.accepted().is_empty());
    world.cloud.clear_faults();
    for _ in 0..60 {
        world.wait(1).await;
    }
    let accepted = world.cloud.accepted();
    assert_eq!(accepted.len(), 200, "{:?}", world.with_status("failed").await.len());
    let order: Vec<_> = accepted.iter().map(|accepted| accepted.went_to.clone().unwrap()).collect();
    let mut sorted = order.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 200, "nobody got it twice");
    assert!(world.cloud.refused().iter().all(|refused| refused.error.code != 130_429), "paced by ourselves");
}

#[actix_web::test]
async fn a_message_accepted_late_gives_the_person_the_whole_time() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    world.cloud.when(usize::MAX, |request| request.path.ends_with("/messages"), Fault::html());
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    // Its twenty minutes pass while the message is not out.
    world.wait(1200).await;
    assert_eq!(world.app.session(&id).await["status"], "running", "the timeout does not fire for a message unsent");
    world.cloud.clear_faults();
    world.wait(60).await;
    assert_eq!(world.cloud.accepted().len(), 1);
    let accepted_at = world.cloud.now();
    let wake_at = world.app.session(&id).await["wake_at"].clone();
    assert_eq!(wake_at, json!(at(accepted_at + 1_200_000)));
}

fn at(millis: i64) -> String {
    qyvo::domain::Timestamp::from_millis(millis).to_iso_seconds()
}
