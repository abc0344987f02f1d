//! What is written when sessions end without being read: by a server's job, or by a command beside the server.
//!
//! It needs a transaction and a time, and no server: no flow is compiled and no session is stepped. A job adds what
//! only a server has: subscribers to the feed of changes.

use serde::Serialize;

use super::listeners::Listeners;
use super::to_json;
use super::wake::Wakeups;
use crate::domain::{CounterName, Reason, Session, Status, Timestamp};
use crate::engine::{Change, PathStep, Warning};
use crate::error::Result;
use crate::store::outbox::OutboxRow;
use crate::store::sessions::{self, Marked};
use crate::store::{Counter, Tx, http_calls, messages, outbox, turns};

/// Why a session ends unread when something is wrong with it.
pub(in crate::runtime) const BROKEN: &str = "the session could not go on; the server's log says why";

/// A transaction in which sessions and messages end.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct SessionEnder<'a> {
    /// The transaction that the caller commits.
    pub(in crate::runtime) tx: &'a Tx<'a>,
    /// The time of all that is written.
    pub(in crate::runtime) now: Timestamp,
    /// The endpoints of webhooks in memory; without them they are read from the database.
    pub(in crate::runtime) listeners: Option<&'a Listeners>,
    /// What there is to do after the commit.
    pub(in crate::runtime) wakeups: &'a Wakeups,
}

/// How a session ends that is not read.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct UnloadedEnd<'a> {
    /// The kind of event in the trace.
    pub(in crate::runtime) stimulus: &'a str,
    /// Why it and its queued messages end.
    pub(in crate::runtime) reason: Reason,
    /// The note in the trace.
    pub(in crate::runtime) note: &'a str,
}

/// The trace of such an end: a [`TurnRecord`](crate::engine::TurnRecord) of which no more is known than the kind of its
/// event.
#[derive(Serialize)]
struct UnloadedTurn<'a> {
    turn: u32,
    stimulus: Stimulus<'a>,
    path: &'a [PathStep],
    changes: &'a [Change],
    warnings: [Warning; 1],
}

#[derive(Serialize)]
struct Stimulus<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<'a> UnloadedTurn<'a> {
    fn of(turn: u32, kind: &'a str, note: &str) -> Self {
        let warnings = [Warning { node: None, text: note.to_owned() }];
        Self { turn, stimulus: Stimulus { kind }, path: &[], changes: &[], warnings }
    }
}

impl SessionEnder<'_> {
    /// Cancels a running session of a contact and returns the messages that it had queued, which are dropped; `None`
    /// when none runs.
    pub(in crate::runtime) fn cancel_unloaded(
        &self,
        contact_seq: i64,
        reason: Reason,
        note: &str,
    ) -> Result<Option<Vec<OutboxRow>>> {
        let marked = sessions::mark_cancelled(self.tx, contact_seq, reason.as_str(), self.now)?;
        let Some(marked) = marked else { return Ok(None) };
        self.end_unloaded(&marked, Status::Cancelled, UnloadedEnd { stimulus: "cancel", reason, note }).map(Some)
    }

    /// What follows when a session was marked as ended.
    pub(in crate::runtime) fn end_unloaded(
        &self,
        marked: &Marked,
        status: Status,
        unread: UnloadedEnd<'_>,
    ) -> Result<Vec<OutboxRow>> {
        let UnloadedEnd { stimulus, reason, note } = unread;
        let dropped = self.drop_queued(marked.seq, None, reason)?;
        http_calls::delete_of_session(self.tx, marked.seq)?;
        if let Some(name) = CounterName::of_end(status) {
            self.count_each(Counter { flow_seq: marked.flow_seq, ..Counter::of(name) }, marked.version, 1);
        }
        let record = UnloadedTurn::of(marked.turn, stimulus, note);
        turns::insert(self.tx, marked.seq, marked.turn, self.now, &to_json(&record)?, &[])?;
        self.emit_unloaded(status, marked, reason.as_str())?;
        Ok(dropped)
    }

    /// Drops what a session has queued in turns before `before_turn`, or all of it.
    pub(in crate::runtime) fn drop_queued(
        &self,
        session_seq: i64,
        before_turn: Option<u32>,
        reason: Reason,
    ) -> Result<Vec<OutboxRow>> {
        let dropped = messages::fail_queued_of_session(self.tx, session_seq, before_turn, reason.as_str(), self.now)?;
        self.publish_dropped(&dropped, reason)?;
        Ok(dropped)
    }

    /// Drops what flows and systems have queued for a contact.
    pub(in crate::runtime) fn drop_queued_of(&self, contact_seq: i64, reason: Reason) -> Result<Vec<OutboxRow>> {
        let dropped = outbox::fail_queued_of_contact(self.tx, contact_seq, reason.as_str(), self.now)?;
        self.publish_dropped(&dropped, reason)?;
        Ok(dropped)
    }

    /// Counts for the flow's lifetime, for its version's, and for the flow's hour.
    pub(in crate::runtime) fn count_each(&self, of_flow: Counter, version: u32, delta: i64) {
        self.tx.count(Counter { version, ..of_flow.clone() }, delta);
        self.tx.count(Counter { hour: Counter::hour_of(self.now), ..of_flow.clone() }, delta);
        self.tx.count(of_flow, delta);
    }
}

impl SessionEnder<'_> {
    /// Fails a session that had completed in the turn of a message that cannot be delivered, and counts it as failed
    /// from then on. Returns which it was.
    pub(in crate::runtime) fn fail_completed(&self, session_seq: i64, code: &str) -> Result<Option<Marked>> {
        let Some((marked, ended_at)) = sessions::mark_undelivered(self.tx, session_seq, code)? else { return Ok(None) };
        let of_flow = |name| Counter { flow_seq: marked.flow_seq, ..Counter::of(name) };
        self.count_each(of_flow(CounterName::SessionFailed), marked.version, 1);
        SessionEnder { now: ended_at, ..*self }.count_each(of_flow(CounterName::SessionCompleted), marked.version, -1);
        self.emit_unloaded(Status::Failed, &marked, code)?;
        Ok(Some(marked))
    }
}

/// The counter of an ended session. One that came to an end of its flow by the exit for an undelivered message does not
/// count as completed.
pub(in crate::runtime) fn counted_as(session: &Session) -> Option<CounterName> {
    match session.status {
        Status::Completed if session.undelivered.is_some() => Some(CounterName::SessionUndelivered),
        status => CounterName::of_end(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Event, TurnRecord};

    #[test]
    fn the_trace_of_an_end_without_reading_has_the_form_of_a_turn_s() {
        let record = UnloadedTurn::of(3, "cancel", "note");
        let json = concat!(
            r#"{"turn":3,"stimulus":{"type":"cancel"},"path":[],"changes":[],"#,
            r#""warnings":[{"node":null,"text":"note"}]}"#
        );
        assert_eq!(to_json(&record).unwrap(), json);
        let stimulus = Event::Cancel { reason: String::new() };
        let warnings = vec![Warning { node: None, text: "note".to_owned() }];
        let turn = TurnRecord { turn: 3, stimulus, path: Vec::new(), changes: Vec::new(), warnings };
        let keys = |json: &str| match serde_json::from_str(json).unwrap() {
            serde_json::Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>(),
            other => panic!("{other}"),
        };
        assert_eq!(keys(json), keys(&to_json(&turn).unwrap()));
    }
}
