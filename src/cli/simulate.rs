//! `qyvo simulate`: a chat with a flow in the terminal. Opens no database and sends nothing.
//!
//! Lines are read from standard input, so that a file of them is a script: then nothing prompts.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Context, flows};
use crate::domain::{Phone, Reason, ReplyKind, Status, Timestamp};
use crate::error::{Error, Result};
use crate::runtime::simulation::{
    NotStarted, Opening, SimulatedEvent, SimulatedMessage, SimulatedTurn, Simulation, Start, Subject, TestContact,
};
use crate::runtime::{Clock, TriggerRefusal};
use crate::views::contact::SimulatedContact;
use crate::views::session::Standing;

const HELP: &str = "\
What you type is what the contact writes. Commands begin with a slash; // writes a text that does.
  /tap ID       taps an option, by its id or its number
  /advance 10m  lets time go by; what falls due fires
  /timeout      lets time go by until the wait's timer fires
  /expire       lets time go by until the session expires
  /event NAME   tells the session of an event; JSON after the name is its payload
  /resume       gives a session in handoff back to its flow
  /colleague    lets a colleague write in the Business app: the flow is silent for a while
  /cancel       ends the session
  /state        shows where the session stands
  /trace        shows the path with its reasons, or no more
  /help         shows this
  /quit         ends the chat";

/// How the conversation begins.
#[derive(Debug, Default)]
pub struct Options {
    /// What a trigger would pass.
    pub context: Map<String, Value>,
    /// The message that begins it, in place of a trigger.
    pub message: Option<String>,
    /// When; now, if not given.
    pub now: Option<Timestamp>,
    /// Decides random splits; another one each time, if not given.
    pub seed: Option<u64>,
    /// The contact's number.
    pub phone: Option<Phone>,
    /// The contact's name.
    pub name: Option<String>,
    /// Shows the path with its reasons.
    pub trace: bool,
}

/// Prints a document's problems and plays it until the input ends.
///
/// # Errors
/// When the document has errors, or its `inputs` are not in the context.
pub fn simulate(context: &Context, file: &Path, options: Options) -> Result<()> {
    if file == Path::new("-") {
        return Err(Error::invalid("Name a file: standard input is what the contact writes"));
    }
    let checked = flows::check(context.config.sessions.default_ttl, file)?;
    if !checked.is_publishable(false) {
        return Err(flows::unpublishable(&checked.problems));
    }
    if options.message.is_some() && !options.context.is_empty() {
        return Err(Error::invalid("A message brings no context: give one of the two"));
    }
    let subject = Subject::of(&checked, None, super::server_settings(&context.config));
    let start = Start {
        contact: TestContact { name: options.name, phone: options.phone, ..TestContact::default() },
        context: options.context,
        message: options.message.map(|text| Opening {
            kind: ReplyKind::Text,
            text: Some(text),
            option: None,
            media: Map::new(),
            referral: Map::new(),
        }),
        now: options.now.unwrap_or_else(|| Clock::system().now()),
        seed: options.seed.unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1 >> 11),
        channel: Default::default(),
        window_open: true,
        flows: Map::new(),
        http: Vec::new(),
    };
    let simulation = Simulation::start(subject, start).map_err(refused)?;
    let stdin = std::io::stdin();
    let mut chat = Chat {
        simulation,
        is_tracing: options.trace,
        is_prompting: stdin.is_terminal() && std::io::stdout().is_terminal(),
        shown: 0,
        confirmation: None,
        out: std::io::stdout().lock(),
    };
    chat.run(stdin.lock()).map_err(|error| Error::internal("The chat broke off").caused_by(error))
}

fn refused(refusal: NotStarted) -> Error {
    match refusal {
        NotStarted::Message(text) => Error::invalid(text),
        NotStarted::Trigger(TriggerRefusal::BadInputs { errors }) => {
            let texts: Vec<&str> = errors.iter().map(|(_, text)| text.as_str()).collect();
            Error::invalid(format!("{} Pass it with --context", texts.join(" ")))
        }
        _ => Error::invalid("The flow has no entry node"),
    }
}

