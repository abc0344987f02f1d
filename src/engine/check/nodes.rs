//! Checks of one node by itself: its exits, its fields, its texts and what it waits for.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::{bad_name, is_name};
use crate::domain::consent::{is_opt_out_word, is_stop};
use crate::domain::text::ascii_digit;
use crate::domain::typed::Typed;
use crate::domain::{
    Ask, Case, Delay, EventName, Expects, Handoff, HttpRequest, Menu, MenuOption, Node, NodeKind, Operator, Problem,
    checks,
};
use crate::engine::template::has_tags;
use crate::engine::{address, limits};

/// Exits of a node that are listed by name at most.
const TOLD: usize = 10;
const WEEKS_52: u64 = 52 * 7 * 24 * 3600;
/// Milliseconds that one attempt of a call may take.
const CALL_MILLIS: u32 = 30_000;
/// How often a call may be tried again.
const CALL_RETRIES: u32 = 5;
/// Headers that are the connection's own (RFC 9110, sections 7.2, 7.6.1 and 8.6).
const OWN_HEADERS: [&str; 9] =
    ["host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"];
/// Characters that WhatsApp takes as the description of a row.
const DESCRIPTION_CHARS: usize = 72;

/// Exits that the node's type does not have, and those that lead nowhere.
pub(super) fn exits(node: &Node, ids: &HashMap<&str, usize>, add: &mut impl FnMut(Problem)) {
    let names = node.kind.exit_names();
    for (exit, target) in &node.exits {
        if !names.contains(&exit.as_str()) {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let text = format!(
                "A `{}` has no exit `{exit}`. Use one of its exits ({known}), or remove this one.",
                node.kind.type_name()
            );
            add(Problem::new(checks::UNKNOWN_EXIT, text).field(format!("exits.{exit}")));
        }
        if let Some(target) = target.as_deref().filter(|target| !ids.contains_key(target)) {
            let text = format!("The exit leads to `{target}`, and no node has that id. Choose another or remove it.");
            add(Problem::new(checks::UNKNOWN_EXIT_TARGET, text).field(format!("exits.{exit}")));
        }
    }
}

/// Choices and decisions after which no message follows: one warning for each node. Timeouts and failures are checked
/// apart, and an answer to a last question may end a conversation.
pub(super) fn dead_ends(node: &Node, add: &mut impl FnMut(Problem)) {
    let exits: Vec<(&str, String)> = match &node.kind {
        NodeKind::Menu(menu) => {
            let option = |option: &MenuOption| format!("Option \"{}\"", option.title);
            menu.options.iter().map(|it| (it.id.as_str(), option(it))).collect()
        }
        NodeKind::Condition(condition) => {
            let case = |(index, case): (usize, &Case)| format!("Case {} (exit `{}`)", index + 1, case.exit);
            let cases = condition.cases.iter().enumerate().map(|it| (it.1.exit.as_str(), case(it)));
            cases.chain([("default", "The exit `default`, taken if no case holds,".to_owned())]).collect()
        }
        NodeKind::RandomSplit(split) => {
            // A branch that is never drawn is no dead end.
            let has_weight = split.branches.iter().any(|branch| branch.weight > 0);
            let drawn = split.branches.iter().filter(|branch| !has_weight || branch.weight > 0);
            drawn.map(|branch| (branch.id.as_str(), format!("Branch \"{}\"", branch.id))).collect()
        }
        _ => return,
    };
    let dead: Vec<_> = exits.into_iter().filter(|(exit, _)| node.exit(exit).is_none()).collect();
    let mut text = String::new();
    for (_, what) in dead.iter().take(TOLD) {
        text.push_str(&format!("{what} leads nowhere: the conversation ends without a word. "));
    }
    if dead.len() > TOLD {
        text.push_str(&format!("So do {} more. ", dead.len() - TOLD));
    }
    let field = match (dead.as_slice(), &node.kind) {
        ([], _) => return,
        ([(exit, _)], NodeKind::Menu(_) | NodeKind::RandomSplit(_)) => format!("exits.{exit}"),
        _ => "exits".to_owned(),
    };
    let names: Vec<String> = dead.iter().take(TOLD).map(|(exit, _)| format!("`{exit}`")).collect();
    text.push_str(&format!("Wire the exit{} {}.", if names.len() == 1 { "" } else { "s" }, names.join(", ")));
    add(Problem::new(checks::EXIT_LEADS_NOWHERE, text).field(field));
}

