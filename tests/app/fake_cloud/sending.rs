//! Messages to people: what is accepted, and what is refused with which code.

use serde_json::{Value, json};
use testkit::meta::{Fate, Pacing, Phone, Template, WindowRefusal, brazil_mexico_argentina};

use crate::fake_cloud::business::{ANNA, Business, START, template, text};

#[tokio::test]
async fn a_text_inside_the_window_is_accepted_and_reaches_the_phone() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    anna.say("hello");
    let mut message = text("Grüße 👋");
    message["biz_opaque_callback_data"] = "row-7".into();
    let (status, answer) = business.try_send(message).await.unwrap();
    assert_eq!(status, 200);
    let wamid = answer["messages"][0]["id"].as_str().unwrap();
    assert!(wamid.starts_with("wamid."));
    assert_eq!(
        answer,
        json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": ANNA, "wa_id": "4915112345678"}],
            "messages": [{"id": wamid}],
        })
    );
    let inbox = anna.inbox();
    assert_eq!((inbox.len(), inbox[0].text.as_str(), inbox[0].callback.as_deref()), (1, "Grüße 👋", Some("row-7")));
    let accepted = &business.cloud.accepted()[0];
    assert_eq!(
        (accepted.at, accepted.version.as_str(), accepted.went_to.as_deref()),
        (START, "v26.0", Some("4915112345678"))
    );
    assert_eq!(business.cloud.refused().len(), 0);
    let request = &business.cloud.requests()[0];
    assert_eq!((request.method.as_str(), request.status), ("POST", Some(200)));
    assert!(request.headers.iter().any(|(name, value)| name == "authorization" && value == "Bearer EAAtesttoken"));
}

#[tokio::test]
async fn the_window_closes_after_24_hours_and_templates_do_not_open_it() {
    let business = Business::start();
    business.add_template();
    let anna = business.cloud.phone(ANNA);
    assert_eq!(business.refused(text("first")).await.0, 131047);
    business.send(template(&["Anna", "12.00"])).await;
    assert_eq!(business.refused(text("still")).await.0, 131047);
    anna.say("hello");
    business.advance(24 * 3_600_000 - 1);
    business.send(text("just in time")).await;
    business.advance(1);
    assert_eq!(business.refused(text("too late")).await.0, 131047);

    business.cloud.set_window_refusal(WindowRefusal::ByWebhook);
    let wamid = business.send(text("accepted, and then not")).await;
    business.cloud.settle().await;
    let failed = business.items("statuses").pop().unwrap();
    assert_eq!(
        (&failed["id"], &failed["status"], &failed["errors"][0]["code"]),
        (&json!(wamid), &json!("failed"), &json!(131047))
    );
    assert_eq!(anna.texts(), ["Hi Anna, your cart of 12.00 is waiting.", "just in time"]);
}

#[tokio::test]
async fn a_token_that_is_wrong_revoked_or_replaced_answers_190() {
    let business = Business::start();
    let send = || business.try_send(text("hello"));
    for change in
        [|business: &Business| business.cloud.revoke_token(), |business: &Business| business.cloud.set_token("other")]
    {
        change(&business);
        let (status, body) = send().await.unwrap();
        assert_eq!(
            (status.as_u16(), &body["error"]["code"], &body["error"]["type"]),
            (401, &json!(190), &json!("OAuthException"))
        );
    }
    business.cloud.set_token("EAAtesttoken");
    business.cloud.phone(ANNA).say("hello");
    business.send(text("back")).await;
    assert_eq!(business.cloud.accepted().len(), 1);
}

fn buttons(buttons: &[(&str, &str)]) -> Value {
    let buttons: Vec<Value> =
        buttons.iter().map(|(id, title)| json!({"type": "reply", "reply": {"id": id, "title": title}})).collect();
    let action = json!({ "buttons": buttons });
    json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "?"}, "action": action}})
}

fn list(sections: &[(&str, usize)]) -> Value {
    let mut number = 0;
    let sections: Vec<Value> = sections
        .iter()
        .map(|(title, count)| {
            let rows: Vec<Value> = (0..*count)
                .map(|_| {
                    number += 1;
                    json!({"id": format!("row{number}"), "title": format!("Row {number}"), "description": "d"})
                })
                .collect();
            json!({"title": title, "rows": rows})
        })
        .collect();
    json!({"type": "interactive", "interactive": {
        "type": "list", "body": {"text": "?"}, "action": {"button": "Choose", "sections": sections},
    }})
}

fn with(mut message: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    message.pointer_mut(parent).unwrap()[key] = value;
    message
}

