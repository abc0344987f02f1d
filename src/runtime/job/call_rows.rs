//! The rows of HTTP calls, kept in step with the sessions that wait for their answers.

use std::time::Duration;

use uuid::Uuid;

use super::{Job, LoadedSession};
use crate::domain::{HttpCall, Session, WaitKind};
use crate::error::Result;
use crate::store::http_calls::{self, NewCall};
use crate::store::sessions;

/// How long a call is worth making. A wait for one that is older times out: its session takes `failure`, and the call's
/// row goes.
const WORTHWHILE: Duration = Duration::from_secs(24 * 3600);
/// How long a wait's timer is moved on where the wait has no span.
const SPAN: Duration = Duration::from_secs(60);

impl Job<'_> {
    /// Keeps the table of calls in step with a session that has just moved: its new call is queued, and one that it no
    /// longer waits for goes.
    pub(in crate::runtime) fn keep_call(
        &self,
        session_seq: i64,
        before: &Session,
        after: &Session,
        call: Option<&HttpCall>,
    ) -> Result<()> {
        match (call, awaited_since(before)) {
            (Some(call), _) => {
                let (id, turn) = (Uuid::now_v7(), after.turn);
                http_calls::insert(self.tx(), &NewCall { id, session_seq, turn, call, created_at: self.now() })?;
                self.wakeups().calls();
                Ok(())
            }
            (None, Some(turn)) if awaited_since(after) != Some(turn) => {
                http_calls::delete_of_session(self.tx(), session_seq)
            }
            (None, _) => Ok(()),
        }
    }

    /// Moves the timer of a session whose wait for a call is over on, with its time to live, if the call is still to be
    /// made or answered. Returns whether it did.
    pub(in crate::runtime) fn rearm_for_call(&self, loaded: &mut LoadedSession) -> Result<bool> {
        let (Some(session_seq), Some(turn)) = (loaded.seq, awaited_since(&loaded.session)) else { return Ok(false) };
        let Some(made_at) = http_calls::made_at(self.tx(), session_seq, turn)? else { return Ok(false) };
        let Some(wait) = &mut loaded.session.wait else { return Ok(false) };
        let Some(was_due_at) = wait.wake_at.filter(|_| self.now().since(made_at) < WORTHWHILE) else {
            return Ok(false);
        };
        let due_at = self.now().plus(wait.timeout.map_or(SPAN, Duration::from_millis));
        wait.wake_at = Some(due_at);
        loaded.session.expires_at = loaded.session.expires_at.map(|at| at.plus(due_at.since(was_due_at)));
        sessions::update(self.tx(), session_seq, &loaded.session, loaded.prompted_at)?;
        self.arm(&loaded.session);
        Ok(true)
    }
}

/// The turn since which a session has been waiting for the answer to a call.
fn awaited_since(session: &Session) -> Option<u32> {
    session.wait.as_ref().filter(|wait| wait.kind == WaitKind::Http).map(|wait| wait.armed_in)
}
