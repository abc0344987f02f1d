//! What is documented of the public API, fact by fact, in the order of the documentation's subjects: conventions,
//! flows, sequences, contacts and tags, messages and templates, outgoing webhooks.
//!
//! Each fact has one row. Either the row asks the server and says what the answer must have, or, where it takes a story
//! to show, it names the test that tells it. `documented` facts stand as they were written; `ours` fill in what the
//! documentation leaves open. Rows are asked from top to bottom of one server, and what one changes the next ones see.

mod contacts;
mod conventions;
mod flows;
mod messages;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use qyvo::store::tokens::Scope;
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{Answer, PHONE, TestApp, local, question, secret};

/// Subjects of the documentation, in its order.
const SECTIONS: [&str; 35] = [
    "1.1 transport and shapes",
    "1.2 authentication",
    "1.3 errors",
    "1.4 rate limits",
    "1.5 lists",
    "1.6 phone numbers",
    "1.7 opt-in and opt-out",
    "1.8 the 24-hour window",
    "2.1 trigger-flow",
    "2.2 get-flow",
    "2.3 new-flow-triggered",
    "2.4 dropdowns/flows",
    "2.6 flows over MCP",
    "2.7 settings",
    "2.8 templates in flows",
    "3.1 trigger-sequence",
    "3.2 get-sequence",
    "3.3 new-sequence-triggered",
    "3.4 sequences over MCP",
    "4.1 create-contact",
    "4.2 update-contact",
    "4.3 get-contact",
    "4.4 search-contacts",
    "4.5 add-tag",
    "4.6 remove-tag",
    "4.7 list-tags",
    "4.8 contacts over MCP",
    "5.1 send-text-message",
    "5.2 send-template-message",
    "5.3 list-templates",
    "5.4 get-template",
    "5.5 new-message-received",
    "5.6 new-campaign-sent",
    "5.7 messages over MCP",
    "5.8 me",
];
/// The last subject, which needs somebody who listens.
const WEBHOOKS: &str = "6 outgoing webhooks";

/// Whom a row makes.
const NEW: &str = "+14155550124";
/// Whom a trigger makes.
const TRIGGERED: &str = "+14155550125";
/// Whom no row makes.
const NOBODY: &str = "+14155550999";
/// Nothing's id.
const UNKNOWN: &str = "01a20838-9d10-7c55-b1a2-6f0d6a1c7e21";

