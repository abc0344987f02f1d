//! Links to media: what no URL may have is percent-encoded on its way, once, wherever the link comes from.

use serde_json::json;
use testkit::app::PHONE;
use testkit::meta::Template;

use crate::whatsapp::world::World;

#[actix_web::test]
async fn a_file_with_blanks_in_its_name_is_sent() {
    let template = Template::new("bill", "en").media_header("DOCUMENT").body("Your bill.");
    let world = World::start(|cloud| cloud.add_template(template)).await;
    world.cloud.phone(PHONE).say("hello");
    world.settle().await;
    let say = |id: &str, url: &str, next: &str| {
        json!({"id": id, "type": "send_message", "media": {"kind": "document", "url": url},
            "exits": {"next": next}})
    };
    let flow = json!({"schema_version": 1, "name": "Files", "entry_node": "a", "nodes": [
        say("a", "https://a.example/Rechnung Mai.pdf", "b"),
        say("b", "{{context.u}}", "c"),
        say("c", "https://a.example/{{context.f}}", "d"),
        say("d", "https://a.example/Rechnung%20Mai.pdf", "e"),
        {"id": "e", "type": "end",
            "template": {"name": "bill", "variables": {"header.1": "https://a.example/Mai 1.pdf"}}}
    ]});
    let id = world.app.publish(&flow).await;
    let context = json!({"u": "https://a.example/mi señal 1.pdf?a=1&b=ñ", "f": "Mai & Juni.pdf"});
    world.trigger(id, PHONE, context).await;
    world.settle().await;
    let links: Vec<String> = world
        .cloud
        .accepted()
        .iter()
        .map(|accepted| match accepted.body["type"].as_str() {
            Some("document") => accepted.body["document"]["link"].as_str().unwrap().to_owned(),
            _ => accepted.body["template"]["components"][0]["parameters"][0]["document"]["link"]
                .as_str()
                .unwrap()
                .to_owned(),
        })
        .collect();
    assert_eq!(
        links,
        [
            "https://a.example/Rechnung%20Mai.pdf",
            "https://a.example/mi%20se%C3%B1al%201.pdf?a=1&b=%C3%B1",
            "https://a.example/Mai%20%26%20Juni.pdf",
            "https://a.example/Rechnung%20Mai.pdf",
            "https://a.example/Mai%201.pdf",
        ]
    );
    world.assert_all_taken();
}

#[actix_web::test]
async fn what_is_no_link_takes_delivery_failed_and_the_trace_says_why() {
    let template = Template::new("bill", "en").media_header("DOCUMENT").body("Your bill.");
    let world = World::start(|cloud| cloud.add_template(template)).await;
    world.cloud.phone(PHONE).say("hello");
    world.settle().await;
    let media = json!({"kind": "image", "url": "{{context.u}}"});
    let flow = json!({"schema_version": 1, "name": "Files", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "media": media, "exits": {"next": "b", "delivery_failed": "lost"}},
        {"id": "b", "type": "delay", "seconds": 1},
        {"id": "lost", "type": "end", "outcome": "lost"}
    ]});
    let id = world.app.publish(&flow).await;
    for none in
        ["www.shop.example/x.jpg", "//cdn.example/x.jpg", "x.jpg", "file:///etc/passwd", "https://", "https:///x"]
    {
        let before = world.cloud.accepted().len();
        let session = world.trigger(id, PHONE, json!({"u": none})).await;
        world.settle().await;
        let session = world.app.session(&session).await;
        assert_eq!(session["outcome"], "lost", "{none}");
        assert_eq!(world.cloud.accepted().len(), before, "{none} is not tried");
        let turns = world.app.turns(&session["id"]).await;
        let warning = turns[0]["warnings"][0]["text"].as_str().unwrap();
        assert!(warning.contains(none) && warning.contains("is not an http or https address"), "{warning}");
        assert_eq!(turns[0]["messages"][0]["reason"], "bad_media", "{none}");
        // The same as tried out.
        let tried = json!({"flow_id": id, "context": {"u": none}, "channel": "whatsapp", "window_open": true});
        let tried = world.app.post("/simulations", &tried).await.expect(201);
        assert_eq!(tried["session"]["outcome"], "lost", "{none}");
        assert_eq!(tried["turns"][0]["messages"][0]["reason"], "bad_media", "{none}");
    }
    let session = world.trigger(id, PHONE, json!({"u": "HTTPS://münchen.example/Größe 1.jpg?sig=a+b%2Fc~!*'()"})).await;
    world.settle().await;
    assert_eq!(world.app.session(&session).await["current_node_id"], "b");
    assert_eq!(
        world.cloud.accepted().last().unwrap().body["image"]["link"],
        "https://xn--mnchen-3ya.example/Gr%C3%B6%C3%9Fe%201.jpg?sig=a+b%2Fc~!*'()"
    );

    // A header's link by value, of a flow and of a system.
    let bill = json!({"name": "bill", "variables": {"header.1": "{{context.base}}/Mai 1.pdf"}});
    let flow = json!({"schema_version": 1, "name": "Bill", "entry_node": "a", "nodes": [
        {"id": "a", "type": "send_message", "template": bill, "exits": {"next": "b", "delivery_failed": "lost"}},
        {"id": "b", "type": "delay", "seconds": 1},
        {"id": "lost", "type": "end", "outcome": "lost"}
    ]});
    let id = world.app.publish(&flow).await;
    for (base, outcome) in [("a.example", json!("lost")), ("https://a.example", json!(null))] {
        let session = world.trigger(id, PHONE, json!({"base": base})).await;
        world.settle().await;
        assert_eq!(world.app.session(&session).await["outcome"], outcome, "{base}");
    }
    let sent = world.cloud.accepted().last().unwrap().body["template"]["components"][0]["parameters"][0].clone();
    assert_eq!(sent["document"]["link"], "https://a.example/Mai%201.pdf");
    let template = world.app.post("/actions/list-templates", &json!({})).await.expect(200)[0]["id"].clone();
    let say = |link: &str| json!({"phone": PHONE, "template_id": template, "variables": {"header.1": link}});
    let refused = world.app.post("/actions/send-template-message", &say("a.example/b.pdf")).await.expect(422);
    assert!(refused["errors"]["variables.header.1"].is_array(), "{refused}");
}

#[actix_web::test]
async fn the_end_of_a_buttons_link_is_encoded() {
    let template = Template::new("open", "en").body("Open it.").url_button("Open", "https://shop.example/{{1}}");
    let world = World::start(|cloud| cloud.add_template(template)).await;
    let template = json!({"name": "open", "variables": {"button.0": "{{context.s}}"}});
    let flow = json!({"schema_version": 1, "name": "Open", "entry_node": "a", "nodes": [
        {"id": "a", "type": "end", "template": template}]});
    let id = world.app.publish(&flow).await;
    world.trigger(id, PHONE, json!({"s": "c/é 1?next=https://münchen.example/%20"})).await;
    world.settle().await;
    assert_eq!(
        world.cloud.accepted()[0].body["template"]["components"][0]["parameters"][0]["text"],
        "c/%C3%A9%201?next=https://m%C3%BCnchen.example/%20"
    );
    world.assert_all_taken();
}
