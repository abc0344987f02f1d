//! A message from a person: whose it is, and what takes it.
//!
//! In order: de-duplicate by (channel, provider id), find or create the contact, opt-out words, opt-in words, then a
//! hold on the conversation (see [`super::job::held`]), the session whose message is tapped or quoted, a session in
//! handoff, the session that has the floor (it waits for a reply, or for the answer to an HTTP call and queues replies
//! meanwhile), keywords, a session that waits for something else, a late reply, the fallback flow; keywords, late
//! replies and the fallback flow as far as the limit of automatic answers lets them. What nothing takes is stored as
//! unrouted, with the reason. Each message is one write job (see [`route`] for the order), and all of it is committed
//! before its delivery is acknowledged.

mod auto_replies;
mod consent;
mod echo;
mod link_addresses;
mod message;
mod preferences;
mod received;
mod route;

use std::sync::Arc;

use uuid::Uuid;

use super::job::access::Access;
use super::job::held::{STANDBY, Sign};
use super::job::{Deferred, Job, to_json};
use super::{Change, Command, Runtime};
use crate::channels::incoming::IncomingKind;
pub use crate::domain::Handling;
use crate::domain::consent::Wish;
use crate::domain::{Direction, Holder, MessageId, MessageStatus, Reason, ReplyKind, SessionId};
use crate::error::Result;
use crate::store::{WriteClass, contacts, outbox};
use crate::store::{messages, messages::NewInbound};
pub use auto_replies::{AllowAutoReplies, has_stopped_auto_replies};
pub(super) use auto_replies::{Earlier, EarlierKind, Standing, standing};
pub use message::{Inbound, Quoted, Received};
pub(super) use route::LATE;

use message::Stored;
pub(super) use received::Marker;
use route::Route;

impl Runtime {
    /// Takes a message from a person, even if the flow that it is for cannot run: no message is lost to that, and
    /// opting out always works.
    ///
    /// # Errors
    /// As [`Runtime::handle`], when the message could not be stored at all.
    pub async fn receive(&self, inbound: Inbound) -> Result<Received> {
        let inbound = Arc::new(inbound);
        let is_opt_out = match inbound.kind {
            IncomingKind::Reply(kind) => self.is_opt_out(kind, inbound.text.as_deref()),
            _ => false,
        };
        let receive = |access| Receive { inbound: inbound.clone(), is_opt_out, access };
        let log =
            |error: &_| tracing::error!(%error, "a message could not be handled in good order; it is just stored");
        let received = self.handle_degraded(receive, log).await?;
        if self.channel().marks_read() && received.handling.is_taken() {
            self.inner.marker.mark_read(self, inbound.provider_id.clone());
        }
        Ok(received)
    }

    /// Whether a message is a word by which people opt out.
    pub(super) fn is_opt_out(&self, kind: ReplyKind, text: Option<&str>) -> bool {
        let typed = text.filter(|_| kind == ReplyKind::Text);
        typed.is_some_and(|text| self.shared().consent.find(Wish::OptOut, text).is_some())
    }
}

/// An [`Inbound`] as one job.
struct Receive {
    inbound: Arc<Inbound>,
    /// It is a word by which people opt out, for which there is always room.
    is_opt_out: bool,
    access: Access,
}

impl Command for Receive {
    type Outcome = Received;

    fn class(&self) -> WriteClass {
        if self.is_opt_out { WriteClass::Essential } else { WriteClass::Ongoing }
    }

