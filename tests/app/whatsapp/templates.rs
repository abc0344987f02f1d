//! The hourly fetch of what Meta has approved.

use std::time::Duration;

use qyvo::runtime::templates::{TemplateSync, TemplatesChanged};
use serde_json::{Value, json};
use testkit::app::PHONE;
use testkit::meta::{Fault, Request, Template};

use crate::whatsapp::world::{World, cart, cart_context, cart_template};

fn is_page(request: &Request) -> bool {
    request.path.ends_with("/message_templates")
}

fn is_later_page(request: &Request) -> bool {
    is_page(request) && request.query.contains("after=")
}

fn pages(world: &World) -> usize {
    world.cloud.requests().iter().filter(|request| is_page(request)).count()
}

/// All that is stored of the templates.
async fn stored(world: &World) -> Value {
    world.app.get("/templates").await.expect(200)["data"].clone()
}

/// Name and status of each.
async fn statuses(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all: Vec<_> =
        stored(world).await.as_array().unwrap().iter().map(|row| (text(&row["name"]), text(&row["status"]))).collect();
    all.sort();
    all
}

/// Lets all but a second of a pause pass, in which nothing is fetched, and gives what came of the fetch behind it.
async fn after(world: &World, pause: Duration) -> TemplateSync {
    let before = pages(world);
    world.app.advance(pause.as_secs() - 1);
    assert_eq!(world.app.runtime.run_due_templates().await.unwrap(), None, "{pause:?}");
    assert_eq!(pages(world), before, "nothing is asked for");
    world.app.advance(1);
    world.app.runtime.run_due_templates().await.unwrap().expect("a fetch that is due")
}

const HOUR: Duration = Duration::from_secs(3_600);

#[actix_web::test]
async fn templates_that_were_never_fetched_are_a_reason_not_to_be_ready() {
    let world = World::start_unsynced(|cloud| {
        cloud.add_template(cart_template());
        cloud.when(100, is_page, Fault::html());
    })
    .await;
    assert_ne!(world.app.post("/templates/sync", &json!({})).await.status, 200);
    let ready = async || world.app.request(reqwest::Method::GET, "/readyz", None, None).await.expect(200);
    let view = ready().await;
    assert_eq!(
        (&view["status"], &view["reasons"][0]["code"]),
        (&json!("degraded"), &json!("channel_templates_not_fetched"))
    );
    world.cloud.clear_faults();
    world.app.post("/templates/sync", &json!({})).await.expect(200);
    assert_eq!(ready().await, json!({"status": "ready"}));
}

#[actix_web::test]
async fn what_meta_paused_is_seen_within_the_hour() {
    let world = World::start(|cloud| {
        cloud.add_template(cart_template());
        cloud.add_template(Template::new("hello", "en").body("Hello."));
        cloud.set_page_size(1);
    })
    .await;
    let flow = world.app.publish(&cart()).await;
    // Without a word.
    world.cloud.set_template_status("abandoned_cart", "PAUSED");
    let before = pages(&world);
    let TemplateSync::Done(changed) = after(&world, HOUR).await else { panic!("it was refused") };
    assert_eq!(changed, TemplatesChanged { added: 0, changed: 1, removed: 0, total: 2 });
    assert_eq!(pages(&world), before + 2, "both pages");
    let told = [("abandoned_cart", "paused"), ("hello", "approved")];
    assert_eq!(statuses(&world).await, told.map(|(name, status)| (name.to_owned(), status.to_owned())));
    let problems = world.app.get("/problems").await.expect(200);
    let problem = &problems["problems"][0];
    assert_eq!(problem["key"], "template_unavailable:whatsapp:abandoned_cart", "{problems}");
    assert_eq!(problem["about"]["flows"][0]["id"], json!(flow));
    let text = problem["text"].as_str().unwrap();
    assert!(text.contains("`abandoned_cart`") && text.contains("paused in "), "{text}");
    let id = world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    let failed = world.with_status("failed").await;
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["reason"], &failed[0]["session_id"]), (&json!("template_paused"), &id));
    assert!(world.cloud.accepted().is_empty() && world.cloud.refused().is_empty(), "Meta is not even asked");

    // And that it is not paused any more.
    world.cloud.set_template_status("abandoned_cart", "APPROVED");
    let TemplateSync::Done(changed) = after(&world, HOUR).await else { panic!("it was refused") };
    assert_eq!(changed.changed, 1);
    world.trigger(flow, PHONE, cart_context()).await;
    world.settle().await;
    assert_eq!(world.cloud.phone(PHONE).inbox().len(), 1);
}

