//! What a test plans for requests to come.

use std::sync::Arc;

use tokio::sync::watch;

use super::error::GraphError;
use super::state::Request;

/// What shall happen to a request instead of, or beside, what would.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is done, and this is the answer.
    Answer {
        /// Its HTTP status.
        status: u16,
        /// Its `Content-Type`.
        content_type: &'static str,
        /// Its body, as it stands.
        body: String,
    },
    /// Refused with this error.
    Refuse(GraphError),
    /// The request is looked at only when the gate opens, even if the caller has hung up by then.
    HoldRequest(Gate),
    /// The request is handled at once, and answered when the gate opens.
    HoldAnswer(Gate),
    /// The message is accepted, statuses come, but the connection ends without an answer.
    AcceptThenDrop,
    /// The connection ends without an answer, and nothing was done.
    DropBefore,
    /// The message is accepted and fails later, by webhook.
    FailLater(GraphError),
    /// The message is accepted with this `message_status`: `paused` or `held_for_quality_assessment`. It reaches nobody
    /// and no status comes.
    MessageStatus(&'static str),
}

impl Fault {
    /// What a proxy in front of the API answers.
    pub fn html() -> Self {
        let body = "<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>".to_owned();
        Self::Answer { status: 500, content_type: "text/html; charset=utf-8", body }
    }

    /// Refused with one of Meta's codes.
    pub fn error(code: i64) -> Self {
        Self::Refuse(GraphError::new(code, "planned by the test"))
    }

    /// Accepted, and failed later with one of Meta's codes.
    pub fn fail_later(code: i64) -> Self {
        Self::FailLater(GraphError::new(code, "planned by the test"))
    }
}

/// Opened once, by the test. What waits behind it goes on when it is opened or dropped.
#[derive(Clone, Debug)]
pub struct Gate {
    is_open: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// A gate that nothing passes yet.
    pub fn closed() -> Self {
        Self { is_open: Arc::new(watch::Sender::new(false)) }
    }

    /// Lets through what waits, and what comes later.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Waits until it is open.
    pub(super) async fn pass(&self) {
        let mut is_open = self.is_open.subscribe();
        // The sender lives in self, so that waiting cannot fail.
        let _ = is_open.wait_for(|is_open| *is_open).await;
    }
}

type Matches = Box<dyn Fn(&Request) -> bool + Send>;

/// Faults in the order in which they were planned.
#[derive(Default)]
pub(super) struct Plan {
    entries: Vec<(usize, Matches, Fault)>,
}

impl Plan {
    /// `fault` for the next `times` requests that match.
    pub(super) fn add(&mut self, times: usize, matches: Matches, fault: Fault) {
        self.entries.push((times, matches, fault));
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// The first fault that is meant for this request, which counts as used.
    pub(super) fn take(&mut self, request: &Request) -> Option<Fault> {
        let entry = self.entries.iter_mut().find(|(times, matches, _)| *times > 0 && matches(request))?;
        entry.0 -= 1;
        let fault = entry.2.clone();
        self.entries.retain(|(times, ..)| *times > 0);
        Some(fault)
    }
}

/// Whether a request sends a message: neither marks as read nor reads anything.
pub(super) fn is_send(request: &Request) -> bool {
    request.method == "POST" && request.path.ends_with("/messages") && request.body.get("status").is_none()
}
