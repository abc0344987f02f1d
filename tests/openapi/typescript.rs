//! A client in TypeScript that is generated from the description, compiled strictly, and used on the running server.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Server, question};
use crate::tools;

const INSTALL: &str = "npm install --prefix target/tools/typescript --no-save openapi-typescript@7.13.0 \
                       openapi-fetch@0.17.0 typescript@5.9.3 @types/node@20";
const README: &str = include_str!("../../README.md");
/// What the README tells people to type behind the description's address.
const ARGUMENTS: &str = "-o qyvo.d.ts --default-non-nullable false";

/// Runs a script of Node's to its end, which must be a good one, and gives what it printed.
fn node(folder: &Path, script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("node");
    command.current_dir(folder).arg(script).args(arguments).envs(environment.iter().copied());
    let output = command.output().expect("node is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[actix_web::test]
async fn a_generated_client_compiles_and_triggers_a_flow() {
    if !tools::is_there("typescript/node_modules/openapi-typescript", INSTALL) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/typescript");
    for file in fs::read_dir(sources).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    symlink(tools::folder().join("typescript/node_modules"), folder.path().join("node_modules")).unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let token = server.token("api");
    let admin = server.token("admin");
    let flow = server.publish(&admin, &question(60)).await;

    assert!(README.contains(&format!("/api/v1/openapi.yaml {ARGUMENTS}\n")), "the README has another command");
    let description = server.url("/api/v1/openapi.yaml");
    let arguments: Vec<&str> = std::iter::once(description.as_str()).chain(ARGUMENTS.split(' ')).collect();
    node(folder.path(), "node_modules/openapi-typescript/bin/cli.js", &arguments, &[]);
    let (_, sample) = README.split_once("<!-- sample: typescript -->\n```typescript\n").unwrap();
    fs::write(folder.path().join("trigger.ts"), sample.split_once("\n```").unwrap().0).unwrap();
    node(folder.path(), "node_modules/typescript/bin/tsc", &["-p", "."], &[]);

    let base = server.url("");
    let environment = [("QYVO_URL", base.as_str()), ("QYVO_TOKEN", &token), ("QYVO_FLOW_ID", &flow)];
    let printed: Value = serde_json::from_str(&node(folder.path(), "trigger.js", &[], &environment)).unwrap();
    assert_eq!(printed["status"], json!("started"));
    let session = server.get(&admin, &format!("/api/v1/sessions/{}", printed["id"].as_str().unwrap())).await;
    assert_eq!((&session["flow_id"], &session["context"]["cart_total"]), (&json!(flow), &json!("129.00")), "{session}");
    // The same key: what is answered is the first answer, and nothing has started.
    let again: Value = serde_json::from_str(&node(folder.path(), "trigger.js", &[], &environment)).unwrap();
    assert_eq!(again, printed);
    let sessions = server.get(&admin, "/api/v1/sessions").await;
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "{sessions}");
}
