//! Contacts, tags and their search as clients of the public API know them: fields, orders, caps and texts.

use qyvo::domain::{AddressKey, AddressKind, Contact, ContactChange, ContactId, Timestamp};
use qyvo::runtime::import::{self, Incoming, Saved};
use qyvo::store::tokens::Scope;
use qyvo::store::{addresses, contacts, merge};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, START, TestApp, local, question, read, secret};

const NEITHER: &str = "Neither contact_id nor phone provided";

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

async fn act(app: &TestApp, action: &str, body: Value) -> Value {
    let expected = if action == "create-contact" { 201 } else { 200 };
    app.post(&format!("/actions/{action}"), &body).await.expect(expected)
}

async fn ids(app: &TestApp, body: Value) -> Vec<Value> {
    let found = act(app, "search-contacts", body).await;
    found.as_array().unwrap().iter().map(|contact| contact["id"].clone()).collect()
}

async fn index(app: &TestApp) {
    while app.runtime.run_search_index_once().await.unwrap() > 0 {}
}

#[tokio::test]
async fn answers_have_the_fields_that_are_documented() {
    local(async {
        let app = TestApp::start().await;
        let body = json!({
            "phone": "+1 (415) 555-0123", "name": " Ana Souza ", "email": "ana@example.org", "tags": " vip , beta,,vip",
            "metadata": {"crm": 4711}, "favourite_color": "unknown keys are ignored"
        });
        let made = act(&app, "create-contact", body).await;
        let whole = json!({
            "id": made["id"], "phone": PHONE, "name": "Ana Souza", "email": "ana@example.org", "locale": null,
            "source": "api", "metadata": {"crm": 4711}, "tags": ["beta", "vip"], "opted_in_at": null,
            "opted_out_at": null, "last_message_at": null, "total_messages": 0, "created_at": START, "updated_at": START
        });
        assert_eq!(made, whole);

        let got = act(&app, "get-contact", json!({"contact_id": made["id"]})).await;
        let mut expected = whole.clone();
        expected.as_object_mut().unwrap().remove("updated_at");
        assert_eq!(got, expected);
        for body in [
            json!({"phone": PHONE}),
            json!({"email": "ANA@example.ORG"}),
            json!({"contact_id": made["id"], "phone": PHONE, "email": "nobody@example.org"}),
            json!({"contact_id": "", "phone": "", "email": " ana@example.org "}),
            json!({"contact_id": null, "phone": PHONE, "email": ""}),
        ] {
            assert_eq!(act(&app, "get-contact", body.clone()).await, got, "{body}");
        }

        app.advance(60);
        let body = json!({"contact_id": made["id"], "name": "Ana", "tags": "new"});
        let updated = act(&app, "update-contact", body).await;
        assert_eq!(keys(&updated), ["id", "phone", "name", "email", "tags", "updated_at"]);
        assert_eq!((&updated["tags"], &updated["name"]), (&json!(["new"]), &json!("Ana")));
        assert_eq!(updated["updated_at"], "2026-05-07T08:01:00+00:00");

        let tagged = act(&app, "add-tag", json!({"phone": PHONE, "tag": " a tag "})).await;
        assert_eq!(tagged, json!({"id": made["id"], "phone": PHONE, "tag_added": "a tag", "tags": ["a tag", "new"]}));
        let again = act(&app, "add-tag", json!({"contact_id": made["id"], "tag": "a tag"})).await;
        assert_eq!(again, tagged);
        let untagged = act(&app, "remove-tag", json!({"phone": PHONE, "tag": "new"})).await;
        assert_eq!(untagged, json!({"id": made["id"], "phone": PHONE, "tag_removed": "new", "tags": ["a tag"]}));
        let unknown = act(&app, "remove-tag", json!({"phone": PHONE, "tag": "never heard of"})).await;
        assert_eq!(unknown["tags"], json!(["a tag"]));

        let tags = act(&app, "list-tags", json!({})).await;
        let names: Vec<&Value> = tags.as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
        assert_eq!(names, ["a tag", "beta", "new", "vip"], "what was taken off stays");
        assert_eq!(keys(&tags[0]), ["id", "name"]);
        assert_ne!(tags[0]["id"], tags[1]["id"]);
        assert_eq!(act(&app, "list-tags", json!({"name": "ET"})).await, json!([tags[1]]));
        assert_eq!(act(&app, "list-tags", json!({"name": "%"})).await, json!([]));
        assert_eq!(act(&app, "list-tags", json!({"name": ""})).await, tags);

        let found = act(&app, "search-contacts", json!({})).await;
        let fields = ["id", "phone", "name", "email", "source", "tags", "last_message_at", "created_at"];
        assert_eq!(keys(&found[0]), fields);
        assert_eq!(app.count("contacts"), 1);
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn create_adds_to_a_contact_that_is_there_and_leaves_what_is_blank() {
    local(async {
        let app = TestApp::start().await;
        let first = json!({
            "phone": PHONE, "name": "Ana", "email": "ana@example.org", "tags": "vip",
            "metadata": {"a": 1, "b": {"c": 2}}
        });
        let made = act(&app, "create-contact", first).await;
        app.advance(60);
        for blank in [
            json!({"phone": PHONE}),
            json!({"phone": PHONE, "name": "", "email": "", "tags": "", "metadata": {}}),
            json!({"phone": PHONE, "name": " ", "email": null, "tags": " , ", "metadata": []}),
            json!({"phone": PHONE, "tags": null, "metadata": null}),
            json!({"phone": PHONE, "tags": [], "metadata": ""}),
        ] {
            let before = app.rows();
            assert_eq!(act(&app, "create-contact", blank.clone()).await, made, "{blank}");
            assert_eq!(app.rows(), before, "{blank}");
        }
        let body = json!({"phone": PHONE, "name": "Ana S", "tags": "beta", "metadata": {"a": null, "b": {"d": 3}}});
        let changed = act(&app, "create-contact", body).await;
        assert_eq!(changed["id"], made["id"]);
        assert_eq!((&changed["name"], &changed["email"]), (&json!("Ana S"), &json!("ana@example.org")));
        assert_eq!(changed["tags"], json!(["beta", "vip"]));
        assert_eq!(changed["metadata"], json!({"b": {"d": 3}}), "merged on the first level alone");
        assert_eq!((&changed["created_at"], &changed["opted_in_at"]), (&json!(START), &Value::Null));
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, "+14155550199").await.expect(201);
        let by_trigger = act(&app, "create-contact", json!({"phone": "+14155550199", "name": "Bo"})).await;
        assert_ne!(by_trigger["opted_in_at"], Value::Null, "a consent stays");
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn update_writes_what_is_sent_and_clears_what_is_empty() {
    local(async {
        let app = TestApp::start().await;
        let first = json!({
            "phone": PHONE, "name": "Ana", "email": "ana@example.org", "tags": "vip,beta", "metadata": {"a": 1, "b": 2}
        });
        let made = act(&app, "create-contact", first).await;
        app.advance(60);
        let before = app.rows();
        for nothing in [json!({}), json!({"metadata": {}}), json!({"metadata": [], "tags": ""}), json!({"tags": " , "})]
        {
            let mut body = nothing.clone();
            body["phone"] = json!(PHONE);
            let updated = act(&app, "update-contact", body).await;
            assert_eq!((&updated["tags"], &updated["updated_at"]), (&made["tags"], &json!(START)), "{nothing}");
        }
        assert_eq!(app.rows(), before);
        let body = json!({"phone": PHONE, "contact_id": made["id"], "name": "", "email": "", "metadata": {"a": null}});
        let cleared = act(&app, "update-contact", body).await;
        assert_eq!((&cleared["name"], &cleared["email"]), (&Value::Null, &Value::Null));
        assert_eq!(cleared["tags"], json!(["beta", "vip"]));
        assert_eq!(act(&app, "get-contact", json!({"phone": PHONE})).await["metadata"], json!({"b": 2}));
        let emptied = act(&app, "update-contact", json!({"phone": PHONE, "tags": []})).await;
        assert_eq!(emptied["tags"], json!([]));
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_documented_texts_and_changes_nothing() {
    local(async {
        let app = TestApp::start().await;
        let ana = act(&app, "create-contact", json!({"phone": PHONE, "name": "Ana"})).await["id"].clone();
        let other = act(&app, "create-contact", json!({"phone": "+14155550124"})).await["id"].clone();
        let nobody = "01a20838-9d10-7c55-b1a2-6f0d6a1c7e21";
        let many = (0..51).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let before = app.rows();

        let error = |text: &str| json!({"error": text});
        let rows = [
            ("update-contact", json!({"name": "x"}), 422, error(NEITHER)),
            ("update-contact", json!({"contact_id": "", "phone": "", "name": "x"}), 422, error(NEITHER)),
            ("add-tag", json!({"tag": "x"}), 422, error(NEITHER)),
            ("remove-tag", json!({"tag": "x"}), 422, error(NEITHER)),
            ("get-contact", json!({}), 422, error("None of contact_id, phone, email provided")),
            ("get-contact", json!({"email": ""}), 422, error("None of contact_id, phone, email provided")),
            ("get-contact", json!({"email": "nobody@example.org"}), 404, error("Contact not found")),
            ("get-contact", json!({"phone": "+14155550999"}), 404, error("Contact not found")),
            ("get-contact", json!({"contact_id": nobody}), 404, error("Contact not found")),
            ("update-contact", json!({"phone": "+14155550999", "name": "x"}), 404, error("Contact not found")),
            ("update-contact", json!({"contact_id": nobody, "name": "x"}), 404, error("Contact not found")),
            ("add-tag", json!({"phone": "+14155550999", "tag": "x"}), 404, error("Contact not found")),
            ("remove-tag", json!({"contact_id": nobody, "tag": "x"}), 404, error("Contact not found")),
        ];
        for (action, body, status, expected) in rows {
            let answer = app.post(&format!("/actions/{action}"), &body).await.expect(status);
            assert_eq!(answer, expected, "{action} {body}");
        }

        let both = |more: Value| {
            let mut body = json!({"contact_id": ana, "phone": "+14155550124"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let rows = [
            ("create-contact", json!({}), "phone"),
            ("create-contact", json!({"phone": ""}), "phone"),
            ("create-contact", json!({"phone": "12"}), "phone"),
            ("create-contact", json!({"phone": 14155550123_u64}), "phone"),
            ("create-contact", json!({"phone": PHONE, "email": "no address"}), "email"),
            ("create-contact", json!({"phone": PHONE, "name": 7}), "name"),
            ("create-contact", json!({"phone": PHONE, "name": "x".repeat(256)}), "name"),
            ("create-contact", json!({"phone": PHONE, "name": "\u{200b}\u{3164}"}), "name"),
            ("create-contact", json!({"phone": PHONE, "email": "a\u{200b}na@shop.example"}), "email"),
            ("create-contact", json!({"phone": PHONE, "tags": "vip\u{0}"}), "tags"),
            ("update-contact", json!({"phone": PHONE, "name": "\u{feff}\u{7}"}), "name"),
            ("add-tag", json!({"phone": PHONE, "tag": "\u{200b}\u{3164}"}), "tag"),
            ("create-contact", json!({"phone": PHONE, "tags": 7}), "tags"),
            ("create-contact", json!({"phone": PHONE, "tags": "y".repeat(65)}), "tags"),
            ("create-contact", json!({"phone": PHONE, "tags": many}), "tags"),
            ("create-contact", json!({"phone": PHONE, "metadata": "x"}), "metadata"),
            ("create-contact", json!({"phone": PHONE, "metadata": [1]}), "metadata"),
            ("create-contact", json!({"phone": PHONE, "metadata": {"x": "y".repeat(65_536)}}), "metadata"),
            ("update-contact", json!({"contact_id": "7", "name": "x"}), "contact_id"),
            ("update-contact", json!({"phone": PHONE, "email": "a@b"}), "email"),
            ("update-contact", both(json!({"name": "x"})), "contact_id"),
            ("get-contact", both(json!({})), "phone"),
            ("get-contact", json!({"contact_id": "7"}), "contact_id"),
            ("get-contact", json!({"email": 7}), "email"),
            ("add-tag", json!({"phone": PHONE}), "tag"),
            ("add-tag", json!({"phone": PHONE, "tag": " "}), "tag"),
            ("add-tag", json!({"phone": PHONE, "tag": "x".repeat(65)}), "tag"),
            ("add-tag", both(json!({"tag": "x"})), "contact_id"),
            ("remove-tag", json!({"phone": PHONE, "tag": ["x"]}), "tag"),
            ("search-contacts", json!({"query": 7}), "query"),
            ("search-contacts", json!({"tag": ["vip"]}), "tag"),
            ("list-tags", json!({"name": {}}), "name"),
        ];
        for (action, body, field) in rows {
            let answer = app.post(&format!("/actions/{action}"), &body).await.expect(422);
            assert_eq!(answer["message"], "The given data was invalid.", "{action} {answer}");
            assert!(answer["errors"][field][0].is_string(), "{action} {field}: {answer}");
        }
        let several = json!({"email": "x", "name": 1, "tags": 1});
        let several = app.post("/actions/create-contact", &several).await.expect(422);
        assert_eq!(keys(&several["errors"]).len(), 4, "all at once: {several}");
        assert_eq!(app.rows(), before);

        let full = (0..50).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        act(&app, "update-contact", json!({"contact_id": other, "tags": full})).await;
        let one_more = json!({"contact_id": other, "tag": "one more"});
        let answer = app.post("/actions/add-tag", &one_more).await.expect(422);
        assert!(answer["errors"]["tag"][0].as_str().unwrap().contains("50"), "{answer}");
        act(&app, "add-tag", json!({"contact_id": other, "tag": "7"})).await;
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn every_call_takes_the_same_tokens_and_both_base_paths() {
    local(async {
        let app = TestApp::start().await;
        for action in
            ["create-contact", "update-contact", "get-contact", "search-contacts", "add-tag", "remove-tag", "list-tags"]
        {
            let body = || Some(json!({"phone": PHONE, "tag": "vip"}).to_string());
            for base in ["/api/v1", "/v1"] {
                let path = format!("{base}/actions/{action}");
                let call = |token: Option<String>| {
                    let (app, path) = (&app, path.clone());
                    async move { app.request(Method::POST, &path, token.as_deref(), body()).await }
                };
                assert!(call(Some(secret(Scope::Api))).await.status.is_success(), "{path}");
                call(Some(secret(Scope::Trigger))).await.expect(403);
                assert_eq!(call(None).await.expect(401), json!({"message": "Unauthenticated."}));
                app.request(Method::GET, &path, Some(&secret(Scope::Api)), None).await.expect(405);
            }
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_with_its_key_gets_the_first_answer() {
    local(async {
        let app = TestApp::start().await;
        for (action, body, other) in [
            ("create-contact", json!({"phone": PHONE, "tags": "a"}), json!({"phone": PHONE, "tags": "b"})),
            ("update-contact", json!({"phone": PHONE, "name": "Ana"}), json!({"phone": PHONE, "name": "Bo"})),
            ("add-tag", json!({"phone": PHONE, "tag": "x"}), json!({"phone": PHONE, "tag": "y"})),
            ("remove-tag", json!({"phone": PHONE, "tag": "x"}), json!({"phone": PHONE, "tag": "y"})),
        ] {
            let path = format!("/actions/{action}");
            let first = app.post_with_key(&path, "once", &body).await;
            assert!(first.status.is_success() && first.header("Idempotency-Replayed").is_none());
            app.post("/actions/add-tag", &json!({"phone": PHONE, "tag": action})).await.expect(200);
            let before = app.rows();
            let again = app.post_with_key(&path, "once", &body).await;
            assert_eq!((again.header("Idempotency-Replayed"), again.status), (Some("true"), first.status));
            assert_eq!(again.body, first.body, "{action}");
            app.post_with_key(&path, "once", &other).await.expect(422);
            assert_eq!(app.rows(), before, "{action}");
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_person_who_is_merged_or_erased_is_found_as_what_they_are_now() {
    local(async {
        let app = TestApp::start().await;
        let ana =
            act(&app, "create-contact", json!({"phone": PHONE, "name": "Ana Walnut", "email": "w@example.org"})).await;
        let twin = act(&app, "create-contact", json!({"phone": "+14155550124", "name": "Twin"})).await;
        index(&app).await;
        let (keep, gone) =
            (ana["id"].as_str().unwrap().parse().unwrap(), twin["id"].as_str().unwrap().parse().unwrap());
        let merging = app.runtime.store().write(move |tx| {
            let (keep, gone) = (contacts::find_by_id(tx, keep)?, contacts::find_by_id(tx, gone)?);
            merge::unite(tx, &keep.unwrap(), &gone.unwrap(), START.parse().unwrap())
        });
        merging.await.unwrap();
        assert_eq!(act(&app, "get-contact", json!({"contact_id": twin["id"]})).await["id"], ana["id"]);
        assert_eq!(ids(&app, json!({"query": "twin"})).await, [json!(null); 0]);
        for query in ["0124", "walnut", "0123"] {
            assert_eq!(ids(&app, json!({"query": query})).await, [ana["id"].clone()], "{query}");
        }
        index(&app).await;
        let path = format!("/contacts/{}", ana["id"].as_str().unwrap());
        app.patch(&path, &json!({"opted_out": true})).await.expect(200);
        app.delete(&path).await.expect(200);
        for query in ["walnut", "wa", "w", "0124", "w@example"] {
            assert_eq!(ids(&app, json!({"query": query})).await, [json!(null); 0], "{query}");
        }
        assert_eq!((app.count("search_texts"), app.count("search_queue"), app.count("tags")), (0, 0, 0));
        for body in [json!({"contact_id": ana["id"]}), json!({"phone": PHONE}), json!({"email": "w@example.org"})] {
            app.post("/actions/get-contact", &body).await.expect(404);
        }
        let back = act(&app, "create-contact", json!({"phone": PHONE, "name": "Back"})).await;
        assert_ne!(back["id"], ana["id"]);
        assert_ne!(back["opted_out_at"], Value::Null, "an opt-out outlives the person's data");
        let flow = app.publish(&question(30)).await;
        app.trigger(flow, PHONE).await.expect(422);
        index(&app).await;
        assert_eq!(ids(&app, json!({"query": "back"})).await, [back["id"].clone()]);
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_search_gives_fifty_by_their_last_message() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let mut expected = Vec::new();
        for n in 0..60 {
            let phone = format!("+14155551{n:03}");
            let id =
                act(&app, "create-contact", json!({"phone": phone, "name": format!("Person {n}")})).await["id"].clone();
            if n % 3 == 0 {
                app.advance(1);
                app.trigger(flow, &phone).await.expect(201);
            }
            expected.push((n % 3 == 0, n, id));
        }
        // Whoever a message went to comes first; among the rest the newest.
        expected.sort_by_key(|(has_messages, n, _)| std::cmp::Reverse((*has_messages, *n)));
        let expected: Vec<Value> = expected.into_iter().take(50).map(|(_, _, id)| id).collect();
        for body in [json!({}), json!({"query": "", "tag": "", "email": ""}), json!({"query": "PERSON"})] {
            assert_eq!(ids(&app, body.clone()).await, expected, "{body}");
        }
        act(&app, "add-tag", json!({"phone": "+14155551007", "tag": "vip"})).await;
        assert_eq!(ids(&app, json!({"tag": "vip", "query": "person"})).await.len(), 1);
        assert_eq!(ids(&app, json!({"tag": "vip", "query": "person 8"})).await.len(), 0);
        assert_eq!(ids(&app, json!({"tag": "unknown"})).await.len(), 0);

        let listed = app.get("/contacts?query=person&limit=3").await.expect(200);
        assert_eq!((&listed["total"], &listed["is_total_exact"]), (&json!(60), &json!(true)));
        let behind = format!("/contacts?query=person&limit=200&cursor={}", listed["next_cursor"].as_str().unwrap());
        let rest = app.get(&behind).await.expect(200);
        assert_eq!((&rest["next_cursor"], &rest["total"]), (&Value::Null, &Value::Null));
        assert_eq!(rest["data"].as_array().unwrap().len(), 57);
        let listed: Vec<&Value> =
            [&listed, &rest].iter().flat_map(|page| page["data"].as_array().unwrap()).map(|one| &one["id"]).collect();
        assert_eq!(&listed[..50], expected.iter().collect::<Vec<_>>());
        let wrong = app.get("/contacts?query=person&cursor=7").await.expect(422);
        assert_eq!(wrong["errors"]["cursor"][0], "The cursor must be a `next_cursor` of this list.");
        assert_eq!(app.get("/contacts?tag=vip").await.expect(200)["data"].as_array().unwrap().len(), 1);
        assert_eq!(app.get("/contacts?query=%2B1415&tag=vip").await.expect(200)["data"].as_array().unwrap().len(), 1);
        assert_eq!(app.get("/contacts?query=%20").await.expect(200)["data"].as_array().unwrap().len(), 50);
        app.get("/contacts?query=a&phone=%2B14155551007").await.expect(422);
        app.get("/contacts?tag=vip&cursor=7").await.expect(422);
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_searched_survives_a_restart_and_follows_what_changes() {
    local(async {
        let app = TestApp::start().await;
        let made = act(&app, "create-contact", json!({"phone": PHONE, "name": "\u{6b27}\u{9633}"})).await;
        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, |_| {}).await;
        assert_eq!(app.count("search_texts"), 0, "nothing was indexed yet");
        assert_eq!(app.runtime.run_search_index_once().await.unwrap(), 1);
        assert_eq!(app.runtime.run_search_index_once().await.unwrap(), 0);
        assert_eq!(app.count("search_texts"), 1);
        act(&app, "update-contact", json!({"phone": PHONE, "name": "Li"})).await;
        assert_eq!(ids(&app, json!({"query": "li"})).await, [made["id"].clone()]);
        let id = made["id"].as_str().unwrap().parse().unwrap();
        let adding = app.runtime.store().write(move |tx| {
            let seq = contacts::find_by_id(tx, id)?.unwrap().seq;
            addresses::add(tx, seq, &AddressKey::new(AddressKind::PHONE, "+34600111222"), START.parse().unwrap())
        });
        adding.await.unwrap();
        assert_eq!(app.runtime.run_search_index_once().await.unwrap(), 1);
        assert_eq!(ids(&app, json!({"query": "600111"})).await, [made["id"].clone()]);
        assert_eq!(ids(&app, json!({"query": "\u{6b27}"})).await, [json!(null); 0]);
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn who_came_by_an_import_or_a_trigger_is_found_by_the_index() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let importing = app.runtime.store().write(|tx| {
            let change = ContactChange {
                name: Some("Zo\u{eb} Quetzal".to_owned()),
                add_tags: vec!["lead".to_owned()],
                ..ContactChange::default()
            };
            let phone = "+14155550199".parse().unwrap();
            let incoming = Incoming { phone, change, opted_in: None, opted_out: None };
            import::save(tx, &incoming, START.parse().unwrap())
        });
        assert_eq!(importing.await.unwrap().saved, Saved::Created);
        let zoe = ids(&app, json!({"query": "quetzal"})).await;
        let triggered = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        index(&app).await;
        assert_eq!((app.count("search_texts"), app.count("search_queue")), (2, 0));
        // So many that the two are not among those who are looked at first, nor among those who are not indexed.
        let crowding = app.runtime.store().write(|tx| {
            for n in 0..4_000_u32 {
                let mut contact = Contact::new(ContactId(uuid::Uuid::from_u128(n.into())), None);
                contact.name = Some(format!("Person {n}"));
                let at = Timestamp::from_millis(START.parse::<Timestamp>().unwrap().as_millis() + 60_000);
                let seq = contacts::insert(tx, &contact, "api", at)?;
                contacts::touch(tx, seq, 1, None, at)?;
            }
            Ok(())
        });
        crowding.await.unwrap();
        index(&app).await;
        assert_eq!(app.count("search_texts"), 4_002);
        assert_eq!(zoe.len(), 1);
        for body in [
            json!({"query": "QUETZAL"}),
            json!({"query": "zo\u{cb}"}),
            json!({"query": "0199"}),
            json!({"tag": "lead"}),
            json!({"query": "zal", "tag": "lead"}),
        ] {
            assert_eq!(ids(&app, body.clone()).await, zoe, "{body}");
        }
        assert_eq!(ids(&app, json!({"query": "+1 (415) 555-0123"})).await, std::slice::from_ref(&triggered));
        let both = [triggered, zoe[0].clone()];
        assert_eq!(ids(&app, json!({"query": "41555501"})).await, both, "who was written to is first");
        assert_eq!(act(&app, "search-contacts", json!({"query": "person", "tag": "lead"})).await, json!([]));
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_without_a_byte_asks_for_everything_whatever_it_says_it_is() {
    local(async {
        let app = TestApp::start().await;
        act(&app, "create-contact", json!({"phone": PHONE, "tags": "vip"})).await;
        let send = async |action: &str, media_type: Option<&str>, body: &'static str| {
            let url = format!("{}/v1/actions/{action}", app.base);
            let mut request = app.client.post(url).bearer_auth(secret(Scope::Api)).body(body);
            if let Some(media_type) = media_type {
                request = request.header("Content-Type", media_type);
            }
            read(request).await
        };
        for action in ["search-contacts", "list-tags", "list-templates"] {
            let everything = act(&app, action, json!({})).await;
            for media_type in [None, Some("application/json"), Some("text/plain"), Some("nonsense")] {
                assert_eq!(send(action, media_type, "").await.expect(200), everything, "{action} {media_type:?}");
            }
            send(action, Some("application/json"), " ").await.expect(400);
            send(action, Some("text/plain"), "{}").await.expect(415);
            send(action, None, "{}").await.expect(415);
        }
        // What must have a field cannot do without a body.
        send("get-contact", None, "").await.expect(415);
        send("create-contact", Some("application/json"), "").await.expect(400);
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_number_in_another_notation_is_the_same_contact_to_reads_and_to_writes() {
    local(async {
        let app = TestApp::start().await;
        // A Brazilian mobile number with its ninth digit and without, and a Mexican one with its old 1 and without.
        for (stored, asked) in [("+5541988887777", "+554188887777"), ("+5215512345678", "+525512345678")] {
            let made = act(&app, "create-contact", json!({"phone": stored})).await;
            let id = &made["id"];
            assert_eq!(act(&app, "update-contact", json!({"phone": asked, "name": "Ana"})).await["id"], *id);
            for body in [json!({"phone": asked}), json!({"contact_id": id, "phone": asked})] {
                assert_eq!(act(&app, "update-contact", body.clone()).await["id"], *id, "{body}");
                let got = act(&app, "get-contact", body.clone()).await;
                assert_eq!((&got["id"], &got["phone"]), (id, &json!(stored)), "{body}: the number stays as it is");
            }
            let listed = app.get(&format!("/contacts?phone={}", asked.replace('+', "%2B"))).await.expect(200);
            assert_eq!((&listed["data"][0]["id"], &listed["data"][1]), (id, &Value::Null));
            for phone in [PHONE, "+14155550999"] {
                let both = json!({"contact_id": id, "phone": phone});
                let errors = app.post("/actions/update-contact", &both).await.expect(422);
                assert_eq!(app.post("/actions/get-contact", &both).await.expect(422), errors, "{both}");
            }
        }
        assert_eq!(app.count("contacts"), 2);
        app.stop().await;
    })
    .await;
}
