//! The description is written by tag, in `openapi/`, and served as one file, `static/openapi.yaml`: the bundle of them.
//!
//! `UPDATE_OPENAPI=1 cargo test --test docs bundle` writes the bundle anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use qyvo::channels::ChannelKind;
use qyvo::channels::capabilities::address_kinds;
use qyvo::domain::audit::{ActorKind, AuditAction};
use qyvo::domain::server_problem::{ProblemKind, Severity};
use qyvo::domain::{EventKind, Place, Reason};
use regex::Regex;

/// Where the files are that the bundle is made of.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi");
/// The one that holds the frame and names the others.
const INDEX: &str = "openapi.yaml";
/// The key of a line of the index that stands for all blocks of a file, in the file's order.
const ALL: &str = "'*'";

/// A file of the description without the comments in its first column, which say something of the file.
fn read(file: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(SOURCE).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// A block of a file: its key in the first column, and its lines without the empty ones behind it.
type Block = (String, Vec<String>);

/// The blocks of a file, in their order.
fn blocks(file: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = read(file).into_iter().peekable();
    while let Some(first) = lines.next() {
        if first.is_empty() {
            continue;
        }
        let key = first.strip_suffix(':').unwrap_or_else(|| panic!("{file}: `{first}` is no key")).to_owned();
        let mut block = vec![first];
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with(' ')) {
            block.push(line);
        }
        while block.last().is_some_and(String::is_empty) {
            block.pop();
        }
        assert!(blocks.iter().all(|(other, _)| *other != key), "{file} has `{key}` twice");
        blocks.push((key, block));
    }
    blocks
}

/// The files below a folder of the description, as the index names them.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { BTreeSet::from([name(&path)]) });
    files.filter(|file| file.ends_with(".yaml") && file != INDEX).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(SOURCE).unwrap().to_str().unwrap().to_owned()
}

/// A list of the program's own that a line `KEY: {generated: NAME}` stands for; the program is where it is kept.
fn generated(name: &str) -> Vec<&'static str> {
    let reasons = |places: &[Place]| {
        let may_stand = |reason: &Reason| reason.places().iter().any(|place| places.contains(place));
        Reason::ALL.into_iter().filter(may_stand).map(Reason::as_str).collect()
    };
    let events = |begin: &str| {
        EventKind::ALL.map(EventKind::as_str).into_iter().filter(|name| name.starts_with(begin)).collect()
    };
    match name {
        // In the order in which they are listed: those that reach phones first.
        "channels" => {
            let mut kinds = ChannelKind::ALL;
            kinds.sort_by_key(|kind| !kind.reaches_phones());
            kinds.map(ChannelKind::as_str).to_vec()
        }
        "channels of simulations" => ChannelKind::ALL.map(ChannelKind::as_str).to_vec(),
        "kinds of addresses" => address_kinds().iter().map(|kind| kind.as_str()).collect(),
        "audit actions" => AuditAction::ALL.map(AuditAction::as_str).to_vec(),
        "kinds of problems" => ProblemKind::ALL.map(ProblemKind::as_str).to_vec(),
        "severities of problems" => Severity::ALL.map(Severity::as_str).to_vec(),
        "audit actors" => ActorKind::ALL.map(ActorKind::as_str).to_vec(),
        "webhook events" => events(""),
        "webhook events of sessions" => events("session."),
        "webhook events of contacts" => events("contact."),
        "reasons of sessions" => reasons(&[Place::Session]),
        "reasons of messages" => reasons(&[Place::Message, Place::Queue, Place::Reply, Place::Taken]),
        "reasons of replies" => reasons(&[Place::Reply]),
        "reasons of channels" => reasons(&[Place::Channel]),
        _ => panic!("nothing is generated for `{name}`"),
    }
}

/// Takes out of the blocks of a file those that a line of the index stands for: the one of a key, or all.
fn take(blocks: &mut Vec<Block>, key: &str) -> Vec<Block> {
    if key == ALL {
        return std::mem::take(blocks);
    }
    let place = blocks.iter().position(|(other, _)| other == key);
    place.map(|place| blocks.remove(place)).into_iter().collect()
}

