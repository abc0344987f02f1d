//! What the outside is answered, byte for byte: fixed stories, each answer of which is a file in `tests/answers/`.
//!
//! A file holds the request's line, the status, the headers that belong to the answer, and the body as it was sent.
//! Only what is another at every run has a name in its place, such as `<contact ana>`. `UPDATE_GOLDEN=1 cargo test
//! --test app answers` rewrites the files; read the difference before committing it.

mod authoring;
mod people;
mod phones;

use std::collections::BTreeSet;
use std::path::PathBuf;

use qyvo::channels::ChannelKind;
use qyvo::config::Config;
use qyvo::store::tokens::Scope;
use regex::Regex;
use reqwest::Method;
use serde_json::Value;

use testkit::app::{TestApp, secret};
use testkit::site::Seen;

/// Headers that are a part of the answer.
const HEADERS: [&str; 6] =
    ["content-type", "content-disposition", "etag", "idempotency-replayed", "www-authenticate", "retry-after"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/answers")
}

/// An application whose answers are kept, or held against those that were kept.
pub(super) struct Story {
    pub(super) app: TestApp,
    /// What the files of the story begin with.
    name: &'static str,
    /// Texts that are others at every run, and what stands for each.
    names: Vec<(String, String)>,
    /// The files and what belongs in them, in the order in which it was told.
    told: Vec<(String, String)>,
}

impl Story {
    pub(super) async fn begin(name: &'static str, change: impl FnOnce(&mut Config)) -> Self {
        let app = TestApp::start_with(change).await;
        let folder = app.folder.path().to_str().unwrap().to_owned();
        let channels = ChannelKind::ALL.map(ChannelKind::as_str).join(", ");
        let names = vec![
            (app.base.clone(), "<server>".to_owned()),
            (folder, "<folder>".to_owned()),
            (channels, "<channels>".to_owned()),
        ];
        Self { app, name, names, told: Vec::new() }
    }

    /// Gives an id or another text that is made at random a name.
    pub(super) fn call(&mut self, value: &Value, name: &str) -> String {
        let text = value.as_str().unwrap_or_else(|| panic!("{name} is {value}")).to_owned();
        self.names.push((text.clone(), format!("<{name}>")));
        text
    }