/// Fields whose values cannot be meant.
pub(super) fn fields(node: &Node, add: &mut impl FnMut(Problem)) {
    let mut name = |field: &str, value: Option<&String>| {
        if let Some(value) = value.filter(|value| !is_name(value)) {
            add(bad_name(value).field(field));
        }
    };
    match &node.kind {
        NodeKind::SendMessage(say) => {
            if is_blank(say.text.as_deref()) && say.media.is_none() && say.template.is_none() {
                let text = "The node says nothing. Give it a text, a medium or a template.";
                add(Problem::new(checks::NOTHING_TO_SAY, text).field("text"));
            }
            if let Some(media) = &say.media {
                const KINDS: [&str; 4] = ["image", "video", "audio", "document"];
                if !KINDS.contains(&media.kind.as_str()) {
                    let text = format!("`{}` is no kind of medium. Use one of {}.", media.kind, KINDS.join(", "));
                    add(Problem::new(checks::BAD_MEDIA_KIND, text).field("media.kind"));
                }
                if let Some(why) = address::problem(&media.url) {
                    add(Problem::new(checks::BAD_MEDIA_URL, why).field("media.url"));
                }
            }
        }
        NodeKind::Ask(ask) => name("save_as", ask.save_as.as_ref()),
        NodeKind::Menu(menu) => {
            name("save_as", menu.save_as.as_ref());
            menu_fields(menu, add);
        }
        NodeKind::Condition(condition) => {
            name("save_as", condition.save_as.as_ref());
            if condition.cases.is_empty() {
                add(Problem::new(checks::NO_CASES, "The condition decides nothing. Give it at least one case.")
                    .field("cases"));
            }
            for (index, case) in condition.cases.iter().enumerate() {
                if case.exit.trim().is_empty() {
                    add(Problem::new(checks::BLANK_EXIT, "The case leads nowhere. Name its exit.")
                        .field(format!("cases[{index}].exit")));
                }
                case_right(index, case, add);
            }
        }
        NodeKind::RandomSplit(split) => {
            if split.branches.iter().all(|branch| branch.weight == 0) {
                add(Problem::new(checks::NO_WEIGHT, "No branch can be drawn. Give at least one a weight above 0.")
                    .field("branches"));
            }
            duplicates(split.branches.iter().map(|branch| branch.id.as_str()), "branches", add);
        }
        NodeKind::SetVariable(set) => {
            for (index, assignment) in set.assignments.iter().enumerate() {
                name(&format!("assignments[{index}].name"), Some(&assignment.name));
            }
        }
        NodeKind::Delay(Delay { seconds, until, .. }) => match (seconds, until) {
            (Some(_), Some(_)) | (None, None) => {
                add(Problem::new(
                    checks::BAD_DELAY,
                    "It is not clear how long the delay is. Give it either `seconds` or `until`.",
                )
                .field("seconds"));
            }
            (Some(seconds), None) if !(1..=WEEKS_52).contains(seconds) => {
                add(Problem::new(
                    checks::BAD_DELAY,
                    "A delay takes 1 second to 52 weeks. Choose a number between these, or use several delays.",
                )
                .field("seconds"));
            }
            _ => {}
        },
        NodeKind::WaitForEvent(wait) => {
            name("save_as", wait.save_as.as_ref());
            if let Err(error) = wait.event.parse::<EventName>() {
                let text = format!("`{}` cannot be an event's name. The name {error}. Rename it.", wait.event);
                add(Problem::new(checks::BAD_EVENT_NAME, text).field("event"));
            }
        }
        NodeKind::HttpRequest(request) => {
            name("save_as", request.save_as.as_ref());
            request_fields(request, add);
            failure(node, "failure", "the call fails", add);
        }
        NodeKind::RunFlow(run) => {
            name("save_as", run.save_as.as_ref());
            for key in run.context.keys() {
                name(&format!("context.{key}"), Some(key));
            }
            failure(node, "failed", "the sub-flow fails or is not published", add);
        }
        NodeKind::Handoff(_) | NodeKind::UpdateContact(_) | NodeKind::End(_) => {}
    }
}

