//! Others on the business's number: a colleague in the WhatsApp Business app, and an agent of Meta's that may hold a
//! conversation. The shapes are those of Meta's reference (echoes) and those that receivers saw in 2026 (the rest).

use serde_json::{Value, json};

use super::phones::Phone;
use super::state::{State, fresh_wamid};

impl Phone {
    /// A colleague writes to the person in the Business app. Gives the wamid.
    pub fn hear_colleague(&self, text: &str) -> String {
        self.hear_colleague_send(json!({"type": "text", "text": {"body": text}}))
    }

    /// A colleague sends anything: everything but id, addresses and time.
    pub fn hear_colleague_send(&self, message: Value) -> String {
        let now = self.shared.read(State::now);
        self.hear_colleague_at(now, message)
    }

    /// The same, at another time, in milliseconds.
    pub fn hear_colleague_at(&self, at: i64, message: Value) -> String {
        self.shared.change(|state| {
            let person = &state.users[self.user];
            let wamid = fresh_wamid();
            let mut echo = json!({"from": state.business_digits(), "id": wamid, "timestamp": (at / 1000).to_string()});
            if person.shows_number {
                echo["to"] = json!(person.wa_id);
            }
            echo["to_user_id"] = json!(person.bsuid);
            echo.as_object_mut().unwrap().extend(message.as_object().unwrap().clone());
            let mut value = state.envelope_value();
            value["contacts"] = json!([state.contact(self.user, true)]);
            value["message_echoes"] = json!([echo]);
            state.push_event("smb_message_echoes", value);
            wamid
        })
    }

    /// The person writes while Meta's agent holds the conversation. Gives the wamid.
    pub fn say_to_agent(&self, text: &str) -> String {
        self.shared.change(|state| {
            let now = state.now();
            let person = &mut state.users[self.user];
            person.wrote_at = person.wrote_at.max(Some(now));
            let wamid = fresh_wamid();
            let message = json!({
                "from": person.wa_id, "from_user_id": person.bsuid, "id": wamid, "timestamp": (now / 1000).to_string(),
                "type": "text", "text": {"body": text},
            });
            let contact = state.contact(self.user, true);
            self.push_standby(state, json!({"contacts": [contact], "messages": [message]}));
            wamid
        })
    }

    /// Meta's agent answers the person. Gives the wamid.
    pub fn hear_agent(&self, text: &str) -> String {
        self.shared.change(|state| {
            let person = &state.users[self.user];
            let wamid = fresh_wamid();
            let echo = json!({"id": wamid, "timestamp": (state.now() / 1000).to_string(), "message": {
                "to": person.wa_id, "recipient": person.bsuid, "recipient_type": "individual", "type": "text",
                "text": {"body": text},
            }});
            self.push_standby(state, json!({"message_echoes": [echo]}));
            wamid
        })
    }

    /// What Meta's agent has sent got on.
    pub fn agents_message_got_on(&self, wamid: &str, status: &str) {
        self.shared.change(|state| {
            let person = &state.users[self.user];
            let item = json!({"id": wamid, "status": status, "timestamp": (state.now() / 1000).to_string(),
                              "recipient_id": person.wa_id});
            self.push_standby(state, json!({"statuses": [item]}));
        });
    }

    /// The conversation changes hands: to Meta's agent, or back to the business.
    pub fn hand_over(&self, to_agent: bool) {
        self.shared.change(|state| {
            let value = state.envelope_value();
            let (previous, new) = if to_agent { ("escalation", "ai_agent") } else { ("ai_agent", "escalation") };
            let value = json!({
                "messaging_product": "whatsapp",
                "recipient": value["metadata"],
                "sender": {"phone_number": state.users[self.user].wa_id},
                "timestamp": (state.now() / 1000).to_string(),
                "type": "control_passed",
                "control_passed": {
                    "previous_owner_role": previous, "new_owner_role": new, "metadata": "customer_request",
                },
            });
            state.push_event("messaging_handovers", value);
        });
    }

    fn push_standby(&self, state: &mut State, standby: Value) {
        let mut value = state.envelope_value();
        value["standby"] = standby;
        state.push_event("standby", value);
    }
}
