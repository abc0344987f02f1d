//! A flow's answer to a message that came after its session had ended.

use serde_json::Value;

use super::CompiledFlow;
use super::lists::dynamic;
use super::scope::{MadeRoots, Scope, TurnScope};
use super::template::Text;
use crate::domain::{Contact, Session, SessionInput, Timestamp};
use crate::engine::limits;

/// The text of `settings.late_reply`, filled in for a session that has ended and the message that came too late for it.
/// `None` if the flow has no such text, or nothing comes of it.
pub fn late_text(
    flow: &CompiledFlow,
    contact: &Contact,
    session: &Session,
    input: SessionInput,
    now: Timestamp,
) -> Option<String> {
    let rendered = match flow.late_text.as_ref()? {
        Text::Literal(text) => text.clone(),
        Text::Template { name, paths, .. } => {
            let turn = TurnScope {
                contact: contact.clone(),
                input: Some(input),
                session: session.id,
                flow: session.flow_id,
                document: flow.document.clone(),
                now,
                made: MadeRoots::default(),
            };
            let context = dynamic(&Value::Object(session.context.clone()));
            let scope = Scope { context, turn: turn.into(), visits: 0 };
            flow.templates.render(name, paths, &scope).ok()?.value
        }
    };
    // It may go out in parts.
    let text: String = rendered.chars().take(limits::TEXT_CHARS).collect();
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{ContactId, FlowDocument, FlowId, ReplyKind, SessionId};
    use crate::engine::{Beginning, begin};

    fn said(late_reply: Value) -> Option<String> {
        let document = json!({
            "schema_version": 1, "name": "Cart", "entry_node": "bye", "settings": {"late_reply": late_reply},
            "nodes": [{"id": "bye", "type": "end"}]
        });
        let flow = CompiledFlow::load(FlowDocument::parse(&document).unwrap(), Duration::from_secs(1800));
        let mut contact = Contact::new(ContactId(Uuid::nil()), Some("+40712345678".parse().unwrap()));
        contact.name = Some("Ana".to_owned());
        let now = Timestamp::from_millis(0);
        let beginning = Beginning {
            id: SessionId(Uuid::nil()),
            flow_id: FlowId(Uuid::nil()),
            version: 1,
            contact_id: contact.id,
            context: json!({"cart": {"total": 7}}).as_object().unwrap().clone(),
            seed: 1,
        };
        let session = begin(&flow, beginning, now);
        let input = SessionInput::of(ReplyKind::Text, Some("buy"), None, None);
        late_text(&flow, &contact, &session, input, now)
    }

    #[test]
    fn the_text_is_filled_in_and_never_sent_raw() {
        let text = "Hi {{contact.name}}, `{{input.text}}` for {{context.cart.total}} came too late{{context.gone}}.";
        assert_eq!(said(json!({"text": text})).unwrap(), "Hi Ana, `buy` for 7 came too late.");
        assert_eq!(said(json!({"text": "Too late."})).as_deref(), Some("Too late."));
        let clock = "{{now|date('%H:%M')}} {{now}}";
        assert_eq!(said(json!({"text": clock})).as_deref(), Some("02:00 1970-01-01T02:00:00+02:00"));
        for nothing in [
            json!({"text": " "}),
            json!({"text": "{{context.gone}}"}),
            json!({"text": "{{ oops"}),
            json!({"restart_at": "bye"}),
        ] {
            assert_eq!(said(nothing.clone()), None, "{nothing}");
        }
    }
}