fn request_fields(request: &HttpRequest, add: &mut impl FnMut(Problem)) {
    const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
    if !METHODS.contains(&request.method.as_str()) {
        let text = format!("`{}` is no method that can be called. Use one of {}.", request.method, METHODS.join(", "));
        add(Problem::new(checks::BAD_HTTP_METHOD, text).field("method"));
    }
    if let Some(why) = address::problem(&request.url) {
        add(Problem::new(checks::BAD_HTTP_URL, why).field("url"));
    }
    let mut seen = HashSet::new();
    for (name, value) in &request.headers {
        // RFC 9110, section 5.6.2: what a name may consist of. The others are the connection's own.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let lower = name.to_lowercase();
        let why = if name.is_empty() || !name.chars().all(is_token) {
            "cannot be a header's name"
        } else if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            "is set by the connection itself"
        } else if value.chars().any(|c| c.is_control() && c != '\t') {
            "has a line break in its value"
        } else if !seen.insert(lower) {
            "is there twice"
        } else {
            continue;
        };
        let text = format!("The header `{name}` {why}. Correct or remove it.");
        add(Problem::new(checks::BAD_HTTP_HEADER, text).field(format!("headers.{name}")));
    }
    if !(1..=CALL_MILLIS).contains(&request.timeout_ms) {
        let text = format!("An attempt takes 1 to {CALL_MILLIS} ms. Choose a number between these.");
        add(Problem::new(checks::BAD_HTTP_TIMEOUT, text).field("timeout_ms"));
    }
    if request.max_retries > CALL_RETRIES {
        let text = format!("A call is tried again at most {CALL_RETRIES} times. Choose fewer.");
        add(Problem::new(checks::TOO_MANY_RETRIES, text).field("max_retries"));
    }
}

fn failure(node: &Node, exit: &str, why: &str, add: &mut impl FnMut(Problem)) {
    if node.exit(exit).is_none() {
        let text = format!("The conversation ends if {why}. Wire the exit `{exit}`.");
        add(Problem::new(checks::NO_FAILURE_EXIT, text).field(format!("exits.{exit}")));
    }
}

/// Literal texts over the limit; what templates grow to is cut when it is rendered. Up to there a text that is longer
/// than the channel takes goes out in parts.
pub(super) fn text_lengths(node: &Node, add: &mut impl FnMut(Problem)) {
    let texts: Vec<(&str, Option<&String>)> = match &node.kind {
        NodeKind::SendMessage(say) => {
            let caption = say.media.as_ref().and_then(|media| media.caption.as_ref());
            vec![("text", say.text.as_ref()), ("media.caption", caption)]
        }
        NodeKind::Ask(ask) => vec![("text", ask.text.as_ref()), ("retry_text", ask.retry_text.as_ref())],
        NodeKind::Menu(menu) => vec![("text", menu.text.as_ref()), ("retry_text", menu.retry_text.as_ref())],
        NodeKind::End(end) => vec![("text", end.text.as_ref())],
        _ => Vec::new(),
    };
    for (field, text) in texts {
        let length = text.filter(|text| !text.contains("{{")).map_or(0, |text| text.chars().count());
        if length > limits::TEXT_CHARS {
            let text =
                format!("The text has {length} characters; at most {} can be sent. Split it.", limits::TEXT_CHARS);
            add(Problem::new(checks::TEXT_TOO_LONG, text).field(field));
        }
    }
}