    fn run(&self, job: &Job<'_>) -> Result<Received, Deferred> {
        let inbound = self.inbound.as_ref();
        let channel = job.channel();
        let sender = inbound.id_sender(job.shared().options.channel.kind());
        let id = (sender.as_str(), inbound.provider_id.as_str());
        let shown = &inbound.from.addresses;
        let known = job.only_owner(shown)?;
        if let Some(earlier) = messages::find_received(job.tx(), channel, id, known.as_ref().map(|known| known.seq))? {
            return Ok(duplicate(earlier.id, earlier.session_id));
        }
        if let Some(message_id) = job.erased_message(channel, id, known.as_ref())? {
            return Ok(duplicate(message_id, None));
        }
        let contact = job.identify(shown, inbound.from.name.as_deref(), channel, self.access)?;
        let contact = match self.access {
            Access::Full => self.note_holder(job, contact)?,
            Access::Degraded => contact,
        };
        let route = match (inbound.kind, self.access) {
            (IncomingKind::Reply(kind), Access::Full) => route::choose(job, inbound, kind, &contact)?,
            (IncomingKind::Reply(kind), Access::Degraded) => route::choose_degraded(job, inbound, kind),
            _ => Route::Noted,
        };
        let stored = self.store(job, &contact, &route)?;
        let mut received = Received {
            message_id: stored.id,
            session_id: route.session().map(|at| at.id),
            handling: route.handling(),
            reason: route.reason().map(String::from),
        };
        match (inbound.kind, route) {
            (IncomingKind::Reply(kind), route) => {
                route::follow(job, inbound, kind, route, (&contact, &stored), &mut received)?;
            }
            (IncomingKind::NumberChanged, _) => {
                job.change_addresses(&contact, shown, inbound.payload.as_ref(), self.access)?;
            }
            _ => {}
        }
        Ok(received)
    }
}

impl Receive {
    /// Updates the hold by a message: one to another system of the provider begins or extends that system's hold, and
    /// one to us ends it if it is newer than the last to that system.
    fn note_holder(
        &self,
        job: &Job<'_>,
        contact: contacts::StoredContact,
    ) -> Result<contacts::StoredContact, Deferred> {
        let IncomingKind::Reply(_) = self.inbound.kind else { return Ok(contact) };
        let heard_at = self.inbound.arrival.at();
        let at = self.inbound.sent_at.map_or(heard_at, |at| at.min(heard_at));
        let standby = job.holder(contact.held).filter(|held| held.by == Holder::Standby);
        if self.inbound.is_overheard {
            job.hold_for_other(&contact, Sign { by: Holder::Standby, at, arrival: &self.inbound.arrival })?;
        } else if standby.is_some_and(|held| at >= held.until.minus(STANDBY)) {
            job.let_go(&contact)?;
        } else {
            return Ok(contact);
        }
        Ok(job.contact(contact.seq)?)
    }

    /// Stores the message, and publishes it to webhook endpoints and watchers.
    fn store(&self, job: &Job<'_>, contact: &contacts::StoredContact, route: &Route) -> Result<Stored, Deferred> {
        let inbound = self.inbound.as_ref();
        let (id, at) = (MessageId(Uuid::now_v7()), inbound.arrival.at());
        let session = route.session();
        let seq = messages::insert_inbound(
            job.tx(),
            &NewInbound {
                id,
                contact_seq: contact.seq,
                session: session.map(|at| (at.seq, at.turn)),
                channel: job.channel(),
                provider_id: Some(&inbound.provider_id),
                sender: &inbound.id_sender(job.shared().options.channel.kind()),
                kind: inbound.kind.as_str(),
                body: &to_json(&inbound.body())?,
                handled: Some(route.handling()),
                reason: route.reason().map(Reason::as_str),
                created_at: at,
            },
        )?;
        if let IncomingKind::Reply(kind) = inbound.kind {
            // The window for free text is counted from when it was written, and a clock that is ahead opens it no
            // longer.
            let written_at = inbound.sent_at.map_or(at, |sent_at| sent_at.min(at));
            contacts::touch(job.tx(), contact.seq, 1, Some(written_at), at)?;
            if outbox::stop_waiting(job.tx(), job.channel(), contact.seq, job.now())? {
                job.wake_outbox();
            }
            received::message_received(job, inbound, kind, (contact, id))?;
        }
        let of_session = session.map(|at| (at.id, at.flow_id));
        job.note_change(|| Change::message(id, contact.contact.id, of_session, Direction::In, MessageStatus::Received));
        Ok(Stored { seq, id })
    }
}

fn duplicate(message_id: MessageId, session_id: Option<SessionId>) -> Received {
    Received { message_id, session_id, handling: Handling::Duplicate, reason: None }
}