#[tokio::test]
async fn each_limit_holds_at_its_edge() {
    let business = Business::start();
    let anna = business.cloud.phone(ANNA);
    let inbound = anna.say("hello");
    let long = |length: usize| "ü".repeat(length);
    let three = buttons(&[("a", "A"), ("b", "B"), ("c", "C")]);
    let reply = "/interactive/action/buttons/0/reply";
    let row = "/interactive/action/sections/0/rows/0";
    let image = json!({"type": "image", "image": {"link": "https://example.com/a.png", "caption": "c"}});
    let cases = [
        (text(&long(4096)), text(&long(4097)), 100),
        (text("a"), text(""), 131008),
        (text("a"), with(text("a"), "/text/shout", true.into()), 100),
        (with(text("a"), "/context", json!({"message_id": inbound})), with(text("a"), "/context", json!({})), 131008),
        (text("a"), with(text("a"), "/messaging_product", "sms".into()), 100),
        (text("a"), with(text("a"), "/colour", "red".into()), 100),
        (
            with(text("a"), "/biz_opaque_callback_data", long(512).into()),
            with(text("a"), "/biz_opaque_callback_data", long(513).into()),
            100,
        ),
        (text("a"), json!({"type": "hologram", "hologram": {}}), 131051),
        (three.clone(), buttons(&[("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")]), 131009),
        (three.clone(), buttons(&[]), 131009),
        (three.clone(), buttons(&[("a", "A"), ("b", "A")]), 131009),
        (three.clone(), buttons(&[("a", "A"), ("a", "B")]), 131009),
        (buttons(&[("a", &long(20))]), buttons(&[("a", &long(21))]), 131009),
        (
            with(three.clone(), &format!("{reply}/id"), long(256).into()),
            with(three.clone(), &format!("{reply}/id"), long(257).into()),
            131009,
        ),
        (
            with(three.clone(), "/interactive/body/text", long(1024).into()),
            with(three.clone(), "/interactive/body/text", long(1025).into()),
            131009,
        ),
        (
            with(three.clone(), "/interactive/footer", json!({"text": long(60)})),
            with(three.clone(), "/interactive/footer", json!({"text": long(61)})),
            131009,
        ),
        (
            with(three.clone(), "/interactive/header", json!({"type": "text", "text": long(60)})),
            with(three, "/interactive/header", json!({"type": "text", "text": long(61)})),
            131009,
        ),
        (list(&[("", 10)].map(|(_, rows)| ("Only", rows))), list(&[("Only", 11)]), 131009),
        (list(&[("A", 5), ("B", 5)]), list(&[("A", 6), ("B", 5)]), 131009),
        (list(&[("A", 1), ("B", 1)]), list(&[("A", 1), ("", 1)]), 131008),
        (list(&[(&long(24), 1)]), list(&[(&long(25), 1)]), 131009),
        (
            with(list(&[("A", 1)]), "/interactive/action/button", long(20).into()),
            with(list(&[("A", 1)]), "/interactive/action/button", long(21).into()),
            131009,
        ),
        (
            with(list(&[("A", 1)]), &format!("{row}/id"), long(200).into()),
            with(list(&[("A", 1)]), &format!("{row}/id"), long(201).into()),
            131009,
        ),
        (
            with(list(&[("A", 1)]), &format!("{row}/title"), long(24).into()),
            with(list(&[("A", 1)]), &format!("{row}/title"), long(25).into()),
            131009,
        ),
        (
            with(list(&[("A", 1)]), &format!("{row}/description"), long(72).into()),
            with(list(&[("A", 1)]), &format!("{row}/description"), long(73).into()),
            131009,
        ),
        (
            with(list(&[("A", 1)]), "/interactive/header", json!({"type": "text", "text": "h"})),
            with(
                list(&[("A", 1)]),
                "/interactive/header",
                json!({"type": "image", "image": {"link": "https://a.example/b"}}),
            ),
            131009,
        ),
        (
            with(list(&[("A", 1)]), "/interactive/body/text", long(4096).into()),
            with(list(&[("A", 1)]), "/interactive/body/text", long(4097).into()),
            131009,
        ),
        (
            with(image.clone(), "/image/caption", long(1024).into()),
            with(image.clone(), "/image/caption", long(1025).into()),
            131009,
        ),
        (image.clone(), with(image.clone(), "/image/id", "1".into()), 131009),
        (image.clone(), with(image, "/image/link", "not a link".into()), 100),
        (
            json!({"type": "location", "location": {"latitude": 90, "longitude": -180}}),
            json!({"type": "location", "location": {"latitude": 90.1, "longitude": 0}}),
            131009,
        ),
        (
            json!({"type": "reaction", "reaction": {"message_id": inbound, "emoji": ""}}),
            json!({"type": "reaction", "reaction": {"emoji": "👍"}}),
            131008,
        ),
    ];
    for (good, bad, code) in &cases {
        business.send(good.clone()).await;
        let (found, details) = business.refused(bad.clone()).await;
        assert_eq!(found, *code, "{details}: {bad}");
        assert!(!details.is_empty());
    }
    assert_eq!(anna.inbox().len(), cases.len());
    assert_eq!(business.cloud.refused().len(), cases.len());
}

