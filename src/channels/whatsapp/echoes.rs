//! What others say on our number, and who holds a conversation.
//!
//! `smb_message_echoes` carries what a person writes in the WhatsApp Business app that has the same number. While
//! another system of Meta (Meta Business Agent) holds a conversation, both sides of it come on `standby`;
//! `messaging_handovers` reports that it changed hands. The shape of the first is from Meta's reference; those of the
//! others are as their receivers have seen them since July 2026: all of `standby` lies one level deeper, in an object
//! of that name, an echo's content in `message`, and a handover names our number in `recipient` and the person in
//! `sender`. The flat forms are read, too.

use serde_json::{Map, Value, json};

use super::addresses::Person;
use super::changes;
use super::fields::{number, scoped_id, text, timestamp, unknown};
use super::messages::{Content, read_message, read_status};
use super::people::Contacts;
use crate::channels::incoming::{Echo, Handover, IncomingKind, Item};
use crate::domain::{Holder, ReplyKind};

/// The fields that are read here.
pub(super) const FIELDS: [&str; 3] = ["smb_message_echoes", "standby", "messaging_handovers"];
/// What a handover says has happened, and in which words each may be said.
const HANDOVERS: [(Happened, [&str; 2]); 3] = [
    (Happened::Passed, ["control_passed", "pass_thread_control"]),
    (Happened::Taken, ["control_taken", "take_thread_control"]),
    (Happened::Requested, ["control_requested", "request_thread_control"]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Happened {
    Passed,
    Taken,
    Requested,
}

/// Reads one change of these fields. `phone_number_id` is the number that this server has.
pub(super) fn read(field: &str, value: &Value, (change, phone_number_id): (&Value, &str), items: &mut Vec<Item>) {
    match field {
        "smb_message_echoes" => {
            let echoes = list(value, "message_echoes");
            if echoes.is_empty() {
                items.push(unknown("there are no echoes in it", change.clone()));
            }
            let contacts = Contacts::of(value, echoes.len());
            items.extend(echoes.into_iter().map(|echo| read_echo(echo, Holder::Colleague, &contacts)));
        }
        "standby" => read_standby(value, change, items),
        _ => items.push(read_handover(value, change, phone_number_id)),
    }
}

/// What is under a key: a list, or one thing where a list should be.
fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value.get(key) {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

fn read_standby(value: &Value, change: &Value, items: &mut Vec<Item>) {
    let before = items.len();
    let within = value.get("standby").filter(|standby| standby.is_object()).unwrap_or(value);
    // A plain list holds messages of both directions.
    let (echoes, messages): (Vec<_>, Vec<_>) = match value.get("standby").and_then(Value::as_array) {
        Some(all) => all.iter().partition(|one| one.get("message").is_some() || one.get("to").is_some()),
        None => (list(within, "message_echoes"), list(within, "messages")),
    };
    let statuses = list(within, "statuses");
    let people = |count| {
        let contacts = within.get("contacts").or_else(|| value.get("contacts"));
        Contacts::of(&json!({"contacts": contacts}), count)
    };
    let of_messages = people(messages.len());
    items.extend(messages.into_iter().map(|message| match read_message(message, &of_messages) {
        Item::Message(message) => Item::Overheard(message),
        other => other,
    }));
    let of_echoes = people(echoes.len());
    items.extend(echoes.into_iter().map(|echo| read_echo(echo, Holder::Standby, &of_echoes)));
    let of_statuses = people(statuses.len());
    items.extend(statuses.into_iter().filter_map(|status| read_status(status, &of_statuses)));
    items.extend(list(within, "errors").into_iter().map(|error| changes::notice("error", error, error, "")));
    if items.len() == before {
        items.push(unknown("there are no messages, echoes or statuses in it", change.clone()));
    }
}

fn read_echo(echo: &Value, by: Holder, contacts: &Contacts) -> Item {
    let refuse = |why: &str| unknown(why, echo.clone());
    let content = echo.get("message").filter(|message| message.is_object()).unwrap_or(echo);
    let part = |key: &str| [echo, content].into_iter().find_map(|value| text(Some(value), key));
    let Some(provider_id) = part("id") else { return refuse("an echo has no id") };
    if part("group_id").is_some() || part("recipient_type").as_deref() == Some("group") {
        return refuse("it was written to a group");
    }
    let Some(to) = addressee(&[content, echo], contacts) else { return refuse("an echo does not say to whom it went") };
    let said = Content::of(content, None);
    let is_unread = said.kind == IncomingKind::Reply(ReplyKind::Unsupported);
    // A menu is shown by its text, a template by its name.
    let of_form = || {
        let form = content.get("interactive");
        text(form.and_then(|form| form.get("body")), "text").or_else(|| text(content.get("template"), "name"))
    };
    let payload = said.payload.or_else(|| content.get("errors").map(|errors| json!({"errors": errors})));
    Item::Echo(Box::new(Echo {
        provider_id,
        message_id: part("biz_opaque_callback_data").and_then(|id| id.parse().ok()),
        by,
        to: to.into(),
        sent_at: timestamp(echo).or_else(|| timestamp(content)),
        kind: said.kind,
        text: said.text.or_else(|| is_unread.then(of_form).flatten()),
        reply_to: said
            .reply_to
            .or_else(|| text(content.get("context"), "id").or_else(|| text(content.get("context"), "message_id"))),
        payload,
    }))
}

/// To whom an echo went, by what it and the contacts beside it say. It is what a sender is in a message.
fn addressee(places: &[&Value], contacts: &Contacts) -> Option<Person> {
    let find = |keys: &[&str], read: fn(&Value, &str) -> Option<String>| {
        places.iter().find_map(|place| keys.iter().find_map(|key| read(place, key)))
    };
    let mut told = Map::new();
    let addresses = [
        ("from", find(&["to", "recipient", "recipient_id"], number)),
        ("from_user_id", find(&["to_user_id", "recipient_user_id", "recipient", "to", "recipient_id"], scoped_id)),
        ("from_parent_user_id", find(&["to_parent_user_id", "recipient_parent_user_id"], scoped_id)),
    ];
    told.extend(addresses.into_iter().filter_map(|(key, address)| Some((key.to_owned(), address?.into()))));
    contacts.sender_of(&Value::Object(told), None)
}

fn read_handover(value: &Value, change: &Value, phone_number_id: &str) -> Item {
    let refuse = |why: &str| unknown(why, change.clone());
    let ends = [value.get("sender"), value.get("recipient")];
    let number_ids = ends.iter().flatten().filter_map(|end| text(Some(end), "phone_number_id"));
    if number_ids.into_iter().any(|id| id != phone_number_id) {
        return refuse("it is for another number of the account");
    }
    let said = text(Some(value), "type");
    let is_said = |words: &[&str; 2]| match &said {
        Some(said) => words.contains(&said.as_str()),
        None => words.iter().any(|word| value.get(word).is_some()),
    };
    let Some((happened, words)) = HANDOVERS.iter().find(|(_, words)| is_said(words)) else {
        return refuse("a conversation changed hands in a way that is not known");
    };
    let details = words.iter().find_map(|word| value.get(word)).unwrap_or(&Value::Null);
    let to_us = match (happened, role(details, "new_owner"), role(details, "previous_owner")) {
        (Happened::Requested, ..) => {
            let means = "Another system of Meta asks for a conversation. It gets it when nothing of ours is sent.";
            return changes::notice("conversation control requested", value, change, means);
        }
        (_, Some(Role::Agent), _) => false,
        // The previous owner reports a pass, so we have the conversation now; the new owner reports a taking, so we
        // have it no more, unless it was taken from the agent.
        (Happened::Passed, ..) | (Happened::Taken, _, Some(Role::Agent)) => true,
        (Happened::Taken, ..) => false,
    };
    let contacts = Contacts::of(value, 1);
    let person = ends.iter().flatten().filter(|end| end.get("phone_number_id").is_none()).find_map(|end| {
        let wa_id = ["wa_id", "phone_number", "id"].into_iter().find_map(|key| number(end, key));
        let user_id = ["user_id", "id"].into_iter().find_map(|key| scoped_id(end, key));
        contacts.sender_of(&json!({"from": wa_id, "from_user_id": user_id}), None)
    });
    match person.or_else(|| contacts.sender_of(&Value::Null, None)) {
        Some(person) => Item::Handover(Box::new(Handover { person: person.into(), to_us, at: timestamp(value) })),
        None => refuse("a conversation changed hands, and it does not say with whom"),
    }
}

/// The kind of party that has, or had, a conversation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Meta's own agent.
    Agent,
    /// Any other party.
    Other,
}

/// The role of the new or the previous owner, in whichever of its fields it stands.
fn role(details: &Value, owner: &str) -> Option<Role> {
    let nested = details.get(owner);
    let of = |key: &str| text(nested, key).or_else(|| text(Some(details), &format!("{owner}_{key}")));
    let named = [of("app_role"), of("role")];
    let mut named = named.into_iter().flatten().peekable();
    named.peek()?;
    let is_agent = named.any(|role| {
        let role = role.to_ascii_lowercase();
        role.contains("business_agent") || role.contains("ai_agent") || role == "agent" || role.contains("business_ai")
    });
    Some(if is_agent { Role::Agent } else { Role::Other })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::whatsapp::corpus::shown;
    use crate::channels::whatsapp::read_delivery;

    const NUMBER: &str = "106540352242922";

    fn lines(field: &str, value: &Value) -> Vec<String> {
        let entry = json!({"id": "1", "time": 1_790_000_000, "changes": [{"field": field, "value": value}]});
        let delivery = json!({"object": "whatsapp_business_account", "entry": [entry]});
        read_delivery(delivery.to_string().as_bytes(), NUMBER).unwrap().iter().map(shown).collect()
    }

    fn with_metadata(rest: Value) -> Value {
        let mut value = json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550783881", "phone_number_id": NUMBER},
        });
        value.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        value
    }

    /// An echo with everything but what `rest` says or takes away (null).
    fn echo(rest: &Value) -> Value {
        let mut echo = json!({"from": "15550783881", "to": "16505551234", "id": "wamid.E", "timestamp": "1790000000",
                              "type": "text", "text": {"body": "Hi"}});
        for (key, value) in rest.as_object().unwrap() {
            match value {
                Value::Null => _ = echo.as_object_mut().unwrap().remove(key),
                value => echo[key] = value.clone(),
            }
        }
        echo
    }

    #[test]
    fn what_a_colleague_writes_is_read_whatever_it_is() {
        let medium =
            |kind: &str| json!({"type": kind, "text": null, kind: {"id": "7", "mime_type": "a/b", "caption": "See"}});
        for (rest, expected) in [
            (json!({}), "colleague text to 16505551234 text=Hi"),
            (json!({"to": "+16505551234"}), "colleague text to 16505551234 text=Hi"),
            (json!({"to": 16_505_551_234_u64}), "colleague text to 16505551234 text=Hi"),
            (json!({"to_user_id": "US.1"}), "colleague text to 16505551234/US.1 text=Hi"),
            (json!({"to": null, "to_user_id": "US.1"}), "colleague text to -/US.1 text=Hi"),
            (json!({"to": "US.1"}), "colleague text to -/US.1 text=Hi"),
            (
                json!({"to_user_id": "US.1", "to_parent_user_id": "US.ENT.2"}),
                "colleague text to 16505551234/US.1 text=Hi",
            ),
            (json!({"to": null, "recipient_id": "16505551234"}), "colleague text to 16505551234 text=Hi"),
            (json!({"from": null}), "colleague text to 16505551234 text=Hi"),
            (json!({"timestamp": null}), "colleague text to 16505551234 text=Hi"),
            (json!({"timestamp": "soon"}), "colleague text to 16505551234 text=Hi"),
            (json!({"id": 17}), "colleague text to 16505551234 text=Hi"),
            (json!({"text": {"body": "größe 👍"}}), "colleague text to 16505551234 text=größe 👍"),
            (json!({"text": {}}), "colleague unsupported to 16505551234"),
            (json!({"text": null}), "colleague unsupported to 16505551234"),
            (json!({"context": {"id": "wamid.Q"}}), "colleague text to 16505551234 text=Hi of=wamid.Q"),
            (medium("image"), "colleague image to 16505551234 text=See"),
            (medium("video"), "colleague video to 16505551234 text=See"),
            (medium("document"), "colleague document to 16505551234 text=See"),
            (json!({"type": "audio", "audio": {"id": "7", "voice": true}}), "colleague audio to 16505551234"),
            (json!({"type": "sticker", "sticker": {"id": "7"}}), "colleague sticker to 16505551234"),
            (
                json!({"type": "location", "location": {"latitude": 1, "longitude": 2}}),
                "colleague location to 16505551234",
            ),
            (json!({"type": "contacts", "contacts": [{"name": {}}]}), "colleague contacts to 16505551234"),
            (
                json!({"type": "reaction", "reaction": {"message_id": "wamid.Q", "emoji": "👍"}}),
                "colleague reaction to 16505551234 text=👍 of=wamid.Q",
            ),
            (
                json!({"type": "edit", "edit": {"original_message_id": "wamid.Q",
                       "message": {"type": "text", "text": {"body": "Ho"}, "context": {"id": "M0"}}}}),
                "colleague edit to 16505551234 text=Ho of=wamid.Q",
            ),
            (
                json!({"type": "edit", "edit": {"original_message_id": "wamid.Q",
                       "message": {"type": "image", "image": {"caption": "New", "id": "7"}}}}),
                "colleague edit to 16505551234 text=New of=wamid.Q",
            ),
            (
                json!({"type": "revoke", "revoke": {"original_message_id": "wamid.Q"}}),
                "colleague revoke to 16505551234 of=wamid.Q",
            ),
            (
                json!({"type": "unsupported", "text": null, "errors": [{"code": 131_060}]}),
                "colleague unsupported to 16505551234",
            ),
            (json!({"type": "poll_of_tomorrow", "text": null}), "colleague unsupported to 16505551234"),
            (json!({"type": null}), "colleague unsupported to 16505551234"),
            (
                json!({"type": "template", "template": {"name": "cart", "language": {"code": "en"}}}),
                "colleague unsupported to 16505551234 text=cart",
            ),
            (
                json!({"type": "interactive", "interactive": {"type": "button", "body": {"text": "Which?"}}}),
                "colleague unsupported to 16505551234 text=Which?",
            ),
            (json!({"id": null}), "unknown: an echo has no id"),
            (json!({"to": null}), "unknown: an echo does not say to whom it went"),
            (json!({"to": "nobody"}), "unknown: an echo does not say to whom it went"),
            (json!({"group_id": "7"}), "unknown: it was written to a group"),
            (json!({"recipient_type": "group"}), "unknown: it was written to a group"),
        ] {
            let value = with_metadata(json!({"message_echoes": [echo(&rest)]}));
            assert_eq!(lines("smb_message_echoes", &value), [expected], "{rest}");
        }
    }

    #[test]
    fn an_echo_is_the_persons_whom_the_contacts_beside_it_name() {
        let contacts = json!([{"wa_id": "16505551234", "user_id": "US.1", "profile": {"name": "Ana"}}]);
        let value = with_metadata(json!({"contacts": contacts, "message_echoes": [echo(&json!({}))]}));
        assert_eq!(lines("smb_message_echoes", &value), ["colleague text to 16505551234/US.1 (Ana) text=Hi"]);
        let nameless = echo(&json!({"to": null}));
        let value = with_metadata(json!({"contacts": contacts, "message_echoes": [nameless.clone()]}));
        assert_eq!(lines("smb_message_echoes", &value), ["colleague text to 16505551234/US.1 (Ana) text=Hi"]);
        let value = with_metadata(
            json!({"contacts": contacts, "message_echoes": [nameless, echo(&json!({"to": "16505550000"}))]}),
        );
        let to_other = "colleague text to 16505550000 text=Hi";
        assert_eq!(lines("smb_message_echoes", &value), ["unknown: an echo does not say to whom it went", to_other]);
        let value = with_metadata(json!({"message_echoes": echo(&json!({}))}));
        assert_eq!(lines("smb_message_echoes", &value), ["colleague text to 16505551234 text=Hi"], "no list");
        for empty in [json!({}), json!({"message_echoes": []}), json!({"message_echoes": "x"})] {
            assert_eq!(lines("smb_message_echoes", &with_metadata(empty)), ["unknown: there are no echoes in it"]);
        }
        let mut other = with_metadata(json!({"message_echoes": [echo(&json!({}))]}));
        other["metadata"]["phone_number_id"] = json!("999");
        assert_eq!(lines("smb_message_echoes", &other), ["unknown: it is for another number of the account"]);
    }

    #[test]
    fn what_is_ours_is_known_by_what_it_carries() {
        let id = "01936b1e-7c6a-7000-8000-0000000000aa";
        let read = |rest: Value| {
            let value = json!({"standby": {"message_echoes": [rest]}});
            let mut items = Vec::new();
            read("standby", &value, (&value, NUMBER), &mut items);
            match items.remove(0) {
                Item::Echo(echo) => *echo,
                other => panic!("{other:?}"),
            }
        };
        let nested = json!({"id": "wamid.E", "timestamp": "1790000000",
                            "message": {
            "to": "16505551234", "type": "text", "text": {"body": "x"}, "biz_opaque_callback_data": id}});
        assert_eq!(read(nested).message_id, Some(id.parse().unwrap()));
        assert_eq!(read(echo(&json!({"biz_opaque_callback_data": "theirs"}))).message_id, None);
        let at = |rest: Value| read(echo(&rest)).sent_at.map(|at| at.as_millis());
        assert_eq!((at(json!({})), at(json!({"timestamp": 5}))), (Some(1_790_000_000_000), Some(5_000)));
        let errors = read(echo(&json!({"type": "unsupported", "text": null, "errors": [{"code": 131_060}]})));
        assert_eq!(errors.payload, Some(json!({"errors": [{"code": 131_060}]})));
    }

    #[test]
    fn both_sides_of_a_conversation_of_another_system_are_read() {
        let message = json!({"from": "16505551234", "from_user_id": "US.1", "id": "wamid.M", "timestamp": "1790000000",
                             "type": "text", "text": {"body": "Where is my order?"}});
        let said = json!({"id": "wamid.E", "timestamp": "1790000001", "message": {
            "to": "16505551234", "recipient": "US.1", "recipient_type": "individual", "type": "text",
            "text": {"body": "On its way"}}});
        let status =
            json!({"id": "wamid.E", "status": "read", "timestamp": "1790000002", "recipient_id": "16505551234"});
        let (heard, echoed, got_on) = (
            "overheard text from 16505551234/US.1 text=Where is my order?",
            "standby text to 16505551234/US.1 text=On its way",
            "Read of wamid.E/- to 16505551234",
        );
        let contacts = json!([{"wa_id": "16505551234", "user_id": "US.1", "profile": {"name": "Ana"}}]);
        for (value, expected) in [
            (json!({"standby": {"messages": [message]}}), vec![heard]),
            (json!({"standby": {"message_echoes": [said]}}), vec![echoed]),
            (json!({"standby": {"statuses": [status]}}), vec![got_on]),
            (
                json!({"standby": {"messages": [message], "message_echoes": [said], "statuses": [status]}}),
                vec![heard, echoed, got_on],
            ),
            (json!({"messages": [message]}), vec![heard]),
            (json!({"message_echoes": [said], "statuses": [status]}), vec![echoed, got_on]),
            (json!({"standby": [message, said]}), vec![heard, echoed]),
            (json!({"standby": [echo(&json!({"to_user_id": "US.1", "text": {"body": "On its way"}}))]}), vec![echoed]),
            (json!({"standby": {"errors": [{"code": 131_000, "title": "Odd"}]}}), vec!["notice 131000: error: Odd"]),
            (json!({"standby": {"messages": [{"type": "text"}]}}), vec!["unknown: a message has no id"]),
            (
                json!({"standby": {"message_echoes": [{"id": "wamid.E"}]}}),
                vec!["unknown: an echo does not say to whom it went"],
            ),
            (json!({"standby": {}}), vec!["unknown: there are no messages, echoes or statuses in it"]),
            (json!({"standby": "?"}), vec!["unknown: there are no messages, echoes or statuses in it"]),
            (json!({}), vec!["unknown: there are no messages, echoes or statuses in it"]),
        ] {
            assert_eq!(lines("standby", &with_metadata(value.clone())), expected, "{value}");
        }
        let value = with_metadata(json!({"standby": {"contacts": contacts, "messages": [message]}}));
        assert_eq!(lines("standby", &value), ["overheard text from 16505551234/US.1 (Ana) text=Where is my order?"]);
        let value = with_metadata(json!({"contacts": contacts, "standby": {"messages": [message]}}));
        assert_eq!(lines("standby", &value), ["overheard text from 16505551234/US.1 (Ana) text=Where is my order?"]);
    }

    fn handover(kind: &str, details: Value) -> Value {
        json!({
            "messaging_product": "whatsapp",
            "recipient": {"display_phone_number": "15550783881", "phone_number_id": NUMBER},
            "sender": {"phone_number": "16505551234"},
            "timestamp": "1790000000",
            "type": kind,
            kind: details,
        })
    }

    #[test]
    fn who_has_the_conversation_is_read_from_how_it_changed_hands() {
        let agent = json!({"previous_owner_app_id": "1", "previous_owner_app_role": "meta_business_agent",
                           "previous_owner_role": "ai_agent", "new_owner_role": "escalation",
                           "metadata": "customer_request"});
        let (ours, theirs) = ("we are with 16505551234", "standby is with 16505551234");
        for (kind, details, expected) in [
            ("control_passed", agent.clone(), ours),
            ("control_passed", json!({"previous_owner_app_role": "meta_business_agent"}), ours),
            ("control_passed", json!({"previous_owner": {"app_role": "meta_business_agent"}}), ours),
            ("control_passed", json!({"new_owner_role": "ai_agent", "previous_owner_role": "escalation"}), theirs),
            ("control_passed", json!({"new_owner": {"role": "ai_agent"}}), theirs),
            ("control_passed", json!({"new_owner_app_role": "META_BUSINESS_AGENT"}), theirs),
            ("control_passed", json!({}), ours),
            ("control_taken", json!({"previous_owner_app_id": "1"}), theirs),
            ("control_taken", json!({}), theirs),
            ("control_taken", json!({"new_owner_app_role": "meta_business_agent"}), theirs),
            ("control_taken", agent, ours),
            ("pass_thread_control", json!({"previous_owner_app_id": "1"}), ours),
            ("take_thread_control", json!({"previous_owner_app_id": "1"}), theirs),
        ] {
            assert_eq!(lines("messaging_handovers", &handover(kind, details.clone())), [expected], "{kind} {details}");
        }
        let change = |change: fn(&mut Value)| {
            let mut value = handover("control_passed", json!({"new_owner_role": "ai_agent"}));
            change(&mut value);
            lines("messaging_handovers", &value).remove(0)
        };
        assert_eq!(change(|value| _ = value.as_object_mut().unwrap().remove("type")), theirs);
        assert_eq!(change(|value| value["sender"] = json!({"wa_id": "16505551234"})), theirs);
        assert_eq!(change(|value| value["sender"] = json!({"user_id": "US.1"})), "standby is with -/US.1");
        let both = json!({"phone_number": "+16505551234", "user_id": "US.1"});
        assert_eq!(change(|value| value["sender"] = json!({"id": "16505551234"})), theirs);
        let mut value = handover("control_passed", json!({"new_owner_role": "ai_agent"}));
        value["sender"] = both;
        assert_eq!(lines("messaging_handovers", &value), ["standby is with 16505551234/US.1"]);
        let swapped = change(|value| {
            let (sender, recipient) = (value["sender"].take(), value["recipient"].take());
            (value["sender"], value["recipient"]) = (recipient, sender);
        });
        assert_eq!(swapped, theirs);
        let by_contacts = change(|value| {
            value["sender"] = Value::Null;
            value["contacts"] = json!([{"wa_id": "16505551234", "user_id": "US.1"}]);
        });
        assert_eq!(by_contacts, "standby is with 16505551234/US.1");
        let nobody = change(|value| value["sender"] = json!({}));
        assert_eq!(nobody, "unknown: a conversation changed hands, and it does not say with whom");
        let other = change(|value| value["recipient"]["phone_number_id"] = json!("999"));
        assert_eq!(other, "unknown: it is for another number of the account");
        let odd = lines("messaging_handovers", &handover("control_lost_in_the_mail", json!({})));
        assert_eq!(odd, ["unknown: a conversation changed hands in a way that is not known"]);
        let asked = lines("messaging_handovers", &handover("control_requested", json!({"metadata": "please"})));
        assert!(asked[0].starts_with("notice messaging") || asked[0].starts_with("notice conversation"), "{asked:?}");
    }
}
