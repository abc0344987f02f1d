//! Schemathesis, which makes requests out of the description, good ones and bad ones, and compares the answers with it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::process::{Server, question};
use testkit::tools;

const INSTALL: &str = "python3 -m pip install --target target/tools/schemathesis schemathesis==4.32.0 \
                       hypothesis==6.170.15 openapi-spec-validator==0.9.0";
/// This folder, which has the hooks that the configuration names.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docs/openapi");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docs/openapi/schemathesis.toml");
/// What every answer has to withstand.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      negative_data_rejection";
/// All of these but the last, for what takes nothing but a cookie: a cookie that is left out stands in a header of each
/// request all the same.
const CHECKS_OF_ANSWERS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Where the hooks write what each operation was answered, a line for each request.
const ANSWERS: &str = "answers.txt";
/// The admin page's.
const PASSWORD: &str = "correct horse battery";
/// The flow that the description's examples speak of.
const FLOW: &str = "01a20838-5b1f-7be9-86d0-83f43783c82b";

/// Operations that cannot succeed here, in their order: nothing fails on the simulator, it has no templates to fetch, a
/// page that has a password needs none, who has guessed passwords for so long must wait, and Meta sends nothing.
const NEVER: [&str; 6] = [
    "GET /webhooks/whatsapp",
    "POST /admin/password",
    "POST /admin/set-up",
    "POST /messages/{id}/retry",
    "POST /templates/sync",
    "POST /webhooks/whatsapp",
];

/// One run: which operations, under which address and as whom.
struct Run<'a> {
    base: &'a str,
    only: &'a [&'a str],
    without: &'a [&'a str],
    headers: &'a [(&'a str, &'a str)],
    /// What the hooks make things with.
    token: &'a str,
}

impl Run<'_> {
    /// Runs it to its end, and fails on the first thing that was found.
    async fn finds_nothing(self, folder: &Path, server: &Server) {
        self.finds_nothing_by(CHECKS, folder, server).await;
    }

    async fn finds_nothing_by(self, checks: &str, folder: &Path, server: &Server) {
        let mut command = Command::new("python3");
        command
            .args(["-m", "schemathesis.cli", "--config-file", CONFIG, "run", crate::openapi::DESCRIPTION])
            .args(["--url", &server.url(self.base)])
            .args(["--checks", checks, "--continue-on-failure", "--no-color"])
            // The same requests every time, and as many as a change can wait for.
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1"])
            .args(["--generation-database", "none"])
            .env("PYTHONPATH", format!("{}:{HERE}", tools::folder().join("schemathesis").display()))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs([("QYVO_URL", server.url("/api/v1")), ("QYVO_TOKEN", self.token.to_owned())])
            .env("QYVO_ANSWERS", folder.join(ANSWERS))
            .current_dir(folder)
            .stdin(Stdio::null());
        for path in self.only {
            command.args(["--include-path", path]);
        }
        for path in self.without {
            command.args(["--exclude-path", path]);
        }
        for (name, value) in self.headers {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        // The server is another process: nothing here has to go on meanwhile.
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}\n{}", String::from_utf8_lossy(&output.stderr), server.log());
        assert!(text.contains("No issues found") || text.contains(" passed"), "it ran nothing: {text}");
    }
}

/// Logs in on the admin page, and gives its cookie and its CSRF token.
async fn log_in(server: &Server) -> (String, String) {
    let body = json!({"password": PASSWORD, "name": "Ana"});
    let answer = server.client.post(server.url("/api/v1/admin/log-in")).json(&body).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let session: Value = answer.json().await.unwrap();
    (cookie, session["csrf_token"].as_str().unwrap().to_owned())
}

/// A flow, people and templates, so that more than "not found" is answered.
async fn furnish(server: &Server, token: &str) {
    let mut flow = question(60);
    flow["id"] = json!(FLOW);
    flow["name"] = json!("Abandoned cart 30min");
    server.publish(token, &flow).await;
    for number in 0..4 {
        let phone = format!("+1415555012{number}");
        let (status, body) = server.trigger(token, FLOW, &phone).await;
        assert_eq!(status, 201, "{body}");
    }
    server.say(token, "+14155550123", "Tea").await;
    let template = json!({"name": "abandoned_cart", "language": "en", "body": "Hi {{1}}, your cart is waiting."});
    server.send(token, "POST", "/api/v1/templates", &template).await;
    let hook = json!({"url": "https://crm.example.com/hooks/qyvo"});
    server.send(token, "POST", "/api/v1/webhook-endpoints", &hook).await;
}

#[actix_web::test]
async fn what_the_server_answers_is_what_is_described() {
    if !tools::is_there("schemathesis/schemathesis", INSTALL) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        folder.path(),
        &[],
        &[("QYVO_ADMIN_PASSWORD", PASSWORD), ("QYVO_LOG_LEVEL", "warn,qyvo::cli=info")],
    )
    .await;
    let token = server.token("admin");
    furnish(&server, &token).await;
    let (cookie, csrf) = log_in(&server).await;
    let bearer = format!("Bearer {token}");
    let bearer = [("Authorization", bearer.as_str())];
    let log_in = [("Cookie", cookie.as_str()), ("X-CSRF-Token", csrf.as_str())];

    let at_the_root = ["/healthz", "/readyz", "/metrics", "/mcp"];
    // Its answer never ends, and a request is over only when its answer is.
    let endless = ["/events"];
    // It would revoke or rotate the token that it calls with: these come from somebody who is logged in.
    let of_tokens = ["/tokens/{id}", "/tokens/{id}/rotate"];
    let of_people = ["/admin/password", "/admin/log-out"];
    let without = [&at_the_root[..], &endless, &of_tokens, &of_people].concat();
    Run { base: "/api/v1", only: &[], without: &without, headers: &bearer, token: &token }
        .finds_nothing(folder.path(), &server)
        .await;
    Run { base: "", only: &at_the_root, without: &[], headers: &bearer, token: &token }
        .finds_nothing(folder.path(), &server)
        .await;
    let only = ["/tokens", "/tokens/{id}", "/tokens/{id}/rotate"];
    Run { base: "/api/v1", only: &only, without: &[], headers: &log_in, token: &token }
        .finds_nothing(folder.path(), &server)
        .await;

    // The connections of the other client have died of waiting.
    let client = reqwest::Client::new();
    let answer = client.get(server.url("/api/v1/tokens")).header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "it locked itself out, and what it was answered says little");
    let [password, log_out] = of_people;
    for (only, checks) in [(password, CHECKS), (log_out, CHECKS_OF_ANSWERS)] {
        let run = Run { base: "/api/v1", only: &[only], without: &[], headers: &log_in, token: &token };
        run.finds_nothing_by(checks, folder.path(), &server).await;
    }

    let answers = std::fs::read_to_string(folder.path().join(ANSWERS)).unwrap();
    let answers: Vec<(&str, &str)> = answers.lines().map(|line| line.rsplit_once(' ').unwrap()).collect();
    let operations: BTreeSet<&str> = answers.iter().map(|(operation, _)| *operation).collect();
    let succeeded: BTreeSet<&str> =
        answers.iter().filter(|(_, status)| status.starts_with('2')).map(|(operation, _)| *operation).collect();
    assert!(operations.len() > 80, "{operations:?}");
    let never: Vec<&&str> = operations.difference(&succeeded).collect();
    assert_eq!(never, NEVER.iter().collect::<Vec<_>>(), "operations that were never seen to succeed");
}