#[actix_web::test]
async fn one_page_that_fails_changes_nothing_and_is_tried_again_sooner() {
    let world = World::start(|cloud| {
        cloud.add_template(cart_template());
        cloud.add_template(Template::new("hello", "en").body("Hello."));
        cloud.set_page_size(1);
    })
    .await;
    let before = stored(&world).await;
    assert_eq!(before.as_array().unwrap().len(), 2);
    // The first page tells of a change, and the last ones do not come.
    world.cloud.set_template_status("abandoned_cart", "PAUSED");
    world.cloud.remove_template("hello");
    world.cloud.add_template(Template::new("news", "en").body("News."));
    world.cloud.when(usize::MAX, is_later_page, Fault::html());
    for pause in [HOUR, Duration::from_secs(60), Duration::from_secs(120)] {
        let asked = pages(&world);
        assert!(matches!(after(&world, pause).await, TemplateSync::Refused(_)), "{pause:?}");
        assert!(pages(&world) >= asked + 2, "the first page came");
        assert_eq!(stored(&world).await, before, "{pause:?}");
    }
    world.cloud.clear_faults();
    let TemplateSync::Done(changed) = after(&world, Duration::from_secs(240)).await else { panic!("it was refused") };
    assert_eq!(changed, TemplatesChanged { added: 1, changed: 1, removed: 1, total: 2 });
    let told = [("abandoned_cart", "paused"), ("news", "approved")];
    assert_eq!(statuses(&world).await, told.map(|(name, status)| (name.to_owned(), status.to_owned())));
    let TemplateSync::Done(changed) = after(&world, HOUR).await else { panic!("it was refused") };
    assert_eq!(changed, TemplatesChanged { total: 2, ..TemplatesChanged::default() });
}

/// Says a template in German, and nothing else.
fn german() -> Value {
    json!({"schema_version": 1, "name": "News", "language": "fr", "entry_node": "end", "nodes": [
        {"id": "end", "type": "end",
         "template": {"name": "news", "language": "de", "variables": {"1": "{{context.who}}"}}}
    ]})
}

#[actix_web::test]
async fn a_language_that_the_template_has_not_is_refused_and_one_that_it_lost_makes_way_for_the_next() {
    let world = World::start(|cloud| cloud.add_template(Template::new("news", "en_US").body("Hi {{1}}."))).await;
    let refused = world.app.post("/flows/import?publish=true", &german()).await.expect(422);
    let problem = &refused["problems"][0];
    assert_eq!((&problem["severity"], &problem["field"]), (&json!("error"), &json!("template.language")));
    assert!(problem["text"].as_str().unwrap().contains("in en_US"), "{problem}");
    let draft = world.app.post("/flows/import", &german()).await.expect(201);
    let path = format!("/flows/{}/publish", draft["id"].as_str().unwrap());
    assert_eq!(world.app.post(&path, &json!({"force": true})).await.expect(422)["problems"][0], *problem);
    let checked = world.app.post("/flows/validate", &german()).await.expect(200);
    assert_eq!(checked["problems"][0], *problem);

    world.cloud.add_template(Template::new("news", "de").body("Hallo {{1}}."));
    world.app.post("/templates/sync", &json!({})).await.expect(200);
    let flow = world.app.publish(&german()).await;
    let go = async |n: usize| {
        let phone = format!("+1415555{n:04}");
        world.trigger(flow, &phone, json!({"who": "Ana"})).await;
        world.wait(1).await;
        world.cloud.phone(&phone).inbox().last().map(|received| received.body["template"]["language"]["code"].clone())
    };
    assert_eq!(go(1).await, Some(json!("de")));
    world.cloud.remove_template("news");
    world.cloud.add_template(Template::new("news", "en_US").body("Hi {{1}}."));
    world.app.post("/templates/sync", &json!({})).await.expect(200);
    assert_eq!(go(2).await, Some(json!("en_US")), "any that is approved");
    world.cloud.add_template(Template::new("news", "fr").body("Salut {{1}}."));
    world.app.post("/templates/sync", &json!({})).await.expect(200);
    assert_eq!(go(3).await, Some(json!("fr")), "the flow's");
    world.cloud.set_template_status("news", "PAUSED");
    world.app.post("/templates/sync", &json!({})).await.expect(200);
    assert_eq!(go(4).await, None);
    let failed = world.with_status("failed").await;
    assert_eq!((failed.len(), &failed[0]["reason"]), (1, &json!("template_paused")));
}

