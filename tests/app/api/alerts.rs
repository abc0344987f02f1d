//! Each alert of `ops/alerts.yaml`, by its cause: the cause is made true in a real server, `/metrics` is scraped before
//! and after, and Prometheus's own tool evaluates the rules over series of these values. So nothing between the cause
//! and the alert is taken on trust: not the metric, not its labels, not the expression.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use futures::future::join_all;
use qyvo::config::Config;
use qyvo::metrics::Metric;
use qyvo::store::Store;
use serde_json::{Value, json};
use testkit::app::{PHONE, TestApp, local, question};
use testkit::site::Site;
use testkit::tools;
use testkit::wait::until;

use super::metrics::scrape;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ops/alerts.yaml");
const INSTALL: &str = "promtool is missing: install Debian's package prometheus";

/// A scrape: each series, with its labels, and its value. Without a text the server could not be scraped.
struct Scrape(BTreeMap<String, String>);

impl Scrape {
    fn of(text: Option<&str>) -> Self {
        let lines = text.into_iter().flat_map(str::lines).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut series: BTreeMap<String, String> = lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let comma = if labels == "}" { "" } else { "," };
                (format!(r#"{name}{{job="qyvo",instance="test"{comma}{labels}"#), value.to_owned())
            })
            .filter(|(_, value)| value.parse::<f64>().unwrap().is_finite())
            .collect();
        series.insert(r#"up{job="qyvo",instance="test"}"#.to_owned(), u8::from(text.is_some()).to_string());
        Self(series)
    }

    async fn take(app: &TestApp) -> Self {
        Self::of(Some(&scrape(app).await))
    }
}

/// Asserts that an alert is silent while the values are those of the first scrapes, half an hour each, and fires while
/// they are those of the last one.
fn fires(alert: &str, scrapes: &[Scrape]) {
    if Command::new("promtool").arg("--version").output().is_err() {
        return tools::skip(INSTALL);
    }
    const MINUTES: usize = 30;
    let (last, earlier) = (scrapes.len() - 1, (scrapes.len() - 1) * MINUTES);
    let names: BTreeMap<&String, ()> = scrapes.iter().flat_map(|scrape| scrape.0.keys()).map(|it| (it, ())).collect();
    let mut test = format!("rule_files: [{RULES}]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n");
    for name in names.keys() {
        let of = |(index, scrape): (usize, &Scrape)| {
            // The last goes on for as long as the longest `for`.
            let more = if index == last { 4 * MINUTES } else { MINUTES } - 1;
            scrape.0.get(*name).map_or_else(|| format!("_x{}", more + 1), |value| format!("{value}+0x{more}"))
        };
        let values: Vec<String> = scrapes.iter().enumerate().map(of).collect();
        writeln!(test, "  - series: '{name}'\n    values: '{}'", values.join(" ")).unwrap();
    }
    // Any moment counts: what is counted in a window is over once the window is.
    let fired = |from: usize, to: usize| {
        format!(r#"max(max_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[{}m:1m]))"#, to - from)
    };
    writeln!(
        test,
        "  promql_expr_test:\n  - expr: '{}'\n    eval_time: {}m\n    exp_samples: []\n  - expr: '{}'\n    \
         eval_time: {}m\n    exp_samples: [{{labels: '{{}}', value: 1}}]",
        fired(0, earlier),
        earlier - 1,
        fired(0, 4 * MINUTES - 2),
        earlier + 4 * MINUTES - 2,
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yaml");
    std::fs::write(&path, &test).unwrap();
    let output = Command::new("promtool").args(["test", "rules"]).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{alert}: {text}\n{test}");
}

/// Scrapes, makes a cause true, and scrapes again: the alert fires for it.
async fn fires_after(alert: &str, app: &TestApp, cause: impl AsyncFnOnce()) {
    let before = Scrape::take(app).await;
    cause().await;
    fires(alert, &[before, Scrape::take(app).await]);
}

/// An address of this machine at which nothing answers.
fn nowhere() -> String {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}/")
}

/// Messages go to a URL.
fn over_webhook(url: String) -> impl FnOnce(&mut Config) {
    move |config| {
        config.webhook.url = url;
        config.webhook.secret = "a-secret".to_owned().into();
    }
}

#[test]
fn the_rules_are_rules() {
    match Command::new("promtool").args(["check", "rules", RULES]).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => tools::skip(INSTALL),
    }
}

#[test]
fn every_alert_is_fired_here() {
    const THIS: &str = include_str!("alerts.rs");
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(RULES).unwrap()).unwrap();
    let alerts = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(alerts.len() >= 15);
    for alert in alerts {
        let alert = alert["alert"].as_str().unwrap();
        let is_fired = ["fires(", "fires_after("].iter().any(|call| THIS.contains(&format!("{call}\"{alert}\"")));
        assert!(is_fired, "{alert} is fired by no test");
    }
}

