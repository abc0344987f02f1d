//! Deleting what was kept for long enough: sessions, messages and turns, as the operator has set.
//!
//! It goes through the tables once an hour, reads outside of the writer, and deletes a few rows in each job. After each
//! job it leaves the writer to others for several times as long as the job took, so that callers notice little.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Timestamp;
use crate::error::Result;
use crate::runtime::options::Retention;
use crate::runtime::{Runtime, log_failure};
use crate::store::retention::{self, Found};
use crate::store::{Conn, Tx, WriteClass};

/// How often the tables are gone through.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Rows that one job deletes; a session counts with its turns as one.
const ROWS_PER_JOB: usize = 32;
/// How many times as long as a job took the writer is left to others after it.
const PAUSE: u32 = 3;
/// The shortest such pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

/// Rows that a pass has deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Sessions, with their turns.
    pub sessions: usize,
    /// Messages.
    pub messages: usize,
    /// Turns of sessions that are kept.
    pub turns: usize,
}

impl Runtime {
    /// Deletes what was kept for long enough once an hour until `stop` is done.
    pub async fn run_retention(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let Retention { sessions, messages, traces, .. } = self.shared().options.retention;
        if [sessions, messages, traces].iter().all(Duration::is_zero) {
            return stop.await;
        }
        loop {
            tokio::select! {
                () = &mut stop => return,
                done = self.apply_retention() => if let Err(error) = done {
                    log_failure(self, &error, "old rows could not be deleted; it is tried again within the hour");
                }
            }
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Goes through the tables once, and deletes what was kept for long enough.
    ///
    /// # Errors
    /// When the database cannot be read or refuses; what was deleted before stays so.
    pub async fn apply_retention(&self) -> Result<Deleted> {
        let Retention { sessions, messages, traces, .. } = self.shared().options.retention;
        let now = self.clock().now();
        let before = |kept: Duration| (!kept.is_zero()).then(|| now.minus(kept));
        let mut deleted = Deleted::default();
        if let Some(before) = before(sessions) {
            let quiet = self.store().query_vital(retention::quiet_periods).await?;
            let minutes = |minutes: u32| now.minus(Duration::from_secs(u64::from(minutes) * 60));
            let quiet: HashMap<i64, Timestamp> = quiet.into_iter().map(|(flow, n)| (flow, minutes(n))).collect();
            let find = move |conn: &Conn, after| retention::sessions(conn, after, before, &quiet);
            deleted.sessions = self.delete_all(find, retention::delete_session).await?;
        }
        if let Some(before) = before(messages) {
            let find = move |conn: &Conn, after| retention::messages(conn, after, before);
            let delete = |tx: &Tx<'_>, seq| retention::delete_message(tx, seq).map(|()| true);
            deleted.messages = self.delete_all(find, delete).await?;
        }
        if let Some(before) = before(traces) {
            let find = move |conn: &Conn, after| retention::turns(conn, after, before);
            let delete = |tx: &Tx<'_>, seq| retention::delete_turn(tx, seq).map(|()| true);
            deleted.turns = self.delete_all(find, delete).await?;
        }
        if deleted != Deleted::default() {
            let Deleted { sessions, messages, turns } = deleted;
            tracing::info!(sessions, messages, turns, "what was kept for long enough was deleted");
        }
        Ok(deleted)
    }

    /// Deletes all rows that are found, a few in a job. `delete` returns whether the row is gone. Gives how many.
    async fn delete_all(
        &self,
        find: impl Fn(&Conn, i64) -> Result<Found> + Clone + Send + 'static,
        delete: impl Fn(&Tx<'_>, i64) -> Result<bool> + Copy + Send + 'static,
    ) -> Result<usize> {
        let (mut after, mut deleted) = (0, 0);
        loop {
            let look = find.clone();
            let Found { seqs, last } = self.store().query_vital(move |conn| look(conn, after)).await?;
            for some in seqs.chunks(ROWS_PER_JOB) {
                let mut left = some.to_vec();
                while !left.is_empty() {
                    let begun = Instant::now();
                    let some = left.clone();
                    let job = move |tx: &Tx<'_>| {
                        let mut rest = Vec::new();
                        for seq in &some {
                            // One with very many parts ends the job.
                            if !rest.is_empty() || !delete(tx, *seq)? {
                                rest.push(*seq);
                            }
                        }
                        Ok(rest)
                    };
                    left = self.store().write_as(WriteClass::Essential, job).await?;
                    tokio::time::sleep((begun.elapsed() * PAUSE).max(SHORTEST_PAUSE)).await;
                }
                deleted += some.len();
            }
            match last {
                Some(last) => after = last,
                None => return Ok(deleted),
            }
        }
    }
}
