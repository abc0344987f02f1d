//! Metrics: what the parts of the server count and measure, and the text in which Prometheus reads it.
//!
//! This is the only module that names the crates behind it. There is no recorder of the process: each server has its
//! own [`Metrics`], whose clones are handles to the same values, so that several servers in one process, as in tests,
//! do not mix. The store has it from its options, and every layer above asks the one below.
//!
//! What happens often keeps a handle ([`Metrics::counter`], [`Metrics::histogram`]) and pays for atomic additions
//! only. What happens seldom names the metric ([`Metrics::add`]). What is read from elsewhere when somebody asks for
//! the text is set then ([`Metrics::set`], [`Metrics::set_family`]).

mod process;
mod registry;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ::metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use ::metrics::{Counter, Histogram};
pub use registry::{Kind, Metric};

/// What the recorder is told of where a metric comes from. It makes nothing of it.
const METADATA: Metadata<'static> = Metadata::new("qyvo", Level::INFO, None);
/// Values of a label that a far side makes up, such as its codes, before the next are `other`.
const FOREIGN_VALUES: usize = 50;
/// The value that stands for all that are too many or too odd.
const OTHER: &str = "other";

/// The metrics of one server. [`Metrics::default`] records nothing.
#[derive(Clone, Default)]
pub struct Metrics {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    started: Instant,
    /// The sets of labels that [`Metrics::set_family`] has set of each metric.
    families: Mutex<HashMap<Metric, HashSet<String>>>,
    /// The values that [`Metrics::add_foreign`] has let through of each metric.
    foreign: Mutex<HashMap<Metric, HashSet<String>>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.inner.is_some() { "Metrics" } else { "no metrics" })
    }
}

impl Metrics {
    /// The metrics of a server that starts now. All without labels are there from the start, at 0.
    pub fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in Metric::ALL {
            if let Kind::Histogram(bounds) = metric.kind() {
                let name = Matcher::Full(metric.name().to_owned());
                // It refuses no bounds, and those of the registry are never empty.
                builder = builder.set_buckets_for_metric(name, bounds).expect("a histogram has buckets");
            }
        }
        let recorder = builder.build_recorder();
        for metric in Metric::ALL {
            let (name, help) = (metric.name().into(), metric.help().into());
            match metric.kind() {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        }
        let handle = recorder.handle();
        let inner =
            Inner { recorder, handle, started: Instant::now(), families: Mutex::default(), foreign: Mutex::default() };
        let metrics = Self { inner: Some(Arc::new(inner)) };
        for metric in Metric::ALL.into_iter().filter(|metric| metric.labels().is_empty()) {
            match metric.kind() {
                Kind::Counter => drop(metrics.counter(metric, &[])),
                Kind::Gauge => metrics.set(metric, &[], 0.0),
                Kind::Histogram(_) => drop(metrics.histogram(metric, &[])),
            }
        }
        metrics.set(Metric::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1.0);
        metrics
    }

