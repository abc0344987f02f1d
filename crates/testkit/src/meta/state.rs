//! What the cloud remembers.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::Value;
use uuid::Uuid;

use super::cloud::Setup;
use super::error::GraphError;
use super::faults::Plan;
use super::pacing::{Bucket, Pacing};
pub use super::templates::Template;
use super::webhooks::{Delivery, Event, Parcel, Posted};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Milliseconds, by the cloud's clock.
    pub at: i64,
    /// Its method, in capitals.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// `null` if it was no JSON.
    pub body: Value,
    /// The answer's HTTP status; `None` while there is none, or if the connection was dropped.
    pub status: Option<u16>,
}

/// A message that was answered with 200, or would have been.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Milliseconds, by the cloud's clock.
    pub at: i64,
    /// The message's id at Meta.
    pub wamid: String,
    /// The API version of the path, such as `v26.0`.
    pub version: String,
    /// The digits of the number where it went; `None` if it was addressed by BSUID, or went nowhere.
    pub went_to: Option<String>,
    /// `text`, `interactive`, `template` and so on.
    pub kind: String,
    /// `biz_opaque_callback_data`.
    pub callback: Option<String>,
    /// The request's body.
    pub body: Value,
    /// What became of it.
    pub fate: Fate,
    /// `service`, or the template's: what Meta bills.
    pub category: String,
    pub(super) user: Option<usize>,
}

/// What became of an accepted message.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// The phone shows it.
    Reached,
    /// It failed afterwards.
    Failed(GraphError),
    /// It vanished without a word, or waits for Meta's assessment.
    Nowhere,
}

/// A request that was answered with an error.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Milliseconds, by the cloud's clock.
    pub at: i64,
    /// Its path, without the query.
    pub path: String,
    /// The answer.
    pub error: GraphError,
    /// The request's body.
    pub body: Value,
}

/// How free text outside the 24-hour window is refused; Meta does either.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WindowRefusal {
    #[default]
    /// The request is answered with the error.
    AtOnce,
    /// The request is accepted, and a status tells of the error.
    ByWebhook,
}

/// A person.
#[derive(Debug)]
pub(super) struct User {
    /// The `wa_id`; `None` if nobody knows it.
    pub(super) wa_id: Option<String>,
    pub(super) bsuid: String,
    pub(super) parent_bsuid: Option<String>,
    pub(super) username: Option<String>,
    pub(super) name: String,
    /// Whether webhooks tell the number.
    pub(super) shows_number: bool,
    pub(super) is_on_whatsapp: bool,
    /// Whether messages are delivered; if not, they wait at `sent`.
    pub(super) is_switched_on: bool,
    /// When the person last wrote, in milliseconds.
    pub(super) wrote_at: Option<i64>,
    pub(super) pair: Bucket,
    /// Places in `State::accepted`.
    pub(super) inbox: Vec<usize>,
    /// Wamids that wait for the phone to be switched on.
    pub(super) undelivered: Vec<String>,
}

/// A file that a person has sent.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) mime_type: String,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct State {
    pub(super) setup: Setup,
    /// The token that is good now.
    pub(super) token: Option<String>,
    pub(super) is_subscribed: bool,
    pub(super) webhook_url: Option<String>,
    pub(super) base_url: String,
    pub(super) users: Vec<User>,
    by_wa_id: HashMap<String, usize>,
    by_bsuid: HashMap<String, usize>,
    pub(super) rewrite: fn(&str) -> String,
    pub(super) templates: Vec<Template>,
    pub(super) page_size: usize,
    pub(super) media: HashMap<String, Media>,
    pub(super) requests: Vec<Request>,
    pub(super) accepted: Vec<Accepted>,
    pub(super) by_wamid: HashMap<String, usize>,
    pub(super) refused: Vec<Refused>,
    /// Wamids of what people wrote.
    pub(super) inbound: HashSet<String>,
    /// Wamids marked as read by the business, and whether with a typing indicator.
    pub(super) marked_read: Vec<(String, bool)>,
    pub(super) plan: Plan,
    pub(super) pacing: Pacing,
    pub(super) number_bucket: Bucket,
    pub(super) window_refusal: WindowRefusal,
    pub(super) delivery: Delivery,
    pub(super) events: VecDeque<Event>,
    /// Statuses that are held apart.
    pub(super) delayed: VecDeque<Event>,
    /// Bodies that were not answered with 200.
    pub(super) again: Vec<Parcel>,
    pub(super) posted: Vec<Posted>,
    pub(super) seed: u64,
}

