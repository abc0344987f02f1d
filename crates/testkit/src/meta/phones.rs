//! The phones: what reached them, and what people do with it.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::cloud::Shared;
use super::state::{Accepted, Media, State};
use super::templates;
use super::webhooks::Status;

/// A person with a phone. What they send goes out as webhooks; each method that sends gives the wamid.
#[derive(Clone)]
pub struct Phone {
    pub(super) shared: Arc<Shared>,
    pub(super) user: usize,
}

/// A message on the screen, in the order of acceptance. One that was sent twice is there twice.
#[derive(Clone, Debug)]
pub struct Received {
    /// Milliseconds, by the cloud's clock.
    pub at: i64,
    /// The message's id at Meta.
    pub wamid: String,
    /// `text`, `interactive`, `template` and so on.
    pub kind: String,
    /// The business's own `biz_opaque_callback_data`, which a person does not see.
    pub callback: Option<String>,
    /// What the person reads: text, caption, body of a menu or filled template.
    pub text: String,
    /// The titles that can be tapped.
    pub choices: Vec<String>,
    /// The request's body.
    pub body: Value,
}

/// Something that can be tapped.
struct Choice {
    id: String,
    title: String,
    kind: &'static str,
    description: Option<String>,
}

impl Phone {
    pub(super) fn new(shared: Arc<Shared>, user: usize) -> Self {
        Self { shared, user }
    }

    /// The person's number as webhooks write it; `None` if nobody knows it.
    pub fn wa_id(&self) -> Option<String> {
        self.shared.read(|state| state.users[self.user].wa_id.clone())
    }

    /// The business-scoped id that stands for the person now.
    pub fn bsuid(&self) -> String {
        self.shared.read(|state| state.users[self.user].bsuid.clone())
    }

    // What reached it.

    /// All messages, in the order of acceptance.
    pub fn inbox(&self) -> Vec<Received> {
        self.shared.read(|state| received(state, self.user))
    }

    /// What the person reads, message by message.
    pub fn texts(&self) -> Vec<String> {
        self.inbox().into_iter().map(|message| message.text).collect()
    }

