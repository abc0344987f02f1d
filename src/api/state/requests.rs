//! How many requests were answered and how long that took, by route.
//!
//! A route is counted by its pattern, and a method that no route takes as `other`, so strangers cannot make values up.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::Method;

use crate::metrics::{Counter, Histogram, Metric, Metrics};

/// The methods that are shown by their names.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// Stands for all others.
const OTHER: &str = "other";

/// Counts requests. Each combination that was seen keeps its handles, so that the next is found without the registry.
pub(crate) struct Requests {
    metrics: Metrics,
    routes: RwLock<HashMap<String, Arc<RouteMetrics>>>,
}

/// The handles of a route, by method: the last is that of all other methods.
type RouteMetrics = [OnceLock<Handles>; METHODS.len() + 1];

struct Handles {
    duration: Histogram,
    by_status: RwLock<Vec<(u16, Counter)>>,
}

impl Requests {
    /// Counts into the metrics of a server.
    pub(crate) fn of(metrics: Metrics) -> Self {
        Self { metrics, routes: RwLock::default() }
    }

    /// Counts a request of a route, which is one of the patterns of the router.
    pub(in crate::api) fn count(&self, route: &str, method: &Method, status: u16, took: Duration) {
        let place = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len());
        let name = METHODS.get(place).copied().unwrap_or(OTHER);
        let of_route = self.of_route(route);
        let handles = of_route[place].get_or_init(|| Handles {
            duration: self.metrics.histogram(Metric::HttpDuration, &[route, name]),
            by_status: RwLock::default(),
        });
        handles.duration.record(took);
        let known = handles.by_status.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(known, _)| *known == status) {
            return counter.increment(1);
        }
        drop(known);
        let counter = self.metrics.counter(Metric::HttpRequests, &[route, name, &status.to_string()]);
        counter.increment(1);
        handles.by_status.write().unwrap_or_else(PoisonError::into_inner).push((status, counter));
    }

    fn of_route(&self, route: &str) -> Arc<RouteMetrics> {
        if let Some(known) = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(route) {
            return known.clone();
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.entry(route.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_by_route_method_and_status() {
        let metrics = Metrics::new();
        let requests = Requests::of(metrics.clone());
        let odd = Method::from_bytes(b"BREW").unwrap();
        for (method, status) in [(Method::GET, 200), (Method::GET, 200), (Method::GET, 404), (odd, 405)] {
            requests.count("/api/v1/sessions/{id}", &method, status, Duration::from_millis(2));
        }
        let text = metrics.render();
        let shown = |line: &str| assert!(text.lines().any(|shown| shown == line), "{line} is missing in {text}");
        let count = |method: &str, status: u16, count: u32| {
            let route = "/api/v1/sessions/{id}";
            let labels = format!(r#"route="{route}",method="{method}",status="{status}""#);
            shown(&format!("qyvo_http_requests_total{{{labels}}} {count}"));
        };
        count("GET", 200, 2);
        count("GET", 404, 1);
        count("other", 405, 1);
        let labels = r#"route="/api/v1/sessions/{id}",method="GET""#;
        shown(&format!(r#"qyvo_http_request_duration_seconds_bucket{{{labels},le="0.0025"}} 3"#));
        shown(&format!("qyvo_http_request_duration_seconds_count{{{labels}}} 3"));
    }
}