    /// A handle to a counter, with the values of its labels in their order.
    pub fn counter(&self, metric: Metric, labels: &[&str]) -> Counter {
        let Some(inner) = &self.inner else { return Counter::noop() };
        inner.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    /// A handle to a histogram, likewise.
    pub fn histogram(&self, metric: Metric, labels: &[&str]) -> Histogram {
        let Some(inner) = &self.inner else { return Histogram::noop() };
        inner.recorder.register_histogram(&key(metric, labels), &METADATA)
    }

    /// Adds to a counter.
    pub fn add(&self, metric: Metric, labels: &[&str], count: u64) {
        self.counter(metric, labels).increment(count);
    }

    /// Adds 1 to a counter whose last label is a value that a far side makes up. The first fifty that look like codes
    /// stand as they are, all others are `other`.
    pub fn add_foreign(&self, metric: Metric, labels: &[&str], value: &str) {
        let Some(inner) = &self.inner else { return };
        let is_code = (1..=32).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let mut foreign = lock(&inner.foreign);
        let known = foreign.entry(metric).or_default();
        let shown = if is_code && (known.contains(value) || known.len() < FOREIGN_VALUES) {
            known.insert(value.to_owned());
            value
        } else {
            OTHER
        };
        self.add(metric, &[labels, &[shown]].concat(), 1);
    }

    /// Brings a counter to a value that is counted elsewhere.
    pub fn set_counter(&self, metric: Metric, labels: &[&str], value: u64) {
        self.counter(metric, labels).absolute(value);
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, labels: &[&str], value: f64) {
        let Some(inner) = &self.inner else { return };
        inner.recorder.register_gauge(&key(metric, labels), &METADATA).set(value);
    }

    /// Sets all gauges of a metric with one label. Those that were there before and are not among them become 0: what
    /// they stand for is gone.
    pub fn set_family<'a>(&self, metric: Metric, values: impl IntoIterator<Item = (&'a str, f64)>) {
        let Some(inner) = &self.inner else { return };
        let mut families = lock(&inner.families);
        let known = families.entry(metric).or_default();
        let mut gone = known.clone();
        for (label, value) in values {
            gone.remove(label);
            known.insert(label.to_owned());
            self.set(metric, &[label], value);
        }
        for label in gone {
            self.set(metric, &[&label], 0.0);
        }
    }

    /// All of it in Prometheus's text format, with what the system says of the process.
    pub fn render(&self) -> String {
        let Some(inner) = &self.inner else { return String::new() };
        self.set(Metric::Uptime, &[], inner.started.elapsed().as_secs_f64());
        for (metric, value) in process::read() {
            self.set(metric, &[], value);
        }
        inner.handle.render()
    }

    /// Sorts new observations into the buckets of their histograms. Until then each takes some bytes, so a server that
    /// nobody scrapes has to call it now and then.
    pub fn sort_observations(&self) {
        if let Some(inner) = &self.inner {
            inner.handle.run_upkeep();
        }
    }
}

fn key(metric: Metric, values: &[&str]) -> Key {
    let names = metric.labels();
    debug_assert_eq!(names.len(), values.len(), "{}", metric.name());
    let labels = names.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(metric.name(), labels.collect::<Vec<_>>())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_in_a_process_do_not_mix() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.add(Metric::TimersFired, &[], 3);
        assert!(one.render().contains("\nqyvo_timers_fired_total 3\n"), "{}", one.render());
        assert!(other.render().contains("\nqyvo_timers_fired_total 0\n"));
        assert_eq!(Metrics::default().render(), "");
    }

    #[test]
    fn the_text_has_help_kind_and_buckets_of_each_metric() {
        let metrics = Metrics::new();
        metrics.histogram(Metric::WriterCommit, &[]).record(0.003);
        let text = metrics.render();
        for line in [
            "# HELP qyvo_writer_commit_duration_seconds Time of a COMMIT, with its fsync.",
            "# TYPE qyvo_writer_commit_duration_seconds histogram",
            r#"qyvo_writer_commit_duration_seconds_bucket{le="0.0025"} 0"#,
            r#"qyvo_writer_commit_duration_seconds_bucket{le="0.005"} 1"#,
            "qyvo_writer_commit_duration_seconds_count 1",
            "# TYPE qyvo_timers_fired_total counter",
            "# TYPE qyvo_ready gauge",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing in {text}");
        }
    }

    #[test]
    fn what_is_gone_becomes_0_and_foreign_values_are_bounded() {
        let metrics = Metrics::new();
        metrics.set_family(Metric::OutboxQueued, [("webhook", 3.0), ("simulator", 1.0)]);
        metrics.set_family(Metric::OutboxQueued, [("simulator", 2.0)]);
        for code in 0..60 {
            metrics.add_foreign(Metric::OutboxRefusals, &["webhook"], &code.to_string());
        }
        metrics.add_foreign(Metric::OutboxRefusals, &["webhook"], "7");
        metrics.add_foreign(Metric::OutboxRefusals, &["webhook"], "a person's name");
        let text = metrics.render();
        for line in [
            r#"qyvo_outbox_queued_messages{channel="webhook"} 0"#,
            r#"qyvo_outbox_queued_messages{channel="simulator"} 2"#,
            r#"qyvo_outbox_refusals_total{channel="webhook",code="7"} 2"#,
            r#"qyvo_outbox_refusals_total{channel="webhook",code="other"} 11"#,
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing in {text}");
        }
    }
}
