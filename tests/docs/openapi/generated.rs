//! What the tests of generated clients share: a server with a published flow, a folder, and what must come of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::process::{Server, question};
use testkit::tools;

/// A client that is being made.
pub(crate) struct Workshop {
    pub(crate) folder: TempDir,
    pub(crate) server: Server,
    token: String,
    admin: String,
    flow: String,
}

impl Workshop {
    /// Starts a server, and copies the files of `tests/clients/<name>`. Packages are those of
    /// `target/tools/<packages>`.
    pub(crate) async fn open(name: &str, packages: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        symlink(tools::folder().join(packages).join("node_modules"), folder.path().join("node_modules")).unwrap();
        let server = Server::start(folder.path(), &[]).await;
        let (token, admin) = (server.token("api"), server.token("admin"));
        let flow = server.publish(&admin, &question(60)).await;
        Self { folder, server, token, admin, flow }
    }

    /// Where the description is.
    pub(crate) fn description(&self) -> String {
        self.server.url("/api/v1/openapi.yaml")
    }

    /// Runs a program in the folder to its end, which must be a good one, and gives what it printed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let generators = tools::folder().join("generators");
        let path = format!("{}:{}", generators.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path());
        command.env("PYTHONPATH", generators).env("PYTHONDONTWRITEBYTECODE", "1").env("PATH", path);
        command.env("QYVO_URL", self.server.url("")).env("QYVO_TOKEN", &self.token).env("QYVO_FLOW_ID", &self.flow);
        let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {text}{errors}");
        text
    }

    /// Runs the client twice, each time under the same key: it must have triggered the flow once, and say so twice.
    pub(crate) async fn triggers_once(&self, program: &str, arguments: &[&str]) {
        let printed: Value = serde_json::from_str(&self.run(program, arguments)).unwrap();
        assert_eq!(printed["status"], json!("started"));
        let path = format!("/api/v1/sessions/{}", printed["id"].as_str().unwrap());
        let session = self.server.get(&self.admin, &path).await;
        let seen = (&session["flow_id"], &session["context"]["cart_total"]);
        assert_eq!(seen, (&json!(self.flow), &json!("129.00")), "{session}");
        let again: Value = serde_json::from_str(&self.run(program, arguments)).unwrap();
        assert_eq!(again, printed);
        let sessions = self.server.get(&self.admin, "/api/v1/sessions").await;
        assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "{sessions}");
    }
}