#[tokio::test]
async fn templates_are_held_against_what_was_approved() {
    let business = Business::start();
    business.add_template();
    let anna = business.cloud.phone(ANNA);
    let good = template(&["Anna", "12.00"]);
    let (_, answer) = business.try_send(good.clone()).await.unwrap();
    assert_eq!(answer["messages"][0]["message_status"], "accepted");
    assert_eq!(anna.texts(), ["Hi Anna, your cart of 12.00 is waiting."]);
    assert_eq!(anna.inbox()[0].choices, ["Check out", "Not now"]);

    let components = "/template/components";
    let image = json!({"type": "image", "image": {"link": "https://example.com/a.png"}});
    let cases = [
        (with(good.clone(), "/template/name", "other".into()), 132001),
        (with(good.clone(), "/template/language", json!({"code": "de"})), 132001),
        (template(&["Anna"]), 132000),
        (template(&["Anna", "12.00", "more"]), 132000),
        (template(&["Anna", ""]), 131008),
        (template(&["Anna", "two\nlines"]), 132018),
        (with(good.clone(), &format!("{components}/0/parameters"), json!([image, image])), 132012),
        (with(good.clone(), &format!("{components}/2/parameters"), json!([])), 131008),
        (with(good.clone(), &format!("{components}/1/sub_type"), "url".into()), 132012),
        (with(good.clone(), &format!("{components}/1/index"), "7".into()), 132000),
        (with(good.clone(), &format!("{components}/1/parameters/0/payload"), "p".repeat(257).into()), 131009),
    ];
    for (bad, code) in cases {
        let (found, details) = business.refused(bad.clone()).await;
        assert_eq!(found, code, "{details}: {bad}");
    }
    for (status, code) in [("PAUSED", 132015), ("DISABLED", 132016), ("REJECTED", 132001), ("PENDING", 132001)] {
        business.cloud.set_template_status("abandoned_cart", status);
        assert_eq!(business.refused(good.clone()).await.0, code, "{status}");
    }
    business.cloud.set_template_status("abandoned_cart", "APPROVED");
    business.send(good).await;
    assert_eq!(anna.inbox().len(), 2);
}

#[tokio::test]
async fn headers_and_named_variables_of_templates_are_checked() {
    let business = Business::start();
    business.cloud.add_template(Template::new("picture", "de").named().media_header("IMAGE").body("Hallo {{name}}"));
    let message = |header: Value, name: &str| {
        json!({"type": "template", "template": {"name": "picture", "language": {"code": "de"}, "components": [
            {"type": "header", "parameters": [header]},
            {"type": "body", "parameters": [{"type": "text", "parameter_name": name, "text": "Anna"}]},
        ]}})
    };
    let image = json!({"type": "image", "image": {"link": "https://example.com/a.png"}});
    business.send(message(image.clone(), "name")).await;
    assert_eq!(business.cloud.phone(ANNA).texts(), ["Hallo Anna"]);
    assert_eq!(business.refused(message(image, "title")).await.0, 100);
    assert_eq!(business.refused(message(json!({"type": "text", "text": "?"}), "name")).await.0, 132012);
}

#[tokio::test]
async fn a_number_without_a_plus_sign_goes_to_the_businesss_own_country() {
    let business = Business::start();
    business.add_template();
    for (to, went_to) in
        [("+49 (151) 1234-5678", "4915112345678"), ("4915112345678", "14915112345678"), ("415 555 0123", "14155550123")]
    {
        let mut message = template(&["a", "b"]);
        message["to"] = to.into();
        business.send(message).await;
        assert_eq!(business.cloud.accepted().pop().unwrap().went_to.as_deref(), Some(went_to));
    }
    assert_eq!(business.cloud.phone(ANNA).inbox().len(), 1);
    assert_eq!(business.refused(json!({"to": "call me", "type": "text", "text": {"body": "a"}})).await.0, 100);
    assert_eq!(business.refused(json!({"to": "+15550783881", "type": "text", "text": {"body": "a"}})).await.0, 131021);
}

