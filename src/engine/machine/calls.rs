//! Leaving a session to others for a while: an HTTP endpoint that is called, a person who takes over.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Halt, Machine, Next};
use crate::domain::{CALLED, HttpCall, NO_WEB_ADDRESS, NOT_CALLED, Reason, WaitKind, web_link};
use crate::engine::compile::{Action, CallTemplates};
use crate::engine::template::{Leaf, Text};
use crate::engine::{Change, Effect, limits};
use crate::engine::{address, body};

/// Characters of why a call has no answer that the trace shows.
const REASON_CHARS: usize = 300;

impl Machine<'_> {
    /// Makes an HTTP call and waits for its answer. What cannot be called takes `failure` at once.
    pub(super) fn call(&mut self, index: usize, templates: &CallTemplates) -> Result<Next, Halt> {
        let call = match self.fill_in(index, templates)? {
            Ok(call) => call,
            Err(why) => {
                self.warn(index, format!("{NOT_CALLED}: {why}"));
                return self.pass_answer(index, 0, Value::Null, NOT_CALLED);
            }
        };
        let wake_at = self.now.plus(patience(&call));
        let told = json!({"method": call.method, "url": call.url});
        self.changes.push(Change { name: CALLED.to_owned(), value: told });
        self.effects.push(Effect::CallHttp(call));
        self.wait_for(WaitKind::Http, Some(wake_at));
        self.extend_ttl(wake_at);
        self.stay(index, None);
        Ok(Next::Stop)
    }

    /// Takes the answer of the call that the session waits for.
    pub(super) fn take_answer(&mut self, armed_in: u32, status: u16, body: &Value) -> Result<(), Reason> {
        let calling = self.session.wait.as_ref().filter(|wait| wait.kind == WaitKind::Http);
        let (Some(wait), Some(index)) = (calling, self.current()) else {
            return Err(Reason::WaitsForNoAnswer);
        };
        if wait.armed_in != armed_in {
            return Err(Reason::AnswerStale);
        }
        if !self.open_turn() {
            return Ok(());
        }
        self.session.input = None;
        // The wait is over, and takes the time to live along from here.
        self.renew_ttl();
        let why = match (status, body.get("error").and_then(Value::as_str)) {
            (0, Some(why)) => format!("no answer: {}", why.chars().take(REASON_CHARS).collect::<String>()),
            (0, None) => "no answer".to_owned(),
            (status, _) => format!("status {status}"),
        };
        let next = self.pass_answer(index, status, body.clone(), &why);
        self.proceed(next);
        Ok(())
    }

    /// Keeps an answer and leaves by the exit that its status takes; 0 stands for no answer.
    pub(super) fn pass_answer(&mut self, index: usize, status: u16, body: Value, why: &str) -> Result<Next, Halt> {
        let flow = self.flow.clone();
        if let Action::Call(call) = &flow.actions[index]
            && let Some(name) = &call.save_as
        {
            self.assign(index, name, json!({"status": status, "body": body}))?;
        }
        let exit = if (200..300).contains(&status) { "success" } else { "failure" };
        self.leave(index, exit, Some(why.to_owned()))
    }

    /// Asks for a person, and waits until that person gives the session back if the node says so.
    pub(super) fn hand_off(
        &mut self,
        index: usize,
        note: Option<&Text>,
        timeout: Option<Duration>,
    ) -> Result<Next, Halt> {
        let note = match note {
            Some(note) => Some(self.text(index, note)?).filter(|note| !note.trim().is_empty()),
            None => None,
        };
        let node = self.flow.node(index).id.clone();
        self.changes.push(Change { name: "handoff".to_owned(), value: json!(note) });
        self.effects.push(Effect::RequestHandoff { node, note, waits: timeout.is_some() });
        let Some(timeout) = timeout else { return self.leave(index, "next", None) };
        self.wait_for(WaitKind::Handoff, Some(self.now.plus(timeout)));
        // The conversation goes on elsewhere meanwhile.
        self.session.expires_at = None;
        self.stay(index, None);
        Ok(Next::Stop)
    }

    /// Takes the session back from a person.
    pub(super) fn take_resume(&mut self) -> Result<(), Reason> {
        let handed_off = self.session.wait.as_ref().is_some_and(|wait| wait.kind == WaitKind::Handoff);
        let Some(index) = self.current().filter(|_| handed_off) else {
            return Err(Reason::NotInHandoff);
        };
        if !self.open_turn() {
            return Ok(());
        }
        self.session.input = None;
        self.renew_ttl();
        let next = self.leave(index, "resumed", None);
        self.proceed(next);
        Ok(())
    }

    /// A call with its templates filled in, or why it cannot be made.
    fn fill_in(&mut self, index: usize, templates: &CallTemplates) -> Result<Result<HttpCall, String>, Halt> {
        let url = self.whole_text(index, &templates.url)?.trim().to_owned();
        let Some(link) = called_address(&url) else {
            let shown: String = url.chars().take(100).collect();
            return Ok(Err(format!("`{shown}` {NO_WEB_ADDRESS}")));
        };
        // Several values may make such a step together.
        if !templates.has_dots
            && address::has_dots(&url)
            && !matches!(templates.url, Text::Template { typed: true, .. })
        {
            return Ok(Err("steps of only dots lead to another address".to_owned()));
        }
        let mut headers = BTreeMap::new();
        for (name, value) in &templates.headers {
            let value = self.whole_text(index, value)?.trim().to_owned();
            // A line break would begin another header.
            if value.len() > limits::ADDRESS_BYTES || value.chars().any(|c| c.is_control() && c != '\t') {
                return Ok(Err(format!("the header `{name}` is too long or has a line break in it")));
            }
            headers.insert(name.clone(), value);
        }
        let body = match &templates.body {
            Leaf::Text(text @ (Text::Literal(_) | Text::Template { typed: false, .. })) => {
                match self.rendered(index, text)? {
                    Some(text) => Value::String(text),
                    None => return Ok(Err("its body cannot be filled in safely".to_owned())),
                }
            }
            leaf => self.value(index, leaf)?,
        };
        let is_form = headers.get("content-type").is_some_and(|content_type| body::is_form(content_type));
        let (body, content_type) = match body {
            Value::Null => (None, None),
            Value::String(text) => (Some(text), Some(templates.text_type)),
            Value::Object(fields) if is_form => (Some(body::form_of(&fields)), None),
            json => (Some(json.to_string()), Some(body::JSON)),
        };
        if body.as_ref().is_some_and(|body| body.len() > limits::STATE_BYTES) {
            return Ok(Err(format!("the body is larger than {} bytes", limits::STATE_BYTES)));
        }
        if let Some(content_type) = content_type {
            headers.entry("content-type".to_owned()).or_insert_with(|| content_type.to_owned());
        }
        Ok(Ok(HttpCall {
            node: self.flow.node(index).id.clone(),
            method: templates.method.clone(),
            url: link,
            headers,
            body,
            timeout_ms: templates.timeout_ms,
            max_retries: templates.max_retries,
        }))
    }
}

/// How long a session waits for the answer of a call until its timer is due: as long as all attempts may take. The
/// runtime moves the timer on for a day, as long as the call's row exists; it fires for a call that is older or lost.
fn patience(call: &HttpCall) -> Duration {
    let attempt = Duration::from_millis(call.timeout_ms.into()) + limits::CALL_BACK_OFF;
    attempt * call.max_retries.saturating_add(1) + limits::CALL_GRACE
}

/// The address as it is called. Line breaks and what is too long for any server are refused rather than mended: they do
/// not come from the author.
fn called_address(url: &str) -> Option<String> {
    let is_sound = url.len() <= limits::ADDRESS_BYTES && !url.chars().any(char::is_control);
    web_link(url).filter(|link| is_sound && link.len() <= limits::ADDRESS_BYTES)
}
