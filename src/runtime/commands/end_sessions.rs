//! Ending all sessions of a contact, some in each job.

use crate::domain::Reason;
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::job::access::Access;
use crate::runtime::job::{Command, Deferred, Job};
use crate::store::{WriteClass, contacts};

/// Sessions that one job ends.
pub(super) const SESSIONS_PER_JOB: usize = 64;

/// Ends some of a contact's running sessions. The outcome is whether there may be more.
struct EndSessions {
    contact_seq: i64,
    reason: Reason,
    /// With degraded access they are marked, and not settled.
    access: Access,
}

impl Command for EndSessions {
    type Outcome = bool;

    fn class(&self) -> WriteClass {
        WriteClass::Essential
    }

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        let mut ended = 0;
        if self.access == Access::Degraded {
            while ended < SESSIONS_PER_JOB && job.cancel_unloaded(self.contact_seq, self.reason)? {
                ended += 1;
            }
        } else if let Some(contact) = contacts::find_by_seq(job.tx(), self.contact_seq)? {
            let sessions = job.running(&contact, SESSIONS_PER_JOB, false)?;
            ended = sessions.len();
            job.cancel_all(sessions, self.reason)?;
        }
        Ok(ended == SESSIONS_PER_JOB)
    }
}

/// Ends all running sessions of a contact. One that cannot be read or stepped does not stop that.
pub(in crate::runtime) async fn end_sessions(runtime: &Runtime, contact_seq: i64, reason: Reason) -> Result<()> {
    let mut access = Access::Full;
    loop {
        match runtime.handle(EndSessions { contact_seq, reason, access }).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if access.degrades_by(&error) => {
                tracing::error!(contact_seq, %error, "sessions could not be ended in good order; they are just marked");
                access = Access::Degraded;
            }
            Err(error) => return Err(error),
        }
    }
}
