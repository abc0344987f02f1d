//! What carries messages: which channel is live, how it does, and a token that is replaced while the server runs.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use qyvo::channels::ChannelKind;
use qyvo::config::Config;
use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question, secret};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Meta, as far as it answers questions: by path, and only to who has the token.
pub(crate) struct Meta {
    pub(crate) base: String,
    answers: Arc<Mutex<Vec<(String, Value)>>>,
    token: Arc<Mutex<String>>,
    /// What it was asked, in order: path and query, and the access token.
    pub(crate) asked: UnboundedReceiver<(String, String)>,
    server: actix_web::dev::ServerHandle,
}

impl Meta {
    pub(crate) async fn start() -> Self {
        let answers = Arc::new(Mutex::new(Vec::<(String, Value)>::new()));
        let token = Arc::new(Mutex::new("first".to_owned()));
        let (tell, asked) = unbounded_channel();
        let shared = (answers.clone(), token.clone());
        let server = HttpServer::new(move || {
            let ((answers, token), tell) = (shared.clone(), tell.clone());
            App::new().default_service(web::to(move |request: HttpRequest| {
                let path = request.uri().to_string();
                let sent = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
                let sent = sent.unwrap_or_default().replace("Bearer ", "");
                let answer = match sent == *token.lock().unwrap() {
                    false => HttpResponse::Unauthorized().json(json!({"error": {
                        "message": "Error validating access token", "type": "OAuthException", "code": 190}})),
                    true => {
                        let answers = answers.lock().unwrap();
                        match answers.iter().find(|(part, _)| path.contains(part.as_str())) {
                            Some((_, answer)) => HttpResponse::Ok().json(answer),
                            None => HttpResponse::InternalServerError().body("<html>nothing here</html>"),
                        }
                    }
                };
                tell.send((path, sent)).ok();
                async move { answer }
            }))
        })
        // A busy machine must not make a doubt of a message: see the library's five seconds.
        .client_request_timeout(std::time::Duration::ZERO)
        .keep_alive(testkit::wait::PATIENCE)
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let base = format!("http://{}", server.addrs()[0]);
        let running = server.run();
        let server = running.handle();
        tokio::task::spawn_local(running);
        Self { base, answers, token, asked, server }
    }

    /// Answers questions whose path and query have `part` in them; the first that fits.
    pub(crate) fn answer(&self, part: &str, answer: Value) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, _)| known != part);
        answers.push((part.to_owned(), answer));
    }

    pub(crate) fn take_only(&self, token: &str) {
        *self.token.lock().unwrap() = token.to_owned();
    }

    pub(crate) async fn stop(self) {
        self.server.stop(false).await;
    }
}

