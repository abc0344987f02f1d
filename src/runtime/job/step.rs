//! A session in a job: loading it, firing its overdue timers, stepping it, and storing the result.

use std::borrow::Cow;
use std::sync::Arc;

use super::ending::{BROKEN, UnloadedEnd, counted_as};
use super::sub_flows::SubFlows;
use super::turn::{self, NotTaken, Turn};
use super::{Deferred, Job, to_json};
use crate::domain::{Contact, CounterName, EventKind, Held, Reason, Session, Status, Timestamp};
use crate::engine::{self, CompiledFlow, Event, Move, TurnRecord};
use crate::error::{Error, Result};
use crate::store::contacts::{self, StoredContact};
use crate::store::sessions::{self, StoredSession};
use crate::store::{Counter, flows, turns};

/// What became of an event.
pub(in crate::runtime) enum Taken {
    /// The session took it.
    Accepted,
    /// The session took a reply that answers no question, for this reason.
    NoAnswer(Reason),
    /// It changed nothing, for this reason.
    Ignored(Reason),
}

/// Where a session's contact stands in the database.
#[derive(Clone, Copy)]
pub(in crate::runtime) enum ContactRow {
    /// In this row.
    Stored(i64),
    /// Nowhere yet: its row is inserted with the messages of the session's first turn, and has this `source`.
    New(&'static str),
}

/// A session at hand, with all that a step needs.
pub(in crate::runtime) struct LoadedSession {
    /// Its row; `None` before it is first persisted.
    pub(in crate::runtime) seq: Option<i64>,
    pub(in crate::runtime) flow_seq: i64,
    pub(in crate::runtime) flow: Arc<CompiledFlow>,
    pub(in crate::runtime) contact: Contact,
    pub(in crate::runtime) contact_row: ContactRow,
    pub(in crate::runtime) session: Session,
    pub(in crate::runtime) prompted_at: Option<Timestamp>,
    /// Who else holds the conversation, or held it last.
    pub(in crate::runtime) held: Option<Held>,
}

impl LoadedSession {
    pub(in crate::runtime) fn is_running(&self) -> bool {
        self.session.status == Status::Running
    }

    /// Row of its contact, once that has one.
    pub(in crate::runtime) fn contact_seq(&self) -> Option<i64> {
        match self.contact_row {
            ContactRow::Stored(seq) => Some(seq),
            ContactRow::New(_) => None,
        }
    }
}

impl Job<'_> {
    /// A session that is in the database, with its flow and contact.
    pub(in crate::runtime) fn load(
        &self,
        stored: StoredSession,
        contact: StoredContact,
    ) -> Result<LoadedSession, Deferred> {
        Ok(LoadedSession {
            seq: Some(stored.seq),
            flow_seq: stored.flow_seq,
            flow: self.flow(stored.flow_seq, stored.session.version)?,
            contact: contact.contact,
            contact_row: ContactRow::Stored(contact.seq),
            session: stored.session,
            prompted_at: stored.prompted_at,
            held: contact.held,
        })
    }

    /// At most `limit` of a contact's running sessions. It may defer the job, so it comes before anything is written.
    /// `after_replies`: first wait for replies that arrived before one of them fell due.
    pub(in crate::runtime) fn running(
        &self,
        contact: &StoredContact,
        limit: usize,
        after_replies: bool,
    ) -> Result<Vec<LoadedSession>, Deferred> {
        let mut sessions = Vec::new();
        for stored in sessions::running_of_contact(self.tx, contact.seq)?.into_iter().take(limit) {
            if after_replies {
                self.wait_for_replies(&stored.session)?;
            }
            sessions.push(self.load(stored, contact.clone())?);
        }
        Ok(sessions)
    }

