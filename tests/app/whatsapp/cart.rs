//! The abandoned cart, from the trigger to the link.

use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::Fault;

use crate::whatsapp::world::{World, cart, cart_context, cart_template};

async fn session(world: &World, id: &Value) -> (String, Value, Value) {
    let session = world.app.session(id).await;
    (session["status"].as_str().unwrap().to_owned(), session["outcome"].clone(), session["reason"].clone())
}

#[actix_web::test]
async fn a_customer_silent_for_days_gets_the_template_and_taps_it() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let anna = world.cloud.phone(PHONE);
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;

    let inbox = anna.inbox();
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].kind, "template");
    assert_eq!(inbox[0].text, "Hi there, your cart of 49.90 is waiting.");
    assert_eq!(inbox[0].choices, ["Check out", "I need help", "Not now"]);
    let components = inbox[0].body["template"]["components"].as_array().unwrap();
    let payloads: Vec<&str> = components
        .iter()
        .filter(|component| component["sub_type"] == "quick_reply")
        .map(|component| component["parameters"][0]["payload"].as_str().unwrap())
        .collect();
    let own = |option: &str| format!("{}:{option}", id.as_str().unwrap());
    assert_eq!(payloads, [own("buy"), own("help"), own("no")]);

    anna.tap_without_context(&inbox[0].wamid, "Check out");
    world.settle().await;
    let inbox = anna.inbox();
    assert_eq!(inbox.len(), 2, "{:?}", anna.texts());
    assert_eq!(inbox[1].kind, "text", "the tap has opened the window");
    assert_eq!(inbox[1].text, "Great! You can finish your order here: https://shop.example.com/cart/7");
    assert_eq!(session(&world, &id).await, ("completed".to_owned(), json!("checkout"), Value::Null));
    let callbacks: Vec<_> = inbox.iter().map(|received| received.callback.clone().unwrap()).collect();
    let contact = world.app.session(&id).await["contact_id"].clone();
    let sent: Vec<Value> =
        world.messages(&contact).await.into_iter().filter(|message| message["direction"] == "out").collect();
    assert_eq!(sent.iter().map(|message| message["id"].as_str().unwrap()).collect::<Vec<_>>(), callbacks);
    assert!(sent.iter().all(|message| message["status"] == "delivered"), "{sent:?}");
    world.assert_all_taken();
    assert!(world.cloud.refused().is_empty());
}

#[actix_web::test]
async fn who_does_not_tap_is_left_alone() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    world.wait(1199).await;
    assert_eq!(session(&world, &id).await.0, "running");
    world.wait(1).await;
    assert_eq!(session(&world, &id).await, ("completed".to_owned(), json!("no_reply"), Value::Null));
    assert_eq!(world.cloud.phone(PHONE).inbox().len(), 1);
}

#[actix_web::test]
async fn inside_the_window_the_text_goes_with_buttons() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let anna = world.cloud.phone(PHONE);
    anna.set_name("Anna");
    anna.say("Do you ship to Berlin?");
    world.settle().await;
    world.wait(23 * 3600).await;
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    let inbox = anna.inbox();
    assert_eq!(inbox.len(), 1);
    assert_eq!(
        (inbox[0].kind.as_str(), inbox[0].text.as_str()),
        ("interactive", "Hi Anna, your cart of 49.90 is waiting.")
    );
    assert_eq!(inbox[0].body["interactive"]["type"], "button");
    anna.tap(&inbox[0].wamid, "Check out");
    world.settle().await;
    assert_eq!(anna.texts().last().unwrap(), "Great! You can finish your order here: https://shop.example.com/cart/7");
    assert_eq!(session(&world, &id).await, ("completed".to_owned(), json!("checkout"), Value::Null));
    assert!(world.cloud.refused().is_empty());
}

#[actix_web::test]
async fn a_template_that_meta_paused_is_not_sent_and_the_flow_goes_on() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    // Nobody has told the server yet: it finds out from the refusal.
    world.cloud.set_template_status("abandoned_cart", "PAUSED");
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    assert_eq!(session(&world, &id).await, ("completed".to_owned(), json!("no_reply"), Value::Null));
    let failed = world.with_status("failed").await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["reason"], "132015");
    assert!(world.cloud.phone(PHONE).inbox().is_empty());

    // Now it knows, and does not even ask.
    world.cloud.announce_template_status("abandoned_cart", "PAUSED", "LOW_QUALITY");
    world.settle().await;
    let requests = world.cloud.requests().len();
    let id = world.trigger(flow, "+14155550124", cart_context()).await;
    world.settle().await;
    assert_eq!(session(&world, &id).await, ("completed".to_owned(), json!("no_reply"), Value::Null));
    assert_eq!(world.cloud.requests().len(), requests);
    let failed = world.with_status("failed").await;
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0]["reason"], "template_paused");
}

#[actix_web::test]
async fn a_window_that_meta_finds_closed_against_our_reckoning_gets_the_template() {
    let world = World::start(|cloud| cloud.add_template(cart_template())).await;
    let flow = world.app.publish(&cart()).await;
    let anna = world.cloud.phone(PHONE);
    anna.say("Hello");
    world.settle().await;
    world.cloud.next(Fault::error(131_047));
    world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    let kinds: Vec<String> = anna.inbox().into_iter().map(|received| received.kind).collect();
    assert_eq!(kinds, ["template"]);
    assert_eq!(world.cloud.refused().len(), 1, "the text is not tried again");
    assert!(world.with_status("failed").await.is_empty());
}
