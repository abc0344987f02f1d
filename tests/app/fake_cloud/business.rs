//! A business for one test: a client of the Cloud API, and a server that takes webhooks and writes them down.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::meta::{FakeCloud, Pacing, Setup, Template, by_hand};

/// When every test begins, in milliseconds.
pub(crate) const START: i64 = 1_778_140_800_000;
/// The person of most tests.
pub(crate) const ANNA: &str = "+4915112345678";

/// A webhook as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) head: String,
    pub(crate) raw: String,
}

impl Arrived {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.raw).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The items of a kind, `messages` or `statuses`, over the whole envelope.
    pub(crate) fn items(&self, kind: &str) -> Vec<Value> {
        let body = self.json();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let changes = list(&body["entry"]).into_iter().flat_map(|entry| list(&entry["changes"]));
        changes.flat_map(|change| list(&change["value"][kind])).collect()
    }
}

/// A fake, a clock that the test moves, and a server for its webhooks.
pub(crate) struct Business {
    pub(crate) cloud: FakeCloud,
    pub(crate) clock: Arc<AtomicI64>,
    client: reqwest::Client,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Business {
    /// Pacing is off; webhooks are delivered at once.
    pub(crate) fn start() -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let (arrived, answers) = (Arc::default(), Arc::default());
        let url = take_webhooks(Arc::clone(&arrived), Arc::clone(&answers));
        let setup = Setup { webhook_url: Some(url), now: by_hand(&clock), pacing: Pacing::OFF, ..Setup::default() };
        let cloud = FakeCloud::start(setup);
        let client = reqwest::Client::builder().timeout(testkit::wait::PATIENCE).build().unwrap();
        Self { cloud, clock, client, arrived, answers }
    }

    pub(crate) fn advance(&self, millis: i64) {
        self.clock.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
    }

    /// Webhooks that have arrived, in order.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// Messages or statuses that have arrived, in order.
    pub(crate) fn items(&self, kind: &str) -> Vec<Value> {
        self.arrived().iter().flat_map(|arrived| arrived.items(kind)).collect()
    }

    /// What the server answers to the next webhooks; 200 when nothing is left.
    pub(crate) fn answer_with(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.cloud.base_url());
        let response = self.client.post(url).bearer_auth("EAAtesttoken").json(body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.cloud.base_url()) };
        let response = self.client.get(url).bearer_auth("EAAtesttoken").send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Sends a message and gives status and body; `messaging_product` and Anna's number are added if missing.
    pub(crate) async fn try_send(&self, message: Value) -> reqwest::Result<(StatusCode, Value)> {
        let mut body = json!({"messaging_product": "whatsapp", "recipient_type": "individual"});
        if message.get("recipient").is_none() {
            body["to"] = ANNA.into();
        }
        for (key, value) in message.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.post("/v26.0/106540352242922/messages", &body).await
    }

    /// Sends a message that has to be accepted, and gives its wamid.
    #[track_caller]
    pub(crate) fn send(&self, message: Value) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let (status, body) = self.try_send(message).await.unwrap();
            assert_eq!(status, 200, "{caller}: {body}");
            body["messages"][0]["id"].as_str().unwrap().to_owned()
        }
    }

    /// Sends a message that has to be refused, and gives the code and the details.
    #[track_caller]
    pub(crate) fn refused(&self, message: Value) -> impl Future<Output = (i64, String)> {
        let caller = std::panic::Location::caller();
        async move {
            let (status, body) = self.try_send(message).await.unwrap();
            assert!(status.is_client_error() || status.is_server_error(), "{caller}: {body}");
            let error = &body["error"];
            (error["code"].as_i64().unwrap(), error["error_data"]["details"].as_str().unwrap().to_owned())
        }
    }

    /// Adds the template of most tests.
    pub(crate) fn add_template(&self) {
        self.cloud.add_template(cart_template());
    }
}

/// The template of most tests: two variables, two quick replies, a button with an address.
pub(crate) fn cart_template() -> Template {
    Template::new("abandoned_cart", "en_US")
        .body("Hi {{1}}, your cart of {{2}} is waiting.")
        .quick_reply("Check out")
        .quick_reply("Not now")
        .url_button("Look", "https://shop.example.com/{{1}}")
}

/// A text message.
pub(crate) fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

/// The template of most tests, filled.
pub(crate) fn template(parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters.iter().map(|text| json!({"type": "text", "text": text})).collect();
    let payload = json!({"type": "payload", "payload": "buy"});
    json!({"type": "template", "template": {
        "name": "abandoned_cart",
        "language": {"code": "en_US"},
        "components": [
            {"type": "body", "parameters": parameters},
            {"type": "button", "sub_type": "quick_reply", "index": "0", "parameters": [payload]},
            {"type": "button", "sub_type": "url", "index": "2", "parameters": [{"type": "text", "text": "cart/7"}]},
        ],
    }})
}

/// A server of a few lines, in its own thread: one request a connection, the body written down, the answer as planned.
fn take_webhooks(arrived: Arc<Mutex<Vec<Arrived>>>, answers: Arc<Mutex<VecDeque<u16>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/webhooks/whatsapp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            let (head, raw) = loop {
                let read = connection.read(&mut buffer).unwrap();
                bytes.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length =
                    head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let challenge = head.split(['&', ' ']).find_map(|pair| pair.strip_prefix("hub.challenge="));
            let knows = head.contains("hub.verify_token=verify%2Dtoken&");
            let (status, body) = match challenge {
                Some(challenge) if knows => (200, challenge.to_owned()),
                Some(_) => (403, String::new()),
                None => {
                    arrived.lock().unwrap().push(Arrived { head: head.clone(), raw });
                    (answers.lock().unwrap().pop_front().unwrap_or(200), "ok".to_owned())
                }
            };
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    url
}