/// What an answer must have.
enum Want {
    /// It is this and nothing else.
    Is(Value),
    /// Its object, or each object in its list, has these keys and no others.
    Keys(Vec<&'static str>),
    /// At a JSON pointer there is this.
    At(&'static str, Value),
    /// A list of so many.
    Count(usize),
    /// This text is in the errors of a field.
    Invalid(&'static str, &'static str),
    /// At a JSON pointer there is a UUID.
    Uuid(&'static str),
    /// A header, with this value where one is given.
    Header(&'static str, Option<&'static str>),
    /// A text that has this in it.
    Says(&'static str),
}

/// A request and what it is answered.
struct Ask {
    method: Method,
    path: String,
    token: Option<String>,
    body: Option<String>,
    status: u16,
    wants: Vec<Want>,
}

enum Shown {
    Here(Box<Ask>),
    /// By a test, in a file below `tests`.
    There(&'static str, &'static str),
}

struct Row {
    section: &'static str,
    fact: &'static str,
    is_ours: bool,
    shown: Shown,
}

impl Ask {
    fn new(method: Method, path: String, body: Option<String>) -> Self {
        Self { method, path, token: Some(secret(Scope::Api)), body, status: 200, wants: Vec::new() }
    }

    fn by(mut self, token: Option<&str>) -> Self {
        self.token = token.map(str::to_owned);
        self
    }

    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn want(mut self, want: Want) -> Self {
        self.wants.push(want);
        self
    }

    fn is(self, value: Value) -> Self {
        self.want(Want::Is(value))
    }

    fn keys(self, keys: &[&'static str]) -> Self {
        self.want(Want::Keys(keys.to_vec()))
    }

    fn at(self, pointer: &'static str, value: Value) -> Self {
        self.want(Want::At(pointer, value))
    }

    fn uuid(self, pointer: &'static str) -> Self {
        self.want(Want::Uuid(pointer))
    }

    fn count(self, rows: usize) -> Self {
        self.want(Want::Count(rows))
    }

    /// A business error: a status with a text of its own.
    fn error(self, status: u16, text: &str) -> Self {
        self.status(status).at("/error", json!(text))
    }

    /// A validation error of a field.
    fn invalid(self, field: &'static str, text: &'static str) -> Self {
        self.status(422).at("/message", json!("The given data was invalid.")).want(Want::Invalid(field, text))
    }
}

impl Want {
    fn is_met(&self, answer: &Answer) -> bool {
        let body = &answer.body;
        match self {
            Self::Is(value) => body == value,
            Self::Keys(keys) => {
                let has = |one: &Value| {
                    let found = one.as_object().map(|object| object.keys().map(String::as_str).collect());
                    found == Some(keys.iter().copied().collect::<BTreeSet<_>>())
                };
                body.as_array().map_or_else(|| has(body), |list| !list.is_empty() && list.iter().all(has))
            }
            Self::At(pointer, value) => body.pointer(pointer) == Some(value),
            Self::Count(rows) => body.as_array().is_some_and(|list| list.len() == *rows),
            Self::Invalid(field, text) => {
                let errors = body["errors"][field].as_array();
                errors.is_some_and(|list| list.iter().any(|one| one.as_str().is_some_and(|one| one.contains(text))))
            }
            Self::Uuid(pointer) => {
                let id = body.pointer(pointer).and_then(Value::as_str);
                id.is_some_and(|id| id.len() == 36 && id.parse::<uuid::Uuid>().is_ok())
            }
            Self::Header(name, value) => {
                answer.header(name).is_some_and(|found| value.is_none_or(|value| found == value))
            }
            Self::Says(text) => body.as_str().map_or_else(|| body.to_string().contains(text), |it| it.contains(text)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Is(value) => format!("is {value}"),
            Self::Keys(keys) => format!("has the keys {keys:?}"),
            Self::At(pointer, value) => format!("has {value} at {pointer}"),
            Self::Count(rows) => format!("has {rows} rows"),
            Self::Invalid(field, text) => format!("says of {field}: {text}"),
            Self::Uuid(pointer) => format!("has a UUID at {pointer}"),
            Self::Header(name, value) => format!("has a header {name}: {value:?}"),
            Self::Says(text) => format!("says {text}"),
        }
    }
}

/// What the rows are about.
struct World {
    flow: String,
    draft: String,
    sequence: String,
    template: String,
    ana: String,
}

impl World {
    async fn make(app: &TestApp) -> Self {
        let id = |body: Value| body["id"].as_str().unwrap().to_owned();
        let flow = app.publish(&question(30)).await.to_string();
        let draft = id(app.post("/flows", &json!({"name": "Draft"})).await.expect(201));
        let mut days = question(30);
        (days["kind"], days["name"]) = (json!("sequence"), json!("Days"));
        let sequence = app.publish(&days).await.to_string();
        let template = json!({"name": "cart", "language": "en", "body": "Hi {{1}}, {{2}} is waiting."});
        app.post("/templates", &template).await.expect(201);
        app.post("/templates", &json!({"name": "away", "language": "en", "body": "Away"})).await.expect(201);
        let listed = app.post("/actions/list-templates", &json!({})).await.expect(200);
        assert_eq!((&listed[0]["name"], &listed[1]["name"]), (&json!("away"), &json!("cart")));
        let template = id(listed[1].clone());
        let ana = json!({"phone": PHONE, "name": "Ana", "email": "ana@shop.example", "tags": "vip, beta",
            "metadata": {"crm": 4711}});
        let ana = id(app.post("/actions/create-contact", &ana).await.expect(201));
        app.say(PHONE, "Hello").await;
        Self { flow, draft, sequence, template, ana }
    }
}

fn post(action: &str, body: Value) -> Ask {
    Ask::new(Method::POST, format!("/api/v1/actions/{action}"), Some(body.to_string()))
}

/// A body without a byte in it, with a media type; or none of both.
fn bodyless(action: &str, body: Option<&str>) -> Ask {
    Ask::new(Method::POST, format!("/api/v1/actions/{action}"), body.map(str::to_owned))
}

fn get(path: &str) -> Ask {
    Ask::new(Method::GET, format!("/api/v1/{path}"), None)
}

fn documented(section: &'static str, fact: &'static str, ask: Ask) -> Row {
    Row { section, fact, is_ours: false, shown: Shown::Here(Box::new(ask)) }
}

fn ours(section: &'static str, fact: &'static str, ask: Ask) -> Row {
    Row { is_ours: true, ..documented(section, fact, ask) }
}

fn told(section: &'static str, fact: &'static str, file: &'static str, test: &'static str) -> Row {
    Row { section, fact, is_ours: false, shown: Shown::There(file, test) }
}

fn ours_told(section: &'static str, fact: &'static str, file: &'static str, test: &'static str) -> Row {
    Row { is_ours: true, ..told(section, fact, file, test) }
}

impl Row {
    /// What is wrong, for people; `None` where nothing is.
    async fn fault(&self, app: &TestApp) -> Option<String> {
        let whose = if self.is_ours { "ours" } else { "documented" };
        let place = format!("{} ({whose}): {}", self.section, self.fact);
        match &self.shown {
            Shown::There(file, test) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
                let code = fs::read_to_string(path).unwrap_or_default();
                let attribute = r"#\[(?:tokio::|actix_web::)?test(?:\([^\]]*\))?\]";
                let test_of_name = format!(r"(?m)^ *{attribute}\n *(?:async )?fn {test}\(\)");
                let is_there = Regex::new(&test_of_name).unwrap().is_match(&code);
                (!is_there).then(|| format!("{place}: {file} has no test {test}"))
            }
            Shown::Here(ask) => {
                let answer = app.request(ask.method.clone(), &ask.path, ask.token.as_deref(), ask.body.clone()).await;
                let mut unmet: Vec<String> =
                    ask.wants.iter().filter(|want| !want.is_met(&answer)).map(Want::text).collect();
                if answer.status.as_u16() != ask.status {
                    unmet.push(format!("has the status {}", ask.status));
                }
                let shown: String = answer.body.to_string().chars().take(300).collect();
                (!unmet.is_empty())
                    .then(|| format!("{place}: not so: {}; it was {} {shown}", unmet.join("; "), answer.status))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_fact_holds() {
    local(async {
        let app = TestApp::start_with(|config| {
            config.limits.requests_per_minute = 6000;
            config.account.name = "Ada".to_owned();
            config.account.email = "ada@shop.example".to_owned();
            config.account.tenant = "Shop".to_owned();
        })
        .await;
        let world = World::make(&app).await;
        let rows: Vec<Row> = [
            conventions::conventions(&world),
            flows::flows(&world),
            flows::sequences(&world),
            contacts::contacts(&world),
            messages::messages(&world),
            messages::webhooks(),
        ]
        .into_iter()
        .flatten()
        .collect();

        let order: Vec<&str> = SECTIONS.into_iter().chain([WEBHOOKS]).collect();
        let mut sections: Vec<&str> = rows.iter().map(|row| row.section).collect();
        sections.dedup();
        assert_eq!(sections, order, "each subject once, in the documentation's order");
        let facts: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.section, row.fact)).collect();
        assert_eq!(facts.len(), rows.len(), "a fact has one row");

        let mut faults = Vec::new();
        for row in &rows {
            faults.extend(row.fault(&app).await);
        }
        assert!(faults.is_empty(), "{} of {} facts do not hold:\n{}", faults.len(), rows.len(), faults.join("\n"));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_by_phone_is_a_consent_unless_there_is_one() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(1)).await;
        let since = async |app: &TestApp| {
            app.post("/actions/get-contact", &json!({"phone": PHONE})).await.expect(200)["opted_in_at"].clone()
        };
        let made = app.post("/actions/create-contact", &json!({"phone": PHONE})).await.expect(201);
        app.advance(60);
        let by_id = json!({"flow_id": flow, "contact_id": made["id"]});
        app.post("/actions/trigger-flow", &by_id).await.expect(201);
        assert_eq!(since(&app).await, Value::Null, "whoever is known by an id was not asked");
        app.advance(60);
        app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(since(&app).await, json!("2026-05-07T08:02:00+00:00"));
        app.advance(60);
        app.trigger(flow, PHONE).await.expect(201);
        assert_eq!(since(&app).await, json!("2026-05-07T08:02:00+00:00"), "the date is the first one's");

        let mut days = question(1);
        (days["kind"], days["name"]) = (json!("sequence"), json!("Days"));
        let days = app.publish(&days).await;
        app.post("/actions/trigger-sequence", &json!({"sequence_id": days, "phone": NEW})).await.expect(201);
        let of_sequence = app.post("/actions/get-contact", &json!({"phone": NEW})).await.expect(200);
        assert_eq!(of_sequence["opted_in_at"], json!("2026-05-07T08:03:00+00:00"));
        app.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tags_are_listed() {
    local(async {
        let app = TestApp::start().await;
        for person in 0..21 {
            let tags: Vec<String> = (0..50).map(|tag| format!("{:04}", person * 50 + tag)).collect();
            let body = json!({"phone": format!("+141555501{person:02}"), "tags": tags.join(",")});
            app.post("/actions/create-contact", &body).await.expect(201);
        }
        let listed = app.post("/actions/list-tags", &json!({})).await.expect(200);
        let names: Vec<&str> = listed.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..1000).map(|tag| format!("{tag:04}")).collect();
        assert_eq!(names, expected, "the first by their names");
        app.stop().await;
    })
    .await;
}
