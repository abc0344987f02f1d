//! What people type, held against menus of the names of days (Unicode CLDR, `tests/typed/days.json`): every way of
//! typing a name takes that option and no other, in 31 languages.
use std::collections::BTreeMap;
use std::time::Duration;

use qyvo::domain::{Contact, ContactId, FlowDocument, FlowId, Reply, ReplyKind, SessionId, Timestamp};
use qyvo::engine::{Beginning, CompiledFlow, Event, Lookup, begin, step};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use uuid::Uuid;

/// Characters that show nothing where they stand (Unicode, DerivedCoreProperties.txt), as copying leaves them.
const UNSEEN: [char; 9] =
    ['\u{ad}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202c}', '\u{2060}', '\u{2066}', '\u{feff}'];

/// What somebody typed in answer to a question on 7 May 2026, and what was meant; null where nobody can know. 2,655
/// replies in 25 languages (three files in `tests/typed/`), invented without the code in sight.
#[derive(Deserialize)]
struct Typed {
    lang: String,
    country: String,
    expects: String,
    text: String,
    value: Value,
}

fn replies() -> Vec<Typed> {
    let read = |text: &str| -> Vec<Typed> { serde_json::from_str(text).unwrap() };
    let mut all = read(include_str!("../typed/replies.json"));
    all.extend(read(include_str!("../typed/more_replies.json")));
    all.extend(read(include_str!("../typed/last_replies.json")));
    all
}

/// What an `ask` keeps of a text; null where it asks again.
fn answer(typed: &Typed) -> Value {
    let document = json!({"schema_version": 1, "name": "Ask", "entry_node": "ask",
        "settings": {"country": typed.country},
        "nodes": [{"id": "ask", "type": "ask", "text": "?", "save_as": "answer", "expects": typed.expects}]});
    let document = FlowDocument::parse(&document).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (flow, problems) = CompiledFlow::compile(document, Duration::from_secs(1800));
    let flow = flow.unwrap_or_else(|| panic!("{problems:?}"));
    let mut contact = Contact::new(ContactId(Uuid::from_u128(1)), None);
    contact.language = Some(typed.lang.clone());
    say(&flow, &contact, ReplyKind::Text, &typed.text).get("answer").cloned().unwrap_or_default()
}

/// The context of a session after its first reply.
fn say(flow: &CompiledFlow, contact: &Contact, kind: ReplyKind, text: &str) -> Map<String, Value> {
    let now = Timestamp::from_millis(1_778_141_663_250);
    let beginning = Beginning {
        id: SessionId(Uuid::from_u128(2)),
        flow_id: FlowId(Uuid::from_u128(3)),
        version: 1,
        contact_id: contact.id,
        context: Map::new(),
        seed: 1,
    };
    let none = |_, _| Lookup::NotPublished;
    let begun = begin(flow, beginning, now);
    let asked = step(flow, &none, contact, &begun, &Event::Start, now).unwrap();
    let reply =
        Reply { kind, text: Some(text.to_owned()), option: None, payload: None, answers_turn: None, received_at: now };
    step(flow, &none, contact, &asked.session, &Event::Reply(reply), now).unwrap().session.context
}

fn days() -> BTreeMap<String, Vec<String>> {
    serde_json::from_str(include_str!("../typed/days.json")).unwrap()
}

/// A menu of some titles, which keeps what was chosen.
struct Menu {
    flow: CompiledFlow,
    contact: Contact,
}

impl Menu {
    fn of(titles: &[String]) -> Self {
        let options: Vec<Value> = titles
            .iter()
            .enumerate()
            .map(|(index, title)| json!({"id": format!("o{index}"), "title": title}))
            .collect();
        let document = json!({"schema_version": 1, "name": "Days", "entry_node": "ask", "nodes": [
            {"id": "ask", "type": "menu", "text": "Which day?", "save_as": "day", "options": options}]});
        let document = FlowDocument::parse(&document).unwrap_or_else(|problems| panic!("{problems:?}"));
        let phone = Some("+14155550123".parse().unwrap());
        let (flow, problems) = CompiledFlow::compile(document, Duration::from_secs(1800));
        Self {
            flow: flow.unwrap_or_else(|| panic!("{problems:?}")),
            contact: Contact::new(ContactId(Uuid::from_u128(1)), phone),
        }
    }

    /// The option that a message takes, if it takes one.
    fn takes(&self, kind: ReplyKind, typed: &str) -> Option<usize> {
        let context = say(&self.flow, &self.contact, kind, typed);
        let chosen = context.get("day").and_then(Value::as_str);
        chosen.map(|id| id.trim_start_matches('o').parse().unwrap())
    }
}

fn without_accents(text: &str) -> String {
    // Marks of other scripts are letters.
    text.nfd().filter(|c| !(is_combining_mark(*c) && u32::from(*c) < 0x370)).nfc().collect()
}

fn wide(text: &str) -> String {
    let widen = |c: char| if ('!'..='~').contains(&c) { char::from_u32(u32::from(c) + 0xfee0).unwrap() } else { c };
    text.chars().map(widen).collect()
}

