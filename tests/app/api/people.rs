//! Who a message is from: one person by several addresses, two contacts that turn out to be one, numbers that change.

use serde_json::{Value, json};
use testkit::app::{TestApp, local, question};

use crate::api::deliveries::{deliver, delivery, start, text};

fn number(digits: &str) -> Value {
    json!({"from": digits})
}

fn user(id: &str) -> Value {
    json!({"from_user_id": id})
}

fn both(digits: &str, id: &str) -> Value {
    json!({"from": digits, "from_user_id": id})
}

async fn send(app: &TestApp, id: &str, from: &Value, said: &str) {
    deliver(app, &delivery(&[text(id, from, said)])).await.expect(200);
}

async fn by_phone(app: &TestApp, phone: &str) -> Value {
    app.get(&format!("/contacts?phone={}", phone.replace('+', "%2B"))).await.expect(200)["data"][0].clone()
}

async fn addresses(app: &TestApp, contact: &Value) -> Vec<String> {
    let export = app.get(&format!("/contacts/{}/export", contact.as_str().unwrap())).await.expect(200);
    let line = |address: &Value| {
        let left = if address["retired_at"].is_null() { "" } else { " left" };
        format!("{} {}{left}", address["kind"].as_str().unwrap(), address["value"].as_str().unwrap())
    };
    export["addresses"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_written_otherwise_makes_no_second_contact() {
    local(async {
        let app = start().await;
        let flow = app.publish(&question(300)).await;
        for (n, (typed, delivered)) in
            [("+5541988887777", "554188887777"), ("+525512345678", "5215512345678"), ("+541112345678", "5491112345678")]
                .into_iter()
                .enumerate()
        {
            let session = app.trigger(flow, typed).await.expect(201);
            send(&app, &format!("w{n}"), &number(delivered), "tea").await;
            assert_eq!(app.session(&session["id"]).await["outcome"], "answered", "{typed}");
            let expected = [format!("phone {typed}"), format!("wa_id {delivered}")];
            assert_eq!(addresses(&app, &session["contact_id"]).await, expected, "what was sent is kept as it was");
        }
        assert_eq!(app.count("contacts"), 3);
        // The other way round: who wrote first is known to a trigger.
        send(&app, "first", &number("5215598765432"), "hello").await;
        app.trigger(flow, "+525598765432").await.expect(201);
        assert_eq!(app.count("contacts"), 4);
        // A landline of Brazil is nobody's mobile.
        app.trigger(flow, "+554133334444").await.expect(201);
        send(&app, "land", &number("5541933334444"), "hello").await;
        assert_eq!(app.count("contacts"), 6);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_a_number_is_somebody() {
    local(async {
        let app = start().await;
        send(&app, "w1", &user("US.1"), "hello").await;
        send(&app, "w2", &both("14155550123", "US.1"), "it is me").await;
        assert_eq!((app.count("contacts"), app.count("messages")), (1, 2));
        let contact = by_phone(&app, "+14155550123").await;
        assert_eq!(contact["name"], "Ana");
        let expected = ["bsuid US.1", "phone +14155550123", "wa_id 14155550123"];
        assert_eq!(addresses(&app, &contact["id"]).await, expected);
        app.stop().await;
    })
    .await;
}

/// A message whose sender's profile has that name.
async fn send_as(app: &TestApp, id: &str, digits: &str, name: &Value) {
    let mut whole = delivery(&[text(id, &number(digits), "hello")]);
    whole["entry"][0]["changes"][0]["value"]["contacts"][0]["profile"]["name"] = name.clone();
    deliver(app, &whole).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_profile_fills_an_empty_one_and_replaces_none() {
    local(async {
        let app = start().await;
        let person = json!({"phone": "+14155550123", "name": "Dr. Lovelace"});
        app.post("/actions/create-contact", &person).await.expect(201);
        app.post("/actions/create-contact", &json!({"phone": "+14155550124"})).await.expect(201);
        for (n, name) in ["Ada", "Countess", ""].iter().enumerate() {
            send_as(&app, &format!("a{n}"), "14155550123", &json!(name)).await;
            send_as(&app, &format!("b{n}"), "14155550124", &json!(name)).await;
        }
        send_as(&app, "c", "14155550125", &Value::Null).await;
        assert_eq!(by_phone(&app, "+14155550123").await["name"], "Dr. Lovelace");
        assert_eq!(by_phone(&app, "+14155550124").await["name"], "Ada");
        assert_eq!(by_phone(&app, "+14155550125").await["name"], Value::Null);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_said_as_it_is_whatever_it_looks_like() {
    local(async {
        let app = start().await;
        let names = [
            "O&apos;Brien",
            "<b>Ana</b>",
            "{{contact.phone}}",
            "{% raw %}",
            "None",
            "null",
            "undefined",
            "Robert'); DROP TABLE contacts;--",
            "%s %n",
            "a\\nb",
        ];
        let mut flow = question(300);
        flow["nodes"][0]["text"] = json!("Hi {{contact.name|default('there')}}, tea?");
        let flow = app.publish(&flow).await;
        for (n, name) in names.iter().enumerate() {
            let digits = format!("141555501{n:02}");
            send_as(&app, &format!("w{n}"), &digits, &json!(name)).await;
            let session = app.trigger(flow, &format!("+{digits}")).await.expect(201);
            let contact = session["contact_id"].as_str().unwrap().to_owned();
            assert_eq!(app.get(&format!("/contacts/{contact}")).await.expect(200)["name"], *name);
            let said = app.get(&format!("/contacts/{contact}/messages")).await.expect(200);
            let said: Vec<&str> = said["data"].as_array().unwrap().iter().filter_map(|m| m["text"].as_str()).collect();
            assert!(said.contains(&format!("Hi {name}, tea?").as_str()), "{name}: {said:?}");
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contacts_that_meet_in_a_delivery_become_the_older_one() {
    local(async {
        let app = start().await;
        let (cart, survey, ask) =
            (app.publish(&question(300)).await, app.publish(&question(300)).await, app.publish(&question(300)).await);
        let old = app.trigger(cart, "+14155550123").await.expect(201);
        let only_old = app.trigger(survey, "+14155550123").await.expect(201);
        app.advance(1);
        send(&app, "w1", &user("US.1"), "hello").await;
        let young = app.get("/contacts").await.expect(200)["data"][0]["id"].clone();
        assert_ne!(young, old["contact_id"]);
        let by_id = json!({"flow_id": cart, "contact_id": young});
        let clash = app.post("/actions/trigger-flow", &by_id).await.expect(201);
        let only_young =
            app.post("/actions/trigger-flow", &json!({"flow_id": ask, "contact_id": young})).await.expect(201);
        app.patch(
            &format!("/contacts/{}", young.as_str().unwrap()),
            &json!({"tags": ["vip"], "metadata": {"a": 1}, "email": "ana@example.org"}),
        )
        .await
        .expect(200);

        let mut shown = text("w2", &both("14155550123", "US.1"), "tea");
        shown["timestamp"] = json!("1778140801");
        deliver(&app, &delivery(&[shown])).await.expect(200);
        assert_eq!(app.count("contacts"), 1);
        let contact = app.get(&format!("/contacts/{}", young.as_str().unwrap())).await.expect(200);
        assert_eq!((&contact["id"], &contact["tags"]), (&old["contact_id"], &json!(["vip"])), "the old id leads there");
        assert_eq!((&contact["email"], &contact["metadata"]), (&json!("ana@example.org"), &json!({"a": 1})));
        let statuses = async |session: &Value| {
            let session = app.session(&session["id"]).await;
            (session["status"].clone(), session["reason"].clone(), session["contact_id"].clone())
        };
        assert_eq!(statuses(&old).await, (json!("cancelled"), json!("merged"), old["contact_id"].clone()));
        for goes_on in [&only_old, &clash, &only_young] {
            assert_eq!(statuses(goes_on).await.2, old["contact_id"]);
        }
        let running = app.get("/sessions?status=running").await.expect(200)["data"].as_array().unwrap().len();
        assert_eq!(running, 2, "one of three took the answer");
        let queued = app.get("/messages?status=queued").await.expect(200);
        assert!(queued["data"].as_array().unwrap().iter().all(|message| message["contact"]["id"] == old["contact_id"]));
        let dropped = app.get("/messages?status=failed&reason=merged").await.expect(200);
        assert_eq!(dropped["data"].as_array().unwrap().len(), 1);
        let rows = app.rows();
        send(&app, "w2", &both("14155550123", "US.1"), "tea").await;
        assert_eq!(app.rows(), rows);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_stands_whichever_of_two_contacts_had_it() {
    local(async {
        let app = start().await;
        let flow = app.publish(&question(300)).await;
        let session = app.trigger(flow, "+14155550123").await.expect(201);
        send(&app, "w1", &user("US.1"), "stop").await;
        send(&app, "w2", &both("14155550123", "US.1"), "tea").await;
        let ended = app.session(&session["id"]).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("opted_out")));
        assert_eq!(app.trigger(flow, "+14155550123").await.expect(422)["error"], "Contact has opted out");
        let queued = app.get("/messages?status=queued").await.expect(200);
        assert_eq!(queued["data"].as_array().unwrap().len(), 1, "the confirmation alone: {queued}");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ids_are_two_people_and_the_number_goes_with_the_newer() {
    local(async {
        let app = start().await;
        send(&app, "w1", &both("14155550123", "US.1"), "hello").await;
        let first = by_phone(&app, "+14155550123").await["id"].clone();
        send(&app, "w2", &both("14155550123", "US.2"), "I have this number now").await;
        assert_eq!(app.count("contacts"), 2);
        let second = by_phone(&app, "+14155550123").await["id"].clone();
        assert_ne!(second, first);
        assert_eq!(addresses(&app, &first).await, ["bsuid US.1"]);
        // Both are known by now, and still no merge.
        send(&app, "w3", &both("14155550123", "US.1"), "back").await;
        assert_eq!(app.count("contacts"), 2);
        assert_eq!(by_phone(&app, "+14155550123").await["id"], first);
        assert_eq!(addresses(&app, &second).await, ["bsuid US.2"]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_number_leads_to_the_same_person_and_the_old_one_to_nobody() {
    local(async {
        let app = start().await;
        let flow = app.publish(&question(300)).await;
        let session = app.trigger(flow, "+14155550123").await.expect(201);
        send(&app, "w1", &both("14155550123", "US.1"), "perhaps").await;
        let changed = json!({
            "id": "w2", "from": "14155550123", "timestamp": "1778140801", "type": "system",
            "system": {"type": "user_changed_number", "wa_id": "14155550199", "body": "Ana changed from 1 to 2"}
        });
        deliver(&app, &delivery(&[changed])).await.expect(200);
        let expected = [
            "bsuid US.1 left",
            "phone +14155550123 left",
            "phone +14155550199",
            "wa_id 14155550123 left",
            "wa_id 14155550199",
        ];
        assert_eq!(addresses(&app, &session["contact_id"]).await, expected);
        let said = app.talk(&session["contact_id"]).await;
        assert!(said.iter().any(|line| line.starts_with("in Ana changed")), "{said:?}");
        send(&app, "w3", &both("14155550199", "US.9"), "tea").await;
        assert_eq!(app.session(&session["id"]).await["outcome"], "answered");
        assert_eq!(app.count("contacts"), 1);
        send(&app, "w4", &number("14155550123"), "who is this?").await;
        assert_eq!(app.count("contacts"), 2, "the next owner of the old number is somebody else");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_number_that_was_somebody_elses_makes_no_one_of_the_two() {
    local(async {
        let app = start().await;
        send(&app, "w1", &both("14155550199", "US.2"), "stop").await;
        send(&app, "w2", &both("14155550123", "US.1"), "hello").await;
        let (other, person) =
            (by_phone(&app, "+14155550199").await["id"].clone(), by_phone(&app, "+14155550123").await["id"].clone());
        let change = |id: &str, from: &str, to: &Value| {
            let mut system = json!({"type": "user_changed_number", "body": "Ana changed her number"});
            system.as_object_mut().unwrap().extend(to.as_object().unwrap().clone());
            json!({"id": id, "from": from, "timestamp": "1778140801", "type": "system", "system": system})
        };
        let moved = change("w3", "14155550123", &json!({"wa_id": "14155550199"}));
        deliver(&app, &delivery(&[moved])).await.expect(200);
        assert_eq!(app.count("contacts"), 2);
        assert_eq!(by_phone(&app, "+14155550199").await["id"], person, "the number goes with who has it now");
        assert_eq!(addresses(&app, &other).await, ["bsuid US.2"]);
        let profile = app.get(&format!("/contacts/{}", person.as_str().unwrap())).await.expect(200);
        assert_eq!(profile["opted_out_at"], Value::Null, "what the other one wanted is not this one's wish");

        // Who wrote from the new number under the new id before the notice came is the same person.
        send(&app, "w4", &both("14155550177", "US.3"), "hello").await;
        assert_eq!(app.count("contacts"), 3);
        let moved = change("w5", "14155550199", &json!({"wa_id": "14155550177", "user_id": "US.3"}));
        deliver(&app, &delivery(&[moved])).await.expect(200);
        assert_eq!(app.count("contacts"), 2);
        assert_eq!(by_phone(&app, "+14155550177").await["id"], person);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_read_keeps_nobody_from_opting_out() {
    local(async {
        let app = start().await;
        let flow = app.publish(&question(300)).await;
        let broken = app.trigger(flow, "+14155550123").await.expect(201);
        app.advance(1);
        send(&app, "w1", &user("US.1"), "hello").await;
        let young = app.get("/contacts").await.expect(200)["data"][0]["id"].clone();
        let by_id = json!({"flow_id": flow, "contact_id": young});
        app.post("/actions/trigger-flow", &by_id).await.expect(201);
        let file = rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap();
        assert_eq!(file.execute("UPDATE sessions SET state = 'no JSON'", []).unwrap(), 2);
        send(&app, "w2", &both("14155550123", "US.1"), "stop").await;
        assert_eq!(app.count("contacts"), 1);
        let contact = by_phone(&app, "+14155550123").await;
        assert_eq!(contact["id"], broken["contact_id"]);
        assert_ne!(contact["opted_out_at"], Value::Null);
        let running: i64 =
            file.query_row("SELECT count(*) FROM sessions WHERE status = 'running'", [], |row| row.get(0)).unwrap();
        assert_eq!(running, 0);
        let queued = app.get("/messages?status=queued").await.expect(200);
        assert_eq!(queued["data"].as_array().unwrap().len(), 1, "the confirmation alone: {queued}");
        app.stop().await;
    })
    .await;
}