fn menu_fields(menu: &Menu, add: &mut impl FnMut(Problem)) {
    if is_blank(menu.text.as_deref()) && menu.template.is_none() {
        add(Problem::new(checks::NOTHING_TO_SAY, "The menu asks nothing. Give it a text or a template.").field("text"));
    }
    if !(1..=10).contains(&menu.options.len()) {
        let text = format!(
            "A menu has 1 to 10 options; this one has {}. Add one, or split the menu in two.",
            menu.options.len()
        );
        add(Problem::new(checks::MENU_SIZE, text).field("options"));
    }
    duplicates(menu.options.iter().map(|option| option.id.as_str()), "options", add);
    let longest = if menu.options.len() <= 3 { 20 } else { 24 };
    for (index, option) in menu.options.iter().enumerate() {
        let length = option.title.chars().count();
        if option.title.trim().is_empty() {
            add(Problem::new(checks::BLANK_TITLE, "There is nothing to tap. Give the option a title.")
                .field(format!("options[{index}].title")));
        } else if length > longest && !option.title.contains("{{") {
            let text = format!("The title has {length} characters; WhatsApp takes at most {longest} here. Shorten it.");
            add(Problem::new(checks::TITLE_TOO_LONG, text).field(format!("options[{index}].title")));
        }
        let description = option.description.as_deref().filter(|description| !description.contains("{{"));
        let length = description.map_or(0, |description| description.chars().count());
        if length > DESCRIPTION_CHARS {
            let text = format!(
                "The description has {length} characters; WhatsApp takes at most {DESCRIPTION_CHARS}. Shorten it."
            );
            add(Problem::new(checks::DESCRIPTION_TOO_LONG, text).field(format!("options[{index}].description")));
        }
        if ["no_match", "timeout", "delivery_failed"].contains(&option.id.as_str()) || !is_option_id(&option.id) {
            let text = format!(
                "`{}` cannot be an option's id. Use 1 to 64 of A-Z, a-z, 0-9, `_` and `-`, and not the name of \
                 another exit.",
                option.id
            );
            add(Problem::new(checks::BAD_OPTION_ID, text).field(format!("options[{index}].id")));
        }
    }
}

/// What people type to choose an option, where it means something else, too. Titles with templates are not known yet.
pub(super) fn menu_words(menu: &Menu, keywords: &[Typed], add: &mut impl FnMut(Problem)) {
    let mut titles = HashSet::new();
    for (index, option) in menu.options.iter().enumerate() {
        let title = (format!("options[{index}].title"), &option.title);
        let synonyms = option.synonyms.iter().enumerate();
        let synonyms = synonyms.map(|(place, word)| (format!("options[{index}].synonyms[{place}]"), word));
        for (field, word) in std::iter::once(title).chain(synonyms) {
            let typed = Typed::of(word);
            if word.contains("{{") || typed.is_empty() {
                continue;
            }
            // A person who types the title `🔽 Álto` leaves the accent and the sign out.
            let like = typed.loose.as_ref().filter(|like| is_opt_out_word(like));
            if let Some(word) = is_opt_out_word(word).then_some(word).or(like) {
                let text = match is_stop(word) {
                    true => format!(
                        "Whoever types `{word}` opts out of all messages instead of choosing the option, which can \
                        only be tapped. Reword it."
                    ),
                    false => format!(
                        "Whoever types `{word}` while nobody asks, such as after the conversation has ended, opts out \
                        of all messages; only while this menu waits for an answer is it the option. Reword it."
                    ),
                };
                add(Problem::new(checks::TITLE_IS_OPT_OUT_WORD, text).field(field));
            } else if keywords.iter().any(|keyword| keyword.exact == typed.exact || keyword.is_like(&typed)) {
                let text = format!(
                    "`{word}` is a keyword of this flow, too: typed after the conversation has ended, it starts a new \
                     one. Reword it, or remove the keyword."
                );
                add(Problem::new(checks::TITLE_IS_KEYWORD, text).field(field));
            }
        }
        let title = Typed::of(&option.title);
        if !option.title.contains("{{") && !title.is_empty() && !titles.insert(title.exact) {
            let text = format!(
                "Two options have the title `{}`: typed, it always means the first, and WhatsApp refuses such buttons. \
                 Reword one.",
                option.title
            );
            add(Problem::new(checks::DUPLICATE_TITLE, text).field(format!("options[{index}].title")));
        }
    }
}

/// What a case compares with, where the operator needs a list and the author wrote none. A template may give one.
fn case_right(index: usize, case: &Case, add: &mut impl FnMut(Problem)) {
    let needs = match (case.operator, &case.right) {
        (_, Value::String(text)) if text.contains("{{") => return,
        (Operator::In, Value::Array(_)) => return,
        (Operator::In, _) => "a list, such as [\"red\", \"green\"]",
        (Operator::NumberBetween, Value::Array(bounds)) if bounds.len() == 2 => return,
        (Operator::NumberBetween, _) => "the least and the greatest number, such as [1, 10]",
        _ => return,
    };
    let text = format!("The case never holds, because its operator compares with {needs}. Write that as `right`.");
    add(Problem::new(checks::CASE_NEVER_HOLDS, text).field(format!("cases[{index}].right")));
}

