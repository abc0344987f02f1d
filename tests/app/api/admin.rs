//! The admin page's door, its files, and what only it edits: tokens and settings.

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, read};
use testkit::wait::patiently;

const PASSWORD: &str = "correct horse battery";

/// Somebody at the admin page.
pub(crate) struct Visitor<'a> {
    app: &'a TestApp,
    cookie: Option<String>,
    csrf: String,
}

impl<'a> Visitor<'a> {
    fn new(app: &'a TestApp) -> Self {
        Self { app, cookie: None, csrf: String::new() }
    }

    async fn send(&self, method: Method, path: &str, csrf: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.app.client.request(method, format!("{}/api/v1{path}", self.app.base));
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", format!("other=1; {cookie}"));
        }
        if let Some(csrf) = csrf {
            request = request.header("X-CSRF-Token", csrf);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(&self.csrf), Some(body)).await
    }

    /// Comes in by a request that gives a cookie.
    async fn enter(&mut self, path: &str, body: &Value) -> Answer {
        let answer = self.post(path, body).await;
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
            self.csrf = answer.body["csrf_token"].as_str().unwrap().to_owned();
        }
        answer
    }

    async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        self.enter("/admin/log-in", &json!({"name": name, "password": password})).await
    }

    async fn state(&self) -> Value {
        self.get("/admin/session").await.expect(200)["state"].clone()
    }
}

/// An application whose password is set.
async fn set_up() -> TestApp {
    let app = TestApp::start().await;
    logged_in(&app).await;
    app
}