    /// Fires every timer of a session that fell due until `until`, in due order. Gives how many there were. A timeout
    /// whose own prompt has not gone out yet begins anew instead.
    ///
    /// What fires one session's timer may change the contact under another: `live` gets its contact afresh.
    pub(in crate::runtime) fn fire_due(&self, loaded: &mut LoadedSession, until: Timestamp) -> Result<usize, Deferred> {
        // A clock that was set back while the job queued makes nothing due that the present does not; nor does one that
        // went on while the process stood still, until what came meanwhile has been read.
        let until = until.min(self.now).min(self.timer_cutoff);
        if turn::due(&loaded.session, until).is_none() {
            return Ok(0);
        }
        self.refresh(loaded)?;
        let mut fired = 0;
        while let Some(event) = turn::due(&loaded.session, until) {
            let is_timeout = matches!(event, Event::Timeout { .. });
            if (is_timeout && self.rearm_for_call(loaded)?) || self.put_off_timeout(loaded, &event)? {
                continue;
            }
            if let Some(why) = self.apply(loaded, &event)? {
                return Err(Error::internal(format!(
                    "A due timer of session {} was ignored: {why}",
                    loaded.session.id
                ))
                .into());
            }
            fired += 1;
        }
        Ok(fired)
    }

    /// Reads a session's contact again, because another session's turn in this job may have changed it.
    pub(in crate::runtime) fn refresh(&self, loaded: &mut LoadedSession) -> Result<()> {
        if let ContactRow::Stored(seq) = loaded.contact_row
            && let Some(stored) = contacts::find_by_seq(self.tx, seq)?
        {
            (loaded.contact, loaded.held) = (stored.contact, stored.held);
        }
        Ok(())
    }

    /// Steps a session and persists what came of it: the session, its contact, its messages, the trace and the counts.
    /// Gives why the event changed nothing, if so.
    pub(in crate::runtime) fn apply(
        &self,
        loaded: &mut LoadedSession,
        event: &Event,
    ) -> Result<Option<Reason>, Deferred> {
        Ok(match self.apply_reply(loaded, event)? {
            Taken::Accepted | Taken::NoAnswer(_) => None,
            Taken::Ignored(why) => Some(why),
        })
    }

    /// Like [`Job::apply`], but distinguishes a reply that the session took as an answer from one that it took although
    /// it answers no question.
    pub(in crate::runtime) fn apply_reply(&self, loaded: &mut LoadedSession, event: &Event) -> Result<Taken, Deferred> {
        let taken = self.apply_one(loaded, event)?;
        if !matches!(taken, Taken::Ignored(_)) {
            while let Some(event) = turn::next(&loaded.session) {
                let _ = self.apply_one(loaded, &event)?;
            }
        }
        Ok(taken)
    }

    /// One event of [`Job::apply_reply`].
    fn apply_one(&self, loaded: &mut LoadedSession, event: &Event) -> Result<Taken, Deferred> {
        let found = SubFlows::new(self);
        let lookup = |id, version| found.look_up(id, version);
        let limits = self.shared.options.channel.text_limits();
        // While another holder has the conversation, the session is stored with its timers moved on by the rest of the
        // hold. The step gets them without that.
        let held = self.holder(loaded.held).map(|held| (held, held.rest(self.now)));
        // The timers of a new session have not been moved yet.
        let before = held.filter(|_| loaded.seq.is_some()).map_or(Cow::Borrowed(&loaded.session), |(_, rest)| {
            let mut before = loaded.session.clone();
            engine::move_timers(&mut before, Move::Back(rest), self.now);
            Cow::Owned(before)
        });
        let turn = turn::take(&loaded.flow, &lookup, &loaded.contact, &before, event, (&limits, self.now));
        let Turn { mut session, contact, said, hours, call, handoffs, record, no_answer } = match turn {
            Ok(turn) => turn,
            Err(NotTaken::NotLoaded) => return Err(found.into_deferred()),
            Err(NotTaken::Ignored(why)) => {
                self.trace_ignored(loaded, event, why)?;
                return Ok(Taken::Ignored(why));
            }
        };
        if let Some((held, rest)) = held {
            engine::move_timers(&mut session, Move::On(rest), held.until);
        }
        let sent = said.iter().filter(|said| said.refused.is_none()).count();
        // What waits in the outbox counts, and has the floor, once the channel took it.
        let is_out = !self.shared.options.channel.kind().reaches_phones();
        let count = if is_out { u32::try_from(sent).unwrap_or(u32::MAX) } else { 0 };
        let contact_seq = self.store_contact(loaded, contact, count)?;
        let is_new = loaded.seq.is_none();
        let seq = self.store_session(loaded, contact_seq, &session)?;
        self.keep_call(seq, &loaded.session, &session, call.as_ref())?;
        if session.status != Status::Running {
            self.handle_end(loaded, seq, &session)?;
        }
        let message_seqs = self.insert_planned(loaded, (contact_seq, seq), &session, (&said, hours.as_ref()))?;
        self.count(CounterName::MessageOut, i64::from(count), loaded, &session);
        self.count_path(loaded, &session, &record)?;
        let trace = to_json(&record)?;
        turns::insert(self.tx, seq, record.turn, self.now, &trace, &message_seqs)?;
        self.arm(&session);
        self.note_session(&session);
        if is_new {
            self.emit_session(EventKind::SessionStarted, contact_seq, &loaded.contact, &session)?;
        }
        self.request_handoffs(contact_seq, &loaded.contact, &session, &handoffs)?;
        if let Some(event) = EventKind::of_end(session.status) {
            self.emit_session(event, contact_seq, &loaded.contact, &session)?;
        }
        loaded.session = session;
        Ok(no_answer.map_or(Taken::Accepted, Taken::NoAnswer))
    }