    /// Waits until so many messages are there in all, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let user = self.user;
        let what = format!("{count} messages at one phone");
        self.shared
            .wait_for(&what, |state| (state.users[user].inbox.len() >= count).then(|| received(state, user)))
            .await
    }

    /// The person reads a message: status `read`.
    pub fn read(&self, wamid: &str) {
        self.shared.change(|state| state.push_status(wamid, Status::Read, None));
    }

    /// The person plays a voice message: status `played`.
    pub fn play(&self, wamid: &str) {
        self.shared.change(|state| state.push_status(wamid, Status::Played, None));
    }

    // What kind of person this is.

    /// The name of the profile.
    pub fn set_name(&self, name: &str) {
        self.shared.change(|state| name.clone_into(&mut state.users[self.user].name));
    }

    /// The id at the level of the company, such as `US.ENT.1181579`.
    pub fn set_parent_bsuid(&self, parent: &str) {
        self.shared.change(|state| state.users[self.user].parent_bsuid = Some(parent.to_owned()));
    }

    /// The person takes a username, and webhooks tell the number no more.
    pub fn hide_number(&self, username: &str) {
        self.shared.change(|state| {
            let user = &mut state.users[self.user];
            user.username = Some(username.to_owned());
            user.shows_number = false;
        });
    }

    /// Webhooks tell the number, and the BSUID beside it.
    pub fn show_number(&self) {
        self.shared.change(|state| state.users[self.user].shows_number = state.users[self.user].wa_id.is_some());
    }

    /// The number is not on WhatsApp: messages fail afterwards with 131026.
    pub fn leave_whatsapp(&self) {
        self.shared.change(|state| state.users[self.user].is_on_whatsapp = false);
    }

    /// Messages get no further than `sent`.
    pub fn switch_off(&self) {
        self.shared.change(|state| state.users[self.user].is_switched_on = false);
    }

    /// What has waited is delivered.
    pub fn switch_on(&self) {
        self.shared.change(|state| {
            state.users[self.user].is_switched_on = true;
            for wamid in std::mem::take(&mut state.users[self.user].undelivered) {
                state.push_status(&wamid, Status::Delivered, None);
            }
        });
    }

    /// The person moves to another number: a system message from the old number and BSUID that tells the new ones.
    pub fn change_number(&self, number: &str) -> String {
        self.shared.change(|state| {
            let old = state.users[self.user].wa_id.clone().unwrap_or_default();
            let (name, old_bsuid) = (state.users[self.user].name.clone(), state.users[self.user].bsuid.clone());
            state.move_user(self.user, number);
            let (new, new_bsuid) = (state.users[self.user].wa_id.clone(), state.users[self.user].bsuid.clone());
            let body = format!("User {name} changed from {old} to {}", new.as_deref().unwrap_or_default());
            let message = json!({
                "from": old,
                "from_user_id": old_bsuid,
                "type": "system",
                "system": {"body": body, "type": "user_changed_number", "wa_id": new, "user_id": new_bsuid},
            });
            let now = state.now();
            state.push_message(self.user, now, message)
        })
    }

    // What the person sends.

    /// Types a text.
    pub fn say(&self, text: &str) -> String {
        self.send(json!({"type": "text", "text": {"body": text}}))
    }

    /// Types a text that quotes a message.
    pub fn quote(&self, wamid: &str, text: &str) -> String {
        let context = self.context(wamid);
        self.send(json!({"context": context, "type": "text", "text": {"body": text}}))
    }

    /// Taps a button, a row or a quick reply of a message, by its id (or payload) or title.
    pub fn tap(&self, wamid: &str, choice: &str) -> String {
        let mut message = self.tapped(wamid, choice);
        message["context"] = self.context(wamid);
        self.send(message)
    }

    /// Taps, and the webhook has no `context`, as Meta's for quick replies of templates may lack it.
    pub fn tap_without_context(&self, wamid: &str, choice: &str) -> String {
        self.send(self.tapped(wamid, choice))
    }

    /// An image, perhaps with a caption.
    pub fn send_image(&self, caption: Option<&str>) -> String {
        let extra = caption.map_or(json!({}), |caption| json!({"caption": caption}));
        self.send_media("image", "image/jpeg", extra)
    }

    /// A video, perhaps with a caption.
    pub fn send_video(&self, caption: Option<&str>) -> String {
        let extra = caption.map_or(json!({}), |caption| json!({"caption": caption}));
        self.send_media("video", "video/mp4", extra)
    }

    /// A recording that was forwarded as a file.
    pub fn send_audio(&self) -> String {
        self.send_media("audio", "audio/mpeg", json!({"voice": false}))
    }

    /// A voice message.
    pub fn send_voice(&self) -> String {
        self.send_media("audio", "audio/ogg; codecs=opus", json!({"voice": true}))
    }

    /// A document.
    pub fn send_document(&self, filename: &str) -> String {
        self.send_media("document", "application/pdf", json!({"filename": filename}))
    }

    /// A sticker.
    pub fn send_sticker(&self) -> String {
        self.send_media("sticker", "image/webp", json!({"animated": false}))
    }

    /// Where the person is, or a place with a name.
    pub fn send_location(&self, latitude: f64, longitude: f64, name: Option<&str>) -> String {
        let mut location = json!({"latitude": latitude, "longitude": longitude});
        if let Some(name) = name {
            location["name"] = json!(name);
            location["address"] = json!(format!("{name} Street 1"));
        }
        self.send(json!({"type": "location", "location": location}))
    }

    /// A card from the address book.
    pub fn send_contact(&self, name: &str, phone: &str) -> String {
        let contact = json!({
            "name": {"formatted_name": name, "first_name": name},
            "phones": [{"phone": phone, "wa_id": super::state::digits(phone), "type": "CELL"}],
        });
        self.send(json!({"type": "contacts", "contacts": [contact]}))
    }

    /// An order from the catalogue: one product.
    pub fn send_order(&self, product: &str) -> String {
        let item = json!({"product_retailer_id": product, "quantity": 1, "item_price": 9.5, "currency": "USD"});
        self.send(
            json!({"type": "order", "order": {"catalog_id": "194836987003835", "text": "", "product_items": [item]}}),
        )
    }

    /// Reacts to a message; `None` takes the reaction back.
    pub fn react(&self, wamid: &str, emoji: Option<&str>) -> String {
        let mut reaction = json!({"message_id": wamid});
        if let Some(emoji) = emoji {
            reaction["emoji"] = json!(emoji);
        }
        self.send(json!({"type": "reaction", "reaction": reaction}))
    }

    /// Corrects a text that was sent.
    pub fn edit(&self, wamid: &str, text: &str) -> String {
        let message = json!({"type": "text", "text": {"body": text}});
        self.send(json!({"type": "edit", "edit": {"original_message_id": wamid, "message": message}}))
    }

    /// Deletes a message that was sent.
    pub fn revoke(&self, wamid: &str) -> String {
        self.send(json!({"type": "revoke", "revoke": {"original_message_id": wamid}}))
    }

    /// Something that the API does not pass on.
    pub fn send_unsupported(&self) -> String {
        let error = json!({
            "code": 131051,
            "title": "Message type unknown",
            "message": "Message type unknown",
            "error_data": {"details": "Message type is currently not supported."},
        });
        self.send(json!({"type": "unsupported", "errors": [error]}))
    }

    /// Any message: everything but id, sender and time.
    pub fn send(&self, message: Value) -> String {
        let now = self.shared.read(State::now);
        self.send_at(now, message)
    }

    /// Any message, written at another time, in milliseconds.
    pub fn send_at(&self, at: i64, message: Value) -> String {
        self.shared.change(|state| state.push_message(self.user, at, message))
    }

    fn send_media(&self, kind: &str, mime_type: &str, extra: Value) -> String {
        let id = (Uuid::now_v7().as_u128() % 10_000_000_000_000_000).to_string();
        let bytes = format!("the bytes of {kind} {id}").into_bytes();
        let sha256 = base64(&Sha256::digest(&bytes));
        let url = self.shared.change(|state| {
            state.media.insert(id.clone(), Media { mime_type: mime_type.to_owned(), bytes });
            state.media_url(&id)
        });
        let mut media = json!({"id": id, "mime_type": mime_type, "sha256": sha256, "url": url});
        for (key, value) in extra.as_object().into_iter().flatten() {
            media[key] = value.clone();
        }
        let mut message = json!({ "type": kind });
        message[kind] = media;
        self.send(message)
    }

    fn context(&self, wamid: &str) -> Value {
        self.shared.read(|state| {
            let by_business = state.by_wamid.contains_key(wamid);
            let from = if by_business { Some(state.business_digits()) } else { state.users[self.user].wa_id.clone() };
            json!({"from": from, "id": wamid})
        })
    }

    fn tapped(&self, wamid: &str, wanted: &str) -> Value {
        let choices = self.shared.read(|state| {
            let accepted = state.by_wamid.get(wamid).map(|&place| &state.accepted[place]);
            choices(
                state,
                accepted.filter(|accepted| accepted.user == Some(self.user)).expect("a message of this phone"),
            )
        });
        let names: Vec<&str> = choices.iter().map(|choice| choice.title.as_str()).collect();
        let Some(choice) = choices.iter().find(|choice| choice.id == wanted || choice.title == wanted) else {
            panic!("the message offers {names:?}, and not {wanted:?}");
        };
        if choice.kind == "button" {
            return json!({"type": "button", "button": {"payload": choice.id, "text": choice.title}});
        }
        let mut reply = json!({"id": choice.id, "title": choice.title});
        if let Some(description) = &choice.description {
            reply["description"] = json!(description);
        }
        let mut interactive = json!({"type": choice.kind});
        interactive[choice.kind] = reply;
        json!({"type": "interactive", "interactive": interactive})
    }
}

