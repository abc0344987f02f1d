//! The sub-flows of one step, as the engine looks them up: pinned versions, and what is published.

use std::cell::RefCell;

use super::{Deferred, Job};
use crate::domain::FlowId;
use crate::engine::Lookup;
use crate::error::Error;
use crate::store::flows;

/// Looks sub-flows up for one step, and remembers what stood in the way.
pub(in crate::runtime) struct SubFlows<'a> {
    job: &'a Job<'a>,
    deferred: RefCell<Option<Deferred>>,
}

impl<'a> SubFlows<'a> {
    pub(in crate::runtime) fn new(job: &'a Job<'a>) -> Self {
        Self { job, deferred: RefCell::default() }
    }

    /// The version of a flow, or the published one.
    pub(in crate::runtime) fn look_up(&self, id: FlowId, version: Option<u32>) -> Lookup {
        let found = match version {
            // A session goes on with a flow that was deleted since.
            Some(version) => flows::seq_of_any(self.job.tx(), id).map(|seq| seq.map(|seq| (seq, version))),
            None => flows::find_published(self.job.tx(), id).map(|flow| flow.map(|flow| (flow.seq, flow.version))),
        };
        let loaded = match found {
            Ok(None) => return Lookup::NotPublished,
            Ok(Some((seq, version))) => self.job.flow(seq, version).map(|flow| Lookup::Ready { version, flow }),
            Err(error) => Err(Deferred::Failed(error)),
        };
        loaded.unwrap_or_else(|deferred| {
            self.deferred.replace(Some(deferred));
            Lookup::Load
        })
    }

    /// Why a flow could not be looked up.
    pub(in crate::runtime) fn into_deferred(self) -> Deferred {
        let none = || Deferred::Failed(Error::internal("A step needs a sub-flow that was never looked up"));
        self.deferred.into_inner().unwrap_or_else(none)
    }
}
