//! A client in TypeScript that is generated from the description, compiled strictly, and used on the running server.

use std::fs;

use crate::openapi::generated::Workshop;
use testkit::tools;

const INSTALL: &str = "npm install --prefix target/tools/typescript --no-save openapi-typescript@7.13.0 \
                       openapi-fetch@0.17.0 typescript@5.9.3 @types/node@20";
const PAGE: &str = include_str!("../../../docs/api.md");
/// What docs/api.md tells people to type behind the description's address.
const ARGUMENTS: &str = "-o qyvo.d.ts --default-non-nullable false";

#[actix_web::test]
async fn a_generated_client_compiles_and_triggers_a_flow() {
    if !tools::is_there("typescript/node_modules/openapi-typescript", INSTALL) {
        return;
    }
    let workshop = Workshop::open("typescript", "typescript").await;
    assert!(PAGE.contains(&format!("/api/v1/openapi.yaml {ARGUMENTS}\n")), "docs/api.md has another command");
    let description = workshop.description();
    let mut arguments = vec!["node_modules/openapi-typescript/bin/cli.js", description.as_str()];
    arguments.extend(ARGUMENTS.split(' '));
    workshop.run("node", &arguments);
    let (_, sample) = PAGE.split_once("<!-- sample: typescript -->\n```typescript\n").unwrap();
    fs::write(workshop.folder.path().join("trigger.ts"), sample.split_once("\n```").unwrap().0).unwrap();
    workshop.run("node", &["node_modules/typescript/bin/tsc", "-p", "."]);
    workshop.triggers_once("node", &["trigger.js"]).await;
}