#[actix_web::test]
async fn a_server_that_is_gone_or_takes_no_writes() {
    local(async {
        let app = TestApp::start().await;
        let before = Scrape::take(&app).await;
        app.runtime.store().close();
        let closed = Scrape::take(&app).await;
        fires("QyvoNotReady", &[before, closed]);
        let flow = json!({"flow_id": "01a20838-5b1f-7be9-86d0-83f43783c82b", "phone": PHONE});
        let app = TestApp::start().await;
        let calm = Scrape::take(&app).await;
        app.runtime.store().close();
        app.post("/actions/trigger-flow", &flow).await.expect(503);
        let began = Scrape::take(&app).await;
        for _ in 0..20 {
            app.post("/actions/trigger-flow", &flow).await.expect(503);
        }
        fires("QyvoServerErrors", &[calm, began, Scrape::take(&app).await]);

        let app = TestApp::start().await;
        let before = Scrape::take(&app).await;
        let (base, client) = (app.base.clone(), app.client.clone());
        app.stop().await;
        assert!(client.get(format!("{base}/metrics")).send().await.is_err());
        fires("QyvoDown", &[before, Scrape::of(None)]);
    })
    .await;
}

#[actix_web::test]
async fn a_disk_that_is_nearly_full_or_fills_up() {
    local(async {
        let app = TestApp::start().await;
        let free = || app.runtime.store().disk().unwrap().free;
        fires_after("QyvoDiskNearlyFull", &app, async || app.runtime.measure_room(free()).unwrap()).await;

        // Others write to this disk, too: what they write or free in between must not count.
        for attempt in 0.. {
            app.runtime.measure_room(free() - (10 << 20)).unwrap();
            let before = Scrape::take(&app).await;
            let path = app.folder.path().join(format!("filler-{attempt}"));
            std::fs::write(path, vec![7; 32 << 20]).unwrap();
            let after = Scrape::take(&app).await;
            let value = |scrape: &Scrape| {
                let name = r#"qyvo_disk_free_bytes{job="qyvo",instance="test"}"#;
                scrape.0[name].parse::<f64>().unwrap()
            };
            let taken = value(&before) - value(&after);
            if taken > f64::from(16 << 20) || attempt == 20 {
                fires("QyvoDiskWillBeFull", &[before, after]);
                break;
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn a_log_that_grows_and_memory_that_is_not_given_back() {
    local(async {
        let app = TestApp::start().await;
        app.trigger(app.publish(&question(60)).await, PHONE).await.expect(201);
        let log = app.folder.path().join("qyvo.db-wal");
        let length = std::fs::metadata(&log).unwrap().len();
        let before = Scrape::take(&app).await;
        let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
        file.set_len(600 << 20).unwrap();
        let after = Scrape::take(&app).await;
        file.set_len(length).unwrap();
        fires("QyvoLogGrowing", &[before, after]);

        let before = Scrape::take(&app).await;
        let held = vec![1_u8; 600 << 20];
        let after = Scrape::take(&app).await;
        assert_eq!(held.iter().step_by(4096).map(|byte| usize::from(*byte)).sum::<usize>(), (600 << 20) / 4096);
        drop(held);
        fires("QyvoMemoryHigh", &[before, after]);
    })
    .await;
}

#[actix_web::test]
async fn a_channel_that_is_paused() {
    local(async {
        let app = TestApp::start().await;
        let pause = async || drop(app.post("/channels/simulator/pause", &json!({})).await.expect(200));
        let before = Scrape::take(&app).await;
        pause().await;
        let after = Scrape::take(&app).await;
        fires("QyvoChannelPaused", &[Scrape(before.0.clone()), Scrape(after.0.clone())]);
        fires("QyvoDegraded", &[before, after]);
    })
    .await;
}

#[actix_web::test]
async fn a_channel_that_takes_nothing() {
    local(async {
        let app = TestApp::start_with(over_webhook(nowhere())).await;
        let flow = app.publish(&question(600)).await;
        let before = Scrape::take(&app).await;
        app.trigger(flow, PHONE).await.expect(201);
        for _ in 0..10 {
            app.runtime.run_outbox_once().await.unwrap();
            app.advance(70);
        }
        let after = Scrape::take(&app).await;
        fires("QyvoSendsFailing", &[Scrape(before.0.clone()), Scrape(after.0.clone())]);
        fires("QyvoOutboxStuck", &[before, after]);
    })
    .await;
}

#[actix_web::test]
async fn timers_that_nothing_fires() {
    local(async {
        let app = TestApp::start().await;
        app.trigger(app.publish(&question(600)).await, PHONE).await.expect(201);
        fires_after("QyvoTimersOverdue", &app, async || app.advance(30 + 90)).await;
    })
    .await;
}

#[actix_web::test]
async fn events_that_no_endpoint_takes() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(600)).await;
        let endpoint = json!({"url": nowhere(), "events": ["session.started"]});
        app.post("/webhook-endpoints", &endpoint).await.expect(201);
        app.runtime.run_due_webhooks().await.unwrap();
        fires_after("QyvoEventsLagging", &app, async || {
            app.trigger(flow, PHONE).await.expect(201);
            app.runtime.run_due_webhooks().await.unwrap();
            app.advance(700);
        })
        .await;

        let app = TestApp::start().await;
        let flow = app.publish(&question(600)).await;
        let answers = Mutex::new(vec!["410 Gone", "200 OK", "200 OK"]);
        let site = Site::start(move |_| {
            let status = answers.lock().unwrap().pop().unwrap();
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
        })
        .await;
        let endpoint = json!({"url": site.url("/"), "events": ["session.started"]});
        app.post("/webhook-endpoints", &endpoint).await.expect(201);
        app.trigger(flow, PHONE).await.expect(201);
        app.runtime.run_due_webhooks().await.unwrap();
        fires_after("QyvoEventsGivenUp", &app, async || {
            app.trigger(flow, "+14155550124").await.expect(201);
            app.runtime.run_due_webhooks().await.unwrap();
        })
        .await;
    })
    .await;
}

#[actix_web::test]
async fn a_queue_that_is_full() {
    local(async {
        let app = TestApp::start().await;
        let before = Scrape::take(&app).await;
        let store = app.runtime.store().clone();
        let (release, released) = channel::<()>();
        let (begin, begun) = channel::<()>();
        let released = Mutex::new(released);
        let gated = store.clone();
        let gate = tokio::task::spawn_local(async move {
            let gate = gated.write(move |_| {
                let _ = begin.send(());
                // Ends when the sender is dropped.
                let _ = released.lock().unwrap().recv();
                Ok(())
            });
            gate.await
        });
        while begun.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let write_nothing = |store: Store| async move { store.write(|_| Ok(())).await };
        let jobs = join_all((0..5_000).map(|_| tokio::task::spawn_local(write_nothing(store.clone()))));
        // A turn of the local tasks runs a few dozen of them.
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        assert_eq!(store.queue().0, 4_096);
        let after = Scrape::take(&app).await;
        drop(release);
        gate.await.unwrap().unwrap();
        let refused = jobs.await.into_iter().filter(|job| job.as_ref().unwrap().is_err()).count();
        assert!(refused > 800, "{refused}");
        fires("QyvoQueueFull", &[Scrape(before.0.clone()), Scrape(after.0.clone())]);
        fires("QyvoWritesRefused", &[before, after]);
    })
    .await;
}

/// No test can make a disk slow: that is told as the server would tell it.
#[actix_web::test]
async fn a_disk_that_is_slow() {
    local(async {
        let app = TestApp::start().await;
        let metrics = app.runtime.metrics().clone();
        let commits = metrics.histogram(Metric::WriterCommit, &[]);
        fires_after("QyvoSlowCommits", &app, async || (0..1_000).for_each(|_| commits.record(0.8))).await;
    })
    .await;
}

#[actix_web::test]
async fn a_backup_that_is_late() {
    local(async {
        let app = TestApp::start_with(|config| config.backup.every = Duration::from_secs(6 * 3600)).await;
        until("the first backup", async || {
            app.get("/backups").await.body["data"].as_array().is_some_and(|data| !data.is_empty())
        })
        .await;
        fires_after("QyvoBackupLate", &app, async || app.advance(13 * 3600)).await;
    })
    .await;
}