    /// The same text at every run.
    fn named(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.names {
            text = text.replace(value.as_str(), name);
        }
        // Version 7 has the time in it; ids of other versions are made of what they stand for.
        let id = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
        while let Some(found) = id.find(&text).map(|found| found.as_str().to_owned()) {
            let count = self.names.iter().filter(|(_, name)| name.starts_with("<id ")).count();
            let name = format!("<id {}>", count + 1);
            text = text.replace(&found, &name);
            self.names.push((found, name));
        }
        for (pattern, stands) in [
            (r"whsec_[A-Za-z0-9_-]+", "<webhook secret>"),
            (r"qyvo_[A-Za-z0-9_-]+", "<token>"),
            (r#""csrf_token":"[^"]+""#, r#""csrf_token":"<proof>""#),
            (r#""(free|database|log)_bytes":\d+"#, r#""${1}_bytes":<bytes>"#),
            (r#""version":"[^"]+""#, r#""version":"<version>""#),
            (r"127\.0\.0\.1:\d+", "<site>"),
            // A span that is tried again after is drawn at random.
            (r#""next_attempt_at":"[^"]+""#, r#""next_attempt_at":"<later>""#),
        ] {
            text = Regex::new(pattern).unwrap().replace_all(&text, stands).into_owned();
        }
        text
    }

    /// Has a text held against the file of that name when the story ends: only then all names are known.
    pub(super) fn hold(&mut self, name: &str, text: &str) {
        let name = format!("{}-{name}.txt", self.name);
        assert!(self.told.iter().all(|(known, _)| *known != name), "{name} is told twice");
        self.told.push((name, text.to_owned()));
    }

    /// Makes a request, holds its answer, and gives the body.
    pub(super) async fn ask(&mut self, name: &str, request: reqwest::RequestBuilder) -> Value {
        self.ask_for(name, request, |_| true).await
    }

    /// Makes a request, holds those items of the list that it is answered, and gives the body.
    pub(super) async fn ask_for(
        &mut self,
        name: &str,
        request: reqwest::RequestBuilder,
        is_held: impl Fn(&Value) -> bool,
    ) -> Value {
        let request = request.build().unwrap();
        let url = request.url();
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let line = format!("{} {}{query}", request.method(), url.path());
        let response = self.app.client.execute(request).await.unwrap();
        let mut head = format!("{line}\n{}\n", response.status().as_u16());
        for name in HEADERS {
            if let Some(value) = response.headers().get(name) {
                head.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
        }
        let body = response.text().await.unwrap();
        let read = serde_json::from_str(&body).unwrap_or(Value::Null);
        let mut held = body;
        for item in read["data"].as_array().into_iter().flatten().filter(|item| !is_held(item)) {
            // With the comma on one side of it.
            let item = item.to_string();
            let cut = [format!(",{item}"), format!("{item},"), item].into_iter().find(|cut| held.contains(cut));
            held = held.replacen(&cut.expect("an answer is written as it is read"), "", 1);
        }
        self.hold(name, &format!("{head}\n{held}"));
        read
    }

    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1{path}", self.app.base);
        self.app.client.request(method, url).bearer_auth(secret(Scope::Admin))
    }

    pub(super) async fn get(&mut self, name: &str, path: &str) -> Value {
        let request = self.request(Method::GET, path);
        self.ask(name, request).await
    }

    /// Asks for the channels and holds the live one: the others are there by their names alone.
    pub(super) async fn get_channels(&mut self, name: &str) -> Value {
        let request = self.request(Method::GET, "/channels");
        self.ask_for(name, request, |channel| channel["is_live"] == true).await
    }

    pub(super) async fn post(&mut self, name: &str, path: &str, body: Value) -> Value {
        self.send(name, Method::POST, path, &[], body).await
    }

    pub(super) async fn send(
        &mut self,
        name: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Value {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        self.ask(name, request).await
    }

    /// Calls a tool of `/mcp`.
    pub(super) async fn tool(&mut self, name: &str, scope: Scope, tool: &str, arguments: Value) {
        let body = serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}
        });
        let request = self.app.client.post(format!("{}/mcp", self.app.base)).bearer_auth(secret(scope));
        let request = request.header("Accept", "application/json, text/event-stream").json(&body);
        self.ask(&format!("mcp-{name}"), request.header("mcp-protocol-version", "2025-11-25")).await;
    }

    /// Holds what a site was sent, in the order in which it came; events, which come side by side, by their ids, and so
    /// in the order in which they happened.
    pub(super) fn hold_requests(&mut self, name: &str, seen: &[Seen]) {
        let mut seen: Vec<&Seen> = seen.iter().collect();
        seen.sort_by_key(|request| request.header("x-qyvo-delivery-id"));
        let bodies: Vec<String> = seen.iter().map(|request| format!("{}\n{}", request.line, request.body)).collect();
        self.hold(name, &bodies.join("\n\n"));
    }

    /// Fails where an answer is another than it was, and where a file is left of an answer that nobody gives.
    pub(super) async fn end(mut self) {
        let told = std::mem::take(&mut self.told);
        let told: Vec<(String, String)> =
            told.into_iter().map(|(name, text)| (name, self.named(&text) + "\n")).collect();
        self.app.stop().await;
        let prefix = format!("{}-", self.name);
        let listed = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut left: BTreeSet<String> = listed.filter(|file| file.starts_with(&prefix)).collect();
        let mut wrong = Vec::new();
        for (name, text) in told {
            left.remove(&name);
            let path = folder().join(&name);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(path, text).unwrap();
                continue;
            }
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            if kept != text {
                wrong.push(format!("{name}\nexpected {kept}\ngot      {text}"));
            }
        }
        assert_eq!(left, BTreeSet::new(), "nobody gives these answers any more");
        assert!(wrong.is_empty(), "{} answers are not what they were:\n\n{}", wrong.len(), wrong.join("\n\n"));
    }
}
