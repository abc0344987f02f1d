//! The window of a simulated channel: whether a text goes out, or the template beside it.

use std::time::Duration;

use super::script::Start;
use crate::channels::ChannelKind;
use crate::domain::{MessageKind, Reason, TextLimits, Timestamp, web_link};
use crate::runtime::job::turn::PlannedMessage;

/// Why the simulated channel fails a message; the session is notified of both.
pub(super) const UNDELIVERED: [Reason; 2] = [Reason::WindowClosed, Reason::BadMedia];
/// For how long a message from the contact opens it (Cloud API, customer service windows).
const SPAN: Duration = Duration::from_secs(24 * 3600);

/// The window, and what it means on the channel.
#[derive(Debug, Clone)]
pub(super) struct Window {
    channel: ChannelKind,
    is_open: bool,
    /// When it closes by itself, if it is open.
    until: Option<Timestamp>,
}

impl Window {
    /// How long the texts of its messages may be. Where no channel is named they are shown as on the server's own.
    pub(super) fn text_limits(&self, (live, webhook): (TextLimits, TextLimits)) -> TextLimits {
        match self.channel {
            ChannelKind::Simulator => live,
            ChannelKind::Webhook => webhook,
            other => other.text_limits(),
        }
    }

    pub(super) fn new(start: &Start) -> Self {
        Self { channel: start.channel, is_open: start.window_open, until: Some(start.now.plus(SPAN)) }
    }

    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        let closes = self.channel.has_window();
        self.is_open && self.until.is_none_or(|until| !closes || now < until)
    }

    /// Opens or closes it, until something else happens.
    pub(super) fn set(&mut self, open: bool) {
        (self.is_open, self.until) = (open, None);
    }

    /// The contact has written.
    pub(super) fn receive(&mut self, now: Timestamp) {
        (self.is_open, self.until) = (true, Some(now.plus(SPAN)));
    }

    /// Reduces each message to what the channel shows of it. A text in parts goes as one template, and no further than
    /// a part that is not taken.
    pub(super) fn choose_all(&self, said: &mut [PlannedMessage], now: Timestamp) {
        let mut before = None;
        for said in said {
            let is_later = said.part.as_ref().is_some_and(|part| part.number > 1);
            if !is_later {
                before = None;
            }
            said.refused = said.refused.or(before);
            if said.refused.is_some() {
                continue;
            }
            let had_text = said.message.kind != MessageKind::Template;
            self.choose(said, now);
            if said.message.media.as_ref().is_some_and(|media| web_link(&media.url).is_none()) {
                said.refused = said.refused.or(Some(Reason::BadMedia));
            }
            before = match (said.message.kind, said.refused) {
                (_, Some(_)) => Some(Reason::EarlierPartFailed),
                (MessageKind::Template, None) if had_text => Some(Reason::SentAsTemplate),
                (_, None) => None,
            };
        }
    }

    /// A template without a text beside it stays one everywhere.
    fn choose(&self, said: &mut PlannedMessage, now: Timestamp) {
        let message = &mut said.message;
        let is_free = message.text.is_some() || message.media.is_some();
        if !self.channel.reaches_phones() || !is_free {
            return;
        }
        if !self.channel.has_window() || self.is_open(now) {
            message.template = None;
        } else if message.template.is_some() {
            message.kind = MessageKind::Template;
            (message.text, message.media) = (None, None);
            if let Some(part) = &said.part {
                message.options = part.options.clone();
            }
        } else {
            said.refused = said.refused.or(Some(Reason::WindowClosed));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::{Reason, Status};
    use crate::runtime::authoring::simulation::tests::{event, simulate_on};

    fn flow(exits: Value) -> Value {
        json!({
            "schema_version": 1, "name": "Cart", "entry_node": "remind",
            "settings": {"session_ttl_minutes": 43_200},
            "nodes": [
                {"id": "remind", "type": "menu", "text": "Your cart waits", "options": [{"id": "buy", "title": "Buy"}],
                 "template": {"name": "cart", "variables": {"1": "{{contact.name}}"}}, "exits": {"buy": "link"}},
                {"id": "link", "type": "send_message", "text": "Here", "exits": {"next": "wait"}},
                {"id": "wait", "type": "delay", "seconds": 86_400, "exits": {"next": "late"}},
                {"id": "late", "type": "ask", "text": "Still there?", "exits": exits},
                {"id": "lost", "type": "end", "outcome": "lost"}
            ]
        })
    }

    #[test]
    fn the_template_goes_while_the_window_is_closed_and_the_text_once_the_contact_has_written() {
        let mut simulation =
            simulate_on(flow(json!({"delivery_failed": "lost"})), json!({"channel": "whatsapp", "window_open": false}));
        let first = &simulation.messages().next().unwrap().message;
        assert_eq!((first.text.as_deref(), first.template.is_some()), (None, true));
        assert_eq!(first.options.len(), 1, "its button still stands for the option");
        simulation.take(&event(json!({"type": "tap", "id": "buy"}))).unwrap();
        let second = &simulation.messages().nth(1).unwrap().message;
        assert_eq!((second.text.as_deref(), second.template.is_some()), (Some("Here"), false));
        assert!(simulation.is_window_open());
        simulation.take(&event(json!({"type": "timeout"}))).unwrap();
        let third = simulation.messages().nth(2).unwrap();
        assert_eq!(third.refused, Some(Reason::WindowClosed), "a day has passed");
        assert_eq!(simulation.session().outcome.as_deref(), Some("lost"));
    }

    #[test]
    fn a_text_that_the_window_forbids_fails_a_session_that_has_no_use_for_it() {
        let document = json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": [
            {"id": "a", "type": "ask", "text": "Hi?"}]});
        let simulation = simulate_on(document.clone(), json!({"channel": "whatsapp", "window_open": false}));
        let session = simulation.session();
        assert_eq!((session.status, session.reason.as_deref()), (Status::Failed, Some("window_closed")));
        for other in [json!({}), json!({"channel": "whatsapp"}), json!({"channel": "webhook", "window_open": false})] {
            assert_eq!(simulate_on(document.clone(), other).session().status, Status::Running);
        }
    }

    #[test]
    fn a_caption_that_cannot_be_shown_follows_its_medium_and_goes_with_it() {
        let document = |kind: &str, caption: &str| {
            let media = json!({"kind": kind, "url": "https://a.example/f", "caption": caption});
            let template = json!({"name": "news", "variables": {}});
            json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": [
                {"id": "a", "type": "send_message", "media": media, "text": "More", "template": template,
                 "exits": {"next": "b"}},
                {"id": "b", "type": "delay", "seconds": 60}]})
        };
        let long = "word ".repeat(300);
        for (kind, caption) in [("audio", "Listen"), ("image", long.as_str())] {
            let open = simulate_on(document(kind, caption), json!({"channel": "whatsapp"}));
            let said: Vec<_> =
                open.messages().map(|said| (said.message.text.as_deref().map(str::trim), said.refused)).collect();
            assert_eq!(said, [(None, None), (Some(caption.trim()), None), (Some("More"), None)], "{kind}");
            let closed = simulate_on(document(kind, caption), json!({"channel": "whatsapp", "window_open": false}));
            let refused: Vec<_> = closed.messages().map(|said| said.refused).collect();
            assert_eq!(refused, [None, Some(Reason::SentAsTemplate), Some(Reason::SentAsTemplate)], "{kind}");
            assert_eq!(closed.session().status, Status::Running, "the template went for all of it");
        }
        // The generic webhook shows whatever there is below whatever there is.
        let webhook = simulate_on(document("audio", "Listen"), json!({"channel": "webhook"}));
        let said: Vec<_> = webhook.messages().map(|said| said.message.text.as_deref()).collect();
        assert_eq!(said, [Some("Listen"), Some("More")]);
    }

    #[test]
    fn what_is_no_link_is_not_sent_wherever_it_is_tried() {
        let media = json!({"kind": "image", "url": "{{context.u}}"});
        let document = json!({"schema_version": 1, "name": "F", "entry_node": "a", "nodes": [
            {"id": "a", "type": "send_message", "media": media, "exits": {"next": "b"}},
            {"id": "b", "type": "delay", "seconds": 60}]});
        for channel in ["simulator", "webhook", "whatsapp"] {
            let tried = |url: &str| simulate_on(document.clone(), json!({"channel": channel, "context": {"u": url}}));
            let session = tried("www.a.example/x.jpg").session().clone();
            assert_eq!((session.status, session.reason.as_deref()), (Status::Failed, Some("bad_media")), "{channel}");
            assert_eq!(tried("https://a.example/x y.jpg").session().status, Status::Running, "{channel}");
        }
    }

    #[test]
    fn somebody_can_open_and_close_it() {
        let mut simulation = simulate_on(flow(json!({})), json!({"channel": "whatsapp"}));
        assert!(simulation.messages().all(|said| said.message.template.is_none()));
        simulation.take(&event(json!({"type": "window", "open": false}))).unwrap();
        simulation.take(&event(json!({"type": "window", "open": true}))).unwrap();
        assert!(simulation.is_window_open());
    }
}
