//! Contacts and messages: lists, changes, opting out, export, erasing.

use std::collections::BTreeSet;

use qyvo::channels::capabilities::address_kinds;
use qyvo::domain::{ContactId, FlowId, Timestamp};
use qyvo::store::tombstones::ErasureKey;
use qyvo::store::{contacts, erasure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OTHER: &str = "+4915112345678";

/// A question under another name, so that a contact can have several sessions.
fn named(name: &str) -> Value {
    let mut document = question(30);
    document["name"] = json!(name);
    document
}

fn path(id: &Value) -> String {
    format!("/contacts/{}", id.as_str().unwrap())
}

fn sql(app: &TestApp) -> rusqlite::Connection {
    rusqlite::Connection::open(app.folder.path().join("qyvo.db")).unwrap()
}

/// All items of a list, read in pages of `limit`.
async fn all(app: &TestApp, path: &str, limit: u32) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = app.get(&format!("{path}{separator}limit={limit}{cursor}")).await.expect(200);
        items.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_listed_newest_first_and_found_by_number() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let mut ids = Vec::new();
        for phone in [PHONE, OTHER, "+4915112345679"] {
            ids.push(app.trigger(flow, phone).await.expect(201)["contact_id"].clone());
            app.advance(1);
        }
        app.say(PHONE, "perhaps").await;
        ids.reverse();
        let listed = all(&app, "/contacts", 2).await;
        assert_eq!(listed.iter().map(|contact| contact["id"].clone()).collect::<Vec<_>>(), ids);
        assert_eq!(
            listed[2],
            json!({
                "id": ids[2], "phone": PHONE, "name": null, "email": null, "language": null, "tags": [], "metadata": {},
                "source": "api", "opted_in_at": "2026-05-07T08:00:00+00:00", "opted_out_at": null,
                "opted_out_of": null,
                "last_inbound_at": "2026-05-07T08:00:03+00:00", "last_message_at": "2026-05-07T08:00:03+00:00",
                "total_messages": 3, "created_at": "2026-05-07T08:00:00+00:00",
                "updated_at": "2026-05-07T08:00:00+00:00"
            })
        );
        assert_eq!(app.get(&path(&ids[2])).await.expect(200), listed[2]);
        // Also where nobody escaped the plus.
        for phone in ["%2B14155550123", "+14155550123", "0014155550123", "%2B1%20(415)%20555-0123"] {
            let found = app.get(&format!("/contacts?phone={phone}")).await.expect(200);
            assert_eq!(found, json!({"data": [listed[2]], "next_cursor": null}), "{phone}");
        }
        let nobody = app.get("/contacts?phone=%2B4915199999999").await.expect(200);
        assert_eq!(nobody, json!({"data": [], "next_cursor": null}));
        for (query, field) in [("phone=12", "phone"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("name=a", "name")]
        {
            let refused = app.get(&format!("/contacts?{query}")).await.expect(422);
            assert!(refused["errors"][field].is_array(), "{refused}");
        }
        for id in ["01a20838-9d10-7c55-b1a2-6f0d6a1c7e21", "x"] {
            for (method, body) in [(Method::GET, None), (Method::PATCH, Some("{}".to_owned())), (Method::DELETE, None)]
            {
                let path = format!("/api/v1/contacts/{id}");
                let answer = app.request(method, &path, Some(&secret(qyvo::store::tokens::Scope::Admin)), body).await;
                assert_eq!(answer.expect(404), json!({"error": "Contact not found"}));
            }
            assert_eq!(app.get(&format!("/contacts/{id}/export")).await.status, 404);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_touches_what_is_sent_and_nothing_else() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let id = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        let path = path(&id);
        app.advance(60);
        let change = json!({
            "name": "  Ana \u{1F600} Souza ", "email": "ana@example.org", "language": "pt-BR",
            "tags": ["vip", "été", "beta", "vip "], "metadata": {"a": {"b": [1, null]}, "c": 0.1}
        });
        let changed = app.patch(&path, &change).await.expect(200);
        assert_eq!(changed["name"], "Ana \u{1F600} Souza");
        assert_eq!(changed["tags"], json!(["beta", "vip", "été"]));
        assert_eq!(changed["metadata"], json!({"a": {"b": [1, null]}, "c": 0.1}));
        assert_eq!(changed["updated_at"], "2026-05-07T08:01:00+00:00");
        assert_eq!(app.get(&path).await.expect(200), changed);
        let again = app.patch(&path, &json!({"metadata": {"c": null, "d": 1}, "tags": ["vip"]})).await.expect(200);
        assert_eq!(again["metadata"], json!({"a": {"b": [1, null]}, "d": 1}));
        assert_eq!((&again["tags"], &again["name"]), (&json!(["vip"]), &changed["name"]));
        assert_eq!(app.count("tags"), 3, "a tag that nobody has stays known");
        let rows = app.rows();
        for nothing in
            [json!({}), json!({"opted_out": false}), json!({"metadata": []}), json!({"name": "Ana \u{1F600} Souza"})]
        {
            assert_eq!(app.patch(&path, &nothing).await.expect(200), again);
        }
        assert_eq!(app.rows(), rows);
        let cleared = json!({"name": null, "email": "", "language": " ", "tags": []});
        let cleared = app.patch(&path, &cleared).await.expect(200);
        let left = ["name", "email", "language", "tags"].map(|field| cleared[field].clone());
        assert_eq!(left, [json!(null), json!(null), json!(null), json!([])]);
        assert_eq!((app.count("tags"), app.count("contact_tags")), (3, 0));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_nothing_changes() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let id = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        let path = path(&id);
        let nested = |depth: usize| (0..depth).fold(json!(1), |value, _| json!({"a": value}));
        let kept = json!({"name": "Ana", "metadata": {"kept": "x".repeat(40_000)}});
        app.patch(&path, &kept).await.expect(200);
        let rows = app.rows();
        for (body, field) in [
            (json!({"name": "é".repeat(256)}), "name"),
            (json!({"name": 7}), "name"),
            (json!({"email": "ana"}), "email"),
            (json!({"email": "ana@localhost"}), "email"),
            (json!({"email": ["ana@example.org"]}), "email"),
            (json!({"language": "pt_BR"}), "language"),
            (json!({"language": "portuguese-of-brazil"}), "language"),
            (json!({"tags": "vip,beta"}), "tags"),
            (json!({"tags": null}), "tags"),
            (json!({"tags": ["vip", 7]}), "tags"),
            (json!({"tags": ["vip", " "]}), "tags"),
            (json!({"tags": ["x".repeat(65)]}), "tags"),
            (json!({"tags": (0..51).map(|n| n.to_string()).collect::<Vec<_>>()}), "tags"),
            (json!({"metadata": null}), "metadata"),
            (json!({"metadata": ""}), "metadata"),
            (json!({"metadata": [1]}), "metadata"),
            (json!({"metadata": nested(33)}), "metadata"),
            (json!({"metadata": {"big": "x".repeat(66_000)}}), "metadata"),
            (json!({"metadata": {"more": "x".repeat(26_000)}}), "metadata"),
            (json!({"opted_out": "true"}), "opted_out"),
            (json!({"opted_out": null}), "opted_out"),
            (json!({"phone": OTHER}), "phone"),
            (json!({"id": id}), "id"),
        ] {
            let refused = app.patch(&path, &body).await.expect(422);
            assert_eq!(refused["message"], "The given data was invalid.");
            let fields: Vec<_> = refused["errors"].as_object().unwrap().keys().collect();
            assert_eq!(fields, [field], "{body}");
            let sentence = refused["errors"][field][0].as_str().unwrap();
            assert!(sentence.starts_with("The ") || sentence.starts_with("Each "), "{sentence}");
            // Together with what is right it changes nothing either.
            let mut mixed = json!({"name": "Eve", "metadata": {"x": 1}, "tags": ["a"]});
            mixed.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            app.patch(&path, &mixed).await.expect(422);
        }
        let several = app.patch(&path, &json!({"email": "x", "tags": 1, "no": 1})).await.expect(422);
        assert_eq!(several["errors"].as_object().unwrap().len(), 3);
        assert_eq!(app.rows(), rows);
        let fits = json!({"metadata": {"more": "x".repeat(25_000), "deep": nested(31)}, "name": "é".repeat(255)});
        app.patch(&path, &fits).await.expect(200);
        // What is too large in all can still be made smaller.
        sql(&app)
            .execute("UPDATE contacts SET metadata = json_set(metadata, '$.flow', hex(zeroblob(40000)))", [])
            .unwrap();
        app.patch(&path, &json!({"metadata": {"x": 1}})).await.expect(422);
        app.patch(&path, &json!({"metadata": {"flow": null}})).await.expect(200);
        app.patch(&path, &json!({"metadata": {"x": 1}})).await.expect(200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opting_out_ends_all_that_talks_to_the_person() {
    local(async {
        let app = TestApp::start().await;
        let mut patient = named("Two");
        patient["nodes"][0]["timeout_seconds"] = json!(60);
        let (one, two) = (app.publish(&named("One")).await, app.publish(&patient).await);
        let first = app.trigger(one, PHONE).await.expect(201);
        let second = app.trigger(two, PHONE).await.expect(201);
        app.trigger(two, OTHER).await.expect(201);
        let path = path(&first["contact_id"]);
        sql(&app)
            .execute(
                "INSERT INTO messages (id, contact_seq, session_seq, turn, direction, channel, type, body, status,
                     next_attempt_at, created_at, updated_at)
                 SELECT randomblob(16), contact_seq, seq, 1, 'out', 'webhook', 'text', '{}', 'queued', 0, 0, 0 FROM \
                 sessions",
                [],
            )
            .unwrap();
        // The first one's timeout falls due, and nobody has noticed yet.
        app.advance(30);
        let out = app.patch(&path, &json!({"opted_out": true, "name": "Ana"})).await.expect(200);
        assert_eq!((&out["opted_out_at"], &out["name"]), (&json!("2026-05-07T08:00:30+00:00"), &json!("Ana")));
        let ended = app.session(&first["id"]).await;
        assert_eq!((&ended["status"], &ended["outcome"]), (&json!("completed"), &json!("silent")), "{ended}");
        let ended = app.session(&second["id"]).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("opted_out")), "{ended}");
        assert_eq!(ended["ended_at"], "2026-05-07T08:00:30+00:00");
        let failed = all(&app, "/messages?status=failed&reason=opted_out", 9).await;
        assert_eq!(failed.len(), 2);
        assert!(failed.iter().all(|message| message["contact_id"] == first["contact_id"]));
        assert_eq!(all(&app, "/messages?status=queued", 9).await.len(), 1, "those of others stay");
        assert_eq!(app.turns(&second["id"]).await.len(), 2);

        let refused = app.trigger(one, PHONE).await.expect(422);
        assert_eq!(refused["error"], "Contact has opted out");
        let rows = app.rows();
        let refused = app.patch(&path, &json!({"opted_out": false, "name": "Eve"})).await.expect(422);
        assert_eq!(
            refused["errors"],
            json!({"opted_out": ["The contact has opted out, and only the contact can undo that."]})
        );
        app.advance(5);
        let again = app.patch(&path, &json!({"opted_out": true})).await.expect(200);
        assert_eq!(again["opted_out_at"], out["opted_out_at"], "the first time stands");
        assert_eq!(app.rows(), rows);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_session_stops_neither_opting_out_nor_erasing() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        for opts_out in [true, false] {
            let started = app.trigger(flow, PHONE).await.expect(201);
            let path = path(&started["contact_id"]);
            sql(&app).execute("UPDATE sessions SET state = 'no JSON' WHERE status = 'running'", []).unwrap();
            if opts_out {
                let out = app.patch(&path, &json!({"opted_out": true})).await.expect(200);
                assert_eq!(out["opted_out_at"], "2026-05-07T08:00:00+00:00");
                let ended: String =
                    sql(&app).query_row("SELECT status || ' ' || reason FROM sessions", [], |row| row.get(0)).unwrap();
                assert_eq!(ended, "cancelled opted_out");
                sql(&app).execute("UPDATE contacts SET opted_out_at = NULL", []).unwrap();
            }
            let erased = app.delete(&path).await.expect(200);
            assert_eq!(erased["erased"], json!({"sessions": 1, "messages": 1}));
        }
        let cancelled: i64 = sql(&app)
            .query_row(
                "SELECT sum(value) FROM counters WHERE name = 'session.cancelled' AND hour = 0 AND version = 0",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(cancelled, 2);
        app.stop().await;
    })
    .await;
}

/// A person of whom every table has something, and what to look for. Gives the contact's id.
async fn known_everywhere(app: &TestApp, flows: &[FlowId; 2]) -> (Value, BTreeSet<String>) {
    let context = json!({"secret": "hazelnut"});
    let body = json!({"flow_id": flows[0], "phone": PHONE, "context": context});
    let first = app.post_with_key("/actions/trigger-flow", "cart-1", &body).await.expect(201);
    let id = first["contact_id"].clone();
    let profile = json!({
        "name": "Ana Souza", "email": "ana@example.org", "tags": ["walnut", "shared"], "metadata": {"note": "chestnut"}
    });
    app.patch(&path(&id), &profile).await.expect(200);
    app.say(PHONE, "macadamia").await;
    let second = app.trigger(flows[1], PHONE).await.expect(201);
    let cancel = json!({"flow_id": flows[1], "phone": PHONE});
    app.post_with_key("/actions/cancel-flow", "cart-2", &cancel).await.expect(200);
    let third = app.trigger(flows[1], PHONE).await.expect(201);
    let conn = sql(app);
    let seq = "(SELECT seq FROM contacts WHERE name = 'Ana Souza')";
    conn.execute(&format!("INSERT INTO contact_redirects VALUES (x'0102030405060708090a0b0c0d0e0f10', {seq})"), [])
        .unwrap();
    conn.execute(&format!("INSERT INTO addresses VALUES ('phone', '+15005550006', {seq}, 0, 1)"), []).unwrap();
    conn.execute(&format!("INSERT INTO addresses VALUES ('bsuid', 'US.13491208655302741918', {seq}, 0, NULL)"), [])
        .unwrap();
    let mut needles: BTreeSet<String> = [
        "Ana Souza",
        "ana@example.org",
        "walnut",
        "chestnut",
        "hazelnut",
        "macadamia",
        "14155550123",
        "15005550006",
        "13491208655302741918",
        "01020304-0506-0708-090a-0b0c0d0e0f10",
    ]
    .map(str::to_owned)
    .into();
    needles.extend([&id, &first["id"], &second["id"], &third["id"]].map(|id| id.as_str().unwrap().to_owned()));
    (id, needles)
}

/// Which of the needles the rows still have, ids also as bytes.
fn in_rows(app: &TestApp, needles: &BTreeSet<String>) -> BTreeSet<String> {
    let rows = app.rows();
    let bytes = |id: &str| {
        id.parse::<uuid::Uuid>().map(|id| format!("{:?}", &id.as_bytes()[..])).unwrap_or_else(|_| id.to_owned())
    };
    let text: String = rows.into_iter().flat_map(|(_, rows)| rows).collect();
    // Texts are shown as the numbers of their bytes.
    let as_bytes = |text: &str| {
        let list = format!("{:?}", text.as_bytes());
        list[1..list.len() - 1].to_owned()
    };
    let blob = |needle: &str| bytes(needle).trim_matches(['[', ']']).to_owned();
    needles
        .iter()
        .filter(|needle| {
            text.contains(&as_bytes(needle)) || text.contains(&blob(needle)) || text.contains(needle.as_str())
        })
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_takes_all_that_an_export_has() {
    local(async {
        let app = TestApp::start().await;
        let mut echo = named("Echo");
        echo["nodes"][0]["text"] = json!("Dear {{contact.name}}, {{context.secret}}?");
        let flows = [app.publish(&echo).await, app.publish(&named("Other")).await];
        let other = app.trigger(flows[0], OTHER).await.expect(201);
        app.patch(&path(&other["contact_id"]), &json!({"tags": ["shared"], "name": "Bo"})).await.expect(200);
        let (id, needles) = known_everywhere(&app, &flows).await;
        assert_eq!(in_rows(&app, &needles), needles, "the test looks for what is there");

        let export = app.get(&format!("{}/export", path(&id))).await;
        let name = format!("attachment; filename=\"contact-{}.json\"", id.as_str().unwrap());
        assert_eq!(export.header("content-disposition"), Some(name.as_str()));
        let export = export.expect(200);
        let keys: Vec<_> = export.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["contact", "addresses", "former_ids", "pacing", "sessions", "messages", "webhook_deliveries"]
        );
        let text = export.to_string();
        let missing: Vec<_> = needles.iter().filter(|needle| !text.contains(needle.as_str())).collect();
        assert_eq!(missing, [] as [&String; 0]);
        assert_eq!(export["contact"], app.get(&path(&id)).await.expect(200));
        assert_eq!(export["addresses"].as_array().unwrap().len(), 3);
        assert_eq!(export["former_ids"], json!(["01020304-0506-0708-090a-0b0c0d0e0f10"]));
        let turns: Vec<_> = export["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["turns"].as_array().unwrap().len())
            .collect();
        assert_eq!(turns, [2, 2, 1]);
        let mut messages = all(&app, &format!("{}/messages", path(&id)), 200).await;
        messages.reverse();
        assert_eq!(export["messages"], json!(messages));
        assert!(!text.contains("Bo\""), "nothing of others");

        let old_id = app.get("/contacts/01020304-0506-0708-090a-0b0c0d0e0f10").await.expect(200);
        assert_eq!(old_id["id"], id);
        let others = app.get(&path(&other["contact_id"])).await.expect(200);
        let counters = app.rows().into_iter().find(|(name, _)| name == "counters").unwrap().1;
        let erased = app.delete(&path(&id)).await.expect(200);
        assert_eq!(erased, json!({"id": id, "erased": {"sessions": 3, "messages": messages.len()}}));
        assert_eq!(in_rows(&app, &needles), BTreeSet::new());
        for (table, left) in [
            ("contacts", 1),
            ("addresses", 1),
            ("contact_redirects", 0),
            ("tags", 1),
            ("contact_tags", 1),
            ("sessions", 1),
            ("turns", 1),
            ("messages", 1),
            ("erasures", 0),
            ("idempotency_keys", 0),
            ("erased", 1),
        ] {
            assert_eq!(app.count(table), left, "{table}");
        }
        assert_eq!(app.get(&path(&other["contact_id"])).await.expect(200), others);
        let after = app.rows().into_iter().find(|(name, _)| name == "counters").unwrap().1;
        assert_eq!(
            after.len(),
            counters.len() + 3,
            "a session of a flow without cancelled ones was: in flow, version and hour"
        );
        for id in [id.as_str().unwrap(), "01020304-0506-0708-090a-0b0c0d0e0f10"] {
            assert_eq!(app.get(&format!("/contacts/{id}")).await.status, 404);
            assert_eq!(app.delete(&format!("/contacts/{id}")).await.status, 404);
            assert_eq!(app.patch(&format!("/contacts/{id}"), &json!({"name": "Eve"})).await.status, 404);
            let trigger = json!({"flow_id": flows[0], "contact_id": id});
            assert_eq!(app.post("/actions/trigger-flow", &trigger).await.expect(404)["error"], "Contact not found");
        }
        // Who had not opted out can be written to again, and is somebody new.
        let body = json!({"flow_id": flows[0], "phone": PHONE, "context": {"secret": "hazelnut"}});
        let anew = app.post_with_key("/actions/trigger-flow", "cart-1", &body).await;
        assert_eq!(anew.header("idempotency-replayed"), None);
        assert_ne!(anew.expect(201)["contact_id"], id);
        app.stop().await;
    })
    .await;
}

/// The sizes of the parts in which an export is sent, and the whole of it.
async fn parts_of(app: &TestApp, path: &str) -> (Vec<usize>, Value) {
    let mut connection = tokio::net::TcpStream::connect(app.base.strip_prefix("http://").unwrap()).await.unwrap();
    let token = secret(qyvo::store::tokens::Scope::Admin);
    let request = format!(
        "GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let line_from = |at: usize| answer[at..].windows(2).position(|pair| pair == b"\r\n").map(|end| at + end);
    let mut at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (mut sizes, mut body) = (Vec::new(), Vec::new());
    loop {
        let end = line_from(at).unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&answer[at..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (sizes, serde_json::from_slice(&body).unwrap());
        }
        body.extend(&answer[end + 2..end + 2 + size]);
        sizes.push(size);
        at = end + 2 + size + 2;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_session_is_exported_in_parts() {
    local(async {
        let app = TestApp::start().await;
        let flows = [app.publish(&named("One")).await, app.publish(&named("Two")).await];
        let mut started = Vec::new();
        for flow in [flows[1], flows[0], flows[0]] {
            let body = json!({"flow_id": flow, "phone": PHONE, "on_running": "restart"});
            started.push(app.post("/actions/trigger-flow", &body).await.expect(201));
        }
        // 1,000 more turns of the first of these, and 97 of the second, which has 3 then: just as many as are read at
        // once.
        for (session, count) in [(2, 1_000), (3, 98)] {
            sql(&app)
                .execute(
                    "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2)
                     INSERT INTO turns (session_seq, turn, at, record, messages)
                     SELECT ?1, n + 100, 0,
                         json_object('turn', n + 100, 'stimulus', hex(zeroblob(500))), '[]' FROM n",
                    (session, count),
                )
                .unwrap();
        }
        let (sizes, export) = parts_of(&app, &format!("{}/export", path(&started[0]["contact_id"]))).await;
        assert!(sizes.iter().all(|size| *size < 150_000), "{sizes:?}");
        let sessions = export["sessions"].as_array().unwrap();
        let ids: Vec<_> = sessions.iter().map(|session| session["id"].clone()).collect();
        assert_eq!(ids, [&started[1]["id"], &started[2]["id"], &started[0]["id"]].map(Value::clone));
        let turns = |n: usize| -> Vec<_> {
            sessions[n]["turns"].as_array().unwrap().iter().map(|turn| turn["turn"].as_u64().unwrap()).collect()
        };
        assert_eq!(turns(0), [1, 2].into_iter().chain(101..=1_100).collect::<Vec<_>>());
        assert_eq!(turns(1), std::iter::once(1).chain(101..=198).collect::<Vec<_>>());
        assert_eq!(turns(2), [1]);
        for session in sessions {
            let mut shown = app.session(&session["id"]).await;
            shown["turns"] = session["turns"].clone();
            shown["http_calls"] = json!([]);
            assert_eq!(&shown, session);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_breaks_off_when_its_person_is_erased() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let id = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        // Far more than the connection holds while nobody reads.
        sql(&app)
            .execute_batch(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 800)
                 INSERT INTO messages (id, contact_seq, direction, channel, type, body, status, created_at, updated_at)
                 SELECT randomblob(16), 1, 'out', 'webhook', 'text', json_object('text', hex(zeroblob(25000))), \
                 'sent', 0, 0
                 FROM n",
            )
            .unwrap();
        let url = format!("{}/api/v1{}/export", app.base, path(&id));
        let token = secret(qyvo::store::tokens::Scope::Admin);
        let mut export = app.client.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(export.status(), 200);
        let mut text = export.chunk().await.unwrap().unwrap().to_vec();
        app.delete(&path(&id)).await.expect(200);
        let next = app.trigger(flow, OTHER).await.expect(201);
        assert_eq!(app.count("contacts"), 1);
        let end = loop {
            match export.chunk().await {
                Ok(Some(chunk)) => text.extend(chunk),
                other => break other,
            }
        };
        let next = next["contact_id"].as_str().unwrap().as_bytes();
        assert!(!text.windows(next.len()).any(|window| window == next), "the next one in the row is somebody else");
        assert!(end.is_err(), "{} bytes look like the whole", text.len());
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_had_opted_out_stays_out_after_being_erased() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let id = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        app.patch(&path(&id), &json!({"opted_out": true})).await.expect(200);
        app.delete(&path(&id)).await.expect(200);
        // The key and what it made outlive the process.
        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, |_| {}).await;
        app.runtime.tidy().await.unwrap();
        let rows = app.rows();
        let refused = app.trigger(flow, PHONE).await.expect(422);
        assert_eq!(refused["error"], "Contact has opted out");
        let cancel = json!({"flow_id": flow, "phone": PHONE});
        assert_eq!(app.post("/actions/cancel-flow", &cancel).await.expect(200), json!({"status": "not_running"}));
        assert_eq!(app.rows(), rows, "nothing came of it");
        app.trigger(flow, OTHER).await.expect(201);

        app.advance(60);
        let heard = app.say(PHONE, "Hello again").await;
        assert_eq!((&heard["handled"], &heard["reason"]), (&json!("unrouted"), &json!("opted_out")));
        let contact = app.get("/contacts?phone=%2B14155550123").await.expect(200)["data"][0].clone();
        assert_eq!(contact["opted_out_at"], "2026-05-07T08:01:00+00:00");
        assert_eq!((&contact["opted_in_at"], &contact["source"]), (&Value::Null, &json!("simulator")));
        assert_ne!(contact["id"], id);
        assert_eq!(app.trigger(flow, PHONE).await.expect(422)["error"], "Contact has opted out");
        // The hash stays for good, and so it does after a second erasure.
        app.delete(&path(&contact["id"])).await.expect(200);
        app.advance(400 * 24 * 3600);
        app.runtime.tidy().await.unwrap();
        assert_eq!(app.trigger(flow, PHONE).await.expect(422)["error"], "Contact has opted out");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_from_before_the_erasure_brings_nobody_back() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let inbound = |id: &str| json!({"id": id, "from": PHONE, "type": "text", "text": "tea"});
        app.post("/inbound", &inbound("m-old")).await.expect(202);
        app.advance(9 * 24 * 3600);
        let id = app.trigger(flow, PHONE).await.expect(200 + 1)["contact_id"].clone();
        let heard = app.post("/inbound", &inbound("m-1")).await.expect(202);
        assert_eq!(heard["handled"], "reply");
        let duplicate = app.post("/inbound", &inbound("m-1")).await.expect(202);
        app.delete(&path(&id)).await.expect(200);
        assert_eq!(app.count("erased"), 1, "what is older is not delivered again");

        let rows = app.rows();
        let again = app.post("/inbound", &inbound("m-1")).await.expect(202);
        assert_eq!(again["handled"], "duplicate");
        let keys = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert!(keys(&again).is_subset(&keys(&duplicate)), "{again} {duplicate}");
        assert_eq!(app.post("/inbound", &inbound("m-1")).await.expect(202), again, "always the same answer");
        assert_eq!(app.rows(), rows);
        // Not even where the person is known again and has been asked something.
        app.trigger(flow, PHONE).await.expect(201);
        let rows = app.rows();
        assert_eq!(app.post("/inbound", &inbound("m-1")).await.expect(202), again);
        assert_eq!(app.rows(), rows);

        let clock = app.clock.clone();
        let app = TestApp::start_in(app.stop().await, clock, |_| {}).await;
        assert_eq!(app.post("/inbound", &inbound("m-1")).await.expect(202), again);
        app.advance(8 * 24 * 3600 + 1);
        app.runtime.tidy().await.unwrap();
        assert_eq!(app.count("erased"), 0);
        assert_ne!(app.post("/inbound", &inbound("m-1")).await.expect(202)["handled"], "duplicate");
        app.stop().await;
    })
    .await;
}

/// What is stored of people; flows, tokens and counts are not.
const OF_PEOPLE: [&str; 9] =
    ["contacts", "addresses", "contact_redirects", "contact_tags", "tags", "sessions", "turns", "messages", "erasures"];

/// Begins an erasure under the stub's id `stub` and leaves it at that, as a crash behind its first job does.
async fn begin(app: &TestApp, id: &Value, stub: u128) {
    let id: ContactId = id.as_str().unwrap().parse().unwrap();
    let now: Timestamp = app.clock.now();
    let begun = app.runtime.store().write(move |tx| {
        let key = ErasureKey::of([7; 32]).keep(tx, now)?;
        let known = contacts::find_by_id(tx, id)?.unwrap();
        erasure::begin(tx, &key, &known, ContactId(uuid::Uuid::from_u128(stub)), address_kinds(), now)
    });
    begun.await.unwrap();
}

/// A question whose timeout tags the contact.
fn tagging() -> Value {
    let mut document = named("Tagging");
    document["nodes"][0]["exits"]["timeout"] = json!("tag");
    let tag = json!({"id": "tag", "type": "update_contact", "add_tags": ["silent"], "exits": {"next": "late"}});
    document["nodes"].as_array_mut().unwrap().push(tag);
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_was_interrupted_goes_on() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        for by_itself in [true, false] {
            let started = app.trigger(flow, PHONE).await.expect(201);
            app.say(PHONE, "perhaps").await;
            begin(&app, &started["contact_id"], 7).await;
            assert_eq!(app.get(&path(&started["contact_id"])).await.status, 404);
            assert_eq!(all(&app, "/contacts", 9).await, [] as [Value; 0]);
            // A timer of the session that still runs says nothing to anybody.
            app.advance(30);
            app.runtime.run_due().await.unwrap();
            assert_eq!(all(&app, "/messages?status=simulated", 9).await.len(), 2);
            if by_itself {
                app.runtime.tidy().await.unwrap();
            } else {
                let erased = app.delete(&path(&started["contact_id"])).await.expect(200);
                assert_eq!(erased["erased"], json!({"sessions": 1, "messages": 3}));
            }
            assert_eq!(OF_PEOPLE.map(|table| app.count(table)), [0; 9]);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_is_due_does_not_hold_an_erasure_up() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&tagging()).await;
        for is_interrupted in [false, true] {
            let started = app.trigger(flow, PHONE).await.expect(201);
            if is_interrupted {
                begin(&app, &started["contact_id"], 7).await;
                app.advance(30);
                app.runtime.run_due().await.unwrap();
                assert_eq!(app.count("contact_tags"), 1, "the test is about a stub with a tag");
            }
            app.advance(30);
            let erased = app.delete(&path(&started["contact_id"])).await.expect(200);
            assert_eq!(erased["erased"], json!({"sessions": 1, "messages": 1}));
            assert_eq!(OF_PEOPLE.map(|table| app.count(table)), [0; 9]);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stub_of_an_erasure_is_nobody() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&tagging()).await;
        let started = app.trigger(flow, PHONE).await.expect(201);
        begin(&app, &started["contact_id"], 7).await;
        let session = format!("/sessions/{}", started["id"].as_str().unwrap());
        let stub = app.get(&session).await.expect(200)["contact_id"].clone();
        assert_eq!(stub, json!("00000000-0000-0000-0000-000000000007"));
        let rows = app.rows();
        for id in [&stub, &started["contact_id"]] {
            for below in ["", "/export", "/messages"] {
                assert_eq!(app.get(&format!("{}{below}", path(id))).await.status, 404, "{below}");
            }
            assert_eq!(app.patch(&path(id), &json!({"tags": ["vip"], "name": "Eve"})).await.status, 404);
            let trigger = json!({"flow_id": flow, "contact_id": id});
            assert_eq!(app.post("/actions/trigger-flow", &trigger).await.expect(404)["error"], "Contact not found");
            let event = json!({"contact_id": id, "event": "order.paid", "payload": {}});
            assert_eq!(app.post("/actions/send-event", &event).await.expect(404)["error"], "Contact not found");
            let listed = app.get(&format!("/sessions?contact_id={}", id.as_str().unwrap())).await.expect(200);
            assert_eq!(listed["data"], json!([]));
        }
        assert_eq!(app.delete(&path(&stub)).await.status, 404);
        assert_eq!(app.rows(), rows);
        // Its sessions can still be moved by whoever knows them.
        let event = json!({"event": "order.paid", "payload": {}});
        app.post(&format!("{session}/events"), &event).await.expect(202);
        let ended = app.post(&format!("{session}/fire-timeout"), &json!({})).await.expect(200);
        assert_eq!(ended["status"], "completed");
        assert_eq!(ended["contact"], json!({"id": stub, "name": null, "phone": null}), "it is never without one");
        assert_eq!(app.count("contact_tags"), 1);
        app.runtime.tidy().await.unwrap();
        assert_eq!(OF_PEOPLE.map(|table| app.count(table)), [0; 9]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_fails_stops_neither_the_others_nor_the_rest_of_tidying() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        for (phone, stub) in [(PHONE, 7), (OTHER, 8)] {
            let started = app.trigger(flow, phone).await.expect(201);
            begin(&app, &started["contact_id"], stub).await;
        }
        let kept = json!({"flow_id": flow, "phone": "+4915112345679"});
        app.post_with_key("/actions/trigger-flow", "cart-1", &kept).await.expect(201);
        sql(&app)
            .execute_batch(
                "CREATE TRIGGER stuck BEFORE DELETE ON contacts WHEN OLD.seq = 1
                 BEGIN SELECT RAISE(ABORT, 'damaged'); END",
            )
            .unwrap();
        app.advance(25 * 3600);
        app.runtime.tidy().await.unwrap_err();
        let left = ["contacts", "erasures", "idempotency_keys"].map(|table| app.count(table));
        assert_eq!(left, [2, 1, 0]);
        sql(&app).execute_batch("DROP TRIGGER stuck").unwrap();
        app.runtime.tidy().await.unwrap();
        assert_eq!(["contacts", "erasures"].map(|table| app.count(table)), [1, 0]);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_erasure_goes_on_under_a_former_id_too() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let former = "01020304-0506-0708-090a-0b0c0d0e0f10";
        let id = app.trigger(flow, PHONE).await.expect(201)["contact_id"].clone();
        sql(&app)
            .execute_batch(&format!(
                "INSERT INTO contact_redirects VALUES (x'0102030405060708090a0b0c0d0e0f10', 1);
                 INSERT INTO idempotency_keys VALUES (1, 'r', 'k', zeroblob(32), '{{\"id\":\"{former}\"}}', 0)"
            ))
            .unwrap();
        begin(&app, &id, 7).await;
        assert_eq!(app.get(&format!("/contacts/{former}")).await.status, 404);
        let erased = app.delete(&format!("/contacts/{former}")).await.expect(200);
        assert_eq!(erased, json!({"id": id, "erased": {"sessions": 1, "messages": 1}}));
        assert_eq!(OF_PEOPLE.map(|table| app.count(table)), [0; 9]);
        assert_eq!(app.count("idempotency_keys"), 0, "an answer named the person by the former id");
        assert_eq!(app.delete(&format!("/contacts/{former}")).await.status, 404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_races_triggers_replies_and_changes_of_the_same_person() {
    local(async {
        let app = std::rc::Rc::new(TestApp::start().await);
        let (one, two) = (app.publish(&named("One")).await, app.publish(&named("Two")).await);
        let mut tasks = Vec::new();
        for task in 0..6_usize {
            let app = app.clone();
            tasks.push(tokio::task::spawn_local(async move {
                for round in 0..25_usize {
                    match task {
                        0 | 1 => {
                            let flow = if task == 0 { one } else { two };
                            let body = json!({"flow_id": flow, "phone": PHONE, "on_running": "restart"});
                            let key = format!("{task}-{round}");
                            let answer = app.post_with_key("/actions/trigger-flow", &key, &body).await;
                            assert!(answer.status.is_success(), "{}", answer.body);
                        }
                        2 => drop(app.say(PHONE, ["tea", "perhaps"][round % 2]).await),
                        3 => {
                            app.advance(7);
                            app.runtime.run_due().await.unwrap();
                        }
                        _ => {
                            let found = app.get("/contacts?phone=%2B14155550123").await.expect(200);
                            let Some(contact) = found["data"].get(0) else { continue };
                            let path = path(&contact["id"]);
                            let answer = match task {
                                4 => {
                                    let change = json!({"name": format!("Ana {round}"), "tags": ["racing"]});
                                    app.patch(&path, &change).await
                                }
                                _ => app.delete(&path).await,
                            };
                            assert!([200, 404].contains(&answer.status.as_u16()), "{}", answer.body);
                        }
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let found = app.get("/contacts?phone=%2B14155550123").await.expect(200);
        if let Some(contact) = found["data"].get(0) {
            app.delete(&path(&contact["id"])).await.expect(200);
        }
        assert_eq!(OF_PEOPLE.map(|table| app.count(table)), [0; 9]);
        assert_eq!(app.count("idempotency_keys"), 0);
        let count = |name: &str| -> i64 {
            let sum = "SELECT coalesce(sum(value), 0) FROM counters WHERE name = ?1 AND hour = 0 AND version = 0";
            sql(&app).query_row(sum, [name], |row| row.get(0)).unwrap()
        };
        let ended = ["completed", "expired", "failed", "cancelled"].map(|how| count(&format!("session.{how}")));
        assert_eq!(ended.iter().sum::<i64>(), count("session.started"), "{ended:?}");
        std::rc::Rc::into_inner(app).unwrap().stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_by_what_became_of_them() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        app.say(OTHER, "Hello?").await;
        app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        app.say(PHONE, "and sugar").await;
        let everything = all(&app, "/messages", 2).await;
        let texts: Vec<_> = everything.iter().map(|message| message["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["and sugar", "Coming up: tea", "tea", "Tea or coffee?", "Hello?"]);
        let texts = async |query: &str| {
            let found = all(&app, &format!("/messages?{query}"), 1).await;
            found.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("status=unrouted").await, ["and sugar", "Hello?"]);
        assert_eq!(texts("status=unrouted&reason=no_session").await, ["and sugar", "Hello?"]);
        assert_eq!(texts("status=unrouted&reason=late").await, [] as [&str; 0]);
        assert_eq!(texts("status=simulated").await, ["Coming up: tea", "Tea or coffee?"]);
        assert_eq!(texts("status=received").await, ["and sugar", "tea", "Hello?"]);
        for status in ["queued", "sending", "sent", "delivered", "read", "failed", "unknown"] {
            assert_eq!(texts(&format!("status={status}")).await, [] as [&str; 0]);
        }
        let contact = app.get("/contacts?phone=%2B4915112345678").await.expect(200)["data"][0]["id"].clone();
        assert_eq!(everything[4]["contact_id"], contact);
        for (query, field) in
            [("status=lost", "status"), ("limit=201", "limit"), ("cursor=a", "cursor"), ("text=a", "text")]
        {
            let refused = app.get(&format!("/messages?{query}")).await.expect(422);
            assert_eq!(refused["errors"].as_object().unwrap().keys().collect::<Vec<_>>(), [field]);
        }
        app.stop().await;
    })
    .await;
}
