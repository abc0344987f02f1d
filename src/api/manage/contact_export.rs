//! `GET /contacts/{id}/export`: all that is stored on a person.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::contacts::{not_found, profile_of};
use super::messages::message_with_stages;
use super::sessions::{session_view, turn_views};
use crate::api::answer::row_of;
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::state::{State, read};
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{ContactId, Timestamp};
use crate::error::{Error, Result};
use crate::store::contacts::{self, Address, Profile};
use crate::store::sessions::Place;
use crate::store::subject_export::PublishedEvent;
use crate::store::{Conn, WriteClass, audit, messages, sessions, subject_export, turns};
use crate::views::IsoTime;
use crate::views::contact::{AdminContact, ExportHead, ExportedAddress, ExportedEvent, ExportedPace};
use crate::views::session::ExportedSession;

/// Turns or messages that are read at once for an export.
const EXPORT_ROWS: u32 = 100;

/// `GET /contacts/{id}/export`: all that is stored on a person. It is read and sent part by part, so that a long
/// history needs neither much memory nor a long read.
pub(in crate::api) async fn export_contact(
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: ContactId = id.parse().map_err(|_| not_found())?;
    let now = state.runtime.clock().now();
    let head = read(&state, move |conn| match profile_of(conn, id)? {
        Some(profile) => export_head(conn, &profile, now).map(Some),
        None => Ok(None),
    });
    let (contact_seq, head) = head.await?.ok_or_else(not_found)?;
    record(&state, principal.actor(), id, now).await?;
    let start = Export { state, id, contact_seq, next: Part::Session { after: Place::default() }, has_items: false };
    let parts = stream::try_unfold(start, |export| async move { export.read_part().await })
        .inspect_err(|error| tracing::error!(%error, "an export broke off"));
    let head = stream::once(std::future::ready(Ok::<_, Error>(Bytes::from(head))));
    let disposition = format!("attachment; filename=\"contact-{id}.json\"");
    Ok(HttpResponse::build(StatusCode::OK)
        .content_type("application/json")
        .insert_header((CONTENT_DISPOSITION, disposition))
        .streaming(head.chain(parts)))
}

/// Records an export in the audit, before any of it is sent. A contact that is being erased meanwhile is not named.
async fn record(state: &State, by: Actor, id: ContactId, now: Timestamp) -> Result<(), ApiError> {
    let deed = Deed::new(AuditAction::ContactExported, by);
    let named = deed.clone().to(id);
    let recorded = state.runtime.store().write_as(WriteClass::Essential, move |tx| {
        let deed = if contacts::find_by_id(tx, id)?.is_some() { &named } else { &deed };
        audit::record(tx, deed, now)?;
        Ok(deed.clone())
    });
    audit::log(&recorded.await?);
    Ok(())
}

/// The beginning of an export, up to its sessions.
fn export_head(conn: &Conn, profile: &Profile, now: Timestamp) -> Result<(i64, String)> {
    let seq = profile.stored.seq;
    let addresses = contacts::addresses(conn, seq)?;
    let pacing = subject_export::pair_clocks_of(conn, seq)?;
    let head = ExportHead {
        contact: AdminContact::new(&row_of(profile), now),
        addresses: addresses.iter().map(exported_address).collect(),
        former_ids: contacts::former_ids(conn, seq)?,
        pacing: pacing.into_iter().map(|(channel, at)| ExportedPace { channel, until: IsoTime(at) }).collect(),
    };
    Ok((seq, format!("{},\"sessions\":[", opened(&head)?)))
}

/// An object without its end, so that more can follow.
fn opened(object: &impl Serialize) -> Result<String> {
    let mut text = written(object)?;
    text.pop();
    Ok(text)
}

fn written(part: &impl Serialize) -> Result<String> {
    serde_json::to_string(part)
        .map_err(|error| Error::internal("A part of an export cannot be written").caused_by(error))
}

fn exported_address(address: &Address) -> ExportedAddress<'_> {
    let Address { kind, value, added_at, retired_at } = address;
    ExportedAddress { kind, value, added_at: IsoTime(*added_at), retired_at: retired_at.map(IsoTime) }
}

fn exported_event(told: &PublishedEvent) -> ExportedEvent<'_> {
    ExportedEvent { event: &told.event, body: &told.body, created_at: IsoTime(told.created_at) }
}

/// An export under way.
struct Export {
    state: web::Data<State>,
    /// What the contact was asked for by.
    id: ContactId,
    contact_seq: i64,
    next: Part,
    /// The list that is being written has an item already.
    has_items: bool,
}

/// What of an export comes next.
#[derive(Clone, Copy)]
enum Part {
    /// The session after a place, up to its turns.
    Session { after: Place },
    /// The turns of the session at a place, after a row.
    Turns { of: Place, after: i64 },
    /// The messages after a row.
    Messages { after: i64 },
    /// The webhook deliveries about the contact, after a row.
    Told { after: i64 },
    /// The export is complete.
    End,
}

