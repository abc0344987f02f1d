//! Messages of other senders to a person on our number: they are kept in the conversation, and flows are silent for a
//! while.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::channels::incoming::{Echo, Handover, IncomingKind};
use crate::domain::{Direction, Holder, MessageId, MessageStatus, ReceivedBody};
use crate::error::{Code, Result};
use crate::runtime::job::access::Access;
use crate::runtime::job::arrivals::Arrival;
use crate::runtime::job::held::Sign;
use crate::runtime::job::{Deferred, Job, to_json};
use crate::runtime::{Change, Command, Runtime};
use crate::store::{contacts, outbox};
use crate::store::{messages, messages::NewElsewhere};

/// Takes an [`Echo`].
struct TakeEcho {
    echo: Arc<Echo>,
    arrival: Arc<Arrival>,
    /// With degraded access it is kept, and holds nothing.
    access: Access,
}

/// The outcome of an [`Echo`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Echoed {
    /// It is in the conversation.
    Kept,
    /// It is stored already, is a message of this server, or belongs to an erased person.
    Known,
}

impl Command for TakeEcho {
    type Outcome = Echoed;

    fn run(&self, job: &Job<'_>) -> Result<Echoed, Deferred> {
        let (tx, channel, echo) = (job.tx(), job.channel(), self.echo.as_ref());
        let is_ours = match echo.message_id {
            Some(id) => outbox::find_by_id(tx, id)?.is_some(),
            None => false,
        };
        if is_ours || messages::find_by_provider_id(tx, channel, Direction::Out, &echo.provider_id)?.is_some() {
            return Ok(Echoed::Known);
        }
        let shown = &echo.to.addresses;
        let known = job.only_owner(shown)?;
        if job.erased_message(channel, ("", &echo.provider_id), known.as_ref())?.is_some() {
            return Ok(Echoed::Known);
        }
        let contact = job.identify(shown, echo.to.name.as_deref(), channel, self.access)?;
        let heard_at = self.arrival.at();
        let sent_at = echo.sent_at.map_or(heard_at, |at| at.min(heard_at));
        let id = MessageId(Uuid::now_v7());
        messages::insert_elsewhere(
            tx,
            &NewElsewhere {
                id,
                contact_seq: contact.seq,
                channel,
                provider_id: &echo.provider_id,
                by: echo.by,
                kind: echo.kind.as_str(),
                body: &to_json(&body(echo))?,
                sent_at,
                created_at: job.now(),
            },
        )?;
        if matches!(echo.kind, IncomingKind::Reply(_)) {
            contacts::touch(tx, contact.seq, 1, None, sent_at)?;
        }
        job.note_change(|| Change::message(id, contact.contact.id, None, Direction::Out, MessageStatus::Sent));
        // Deleting a message, or reacting to one, does not begin a conversation.
        if self.access.is_full() && matches!(echo.kind, IncomingKind::Reply(_) | IncomingKind::Edit) {
            job.hold_for_other(&contact, Sign { by: echo.by, at: sent_at, arrival: &self.arrival })?;
        }
        Ok(Echoed::Kept)
    }
}

fn body(echo: &Echo) -> ReceivedBody<'_> {
    ReceivedBody {
        text: echo.text.as_deref(),
        option: None,
        reply_to: echo.reply_to.clone(),
        payload: echo.payload.as_ref(),
        sent_at: echo.sent_at,
    }
}

/// Takes a [`Handover`]. The outcome is whether its address belongs to a contact.
struct TakeHandover {
    handover: Handover,
    arrival: Arc<Arrival>,
}

impl Command for TakeHandover {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        let Handover { person, to_us, at } = &self.handover;
        // An unknown person has no conversation to hold or show.
        let Some(contact) = job.only_owner(&person.addresses)? else { return Ok(false) };
        let heard_at = self.arrival.at();
        let at = at.map_or(heard_at, |at| at.min(heard_at));
        if !to_us {
            job.hold_for_other(&contact, Sign { by: Holder::Standby, at, arrival: &self.arrival })?;
        } else if contact.held.is_some_and(|held| held.by == Holder::Standby && at >= held.since) {
            job.let_go(&contact)?;
        }
        Ok(true)
    }
}

impl Runtime {
    /// Takes a message that another sender wrote to a person from our number, even if the person's sessions cannot be
    /// stepped.
    ///
    /// # Errors
    /// As [`Runtime::handle`], when it could not be stored at all.
    pub(in crate::runtime) async fn take_echo(&self, echo: Echo, arrival: Arc<Arrival>) -> Result<()> {
        let echo = Arc::new(echo);
        let take = |access| TakeEcho { echo: echo.clone(), arrival: arrival.clone(), access };
        let log = |error: &_| {
            tracing::error!(%error, "what a colleague wrote could not be handled in good order; it is just stored");
        };
        self.handle_degraded(take, log).await.map(drop)
    }

    /// Takes that a conversation changed hands.
    ///
    /// # Errors
    /// As [`Runtime::handle`].
    pub(in crate::runtime) async fn take_handover(&self, handover: Handover, arrival: Arc<Arrival>) -> Result<()> {
        match self.handle(TakeHandover { handover, arrival }).await {
            Err(error) if error.code() == Code::Internal => {
                // The next message on either side shows the same.
                tracing::error!(%error, "that a conversation changed hands could not be handled; it is left at that");
                Ok(())
            }
            other => other.map(drop),
        }
    }
}
