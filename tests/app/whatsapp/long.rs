//! Texts that are longer than WhatsApp takes, and captions that it does not show: they arrive whole, in parts.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Fault, Template};

use crate::whatsapp::world::World;

fn paragraph(word: &str, times: usize) -> String {
    vec![word; times].join(" ")
}

/// Eight thousand characters in four paragraphs.
fn long() -> String {
    ["alpha", "bravo", "gamma", "delta"].map(|word| paragraph(word, 330)).join("\n\n")
}

fn flow(node: Value) -> Value {
    let mut say = json!({"id": "say", "exits": {"next": "end", "delivery_failed": "lost"}});
    say.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
    json!({"schema_version": 1, "name": "Long", "entry_node": "say", "nodes": [
        say, {"id": "end", "type": "ask", "text": "And?"}, {"id": "lost", "type": "end", "outcome": "lost"}]})
}

/// A world in which somebody has just written.
async fn world() -> World {
    let template = Template::new("news", "en").body("We have news for you.").quick_reply("Yes").quick_reply("No");
    let world = World::start(|cloud| cloud.add_template(template)).await;
    world.cloud.phone(PHONE).say("hello");
    world.settle().await;
    world
}

fn joined(texts: &[String]) -> String {
    texts.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[actix_web::test]
async fn a_long_answer_arrives_whole_and_in_order() {
    let world = world().await;
    let phone = world.cloud.phone(PHONE);
    let id = world.app.publish(&flow(json!({"type": "send_message", "text": "{{context.answer}}"}))).await;
    let session = world.trigger(id, PHONE, json!({"answer": long()})).await;
    world.settle().await;
    let texts = phone.texts();
    assert!(texts.iter().all(|text| text.chars().count() <= 4_096));
    assert_eq!(texts.last().unwrap(), "And?");
    assert_eq!(joined(&texts[..texts.len() - 1]), joined(&[long()]));
    assert!(texts[0].ends_with("bravo") && texts[1].starts_with("gamma"), "cut at a paragraph");
    let turn = &world.app.turns(&session).await[0];
    assert_eq!(turn["messages"].as_array().unwrap().len(), texts.len(), "each has a row of the turn");
    assert_eq!(turn["warnings"], json!([]));
    world.assert_all_taken();
}

#[actix_web::test]
async fn the_buttons_of_a_long_menu_are_on_its_last_part() {
    let world = world().await;
    let phone = world.cloud.phone(PHONE);
    let text = format!("{}\n\nWhich one do you want?", long());
    let menu = json!({"type": "menu", "text": text, "options": [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}],
        "exits": {"a": "end", "b": "end", "delivery_failed": "lost"}});
    let id = world.app.publish(&flow(menu)).await;
    world.trigger(id, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(joined(&phone.texts()), joined(&[text]));
    let last = world.cloud.accepted().last().unwrap().wamid.clone();
    phone.tap(&last, "A");
    world.settle().await;
    assert_eq!(phone.texts().last().unwrap(), "And?");
    world.assert_all_taken();
}

#[actix_web::test]
async fn a_caption_that_cannot_be_shown_goes_as_a_text_after_the_medium() {
    let caption = paragraph("caption", 187);
    for (kind, caption) in [("image", caption.as_str()), ("audio", "Listen to this")] {
        let world = world().await;
        let phone = world.cloud.phone(PHONE);
        let media = json!({"kind": kind, "url": "https://a.example/file", "caption": caption});
        let id = world.app.publish(&flow(json!({"type": "send_message", "media": media}))).await;
        let session = world.trigger(id, PHONE, json!({})).await;
        world.settle().await;
        let rows = world.messages(&world.app.session(&session).await["contact_id"]).await;
        let shown: Vec<_> = rows[1..]
            .iter()
            .map(|row| (row["type"].as_str().unwrap(), row["status"].as_str().unwrap() != "failed"))
            .collect();
        assert_eq!(shown, [("media", true), ("text", true), ("text", true)], "{rows:?}");
        assert_eq!(phone.texts().iter().filter(|text| *text == caption).count(), 1);
        world.assert_all_taken();
    }
}

#[actix_web::test]
async fn outside_the_window_the_template_goes_for_all_parts() {
    let world = world().await;
    let phone = world.cloud.phone(PHONE);
    world.app.advance(25 * 3600);
    let menu = json!({"type": "menu", "text": long(), "template": {"name": "news"},
        "options": [{"id": "a", "title": "Yes"}, {"id": "b", "title": "No"}],
        "exits": {"a": "end", "b": "end", "delivery_failed": "lost"}});
    let id = world.app.publish(&flow(menu)).await;
    let session = world.trigger(id, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(world.cloud.accepted().len(), 1);
    let rows = world.messages(&world.app.session(&session).await["contact_id"]).await;
    let sent = &rows[1];
    assert_eq!((&sent["status"], &sent["sent"]["as"]), (&json!("delivered"), &json!("template")), "{sent}");
    assert!(rows.len() > 3);
    for row in &rows[2..] {
        assert_eq!((&row["status"], &row["reason"]), (&json!("failed"), &json!("sent_as_template")));
    }
    assert_eq!(world.app.session(&session).await["status"], "running");
    // Its buttons stand for the options of the part that did not go.
    let template = world.cloud.accepted().last().unwrap().wamid.clone();
    phone.tap(&template, "Yes");
    world.settle().await;
    assert_eq!(world.app.session(&session).await["current_node_id"], "end");
    world.assert_all_taken();
}

#[actix_web::test]
async fn a_part_that_meta_refuses_takes_delivery_failed_once() {
    let world = world().await;
    let mut document =
        flow(json!({"type": "ask", "text": long(), "exits": {"reply": "end", "delivery_failed": "lost"}}));
    document["nodes"][2] = json!({"id": "lost", "type": "ask", "text": "Sorry?"});
    let id = world.app.publish(&document).await;
    world.cloud.when(1, |request| request.body.to_string().contains("gamma gamma"), Fault::error(131_026));
    let session = world.trigger(id, PHONE, json!({})).await;
    world.settle().await;
    let rows = world.messages(&world.app.session(&session).await["contact_id"]).await;
    let reasons: Vec<_> = rows[1..].iter().map(|row| row["reason"].clone()).collect();
    assert!(reasons.contains(&json!("131026")), "{reasons:?}");
    assert_eq!(world.cloud.phone(PHONE).texts().last().unwrap(), "Sorry?");
    let now = world.app.session(&session).await;
    assert_eq!((&now["current_node_id"], &now["turn"]), (&json!("lost"), &json!(2)));
    world.assert_all_taken();
}

/// The simulation shows what goes out.
#[actix_web::test]
async fn a_simulation_on_whatsapp_shows_the_same_parts() {
    let world = world().await;
    let document = flow(json!({"type": "send_message", "text": long(), "template": {"name": "news"}}));
    let simulate = async |window_open: bool| {
        let body = json!({"flow": document, "channel": "whatsapp", "window_open": window_open});
        world.app.post("/simulations", &body).await.expect(201)["turns"][0]["messages"].clone()
    };
    let shown = simulate(true).await;
    let texts: Vec<String> =
        shown.as_array().unwrap().iter().map(|said| said["text"].as_str().unwrap().to_owned()).collect();
    let id = world.app.publish(&document).await;
    world.trigger(id, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(texts, world.cloud.phone(PHONE).texts());
    assert!(texts.len() > 2);
    let unnamed = world.app.post("/simulations", &json!({"flow": document})).await.expect(201);
    assert_eq!(unnamed["turns"][0]["messages"].as_array().unwrap().len(), texts.len(), "as on the server's channel");
    let closed = simulate(false).await;
    assert_eq!((&closed[0]["type"], &closed[0]["status"]), (&json!("template"), &json!("simulated")));
    assert_eq!((&closed[1]["status"], &closed[1]["reason"]), (&json!("failed"), &json!("sent_as_template")));
}
