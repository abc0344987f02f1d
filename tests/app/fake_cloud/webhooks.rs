//! Webhooks: what people send and what becomes of messages, in whatever order, number and shape.

use serde_json::{Value, json};
use testkit::meta::{Delivery, Status, escape, sign};

use crate::fake_cloud::business::{ANNA, Business, START, template, text};

#[tokio::test]
async fn a_text_comes_as_escaped_json_signed_over_those_very_bytes() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    let wamid = anna.say("Grüße 👋");
    business.cloud.settle().await;
    let arrived = business.arrived();
    assert_eq!(arrived.len(), 1);
    assert!(
        arrived[0].raw.is_ascii() && arrived[0].raw.contains(r"Gr\u00fc\u00dfe \ud83d\udc4b"),
        "{}",
        arrived[0].raw
    );
    let signature = sign("app-secret", arrived[0].raw.as_bytes());
    assert_eq!(arrived[0].header("X-Hub-Signature-256"), Some(signature.as_str()));
    assert_eq!(
        arrived[0].json(),
        json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [{
            "field": "messages",
            "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
                "contacts": [{"profile": {"name": "Person 1"}, "user_id": anna.bsuid(), "wa_id": "4915112345678"}],
                "messages": [{
                    "from": "4915112345678",
                    "from_user_id": anna.bsuid(),
                    "id": wamid,
                    "timestamp": (START / 1000).to_string(),
                    "type": "text",
                    "text": {"body": "Grüße 👋"},
                }],
            },
        }]}]})
    );
}

#[test]
fn a_signature_is_that_of_the_specification() {
    // RFC 4231, test case 2.
    let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(sign("Jefe", b"what do ya want for nothing?"), expected);
    assert_eq!(escape("{\"ä\":\"€𝄞/\"}"), "{\"\\u00e4\":\"\\u20ac\\ud834\\udd1e/\"}");
}

#[tokio::test]
async fn every_kind_of_message_has_its_payload() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    let first = anna.say("hello");
    let ours = business.send(text("hi")).await;
    let sent = [
        anna.quote(&ours, "this one"),
        anna.send_image(Some("look")),
        anna.send_video(None),
        anna.send_audio(),
        anna.send_voice(),
        anna.send_document("offer.pdf"),
        anna.send_sticker(),
        anna.send_location(52.5, 13.4, Some("Home")),
        anna.send_contact("Bob", "+4915100000000"),
        anna.send_order("sku-1"),
        anna.react(&ours, Some("👍")),
        anna.react(&ours, None),
        anna.edit(&first, "hallo"),
        anna.revoke(&first),
        anna.send_unsupported(),
    ];
    business.cloud.settle().await;
    let messages = business.items("messages");
    let ids: Vec<&str> = messages[1..].iter().map(|message| message["id"].as_str().unwrap()).collect();
    assert_eq!(ids, sent);
    for message in &messages {
        assert!(
            message["from"] == "4915112345678"
                && message["from_user_id"].is_string()
                && message["timestamp"].is_string()
        );
        let kind = message["type"].as_str().unwrap();
        assert!(message.get(kind).is_some() || kind == "unsupported", "{message}");
    }
    let found = |kind: &str, pointer: &str| {
        let of_kind: Vec<_> = messages.iter().filter(|message| message["type"] == kind).collect();
        assert!(!of_kind.is_empty(), "{kind}");
        of_kind.iter().map(|message| message.pointer(pointer).cloned().unwrap_or_default()).collect::<Vec<Value>>()
    };
    assert_eq!(found("text", "/context/id"), [json!(null), json!(ours)]);
    assert_eq!(found("text", "/context/from"), [json!(null), json!("15550783881")]);
    assert_eq!(found("image", "/image/caption"), ["look"]);
    assert_eq!(found("audio", "/audio/voice"), [false, true]);
    assert_eq!(found("document", "/document/filename"), ["offer.pdf"]);
    assert_eq!(found("location", "/location/name"), ["Home"]);
    assert_eq!(found("contacts", "/contacts/0/phones/0/wa_id"), ["4915100000000"]);
    assert_eq!(found("reaction", "/reaction/emoji"), [json!("👍"), json!(null)]);
    assert_eq!(found("edit", "/edit/message/text/body"), ["hallo"]);
    assert_eq!(found("revoke", "/revoke/original_message_id"), [first.as_str()]);
    assert_eq!(found("unsupported", "/errors/0/code"), [131051]);
}

