//! Writing messages that are to go out: those of a session's turn, and those that belong to no session.

use std::time::Duration;

use uuid::Uuid;

use super::changes::Change;
use super::turn::PlannedMessage;
use super::{Job, LoadedSession, to_json};
use crate::domain::{
    Direction, MessageId, MessageStatus, NewMessage, Origin, Part, Reason, SendHours, Session, split_text,
};
use crate::engine::CompiledFlow;
use crate::error::{Error, Result};
use crate::store::contacts::{self, StoredContact};
use crate::store::messages::{self, NewOutgoing};

/// How long a message may wait to go out unless its flow says otherwise, in minutes.
pub(in crate::runtime) const MESSAGE_MAX_AGE_MINUTES: u32 = 1_440;

/// A message that belongs to no session, as it is stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct MessageBody<'a> {
    /// What it is, such as `text`.
    pub(in crate::runtime) kind: &'a str,
    pub(in crate::runtime) body: &'a NewMessage<'a>,
}

impl Job<'_> {
    /// Queues a text that belongs to no session, in parts where the channel takes only shorter ones, and returns the
    /// first. It is dropped where it waits for longer than `max_age`.
    pub(in crate::runtime) fn enqueue_text(
        &self,
        contact: &StoredContact,
        origin: Origin,
        text: &str,
        max_age: Option<Duration>,
    ) -> Result<MessageId> {
        let pieces = split_text(text, self.shared().options.channel.text_limits().text);
        let of = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let mut first = None;
        for (piece, number) in pieces.into_iter().zip(1..) {
            let id = MessageId(Uuid::now_v7());
            let first = *first.get_or_insert(id);
            let part = (of > 1).then(|| Part { first, number, of, options: Vec::new() });
            let body = NewMessage { part, ..NewMessage::text(piece) };
            self.insert_queued(contact, (id, origin), MessageBody { kind: "text", body: &body }, max_age)?;
        }
        first.ok_or_else(|| Error::internal("A blank text cannot be sent"))
    }

    /// Queues any message that belongs to no session. It is dropped where it waits for longer than `max_age`.
    pub(in crate::runtime) fn enqueue(
        &self,
        contact: &StoredContact,
        origin: Origin,
        body: MessageBody<'_>,
        max_age: Option<Duration>,
    ) -> Result<MessageId> {
        let id = MessageId(Uuid::now_v7());
        self.insert_queued(contact, (id, origin), body, max_age)?;
        Ok(id)
    }

    fn insert_queued(
        &self,
        contact: &StoredContact,
        (id, origin): (MessageId, Origin),
        body: MessageBody<'_>,
        max_age: Option<Duration>,
    ) -> Result<()> {
        let status = match self.shared().options.channel.kind().reaches_phones() {
            false => MessageStatus::Simulated,
            true => MessageStatus::Queued,
        };
        messages::insert_outgoing(
            self.tx(),
            &NewOutgoing {
                id,
                contact_seq: contact.seq,
                session: None,
                channel: self.channel(),
                kind: body.kind,
                body: &to_json(body.body)?,
                status,
                reason: None,
                next_attempt_at: (status == MessageStatus::Queued).then(|| self.now()),
                origin,
                good_until: max_age.filter(|_| status == MessageStatus::Queued).map(|max_age| self.now().plus(max_age)),
                created_at: self.now(),
            },
        )?;
        match status {
            // Counted when the channel takes it.
            MessageStatus::Queued => self.wake_outbox(),
            _ => contacts::touch(self.tx(), contact.seq, 1, None, self.now())?,
        }
        self.note_change(|| Change::message(id, contact.contact.id, None, Direction::Out, status));
        Ok(())
    }

    /// Stores the messages of a turn, and returns their rows.
    pub(super) fn insert_planned(
        &self,
        loaded: &LoadedSession,
        (contact_seq, session_seq): (i64, i64),
        session: &Session,
        (said, hours): (&[PlannedMessage], Option<&SendHours>),
    ) -> Result<Vec<i64>> {
        // The time that a message waits for its hours, or for the end of a hold, does not count towards its age.
        let may_go_at = hours.and_then(|hours| hours.opening(self.now)).unwrap_or(self.now);
        let may_go_at = self.holder(loaded.held).map_or(may_go_at, |held| may_go_at.max(held.until));
        let good_until = may_go_at.plus(message_max_age(&loaded.flow));
        let mut seqs = Vec::with_capacity(said.len());
        let mut first = MessageId(Uuid::nil());
        for PlannedMessage { message, refused, part } in said {
            let status = match (refused, self.shared.options.channel.kind().reaches_phones()) {
                (Some(_), _) => MessageStatus::Failed,
                (None, false) => MessageStatus::Simulated,
                (None, true) => MessageStatus::Queued,
            };
            let is_queued = status == MessageStatus::Queued;
            let id = MessageId(Uuid::now_v7());
            let part = part.as_ref().map(|part| {
                if part.number == 1 {
                    first = id;
                }
                Part { first, number: part.number, of: part.of, options: part.options.clone() }
            });
            let hours = hours.filter(|_| is_queued);
            let body = to_json(&NewMessage { hours, part, ..NewMessage::of(message) })?;
            let of_session = Some((session.id, session.flow_id));
            self.note_change(|| Change::message(id, session.contact_id, of_session, Direction::Out, status));
            seqs.push(messages::insert_outgoing(
                self.tx,
                &NewOutgoing {
                    id,
                    contact_seq,
                    session: Some((session_seq, session.turn)),
                    channel: self.channel(),
                    kind: message.kind.as_str(),
                    body: &body,
                    status,
                    reason: refused.map(Reason::as_str),
                    next_attempt_at: is_queued.then_some(self.now),
                    origin: Origin::Flow,
                    good_until: is_queued.then_some(good_until),
                    created_at: self.now,
                },
            )?);
            if is_queued {
                self.wake_outbox();
            }
        }
        Ok(seqs)
    }
}

/// How long the messages of a flow may wait to go out.
pub(in crate::runtime) fn message_max_age(flow: &CompiledFlow) -> Duration {
    let minutes = flow.document().settings.message_max_age_minutes.unwrap_or(MESSAGE_MAX_AGE_MINUTES);
    Duration::from_secs(u64::from(minutes) * 60)
}