/// What happens while nothing comes, or nothing that fits.
pub(super) fn wait(node: &Node, ttl: Option<Duration>, add: &mut impl FnMut(Problem)) {
    match &node.kind {
        NodeKind::Ask(ask) => {
            timeout(node, ask.timeout_seconds, "the contact does not answer", add);
            answers(node, ask.timeout_seconds, ask.max_attempts, ttl, add);
            example(ask, add);
        }
        NodeKind::Menu(menu) => {
            timeout(node, menu.timeout_seconds, "the contact does not answer", add);
            answers(node, menu.timeout_seconds, menu.max_attempts, ttl, add);
        }
        NodeKind::WaitForEvent(wait) => timeout(node, wait.timeout_seconds, "the event does not come", add),
        NodeKind::Handoff(handoff) if handoff.wait => {
            let seconds = handoff.timeout_seconds.or(Some(Handoff::TIMEOUT_SECONDS));
            timeout(node, seconds, "nobody gives the contact back", add);
        }
        _ => {}
    }
}

fn timeout(node: &Node, seconds: Option<u64>, silence: &str, add: &mut impl FnMut(Problem)) {
    if seconds.is_some_and(|seconds| !(1..=WEEKS_52).contains(&seconds)) {
        add(Problem::new(checks::BAD_TIMEOUT, "A timeout takes 1 second to 52 weeks. Choose a number between these.")
            .field("timeout_seconds"));
    }
    if node.exit("timeout").is_none() {
        let text = format!("Nothing happens if {silence}. Wire the exit `timeout`.");
        add(Problem::new(checks::NO_TIMEOUT_EXIT, text).field("exits.timeout"));
    } else if seconds.is_none() {
        let text = "The exit `timeout` is never taken. Set `timeout_seconds`.";
        add(Problem::new(checks::TIMEOUT_NEVER_FIRES, text).field("timeout_seconds"));
    }
}

fn answers(node: &Node, timeout: Option<u64>, attempts: u32, ttl: Option<Duration>, add: &mut impl FnMut(Problem)) {
    if !(1..=100).contains(&attempts) {
        add(Problem::new(checks::BAD_ATTEMPTS, "A wait takes 1 to 100 attempts. Choose a number between these.")
            .field("max_attempts"));
    }
    if node.exit("no_match").is_none() {
        let text = "Answers that do not fit end the conversation after the last attempt. Wire the exit `no_match`.";
        add(Problem::new(checks::NO_NO_MATCH_EXIT, text).field("exits.no_match"));
    }
    if let (Some(seconds), Some(ttl)) = (timeout, ttl)
        && seconds >= ttl.as_secs()
    {
        let text = format!(
            "The timeout never fires: the session expires after {} minutes of silence. Shorten it or raise \
             `session_ttl_minutes`.",
            ttl.as_secs() / 60
        );
        add(Problem::new(checks::TIMEOUT_BEYOND_TTL, text).field("timeout_seconds"));
    }
}

/// Whether a question for a day or a time shows how to write one: digits in the question do, and so does a value that
/// is filled in.
fn example(ask: &Ask, add: &mut impl FnMut(Problem)) {
    let (what, such) = match ask.expects {
        Expects::Date => ("date", "24/12 or 24 December"),
        Expects::Time => ("time", "18:30"),
        _ => return,
    };
    let shows = |text: &Option<String>| {
        text.as_deref().is_some_and(|text| has_tags(text) || text.chars().any(|c| ascii_digit(c).is_some()))
    };
    if ask.template.is_none() && !shows(&ask.text) && !shows(&ask.retry_text) {
        let text = format!(
            "People write a {what} in many ways, and an answer that could be another {what} is asked for again. Give \
            one in the text or in `retry_text`, such as {such}."
        );
        add(Problem::new(checks::NO_EXAMPLE, text).field("text"));
    }
}

fn duplicates<'a>(ids: impl Iterator<Item = &'a str>, field: &str, add: &mut impl FnMut(Problem)) {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        if !seen.insert(id) {
            add(Problem::new(checks::DUPLICATE_ID, format!("Two have the id `{id}`. Rename one."))
                .field(format!("{field}[{index}].id")));
        }
    }
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

fn is_option_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