/// A server whose live channel is WhatsApp.
pub(crate) fn whatsapp(base: &str) -> impl FnOnce(&mut Config) {
    let base = base.to_owned();
    move |config| {
        let whatsapp = &mut config.whatsapp;
        whatsapp.api_base = base;
        whatsapp.phone_number_id = "106540352242922".to_owned();
        whatsapp.business_account_id = "102290129340398".to_owned();
        whatsapp.access_token = "first".to_owned().into();
        whatsapp.app_secret = "app-secret".to_owned().into();
        whatsapp.verify_token = "verify".to_owned().into();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_says_what_it_is_and_nothing_else_can_be_asked() {
    local(async {
        let app = TestApp::start().await;
        let channels = app.get("/channels").await.expect(200);
        let simulator = &channels["data"][0];
        assert_eq!((&simulator["name"], &simulator["is_live"]), (&json!("simulator"), &json!(true)));
        assert_eq!((&simulator["state"], &simulator["reaches_phones"]), (&json!("running"), &json!(false)));
        assert_eq!(simulator["queue"], json!({"length": 0, "oldest_seconds": null}));
        let off = &channels["data"].as_array().unwrap()[1..];
        assert_eq!(off.len(), ChannelKind::ALL.len() - 1);
        assert!(
            off.iter().all(|one| *one == json!({"name": one["name"], "is_live": false, "state": "off"})),
            "{off:?}"
        );
        let tested = app.post("/channels/simulator/test", &json!({})).await.expect(200);
        assert!(tested["text"].as_str().unwrap().contains("none reaches a phone"));
        let other = app.post("/channels/whatsapp/test", &json!({})).await.expect(409);
        assert!(other["error"].as_str().unwrap().contains("simulator is"), "{other}");
        app.post("/channels/telegraph/test", &json!({})).await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_whatsapp_says_what_meta_says() {
    local(async {
        let meta = Meta::start().await;
        let app = TestApp::start_with(whatsapp(&meta.base)).await;
        meta.answer("subscribed_apps", json!({"data": [{"whatsapp_business_api_data": {"id": "7"}}]}));
        let number =
            json!({"display_phone_number": "+1 631-555-8151", "verified_name": "Shop", "quality_rating": "GREEN"});
        meta.answer("106540352242922?", number);
        let tested = app.post("/channels/whatsapp/test", &json!({})).await.expect(200);
        assert_eq!((&tested["display_phone"], &tested["quality"]), (&json!("+1 631-555-8151"), &json!("GREEN")));
        assert_eq!(tested["is_subscribed"], true);
        meta.answer("subscribed_apps", json!({"data": []}));
        let tested = app.post("/channels/whatsapp/test", &json!({})).await.expect(200);
        assert!(tested["text"].as_str().unwrap().contains("no app is subscribed"), "{tested}");
        meta.take_only("another");
        let refused = app.post("/channels/whatsapp/test", &json!({})).await.expect(502);
        assert_eq!(refused["code"], "190");
        assert!(refused["error"].as_str().unwrap().contains("Error validating access token"), "{refused}");
        assert_eq!(app.get("/admin/session").await.body["channel"]["name"], "whatsapp");
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_expires_overnight_and_a_new_one_works_without_a_restart() {
    local(async {
        let mut meta = Meta::start().await;
        let base = meta.base.clone();
        let app = TestApp::start_with(whatsapp(&base)).await;
        meta.answer("message_templates", json!({"data": []}));
        meta.take_only("EAAGm0PX4");
        app.post("/templates/sync", &json!({})).await.expect(502);
        for (token, sentence) in [
            (json!("***"), "Write the secret itself"),
            (json!("two words"), "Write the secret itself"),
            (json!(""), "Write the secret itself"),
            (json!(7), "must be a text"),
            (Value::Null, "set another one"),
        ] {
            let changes = json!({"whatsapp.access_token": token});
            let refused = app.send(Method::PUT, "/settings", &[], Some(&changes)).await.expect(422);
            let text = refused["errors"]["whatsapp.access_token"][0].as_str().unwrap();
            assert!(text.contains(sentence), "{token}: {text}");
        }
        let changes = json!({"whatsapp.access_token": " EAAGm0PX4\n"});
        let answer = app.send(Method::PUT, "/settings", &[], Some(&changes)).await.expect(200);
        assert!(!answer.to_string().contains("EAAGm0PX4"), "a secret is never shown");
        let row = |settings: &Value| {
            let rows = settings["data"].as_array().unwrap().clone();
            rows.into_iter().find(|row| row["key"] == "whatsapp.access_token").unwrap()
        };
        assert_eq!((&row(&answer)["value"], &row(&answer)["source"]), (&json!("***"), &json!("database")));
        app.post("/templates/sync", &json!({})).await.expect(200);
        let mut last = None;
        while let Ok(asked) = meta.asked.try_recv() {
            last = Some(asked);
        }
        assert_eq!(last.unwrap().1, "EAAGm0PX4");

        // A restart keeps it, although the configuration has none at all.
        let folder = app.stop().await;
        let start = whatsapp(&base);
        let app =
            TestApp::start_in(folder, qyvo::runtime::Clock::by_hand(testkit::app::START.parse().unwrap()), |config| {
                start(config);
                config.whatsapp.access_token = String::new().into();
            })
            .await;
        app.post("/templates/sync", &json!({})).await.expect(200);
        assert!(!app.get("/settings").await.body.to_string().contains("EAAGm0PX4"));
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_environment_is_changed_there() {
    local(async {
        let meta = Meta::start().await;
        let start = whatsapp(&meta.base);
        let app = TestApp::start_with(|config| {
            start(config);
            config.origins.insert("whatsapp.access_token".to_owned(), qyvo::config::Origin::Environment);
        })
        .await;
        let changes = json!({"whatsapp.access_token": "EAAGm0PX4"});
        let refused = app.send(Method::PUT, "/settings", &[], Some(&changes)).await.expect(422);
        assert!(
            refused["errors"]["whatsapp.access_token"][0].as_str().unwrap().contains("The environment sets this key")
        );
        let settings = app.request(Method::GET, "/api/v1/settings", Some(&secret(Scope::Api)), None).await;
        assert_eq!(settings.status, 403);
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

/// A server whose live channel is the generic webhook.
fn generic(base: &str) -> impl FnOnce(&mut Config) {
    let url = format!("{base}/messages");
    move |config| {
        config.webhook.url = url;
        config.webhook.secret = "webhook-secret".to_owned().into();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_channel_takes_triggers_and_sends_once_it_is_resumed() {
    local(async {
        let mut far_side = Meta::start().await;
        far_side.take_only("");
        far_side.answer("/messages", json!({"id": "m-1"}));
        let app = TestApp::start_with(generic(&far_side.base)).await;
        assert_eq!(app.request(Method::GET, "/readyz", None, None).await.expect(200), json!({"status": "ready"}));
        let mut changes = app.runtime.watch();
        let flow = app.publish(&question(30)).await;
        let paused = app.post("/channels/webhook/pause", &json!({"reason": "Wrong price"})).await.expect(200);
        assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("operator")));
        assert_eq!((&paused["explanation"], &paused["since"]), (&json!("Wrong price"), &json!(testkit::app::START)));
        let ready = app.request(Method::GET, "/readyz", None, None).await.expect(200);
        assert_eq!((&ready["status"], &ready["channel"]["name"]), (&json!("degraded"), &json!("webhook")));
        assert_eq!(ready["channel"]["explanation"], Value::Null, "what a far side said may be its inside");
        let text = "The channel webhook is paused (operator): messages wait until somebody resumes it.";
        let reasons = json!([{"code": "channel_paused", "text": text, "since": testkit::app::START}]);
        assert_eq!(ready["reasons"], reasons, "what an operator wrote is not for everybody");
        let again = app.post("/channels/webhook/pause", &json!({"reason": "Another"})).await.expect(200);
        assert_eq!(again["explanation"], "Wrong price", "the first reason stands");

        let started = app.trigger(flow, PHONE).await.expect(201);
        app.runtime.run_outbox_once().await.unwrap();
        app.advance(60);
        let channels = app.get("/channels").await.body["data"].as_array().unwrap().clone();
        assert_eq!(channels.last().unwrap()["name"], "simulator", "those that reach phones come first");
        let channel = &channels[0];
        assert_eq!(channel["queue"], json!({"length": 1, "oldest_seconds": 60}));
        assert!(far_side.asked.try_recv().is_err(), "nothing goes out");

        let resumed = app.post("/channels/webhook/resume", &json!({})).await.expect(200);
        assert_eq!((&resumed["state"], &resumed["reason"]), (&json!("running"), &Value::Null));
        app.runtime.run_outbox_once().await.unwrap();
        assert_eq!(far_side.asked.recv().await.unwrap().0, "/messages");
        app.newest_is(&started["contact_id"], "sent").await;
        assert_eq!(app.request(Method::GET, "/readyz", None, None).await.expect(200), json!({"status": "ready"}));
        let list = app.get(&format!("/contacts/{}/messages", started["contact_id"].as_str().unwrap())).await.body;
        let message = &list["data"][0];
        assert_eq!((&message["attempts"], &message["origin"]), (&json!(1), &json!("flow")));
        let sent = json!([{"stage": "sent", "at": "2026-05-07T08:01:00+00:00"}]);
        assert_eq!((&message["stages"], &message["provider_id"]), (&sent, &json!("m-1")));

        let mut told = Vec::new();
        while let Ok(change) = changes.try_recv() {
            if let qyvo::runtime::Change::Channel { state, .. } = change.as_ref() {
                told.push(*state);
            }
        }
        assert_eq!(told, ["paused", "running"]);
        app.stop().await;
        far_side.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_shows_why_and_is_sent_again() {
    local(async {
        let far_side = Meta::start().await;
        far_side.take_only("nobody has this");
        let app = TestApp::start_with(generic(&far_side.base)).await;
        let flow = app.publish(&question(30)).await;
        // The far side answers 401, which holds the channel back and loses nothing.
        let started = app.trigger(flow, PHONE).await.expect(201);
        let contact = &started["contact_id"];
        app.runtime.run_outbox_once().await.unwrap();
        app.newest_is(contact, "queued").await;
        let channel = &app.get("/channels").await.body["data"][0];
        assert_eq!((&channel["state"], &channel["reason"]), (&json!("backing_off"), &json!("http_401")));
        assert!(channel["explanation"].as_str().unwrap().contains("Error validating"), "{channel}");

        // A message that is too old is failed when its turn comes, and can be sent again by hand.
        app.advance(1441 * 60);
        app.runtime.run_outbox_once().await.unwrap();
        app.newest_is(contact, "failed").await;
        let failed = app.get("/messages?status=failed").await.body["data"][0].clone();
        assert_eq!(failed["contact_id"], *contact);
        assert!(failed["reason"].is_string(), "{failed}");
        let retry = format!("/messages/{}/retry", failed["id"].as_str().unwrap());
        let refused = app.post(&retry, &json!({})).await.expect(409);
        assert_eq!(refused["reason"], "session_ended", "{refused}");
        app.post("/messages/01a20839-0a52-7d0e-8d1c-57c94bfa6c10/retry", &json!({})).await.expect(404);
        app.stop().await;
        far_side.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_reads_the_tokens_file_again() {
    local(async {
        let meta = Meta::start().await;
        meta.answer("message_templates", json!({"data": []}));
        meta.take_only("EAAGm0PX4");
        let start = whatsapp(&meta.base);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let source = qyvo::config::SecretSource::Alone(file.clone());
        let app = TestApp::start_with(|config| {
            start(config);
            config.origins.insert("whatsapp.access_token".to_owned(), qyvo::config::Origin::Environment);
            config.secret_sources.insert("whatsapp.access_token".to_owned(), source);
        })
        .await;
        app.post("/channels/whatsapp/pause", &json!({})).await.expect(200);
        app.post("/templates/sync", &json!({})).await.expect(502);
        std::fs::write(&file, "").unwrap();
        let refused = app.post("/channels/whatsapp/resume", &json!({})).await.expect(422);
        assert!(refused["errors"]["whatsapp.access_token"][0].as_str().unwrap().contains("is empty"), "{refused}");
        assert_eq!(app.get("/channels").await.body["data"][0]["state"], "paused", "nothing has changed");
        std::fs::write(&file, "EAAGm0PX4\n").unwrap();
        app.post("/channels/whatsapp/resume", &json!({})).await.expect(200);
        app.post("/templates/sync", &json!({})).await.expect(200);
        app.stop().await;
        meta.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_ids_and_the_ids_of_what_people_write_are_apart() {
    local(async {
        let far_side = Meta::start().await;
        far_side.take_only("");
        far_side.answer("/messages", json!({"id": 7}));
        let app = TestApp::start_with(generic(&far_side.base)).await;
        let flow = app.publish(&question(30)).await;
        let started = app.trigger(flow, PHONE).await.expect(201);
        app.runtime.run_outbox_once().await.unwrap();
        app.newest_is(&started["contact_id"], "sent").await;
        let list = app.get(&format!("/contacts/{}/messages", started["contact_id"].as_str().unwrap())).await.body;
        assert_eq!(list["data"][0]["provider_id"], "7");
        let body = json!({"id": "7", "from": PHONE, "type": "text", "text": "tea"});
        assert_eq!(app.post("/inbound", &body).await.expect(202)["handled"], "reply");
        assert_eq!(app.session(&started["id"]).await["outcome"], "answered");
        let rows = app.rows();
        assert_eq!(app.post("/inbound", &body).await.expect(202)["handled"], "duplicate");
        assert_eq!(app.rows(), rows);

        app.runtime.run_outbox_once().await.unwrap();
        // The other way round: the receiver uses an id that somebody's message had first.
        far_side.answer("/messages", json!({"id": "8"}));
        let second = app.trigger(flow, "+14155550177").await.expect(201);
        let body = json!({"id": "8", "from": "+14155550177", "type": "text", "text": "perhaps"});
        assert_eq!(app.post("/inbound", &body).await.expect(202)["handled"], "reply");
        app.runtime.run_outbox_once().await.unwrap();
        let list = app.get(&format!("/contacts/{}/messages", second["contact_id"].as_str().unwrap())).await.body;
        let ids = |direction: &str| -> Vec<Value> {
            let all = list["data"].as_array().unwrap().iter();
            all.filter(|one| one["direction"] == direction).map(|one| one["provider_id"].clone()).collect()
        };
        assert!(ids("out").contains(&json!("8")), "{list}");
        assert_eq!(ids("in"), ["8"]);
        app.stop().await;
        far_side.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_on_whatsapp_comes_from_meta_alone() {
    local(async {
        let app = TestApp::start_with(whatsapp("http://127.0.0.1:9")).await;
        let body = json!({"id": "m-1", "from": PHONE, "type": "text", "text": "START"});
        let refused = app.post("/inbound", &body).await.expect(409);
        assert!(refused["error"].as_str().unwrap().contains("WhatsApp"), "{refused}");
        assert!(refused["hint"].is_string(), "{refused}");
        assert_eq!((app.count("contacts"), app.count("messages")), (0, 0));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reply_is_not_sent_once_it_is_too_old() {
    local(async {
        let app = TestApp::start_with(generic("http://127.0.0.1:9")).await;
        let mut flow = question(30);
        flow["settings"]["late_reply"] = json!({"text": "Too late."});
        flow["settings"]["message_max_age_minutes"] = json!(10);
        let flow = app.publish(&flow).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        app.advance(3600);
        let received = app.say(PHONE, "coffee").await;
        assert_eq!(received["handled"], "late_reply");
        app.advance(601);
        app.runtime.run_outbox_once().await.unwrap();
        let list = app.get(&format!("/contacts/{}/messages", session["contact_id"].as_str().unwrap())).await.body;
        let late = list["data"].as_array().unwrap().iter().find(|one| one["text"] == "Too late.").unwrap();
        assert_eq!((&late["status"], &late["reason"]), (&json!("failed"), &json!("too_old")), "{late}");
        app.stop().await;
    })
    .await;
}
