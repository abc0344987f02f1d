//! An application for one test.

use std::time::Duration;

use qyvo::App;
use qyvo::config::Config;
use qyvo::domain::{FlowId, Timestamp, TokenId};
use qyvo::runtime::Clock;
use qyvo::store::tokens::{NewToken, Scope, insert};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

/// When every test begins.
pub const START: &str = "2026-05-07T08:00:00+00:00";
/// The contact of most tests.
pub const PHONE: &str = "+14155550123";

/// A running application. Its background workers sleep for an hour: tests drain timers by calling them.
pub struct TestApp {
    /// Where it listens, such as `http://127.0.0.1:40123`.
    pub base: String,
    /// A client without a token of its own.
    pub client: reqwest::Client,
    /// The clock of the application, which the test moves.
    pub clock: Clock,
    /// Its runtime, to call the workers by hand.
    pub runtime: qyvo::runtime::Runtime,
    /// Before the folder, so that it is dropped first.
    _closing: CloseOnDrop,
    /// The folder of its database.
    pub folder: TempDir,
    /// What makes the first administrator, where nobody has set a password yet.
    pub set_up_code: Option<String>,
    server: actix_web::dev::ServerHandle,
    running: tokio::task::JoinHandle<qyvo::error::Result<()>>,
}

/// Closes the database of a server that nobody stopped: it would find its file gone once the folder is.
struct CloseOnDrop(qyvo::store::Store);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body, as JSON or else as a string.
    pub body: Value,
}

impl Answer {
    /// A header, where it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts the status and gives the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}

/// A token's secret for each scope.
pub fn secret(scope: Scope) -> String {
    format!("qyvo_test_{scope}")
}

impl TestApp {
    /// Starts it with the settings of all tests.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts it with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, Clock::by_hand(START.parse().unwrap()), change).await
    }

    /// Starts on a folder that may hold a database already.
    pub async fn start_in(folder: TempDir, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.server.bind = "127.0.0.1:0".parse().unwrap();
        config.storage.path = folder.path().join("qyvo.db");
        config.sessions.sweep_interval = Duration::from_secs(3600);
        config.limits.requests_per_minute = 0;
        change(&mut config);
        let is_new = !config.storage.path.exists();
        if is_new {
            let store = qyvo::store::Store::open(&qyvo::store::Options::new(&config.storage.path)).unwrap();
            let now = clock.now();
            store
                .write(move |tx| {
                    for scope in [Scope::Trigger, Scope::Api, Scope::Admin] {
                        add_token(tx, scope.as_str(), scope, &secret(scope), now)?;
                    }
                    Ok(())
                })
                .await
                .unwrap();
            store.close();
        }
        let app = App::build(&config, clock.clone()).unwrap();
        let base = format!("http://127.0.0.1:{}", app.port());
        let (runtime, server) = (app.runtime().clone(), app.handle());
        let set_up_code = app.set_up_code().map(str::to_owned);
        let running = tokio::task::spawn_local(app.run_until_stopped());
        // The client has no cryptography of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(crate::wait::PATIENCE).build().unwrap();
        let _closing = CloseOnDrop(runtime.store().clone());
        Self { base, client, clock, runtime, _closing, folder, set_up_code, server, running }
    }

    /// Stops in good order and gives the folder, to start again.
    pub async fn stop(self) -> TempDir {
        self.server.stop(true).await;
        self.running.await.unwrap().unwrap();
        self.folder
    }

    /// Waits until it stops by itself, and gives how.
    pub async fn wait_until_stopped(self) -> qyvo::error::Result<()> {
        self.running.await.unwrap()
    }

    /// Any request, with a token and a body of JSON or without.
    pub async fn request(&self, method: Method, path: &str, token: Option<&str>, body: Option<String>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        read(request).await
    }