impl State {
    pub(super) fn new(setup: Setup, base_url: String) -> Self {
        Self {
            token: Some(setup.access_token.clone()),
            is_subscribed: true,
            webhook_url: setup.webhook_url.clone(),
            pacing: setup.pacing,
            delivery: Delivery::default(),
            base_url,
            users: Vec::new(),
            by_wa_id: HashMap::new(),
            by_bsuid: HashMap::new(),
            rewrite: str::to_owned,
            templates: Vec::new(),
            page_size: 25,
            media: HashMap::new(),
            requests: Vec::new(),
            accepted: Vec::new(),
            by_wamid: HashMap::new(),
            refused: Vec::new(),
            inbound: HashSet::new(),
            marked_read: Vec::new(),
            plan: Plan::default(),
            number_bucket: Bucket::default(),
            window_refusal: WindowRefusal::default(),
            events: VecDeque::new(),
            delayed: VecDeque::new(),
            again: Vec::new(),
            posted: Vec::new(),
            seed: 0x9E37_79B9_7F4A_7C15,
            setup,
        }
    }

    pub(super) fn now(&self) -> i64 {
        (self.setup.now)()
    }

    /// Where a file's bytes are.
    pub(super) fn media_url(&self, id: &str) -> String {
        format!("{}/media/{id}", self.base_url)
    }

    /// The business's number as digits.
    pub(super) fn business_digits(&self) -> String {
        digits(&self.setup.display_phone)
    }

    /// The person of a number that is given with its country code; made if unknown.
    pub(super) fn user_of_number(&mut self, number: &str) -> usize {
        let wa_id = (self.rewrite)(&digits(number));
        if let Some(&user) = self.by_wa_id.get(&wa_id) {
            return user;
        }
        let name = format!("Person {}", self.users.len() + 1);
        self.add_user(Some(wa_id), fresh_bsuid(), name)
    }

    pub(super) fn user_of_bsuid(&self, bsuid: &str) -> Option<usize> {
        self.by_bsuid.get(bsuid).copied()
    }

    pub(super) fn add_user(&mut self, wa_id: Option<String>, bsuid: String, name: String) -> usize {
        let user = self.users.len();
        if let Some(wa_id) = &wa_id {
            self.by_wa_id.insert(wa_id.clone(), user);
        }
        self.by_bsuid.insert(bsuid.clone(), user);
        self.users.push(User {
            shows_number: wa_id.is_some(),
            wa_id,
            bsuid,
            parent_bsuid: None,
            username: None,
            name,
            is_on_whatsapp: true,
            is_switched_on: true,
            wrote_at: None,
            pair: Bucket::default(),
            inbox: Vec::new(),
            undelivered: Vec::new(),
        });
        user
    }

    /// Gives a person another number and, as Meta does then, another BSUID; the old ones belong to nobody.
    pub(super) fn move_user(&mut self, user: usize, number: &str) {
        let wa_id = (self.rewrite)(&digits(number));
        let bsuid = fresh_bsuid();
        let person = &mut self.users[user];
        if let Some(old) = person.wa_id.replace(wa_id.clone()) {
            self.by_wa_id.remove(&old);
        }
        self.by_bsuid.remove(&person.bsuid);
        person.bsuid.clone_from(&bsuid);
        self.by_wa_id.insert(wa_id, user);
        self.by_bsuid.insert(bsuid, user);
    }

    /// Whether free text may go to a person: 24 hours from what they last wrote (Meta).
    pub(super) fn window_is_open(&self, user: usize, now: i64) -> bool {
        self.users[user].wrote_at.is_some_and(|wrote_at| now < wrote_at + 24 * 3_600_000)
    }
}

pub(super) fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// A message id that no other run has.
pub(super) fn fresh_wamid() -> String {
    format!("wamid.HBgM{}", Uuid::now_v7().simple().to_string().to_uppercase())
}

fn fresh_bsuid() -> String {
    format!("US.{}", Uuid::now_v7().as_u128() % 100_000_000_000_000_000_000)
}

/// How numbers of old accounts come back as `wa_id`: Brazil without the ninth digit, Mexico with a 1 and Argentina with
/// a 9 behind the country code.
pub fn brazil_mexico_argentina(number: &str) -> String {
    match (number.get(..2), number.len()) {
        (Some("55"), 13) if number.as_bytes()[4] == b'9' => format!("{}{}", &number[..4], &number[5..]),
        (Some("52"), 12) => format!("521{}", &number[2..]),
        (Some("54"), 12) => format!("549{}", &number[2..]),
        _ => number.to_owned(),
    }
}
