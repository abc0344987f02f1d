//! Webhooks: the envelope, its escapes and signature, and in which bodies events go out.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::error::GraphError;
use super::messages::charge_number;
use super::state::{State, fresh_wamid};

/// A message's way, as statuses tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Meta has taken it.
    Sent,
    /// It is on the phone.
    Delivered,
    /// The person has seen it.
    Read,
    /// The person has listened to it.
    Played,
    /// It will not arrive; the status carries the error.
    Failed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }
}

/// How webhooks go out.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Nothing goes out until the test calls `deliver`.
    pub held: bool,
    /// Each body is posted twice.
    pub twice: bool,
    /// Events, and the bodies they make, go out in any order; the same one in each run.
    pub shuffled: bool,
    /// How many events one body may hold.
    pub batch: usize,
    /// How many bodies are under way at once.
    pub parallel: usize,
    /// Statuses stay behind until the test releases them.
    pub delay_statuses: bool,
    /// `delivered` is left out, as it may be when a message is read at once.
    pub skip_delivered: bool,
    /// After how many milliseconds, by the cloud's clock, a body that was not answered with 200 is posted again; behind
    /// the last one it is given up.
    pub falling: Vec<i64>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            held: false,
            twice: false,
            shuffled: false,
            batch: 1,
            parallel: 1,
            delay_statuses: false,
            skip_delivered: false,
            falling: vec![1_000, 5_000, 30_000, 300_000, 1_800_000, 7_200_000, 43_200_000, 86_400_000],
        }
    }
}

/// One change of the envelope.
#[derive(Clone, Debug)]
pub(super) struct Event {
    field: &'static str,
    value: Value,
}

/// A body on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) body: String,
    /// 0 at first.
    pub(super) attempt: usize,
    /// Milliseconds, by the cloud's clock.
    pub(super) due_at: i64,
}

/// A body that was posted, and what came back.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Milliseconds, by the cloud's clock.
    pub at: i64,
    /// What was posted.
    pub body: String,
    /// 0 at first.
    pub attempt: usize,
    /// `None` if there was no answer.
    pub status: Option<u16>,
    /// What the server answered.
    pub answer: String,
}

/// `X-Hub-Signature-256` of a body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length of key will do");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// JSON with everything outside ASCII as `\uXXXX`, as Meta sends and signs it.
pub fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

impl State {
    /// A message of a person; `message` has everything but id, sender and time. Gives its wamid.
    pub(super) fn push_message(&mut self, user: usize, at: i64, message: Value) -> String {
        let wamid = fresh_wamid();
        self.inbound.insert(wamid.clone());
        let is_system = message["type"] == "system";
        let person = &mut self.users[user];
        if !is_system {
            person.wrote_at = person.wrote_at.max(Some(at));
        }
        let mut full = json!({});
        if person.shows_number {
            full["from"] = json!(person.wa_id);
        }
        full["from_user_id"] = json!(person.bsuid);
        if let Some(parent) = &person.parent_bsuid {
            full["from_parent_user_id"] = json!(parent);
        }
        full["id"] = json!(wamid);
        full["timestamp"] = json!((at / 1000).to_string());
        for (key, value) in message.as_object().into_iter().flatten() {
            full[key] = value.clone();
        }
        let mut value = self.envelope_value();
        if !is_system {
            value["contacts"] = json!([self.contact(user, true)]);
        }
        value["messages"] = json!([full]);
        let now = self.now();
        charge_number(self, now);
        self.push_event("messages", value);
        wamid
    }

    /// A status of a message that was accepted.
    pub(super) fn push_status(&mut self, wamid: &str, status: Status, error: Option<&GraphError>) {
        let accepted = &self.accepted[self.by_wamid[wamid]];
        let Some(user) = accepted.user else { return };
        let by_number = accepted.went_to.is_some();
        let person = &self.users[user];
        let mut item = json!({"id": wamid, "status": status.as_str(), "timestamp": (self.now() / 1000).to_string()});
        if by_number || person.shows_number {
            item["recipient_id"] = json!(person.wa_id);
        }
        if status != Status::Failed || !by_number {
            item["recipient_user_id"] = json!(person.bsuid);
        }
        if let Some(callback) = &accepted.callback {
            item["biz_opaque_callback_data"] = json!(callback);
        }
        // Once for a message: on sent, as long as that goes out.
        if status == Status::Sent {
            let kind = if accepted.category == "service" { "free_customer_service" } else { "regular" };
            item["pricing"] = json!({
                "billable": kind == "regular", "pricing_model": "PMP", "category": accepted.category, "type": kind,
            });
        }
        if let Some(error) = error {
            item["errors"] = json!([error.in_webhook()]);
        }
        let mut value = self.envelope_value();
        if status != Status::Failed {
            value["contacts"] = json!([self.contact(user, by_number)]);
        }
        value["statuses"] = json!([item]);
        let event = Event { field: "messages", value };
        if self.delivery.delay_statuses {
            self.delayed.push_back(event);
        } else {
            self.events.push_back(event);
        }
    }