    /// Posts under `/api/v1`, as the administrator.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let path = format!("/api/v1{path}");
        self.request(Method::POST, &path, Some(&secret(Scope::Admin)), Some(body.to_string())).await
    }

    /// The same with an `Idempotency-Key`.
    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self
            .client
            .post(format!("{}/api/v1{path}", self.base))
            .bearer_auth(secret(Scope::Admin))
            .header("Idempotency-Key", key)
            .json(body);
        read(request).await
    }

    /// Any request under the API's base, as the administrator.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = self.client.request(method, url).bearer_auth(secret(Scope::Admin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request).await
    }

    /// Deletes under `/api/v1`, as the administrator.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }

    /// Reads under `/api/v1`, as the administrator.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, &format!("/api/v1{path}"), Some(&secret(Scope::Admin)), None).await
    }

    /// Changes under `/api/v1`, as the administrator.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let path = format!("/api/v1{path}");
        self.request(Method::PATCH, &path, Some(&secret(Scope::Admin)), Some(body.to_string())).await
    }

    /// Publishes a document and gives its id.
    pub async fn publish(&self, document: &Value) -> FlowId {
        let flow = self.post("/flows/import?publish=true&accept=unreachable_node", document).await;
        assert!(flow.status.is_success(), "{}", flow.body);
        flow.body["id"].as_str().unwrap().parse().unwrap()
    }

    /// Triggers a flow for a phone number.
    pub async fn trigger(&self, flow: FlowId, phone: &str) -> Answer {
        self.post("/actions/trigger-flow", &json!({"flow_id": flow, "phone": phone})).await
    }

    /// A text from a phone, under a fresh id.
    pub async fn say(&self, phone: &str, text: &str) -> Value {
        let body = json!({"id": Uuid::now_v7(), "from": phone, "type": "text", "text": text});
        self.post("/inbound", &body).await.expect(202)
    }

    /// A session by its id.
    pub async fn session(&self, id: &Value) -> Value {
        self.get(&format!("/sessions/{}", id.as_str().unwrap())).await.expect(200)
    }

    /// The turns of a session, up to 200.
    pub async fn turns(&self, id: &Value) -> Vec<Value> {
        let answer = self.get(&format!("/sessions/{}/turns?limit=200", id.as_str().unwrap())).await.expect(200);
        answer["data"].as_array().unwrap().clone()
    }

    /// A contact's messages, oldest first: direction, text and status.
    pub async fn talk(&self, contact: &Value) -> Vec<String> {
        let answer = self.get(&format!("/contacts/{}/messages?limit=200", contact.as_str().unwrap())).await.expect(200);
        let line = |message: &Value| {
            let text = |key: &str| message[key].as_str().unwrap_or("-").to_owned();
            format!("{} {} [{}]", text("direction"), text("text"), text("status"))
        };
        answer["data"].as_array().unwrap().iter().rev().map(line).collect()
    }

    /// Asserts how far the newest message to a contact got.
    pub async fn newest_is(&self, contact: &Value, status: &str) {
        let path = format!("/contacts/{}/messages", contact.as_str().unwrap());
        let list = self.get(&path).await.expect(200);
        let newest = list["data"].as_array().unwrap().iter().find(|one| one["direction"] == "out").unwrap();
        assert_eq!(newest["status"], status, "{newest}");
    }

    /// Moves the clock.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Moves the clock by less than a second.
    pub fn advance_millis(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    /// Every row of every table, to see that nothing has changed.
    pub fn rows(&self) -> Vec<(String, Vec<String>)> {
        dump(&self.folder.path().join("qyvo.db"))
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> usize {
        self.rows().into_iter().find(|(name, _)| name == table).map_or(0, |(_, rows)| rows.len())
    }
}

fn dump(path: &std::path::Path) -> Vec<(String, Vec<String>)> {
    let conn = rusqlite::Connection::open(path).unwrap();
    // What an index for searching has is in ordinary tables, and the table that stands for it may not be listed.
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                 AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name";
    let names: Vec<String> =
        conn.prepare(names).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let rows_of = |name: &String| {
        let columns = conn.prepare(&format!("SELECT * FROM {name}")).unwrap().column_count();
        let order = if columns > 1 { "1, 2" } else { "1" };
        let mut statement = conn.prepare(&format!("SELECT * FROM {name} ORDER BY {order}")).unwrap();
        let line =
            |row: &rusqlite::Row<'_>| Ok((0..columns).map(|index| format!("{:?}", row.get_ref(index))).collect());
        statement.query_map([], line).unwrap().map(|row: rusqlite::Result<String>| row.unwrap()).collect()
    };
    names
        .into_iter()
        .map(|name| {
            let rows = rows_of(&name);
            (name, rows)
        })
        .collect()
}

/// Sends a request and reads the answer.
pub async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}

/// Stores a token of which the secret is known.
///
/// # Errors
/// When the database refuses the row.
pub fn add_token(
    tx: &qyvo::store::Tx<'_>,
    name: &str,
    scope: Scope,
    secret: &str,
    now: Timestamp,
) -> qyvo::error::Result<TokenId> {
    let id = TokenId(Uuid::now_v7());
    let hash = Sha256::digest(secret).into();
    insert(tx, &NewToken { id, name, scope, hash, hint: "qyvo_test", rate_limit: None }, now)?;
    Ok(id)
}

/// A flow that asks one question and waits a minute for the answer, with a time to live.
pub fn question(ttl_minutes: u32) -> Value {
    json!({
        "schema_version": 1, "name": "Question", "entry_node": "ask", "settings": {"session_ttl_minutes": ttl_minutes},
        "nodes": [
            {"id": "ask", "type": "menu", "text": "Tea or coffee?", "timeout_seconds": 30,
             "options": [{"id": "tea", "title": "Tea"}, {"id": "coffee", "title": "Coffee"}],
             "exits": {"tea": "good", "coffee": "good", "timeout": "late", "no_match": "late"}},
            {"id": "good", "type": "end", "outcome": "answered", "text": "Coming up: {{input.text}}"},
            {"id": "late", "type": "end", "outcome": "silent"}
        ]
    })
}

/// Runs a test with the local tasks that the server needs.
pub async fn local(test: impl Future<Output = ()>) {
    tokio::task::LocalSet::new().run_until(test).await;
}
