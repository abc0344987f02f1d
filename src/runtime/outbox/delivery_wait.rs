//! Waiting for the channel's answer on a message that was just queued.
//!
//! A caller registers before the message is queued: from then on every change of a message's status is published after
//! its commit. The store is read when the message is queued, at each such notification, and once more at the end; it
//! alone decides.

use std::time::Duration;

use tokio::sync::SemaphorePermit;

use crate::domain::{MessageId, MessageStatus, Reason};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::store::messages;
use crate::store::{Conn, channels};

/// How long a caller waits for the channel's answer.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How far a message got while its caller waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The channel took it.
    Sent {
        /// The channel's id of it.
        provider_id: Option<String>,
    },
    /// The simulator showed it.
    Simulated,
    /// It goes out as soon as it can.
    Queued,
    /// The channel may or may not have taken it.
    Unknown,
    /// It will not go out.
    Failed {
        /// The provider's code, or a reason of ours.
        reason: String,
        /// The provider's explanation.
        error: Option<String>,
    },
}

/// A caller who is going to wait.
pub struct DeliveryWait<'a> {
    runtime: &'a Runtime,
    permit: Option<SemaphorePermit<'a>>,
}

impl Runtime {
    /// Gets ready to wait for the delivery of a message that is queued after this.
    pub fn wait_for_delivery(&self) -> DeliveryWait<'_> {
        DeliveryWait { runtime: self, permit: self.shared().feed.waiters().try_wait() }
    }
}

impl DeliveryWait<'_> {
    /// Waits until the channel has answered, for five seconds at the most; not at all while the channel is paused or is
    /// to be held back by this message, or where too many wait already.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn result_of(self, id: MessageId) -> Result<DeliveryResult> {
        if self.permit.is_none() {
            return Ok(look(self.runtime, id).await?.result());
        }
        let registered = self.runtime.shared().feed.waiters().register(id);
        let mut timeout = std::pin::pin!(tokio::time::sleep(WAIT_TIMEOUT));
        loop {
            let mut woken = std::pin::pin!(registered.woken());
            woken.as_mut().enable();
            let seen = look(self.runtime, id).await?;
            if seen.is_settled {
                return Ok(seen.result());
            }
            tokio::select! {
                () = woken => {}
                () = &mut timeout => return Ok(look(self.runtime, id).await?.result()),
            }
        }
    }
}

/// The state of a message.
struct Seen {
    status: MessageStatus,
    provider_id: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    /// There is nothing to wait for.
    is_settled: bool,
}

impl Seen {
    fn result(self) -> DeliveryResult {
        match self.status {
            MessageStatus::Sent | MessageStatus::Delivered | MessageStatus::Read => {
                DeliveryResult::Sent { provider_id: self.provider_id }
            }
            MessageStatus::Simulated => DeliveryResult::Simulated,
            MessageStatus::Failed => {
                DeliveryResult::Failed { reason: self.reason.unwrap_or_default(), error: self.error }
            }
            MessageStatus::Unknown => DeliveryResult::Unknown,
            // It is on its way, and the channel takes its time.
            MessageStatus::Queued | MessageStatus::Sending | MessageStatus::Received => DeliveryResult::Queued,
        }
    }
}

async fn look(runtime: &Runtime, id: MessageId) -> Result<Seen> {
    runtime.store().query_vital(move |conn| see(conn, id)).await
}

fn see(conn: &Conn, id: MessageId) -> Result<Seen> {
    let Some(row) = messages::find_by_id(conn, id)? else {
        // Its person was erased meanwhile.
        let reason = Some(Reason::Erased.into());
        let status = MessageStatus::Failed;
        return Ok(Seen { status, provider_id: None, reason, error: None, is_settled: true });
    };
    let is_settled = match row.status {
        // An attempt was refused and goes again later, or the channel has stopped.
        MessageStatus::Queued => {
            row.error.is_some()
                || channels::find(conn, &row.channel)?.is_some_and(|channel| channel.paused_at.is_some())
        }
        MessageStatus::Sending => false,
        // A status may still come while it holds its lane.
        MessageStatus::Unknown => row.next_attempt_at.is_none(),
        _ => true,
    };
    let (status, provider_id, reason, error) = (row.status, row.provider_id, row.reason, row.error);
    Ok(Seen { status, provider_id, reason, error, is_settled })
}
