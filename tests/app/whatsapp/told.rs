//! What the operator's own systems are told of messages, key by key, as the public API documents it.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::Fault;
use testkit::site::{Site, answer};

use crate::whatsapp::world::World;

/// The bodies that were posted since the last look, with the headers checked.
async fn told(world: &World, site: &Site, seen: &mut usize) -> Vec<Value> {
    world.settle().await;
    world.app.runtime.run_due_webhooks().await.unwrap();
    let posted = site.seen().split_off(*seen);
    *seen += posted.len();
    let read = |request: &testkit::site::Seen| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["event"].as_str(), request.header("x-qyvo-event"));
        body
    };
    posted.iter().map(read).collect()
}

#[actix_web::test]
async fn messages_are_told_of_with_the_documented_keys() {
    let world = World::start(|_| {}).await;
    let site = Site::start(|_| answer(204, "text/plain", b"")).await;
    let events = [
        "message.received",
        "message.status.sent",
        "message.status.delivered",
        "message.status.read",
        "message.status.failed",
    ];
    let endpoint = world.app.post("/webhook-endpoints", &json!({"url": site.url("/hook"), "events": events})).await;
    let endpoint = endpoint.expect(201)["id"].clone();
    let mut seen = 0;
    let start = testkit::app::START;
    let test = json!({"event": "webhook.test", "webhook_id": endpoint, "timestamp": start});
    assert_eq!(told(&world, &site, &mut seen).await, [test]);

    let anna = world.cloud.phone(PHONE);
    anna.set_name("Anna");
    anna.say("Hello");
    let body = told(&world, &site, &mut seen).await.pop().unwrap();
    let contacts = world.app.get("/contacts").await.expect(200);
    let contact = contacts["data"][0]["id"].clone();
    let tenant = body["tenant_id"].clone();
    assert!(tenant.as_str().unwrap().parse::<uuid::Uuid>().is_ok(), "{tenant}");
    let stored = world.messages(&contact).await.pop().unwrap();
    let expected = json!({
        "event": "message.received", "timestamp": start, "tenant_id": tenant,
        "message": {
            "id": stored["id"], "direction": "inbound", "type": "text", "content": {"body": "Hello"},
            "status": "received", "contact_id": contact, "contact_phone": PHONE, "contact_name": "Anna",
            "contact_email": null, "sent_at": start, "delivered_at": null, "read_at": null, "created_at": start,
        },
        "contact": {
            "id": contact, "phone": PHONE, "name": "Anna", "email": null, "locale": null, "tags": [], "metadata": {},
            "opted_in_at": null, "opted_out_at": null, "created_at": start,
        },
    });
    assert_eq!(body, expected);
    anna.send_image(Some("Look"));
    let body = told(&world, &site, &mut seen).await.pop().unwrap();
    let message = &body["message"];
    assert_eq!((&message["type"], &message["content"]["mime_type"]), (&json!("image"), &json!("image/jpeg")), "{body}");
    assert!(message["content"]["url"].is_string() && message["content"]["caption"] == "Look", "{body}");

    // An agent's answer goes as a system's does.
    let path = format!("/contacts/{}/messages", contact.as_str().unwrap());
    let said = world.app.post(&path, &json!({"text": "Hi"})).await.expect(202)["id"].clone();
    let bodies = told(&world, &site, &mut seen).await;
    let wamid = world.cloud.accepted().last().unwrap().wamid.clone();
    let status = |event: &str| {
        json!({"event": event, "timestamp": start, "tenant_id": tenant, "message_id": said,
            "whatsapp_message_id": wamid})
    };
    // The price comes with one of its statuses, as WhatsApp tells it.
    let mut sent = status("message.status.sent");
    sent["pricing"] =
        json!({"billable": false, "pricing_model": "PMP", "category": "service", "type": "free_customer_service"});
    assert_eq!(bodies, [sent, status("message.status.delivered")]);
    anna.read(&wamid);
    assert_eq!(told(&world, &site, &mut seen).await, [status("message.status.read")]);

    world.cloud.next(Fault::error(131_026));
    let failed = world.app.post(&path, &json!({"text": "Hi?"})).await.expect(202)["id"].clone();
    let bodies = told(&world, &site, &mut seen).await;
    let [body] = bodies.as_slice() else { panic!("{bodies:?}") };
    let text = body["error_message"].as_str().unwrap();
    assert!(text.contains("undeliverable"), "{text}");
    let expected = json!({
        "event": "message.status.failed", "timestamp": start, "tenant_id": tenant, "message_id": failed,
        "whatsapp_message_id": null, "error_code": "131026", "error_message": text,
    });
    assert_eq!(*body, expected);
    world.assert_all_taken();
}