#[tokio::test]
async fn a_bsuid_belongs_into_recipient_and_is_lost_in_to() {
    let business = Business::start();
    let anna = business.cloud.user_without_phone("US.13491208655302741918", "anna");
    anna.say("hello");
    let (status, body) =
        business.try_send(json!({"to": anna.bsuid(), "type": "text", "text": {"body": "lost"}})).await.unwrap();
    assert_eq!(status, 200);
    assert!(body["messages"][0]["id"].is_string());
    assert_eq!(business.cloud.accepted()[0].fate, Fate::Nowhere);
    let (_, body) =
        business.try_send(json!({"recipient": anna.bsuid(), "type": "text", "text": {"body": "found"}})).await.unwrap();
    assert_eq!(body["contacts"], json!([{"input": anna.bsuid(), "user_id": anna.bsuid()}]));
    assert_eq!(anna.texts(), ["found"]);
    let both = json!({"to": ANNA, "recipient": anna.bsuid(), "type": "text", "text": {"body": "to wins"}});
    assert_eq!(business.refused(both).await.0, 131047);
    business.cloud.settle().await;
    let statuses = business.items("statuses");
    assert_eq!(statuses.len(), 2, "none for the lost one");
    assert!(statuses.iter().all(|status| status.get("recipient_id").is_none()));
    assert!(statuses.iter().all(|status| status["recipient_user_id"] == anna.bsuid()));
    assert_eq!(business.refused(json!({"recipient": "US.1", "type": "text", "text": {"body": "a"}})).await.0, 131026);
}

#[tokio::test]
async fn numbers_of_brazil_mexico_and_argentina_come_back_otherwise() {
    let business = Business::start();
    business.add_template();
    business.cloud.set_wa_id(brazil_mexico_argentina);
    for (to, wa_id) in [
        ("+5541988887777", "554188887777"),
        ("+554188887777", "554188887777"),
        ("+525512345678", "5215512345678"),
        ("+541112345678", "5491112345678"),
        (ANNA, "4915112345678"),
    ] {
        let mut message = template(&["a", "b"]);
        message["to"] = to.into();
        let (_, body) = business.try_send(message).await.unwrap();
        assert_eq!(body["contacts"], json!([{"input": to, "wa_id": wa_id}]));
    }
    assert_eq!(business.cloud.phone("+5541988887777").inbox().len(), 2);
}

#[tokio::test]
async fn one_person_takes_45_at_once_and_then_one_in_6_seconds() {
    let business = Business::start();
    business.cloud.set_pacing(Pacing { pair: true, per_second: None });
    business.cloud.phone(ANNA).say("hello");
    business.cloud.phone("+4915199999999").say("hello");
    for _ in 0..45 {
        business.send(text("burst")).await;
    }
    assert_eq!(business.refused(text("one more")).await.0, 131056);
    assert_eq!(business.cloud.requests().last().unwrap().status, Some(400));
    business.send(json!({"to": "+4915199999999", "type": "text", "text": {"body": "somebody else"}})).await;
    business.advance(5_999);
    assert_eq!(business.refused(text("not yet")).await.0, 131056);
    business.advance(1);
    business.send(text("now")).await;
    assert_eq!(business.refused(text("and again not")).await.0, 131056);
    assert_eq!(business.cloud.phone(ANNA).inbox().len(), 46);
}

#[tokio::test]
async fn the_number_takes_80_a_second_in_both_directions() {
    let business = Business::start();
    let people: Vec<_> = (0..40).map(|n| business.cloud.phone(&format!("+49151000000{n:02}"))).collect();
    people.iter().for_each(|person| drop(person.say("hello")));
    business.cloud.set_pacing(Pacing { pair: false, per_second: Some(80) });
    people.iter().for_each(|person| drop(person.say("40 in")));
    let to = |person: &Phone| with(text("x"), "/to", format!("+{}", person.wa_id().unwrap()).into());
    for person in &people {
        business.send(to(person)).await;
    }
    assert_eq!(business.refused(to(&people[0])).await.0, 130429);
    business.advance(1_000);
    for person in people.iter().chain(&people) {
        business.send(to(person)).await;
    }
    assert_eq!(business.refused(to(&people[0])).await.0, 130429);
}

#[tokio::test]
async fn marking_as_read_wants_a_message_of_a_person() {
    let business = Business::start();
    let inbound = business.cloud.phone(ANNA).say("hello");
    let mark = |body: Value| {
        let business = &business;
        async move {
            let mut full = json!({"messaging_product": "whatsapp", "status": "read"});
            body.as_object().unwrap().iter().for_each(|(key, value)| full[key] = value.clone());
            business.post("/v26.0/106540352242922/messages", &full).await.unwrap().1
        }
    };
    assert_eq!(mark(json!({"message_id": inbound})).await, json!({"success": true}));
    assert_eq!(
        mark(json!({"message_id": inbound, "typing_indicator": {"type": "text"}})).await,
        json!({"success": true})
    );
    assert_eq!(mark(json!({"message_id": "wamid.other"})).await["error"]["code"], 131009);
    assert_eq!(mark(json!({"message_id": inbound, "status": "unread"})).await["error"]["code"], 100);
    assert_eq!(mark(json!({"message_id": inbound, "typing_indicator": {"type": "voice"}})).await["error"]["code"], 100);
    assert_eq!(business.cloud.marked_read(), [(inbound.clone(), false), (inbound, true)]);
    assert_eq!(business.cloud.accepted().len(), 0);
}
