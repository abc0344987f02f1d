//! What becomes of a `POST` to `/messages`.

use serde_json::{Value, json};

use super::error::GraphError;
use super::limits;
use super::pacing::{PAIR_BURST, PAIR_PERIOD};
use super::state::{Accepted, Fate, State, WindowRefusal, digits, fresh_wamid};
use super::templates;
use super::webhooks::Status;

/// What a test has planned for a message that is otherwise in order.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) fails: Option<GraphError>,
    pub(super) message_status: Option<&'static str>,
}

/// Where a message is addressed to.
enum Address {
    Number {
        input: String,
        digits: String,
        user: usize,
    },
    Bsuid {
        bsuid: String,
        user: usize,
    },
    /// A BSUID in `to`: accepted, and lost (seen in the field in 2026).
    Nowhere {
        input: String,
    },
}

/// Marks as read, or accepts a message; the answer's body.
pub(super) fn post(state: &mut State, version: &str, body: &Value, planned: Planned) -> Result<Value, GraphError> {
    if body.get("status").is_some() {
        return mark_read(state, body);
    }
    let kind = limits::check_message(body)?;
    let category = match kind.as_str() {
        "template" => templates::check(&state.templates, &body["template"])?.category.to_lowercase(),
        _ => "service".to_owned(),
    };
    let address = find_address(state, body)?;
    let now = state.now();
    let user = match address {
        Address::Number { user, .. } | Address::Bsuid { user, .. } => Some(user),
        Address::Nowhere { .. } => None,
    };
    pace(state, user, now)?;
    let mut fails = planned.fails;
    if let Some(user) = user {
        if kind != "template" && !state.window_is_open(user, now) {
            let details = "Message failed to send because more than 24 hours have passed since the customer last \
                           replied to this number.";
            let closed = GraphError::new(131047, details);
            match state.window_refusal {
                WindowRefusal::AtOnce => return Err(closed),
                WindowRefusal::ByWebhook => fails = fails.or(Some(closed)),
            }
        }
        if !state.users[user].is_on_whatsapp {
            fails = fails.or_else(|| Some(GraphError::new(131026, "Unable to deliver message.")));
        }
        state.users[user].pair.take(now, PAIR_PERIOD);
    }
    charge_number(state, now);

    let wamid = fresh_wamid();
    let mut message = json!({"id": wamid});
    if kind == "template" {
        message["message_status"] = planned.message_status.unwrap_or("accepted").into();
    }
    let fate = match (fails, user) {
        (Some(error), _) => Fate::Failed(error),
        (None, Some(_)) if planned.message_status.is_none() => Fate::Reached,
        _ => Fate::Nowhere,
    };
    let (contact, went_to) = match address {
        Address::Number { input, digits, user } => {
            (json!({"input": input, "wa_id": state.users[user].wa_id}), Some(digits))
        }
        Address::Bsuid { bsuid, .. } => (json!({"input": bsuid, "user_id": bsuid}), None),
        Address::Nowhere { input } => (json!({"input": input}), None),
    };
    let place = state.accepted.len();
    state.by_wamid.insert(wamid.clone(), place);
    state.accepted.push(Accepted {
        at: now,
        wamid: wamid.clone(),
        version: version.to_owned(),
        went_to,
        kind,
        callback: body["biz_opaque_callback_data"].as_str().map(str::to_owned),
        body: body.clone(),
        fate: fate.clone(),
        category,
        user,
    });
    tell(state, place, user, fate);
    Ok(json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}))
}

/// Lets the message appear on the phone and the statuses go out.
fn tell(state: &mut State, place: usize, user: Option<usize>, fate: Fate) {
    let Some(user) = user else { return };
    let wamid = state.accepted[place].wamid.clone();
    match fate {
        Fate::Reached => {
            state.users[user].inbox.push(place);
            state.push_status(&wamid, Status::Sent, None);
            if !state.users[user].is_switched_on {
                state.users[user].undelivered.push(wamid);
            } else if !state.delivery.skip_delivered {
                state.push_status(&wamid, Status::Delivered, None);
            }
        }
        Fate::Failed(error) => state.push_status(&wamid, Status::Failed, Some(&error)),
        Fate::Nowhere => {}
    }
}

fn mark_read(state: &mut State, body: &Value) -> Result<Value, GraphError> {
    limits::check_product(body)?;
    if body["status"] != "read" {
        return Err(GraphError::new(100, "Param status must be one of {read}"));
    }
    let wamid = limits::require_text(&body["message_id"], "message_id")?;
    if !state.inbound.contains(wamid) {
        return Err(GraphError::new(131009, format!("Message id {wamid} is not that of a message from a user")));
    }
    let typing = &body["typing_indicator"];
    if !typing.is_null() && typing["type"] != "text" {
        return Err(GraphError::new(100, "Param typing_indicator['type'] must be one of {text}"));
    }
    state.marked_read.push((wamid.to_owned(), !typing.is_null()));
    Ok(json!({"success": true}))
}

/// `to` wins over `recipient`. A number without a plus sign is taken for one of the business's own country.
fn find_address(state: &mut State, body: &Value) -> Result<Address, GraphError> {
    if let Some(to) = body.get("to").filter(|to| !to.is_null()) {
        let input = limits::require_text(to, "to")?.to_owned();
        if looks_like_bsuid(&input) {
            return Ok(Address::Nowhere { input });
        }
        let number = digits(&input);
        if number.is_empty()
            || !input.chars().all(|character| character.is_ascii_digit() || "+-() ".contains(character))
        {
            return Err(GraphError::new(100, format!("Param to is not a phone number: {input}")));
        }
        let digits =
            if input.trim_start().starts_with('+') { number } else { format!("{}{number}", state.setup.country_code) };
        if digits == state.business_digits() {
            return Err(GraphError::new(131021, "Sender and recipient are the same number"));
        }
        let user = state.user_of_number(&digits);
        return Ok(Address::Number { input, digits, user });
    }
    let bsuid = limits::require_text(&body["recipient"], "to")?.to_owned();
    match state.user_of_bsuid(&bsuid) {
        Some(user) => Ok(Address::Bsuid { bsuid, user }),
        None => Err(GraphError::new(131026, format!("Recipient {bsuid} is unknown"))),
    }
}

/// Two capital letters, a dot, and more (Meta, "Business-scoped user IDs").
fn looks_like_bsuid(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(country, _)| country.len() == 2 && country.chars().all(|c| c.is_ascii_uppercase()))
}

fn pace(state: &State, user: Option<usize>, now: i64) -> Result<(), GraphError> {
    if let Some(rate) = state.pacing.per_second.map(i64::from)
        && !state.number_bucket.allows(now, 1_000_000 / rate, rate)
    {
        return Err(GraphError::new(130429, "Cloud API message throughput has been reached."));
    }
    if let Some(user) = user
        && state.pacing.pair
        && !state.users[user].pair.allows(now, PAIR_PERIOD, PAIR_BURST)
    {
        let details = "Too many messages sent from the sender phone number to the same recipient phone number in a \
                       short period of time.";
        return Err(GraphError::new(131056, details));
    }
    Ok(())
}

/// Messages of both directions count against the number's throughput (Meta).
pub(super) fn charge_number(state: &mut State, now: i64) {
    if let Some(rate) = state.pacing.per_second {
        state.number_bucket.take(now, 1_000_000 / i64::from(rate));
    }
}