fn received(state: &State, user: usize) -> Vec<Received> {
    let messages = state.users[user].inbox.iter().map(|&place| &state.accepted[place]);
    messages
        .map(|accepted| Received {
            at: accepted.at,
            wamid: accepted.wamid.clone(),
            kind: accepted.kind.clone(),
            callback: accepted.callback.clone(),
            text: read_text(state, accepted),
            choices: choices(state, accepted).into_iter().map(|choice| choice.title).collect(),
            body: accepted.body.clone(),
        })
        .collect()
}

fn read_text(state: &State, accepted: &Accepted) -> String {
    let message = &accepted.body[&accepted.kind];
    let text = match accepted.kind.as_str() {
        "text" => message["body"].as_str(),
        "interactive" => message["body"]["text"].as_str(),
        "template" => return templates::fill(&state.templates, message),
        "location" => message["name"].as_str(),
        "reaction" => message["emoji"].as_str(),
        _ => message["caption"].as_str(),
    };
    text.unwrap_or_default().to_owned()
}

fn choices(state: &State, accepted: &Accepted) -> Vec<Choice> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let action = &accepted.body["interactive"]["action"];
    match accepted.kind.as_str() {
        "interactive" if action["buttons"].is_array() => list(&action["buttons"])
            .iter()
            .map(|button| Choice {
                id: text(&button["reply"]["id"]),
                title: text(&button["reply"]["title"]),
                kind: "button_reply",
                description: None,
            })
            .collect(),
        "interactive" => list(&action["sections"])
            .iter()
            .flat_map(|section| list(&section["rows"]))
            .map(|row| Choice {
                id: text(&row["id"]),
                title: text(&row["title"]),
                kind: "list_reply",
                description: row["description"].as_str().map(str::to_owned),
            })
            .collect(),
        "template" => {
            let message = &accepted.body["template"];
            let template = templates::find(&state.templates, message);
            let buttons = template.map_or(&[] as &[Value], |template| template.buttons()).iter().enumerate();
            buttons
                .filter(|(_, button)| button["type"] == "QUICK_REPLY")
                .map(|(index, button)| {
                    let title = text(&button["text"]);
                    let id = templates::payload(message, index, &title);
                    Choice { id, title, kind: "button", description: None }
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Base64 with padding, in which webhooks write `sha256`.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            (0..4).map(move |place| {
                let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
                if place <= chunk.len() { char::from(letter) } else { '=' }
            })
        })
        .collect()
}
