//! What templates can read: the roots of `{{…}}`, and what filters read besides them.

use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use minijinja::Value as Dynamic;
use minijinja::value::Object;
use serde_json::json;

use super::bounds::Bounds;
use super::date::{self, Around, DateOrder};
use super::lists::dynamic;
use super::number::Writing;
use super::words::Languages;
use crate::domain::{Contact, FlowDocument, FlowId, SessionId, SessionInput, Timestamp};

/// What filters read besides the roots. Templates cannot: they are none of the roots.
pub(super) const WRITING: &str = "qyvo_writing";
pub(super) const ZONE: &str = "qyvo_zone";
pub(super) const LANGUAGE: &str = "qyvo_language";
pub(super) const DAYS: &str = "qyvo_days";

/// What templates can read. Cloning is cheap: the values are shared.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) context: Dynamic,
    pub(super) turn: Arc<TurnScope>,
    /// How often the session was at the node.
    pub(super) visits: u32,
}

/// What templates can read that is the same in all of a turn, and what it takes to read what people write. Little of it
/// is read in most turns, so each part is made when something first reads it.
#[derive(Debug)]
pub(super) struct TurnScope {
    pub(super) contact: Contact,
    pub(super) input: Option<SessionInput>,
    pub(super) session: SessionId,
    pub(super) flow: FlowId,
    /// The flow's own.
    pub(super) document: Arc<FlowDocument>,
    pub(super) now: Timestamp,
    pub(super) made: MadeRoots,
}

/// The parts of a [`TurnScope`] that were read already.
#[derive(Debug, Default)]
pub(super) struct MadeRoots {
    contact: OnceLock<Dynamic>,
    input: OnceLock<Dynamic>,
    session: OnceLock<Dynamic>,
    flow: OnceLock<Dynamic>,
    now: OnceLock<Dynamic>,
    writing: OnceLock<Writing>,
    zone: OnceLock<TimeZone>,
}

impl TurnScope {
    /// How the contact writes numbers.
    pub(super) fn writing(&self) -> Writing {
        let of_flow = self.document.settings.country.as_deref();
        *self.made.writing.get_or_init(|| Writing::of_country(self.contact.country(of_flow).as_deref()))
    }

    /// On which clock the contact is.
    pub(super) fn zone(&self) -> &TimeZone {
        self.made.zone.get_or_init(|| self.contact.time_zone(&self.document.settings))
    }

    /// The language (BCP 47) in which days and months are named: the contact's, else the flow's.
    fn language(&self) -> Option<&str> {
        self.contact.language.as_deref().or(self.document.language.as_deref())
    }

    /// The day in a text, read as the answer to a question for one would be.
    pub(super) fn day_in(&self, text: &str) -> Option<Date> {
        let settings = &self.document.settings;
        let country = self.contact.country(settings.country.as_deref());
        let named = [&self.contact.language, &self.document.language].into_iter().flatten().map(String::as_str);
        let around = Around {
            order: DateOrder::of(settings.date_order.as_deref(), country.as_deref()),
            languages: &Languages::of(named, country.as_deref()),
            today: self.now.to_jiff().to_zoned(self.zone().clone()).date(),
        };
        date::read(text, &around, &Bounds::None).ok()
    }

    fn root(&self, name: &str) -> Option<&Dynamic> {
        let made = &self.made;
        Some(match name {
            "contact" => made.contact.get_or_init(|| dynamic(&self.contact.readable())),
            "input" => made.input.get_or_init(|| match &self.input {
                Some(SessionInput { text, id, kind, referral, referred_product }) => dynamic(&json!({
                    "text": text, "id": id, "type": kind, "referral": referral, "referred_product": referred_product,
                })),
                None => dynamic(&json!({"text": "", "id": "", "type": ""})),
            }),
            "session" => made.session.get_or_init(|| dynamic(&json!({"id": self.session}))),
            "flow" => made.flow.get_or_init(|| dynamic(&json!({"id": self.flow, "name": self.document.name}))),
            "now" => made.now.get_or_init(|| Dynamic::from(self.now.to_iso_seconds_in(self.zone()))),
            _ => return None,
        })
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Dynamic) -> Option<Dynamic> {
        match key.as_str()? {
            "context" => Some(self.context.clone()),
            WRITING => Some(Dynamic::from_object(self.turn.writing())),
            ZONE => Some(Dynamic::from_object(Zone(self.turn.zone().clone()))),
            LANGUAGE => self.turn.language().map(Dynamic::from),
            DAYS => Some(Dynamic::from_object(Days(self.turn.clone()))),
            "node" => Some(dynamic(&json!({"visits": self.visits}))),
            name => self.turn.root(name).cloned(),
        }
    }
}

/// What reads a day as the contact writes it, as templates carry it to the filters.
#[derive(Debug)]
pub(super) struct Days(pub(super) Arc<TurnScope>);

impl Object for Days {
    fn render(self: &Arc<Self>, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

/// The contact's time zone as templates carry it to the filters.
#[derive(Debug)]
pub(super) struct Zone(pub(super) TimeZone);

impl Object for Zone {
    fn render(self: &Arc<Self>, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
