//! `/metrics`: who may read it, and what it says of a server that works.

use qyvo::metrics::{Kind, Metric};
use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::json;
use testkit::app::{PHONE, TestApp, local, question, secret};

const TOKEN: &str = "a-token-that-a-scraper-has";

/// The text of the metrics, as the administrator reads it.
pub(crate) async fn scrape(app: &TestApp) -> String {
    let answer = app.request(Method::GET, "/metrics", Some(&secret(Scope::Admin)), None).await;
    answer.expect(200).as_str().unwrap().to_owned()
}

/// The value of a line, by all that stands before it.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing in {text}")).parse().unwrap()
}

#[actix_web::test]
async fn a_scraper_needs_the_configured_token_or_an_admins() {
    local(async {
        let app = TestApp::start_with(|config| config.server.metrics_token = TOKEN.to_owned().into()).await;
        let ask = async |token: Option<&str>| app.request(Method::GET, "/metrics", token, None).await;
        let answer = ask(Some(TOKEN)).await;
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.expect(200);
        ask(Some(&secret(Scope::Admin))).await.expect(200);
        for wrong in [&TOKEN[1..], &format!("{TOKEN}x"), "", "qyvo_unknown"] {
            ask(Some(wrong)).await.expect(401);
        }
        ask(None).await.expect(401);
        ask(Some(&secret(Scope::Api))).await.expect(403);
        let elsewhere = app.request(Method::GET, "/api/v1/stats", Some(TOKEN), None).await;
        elsewhere.expect(401);
        let posted = app.request(Method::POST, "/metrics", Some(TOKEN), None).await;
        posted.expect(405);

        let app = TestApp::start().await;
        app.request(Method::GET, "/metrics", Some(""), None).await.expect(401);
    })
    .await;
}

#[actix_web::test]
async fn a_conversation_shows_in_the_metrics() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(60)).await;
        app.trigger(flow, PHONE).await.expect(201);
        app.trigger(flow, "+14155550124").await.expect(201);
        let text = scrape(&app).await;
        assert_eq!(value(&text, "qyvo_sessions_running"), 2.0);
        assert_eq!(value(&text, "qyvo_sessions_started_total"), 2.0);
        assert_eq!(value(&text, r#"qyvo_flows_published{kind="flow"}"#), 1.0);
        assert_eq!(value(&text, r#"qyvo_outbox_queued_messages{channel="simulator"}"#), 0.0);
        assert_eq!(value(&text, "qyvo_ready"), 1.0);
        assert_eq!(value(&text, r#"qyvo_degraded{reason="disk_full"}"#), 0.0);
        assert_eq!(value(&text, "qyvo_database_readable"), 1.0);
        assert!(value(&text, "qyvo_writer_batch_jobs_count") >= 2.0);
        assert!(value(&text, "qyvo_disk_free_bytes") > 0.0 && value(&text, "qyvo_database_size_bytes") > 0.0);

        app.say(PHONE, "Tea").await;
        app.advance(35);
        let text = scrape(&app).await;
        assert_eq!(value(&text, "qyvo_timers_overdue_seconds"), 5.0);
        app.runtime.run_due().await.unwrap();
        let text = scrape(&app).await;
        assert_eq!(value(&text, "qyvo_timers_overdue_seconds"), 0.0);
        assert_eq!(value(&text, "qyvo_timer_lag_seconds"), 5.0);
        assert_eq!(value(&text, "qyvo_timers_fired_total"), 1.0);
        assert_eq!(value(&text, "qyvo_sessions_running"), 0.0);
        assert_eq!(value(&text, r#"qyvo_sessions_ended_total{status="completed"}"#), 2.0);
    })
    .await;
}

#[actix_web::test]
async fn labels_have_no_ids_and_every_series_is_of_the_registry() {
    local(async {
        let app = TestApp::start().await;
        let flow = app.publish(&question(60)).await;
        let session = app.trigger(flow, PHONE).await.expect(201);
        app.session(&session["id"]).await;
        app.request(Method::GET, "/no/such/path", None, None).await.expect(404);
        app.request(Method::GET, "/api/v1/no/such/path", None, None).await.expect(404);
        app.request(Method::from_bytes(b"BREW").unwrap(), "/healthz", None, None).await.expect(405);
        let text = scrape(&app).await;
        let labels = r#"{route="/api/v1/sessions/{id}",method="GET",status="200"}"#;
        assert_eq!(value(&text, &format!("qyvo_http_requests_total{labels}")), 1.0);
        let labels = r#"{route="/healthz",method="other",status="405"}"#;
        assert_eq!(value(&text, &format!("qyvo_http_requests_total{labels}")), 1.0);
        assert!(!text.contains("such") && !text.contains(session["id"].as_str().unwrap()) && !text.contains("BREW"));
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let is_of = |metric: &Metric| match metric.kind() {
                Kind::Histogram(_) => {
                    ["_bucket", "_sum", "_count"].iter().any(|end| name.strip_suffix(end) == Some(metric.name()))
                }
                Kind::Counter | Kind::Gauge => name == metric.name(),
            };
            assert!(Metric::ALL.iter().any(is_of), "{line}");
        }
        // What has no labels is there from the start, so that an alert has something to look at.
        for metric in Metric::ALL.into_iter().filter(|metric| metric.labels().is_empty()) {
            assert!(text.contains(&format!("\n# TYPE {} {}\n", metric.name(), metric.kind().as_str())), "{metric:?}");
        }
        assert_eq!(json!(text.matches("# HELP ").count()), json!(text.matches("# TYPE ").count()));
    })
    .await;
}