/// Puts blocks in the place of the values `{lines: KEY in FILE}` in other blocks, and takes them out of their files.
fn fill_in(sources: &mut BTreeMap<String, Vec<Block>>) {
    let place = Regex::new(r"^( *)(- |\w+: )\{lines: (\w+) in ([a-z/-]+\.yaml)\}$").unwrap();
    let filled = |line: &String| {
        let Some(found) = place.captures(line) else { return vec![line.clone()] };
        let (indent, key) = (&found[1], &found[2]);
        let block = sources.get(&found[4]).and_then(|blocks| blocks.iter().find(|(other, _)| *other == found[3]));
        let (_, block) = block.unwrap_or_else(|| panic!("`{line}` names a block that there is not"));
        // A key stands above the lines, which are indented already; a dash before the first of them.
        let mut lines: Vec<String> = block[1..].iter().map(|line| format!("{indent}{line}")).collect();
        match key {
            "- " => lines[0] = format!("{indent}{key}{}", block[1].trim_start()),
            _ => lines.insert(0, format!("{indent}{}", key.trim_end())),
        }
        lines
    };
    let mut after = sources.clone();
    for (_, block) in after.values_mut().flatten() {
        *block = block.iter().flat_map(filled).collect();
    }
    for found in sources.values().flatten().flat_map(|(_, block)| block).filter_map(|line| place.captures(line)) {
        if let Some(blocks) = after.get_mut(&found[4]) {
            blocks.retain(|(key, _)| *key != found[3]);
        }
    }
    *sources = after;
}

/// The description in one: the index, where each line that names a file gives way to the block of its key.
fn bundle() -> String {
    let named = Regex::new(r"^( *)(\S+): ([a-z/-]+\.yaml)$").unwrap();
    let mut sources: BTreeMap<String, _> =
        files(Path::new(SOURCE)).into_iter().map(|file| (file.clone(), blocks(&file))).collect();
    fill_in(&mut sources);
    let mut bundle = String::new();
    for line in read(INDEX) {
        let Some(found) = named.captures(&line) else {
            bundle.push_str(&line);
            bundle.push('\n');
            continue;
        };
        let (indent, key, file) = (&found[1], &found[2], &found[3]);
        let taken = sources.get_mut(file).map(|blocks| take(blocks, key)).unwrap_or_default();
        assert!(!taken.is_empty(), "{INDEX} names `{key}` of {file}, where it is not, or twice");
        for line in taken.into_iter().flat_map(|(_, block)| block) {
            if !line.is_empty() {
                bundle.push_str(indent);
                bundle.push_str(&line);
            }
            bundle.push('\n');
        }
    }
    sources.retain(|_, blocks| !blocks.is_empty());
    let left: Vec<String> =
        sources.iter().flat_map(|(file, blocks)| blocks.iter().map(move |(key, _)| format!("{key}: {file}"))).collect();
    assert!(left.is_empty(), "{INDEX} does not name\n{}", left.join("\n"));
    let place = Regex::new(r"(?m)^( *)(\w+): \{generated: ([a-z ]+)\}$").unwrap();
    let filled = place.replace_all(&bundle, |found: &regex::Captures<'_>| {
        let items = generated(&found[3]).into_iter().map(|item| format!("\n{}  - {item}", &found[1]));
        format!("{}{}:{}", &found[1], &found[2], items.collect::<String>())
    });
    filled.into_owned()
}

#[test]
fn the_bundle_is_what_the_files_by_tag_make() {
    let bundle = bundle();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(crate::openapi::DESCRIPTION, &bundle).unwrap();
        return;
    }
    let served = fs::read_to_string(crate::openapi::DESCRIPTION).unwrap();
    let place = served.lines().zip(bundle.lines()).take_while(|(ours, theirs)| ours == theirs).count();
    assert!(
        served == bundle,
        "static/openapi.yaml is not the bundle of openapi/ from line {}: {:?} in place of {:?}. \
         UPDATE_OPENAPI=1 cargo test --test docs bundle writes it anew.",
        place + 1,
        served.lines().nth(place),
        bundle.lines().nth(place)
    );
}
