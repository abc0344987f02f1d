//! A flow or a sequence, as each caller sees it.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::IsoTime;
use crate::domain::{CounterName, FlowId, FlowKind, Problem, TestCaseId};

/// A flow or a sequence as keys of something else, flattened into it: the public API has keys of their own for both.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum FlowKeys {
    /// Keys of a flow.
    Flow {
        /// The flow's id.
        flow_id: FlowId,
        /// What people call it.
        flow_name: String,
    },
    /// Keys of a sequence.
    Sequence {
        /// The sequence's id.
        sequence_id: FlowId,
        /// What people call it.
        sequence_name: String,
    },
}

impl FlowKeys {
    /// The keys of a kind.
    pub fn new(kind: FlowKind, id: FlowId, name: String) -> Self {
        match kind {
            FlowKind::Flow => Self::Flow { flow_id: id, flow_name: name },
            FlowKind::Sequence => Self::Sequence { sequence_id: id, sequence_name: name },
        }
    }
}

/// `published` or `draft`.
pub fn status_of(published_version: Option<u32>) -> &'static str {
    if published_version.is_some() { "published" } else { "draft" }
}

/// A flow in a list on the admin page.
#[derive(Debug, Serialize)]
pub struct ListedFlow {
    /// The flow's id.
    pub id: FlowId,
    /// `flow` or `sequence`.
    pub kind: &'static str,
    /// What people call it.
    pub name: String,
    /// As [`status_of`] gives it.
    pub status: &'static str,
    /// How often the draft was saved.
    pub revision: u32,
    /// The version that new sessions start on.
    pub published_version: Option<u32>,
    /// When that was published.
    pub published_at: Option<IsoTime>,
    /// The newest version, published now or once.
    pub latest_version: Option<u32>,
    /// Whether the draft is another document than what is published.
    pub has_changes: bool,
    /// When it was first saved.
    pub created_at: IsoTime,
    /// When it was last saved, published or unpublished.
    pub updated_at: IsoTime,
    /// Who saved the draft last.
    pub updated_by: String,
    /// How many sessions it has and had.
    pub sessions: SessionCounts,
}

/// How many sessions a flow or a version has and had: `running`, and each counter of sessions by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCounts {
    counts: Vec<(&'static str, i64)>,
}

impl SessionCounts {
    /// The counts of the counters of sessions, in their order. What began and has not ended runs.
    pub fn new(counted: impl IntoIterator<Item = (CounterName, i64)>) -> Self {
        let mut counts = vec![("running", 0)];
        for (counter, count) in counted {
            match counter {
                CounterName::SessionStarted => counts[0].1 += count,
                counter if counter.is_end() => counts[0].1 -= count,
                _ => {}
            }
            let shown = counter.of_session().filter(|_| count != 0 || counter.is_always_shown());
            counts.extend(shown.map(|name| (name, count)));
        }
        Self { counts }
    }

    /// Each count with its key, in order. A counter that is only shown when it is not zero is missing while it is zero.
    pub fn by_key(&self) -> impl Iterator<Item = (&'static str, i64)> {
        self.counts.iter().copied()
    }
}

impl Serialize for SessionCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.by_key())
    }
}

/// A flow on the admin page, with its draft and what is wrong with that.
#[derive(Debug, Serialize)]
pub struct FlowDetail {
    /// As lists show it.
    #[serde(flatten)]
    pub flow: ListedFlow,
    /// The draft; absent in the answer to an assistant that has just written it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Whether it was published so already; there only in the answer to an import that publishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<bool>,
}

/// What is wrong with a document.
#[derive(Debug, Serialize)]
pub struct Validation {
    /// Errors and warnings.
    pub problems: Vec<Problem>,
    /// Whether it can be published.
    pub is_publishable: bool,
}

/// A flow or a sequence in the public API.
#[derive(Debug, Serialize)]
pub struct PublicFlow {
    /// The flow's id.
    pub id: FlowId,
    /// What people call it.
    pub name: String,
    /// As [`status_of`] gives it.
    pub status: &'static str,
    /// Sessions that were started.
    pub sessions_count: i64,
    /// When it was published.
    pub published_at: Option<IsoTime>,
    /// When it was first saved.
    pub created_at: IsoTime,
    /// `keyword` or `manual`; a sequence has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_type: Option<&'static str>,
}

/// A version of a flow.
#[derive(Debug, Serialize)]
pub struct Version {
    /// The version's number, from 1.
    pub version: u32,
    /// What its publisher wrote.
    pub note: Option<String>,
    /// Who published it.
    pub actor: String,
    /// When it was published.
    pub published_at: IsoTime,
    /// Whether new sessions start on it.
    pub is_current: bool,
    /// What was published; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
}

/// The answer to publishing a draft.
#[derive(Debug, Serialize)]
pub struct PublishAnswer {
    /// The flow's id.
    pub id: FlowId,
    /// What people call it.
    pub name: String,
    /// The version that new sessions start on.
    pub version: u32,
    /// When that was published.
    pub published_at: Option<IsoTime>,
    /// Whether the draft was published so already.
    pub unchanged: bool,
    /// What is wrong with it all the same.
    pub problems: Vec<Problem>,
}

/// What stopping a flow would end.
#[derive(Debug, Serialize)]
pub struct StopForeseen {
    /// The flow's id.
    pub id: FlowId,
    /// Sessions that run.
    pub running_sessions: i64,
    /// Messages of theirs that wait.
    pub queued_messages: i64,
}

/// What stopping a flow has ended.
#[derive(Debug, Serialize)]
pub struct StopAnswer {
    /// The flow's id.
    pub id: FlowId,
    /// Sessions that were cancelled.
    pub cancelled: u64,
    /// Messages that were dropped.
    pub dropped_messages: u64,
    /// Sessions that could not be cancelled and were marked as failed; there only where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
}

/// A test case of a flow.
#[derive(Debug, Serialize)]
pub struct TestCase {
    /// The test case's id.
    pub id: TestCaseId,
    /// What people call it.
    pub name: String,
    /// Who made it.
    pub actor: String,
    /// When it was made.
    pub created_at: IsoTime,
    /// What is played, and what must come of it.
    pub script: Value,
}

/// How a test case went.
#[derive(Debug, Serialize)]
pub struct TestCaseResult {
    /// The test case.
    pub id: TestCaseId,
    /// What people call it.
    pub name: String,
    /// Whether all came as expected.
    pub passed: bool,
    /// What did not.
    pub problem: Option<String>,
}
