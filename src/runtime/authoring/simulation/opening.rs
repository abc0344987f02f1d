//! The first message of a simulation: it starts the flow where a message from a new contact would.

use serde_json::json;

use super::script::Opening;
use super::{NotStarted, Subject};
use crate::domain::consent::Wish;
use crate::domain::typed::Typed;
use crate::domain::{ReplyKind, SessionInput};

impl Opening {
    /// What the session's first turn reads as `{{input}}`.
    pub(super) fn input(&self) -> SessionInput {
        let payload = (!self.referral.is_empty()).then(|| json!({"referral": self.referral}));
        SessionInput::of(self.kind, self.text.as_deref(), None, payload.as_ref())
    }

    /// Whether it starts the flow: by a keyword, else where the flow is the one that all other messages start.
    ///
    /// # Errors
    /// What would happen to the message instead, as a sentence.
    pub(super) fn check(&self, subject: &Subject) -> Result<(), NotStarted> {
        let typed = self.text.as_deref().filter(|_| self.kind == ReplyKind::Text);
        if typed.is_some_and(|text| subject.words.find(Wish::OptOut, text).is_some()) {
            let text = "The message is a word that opts out, which goes before all keywords: it starts no flow.";
            return Err(NotStarted::Message(text.to_owned()));
        }
        if subject.is_keyword(self.kind, self.text.as_deref()) || subject.is_fallback {
            return Ok(());
        }
        let keywords = &subject.flow.document().settings.keywords;
        let text = if keywords.is_empty() {
            "No message starts this flow: it has no keywords, and is not the fallback flow. Add some in its settings, \
            or begin without a message, as a trigger does."
                .to_owned()
        } else {
            let keywords: Vec<String> = keywords.iter().map(|keyword| format!("\u{201c}{keyword}\u{201d}")).collect();
            format!("The message does not start this flow, whose keywords are {}.", keywords.join(", "))
        };
        Err(NotStarted::Message(text))
    }
}

impl Subject {
    /// Whether a message is a word that starts the flow.
    pub(super) fn is_keyword(&self, kind: ReplyKind, text: Option<&str>) -> bool {
        let written = text.filter(|_| kind.is_written()).map(Typed::of).filter(|word| !word.is_empty());
        let keywords = &self.flow.document().settings.keywords;
        written.is_some_and(|word| {
            keywords.iter().map(|keyword| Typed::of(keyword)).any(|one| one.exact == word.exact || one.is_like(&word))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::Status;
    use crate::runtime::authoring::simulation::tests::try_simulate;
    use crate::runtime::authoring::simulation::{NotStarted, Simulation};

    fn document() -> Value {
        json!({"schema_version": 1, "name": "Info", "entry_node": "a",
               "settings": {"keywords": ["Información", "what's new"]},
               "nodes": [{"id": "a", "type": "ask", "text": "You said {{input.text}} ({{input.type}})",
                   "save_as": "x"}]})
    }

    fn begun(message: Value) -> Result<Simulation, NotStarted> {
        try_simulate(document(), json!({"message": message, "channel": "whatsapp", "window_open": false}))
    }

    #[test]
    fn a_keyword_begins_it_and_is_the_input_of_the_first_turn() {
        for text in ["Información", "informacion", " INFORMACION! ", "What\u{2019}s new"] {
            let simulation = begun(json!({"type": "text", "text": text})).unwrap();
            let said: Vec<_> = simulation.messages().map(|said| said.message.text.clone().unwrap()).collect();
            assert_eq!(said, [format!("You said {text} (text)")]);
            assert_eq!(simulation.session().status, Status::Running, "no wait is met by the message that began it");
            assert!(simulation.is_window_open(), "the contact has written");
            assert_eq!(simulation.contact().opted_in_at, None, "a message is no consent");
        }
        let mut from_ad = document();
        from_ad["nodes"][0]["text"] = json!("Seen {{input.referral.source_id}}");
        let message = json!({"type": "text", "text": "informacion", "referral": {"source_id": "120"}});
        let from_ad = try_simulate(from_ad, json!({"message": message})).unwrap();
        assert_eq!(from_ad.messages().next().unwrap().message.text.as_deref(), Some("Seen 120"));
        let caption = begun(json!({"type": "image", "text": "informacion", "media": {"id": "1"}})).unwrap();
        assert_eq!(caption.messages().next().unwrap().message.text.as_deref(), Some("You said informacion (image)"));
    }

    #[test]
    fn what_would_start_nothing_begins_nothing_and_says_what_would() {
        for (message, why) in [
            (json!({"type": "text", "text": "hello"}), "whose keywords are \u{201c}Información\u{201d}"),
            (json!({"type": "text", "text": " "}), "whose keywords are"),
            (json!({"type": "tap", "option": "x", "text": "informacion"}), "whose keywords are"),
            (json!({"type": "audio"}), "whose keywords are"),
            (json!({"type": "text", "text": "STOP"}), "opts out"),
        ] {
            let Err(NotStarted::Message(text)) = begun(message.clone()) else { panic!("{message}") };
            assert!(text.contains(why), "{text}");
        }
        let mut without = document();
        without["settings"] = json!({});
        let refused = try_simulate(without, json!({"message": {"type": "text", "text": "hi"}}));
        assert!(matches!(refused, Err(NotStarted::Message(text)) if text.contains("no keywords")));
    }
}