/// Sets the password of an application, and is logged in there then.
pub(crate) async fn logged_in(app: &TestApp) -> Visitor<'_> {
    let code = app.set_up_code.clone().unwrap();
    let body = json!({"code": code, "password": PASSWORD, "name": "Ana"});
    let mut visitor = Visitor::new(app);
    visitor.enter("/admin/set-up", &body).await.expect(200);
    visitor
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_visitor_needs_the_code_and_everyone_else_the_password() {
    local(async {
        let app = TestApp::start().await;
        let mut ana = Visitor::new(&app);
        assert_eq!(ana.state().await, "set_up");
        let code = app.set_up_code.clone().unwrap();
        let body = |code: &str, password: &str| json!({"code": code, "password": password, "name": "Ana"});
        ana.post("/admin/set-up", &body("AAAA-AAAA", PASSWORD)).await.expect(403);
        let short = ana.post("/admin/set-up", &body(&code, "short")).await.expect(422);
        assert!(short["errors"]["password"][0].as_str().unwrap().contains("10 to 200"), "{short}");
        ana.log_in("Ana", PASSWORD).await.expect(409);
        let entered = ana.enter("/admin/set-up", &body(&code.to_lowercase(), PASSWORD)).await;
        let cookie = entered.header("set-cookie").unwrap().to_owned();
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "the test is not over HTTPS: {cookie}");
        assert_eq!(entered.expect(200)["actor"], "Ana");
        assert_eq!(ana.state().await, "logged_in");
        let mut bo = Visitor::new(&app);
        assert_eq!(bo.state().await, "log_in");
        bo.post("/admin/set-up", &body(&code, PASSWORD)).await.expect(409);
        assert_eq!(bo.log_in("Bo", "wrong password").await.expect(401)["error"], "The password is wrong.");
        bo.log_in(" ", PASSWORD).await.expect(422);
        bo.log_in("Bo", PASSWORD).await.expect(200);
        bo.get("/flows").await.expect(200);
        bo.post("/admin/log-out", &json!({})).await.expect(204);
        assert_eq!(bo.state().await, "log_in");
        bo.get("/flows").await.expect(401);
        assert_eq!(ana.state().await, "logged_in");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_logged_in_is_recorded_and_must_prove_that_the_page_is_ours() {
    local(async {
        let app = set_up().await;
        let mut bo = Visitor::new(&app);
        bo.log_in("Bo", PASSWORD).await.expect(200);
        let import = question(30);
        for csrf in [None, Some("0"), Some("")] {
            let refused = bo.send(Method::POST, "/flows/import", csrf, Some(&import)).await.expect(403);
            assert!(refused["error"].as_str().unwrap().contains("X-CSRF-Token"), "{refused}");
        }
        let mut other = Visitor::new(&app);
        other.log_in("Cy", PASSWORD).await.expect(200);
        bo.send(Method::POST, "/flows/import", Some(&other.csrf), Some(&import)).await.expect(403);
        assert_eq!(app.count("flows"), 0);
        let flow = bo.post("/flows/import?publish=true", &import).await.expect(201);
        assert_eq!(flow["updated_by"], "Bo");
        let versions = format!("/flows/{}/versions", flow["id"].as_str().unwrap());
        assert_eq!(bo.get(&versions).await.expect(200)["data"][0]["actor"], "Bo");
        let stale_token = app.request(Method::GET, "/api/v1/flows", Some("qyvo_wrong"), None).await;
        stale_token.expect(401);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_gets_slower_also_across_a_restart() {
    local(async {
        let app = set_up().await;
        let clock = app.clock.clone();
        let guess = async |app: &TestApp, password: &str| Visitor::new(app).log_in("Eve", password).await;
        let tries = (0..20).map(|_| guess(&app, "wrong password"));
        let mut statuses: Vec<u16> =
            futures::future::join_all(tries).await.into_iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [&[401; 5][..], &[429; 15]].concat(), "many at once are no faster");
        let refused = guess(&app, PASSWORD).await;
        assert_eq!(refused.header("retry-after"), Some("15"));
        assert!(refused.expect(429)["error"].as_str().unwrap().contains("15 s"));
        let folder = app.stop().await;
        let app = TestApp::start_in(folder, clock, |_| {}).await;
        guess(&app, PASSWORD).await.expect(429);
        app.advance(15);
        guess(&app, "wrong password").await.expect(401);
        assert_eq!(guess(&app, PASSWORD).await.header("retry-after"), Some("30"));
        app.advance(30);
        guess(&app, PASSWORD).await.expect(200);
        guess(&app, "wrong password").await.expect(401);
        guess(&app, PASSWORD).await.expect(200);
        app.stop().await;
    })
    .await;
}

/// Tries a password from a network behind a trusted proxy.
async fn guess_from(app: &TestApp, network: &str, password: &str) -> u16 {
    let request = app
        .client
        .post(format!("{}/api/v1/admin/log-in", app.base))
        .header("X-Forwarded-For", network)
        .json(&json!({"name": "Eve", "password": password}));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_holds_nobody_up() {
    local(async {
        let app = set_up().await;
        let clock = app.clock.clone();
        let guess = async |app: &TestApp, password: &str| Visitor::new(app).log_in("Eve", password).await;
        let right = clock.now();
        app.advance(365 * 24 * 3600);
        for _ in 0..5 {
            guess(&app, "wrong password").await.expect(401);
        }
        clock.set(right);
        let folder = app.stop().await;
        let app = TestApp::start_in(folder, clock, |_| {}).await;
        assert_eq!(guess(&app, PASSWORD).await.header("retry-after"), Some("15"), "no longer than the pause");
        app.advance(14);
        assert_eq!(guess(&app, PASSWORD).await.header("retry-after"), Some("1"), "and it goes by");
        app.advance(1);
        guess(&app, PASSWORD).await.expect(200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_the_wait_for_the_one_before() {
    local(async {
        let app = set_up().await;
        for _ in 0..5 {
            Visitor::new(&app).log_in("Eve", "wrong password").await.expect(401);
        }
        Visitor::new(&app).log_in("Ana", PASSWORD).await.expect(429);
        let now = app.clock.now();
        let hash = qyvo::credentials::hash_password("another password").unwrap();
        let store = app.runtime.store();
        store.write(move |tx| qyvo::credentials::set_password(tx, &hash, None, now)).await.unwrap();
        Visitor::new(&app).log_in("Ana", "another password").await.expect(200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_from_many_networks_are_bounded_together_and_the_owner_comes_in() {
    local(async {
        let mut app = TestApp::start_with(|config| {
            config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
            config.admin.password = PASSWORD.to_owned().into();
        })
        .await;
        let owner = "198.51.100.7:4711";
        assert_eq!(guess_from(&app, owner, PASSWORD).await, 200);
        // A process of an hour, each guess from another network.
        let mut wrong = 0;
        for minute in 0..60 {
            for n in 0..3 {
                let network = format!("[2001:db8:{minute:x}:{n}::1]:80");
                match guess_from(&app, &network, "wrong password").await {
                    401 => wrong += 1,
                    status => assert_eq!(status, 429),
                }
            }
            app.advance(60);
        }
        assert!((90..=101).contains(&wrong), "{wrong} guesses in an hour");
        assert_eq!(guess_from(&app, "203.0.113.1", PASSWORD).await, 200, "a share of the hour is free again");
        for n in 0..9 {
            guess_from(&app, &format!("203.0.113.{n}"), "wrong password").await;
        }
        assert_eq!(guess_from(&app, "203.0.113.99", PASSWORD).await, 429);
        assert_eq!(guess_from(&app, owner, PASSWORD).await, 200, "from where somebody has logged in before");
        assert_eq!(guess_from(&app, owner, "wrong password").await, 401);
        // Neither a restart makes guessing faster.
        let clock = app.clock.clone();
        let folder = app.stop().await;
        app = TestApp::start_in(folder, clock, |config| {
            config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
            config.admin.password = PASSWORD.to_owned().into();
        })
        .await;
        assert_eq!(guess_from(&app, "203.0.113.99", PASSWORD).await, 429);
        assert_eq!(guess_from(&app, owner, PASSWORD).await, 200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_survives_a_restart_and_ends_after_a_week_or_with_the_password() {
    local(async {
        let app = set_up().await;
        let (mut ana, mut bo) = (Visitor::new(&app), Visitor::new(&app));
        ana.log_in("Ana", PASSWORD).await.expect(200);
        bo.log_in("Bo", PASSWORD).await.expect(200);
        let wrong = ana.post("/admin/password", &json!({"current": "not it at all", "new": "another password"})).await;
        assert_eq!(wrong.expect(422)["errors"]["current"][0], "The password is wrong.");
        ana.post("/admin/password", &json!({"current": PASSWORD, "new": "short"})).await.expect(422);
        ana.post("/admin/password", &json!({"current": PASSWORD, "new": "another password"})).await.expect(204);
        assert_eq!((ana.state().await, bo.state().await), (json!("logged_in"), json!("log_in")));
        bo.log_in("Bo", PASSWORD).await.expect(401);
        let (cookie, clock) = (ana.cookie.clone(), app.clock.clone());
        let folder = app.stop().await;
        let app = TestApp::start_in(folder, clock, |_| {}).await;
        assert_eq!(app.set_up_code, None);
        let ana = Visitor { app: &app, cookie, csrf: String::new() };
        assert_eq!(ana.state().await, "logged_in");
        app.advance(7 * 24 * 3600);
        assert_eq!(ana.state().await, "log_in");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_in_with_the_old_password_survives_its_change() {
    local(async {
        let app = set_up().await;
        let mut changers = Vec::new();
        for _ in 0..3 {
            let mut changer = Visitor::new(&app);
            changer.log_in("Ana", PASSWORD).await.expect(200);
            changers.push(changer);
        }
        // Of three who change it at once one has her way, and of those who come in meanwhile nobody stays.
        let changes = changers.iter().enumerate().map(|(n, changer)| {
            let body = json!({"current": PASSWORD, "new": format!("another password {n}")});
            async move { changer.post("/admin/password", &body).await.status.as_u16() }
        });
        let entering = (0..2).map(|_| async {
            let mut visitor = Visitor::new(&app);
            visitor.log_in("Eve", PASSWORD).await;
            visitor
        });
        let (statuses, visitors) =
            tokio::join!(futures::future::join_all(changes), futures::future::join_all(entering));
        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
        for (status, changer) in statuses.iter().zip(&changers) {
            let state = if *status == 204 { "logged_in" } else { "log_in" };
            assert_eq!(changer.state().await, state);
        }
        for visitor in &visitors {
            assert_eq!(visitor.state().await, "log_in", "the old password let somebody in for good");
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_the_configuration_replaces_the_old_one_and_ends_its_log_ins() {
    local(async {
        let app = set_up().await;
        let mut ana = Visitor::new(&app);
        ana.log_in("Ana", PASSWORD).await.expect(200);
        let (cookie, clock) = (ana.cookie.clone(), app.clock.clone());
        let folder = app.stop().await;
        let pin = |config: &mut qyvo::config::Config| {
            config.admin.password = serde_json::from_value(json!("from the environment")).unwrap();
            config.server.public_url = "https://qyvo.example.org".to_owned();
        };
        let app = TestApp::start_in(folder, clock, pin).await;
        let mut ana = Visitor { app: &app, cookie, csrf: String::new() };
        assert_eq!(ana.state().await, "log_in");
        ana.log_in("Ana", PASSWORD).await.expect(401);
        let entered = ana.log_in("Ana", "from the environment").await;
        assert!(entered.header("set-cookie").unwrap().contains("Secure"));
        let body = json!({"current": "from the environment", "new": "another password"});
        ana.post("/admin/password", &body).await.expect(409);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_files_come_under_a_strict_policy() {
    local(async {
        let app = TestApp::start().await;
        let page = app.request(Method::GET, "/admin/", None, None).await;
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let etag = page.header("etag").unwrap().to_owned();
        page.expect(200);
        let request = app.client.get(format!("{}/admin/", app.base)).header("If-None-Match", etag);
        assert_eq!(read(request).await.status.as_u16(), 304);
        for path in
            ["/admin/nothing.js", "/admin/old/nothing.js", "/admin/../openapi.yaml", "/admin/%2e%2e/openapi.yaml"]
        {
            app.request(Method::GET, path, None, None).await.expect(404);
        }
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        for (path, target) in [("/", "/admin/"), ("/admin", "/admin/"), ("/admin/old", "/admin/old/")] {
            let response = client.get(format!("{}{path}", app.base)).send().await.unwrap();
            assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &target.parse().unwrap()));
        }
        app.stop().await;
    })
    .await;
}

/// The addresses that a page loads.
fn loaded_by(page: &str) -> Vec<String> {
    let named = regex::Regex::new(r#"(?:src|href)="\./([^"]+)"|name="qyvo-lists" content="([^"]+)""#).unwrap();
    named.captures_iter(page).map(|found| found.get(1).or(found.get(2)).unwrap().as_str().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_by_its_content_is_kept_and_the_page_is_asked_for_again() {
    local(async {
        let app = TestApp::start().await;
        let kept = async |path: &str| {
            let file = app.client.get(format!("{}/admin/{path}", app.base)).send().await.unwrap();
            assert_eq!(file.status(), 200, "{path}");
            file.headers()["cache-control"].to_str().unwrap().to_owned()
        };
        let page = app.client.get(format!("{}/admin/", app.base)).send().await.unwrap().text().await.unwrap();
        let loaded = loaded_by(&page);
        assert!(loaded.iter().any(|path| path.ends_with(".css")), "{loaded:?}");
        assert!(loaded.iter().any(|path| path.starts_with("lists-")), "{loaded:?}");
        for path in &loaded {
            assert_eq!(kept(path).await, "public, max-age=31536000, immutable", "{path}");
        }
        for path in ["", "LICENSES.txt", "lists.js", "old/", "old/app.css", "old/lists.js"] {
            assert_eq!(kept(path).await, "no-cache", "{path}");
        }
        // Nothing else is ever under such a name, and so nothing is at all.
        for path in ["assets/index-none.js", "lists-0000000000000000.js"] {
            app.request(Method::GET, &format!("/admin/{path}"), None, None).await.expect(404);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_shown_once_and_revoked() {
    local(async {
        let app = TestApp::start().await;
        app.post("/tokens", &json!({"name": " ", "scope": "root"})).await.expect(422);
        let made = app.post("/tokens", &json!({"name": "checkout", "scope": "trigger"})).await.expect(201);
        let secret = made["token"].as_str().unwrap().to_owned();
        assert!(secret.starts_with("qyvo_") && secret.starts_with(made["hint"].as_str().unwrap()), "{made}");
        let body = json!({"flow_id": "01936b1e-7c6a-7000-8000-0000000000aa", "phone": PHONE}).to_string();
        let call = || app.request(Method::POST, "/api/v1/actions/trigger-flow", Some(&secret), Some(body.clone()));
        call().await.expect(404);
        let listed = app.get("/tokens").await.expect(200);
        let row = listed["data"].as_array().unwrap().iter().find(|row| row["id"] == made["id"]).unwrap().clone();
        assert_eq!((&row["scope"], row.get("token")), (&json!("trigger"), None));
        let path = format!("/tokens/{}", made["id"].as_str().unwrap());
        app.delete(&path).await.expect(204);
        call().await.expect(401);
        app.delete(&path).await.expect(404);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_take_effect_at_once_and_stay() {
    local(async {
        let app = TestApp::start().await;
        let setting = |listed: &Value, key: &str| {
            listed["data"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone()
        };
        let before = app.get("/settings").await.expect(200);
        let ttl = setting(&before, "sessions.default_ttl");
        assert_eq!(
            (&ttl["value"], &ttl["source"], &ttl["is_editable"]),
            (&json!("30m"), &json!("default"), &json!(true))
        );
        assert_eq!(setting(&before, "storage.path")["is_editable"], false);
        let mut patient = question(30);
        patient["settings"] = json!({});
        patient["nodes"][0].as_object_mut().unwrap().remove("timeout_seconds");
        let flow = app.publish(&patient).await;
        let first = app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(app.session(&first["id"]).await["expires_at"], "2026-05-07T08:30:00+00:00");
        let rows = app.rows();
        let wrong = json!({"sessions.default_ttl": "90s", "storage.path": "x.db", "account.name": "Shop"});
        let refused = app.send(Method::PUT, "/settings", &[], Some(&wrong)).await.expect(422);
        let fields: Vec<_> = refused["errors"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["sessions.default_ttl", "storage.path"]);
        let nulls = json!({"account.nme": null, "storage.path": null, "limits.requests_per_minute": "a"});
        let refused = app.send(Method::PUT, "/settings", &[], Some(&nulls)).await.expect(422);
        assert_eq!(refused["errors"]["account.nme"], json!(["This key is not known."]));
        assert_eq!(refused["errors"]["limits.requests_per_minute"], json!(["The value must be a whole number."]));
        assert!(refused["errors"]["storage.path"][0].as_str().unwrap().contains("for the next start"), "{refused}");
        assert_eq!(app.rows(), rows, "one wrong key changes none");
        let good = json!({"sessions.default_ttl": "2h", "limits.requests_per_minute": 1000});
        let after = app.send(Method::PUT, "/settings", &[], Some(&good)).await.expect(200);
        assert_eq!(setting(&after, "sessions.default_ttl")["source"], "database");
        let second = app.trigger(flow, "+14155550124").await.expect(201);
        assert_eq!(app.session(&second["id"]).await["expires_at"], "2026-05-07T10:00:00+00:00");
        assert_eq!(app.get("/flows").await.header("x-ratelimit-limit"), Some("1000"));
        let clock = app.clock.clone();
        let folder = app.stop().await;
        let app = TestApp::start_in(folder, clock, |config| {
            config.limits.requests_per_minute = 77;
            config.origins.insert("limits.requests_per_minute".to_owned(), qyvo::config::Origin::File);
        })
        .await;
        let listed = app.get("/settings").await;
        assert_eq!(listed.header("x-ratelimit-limit"), Some("77"), "the file overrides the database");
        let listed = listed.expect(200);
        assert_eq!(setting(&listed, "sessions.default_ttl")["value"], "2h");
        let pinned = setting(&listed, "limits.requests_per_minute");
        assert_eq!((&pinned["source"], &pinned["is_editable"]), (&json!("file"), &json!(false)));
        let change = json!({"limits.requests_per_minute": 5});
        app.send(Method::PUT, "/settings", &[], Some(&change)).await.expect(422);
        let reset = app.send(Method::PUT, "/settings", &[], Some(&json!({"sessions.default_ttl": null}))).await;
        assert_eq!(setting(&reset.expect(200), "sessions.default_ttl")["value"], "30m");
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_locks_its_author_out_has_to_be_confirmed() {
    local(async {
        let app = TestApp::start().await;
        let put = async |query: &str, headers: &[(&str, &str)], url: &str| {
            let mut request = app.client.put(format!("{}/api/v1/settings{query}", app.base));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.bearer_auth(testkit::app::secret(qyvo::store::tokens::Scope::Admin));
            let answer = request.json(&json!({"server.public_url": url})).send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        };
        let https = "https://qyvo.example.com";
        let rows = app.rows();
        for headers in [
            &[("origin", "http://box.lan:8080")][..],
            &[("origin", "http://192.168.1.5:8080")],
            &[("cookie", "qyvo_admin=x"), ("host", "qyvo.example.com")],
        ] {
            let (status, refused) = put("", headers, https).await;
            assert_eq!((status, &refused["confirm"]), (409, &json!("server.public_url")), "{headers:?} {refused}");
            let text = refused["error"].as_str().unwrap();
            assert!(text.contains("http://") && text.contains("cannot log in"), "{text}");
        }
        assert_eq!(app.rows(), rows);
        for headers in [
            &[("origin", "https://qyvo.example.com")][..],
            &[("origin", "http://localhost:8080")],
            &[("origin", "http://127.0.0.1:8080")],
            &[("origin", "http://[::1]:8080")],
            &[("cookie", "qyvo_admin=x"), ("host", "qyvo.example.com"), ("x-forwarded-proto", "https")],
            &[],
        ] {
            assert_eq!(put("", headers, https).await.0, 200, "{headers:?}");
        }
        assert_eq!(put("?confirm=true", &[("origin", "http://box.lan:8080")], https).await.0, 200);
        assert_eq!(put("", &[("origin", "http://box.lan:8080")], "http://box.lan:8080").await.0, 200);
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_too_low_leaves_the_page_enough_to_raise_it() {
    local(async {
        let app = set_up().await;
        let mut ana = Visitor::new(&app);
        ana.log_in("Ana", PASSWORD).await.expect(200);
        let low = json!({"limits.requests_per_minute": 1});
        app.send(Method::PUT, "/settings", &[], Some(&low)).await.expect(200);
        for _ in 0..30 {
            ana.get("/flows").await.expect(200);
        }
        assert_eq!(ana.get("/flows").await.header("x-ratelimit-limit"), Some("600"));
        app.get("/flows").await.expect(200);
        app.get("/flows").await.expect(429);
        app.stop().await;
    })
    .await;
}

/// Reads server-sent events until `count` have come, and gives kind and data of each.
async fn events(response: reqwest::Response, count: usize) -> Vec<(String, Value)> {
    let mut stream = response.bytes_stream();
    let (mut text, mut found) = (String::new(), Vec::new());
    while found.len() < count {
        let chunk = patiently("an event", stream.next()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            if let Some((kind, data)) = block.split_once('\n').filter(|(kind, _)| kind.starts_with("event: ")) {
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                found.push((kind.strip_prefix("event: ").unwrap().to_owned(), data));
            }
            text = rest.to_owned();
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_told_as_it_changes_to_those_whom_it_concerns() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(30)).await;
        let other = app.publish(&question(60)).await;
        let watch = async |query: &str| {
            let request = app.client.get(format!("{}/api/v1/events{query}", app.base));
            let response = request.bearer_auth("qyvo_test_admin").send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            response
        };
        let all = watch("").await;
        let of_flow = watch(&format!("?flow_id={flow}")).await;
        app.trigger(other, PHONE).await.expect(201);
        let started = app.trigger(flow, PHONE).await.expect(201);
        app.say(PHONE, "tea").await;
        let heard = events(of_flow, 5).await;
        let brief = |(kind, data): &(String, Value)| match kind.as_str() {
            "session" => format!("session {} {}", data["status"].as_str().unwrap(), data["turn"]),
            _ => format!("{kind} {} {}", data["direction"].as_str().unwrap(), data["status"].as_str().unwrap()),
        };
        let mut lines: Vec<String> = heard.iter().map(brief).collect();
        lines.sort();
        let expected = [
            "message in received",
            "message out simulated",
            "message out simulated",
            "session completed 2",
            "session running 1",
        ];
        assert_eq!(lines, expected);
        assert!(heard.iter().all(|(_, data)| data["id"] == started["id"] || data["session_id"] == started["id"]));
        assert_eq!(events(all, 7).await.len(), 7);
        app.request(Method::GET, "/api/v1/events", None, None).await.expect(401);

        let token = app.post("/tokens", &json!({"name": "watcher", "scope": "admin"})).await.expect(201);
        let request = app.client.get(format!("{}/api/v1/events", app.base));
        let watched = request.bearer_auth(token["token"].as_str().unwrap()).send().await.unwrap();
        app.delete(&format!("/tokens/{}", token["id"].as_str().unwrap())).await.expect(204);
        app.trigger(flow, "+14155550199").await.expect(201);
        let rest = watched.text().await.unwrap();
        assert!(!rest.contains("event:"), "a revoked token hears nothing more: {rest}");
        app.get("/events?colour=red").await.expect(422);
        app.stop().await;
    })
    .await;
}
