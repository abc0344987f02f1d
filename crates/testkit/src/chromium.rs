//! A browser on one page: what a person would do with it, what it looks like, and what it complains of.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tools::{self, skip};
use crate::wait::PATIENCE;

/// Chromium, driven by its own driver; both end when it is dropped.
pub struct Browser {
    client: Client,
    driver: Child,
    base: String,
    http: reqwest::Client,
    axe: String,
    profile: TempDir,
}

/// The programs that are needed, or why the tests cannot run.
fn find(names: &[&str]) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = || std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    all().find(|file| file.is_file()).ok_or_else(|| format!("{} is not installed", names[0]))
}

/// The accessibility checker's script.
fn find_axe() -> Result<String, String> {
    let file = std::env::var_os("QYVO_AXE")
        .map_or_else(|| tools::folder().join("node_modules/axe-core/axe.min.js"), PathBuf::from);
    std::fs::read_to_string(&file).map_err(|_| {
        "axe-core is not installed: run npm install --prefix target/tools --no-save axe-core, \
         or name axe.min.js in QYVO_AXE"
            .to_owned()
    })
}

impl Browser {
    /// Starts a browser; `None` says loudly that there is none.
    pub async fn start() -> Option<Self> {
        let found = find(&["chromium", "chromium-browser", "google-chrome"])
            .and_then(|chromium| Ok((chromium, find(&["chromedriver"])?, find_axe()?)));
        match found {
            Ok((chromium, driver, axe)) => Some(Self::start_with(chromium, driver, axe).await),
            Err(missing) => {
                skip(&format!("the admin page was not tried in a browser, because {missing}"));
                None
            }
        }
    }