#[tokio::test]
async fn a_tap_answers_what_was_offered() {
    let business = Business::start();
    business.add_template();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    let buttons = json!([{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]);
    let menu = business
        .send(json!({"type": "interactive", "interactive": {
            "type": "button", "body": {"text": "?"}, "action": {"buttons": buttons},
        }}))
        .await;
    let rows = json!([{"title": "T", "rows": [{"id": "r1", "title": "Row", "description": "more"}]}]);
    let list = business
        .send(json!({"type": "interactive", "interactive": {
            "type": "list", "body": {"text": "?"}, "action": {"button": "Choose", "sections": rows},
        }}))
        .await;
    let cart = business.send(template(&["a", "b"])).await;
    anna.tap(&menu, "Yes");
    anna.tap(&list, "r1");
    anna.tap_without_context(&cart, "Check out");
    anna.tap(&cart, "Not now");
    business.cloud.settle().await;
    let taps: Vec<Value> = business.items("messages").split_off(1);
    assert_eq!(taps[0]["interactive"], json!({"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}}));
    assert_eq!(taps[0]["context"], json!({"from": "15550783881", "id": menu}));
    let row = json!({"id": "r1", "title": "Row", "description": "more"});
    assert_eq!(taps[1]["interactive"], json!({"type": "list_reply", "list_reply": row}));
    assert_eq!(taps[2]["button"], json!({"payload": "buy", "text": "Check out"}));
    assert_eq!(taps[2].get("context"), None);
    assert_eq!(taps[3]["button"], json!({"payload": "Not now", "text": "Not now"}), "no payload was given");
    assert_eq!(taps[3]["context"]["id"], json!(cart));
}

#[tokio::test]
async fn statuses_follow_a_message_with_its_callback_data() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    let mut message = text("one");
    message["biz_opaque_callback_data"] = "row-1".into();
    let wamid = business.send(message).await;
    anna.read(&wamid);
    anna.play(&wamid);
    business.cloud.fail(&wamid, 131026);
    business.cloud.settle().await;
    let arrived = business.arrived();
    let statuses = business.items("statuses");
    let names: Vec<&str> = statuses.iter().map(|status| status["status"].as_str().unwrap()).collect();
    assert_eq!(names, ["sent", "delivered", "read", "played", "failed"]);
    assert!(
        statuses.iter().all(|status| status["biz_opaque_callback_data"] == "row-1" && status["id"] == wamid.as_str())
    );
    assert!(statuses.iter().all(|status| status["recipient_id"] == "4915112345678"));
    assert_eq!(statuses.iter().filter(|status| status.get("pricing").is_some()).count(), 1);
    assert_eq!(statuses[0]["pricing"]["type"], "free_customer_service");
    let failed = arrived.last().unwrap();
    assert_eq!(failed.items("contacts"), [] as [Value; 0]);
    assert_eq!(statuses[4].get("recipient_user_id"), None);
    assert_eq!(statuses[4]["errors"][0]["code"], 131026);
    assert_eq!(arrived[1].items("contacts")[0]["user_id"], anna.bsuid());
}

#[tokio::test]
async fn a_phone_that_is_off_gets_its_messages_later_and_a_stranger_none() {
    let business = Business::start();
    business.add_template();
    let anna = business.cloud.phone(ANNA);
    anna.switch_off();
    business.send(template(&["a", "b"])).await;
    business.cloud.settle().await;
    assert_eq!(business.items("statuses").len(), 1);
    anna.switch_on();
    business.cloud.settle().await;
    assert_eq!(business.items("statuses")[1]["status"], "delivered");
    anna.leave_whatsapp();
    business.send(template(&["a", "b"])).await;
    business.cloud.settle().await;
    let statuses = business.items("statuses");
    assert_eq!((statuses.len(), &statuses[2]["errors"][0]["code"]), (3, &json!(131026)));
    assert_eq!(anna.inbox().len(), 1);
}

#[tokio::test]
async fn somebody_with_a_username_is_known_by_bsuid_alone_until_the_number_shows() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    anna.set_parent_bsuid("US.ENT.7");
    anna.hide_number("anna.b");
    anna.say("hidden");
    anna.show_number();
    anna.say("shown");
    business.cloud.settle().await;
    let arrived = business.arrived();
    assert!(!arrived[0].raw.contains("4915112345678"), "{}", arrived[0].raw);
    let contact = &arrived[0].items("contacts")[0];
    assert_eq!(contact["profile"]["username"], "anna.b");
    assert_eq!((&contact["user_id"], &contact["parent_user_id"]), (&json!(anna.bsuid()), &json!("US.ENT.7")));
    assert_eq!(arrived[0].items("messages")[0]["from_user_id"], anna.bsuid());
    let contact = &arrived[1].items("contacts")[0];
    assert_eq!((&contact["user_id"], &contact["wa_id"]), (&json!(anna.bsuid()), &json!("4915112345678")));
}

#[tokio::test]
async fn a_new_number_comes_with_a_new_bsuid_and_no_contacts() {
    let business = Business::start();
    business.add_template();
    let anna = business.cloud.phone(ANNA);
    let old = anna.bsuid();
    anna.change_number("+4915199999999");
    business.cloud.settle().await;
    let arrived = &business.arrived()[0];
    let message = &arrived.items("messages")[0];
    assert_eq!((&message["type"], &message["from"]), (&json!("system"), &json!("4915112345678")));
    assert_eq!(message["system"]["type"], "user_changed_number");
    assert_eq!(message["system"]["wa_id"], "4915199999999");
    assert_eq!((&message["from_user_id"], &message["system"]["user_id"]), (&json!(old), &json!(anna.bsuid())));
    assert_eq!(arrived.items("contacts"), [] as [Value; 0]);
    assert_ne!(anna.bsuid(), old);
    let mut to_new = template(&["a", "b"]);
    to_new["to"] = "+4915199999999".into();
    business.send(to_new).await;
    business.send(template(&["a", "b"])).await;
    assert_eq!(anna.inbox().len(), 1, "the old number is somebody else's");
    assert_eq!(business.refused(text("a system message opens no window")).await.0, 131047);
}

#[tokio::test]
async fn held_webhooks_wait_for_the_test() {
    let business = Business::start();
    business.cloud.set_delivery(Delivery { held: true, ..Delivery::default() });
    let anna = business.cloud.phone(ANNA);
    anna.say("one");
    anna.say("two");
    business.send(text("reply")).await;
    assert_eq!(business.arrived().len(), 0);
    let posted = business.cloud.deliver().await;
    assert_eq!(posted.iter().map(|posted| posted.status).collect::<Vec<_>>(), [Some(200); 4]);
    assert_eq!(business.cloud.deliver().await.len(), 0);
    assert_eq!(business.arrived().len(), 4);
}

#[tokio::test]
async fn webhooks_come_twice_shuffled_and_in_batches() {
    let business = Business::start();
    business.cloud.set_delivery(Delivery { held: true, twice: true, shuffled: true, ..Delivery::default() });
    let anna = business.cloud.phone(ANNA);
    let sent: Vec<String> = (0..20).map(|number| anna.say(&number.to_string())).collect();
    business.cloud.deliver().await;
    let ids = |items: Vec<Value>| items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut arrived = ids(business.items("messages"));
    let twice: Vec<String> = sent.iter().flat_map(|id| [id.clone(), id.clone()]).collect();
    assert_ne!(arrived, twice, "in order by chance");
    arrived.sort();
    assert_eq!(arrived, twice);

    let business = Business::start();
    business.cloud.set_delivery(Delivery { held: true, batch: 50, ..Delivery::default() });
    let (anna, bob) = (business.cloud.phone(ANNA), business.cloud.phone("+4915100000000"));
    let sent = [anna.say("one"), anna.say("two"), bob.say("three")];
    business.send(text("reply")).await;
    business.cloud.deliver().await;
    let arrived = business.arrived();
    assert_eq!(arrived.len(), 1);
    assert_eq!(ids(arrived[0].items("messages")), sent);
    assert_eq!(arrived[0].items("statuses").len(), 2);
    let body = arrived[0].json();
    assert_eq!(body["entry"].as_array().unwrap().len(), 2);
    assert_eq!(body["entry"][0]["changes"][0]["value"]["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn statuses_can_stay_behind_and_delivered_can_be_missing() {
    let business = Business::start();
    business.cloud.set_delivery(Delivery { delay_statuses: true, skip_delivered: true, ..Delivery::default() });
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    let wamid = business.send(text("reply")).await;
    anna.read(&wamid);
    business.cloud.settle().await;
    assert_eq!((business.items("messages").len(), business.items("statuses").len()), (1, 0));
    business.cloud.release_statuses();
    business.cloud.settle().await;
    let statuses = business.items("statuses");
    assert_eq!(statuses.iter().map(|status| &status["status"]).collect::<Vec<_>>(), ["sent", "read"]);
    business.cloud.send_status(&wamid, Status::Delivered);
    business.cloud.settle().await;
    assert_eq!(business.items("statuses").len(), 3);
}

#[tokio::test]
async fn a_webhook_is_repeated_until_it_is_answered_with_200() {
    let business = Business::start();
    business.cloud.set_delivery(Delivery { falling: vec![1_000, 60_000], ..Delivery::default() });
    business.answer_with(&[503, 202]);
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    business.cloud.settle().await;
    assert_eq!(business.arrived().len(), 1);
    business.advance(1_000);
    business.cloud.settle().await;
    assert_eq!(business.arrived().len(), 2, "202 is not 200");
    business.advance(59_999);
    business.cloud.settle().await;
    assert_eq!(business.arrived().len(), 2);
    business.advance(1);
    business.cloud.settle().await;
    let arrived = business.arrived();
    assert_eq!(arrived.len(), 3);
    assert!(arrived.iter().all(|again| again.raw == arrived[0].raw));
    business.advance(86_400_000);
    business.cloud.settle().await;
    assert_eq!(business.arrived().len(), 3);
    let attempts: Vec<_> = business.cloud.posted().iter().map(|posted| (posted.attempt, posted.status)).collect();
    assert_eq!(attempts, [(0, Some(503)), (1, Some(202)), (2, Some(200))]);

    business.answer_with(&[500, 500, 500]);
    anna.say("given up in the end");
    for _ in 0..4 {
        business.cloud.settle().await;
        business.advance(60_000);
    }
    assert_eq!(business.arrived().len(), 6);
}

#[tokio::test]
async fn the_challenge_is_made_and_any_body_can_be_posted() {
    let business = Business::start();
    assert!(business.cloud.verify_webhook().await);
    assert_eq!(business.cloud.verify_webhook_with("subscribe", Some("wrong"), "1").await.0, 403);
    assert_eq!(business.cloud.post_raw(b"{}", Some("sha256=00")).await, (200, "ok".to_owned()));
    assert_eq!(business.cloud.post_signed(b"{\"a\": 1}").await.0, 200);
    assert_eq!(business.cloud.post_raw(b"{}", None).await.0, 200);
    let arrived = business.arrived();
    assert_eq!(arrived[0].header("x-hub-signature-256"), Some("sha256=00"));
    assert_eq!(arrived[1].header("x-hub-signature-256"), Some(sign("app-secret", b"{\"a\": 1}").as_str()));
    assert_eq!(arrived[2].header("x-hub-signature-256"), None);
}

#[tokio::test]
async fn templates_and_the_account_are_told_about_by_webhook() {
    let business = Business::start();
    business.add_template();
    business.cloud.announce_template_status("abandoned_cart", "PAUSED", "QUALITY");
    business.cloud.announce_account_error(131031);
    business.cloud.settle().await;
    let arrived: Vec<Value> =
        business.arrived().iter().map(|arrived| arrived.json()["entry"][0]["changes"][0].clone()).collect();
    assert_eq!(arrived[0]["field"], "message_template_status_update");
    assert_eq!(arrived[0]["value"]["event"], "PAUSED");
    assert_eq!(arrived[0]["value"]["message_template_name"], "abandoned_cart");
    assert_eq!(arrived[1]["value"]["errors"][0]["code"], 131031);
    assert_eq!(business.refused(template(&["a", "b"])).await.0, 132015);
}
