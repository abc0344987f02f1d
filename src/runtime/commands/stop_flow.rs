//! Stopping a flow: no new sessions, and an end for those that run.

use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{FlowId, Reason, SessionId};
use crate::error::{Error, Result};
use crate::runtime::{CancelSession, Ended, Runtime};
use crate::store::{WriteClass, audit, flows, sessions};

/// Sessions that are cancelled at once, so that the writer's queue has room for others.
const BATCH: u32 = 64;

/// What stopping a flow did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Sessions that were cancelled.
    pub cancelled: u64,
    /// Their queued messages that were dropped.
    pub dropped_messages: u64,
    /// Sessions that could not be cancelled; the log says why.
    pub failed: u64,
}

impl Runtime {
    /// Unpublishes a flow and cancels its sessions. `None` if there is no such flow. `by` is who does it, for the
    /// audit.
    ///
    /// # Errors
    /// When the store takes no writes. What was cancelled until then stays so, and calling again goes on.
    pub async fn stop_flow(&self, id: FlowId, by: Actor) -> Result<Option<Stopped>> {
        let deed = Deed::new(AuditAction::FlowStopped, by).to(id);
        let recorded = deed.clone();
        let now = self.clock().now();
        let flow_seq = self.store().write_as(WriteClass::Essential, move |tx| {
            let Some(seq) = flows::seq_of(tx, id)? else { return Ok(None) };
            flows::unpublish(tx, seq, now)?;
            audit::record(tx, &recorded, now)?;
            Ok(Some(seq))
        });
        let Some(flow_seq) = flow_seq.await? else { return Ok(None) };
        audit::log(&deed);
        let mut stopped = Stopped::default();
        let mut after = 0;
        loop {
            let found = self.store().query(move |conn| sessions::running_of_flow(conn, flow_seq, after, BATCH)).await?;
            let Some((last, _)) = found.last() else { return Ok(Some(stopped)) };
            after = *last;
            let jobs: Vec<_> = found.into_iter().map(|(_, id)| (id, self.spawn_cancel(id))).collect();
            for (id, job) in jobs {
                let ended = job.await.map_err(|error| Error::internal("A cancel panicked").caused_by(error));
                match ended.flatten() {
                    Ok(Ended::Done { dropped }) => {
                        stopped.cancelled += 1;
                        stopped.dropped_messages += dropped;
                    }
                    Ok(Ended::NotRunning | Ended::NoTimer | Ended::NotFound) => {}
                    Err(error) if error.code() == crate::error::Code::Internal => {
                        tracing::error!(session = %id, %error, "a session of a stopped flow could not be cancelled");
                        stopped.failed += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn spawn_cancel(&self, id: SessionId) -> tokio::task::JoinHandle<Result<Ended>> {
        let runtime = self.clone();
        tokio::spawn(async move { runtime.handle(CancelSession { id, reason: Reason::FlowStopped.into() }).await })
    }
}
