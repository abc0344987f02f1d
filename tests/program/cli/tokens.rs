//! `qyvo token rotate` beside a server that runs.

use testkit::process::Server;
use testkit::wait::until;

use crate::cli::{out, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_is_taken_at_once_and_the_old_one_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let first = server.token("admin");
    let status = async |token: &str| {
        let request = server.client.get(server.url("/api/v1/tokens")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let list = || out(&server.command(&["token", "list"]));
    let id = list().split_whitespace().next().unwrap().to_owned();
    let rotate = |rest: &[&str]| server.command(&[&["token", "rotate", &id], rest].concat());

    let second = out(&rotate(&["--grace", "1h"])).trim().to_owned();
    assert!(second.starts_with("qyvo_") && !second.contains(char::is_whitespace), "the token alone: {second}");
    until("the new secret to be taken", async || status(&second).await == 200).await;
    assert_eq!(status(&first).await, 200, "as long as the grace");
    assert!(list().contains("live, old secret until "));

    let third = out(&rotate(&[])).trim().to_owned();
    until("the old secrets to be refused", async || status(&second).await == 401 && status(&first).await == 401).await;
    until("the new secret to be taken", async || status(&third).await == 200).await;
    assert!(!list().contains("old secret"));

    assert!(refused(&rotate(&["--grace", "31d"])).contains("30 days"));
    assert!(refused(&server.command(&["token", "rotate", "x"])).contains("qyvo token list"));
    out(&server.command(&["token", "revoke", &id]));
    assert!(refused(&rotate(&[])).contains("no live token"));
}