    /// Stores a session's contact as a turn has left it, with the messages that went out in it, and gives its row.
    fn store_contact(&self, loaded: &mut LoadedSession, contact: Contact, sent: u32) -> Result<i64> {
        let contact_seq = match loaded.contact_row {
            ContactRow::Stored(seq) => {
                contacts::update(self.tx, seq, &contact, &loaded.contact, self.now)?;
                if sent > 0 {
                    contacts::touch(self.tx, seq, sent, None, self.now)?;
                }
                seq
            }
            ContactRow::New(source) => contacts::insert_with_messages(self.tx, &contact, source, sent, self.now)?,
        };
        loaded.contact_row = ContactRow::Stored(contact_seq);
        loaded.contact = contact;
        if sent > 0 {
            loaded.prompted_at = Some(self.now);
        }
        Ok(contact_seq)
    }

    /// Stores a session as a turn has left it, and gives its row.
    fn store_session(&self, loaded: &mut LoadedSession, contact_seq: i64, session: &Session) -> Result<i64> {
        let seq = match loaded.seq {
            Some(seq) => {
                sessions::update(self.tx, seq, session, loaded.prompted_at)?;
                seq
            }
            None => {
                self.count(CounterName::SessionStarted, 1, loaded, session);
                sessions::insert(self.tx, loaded.flow_seq, contact_seq, session, loaded.prompted_at)?
            }
        };
        loaded.seq = Some(seq);
        Ok(seq)
    }

    /// Drops what a session has queued that has just ended, and counts its end.
    fn handle_end(&self, loaded: &LoadedSession, seq: i64, session: &Session) -> Result<()> {
        // What a session said on the way to its end goes out, however slow the channel is: the person has answered
        // what came of it.
        if session.status != Status::Completed {
            let dropped = self.drop_queued(seq, Some(session.turn), Reason::SessionEnded)?;
            self.dropped.set(self.dropped.get() + dropped);
        }
        if let Some(name) = counted_as(session) {
            self.count(name, 1, loaded, session);
        }
        Ok(())
    }

    /// Counts the exits that a turn has taken, by node.
    fn count_path(&self, loaded: &LoadedSession, session: &Session, record: &TurnRecord) -> Result<()> {
        for step in &record.path {
            // A sub-flow counts for itself.
            let of_flow = match step.flow {
                None => Some((loaded.flow_seq, session.version)),
                Some(pin) => flows::seq_of_any(self.tx, pin.id)?.map(|seq| (seq, pin.version)),
            };
            if let (Some(exit), Some((flow_seq, version))) = (&step.exit, of_flow) {
                let counter = Counter {
                    flow_seq,
                    version,
                    node: Some(step.node.clone()),
                    exit: exit.clone().into(),
                    ..Counter::of(CounterName::NodeExit)
                };
                if step.leads_nowhere {
                    self.tx.count(Counter { name: CounterName::NodeLeadsNowhere, ..counter.clone() }, 1);
                }
                self.tx.count(counter, 1);
            }
        }
        Ok(())
    }

