//! The real binary as a child process, on a folder of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::wait::{PATIENCE, until};

/// A server, killed when dropped.
pub struct Server {
    /// A client without a token of its own.
    pub client: reqwest::Client,
    folder: PathBuf,
    port: u16,
    child: Child,
}

fn binary(folder: &Path) -> Command {
    // Cargo sets it for integration tests, and only these have it when they are compiled.
    let program = std::env::var_os("CARGO_BIN_EXE_qyvo").expect("cargo names the program that is tested");
    let mut command = Command::new(program);
    // Nothing of the machine's own settings reaches a test.
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// Starts a server on a port that the system chooses: one that a test chose might be another's by then.
fn spawn(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    let log = std::fs::File::create(folder.join("server.log")).unwrap();
    binary(folder)
        .args(["serve", "--bind", "127.0.0.1:0"])
        .args(arguments)
        .env("QYVO_LIMITS_REQUESTS_PER_MINUTE", "0")
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Server {
    /// Starts it on a folder, with more arguments.
    pub async fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, arguments, &[]).await
    }

    /// Starts it with more in its environment, which a restart forgets.
    pub async fn start_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let child = spawn(folder, arguments, environment);
        // The client has no cryptography of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let mut server = Self { client, folder: folder.to_owned(), port: 0, child };
        server.wait().await;
        server
    }

    /// Starts it again on the same file.
    pub async fn restart(&mut self, arguments: &[&str]) {
        self.restart_with(arguments, &[]).await;
    }

    /// The same with variables in its environment.
    pub async fn restart_with(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        self.port = 0;
        self.child = spawn(&self.folder, arguments, environment);
        self.client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        self.wait().await;
    }

    /// Waits until it is ready.
    async fn wait(&mut self) {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.port == 0 {
                self.port = port_in(&self.log()).unwrap_or(0);
            } else if self
                .client
                .get(self.url("/readyz"))
                .send()
                .await
                .is_ok_and(|response| response.status().is_success())
            {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it stopped: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not answer: {}", self.log());
    }

    /// What it has logged since it was started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub async fn wait_until_dead(&mut self) {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "it lives: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it has ended by itself, and gives its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        self.wait_until_dead().await;
        self.child.wait().unwrap().code()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Another command on the same folder.
    pub fn command(&self, arguments: &[&str]) -> Output {
        command(&self.folder, arguments)
    }

    /// A fresh token, once the server knows it.
    pub fn token(&self, scope: &str) -> String {
        let made = self.command(&["token", "create", "--name", "test", "--scope", scope]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// Publishes a document; waits until the server knows the token.
    pub async fn publish(&self, token: &str, document: &Value) -> String {
        let mut published = None;
        until("the server to learn of the token", async || {
            let path = "/api/v1/flows/import?publish=true&accept=unreachable_node";
            let request = self.client.post(self.url(path)).bearer_auth(token).json(document);
            let response = request.send().await.unwrap();
            if response.status() == 401 {
                return false;
            }
            published = Some(response.json::<Value>().await.unwrap());
            true
        })
        .await;
        let published = published.unwrap();
        published["id"].as_str().unwrap_or_else(|| panic!("{published}")).to_owned()
    }

    /// Triggers a flow for a phone number; gives the status and the body.
    pub async fn trigger(&self, token: &str, flow: &str, phone: &str) -> (u16, Value) {
        self.trigger_with(token, flow, phone, json!({})).await
    }

    /// The same with a context.
    pub async fn trigger_with(&self, token: &str, flow: &str, phone: &str, context: Value) -> (u16, Value) {
        let body = json!({"flow_id": flow, "phone": phone, "context": context});
        let request = self.client.post(self.url("/api/v1/actions/trigger-flow")).bearer_auth(token).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Any request with a body, which must succeed.
    pub async fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, self.url(path)).bearer_auth(token).json(body);
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A text from a phone, under a fresh id.
    pub async fn say(&self, token: &str, phone: &str, text: &str) -> Value {
        let body = json!({"id": Uuid::now_v7(), "from": phone, "type": "text", "text": text});
        let request = self.client.post(self.url("/api/v1/inbound")).bearer_auth(token).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Reads a path, whatever its status.
    pub async fn get(&self, token: &str, path: &str) -> Value {
        self.client.get(self.url(path)).bearer_auth(token).send().await.unwrap().json().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session that a caller was told of.
#[derive(Debug, Clone)]
pub struct Begun {
    /// When the answer had come.
    pub at: Instant,
    /// The contact's phone number.
    pub phone: String,
    /// The session's id.
    pub id: String,
}

/// Callers that trigger a flow for one new person after another until the server is gone.
pub struct Callers {
    begun: Arc<Mutex<Vec<Begun>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Callers {
    /// Starts so many callers.
    pub fn start(server: &Server, token: &str, flow: &str, callers: usize) -> Self {
        // Other people each time, because a server may be loaded twice.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let begun: Arc<Mutex<Vec<Begun>>> = Arc::default();
        let call = |_| {
            let (begun, token, flow) = (begun.clone(), token.to_owned(), flow.to_owned());
            let (url, client) = (server.url("/api/v1/actions/trigger-flow"), server.client.clone());
            tokio::spawn(async move {
                loop {
                    let phone = format!("+1415{:07}", NEXT.fetch_add(1, Ordering::Relaxed));
                    let body = json!({"flow_id": flow, "phone": phone});
                    let Ok(answer) = client.post(&url).bearer_auth(&token).json(&body).send().await else { return };
                    let status = answer.status().as_u16();
                    let Ok(body) = answer.json::<Value>().await else { return };
                    match status {
                        201 => {
                            let id = body["id"].as_str().unwrap().to_owned();
                            begun.lock().unwrap().push(Begun { at: Instant::now(), phone, id });
                        }
                        503 => {}
                        other => panic!("{other}: {body}"),
                    }
                }
            })
        };
        Self { tasks: (0..callers).map(call).collect(), begun }
    }

    /// Waits until so many sessions have begun.
    pub async fn until(&self, sessions: usize) {
        until("the sessions to begin", async || self.begun.lock().unwrap().len() >= sessions).await;
    }

    /// What it has answered by now.
    pub fn begun(&self) -> Vec<Begun> {
        self.begun.lock().unwrap().clone()
    }

    /// Waits until the server is gone, and gives what it has answered.
    pub async fn end(self) -> Vec<Begun> {
        for task in self.tasks {
            task.await.unwrap();
        }
        self.begun.lock().unwrap().clone()
    }
}

/// The port that a server says in its log that it listens on.
fn port_in(log: &str) -> Option<u16> {
    let (_, address) = log.split_once("listening on http://")?;
    // A line that has no end yet may lack digits.
    address.split_once('\n')?.0.trim().rsplit_once(':')?.1.parse().ok()
}

/// Runs a command to its end in a folder.
pub fn command(folder: &Path, arguments: &[&str]) -> Output {
    binary(folder).args(arguments).output().unwrap()
}

/// Starts a command in a folder; its standard error is a pipe.
pub fn begin(folder: &Path, arguments: &[&str]) -> Child {
    binary(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a command to its end with something on its standard input.
pub fn command_with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = binary(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that is refused does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A flow that asks one question, with a time to live.
pub fn question(ttl_minutes: u32) -> Value {
    json!({
        "schema_version": 1, "name": "Question", "entry_node": "ask", "settings": {"session_ttl_minutes": ttl_minutes},
        "nodes": [
            {"id": "ask", "type": "menu", "text": "Tea or coffee?",
             "options": [{"id": "tea", "title": "Tea"}, {"id": "coffee", "title": "Coffee"}],
             "exits": {"tea": "good", "coffee": "good"}},
            {"id": "good", "type": "end", "outcome": "answered", "text": "Coming up"}
        ]
    })
}
