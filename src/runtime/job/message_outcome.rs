//! What follows when a message is settled: its lane is released, its session gets the event, and the change is
//! published.

use serde_json::Value;

use super::access::Access;
use super::changes::Change;
use super::ending::SessionEnder;
use super::turn;
use super::{Deferred, Job, LoadedSession, to_json};
use crate::domain::{
    CounterName, Direction, EventKind, Held, Holder, MessageStatus, Reason, Status, StoredMessage, Timestamp,
};
use crate::engine::{Event, rearm};
use crate::error::{Error, Result};
use crate::store::contacts::{self, StoredContact};
use crate::store::messages;
use crate::store::outbox::{self, OutboxRow, SessionBrief};
use crate::store::{Counter, sessions};
use crate::views::event::{MessageFailure, MessageProgress};

/// What Meta calls the categories by which it bills (2026). Others are counted together.
const PRICED: [&str; 8] = [
    "authentication",
    "authentication_international",
    "marketing",
    "marketing_lite",
    "referral_conversion",
    "service",
    "utility",
    "group_service",
];
/// Sessions that one job ends.
const SESSIONS_PER_JOB: usize = 64;

/// That a channel took a message.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct Acceptance<'a> {
    /// The channel's id of it.
    pub(in crate::runtime) provider_id: Option<&'a str>,
    /// When the channel took it; the session's timeout counts from then.
    pub(in crate::runtime) at: Timestamp,
    /// Whether the channel confirmed it. Else it merely counts as taken, and stays `unknown`.
    pub(in crate::runtime) is_certain: bool,
    /// With degraded access its session's timeout is not moved.
    pub(in crate::runtime) access: Access,
}

/// That a message will never go out, or never arrive.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct Failure<'a> {
    /// The provider's code, or a reason of ours.
    pub(in crate::runtime) reason: &'a str,
    /// The provider's explanation.
    pub(in crate::runtime) error: Option<&'a str>,
    /// When it failed.
    pub(in crate::runtime) at: Timestamp,
    /// Whether its session gets the failure as an event, which may end it.
    pub(in crate::runtime) notifies_session: bool,
}