impl Export {
    /// Reads and writes the next part.
    async fn read_part(mut self) -> Result<Option<(Bytes, Self)>> {
        let mut text = String::new();
        match self.next {
            Part::Session { after } => self.read_session(&mut text, after).await?,
            Part::Turns { of, after } => self.read_turns(&mut text, of, after).await?,
            Part::Messages { after } => self.read_messages(&mut text, after).await?,
            Part::Told { after } => self.read_told(&mut text, after).await?,
            Part::End => return Ok(None),
        }
        Ok(Some((Bytes::from(text), self)))
    }

    async fn read_session(&mut self, text: &mut String, after: Place) -> Result<()> {
        let (contact_seq, now) = (self.contact_seq, self.state.runtime.clock().now());
        let read = move |conn: &Conn| match sessions::list_of_contact(conn, contact_seq, after, 1)?.first() {
            Some(stored) => {
                let place = Place { flow_seq: stored.flow_seq, seq: stored.seq };
                let session = session_view(conn, stored, now)?;
                let http_calls = subject_export::calls_of(conn, stored.seq)?;
                Ok(Some((opened(&ExportedSession { session, http_calls })?, place)))
            }
            None => Ok(None),
        };
        match self.read(read).await? {
            Some((view, of)) => {
                self.separate(text);
                text.push_str(&view);
                self.begin_list(text, ",\"turns\":[", Part::Turns { of, after: 0 });
            }
            None => self.begin_list(text, "],\"messages\":[", Part::Messages { after: 0 }),
        }
        Ok(())
    }

    async fn read_turns(&mut self, text: &mut String, of: Place, after: i64) -> Result<()> {
        let read = move |conn: &Conn| {
            let rows = turns::list(conn, of.seq, after, EXPORT_ROWS)?;
            Ok((turn_views(conn, &rows)?, rows.last().map(|row| row.seq)))
        };
        let (views, last) = self.read(read).await?;
        self.write(text, views)?;
        match last {
            Some(after) => self.next = Part::Turns { of, after },
            None => {
                text.push_str("]}");
                // The session that ends here is an item of its list.
                self.has_items = true;
                self.next = Part::Session { after: of };
            }
        }
        Ok(())
    }

    async fn read_messages(&mut self, text: &mut String, after: i64) -> Result<()> {
        let contact_seq = self.contact_seq;
        let read = move |conn: &Conn| {
            let rows = messages::history_of_contact(conn, contact_seq, after, EXPORT_ROWS)?;
            let views = rows.iter().map(|row| message_with_stages(conn, row)).collect::<Result<Vec<_>>>()?;
            Ok((views, rows.last().map(|row| row.seq)))
        };
        let (views, last) = self.read(read).await?;
        self.write(text, views)?;
        match last {
            Some(after) => self.next = Part::Messages { after },
            None => self.begin_list(text, "],\"webhook_deliveries\":[", Part::Told { after: 0 }),
        }
        Ok(())
    }

    async fn read_told(&mut self, text: &mut String, after: i64) -> Result<()> {
        let contact_seq = self.contact_seq;
        let rows = self
            .read(move |conn: &Conn| subject_export::published_events_of(conn, contact_seq, after, EXPORT_ROWS))
            .await?;
        self.write(text, rows.iter().map(exported_event))?;
        match rows.last() {
            Some(last) => self.next = Part::Told { after: last.seq },
            None => {
                text.push_str("]}");
                self.next = Part::End;
            }
        }
        Ok(())
    }

    /// Writes the opening of a list, which `next` fills.
    fn begin_list(&mut self, text: &mut String, opening: &str, next: Part) {
        text.push_str(opening);
        self.has_items = false;
        self.next = next;
    }

    /// Reads of the contact, and fails once that is gone or another one: a row that an erasure frees may be the next
    /// contact's.
    async fn read<T: Send + 'static>(&self, query: impl FnOnce(&Conn) -> Result<T> + Send + 'static) -> Result<T> {
        let (id, contact_seq) = (self.id, self.contact_seq);
        let checked = move |conn: &Conn| match contacts::find_by_id(conn, id)? {
            Some(found) if found.seq == contact_seq => query(conn),
            _ => Err(Error::conflict("The contact was erased or merged meanwhile")),
        };
        self.state.runtime.store().query_heavy(checked).await
    }

    fn write(&mut self, text: &mut String, items: impl IntoIterator<Item = impl Serialize>) -> Result<()> {
        for item in items {
            self.separate(text);
            text.push_str(&written(&item)?);
        }
        Ok(())
    }

    /// A comma, unless this is the first item of its list.
    fn separate(&mut self, text: &mut String) {
        if std::mem::replace(&mut self.has_items, true) {
            text.push(',');
        }
    }
}
