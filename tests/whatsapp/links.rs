//! Links to media: what no URL may have is percent-encoded on its way, once, wherever the link comes from.

use serde_json::json;

use crate::meta::Template;
use crate::support::PHONE;
use crate::world::World;

#[actix_web::test]
async fn a_file_with_blanks_in_its_name_is_sent() {
    let template = Template::new("bill", "en").media_header("DOCUMENT").body("Your bill.");
    let world = World::start(|cloud| cloud.add_template(template)).await;
    world.cloud.phone(PHONE).say("hello");
    world.settle().await;
    let say = |id: &str, url: &str, next: &str| json!({"id": id, "type": "send_message", "media": {"kind": "document", "url": url}, "exits": {"next": next}});
    let flow = json!({"schema_version": 1, "name": "Files", "entry_node": "a", "nodes": [
        say("a", "https://a.example/Rechnung Mai.pdf", "b"),
        say("b", "{{context.u}}", "c"),
        say("c", "https://a.example/{{context.f}}", "d"),
        say("d", "https://a.example/Rechnung%20Mai.pdf", "e"),
        {"id": "e", "type": "end", "template": {"name": "bill", "variables": {"header.1": "https://a.example/Mai 1.pdf"}}}
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