    /// Trouble of the account that belongs to no message.
    pub(super) fn push_account_error(&mut self, error: &GraphError) {
        let mut value = self.envelope_value();
        value["errors"] = json!([error.in_webhook()]);
        self.push_event("messages", value);
    }

    pub(super) fn push_event(&mut self, field: &'static str, value: Value) {
        self.events.push_back(Event { field, value });
    }

    /// What every value of the field `messages` begins with.
    pub(super) fn envelope_value(&self) -> Value {
        json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": self.business_digits(), "phone_number_id": self.setup.phone_number_id},
        })
    }

    /// A person as `contacts` shows them: the number only if the person shows it or the business has used it.
    pub(super) fn contact(&self, user: usize, number_was_used: bool) -> Value {
        let person = &self.users[user];
        let mut contact = json!({"profile": {"name": person.name}, "user_id": person.bsuid});
        if let Some(username) = &person.username {
            contact["profile"]["username"] = json!(username);
        }
        if let Some(parent) = &person.parent_bsuid {
            contact["parent_user_id"] = json!(parent);
        }
        if person.shows_number && number_was_used {
            contact["wa_id"] = json!(person.wa_id);
        }
        contact
    }

    /// Whether something is to be posted now.
    pub(super) fn has_due(&self, now: i64) -> bool {
        self.webhook_url.is_some() && (!self.events.is_empty() || self.again.iter().any(|parcel| parcel.due_at <= now))
    }

    /// Takes out what is to be posted now, in bodies.
    pub(super) fn take_due(&mut self, now: i64) -> Vec<Parcel> {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.again).into_iter().partition(|parcel| parcel.due_at <= now);
        self.again = later;
        let mut events: Vec<Event> = self.events.drain(..).collect();
        if self.delivery.shuffled {
            shuffle(&mut events, &mut self.seed);
        }
        let fresh = events.chunks(self.delivery.batch.max(1)).map(|events| Parcel {
            body: envelope(&self.setup.business_account_id, events, now),
            attempt: 0,
            due_at: now,
        });
        let mut parcels = due;
        for parcel in fresh {
            if self.delivery.twice {
                parcels.push(parcel.clone());
            }
            parcels.push(parcel);
        }
        if self.delivery.shuffled {
            shuffle(&mut parcels, &mut self.seed);
        }
        parcels
    }
}

/// A body. `messages` has its times inside; other fields tell theirs beside the changes (pywa requires it, as Meta's
/// examples have it).
///
/// Several events use all three levels of the envelope: neighbours of one kind from one person share a change, and the
/// changes are spread over two entries.
fn envelope(account: &str, events: &[Event], now: i64) -> String {
    let mut changes: Vec<Value> = Vec::new();
    for event in events {
        let joins = changes.last_mut().filter(|last| {
            last["field"] == event.field
                && event.value["messages"].is_array()
                && last["value"]["messages"].is_array()
                && last["value"]["contacts"] == event.value["contacts"]
        });
        match joins {
            Some(last) => {
                last["value"]["messages"].as_array_mut().unwrap().push(event.value["messages"][0].clone());
            }
            None => changes.push(json!({"field": event.field, "value": event.value})),
        }
    }
    let entries: Vec<Value> = changes
        .chunks(changes.len().div_ceil(2).max(1))
        .map(|changes| {
            let mut entry = json!({"id": account, "changes": changes});
            if changes.iter().any(|change| change["field"] != "messages") {
                entry["time"] = json!(now / 1000);
            }
            entry
        })
        .collect();
    escape(&json!({"object": "whatsapp_business_account", "entry": entries}).to_string())
}

/// Fisher and Yates, drawing by xorshift so that a run can be repeated.
fn shuffle<T>(items: &mut [T], seed: &mut u64) {
    for last in (1..items.len()).rev() {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        items.swap(last, (*seed % (last as u64 + 1)) as usize);
    }
}
