//! Triggers at a steady rate, and how long they wait.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use qyvo::domain::FlowId;
use serde_json::json;

use crate::server::Server;
use crate::support::{Phones, context};

/// Triggers a second.
const RATE: u32 = 200;

/// Waits of triggers, in milliseconds and in order.
pub(crate) struct Waits(Vec<f64>);

impl Waits {
    pub(crate) fn print(&self, name: &str) {
        let at = |percent: f64| {
            let index = (self.0.len().saturating_sub(1)) as f64 * percent / 100.0;
            self.0.get(index as usize).copied().unwrap_or(f64::NAN)
        };
        println!(
            "{name:<18} {:>6} triggers  p50 {:>7.2}  p95 {:>7.2}  p99 {:>7.2}  max {:>7.2} ms",
            self.0.len(),
            at(50.0),
            at(95.0),
            at(99.0),
            at(100.0)
        );
    }
}

/// Triggers at the rate until `is_over`.
pub(crate) async fn load(
    server: &Server,
    token: &str,
    flow: FlowId,
    seed: u64,
    mut is_over: impl FnMut(Instant) -> bool,
) -> Waits {
    let client = reqwest::Client::new();
    let waits = Arc::new(Mutex::new(Vec::new()));
    let mut phones = Phones::new(seed);
    let url = format!("http://{}/api/v1/actions/trigger-flow", server.address);
    let begun = Instant::now();
    let mut due = begun;
    let mut under_way = Vec::new();
    while !is_over(begun) {
        tokio::time::sleep_until(due.into()).await;
        let body = json!({"flow_id": flow, "phone": phones.next(), "context": context()});
        let request = client.post(&url).bearer_auth(token).json(&body);
        let (waits, at) = (waits.clone(), due);
        under_way.push(tokio::spawn(async move {
            let status = request.send().await.expect("an answer").status();
            assert_eq!(status.as_u16(), 201);
            waits.lock().expect("no panic").push(at.elapsed().as_secs_f64() * 1000.0);
        }));
        due += Duration::from_secs(1) / RATE;
    }
    for one in under_way {
        one.await.expect("it does not panic");
    }
    let mut waits = std::mem::take(&mut *waits.lock().expect("no panic"));
    waits.sort_by(f64::total_cmp);
    Waits(waits)
}