/// Ways of typing a title as it is.
fn typed_exactly(title: &str) -> Vec<String> {
    let mut all = vec![
        title.to_owned(),
        title.to_lowercase(),
        title.to_uppercase(),
        title.nfd().collect(),
        wide(title),
        format!("  {title} \n"),
        format!("{title}!"),
        format!("¡{title}!"),
        format!("«{title}»"),
        format!("*{title}*"),
        format!("“{title}.”"),
    ];
    let middle = title.char_indices().nth(title.chars().count() / 2).map_or(0, |(at, _)| at);
    for c in UNSEEN {
        for at in [0, middle, title.len()] {
            let mut marked = title.to_owned();
            marked.insert(at, c);
            all.push(marked);
        }
    }
    all
}

#[test]
fn a_name_is_taken_however_it_is_typed() {
    let (mut inputs, mut wrong) = (0, Vec::new());
    for (language, titles) in days() {
        let menu = Menu::of(&titles);
        for (index, title) in titles.iter().enumerate() {
            for typed in typed_exactly(title) {
                inputs += 1;
                let taken = menu.takes(ReplyKind::Text, &typed);
                if taken != Some(index) {
                    wrong.push((language.clone(), typed.clone(), taken));
                }
            }
            assert_eq!(menu.takes(ReplyKind::Image, title), Some(index), "as a caption: {title}");
        }
    }
    assert!(wrong.is_empty(), "{} of {inputs}: {wrong:?}", wrong.len());
    assert!(inputs > 5_000, "{inputs}");
}

#[test]
fn accents_and_decoration_are_left_out_where_one_name_alone_fits() {
    let decorations: [fn(usize, &str) -> String; 6] = [
        |_, title| format!("📅 {title}"),
        |_, title| format!("{title} ✅"),
        |index, title| format!("{}. {title}", index + 1),
        |index, title| format!("{}\u{fe0f}\u{20e3} {title}", index + 1),
        |index, title| format!("{}) {title}", index + 1),
        |_, title| format!("→ {title}"),
    ];
    let mut inputs = 0;
    for (language, titles) in days() {
        let plain: Vec<String> = titles.iter().map(|title| without_accents(&title.to_lowercase())).collect();
        for decorate in decorations {
            let shown: Vec<String> = titles.iter().enumerate().map(|(index, title)| decorate(index, title)).collect();
            let menu = Menu::of(&shown);
            for (index, title) in titles.iter().enumerate() {
                let fits = plain.iter().filter(|other| **other == plain[index]).count();
                for typed in [title.clone(), plain[index].clone(), shown[index].clone(), format!("{title} 👍")] {
                    inputs += 1;
                    let taken = menu.takes(ReplyKind::Text, &typed);
                    let is_shown = typed == shown[index];
                    let expected = if fits == 1 || is_shown || typed == *title { Some(index) } else { None };
                    assert_eq!(taken, expected, "{language}: {typed:?} of {shown:?}");
                }
            }
        }
    }
    assert!(inputs > 5_000, "{inputs}");
}

/// How often an answer was right, how often the question was asked again, and how often something else was taken.
#[derive(Debug, Default)]
struct Tally {
    right: usize,
    again: usize,
    wrong: usize,
}

#[test]
fn replies_are_read_as_they_are_meant_or_asked_for_again() {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let replies = replies();
    for typed in &replies {
        let read = answer(typed);
        let tally = tallies.entry(typed.expects.as_str()).or_default();
        if read == typed.value {
            tally.right += 1;
        } else if read.is_null() {
            tally.again += 1;
            println!("again  {} {} {:?}: {}", typed.lang, typed.expects, typed.text, typed.value);
        } else {
            tally.wrong += 1;
            println!("WRONG  {} {} {:?}: {read}, not {}", typed.lang, typed.expects, typed.text, typed.value);
        }
    }
    println!("{tallies:?}");
    for (expects, least) in [("number", 90), ("date", 80), ("time", 70)] {
        let Tally { right, again, wrong } = tallies[expects];
        let all = right + again + wrong;
        assert!(right * 100 >= all * least, "{expects}: {right} of {all} are right");
        assert!(wrong * 100 < all, "{expects}: {wrong} of {all} are wrong");
    }
}

#[test]
fn the_page_for_authors_tells_what_is_so() {
    let page = include_str!("../../static/guide/what-people-may-type.md");
    let (mut expects, mut rows) = (String::new(), 0);
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            expects = title.split('`').nth(1).and_then(|code| code.strip_prefix("expects: ")).unwrap_or("").to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, text, value, who, _] = cells[..] else { continue };
        let Some(text) = text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).filter(|_| !expects.is_empty())
        else {
            continue;
        };
        let (lang, country) = who.split_once(", ").unwrap_or(("en", "US"));
        let value = match value.trim_matches('`') {
            "asked again" => Value::Null,
            number if expects == "number" => serde_json::from_str(number).unwrap(),
            text => json!(text),
        };
        let typed = Typed {
            lang: lang.to_owned(),
            country: country.to_owned(),
            expects: expects.clone(),
            text: text.to_owned(),
            value: value.clone(),
        };
        assert_eq!(answer(&typed), value, "{line}");
        rows += 1;
    }
    assert!(rows > 50, "{rows}");
}