#[actix_web::test]
async fn what_cannot_be_filled_is_refused_by_name_everywhere() {
    let cards = json!({"type": "CAROUSEL", "cards": []});
    let world = World::start(|cloud| {
        let mut carousel = Template::new("cards", "en").body("Look {{1}}");
        carousel.components.push(cards);
        cloud.add_template(carousel);
        cloud.add_template(Template::new("plain", "en").body("Hi {{1}}"));
        let form = json!({"type": "FLOW", "text": "Book", "flow_id": "1"});
        cloud.add_template(Template::new("form", "en").body("Hi {{1}}").button(form));
    })
    .await;
    let why = "a carousel of cards (CAROUSEL)";
    let listed = world.app.post("/actions/list-templates", &json!({})).await.expect(200);
    let of = |name: &str| listed.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!((&of("cards")["status"], &of("cards")["unfillable"]), (&json!("APPROVED"), &json!([why])));
    assert!(of("plain").get("unfillable").is_none());
    let got = world.app.post("/actions/get-template", &json!({"template_id": of("cards")["id"]})).await.expect(200);
    assert_eq!(got["unfillable"], json!([why]));
    let labels: Vec<_> = world
        .app
        .get("/dropdowns/templates")
        .await
        .expect(200)
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["label"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(labels, ["form", "plain"]);

    let flow = |name: &str| {
        json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": [
            {"id": "a", "type": "send_message", "template": {"name": name, "variables": {"1": "you"}},
             "exits": {"next": "b", "delivery_failed": "lost"}},
            {"id": "b", "type": "delay", "seconds": 1}, {"id": "lost", "type": "end", "outcome": "lost"}]})
    };
    let problems = world.app.post("/flows/validate", &flow("cards")).await.expect(200)["problems"].clone();
    let problem = problems.as_array().unwrap().iter().find(|one| one["id"] == "template_cannot_be_filled").unwrap();
    assert!(problem["severity"] == "error" && problem["text"].as_str().unwrap().contains(why), "{problem}");

    let before = world.app.rows();
    let send = |name: &str| json!({"phone": PHONE, "template_id": of(name)["id"], "variables": {"1": "you"}});
    let refused = world.app.post("/actions/send-template-message", &send("cards")).await.expect(422);
    assert!(refused["error"].as_str().unwrap().contains(why), "{refused}");
    assert_eq!(refused["error_code"], "bad_template");
    assert_eq!(world.app.rows(), before, "nothing is stored");

    // One that has become so since its flow was published.
    let id = world.app.publish(&flow("plain")).await;
    let mut offer = Template::new("plain", "en").body("Hi {{1}}");
    offer.components.push(json!({"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Now"}}));
    world.cloud.add_template(offer);
    world.app.post("/templates/sync", &json!({})).await.expect(200);
    let session = world.trigger(id, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(world.app.session(&session).await["outcome"], "lost");
    assert!(world.cloud.accepted().is_empty());

    // A form is named without values.
    let id = world.app.publish(&flow("form")).await;
    let session = world.trigger(id, PHONE, json!({})).await;
    world.settle().await;
    assert_eq!(world.app.session(&session).await["current_node_id"], "b");
    assert_eq!(
        world.cloud.accepted()[0].body["template"]["components"][1],
        json!({"type": "button", "sub_type": "flow", "index": "0"})
    );
}
