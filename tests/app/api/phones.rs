//! Numbers as people, spreadsheets and other systems write them: one number is one person, at every way in.

use serde_json::{Value, json};
use testkit::app::{TestApp, local, question};
use uuid::Uuid;

/// As it is written, and the number that it is.
const WRITTEN: [(&str, &str); 13] = [
    ("+44 07911 123401", "+447911123401"),
    ("+44 044 7911 123402", "+447911123402"),
    ("+56 9 1234 5678", "+56912345678"),
    ("+49 0151 23456701", "+4915123456701"),
    ("+33 06 12 34 56 01", "+33612345601"),
    ("+39 06 1234 5601", "+390612345601"),
    ("+225 07 07 12 34 01", "+2250707123401"),
    ("+7 8 916 123 02 21", "+79161230221"),
    ("+628123450009.0", "+628123450009"),
    ("+628123450010\u{b7}0.0", "+628123450010"),
    ("\u{200b}+1\u{2060}415\u{fe0f}5550181\u{200f}", "+14155550181"),
    ("'+14155550182", "+14155550182"),
    ("https://wa.me/14155550183", "+14155550183"),
];

/// What must not become a number.
const REFUSED: [&str; 16] = [
    "4.91511E+12",
    "+6.28E+12",
    "+4915112340003/04",
    "+14155550123 ext. 5",
    "tel:+14155550123;ext=5",
    "+14155550123, +14155550124",
    "+628123450009.5",
    "+628123450009 (2)",
    "+628123450009-2",
    "+229 0 97258007",
    "+56 09 1234 5678",
    "+1 07717 312345",
    "+1 (0)20 7946 0018",
    "+8 912 345 67 89",
    "+1 44 7911 123401",
    "\u{200b}\u{2060}",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_the_same_at_every_way_in() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        for (written, number) in WRITTEN {
            let made = app.post("/actions/create-contact", &json!({"phone": written})).await.expect(201);
            assert_eq!(made["phone"], number, "{written}");
            let id = &made["id"];
            let triggered = app.trigger(flow, written).await.expect(201);
            assert_eq!(triggered["contact_id"], *id, "{written}");
            assert_eq!(app.trigger(flow, number).await.expect(200)["id"], triggered["id"], "{written}");
            assert_eq!(app.post("/actions/get-contact", &json!({"phone": written})).await.expect(200)["id"], *id);
            let tag = json!({"phone": written, "tag": "seen"});
            assert_eq!(app.post("/actions/add-tag", &tag).await.expect(200)["phone"], number);
            let said = app.say(written, "tea").await;
            assert_eq!((&said["handled"], &said["session_id"]), (&json!("reply"), &triggered["id"]), "{written}");
            let sent = json!({"phone": written, "message": "Hi"});
            assert_eq!(app.post("/actions/send-text-message", &sent).await.status, 200, "{written}");
            let persona = json!({"flow": question(30), "contact": {"phone": written}});
            app.post("/simulations", &persona).await.expect(201);
            let found = app.post("/actions/search-contacts", &json!({"query": written})).await.expect(200);
            assert!(found.as_array().unwrap().iter().any(|found| found["id"] == *id), "{written}: {found}");
        }
        assert_eq!(app.count("contacts"), WRITTEN.len());
        for text in REFUSED {
            let body = json!({"flow_id": flow, "phone": text});
            let refused = app.post("/actions/trigger-flow", &body).await.expect(422);
            assert!(refused["errors"]["phone"][0].as_str().is_some_and(|told| told.contains("phone")), "{refused}");
            app.post("/actions/create-contact", &json!({"phone": text})).await.expect(422);
            let said = json!({"id": Uuid::now_v7(), "from": text, "type": "text", "text": "hello"});
            app.post("/inbound", &said).await.expect(422);
        }
        assert_eq!(app.count("contacts"), WRITTEN.len());
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_from_one_form_of_a_number_holds_for_the_other() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        for (one, other) in [
            ("+22997258007", "+2290197258007"),
            ("+22507123401", "+2250707123401"),
            ("+5215512345678", "+525512345678"),
            ("+5491123456789", "+541123456789"),
            ("+554188887777", "+5541988887777"),
        ] {
            for (stops, triggered) in [(one, other), (other, one)] {
                let before = app.count("contacts");
                let started = app.trigger(flow, triggered).await.expect(201);
                assert_eq!(app.say(stops, "STOP").await["handled"], "opt_out", "{stops}");
                assert_eq!(app.session(&started["id"]).await["status"], "cancelled", "{stops}");
                assert_eq!(app.count("contacts"), before + 1, "{stops}");
                let messages = app.count("messages");
                for form in [one, other] {
                    let refused = app.trigger(flow, form).await.expect(422);
                    assert_eq!(refused["error"], "Contact has opted out", "{form}");
                }
                assert_eq!(app.count("messages"), messages, "nothing is sent");
                let path = format!("/contacts/{}", started["contact_id"].as_str().unwrap());
                app.delete(&path).await.expect(200);
                for form in [one, other] {
                    app.trigger(flow, form).await.expect(422);
                }
                // They come back by their own word, and are taken out for the next round.
                assert_eq!(app.say(stops, "START").await["handled"], "opt_in");
                let back = app.trigger(flow, triggered).await.expect(201);
                app.delete(&format!("/contacts/{}", back["contact_id"].as_str().unwrap())).await.expect(200);
            }
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_messages_count_for_each_sender() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let (ana, bo) = ("+14155550101", "+14155550102");
        let say = async |from: &str, id: &str| {
            let body = json!({"id": id, "from": from, "type": "text", "text": "perhaps"});
            app.post("/inbound", &body).await.expect(202)
        };
        let of_ana = app.trigger(flow, ana).await.expect(201);
        let of_bo = app.trigger(flow, bo).await.expect(201);
        let (first, second) = (say(ana, "5").await, say(bo, "5").await);
        assert_eq!((&first["handled"], &first["session_id"]), (&json!("reply"), &of_ana["id"]));
        assert_eq!((&second["handled"], &second["session_id"]), (&json!("reply"), &of_bo["id"]));
        for (from, earlier) in [(ana, &first), (bo, &second), ("+1 (415) 555-0102", &second)] {
            let again = say(from, "5").await;
            assert_eq!((&again["handled"], &again["message_id"]), (&json!("duplicate"), &earlier["message_id"]));
        }
        // Both forms of a number are one sender.
        let third = say("+5215512345678", "5").await;
        assert_eq!(say("+525512345678", "5").await["message_id"], third["message_id"]);
        // What is left of an erased person's message is theirs alone.
        app.delete(&format!("/contacts/{}", of_ana["contact_id"].as_str().unwrap())).await.expect(200);
        assert_eq!(say(ana, "5").await["handled"], "duplicate");
        assert_ne!(say("+14155550103", "5").await["handled"], "duplicate");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_look_alike_are_one_tag() {
    local(async {
        let app = TestApp::start().await;
        let phone = "+14155550123";
        let tags = |answer: &Value| answer["tags"].clone();
        let alike = ["vi\u{ad}p", "vip\u{3164}", "vip\u{2800}", "vip\u{fe0f}", "vip\u{e0041}", " v\u{200b}ip "];
        let body = json!({"phone": phone, "tags": format!("vip,{},cafe\u{301}", alike.join(","))});
        let made = app.post("/actions/create-contact", &body).await.expect(201);
        let expected = json!(["caf\u{e9}", "vip"]);
        assert_eq!(tags(&app.get(&format!("/contacts/{}", made["id"].as_str().unwrap())).await.expect(200)), expected);
        for tag in alike {
            let added = app.post("/actions/add-tag", &json!({"phone": phone, "tag": tag})).await.expect(200);
            assert_eq!((&added["tag_added"], tags(&added)), (&json!("vip"), expected.clone()), "{tag:?}");
            let found = app.post("/actions/search-contacts", &json!({"tag": tag})).await.expect(200);
            assert_eq!(found.as_array().unwrap().len(), 1, "{tag:?}");
        }
        let path = format!("/contacts/{}", made["id"].as_str().unwrap());
        assert_eq!(tags(&app.patch(&path, &json!({"tags": ["VI\u{ad}P", "VIP"]})).await.expect(200)), json!(["VIP"]));
        let removed = app.post("/actions/remove-tag", &json!({"phone": phone, "tag": "V\u{2060}IP"})).await.expect(200);
        assert_eq!(tags(&removed), json!([]));
        for nothing in ["\u{3164}", "\u{2800}\u{ad}", " \u{200b} "] {
            app.post("/actions/add-tag", &json!({"phone": phone, "tag": nothing})).await.expect(422);
            app.patch(&path, &json!({"tags": [nothing]})).await.expect(422);
        }
        let flow = json!({
            "schema_version": 1, "name": "Tags", "entry_node": "tag",
            "nodes": [
                {"id": "tag", "type": "update_contact", "add_tags": ["v\u{ad}ip", "{{context.x}}"],
                    "exits": {"next": "is"}},
                {"id": "is", "type": "condition",
                    "cases": [{"left": "", "operator": "has_tag", "right": "vip\u{3164}", "exit": "yes"}],
                 "exits": {"yes": "yes", "default": "no"}},
                {"id": "yes", "type": "end", "outcome": "yes"},
                {"id": "no", "type": "end", "outcome": "no"}
            ]
        });
        let id = app.publish(&flow).await;
        let body = json!({"flow_id": id, "phone": phone, "context": {"x": "\u{3164}"}});
        let session = app.post("/actions/trigger-flow", &body).await.expect(201);
        assert_eq!(app.session(&session["id"]).await["outcome"], "yes");
        assert_eq!(tags(&app.get(&path).await.expect(200)), json!(["vip"]));
        let simulated = json!({"flow": flow, "contact": {"tags": ["vip\u{fe0f}"]}, "context": {"x": "y"}});
        assert_eq!(app.post("/simulations", &simulated).await.expect(201)["session"]["outcome"], "yes");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_lose_what_nobody_sees() {
    local(async {
        let app = TestApp::start().await;
        for (n, (name, kept)) in [
            ("Jos\u{e9}\u{200b}", json!("Jos\u{e9}")),
            ("\u{200f}\u{645}\u{62d}\u{645}\u{62f}", json!("\u{645}\u{62d}\u{645}\u{62f}")),
            ("Anna\nMaria", json!("Anna Maria")),
        ]
        .into_iter()
        .enumerate()
        {
            let body = json!({"phone": format!("+1415555018{n}"), "name": name});
            let made = app.post("/actions/create-contact", &body).await.expect(201);
            let path = format!("/contacts/{}", made["id"].as_str().unwrap());
            assert_eq!(app.get(&path).await.expect(200)["name"], kept, "{name:?}");
            assert_eq!(app.patch(&path, &json!({"name": name})).await.expect(200)["name"], kept, "{name:?}");
        }
        app.stop().await;
    })
    .await;
}