impl Job<'_> {
    /// Settles a message that the channel took, or that counts as taken: its session was prompted then, and has the
    /// timeout's whole span from then on if it was the last of its turn. One that is settled already only learns ids.
    pub(in crate::runtime) fn accept(&self, row: &OutboxRow, acceptance: &Acceptance<'_>) -> Result<()> {
        let Acceptance { provider_id, at, is_certain, access } = *acceptance;
        if let Some(provider_id) = provider_id
            && !outbox::learn_provider_id(self.tx(), row, provider_id)?
        {
            tracing::warn!(message = %row.id, provider_id, "the channel gave two messages the same id");
        }
        if row.next_attempt_at.is_none() {
            return Ok(());
        }
        let status = if is_certain { MessageStatus::Sent } else { MessageStatus::Unknown };
        outbox::settle(self.tx(), row.seq, status, is_certain.then_some(at), self.now())?;
        self.go_on_behind(row)?;
        // A message that goes out once more is the same one.
        let is_first = row.accepted_at.is_none();
        contacts::touch(self.tx(), row.contact_seq, u32::from(is_first), None, at)?;
        let session = self.brief(row)?;
        if let (Some(seq), Some(session)) = (row.session_seq, &session) {
            if is_first {
                self.count_message(CounterName::MessageOut, session);
            }
            self.prompted(row, (seq, session), at, access)?;
        }
        self.take_control(row, is_certain)?;
        self.note_progress(row, session.as_ref(), status)?;
        // No status of this channel follows, so the stage is published here.
        if is_certain && !self.shared().options.channel.kind().reports_progress() {
            self.publish_stage(row, "sent", provider_id, at, None)?;
        }
        Ok(())
    }

    /// Holds the job for whatever failing a message may hold it for, before anything is written: its flow, and replies
    /// that came before its session fell due.
    pub(in crate::runtime) fn wait_to_fail(&self, row: &OutboxRow) -> Result<(), Deferred> {
        match self.load_of(row)? {
            Some(loaded) if loaded.is_running() => self.wait_for_replies(&loaded.session),
            _ => Ok(()),
        }
    }

    /// Ends the hold that another system of Meta has on the conversation, because sending a free text takes control of
    /// it back. A text whose attempt began before the hold does not end it, and neither does a template.
    fn take_control(&self, row: &OutboxRow, is_certain: bool) -> Result<()> {
        if !is_certain || !self.shared().options.channel.kind().has_handover() {
            return Ok(());
        }
        let held = self.holder(contacts::held(self.tx(), row.contact_seq)?);
        let is_ours_since = |held: &Held| {
            held.by == Holder::Standby && row.claimed_at.is_some_and(|claimed_at| claimed_at >= held.since)
        };
        if held.is_some_and(|held| is_ours_since(&held))
            && !row.body.message().is_some_and(StoredMessage::was_template)
            && let Some(contact) = contacts::find_by_seq(self.tx(), row.contact_seq)?
        {
            self.let_go(&contact)?;
        }
        Ok(())
    }

    /// Fails a message for good. Its session takes `delivery_failed` if it is still in the message's turn; else the
    /// failure is noted in its trace.
    pub(in crate::runtime) fn fail_message(&self, row: &OutboxRow, failure: &Failure<'_>) -> Result<(), Deferred> {
        let Failure { reason, error, at, notifies_session } = *failure;
        let session = self.brief(row)?;
        let is_running = session.as_ref().is_some_and(|session| session.status == Status::Running);
        let mut loaded = if notifies_session && is_running { self.load_of(row)? } else { None };
        if let Some(loaded) = &mut loaded {
            self.wait_for_replies(&loaded.session)?;
            // Done while the message still counts as unsettled: a timeout must not come before the failure of its own
            // prompt.
            self.fire_due(loaded, self.now())?;
        }
        outbox::fail(self.tx(), row.seq, reason, error, self.now())?;
        self.drop_parts_of_failed(row, reason)?;
        self.note_failed(row.contact_seq, row.id);
        self.go_on_behind(row)?;
        self.publish_stage(row, "failed", row.provider_id.as_deref(), at, Some((reason, error)))?;
        if let Some(session) = &session {
            self.count_message(CounterName::MessageFailed, session);
        }
        self.note_progress(row, session.as_ref(), MessageStatus::Failed)?;
        let node = row.body.message().and_then(|message| message.node.clone());
        let (Some(turn), Some(node)) = (row.turn, node) else { return Ok(()) };
        let event = Event::DeliveryFailed { turn, node, code: reason.to_owned() };
        match (loaded, row.session_seq, session) {
            (Some(mut loaded), _, _) => {
                self.refresh(&mut loaded)?;
                self.apply(&mut loaded, &event)?;
            }
            (None, Some(seq), Some(session)) if notifies_session && !is_running => {
                self.trace_not_taken(seq, session.turn, event, Reason::HasEnded)?;
                if session.turn == turn
                    && let Some(marked) = self.session_ender().fail_completed(seq, reason)?
                {
                    self.note_marked(&marked, Status::Failed)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Opts a person out of marketing who has asked the channel for it. What was begun with the person ends: sessions
    /// in which the person has not written, and what is queued for them. A session in which the person has written goes
    /// on. `true` if there may be more sessions than one job ends. With degraded access all of them end.
    pub(in crate::runtime) fn opt_out_of_marketing(
        &self,
        contact: &StoredContact,
        access: Access,
    ) -> Result<bool, Deferred> {
        if contact.contact.opted_out_at.is_some() {
            return Ok(false);
        }
        let sessions = match access {
            Access::Full => self.running(contact, SESSIONS_PER_JOB, true)?,
            Access::Degraded => Vec::new(),
        };
        let are_all = sessions.len() < SESSIONS_PER_JOB;
        let mut begun = Vec::new();
        let mut goes_on = false;
        for loaded in sessions {
            match loaded.seq {
                Some(seq) if messages::has_written_in(self.tx(), contact.seq, seq)? => goes_on = true,
                _ => begun.push(loaded),
            }
        }
        let mut after = contact.contact.clone();
        (after.opted_out_at, after.marketing_only) = (Some(self.now()), true);
        contacts::update(self.tx(), contact.seq, &after, &contact.contact, self.now())?;
        self.cancel_all(begun, Reason::OptedOut)?;
        while access == Access::Degraded && self.cancel_unloaded(contact.seq, Reason::OptedOut)? {}
        if !goes_on {
            // While a session goes on, the queue stays: whether a message may go out is checked when it is due.
            self.drop_queued_of(contact.seq, Reason::OptedOut)?;
        }
        self.emit_consent(EventKind::ContactOptedOut, contact.seq)?;
        Ok(!are_all && !goes_on)
    }

    /// Drops what flows and systems have queued for a contact.
    pub(in crate::runtime) fn drop_queued_of(&self, contact_seq: i64, reason: Reason) -> Result<()> {
        let dropped = self.session_ender().drop_queued_of(contact_seq, reason)?;
        self.note_dropped(&dropped)
    }

    /// Publishes the failure of messages that were dropped from the queue. No session gets it: theirs has ended.
    pub(in crate::runtime) fn publish_dropped(&self, dropped: &[OutboxRow], reason: Reason) -> Result<()> {
        self.session_ender().publish_dropped(dropped, reason)?;
        self.note_dropped(dropped)
    }

    /// Adds the same to the feed of changes.
    pub(in crate::runtime) fn note_dropped(&self, dropped: &[OutboxRow]) -> Result<()> {
        if self.is_watched() {
            for row in dropped {
                self.note_progress(row, self.brief(row)?.as_ref(), MessageStatus::Failed)?;
            }
        }
        Ok(())
    }

    /// Publishes a stage of a message once. `false` if it was published before.
    pub(in crate::runtime) fn publish_stage(
        &self,
        row: &OutboxRow,
        stage: &'static str,
        provider_id: Option<&str>,
        at: Timestamp,
        failure: Option<(&str, Option<&str>)>,
    ) -> Result<bool> {
        self.session_ender().publish_stage(row, stage, provider_id, at, failure, None)
    }

    /// The same with what the message costs, if the status has that.
    pub(in crate::runtime) fn publish_priced_stage(
        &self,
        row: &OutboxRow,
        stage: &'static str,
        provider_id: Option<&str>,
        at: Timestamp,
        pricing: Option<&Value>,
    ) -> Result<bool> {
        self.session_ender().publish_stage(row, stage, provider_id, at, None, pricing)
    }

    /// Records what a message costs, and counts it the first time, by what the channel calls its category.
    pub(in crate::runtime) fn note_pricing(&self, row: &OutboxRow, pricing: &Value) -> Result<()> {
        if !messages::set_pricing(self.tx(), row.seq, &to_json(pricing)?)? {
            return Ok(());
        }
        let category = pricing.get("category").and_then(Value::as_str).unwrap_or_default();
        // The channel's words, but not as many as it likes.
        let category = PRICED.iter().find(|known| **known == category).unwrap_or(&"other");
        let name = match pricing.get("billable").and_then(Value::as_bool) {
            Some(false) => CounterName::MessageFree,
            _ => CounterName::MessageBillable,
        };
        let total = Counter { exit: (*category).into(), ..Counter::of(name) };
        self.tx().count(Counter { hour: Counter::hour_of(self.now()), ..total.clone() }, 1);
        self.tx().count(total, 1);
        Ok(())
    }

    /// What a message's session looks like; `None` without one, or once it is gone.
    pub(in crate::runtime) fn brief(&self, row: &OutboxRow) -> Result<Option<SessionBrief>> {
        row.session_seq.map_or(Ok(None), |seq| outbox::session(self.tx(), seq))
    }

    pub(in crate::runtime) fn note_progress(
        &self,
        row: &OutboxRow,
        session: Option<&SessionBrief>,
        status: MessageStatus,
    ) -> Result<()> {
        if !self.is_watched() {
            return Ok(());
        }
        if let Some(contact_id) = outbox::addressee(self.tx(), row.contact_seq)?.and_then(|addressee| addressee.id) {
            let of_session = session.map(|session| (session.id, session.flow_id));
            self.note_change(|| Change::message(row.id, contact_id, of_session, Direction::Out, status));
        }
        Ok(())
    }

    /// Whether the timer that a session's due event would fire has to wait, because a message of the turn in which it
    /// was armed is not settled: a prompt that has not arrived cannot be answered, and messages that a delay separates
    /// would go out together. The timer is then armed again, counted from now.
    pub(in crate::runtime) fn put_off_timeout(&self, loaded: &mut LoadedSession, event: &Event) -> Result<bool> {
        let (Event::Timeout { armed_in }, Some(seq), Some(contact_seq)) = (event, loaded.seq, loaded.contact_seq())
        else {
            return Ok(false);
        };
        if !outbox::is_turn_unsettled(self.tx(), self.channel(), contact_seq, (seq, *armed_in))?
            || !rearm(&mut loaded.session, *armed_in, self.now())
        {
            return Ok(false);
        }
        sessions::update(self.tx(), seq, &loaded.session, loaded.prompted_at)?;
        self.arm(&loaded.session);
        // A span of nothing would be due again at once, for ever.
        Ok(turn::due(&loaded.session, self.now()).as_ref() != Some(event))
    }

    fn prompted(
        &self,
        row: &OutboxRow,
        (seq, session): (i64, &SessionBrief),
        at: Timestamp,
        access: Access,
    ) -> Result<()> {
        if session.status != Status::Running {
            return Ok(());
        }
        // While the conversation is held, the span counts from the end of the hold.
        let counts_from = match contacts::held(self.tx(), row.contact_seq)? {
            Some(held) => at.plus(held.rest(at)),
            None => at,
        };
        if let Some(turn) = row.turn
            && access.is_full()
            && session.has_span
            && !outbox::is_turn_unsettled(self.tx(), self.channel(), row.contact_seq, (seq, turn))?
            && let Some(mut stored) = sessions::find_by_seq(self.tx(), seq)?
            && rearm(&mut stored.session, turn, counts_from)
        {
            let prompted_at = stored.prompted_at.map_or(at, |earlier| earlier.max(at));
            sessions::update(self.tx(), seq, &stored.session, Some(prompted_at))?;
            self.arm(&stored.session);
            return Ok(());
        }
        sessions::set_prompted(self.tx(), seq, at)
    }

    fn load_of(&self, row: &OutboxRow) -> Result<Option<LoadedSession>, Deferred> {
        let Some(seq) = row.session_seq else { return Ok(None) };
        let Some(stored) = sessions::find_by_seq(self.tx(), seq)? else { return Ok(None) };
        let contact = contacts::find_by_seq(self.tx(), stored.contact_seq)?
            .ok_or_else(|| Error::internal(format!("Session {} has no contact", stored.session.id)))?;
        self.load(stored, contact).map(Some)
    }

    fn go_on_behind(&self, row: &OutboxRow) -> Result<()> {
        if outbox::release(self.tx(), &row.channel, row.contact_seq, self.now())? {
            self.wake_outbox();
        }
        Ok(())
    }

    fn count_message(&self, name: CounterName, session: &SessionBrief) {
        self.session_ender().count_message(name, session);
    }
}

impl SessionEnder<'_> {
    /// Publishes the failure of messages that were dropped from the queue.
    pub(in crate::runtime) fn publish_dropped(&self, dropped: &[OutboxRow], reason: Reason) -> Result<()> {
        for row in dropped {
            // What was behind them may go out.
            self.wakeups.messages();
            self.publish_stage(row, "failed", None, self.now, Some((reason.as_str(), None)), None)?;
            if let Some(seq) = row.session_seq
                && let Some(session) = outbox::session(self.tx, seq)?
            {
                self.count_message(CounterName::MessageFailed, &session);
            }
        }
        Ok(())
    }

    fn publish_stage(
        &self,
        row: &OutboxRow,
        stage: &'static str,
        provider_id: Option<&str>,
        at: Timestamp,
        failure: Option<(&str, Option<&str>)>,
        pricing: Option<&Value>,
    ) -> Result<bool> {
        if !outbox::add_stage(self.tx, row.seq, stage, at)? {
            return Ok(false);
        }
        let event = match stage {
            "sent" => EventKind::MessageSent,
            "delivered" => EventKind::MessageDelivered,
            "read" => EventKind::MessageRead,
            "failed" => EventKind::MessageFailed,
            // Nothing outside knows of it.
            _ => return Ok(true),
        };
        self.emit_at(event, Some(row.contact_seq), at, || MessageProgress {
            message_id: row.id,
            whatsapp_message_id: provider_id.or(row.provider_id.as_deref()),
            failure: failure.map(|(error_code, error_message)| MessageFailure { error_code, error_message }),
            pricing,
        })?;
        Ok(true)
    }

    fn count_message(&self, name: CounterName, session: &SessionBrief) {
        let of_flow = Counter { flow_seq: session.flow_seq, ..Counter::of(name) };
        self.count_each(of_flow, session.version, 1);
    }
}