    async fn start_with(chromium: PathBuf, driver: PathBuf, axe: String) -> Self {
        // The client has no cryptography of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver)
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok())
            .expect("the driver tells its port");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // Another host than this machine, which browsers trust also without https.
            "--host-resolver-rules=MAP box.test 127.0.0.1",
            "--window-size=1440,1000",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let base = format!("http://127.0.0.1:{port}");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&base)
            .await
            .unwrap();
        Self { client, driver, base, http: reqwest::Client::new(), axe, profile }
    }

    /// Ends the browser in good order.
    pub async fn close(mut self) {
        self.client.clone().close().await.unwrap();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Asks the driver for what the protocol's own commands do not give.
    async fn ask(&self, what: &str, body: Value) -> Value {
        let session = self.client.session_id().await.unwrap().expect("a session");
        let url = format!("{}/session/{session}/{what}", self.base);
        let answer: Value = self.http.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        answer["value"].clone()
    }

    async fn emulate(&self, command: &str, parameters: Value) {
        self.ask("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await;
    }

    /// What the console has said since it was last asked, warnings and errors only.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.ask("se/log", json!({"type": "browser"})).await;
        let loud = |entry: &&Value| ["WARNING", "SEVERE"].contains(&entry["level"].as_str().unwrap_or_default());
        let texts = entries.as_array().unwrap().iter().filter(loud);
        texts.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The first visible element with a test id, once it is there.
    pub async fn find(&self, testid: &str) -> Element {
        let selector = format!("[data-testid=\"{testid}\"]");
        let started = Instant::now();
        loop {
            for element in self.client.find_all(Locator::Css(&selector)).await.unwrap() {
                if element.is_displayed().await.unwrap_or(false) {
                    return element;
                }
            }
            if started.elapsed() > PATIENCE {
                panic!("nothing on the page has the test id {selector}; it says: {}", self.text().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks what has this `data-testid`.
    pub async fn click(&self, testid: &str) {
        let started = Instant::now();
        loop {
            match self.find(testid).await.click().await {
                Ok(()) => return,
                // It was drawn anew in between, or something still covers it.
                Err(_) if started.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{testid} cannot be clicked: {error}"),
            }
        }
    }

    /// Clicks the first visible button or link with this very label.
    pub async fn click_label(&self, label: &str) {
        let started = Instant::now();
        let path = format!("//*[self::button or self::a or self::summary][normalize-space()='{label}']");
        loop {
            for element in self.client.find_all(Locator::XPath(&path)).await.unwrap() {
                if element.is_displayed().await.unwrap_or(false) && element.click().await.is_ok() {
                    return;
                }
            }
            if started.elapsed() > PATIENCE {
                panic!("nothing on the page is called {label:?}; it says: {}", self.text().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks what has a test id within the element of another test id that says something.
    pub async fn click_in(&self, container: &str, wanted: &str, testid: &str) {
        let script = format!(
            "const rows = [...document.querySelectorAll('[data-testid=\"{container}\"]')];
             rows.find((row) => row.innerText.includes('{wanted}'))
                 .querySelector('[data-testid=\"{testid}\"]').click();"
        );
        self.run(&script).await;
    }

    /// Types into a field that may have a text.
    pub async fn fill(&self, testid: &str, text: &str) {
        let field = self.find(testid).await;
        let _ = field.clear().await;
        field.send_keys(text).await.unwrap();
    }

    /// Presses Enter where the focus is, as somebody does who does not read.
    pub async fn press_enter(&self) {
        self.client.active_element().await.unwrap().send_keys("\u{e007}").await.unwrap();
    }

    /// Chooses a file or an option by its raw value.
    pub async fn choose_file(&self, testid: &str, path: &str) {
        let selector = format!("[data-testid=\"{testid}\"]");
        self.client.find(Locator::Css(&selector)).await.unwrap().send_keys(path).await.unwrap();
    }

    /// Replaces the text of an editor at once, as pasting does.
    pub async fn paste(&self, testid: &str, text: &str) {
        let field = serde_json::to_value(self.find(testid).await).unwrap();
        let script = "arguments[0].focus(); arguments[0].value = arguments[1];
                      arguments[0].dispatchEvent(new InputEvent('input', {bubbles: true}));";
        self.client.execute(script, vec![field, json!(text)]).await.unwrap();
    }

    /// What a field holds.
    pub async fn value(&self, testid: &str) -> String {
        self.find(testid).await.prop("value").await.unwrap().unwrap_or_default()
    }

    /// Runs a script on the page and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// All that the page says.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page has stopped changing: what it says and what it has loaded are the same at several looks.
    pub async fn settle(&self) {
        let look =
            "return document.readyState + performance.getEntriesByType('resource').length + document.body.innerText";
        let (mut before, mut unchanged) = (Value::Null, 0);
        while unchanged < 4 {
            tokio::time::sleep(Duration::from_millis(75)).await;
            let now = self.run(look).await;
            unchanged = if now == before { unchanged + 1 } else { 0 };
            before = now;
        }
    }

    /// Waits until the page says something.
    pub async fn says(&self, wanted: &str) {
        let started = Instant::now();
        loop {
            let text = self.text().await;
            if text.contains(wanted) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the page never says {wanted:?}; it says: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Looks at the view in four ways: screenshots are kept, and each is checked for accessibility and for what
    /// does not fit the width.
    pub async fn look(&self, name: &str) {
        self.look_at(name, true).await;
    }

    /// The same without the check of accessibility, for a page that others have drawn.
    pub async fn look_at_foreign(&self, name: &str) {
        self.look_at(name, false).await;
    }

    async fn look_at(&self, name: &str, is_ours: bool) {
        let folder = crate::root().join("target/tmp/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        for (device, width, height) in [("desktop", 1440, 1000), ("phone", 390, 844)] {
            let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
            self.emulate("Emulation.setDeviceMetricsOverride", size).await;
            for scheme in ["light", "dark"] {
                let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme},
                                                   {"name": "prefers-reduced-motion", "value": "reduce"}]});
                self.emulate("Emulation.setEmulatedMedia", features).await;
                tokio::time::sleep(Duration::from_millis(150)).await;
                let image = self.client.screenshot().await.unwrap();
                std::fs::write(folder.join(format!("{name}-{device}-{scheme}.png")), image).unwrap();
                if is_ours {
                    self.check_accessibility(&format!("{name}, {device}, {scheme}")).await;
                }
            }
            let wider = self.run("return document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(wider.as_f64().unwrap() <= 1.0, "{name} on a {device} is {wider} pixels too wide");
        }
        self.emulate("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.emulate("Emulation.setEmulatedMedia", json!({"features": []})).await;
    }

    async fn check_accessibility(&self, what: &str) {
        let has_axe = self.run("return typeof axe === 'object'").await;
        if has_axe != json!(true) {
            // Strict mode would keep the script's own name to itself.
            self.client.execute(&format!("{}; window.axe = axe;", self.axe), Vec::new()).await.unwrap();
        }
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ['violations']}).then(
                (result) => done(result.violations.map((one) => ({id: one.id, impact: one.impact, help: one.help,
                    nodes: one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))}))),
                (error) => done(String(error)));";
        let found = self.client.execute_async(script, Vec::new()).await.unwrap();
        let is_serious = |one: &&Value| ["serious", "critical"].contains(&one["impact"].as_str().unwrap_or_default());
        let serious: Vec<&Value> =
            found.as_array().unwrap_or_else(|| panic!("{found}")).iter().filter(is_serious).collect();
        assert!(serious.is_empty(), "{what}: {serious:#?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver alone would leave its browser behind when a test fails.
        let profile = self.profile.path().display().to_string();
        let _ = Command::new("pkill").args(["-KILL", "-f", &profile]).status();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