struct Chat<W> {
    simulation: Simulation,
    is_tracing: bool,
    is_prompting: bool,
    /// How many turns were shown.
    shown: usize,
    /// What was shown of [`Simulation::confirmation`].
    confirmation: Option<String>,
    out: W,
}

impl<W: Write> Chat<W> {
    fn run(&mut self, input: impl BufRead) -> std::io::Result<()> {
        if self.is_prompting {
            writeln!(self.out, "A chat with {}. /help shows the commands.", self.simulation.subject().flow.name())?;
        }
        self.show_news()?;
        self.prompt()?;
        for line in input.lines() {
            if !self.take(line?.trim())? {
                break;
            }
            self.prompt()?;
        }
        Ok(())
    }

    fn prompt(&mut self) -> std::io::Result<()> {
        if self.is_prompting {
            write!(self.out, "> ")?;
        }
        self.out.flush()
    }

    /// Takes a line. Returns `false` if it ends the chat.
    fn take(&mut self, line: &str) -> std::io::Result<bool> {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let event = match command {
            "" => return Ok(true),
            _ if !line.starts_with('/') => Ok(SimulatedEvent::Reply { text: line.to_owned(), message: None }),
            _ if line.starts_with("//") => Ok(SimulatedEvent::Reply { text: line[1..].to_owned(), message: None }),
            "/tap" => self.tap(rest),
            "/advance" => match humantime::parse_duration(rest) {
                Ok(time) => Ok(SimulatedEvent::Advance { seconds: time.as_secs_f64(), fire: true }),
                Err(_) => Err("Say how long, such as /advance 90s, /advance 10m or /advance 2h.".to_owned()),
            },
            "/timeout" => Ok(SimulatedEvent::Timeout),
            "/expire" => Ok(SimulatedEvent::Expire),
            "/event" => read_event(rest),
            "/resume" => Ok(SimulatedEvent::Resume),
            "/colleague" => Ok(SimulatedEvent::Colleague { text: (!rest.is_empty()).then(|| rest.to_owned()) }),
            "/cancel" => Ok(SimulatedEvent::Cancel { reason: None }),
            "/state" => {
                self.show_state()?;
                return Ok(true);
            }
            "/trace" => {
                self.is_tracing = !self.is_tracing;
                let state = if self.is_tracing { "shown" } else { "hidden" };
                writeln!(self.out, "(the path is {state} from here on)")?;
                return Ok(true);
            }
            "/help" => {
                writeln!(self.out, "{HELP}")?;
                return Ok(true);
            }
            "/quit" => return Ok(false),
            _ => Err(format!("There is no {command}: see /help.")),
        };
        match event {
            Ok(event) => match self.simulation.take(&event) {
                Ok(()) => self.show_news()?,
                Err(refused) => match Reason::parse(&refused.reason) {
                    Some(Reason::NoSession | Reason::SessionEnded) => {
                        writeln!(self.out, "(not taken: {})", Reason::HasEnded)?;
                    }
                    _ => writeln!(self.out, "(not taken: {})", refused.reason)?,
                },
            },
            Err(text) => writeln!(self.out, "({text})")?,
        }
        Ok(true)
    }

    /// A tap of the latest message that has such an option; a number counts the options of the latest that has any.
    fn tap(&self, option: &str) -> Result<SimulatedEvent, String> {
        let menus = || self.simulation.messages().rev().filter(|said| !said.message.options.is_empty());
        let by_id = menus().find(|said| said.message.options.iter().any(|it| it.id == option));
        let by_number = || {
            let menu = menus().next()?;
            let index = option.parse::<usize>().ok()?.checked_sub(1)?;
            Some((menu, menu.message.options.get(index)?.id.clone()))
        };
        match by_id.map(|said| (said, option.to_owned())).or_else(by_number) {
            Some((said, id)) => Ok(SimulatedEvent::Tap { id, message: Some(said.index), text: None }),
            None => Err(format!("No message has an option {option}: tap one by its id or its number.")),
        }
    }

