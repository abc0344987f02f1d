//! Posts webhooks. It runs on the fake's own thread and is the only one that calls the server under test.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::sync::{mpsc, oneshot};

use super::cloud::Shared;
use super::state::State;
use super::webhooks::{Parcel, Posted, sign};
use crate::wait::PATIENCE;

/// What a test asks of it.
pub(super) enum Command {
    /// Post what is due, even what is held.
    Deliver(oneshot::Sender<Vec<Posted>>),
    /// Post this body with this signature, or none.
    PostRaw { body: Vec<u8>, signature: Option<String>, answer: oneshot::Sender<(u16, String)> },
    /// Ask for the challenge with this token; `None` stands for the right one.
    Verify { mode: String, token: Option<String>, challenge: String, answer: oneshot::Sender<(u16, String)> },
}

/// Runs until the fake is dropped.
pub(super) async fn run(shared: std::sync::Arc<Shared>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(command) => obey(&shared, &client, command).await,
            },
            () = shared.wake.notified() => deliver_at_once(&shared, &client).await,
            // What falls due by a clock that somebody moves is not announced.
            () = tokio::time::sleep(Duration::from_millis(20)) => deliver_at_once(&shared, &client).await,
        }
    }
}

async fn deliver_at_once(shared: &Shared, client: &reqwest::Client) {
    let is_wanted = shared.read(|state| !state.delivery.held && state.has_due(state.now()));
    if is_wanted {
        deliver(shared, client).await;
    }
}

async fn obey(shared: &Shared, client: &reqwest::Client, command: Command) {
    // Whoever asked may have gone, which is no concern here.
    match command {
        Command::Deliver(answer) => {
            let _ = answer.send(deliver(shared, client).await);
        }
        Command::PostRaw { body, signature, answer } => {
            let _ = answer.send(post(&url(shared), client, body, signature.as_deref()).await.unwrap_or_default());
        }
        Command::Verify { mode, token, challenge, answer } => {
            let token = token.unwrap_or_else(|| shared.read(|state| state.setup.verify_token.clone()));
            let query = [("hub.mode", mode), ("hub.verify_token", token), ("hub.challenge", challenge)];
            let query: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", percent(value))).collect();
            let response = client.get(format!("{}?{}", url(shared), query.join("&"))).send().await;
            let _ = answer.send(read(response).await.unwrap_or_default());
        }
    }
}

async fn deliver(shared: &Shared, client: &reqwest::Client) -> Vec<Posted> {
    let prepared = shared.change_quietly(|state: &mut State| {
        let url = state.webhook_url.clone()?;
        Some((url, state.setup.app_secret.clone(), state.delivery.parallel.max(1), state.take_due(state.now())))
    });
    let Some((url, secret, parallel, parcels)) = prepared else { return Vec::new() };
    let (url, secret) = (&url, &secret);
    stream::iter(parcels)
        .map(|parcel| async move {
            let signature = sign(secret, parcel.body.as_bytes());
            let answered = post(url, client, parcel.body.clone().into_bytes(), Some(&signature)).await;
            record(shared, parcel, answered)
        })
        .buffered(parallel)
        .collect()
        .await
}

/// Writes down what came back, and plans the repetition if it was not 200.
fn record(shared: &Shared, parcel: Parcel, answered: Option<(u16, String)>) -> Posted {
    shared.change(|state| {
        let now = state.now();
        let (status, answer) = answered.map_or((None, String::new()), |(status, answer)| (Some(status), answer));
        let posted = Posted { at: now, body: parcel.body.clone(), attempt: parcel.attempt, status, answer };
        if status != Some(200)
            && let Some(pause) = state.delivery.falling.get(parcel.attempt)
        {
            state.again.push(Parcel { attempt: parcel.attempt + 1, due_at: now + pause, ..parcel });
        }
        state.posted.push(posted.clone());
        posted
    })
}

fn url(shared: &Shared) -> String {
    shared.read(|state| state.webhook_url.clone()).expect("the fake has no webhook_url")
}

/// Status and body of the answer; `None` without one.
async fn post(url: &str, client: &reqwest::Client, body: Vec<u8>, signature: Option<&str>) -> Option<(u16, String)> {
    let mut request =
        client.post(url).header("Content-Type", "application/json").header("User-Agent", "facebookexternalua");
    if let Some(signature) = signature {
        request = request.header("X-Hub-Signature-256", signature);
    }
    read(request.body(body).send().await).await
}

async fn read(response: reqwest::Result<reqwest::Response>) -> Option<(u16, String)> {
    let response = response.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

/// Everything but letters and digits as `%XX`.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
