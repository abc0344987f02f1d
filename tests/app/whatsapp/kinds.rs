//! Every kind of message that people send, from the signed webhook to what the contact's messages show, and what a flow
//! that waits for a choice makes of it.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Phone, Status};

use crate::whatsapp::world::World;

const RETRY: &str = "Please tap one of them.";

/// Something that a person does, and how it is shown: type and handling, and fields by their JSON pointers.
struct Kind {
    name: &'static str,
    send: fn(&Phone) -> String,
    shown: (&'static str, &'static str),
    fields: Vec<(&'static str, Value)>,
}

fn kind(
    name: &'static str,
    shown: (&'static str, &'static str),
    send: fn(&Phone) -> String,
    fields: Vec<(&'static str, Value)>,
) -> Kind {
    Kind { name, send, shown, fields }
}

/// What answers a question, though no menu can read it.
fn answers() -> Vec<Kind> {
    let unrouted = "unrouted";
    vec![
        kind(
            "an image with a caption",
            ("image", unrouted),
            |phone| phone.send_image(Some("the broken größe")),
            vec![("/text", json!("the broken größe")), ("/media/mime_type", json!("image/jpeg"))],
        ),
        kind(
            "an image without one",
            ("image", unrouted),
            |phone| phone.send_image(None),
            vec![("/text", Value::Null), ("/media/mime_type", json!("image/jpeg"))],
        ),
        kind(
            "a video",
            ("video", unrouted),
            |phone| phone.send_video(Some("look")),
            vec![("/text", json!("look")), ("/media/mime_type", json!("video/mp4"))],
        ),
        kind(
            "a recording",
            ("audio", unrouted),
            Phone::send_audio,
            vec![("/media/voice", json!(false)), ("/media/mime_type", json!("audio/mpeg"))],
        ),
        kind(
            "a voice note",
            ("audio", unrouted),
            Phone::send_voice,
            vec![("/media/voice", json!(true)), ("/media/mime_type", json!("audio/ogg; codecs=opus"))],
        ),
        kind(
            "a document",
            ("document", unrouted),
            |phone| phone.send_document("invoice.pdf"),
            vec![("/media/filename", json!("invoice.pdf")), ("/media/mime_type", json!("application/pdf"))],
        ),
        kind(
            "a sticker",
            ("sticker", unrouted),
            Phone::send_sticker,
            vec![("/media/animated", json!(false)), ("/media/mime_type", json!("image/webp"))],
        ),
        kind(
            "a place",
            ("location", unrouted),
            |phone| phone.send_location(59.9139, 10.7522, Some("Home")),
            vec![
                ("/media/latitude", json!(59.9139)),
                ("/media/longitude", json!(10.7522)),
                ("/media/name", json!("Home")),
                ("/media/address", json!("Home Street 1")),
            ],
        ),
        kind(
            "a card of the address book",
            ("contacts", unrouted),
            |phone| phone.send_contact("Grace Hopper", "+14155550199"),
            vec![
                ("/media/contacts/0/name/formatted_name", json!("Grace Hopper")),
                ("/media/contacts/0/phones/0/wa_id", json!("14155550199")),
            ],
        ),
        kind(
            "an order",
            ("order", unrouted),
            |phone| phone.send_order("sku-1"),
            vec![
                ("/media/product_items/0/product_retailer_id", json!("sku-1")),
                ("/media/product_items/0/quantity", json!(1)),
            ],
        ),
        kind(
            "what the API does not hand over",
            ("unsupported", unrouted),
            Phone::send_unsupported,
            vec![("/media/errors/0/code", json!(131051))],
        ),
        kind(
            "a form",
            ("unsupported", unrouted),
            |phone| {
                let form = json!({"name": "flow", "body": "Sent", "response_json": "{\"size\": 42}"});
                phone.send(json!({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": form}}))
            },
            vec![("/media/nfm_reply/response_json", json!("{\"size\": 42}"))],
        ),
        kind(
            "a type of tomorrow",
            ("unsupported", unrouted),
            |phone| phone.send(json!({"type": "hologram", "hologram": {"id": "7"}})),
            vec![("/media/id", json!("7")), ("/media/type", json!("hologram"))],
        ),
    ]
}

/// What is no answer to anything. Each is about a message of the person's own, if about any.
fn no_answers() -> Vec<Kind> {
    let noted = "noted";
    vec![
        kind(
            "a reaction",
            ("reaction", noted),
            |phone| phone.react("wamid.EARLIER", Some("👍")),
            vec![("/text", json!("👍")), ("/media/message_id", json!("wamid.EARLIER"))],
        ),
        kind(
            "a reaction that is taken back",
            ("reaction", noted),
            |phone| phone.react("wamid.EARLIER", None),
            vec![("/text", Value::Null), ("/media/message_id", json!("wamid.EARLIER"))],
        ),
        kind(
            // Its text is an option's title: it would be taken, if it were an answer.
            "a correction",
            ("edit", noted),
            |phone| phone.edit("wamid.EARLIER", "Tea"),
            vec![("/text", json!("Tea")), ("/media/original_message_id", json!("wamid.EARLIER"))],
        ),
        kind(
            "a deletion",
            ("revoke", noted),
            |phone| phone.revoke("wamid.EARLIER"),
            vec![("/text", Value::Null), ("/media/original_message_id", json!("wamid.EARLIER"))],
        ),
        kind(
            "a chat that is opened",
            ("system", noted),
            |phone| phone.send(json!({"type": "request_welcome"})),
            vec![("/text", Value::Null)],
        ),
    ]
}

/// What is tapped, with nothing to tell what it belongs to.
fn taps() -> Vec<Kind> {
    vec![
        kind(
            "a row",
            ("tap", "unrouted"),
            |phone| {
                let row = json!({"id": "s", "title": "Small", "description": "the small one"});
                phone.send(json!({"type": "interactive", "interactive": {"type": "list_reply", "list_reply": row}}))
            },
            vec![
                ("/text", json!("Small")),
                ("/option", json!("s")),
                ("/media/list_reply/description", json!("the small one")),
            ],
        ),
        kind(
            "a button",
            ("tap", "unrouted"),
            |phone| {
                let button = json!({"id": "y", "title": "Yes"});
                phone.send(
                    json!({"type": "interactive", "interactive": {"type": "button_reply", "button_reply": button}}),
                )
            },
            vec![("/text", json!("Yes")), ("/option", json!("y"))],
        ),
        kind(
            "a template's quick reply",
            ("tap", "unrouted"),
            |phone| phone.send(json!({"type": "button", "button": {"payload": "buy", "text": "Check out"}})),
            vec![("/text", json!("Check out")), ("/option", json!("buy"))],
        ),
    ]
}

fn phone_of(n: usize) -> String {
    format!("+1415555{n:04}")
}

/// A menu of these drinks that says once more what to do.
fn menu(options: &[&str]) -> Value {
    let rows: Vec<Value> = options.iter().map(|title| json!({"id": title.to_lowercase(), "title": title})).collect();
    let mut exits: serde_json::Map<String, Value> =
        options.iter().map(|title| (title.to_lowercase(), json!("done"))).collect();
    exits.extend([("no_match".to_owned(), json!("lost")), ("timeout".to_owned(), json!("lost"))]);
    json!({
        "schema_version": 1, "name": "Drinks", "entry_node": "ask",
        "nodes": [
            {"id": "ask", "type": "menu", "text": "What may it be?", "retry_text": RETRY, "save_as": "drink",
             "options": rows, "timeout_seconds": 1200, "exits": exits},
            {"id": "done", "type": "end", "outcome": "chosen", "text": "Coming up: {{context.drink}}"},
            {"id": "lost", "type": "end", "outcome": "lost"}
        ]
    })
}

/// Opens the window for somebody and asks them; gives the session's id.
async fn ask(world: &World, flow: qyvo::domain::FlowId, number: &str) -> (Phone, Value) {
    let phone = world.cloud.phone(number);
    phone.say("hello");
    world.drain().await;
    let session = world.trigger(flow, number, json!({})).await;
    world.drain().await;
    assert_eq!(phone.texts(), ["What may it be?"]);
    (phone, session)
}

#[actix_web::test]
async fn whatever_people_send_is_shown_with_what_matters_of_it() {
    let world = World::start(|_| {}).await;
    let phone = world.cloud.phone(PHONE);
    let kinds: Vec<Kind> = answers().into_iter().chain(no_answers()).chain(taps()).collect();
    let wamids: Vec<String> = kinds.iter().map(|kind| (kind.send)(&phone)).collect();
    world.drain().await;
    world.assert_all_taken();
    let contact = world.app.get("/contacts").await.expect(200)["data"][0]["id"].clone();
    let messages = world.messages(&contact).await;
    assert_eq!(messages.len(), kinds.len(), "each is kept once");
    for (kind, wamid) in kinds.iter().zip(&wamids) {
        let found = messages.iter().find(|message| message["provider_id"] == **wamid);
        let message = found.unwrap_or_else(|| panic!("{} is not there", kind.name));
        let shown = (message["type"].as_str().unwrap(), message["handled"].as_str().unwrap());
        assert_eq!(shown, kind.shown, "{}: {message}", kind.name);
        assert_eq!((&message["direction"], &message["status"]), (&json!("in"), &json!("received")));
        assert_eq!(message["reason"].is_string(), shown.1 == "unrouted", "{}: {message}", kind.name);
        for (pointer, value) in &kind.fields {
            assert_eq!(message.pointer(pointer), Some(value), "{}: {message}", kind.name);
        }
    }
    assert!(world.cloud.accepted().is_empty(), "nobody was answered");
    assert_eq!(world.app.count("sessions"), 0);
    assert_eq!(world.app.count("strays"), 0, "each is a message");
}

#[actix_web::test]
async fn what_a_menu_cannot_read_is_asked_again() {
    let world = World::start(|_| {}).await;
    let flow = world.app.publish(&menu(&["Tea", "Coffee"])).await;
    for (n, kind) in answers().iter().enumerate() {
        let (phone, session) = ask(&world, flow, &phone_of(n)).await;
        let wamid = (kind.send)(&phone);
        world.drain().await;
        assert_eq!(phone.texts()[1..], [RETRY], "{}", kind.name);
        let contact = world.app.session(&session).await["contact_id"].clone();
        let messages = world.messages(&contact).await;
        let message = messages.iter().find(|message| message["provider_id"] == *wamid).unwrap();
        let shown = (message["type"].as_str().unwrap(), message["handled"].as_str().unwrap());
        assert_eq!(shown, (kind.shown.0, "reply"), "{}", kind.name);
        assert_eq!(message["session_id"], session, "{}", kind.name);
        phone.tap(&phone.inbox()[1].wamid, "Tea");
        world.drain().await;
        assert_eq!(phone.texts()[2..], ["Coming up: tea"], "{}", kind.name);
    }
    world.assert_all_taken();
}

#[actix_web::test]
async fn reactions_corrections_and_statuses_are_no_answers() {
    let world = World::start(|_| {}).await;
    let flow = world.app.publish(&menu(&["Tea", "Coffee"])).await;
    for (n, kind) in no_answers().iter().enumerate() {
        let (phone, session) = ask(&world, flow, &phone_of(n)).await;
        // One more than the attempts that the menu has.
        for _ in 0..4 {
            (kind.send)(&phone);
            world.drain().await;
        }
        assert_eq!(phone.inbox().len(), 1, "{}: {:?}", kind.name, phone.texts());
        assert_eq!(world.app.session(&session).await["turn"], 1, "{}", kind.name);
        phone.tap(&phone.inbox()[0].wamid, "Coffee");
        world.drain().await;
        assert_eq!(phone.texts()[1..], ["Coming up: coffee"], "{}", kind.name);
    }
    let (phone, session) = ask(&world, flow, &phone_of(99)).await;
    let question = phone.inbox()[0].wamid.clone();
    phone.react(&question, Some("☕"));
    for status in [Status::Sent, Status::Delivered, Status::Read, Status::Played] {
        world.cloud.send_status(&question, status);
    }
    world.drain().await;
    assert_eq!(phone.inbox().len(), 1, "{:?}", phone.texts());
    let waiting = world.app.session(&session).await;
    assert_eq!((&waiting["turn"], &waiting["waiting_for"]), (&json!(1), &json!("reply")));
    world.assert_all_taken();
}

#[actix_web::test]
async fn four_options_are_a_list_whose_rows_are_taken() {
    let world = World::start(|_| {}).await;
    let flow = world.app.publish(&menu(&["Tea", "Coffee", "Cocoa", "Water"])).await;
    let (anna, session) = ask(&world, flow, PHONE).await;
    let id = session.as_str().unwrap();
    let list = anna.inbox()[0].clone();
    assert_eq!(list.choices, ["Tea", "Coffee", "Cocoa", "Water"]);
    let interactive = &list.body["interactive"];
    assert_eq!(interactive["type"], "list");
    let rows: Vec<&Value> = interactive["action"]["sections"][0]["rows"].as_array().unwrap().iter().collect();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["tea", "coffee", "cocoa", "water"].map(|option| format!("{id}:{option}")));
    assert!(interactive["action"].get("buttons").is_none());

    let noted = anna.react(&list.wamid, Some("👍"));
    world.drain().await;
    let tapped = anna.tap(&list.wamid, "Cocoa");
    world.drain().await;
    assert_eq!(anna.texts()[1..], ["Coming up: cocoa"]);
    let ended = world.app.session(&session).await;
    assert_eq!((&ended["status"], &ended["outcome"]), (&json!("completed"), &json!("chosen")));
    let messages = world.messages(&ended["contact_id"]).await;
    let tap = messages.iter().find(|message| message["provider_id"] == *tapped).unwrap();
    let shown = [&tap["type"], &tap["text"], &tap["option"], &tap["handled"]];
    assert_eq!(shown, [&json!("tap"), &json!("Cocoa"), &json!(format!("{id}:cocoa")), &json!("reply")]);
    assert_eq!(tap["media"]["type"], "list_reply");

    // Of all that Anna sent, only what the flow took: neither the hello that nothing wanted nor the reaction.
    let marked = world.cloud.wait_for_marked_read(1).await;
    assert_eq!(marked, [(tapped, true)], "{noted} is not marked");
    world.assert_all_taken();
}

#[actix_web::test]
async fn three_options_are_buttons() {
    let world = World::start(|_| {}).await;
    let flow = world.app.publish(&menu(&["Tea", "Coffee", "Cocoa"])).await;
    let (anna, session) = ask(&world, flow, PHONE).await;
    let question = anna.inbox()[0].clone();
    assert_eq!(question.body["interactive"]["type"], "button");
    anna.tap(&question.wamid, "Coffee");
    world.drain().await;
    assert_eq!(anna.texts()[1..], ["Coming up: coffee"]);
    assert_eq!(world.app.session(&session).await["outcome"], "chosen");
}