    /// Shows the turns since the last time, and how the session ended if it did.
    fn show_news(&mut self) -> std::io::Result<()> {
        let Self { simulation, out, is_tracing, .. } = self;
        let news = &simulation.turns()[self.shown..];
        let mut at = simulation.beginning().now;
        if let Some(last) = self.shown.checked_sub(1).and_then(|last| simulation.turns().get(last)) {
            at = last.at;
        }
        for turn in news {
            if turn.at != at {
                at = turn.at;
                writeln!(out, "({at})")?;
            }
            show_turn(out, turn, *is_tracing)?;
        }
        self.shown = simulation.turns().len();
        if simulation.confirmation() != self.confirmation.as_deref() {
            self.confirmation = simulation.confirmation().map(str::to_owned);
            if let Some(text) = &self.confirmation {
                writeln!(out, "{text}")?;
            }
        }
        let session = simulation.session();
        if session.status != Status::Running && !news.is_empty() {
            let outcome = session.outcome.as_ref().map_or_else(String::new, |outcome| format!(", outcome {outcome}"));
            let reason = session.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            writeln!(out, "(the session is {}{reason}{outcome})", session.status.as_str())?;
        } else if news.is_empty() {
            writeln!(out, "(nothing happens; it is {})", simulation.now())?;
        }
        Ok(())
    }

    fn show_state(&mut self) -> std::io::Result<()> {
        let (session, contact) = (self.simulation.session(), self.simulation.contact());
        let state = State {
            now: self.simulation.now(),
            standing: session.into(),
            turn: session.turn,
            seed: session.seed,
            context: &session.context,
            contact: contact.into(),
        };
        serde_json::to_writer_pretty(&mut self.out, &state)?;
        writeln!(self.out)
    }
}

/// Where the session stands.
#[derive(Serialize)]
struct State<'a> {
    now: Timestamp,
    #[serde(flatten)]
    standing: Standing<Timestamp>,
    turn: u32,
    seed: u64,
    context: &'a Map<String, Value>,
    contact: SimulatedContact<'a, Timestamp>,
}

fn read_event(text: &str) -> Result<SimulatedEvent, String> {
    let (name, payload) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let name = name.parse().map_err(|error| format!("The name {error}."))?;
    let payload = match payload.trim() {
        "" => Value::Null,
        json => serde_json::from_str(json).map_err(|error| format!("The payload is not JSON: {error}."))?,
    };
    Ok(SimulatedEvent::Event { name, payload })
}

fn show_turn(out: &mut impl Write, turn: &SimulatedTurn, is_tracing: bool) -> std::io::Result<()> {
    if is_tracing {
        for step in &turn.record.path {
            let exit = step.exit.as_ref().map_or_else(String::new, |exit| format!(" -> {exit}"));
            let why = step.reason().map_or_else(String::new, |why| format!(": {why}"));
            writeln!(out, "  [{} {}{exit}{why}]", step.kind, step.node)?;
        }
        for change in &turn.record.changes {
            writeln!(out, "  [{} = {}]", change.name, change.value)?;
        }
    }
    for change in turn.record.changes.iter().filter(|change| change.name == "handoff" && !is_tracing) {
        let note = change.value.as_str().map_or_else(String::new, |note| format!(": {note}"));
        writeln!(out, "(a person is asked for{note})")?;
    }
    for warning in &turn.record.warnings {
        let node = warning.node.as_ref().map_or_else(String::new, |node| format!(" at {node}"));
        writeln!(out, "(warning{node}: {})", warning.text)?;
    }
    turn.messages.iter().try_for_each(|said| show_message(out, said))
}

fn show_message(out: &mut impl Write, said: &SimulatedMessage) -> std::io::Result<()> {
    let message = &said.message;
    if let Some(media) = &message.media {
        writeln!(out, "[{} {}]", media.kind, media.url)?;
    }
    match (&message.text, &message.template) {
        (Some(text), _) => writeln!(out, "{text}")?,
        (None, Some(template)) => {
            let variables: Vec<&str> = template.variables.values().map(String::as_str).collect();
            writeln!(out, "[template {}: {}]", template.name, variables.join(", "))?;
        }
        (None, None) => {}
    }
    for (index, option) in message.options.iter().enumerate() {
        let description = option.description.as_ref().map_or_else(String::new, |text| format!(" - {text}"));
        writeln!(out, "  {}. {}{description} [{}]", index + 1, option.title, option.id)?;
    }
    match said.refused {
        Some(why) => writeln!(out, "(does not go out: {why})"),
        None => Ok(()),
    }
}
