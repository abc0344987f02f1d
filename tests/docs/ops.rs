//! The files of `ops/` against the registry of metrics and the manual.

use std::collections::BTreeSet;
use std::fs;

use qyvo::metrics::{Kind, Metric};
use regex::Regex;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Labels that Prometheus adds, and those of histograms.
const OF_PROMETHEUS: [&str; 3] = ["job", "instance", "le"];

fn read(path: &str) -> String {
    fs::read_to_string(format!("{ROOT}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metric of a series.
fn metric_of(series: &str) -> Option<Metric> {
    Metric::ALL.into_iter().find(|metric| match metric.kind() {
        Kind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].iter().any(|end| series == format!("{}{end}", metric.name()))
        }
        Kind::Counter | Kind::Gauge => series == metric.name(),
    })
}

/// What is wrong with an expression: series that the registry does not have, and labels that none of its metrics has.
fn wrong(expression: &str) -> Vec<String> {
    let series = Regex::new(r"\bqyvo_\w+").unwrap();
    let label = Regex::new(r#"(?:by \(([\w, ]+)\))|(?:\b(\w+)(?:=~|!=|!~|=)")"#).unwrap();
    let named: Vec<&str> = series.find_iter(expression).map(|found| found.as_str()).collect();
    let mut known: BTreeSet<&str> = OF_PROMETHEUS.into();
    known.extend(named.iter().filter_map(|name| metric_of(name)).flat_map(Metric::labels));
    let labels = label.captures_iter(expression).flat_map(|found| {
        let list = found.get(1).or(found.get(2)).unwrap().as_str();
        list.split(',').map(str::trim).map(str::to_owned).collect::<Vec<_>>()
    });
    let unknown = named.iter().filter(|name| metric_of(name).is_none()).map(|name| format!("{name} in {expression}"));
    let odd = labels.filter(|label| !known.contains(label.as_str())).map(|label| format!("{label} in {expression}"));
    unknown.chain(odd).collect()
}

/// The expressions of the dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let dashboard: Value = serde_json::from_str(&read("ops/grafana.json")).unwrap();
    let mut all = Vec::new();
    expressions(&dashboard, &mut all);
    assert!(all.len() > 30, "{all:?}");
    assert_eq!(all.iter().flat_map(|expression| wrong(expression)).collect::<Vec<_>>(), [] as [&str; 0]);
    let text = all.join("\n");
    let is_shown = |metric: &Metric| text.contains(metric.name());
    let missing: Vec<&str> = Metric::ALL.iter().filter(|it| !is_shown(it)).map(|it| it.name()).collect();
    assert_eq!(missing, [] as [&str; 0], "these are not on the dashboard");
    let ids: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().map(|panel| &panel["id"]).collect();
    assert_eq!(ids.iter().map(|id| id.as_u64().unwrap()).collect::<BTreeSet<_>>().len(), ids.len(), "ids are unique");
}

#[test]
fn every_alert_has_a_paragraph_and_names_metrics_that_there_are() {
    let rules: Value = serde_saphyr::from_str(&read("ops/alerts.yaml")).unwrap();
    let manual = read("docs/operate.md");
    let headings: BTreeSet<&str> = manual.lines().filter_map(|line| line.strip_prefix("### Qyvo")).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let alert = rule["alert"].as_str().unwrap();
        assert_eq!(wrong(rule["expr"].as_str().unwrap()), [] as [&str; 0], "{alert}");
        let runbook = rule["annotations"]["runbook"].as_str().unwrap();
        assert_eq!(runbook, format!("docs/operate.md#{}", alert.to_lowercase()));
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{alert}");
        alerts.insert(alert.strip_prefix("Qyvo").unwrap());
    }
    assert_eq!(alerts, headings, "alerts, and paragraphs of the manual");
}

#[test]
fn the_manual_lists_every_metric() {
    let manual = read("docs/operate.md");
    let missing: Vec<&str> =
        Metric::ALL.iter().map(|it| it.name()).filter(|name| !manual.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [] as [&str; 0], "docs/operate.md does not name these");
    let named = Regex::new(r"\bqyvo_[a-z_]+").unwrap();
    let unknown: BTreeSet<&str> = named
        .find_iter(&manual)
        .map(|found| found.as_str())
        .filter(|name| Metric::ALL.iter().all(|metric| metric.name() != *name) && metric_of(name).is_none())
        .collect();
    assert_eq!(unknown, BTreeSet::new(), "there are no such metrics");
}