    /// Drops what a session has queued in turns before `before_turn`, or all of it, and gives how many messages that
    /// were.
    fn drop_queued(&self, session_seq: i64, before_turn: Option<u32>, reason: Reason) -> Result<u64> {
        let dropped = self.session_ender().drop_queued(session_seq, before_turn, reason)?;
        self.note_dropped(&dropped)?;
        Ok(dropped.len() as u64)
    }

    /// Drops the queued messages of one contact's running sessions and cancels those, after their overdue timers have
    /// fired.
    pub(in crate::runtime) fn cancel_all(&self, sessions: Vec<LoadedSession>, reason: Reason) -> Result<(), Deferred> {
        for mut loaded in sessions {
            // The contact has changed since the session was loaded, and the one before may have changed it again.
            self.refresh(&mut loaded)?;
            if let Some(seq) = loaded.seq {
                self.drop_queued(seq, None, reason)?;
            }
            self.fire_due(&mut loaded, self.now)?;
            if loaded.is_running() {
                self.apply(&mut loaded, &Event::Cancel { reason: reason.into() })?;
            }
        }
        Ok(())
    }

    /// Ends a session as failed that cannot be read or stepped, if it is still due: without reading it.
    pub(in crate::runtime) fn give_up(&self, session_seq: i64) -> Result<bool> {
        let Some(failed) = sessions::mark_failed(self.tx, session_seq, Reason::InternalError.as_str(), self.now)?
        else {
            return Ok(false);
        };
        let (stimulus, reason) = (Reason::InternalError.as_str(), Reason::SessionEnded);
        let unread = UnloadedEnd { stimulus, reason, note: BROKEN };
        let dropped = self.session_ender().end_unloaded(&failed, Status::Failed, unread)?;
        self.note_dropped(&dropped)?;
        Ok(true)
    }

    /// Cancels a running session of a contact that cannot be read or stepped, without reading it. Gives whether there
    /// was one.
    pub(in crate::runtime) fn cancel_unloaded(&self, contact_seq: i64, reason: Reason) -> Result<bool> {
        let Some(dropped) = self.session_ender().cancel_unloaded(contact_seq, reason, BROKEN)? else {
            return Ok(false);
        };
        self.note_dropped(&dropped)?;
        Ok(true)
    }

    /// Traces an event that changed nothing, if it came from outside.
    fn trace_ignored(&self, loaded: &LoadedSession, event: &Event, why: Reason) -> Result<()> {
        match (loaded.seq, event) {
            (Some(seq), Event::Reply(_) | Event::External { .. } | Event::DeliveryFailed { .. }) => {
                self.trace_not_taken(seq, loaded.session.turn, event.clone(), why)
            }
            _ => Ok(()),
        }
    }

    /// Notes in a session's trace what it was sent and did not take. `turn` is the last that it took.
    pub(in crate::runtime) fn trace_not_taken(
        &self,
        session_seq: i64,
        turn: u32,
        stimulus: Event,
        why: Reason,
    ) -> Result<()> {
        let record = turn::not_taken(turn, stimulus, why);
        turns::insert(self.tx, session_seq, turn, self.now, &to_json(&record)?, &[])?;
        Ok(())
    }

    /// Counts for the flow's lifetime, for its version's, and for the flow's hour.
    fn count(&self, name: CounterName, delta: i64, loaded: &LoadedSession, session: &Session) {
        if delta > 0 {
            let of_flow = Counter { flow_seq: loaded.flow_seq, ..Counter::of(name) };
            self.count_each(of_flow, session.version, delta);
        }
    }

    pub(in crate::runtime) fn count_each(&self, of_flow: Counter, version: u32, delta: i64) {
        self.session_ender().count_each(of_flow, version, delta);
    }
}
