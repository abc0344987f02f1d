//! What webhooks post is what the description says that they post.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};
use testkit::site::{Site, answer};

/// The schema of an event's payload, in the description.
fn payload_schema(description: &Value, event: &str) -> Value {
    let webhook = &description["webhooks"][event];
    assert!(webhook.is_object(), "{event} is not described");
    let schema = &webhook["post"]["requestBody"]["content"]["application/json"]["schema"];
    json!({"allOf": [schema], "components": {"schemas": description["components"]["schemas"]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payload_fits_its_description() {
    local(async {
        let app = TestApp::start().await;
        let site = Site::start(|_| answer(204, "text/plain", b"")).await;
        app.post("/webhook-endpoints", &json!({"url": site.url("/")})).await.expect(201);
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        app.trigger(flow, "+14155550124").await.expect(201);
        app.post("/actions/cancel-flow", &json!({"flow_id": flow, "phone": "+14155550124"})).await.expect(200);
        let handoff = json!({
            "schema_version": 1, "name": "Talk", "entry_node": "talk",
            "nodes": [{"id": "talk", "type": "handoff", "note": "Wants to talk"}],
        });
        let talk = app.publish(&handoff).await;
        app.trigger(talk, "+14155550125").await.expect(201);
        app.say(PHONE, "STOP").await;
        app.say(PHONE, "START").await;
        let card = json!({"contacts": [{"name": {"formatted_name": "Bob"}, "phones": [{"phone": "+14155550188"}]}]});
        for (id, kind, media) in [
            ("m1", "image", json!({"url": "https://x.example/a.png", "mime_type": "image/png"})),
            ("m2", "location", json!({"latitude": 52.5, "longitude": 13.4})),
            ("m3", "contacts", card),
        ] {
            let message = json!({"id": id, "from": PHONE, "type": kind, "media": media});
            app.post("/inbound", &message).await.expect(202);
        }
        app.post("/channels/simulator/pause", &json!({})).await.expect(200);
        app.post("/channels/simulator/resume", &json!({})).await.expect(200);
        while app.runtime.run_due_webhooks().await.unwrap() > 0 {}

        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/static/openapi.yaml");
        let description: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut seen = BTreeSet::new();
        for request in site.seen() {
            let event = request.header("x-qyvo-event").unwrap().to_owned();
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let schema = payload_schema(&description, &event);
            let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
            let wrong: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
            assert_eq!(wrong, [] as [&str; 0], "{event}: {body}");
            seen.insert(event);
        }
        for event in [
            "webhook.test",
            "session.started",
            "session.completed",
            "session.cancelled",
            "handoff.requested",
            "contact.opted_out",
            "contact.opted_in",
            "channel.paused",
            "channel.resumed",
            "message.received",
        ] {
            assert!(seen.contains(event), "{event} did not happen: {seen:?}");
        }
        app.stop().await;
    })
    .await;
}
