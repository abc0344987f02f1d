//! What follows a message that came in: the event for webhook endpoints, and the mark that it was read.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::message::Inbound;
use crate::domain::{EventKind, MessageId, ReplyKind};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::job::Job;
use crate::store::contacts::StoredContact;
use crate::views::contact::EventContact;
use crate::views::message::{MessageReceived, ReceivedMessage, content};

/// Concurrent requests that mark messages as read. Above this number messages stay unread, which does no harm.
const MARKED_AT_ONCE: usize = 16;

/// Marks messages as read.
pub(in crate::runtime) struct Marker {
    places: Arc<Semaphore>,
}

impl Default for Marker {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MARKED_AT_ONCE)) }
    }
}

impl Marker {
    /// Marks a message as read and shows that an answer is being typed. Nothing waits for it and nothing depends on it.
    pub(super) fn mark_read(&self, runtime: &Runtime, provider_id: String) {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        let (runtime, began_at) = (runtime.clone(), runtime.clock().now());
        tokio::spawn(async move {
            let _place = place;
            if let Err(refusal) = runtime.channel().mark_read(&provider_id).await {
                runtime.pause_if_down(&refusal, began_at).await;
                tracing::debug!(code = refusal.code, text = refusal.text, "a message could not be marked as read");
            }
        });
    }
}

/// Queues `message.received`, whose message has the shape of `GET /triggers/new-message-received`.
pub(super) fn message_received(
    job: &Job<'_>,
    inbound: &Inbound,
    kind: ReplyKind,
    (contact, id): (&StoredContact, MessageId),
) -> Result<()> {
    job.emit(EventKind::MessageReceived, Some(contact.seq), || {
        let person = &contact.contact;
        let (text, option) = (inbound.text.as_deref(), inbound.option.as_deref());
        let content = content(kind, text, option, inbound.payload.clone());
        let times = (inbound.sent_at, inbound.arrival.at());
        MessageReceived {
            message: ReceivedMessage::new((id, kind, content), person.clone().into(), times),
            contact: EventContact::new(person, contact.created_at),
        }
    })
}
