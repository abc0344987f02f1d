//! `qyvo contacts import` over files as spreadsheets and other programs write them, in many languages and encodings.
//!
//! `files/spreadsheets.json` has whole files with what is to become of them. `files/names.json` has names by language,
//! of which files are made here in every encoding of that language: they are read rightly, or refused with a sentence,
//! and never as other names.

use std::path::Path;
use std::process::Output;

use encoding_rs::Encoding;
use qyvo::cli::contacts::{Import, Reading};
use qyvo::cli::{self, Context};
use qyvo::config::Flags;
use rusqlite::Connection;
use serde::Deserialize;
use testkit::process::{Server, command};

use crate::cli::contacts::people;

#[derive(Deserialize)]
struct Names {
    at_home: Vec<Language>,
    abroad: Vec<Abroad>,
}

/// Names of one language, as a file of its country has them.
#[derive(Deserialize)]
struct Language {
    language: String,
    country: String,
    /// All but the last two digits of a number of that country.
    phone: String,
    /// Encodings that such files are in, besides Unicode.
    encodings: Vec<String>,
    names: Vec<String>,
}

/// Names whose numbers do not tell the encoding, or tell another one.
#[derive(Deserialize)]
struct Abroad {
    case: String,
    phone: String,
    encoding: String,
    names: Vec<String>,
}

/// What came of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// Everybody has the right name.
    Right,
    /// Nobody is in.
    Refused,
    /// Somebody has another name, or somebody is missing.
    Wrong,
}

/// A folder with a database that is emptied between two files.
struct Desk(tempfile::TempDir);

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Server::start(folder.path(), &[]).await.kill();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a file there, beside an empty database.
    fn put(&self, bytes: &[u8]) {
        let conn = Connection::open(self.path().join("qyvo.db")).unwrap();
        conn.pragma_update(None, "foreign_keys", false).unwrap();
        conn.execute_batch("DELETE FROM contact_tags; DELETE FROM addresses; DELETE FROM contacts;").unwrap();
        drop(conn);
        let _ = std::fs::remove_file(self.path().join("people.errors.csv"));
        std::fs::write(self.path().join("people.csv"), bytes).unwrap();
    }

    fn import(&self, bytes: &[u8], arguments: &[&str]) -> Output {
        self.put(bytes);
        command(self.path(), &[&["contacts", "import", "people.csv"], arguments].concat())
    }

    /// Imports people without a process of its own, of which there would be hundreds; the answer is the refusal.
    fn import_here(&self, bytes: &[u8], arguments: &[&str]) -> Result<(), String> {
        self.put(bytes);
        let database = Some(self.path().join("qyvo.db"));
        let context = Context::load(Flags { config: None, database, bind: None }).unwrap();
        let mut reading = Reading::default();
        for pair in arguments.chunks(2) {
            match pair {
                ["--encoding", name] => reading.encoding = Some((*name).to_owned()),
                ["--country", code] => reading.country = Some((*code).to_owned()),
                ["--map", mapping] => {
                    let (column, field) = mapping.split_once('=').unwrap();
                    reading.columns.push((column.to_owned(), field.to_owned()));
                }
                other => panic!("{other:?}"),
            }
        }
        let options = Import { reading, ..Import::default() };
        let imported = cli::contacts::import(&context, &self.path().join("people.csv"), &options);
        imported.map_err(|error| error.to_string())
    }

    /// Imports people, and looks what they are called afterwards.
    fn came_of(&self, file: &File<'_>, bytes: &[u8], encoding: Option<&str>) -> (Came, String) {
        let arguments: Vec<&str> = encoding.map(|name| ["--encoding", name]).into_iter().flatten().collect();
        let imported = self.import_here(bytes, &arguments);
        let found: Vec<String> = people(self.path())
            .iter()
            .map(|line| line.split(" - - - ").next().unwrap_or_default().to_owned())
            .collect();
        let expected: Vec<String> =
            (0..file.names.len()).map(|index| format!("{} {}", file.number(index), file.names[index])).collect();
        let came = match &imported {
            Ok(()) if found == expected => Came::Right,
            Err(_) if found.is_empty() => Came::Refused,
            _ => Came::Wrong,
        };
        (came, imported.map_or_else(|error| error, |()| format!("{found:?}")))
    }
}

/// A file of names as one program or another writes it.
struct File<'a> {
    phone: &'a str,
    names: &'a [String],
    /// Picks delimiter, line ends and quotation marks.
    form: usize,
}

impl File<'_> {
    fn number(&self, index: usize) -> String {
        format!("{}{:02}", self.phone, index + 1)
    }

    fn text(&self) -> String {
        let delimiter = [",", ";", "\t", "|"][self.form % 4];
        let end = ["\n", "\r\n", "\r"][self.form % 3];
        let quoted = |text: &str| match self.form % 2 {
            0 => text.to_owned(),
            _ => format!("\"{text}\""),
        };
        let mut text = [quoted("phone"), quoted("name")].join(delimiter) + end;
        for (index, name) in self.names.iter().enumerate() {
            text += &([quoted(&self.number(index)), quoted(name)].join(delimiter) + end);
        }
        text
    }
}

/// A text in an encoding; `utf-16le`, `utf-16be`, `utf-32le` and `utf-32be` without a mark in front.
fn encoded(text: &str, encoding: &str) -> Vec<u8> {
    match encoding {
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "utf-32le" => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
        "utf-32be" => text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        _ => {
            let (bytes, _, lost) = Encoding::for_label(encoding.as_bytes()).unwrap().encode(text);
            assert!(!lost, "{encoding} cannot write {text}");
            bytes.into_owned()
        }
    }
}

/// The forms of Unicode that files come in: an encoding, and whether a mark is in front.
const UNICODE: [(&str, bool); 11] = [
    ("utf-8", false),
    ("utf-8", true),
    ("utf-16le", true),
    ("utf-16be", true),
    ("utf-16le", false),
    ("utf-16be", false),
    ("utf-32le", true),
    ("utf-32be", true),
    ("utf-32le", false),
    ("utf-32be", false),
    ("utf-8", false),
];

fn names() -> Names {
    serde_json::from_str(include_str!("files/names.json")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_every_language_are_read_in_every_form_of_unicode() {
    let desk = Desk::new().await;
    let mut wrong = Vec::new();
    let mut count = 0;
    for (index, language) in names().at_home.iter().enumerate() {
        // Three forms each, so that the languages together have all of them several times.
        for turn in 0..3 {
            let (encoding, has_mark) = UNICODE[(index * 3 + turn) % UNICODE.len()];
            let file = File { phone: &language.phone, names: &language.names, form: index + turn };
            let mark = if has_mark { "\u{feff}" } else { "" };
            let (came, told) = desk.came_of(&file, &encoded(&(mark.to_owned() + &file.text()), encoding), None);
            count += 1;
            if came != Came::Right {
                wrong.push(format!("{} in {encoding}, mark {has_mark}: {came:?} {told}", language.language));
            }
        }
    }
    println!("{} of {count} right", count - wrong.len());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_older_encodings_are_read_rightly_or_refused() {
    let desk = Desk::new().await;
    let mut seen: Vec<(String, Came, String)> = Vec::new();
    for (index, language) in names().at_home.iter().enumerate() {
        for (turn, encoding) in language.encodings.iter().enumerate() {
            let whole = File { phone: &language.phone, names: &language.names, form: index + turn };
            let bytes = encoded(&whole.text(), encoding);
            let (came, told) = desk.came_of(&whole, &bytes, None);
            seen.push((format!("whole: {} in {encoding}", language.language), came, told));
            let (came, told) = desk.came_of(&whole, &bytes, Some(encoding));
            seen.push((format!("told: {} in {encoding}", language.language), came, told));
            let one = File { phone: &language.phone, names: &language.names[..1], form: index + turn };
            let (came, told) = desk.came_of(&one, &encoded(&one.text(), encoding), None);
            seen.push((format!("one: {} in {encoding}", language.language), came, told));
            assert!(!language.country.is_empty());
        }
    }
    for case in names().abroad {
        let file = File { phone: &case.phone, names: &case.names, form: 0 };
        let (came, told) = desk.came_of(&file, &encoded(&file.text(), &case.encoding), None);
        seen.push((format!("abroad: {}", case.case), came, told));
    }
    let of = |kind: &str, came: Came| seen.iter().filter(|one| one.0.starts_with(kind) && one.1 == came).count();
    for kind in ["whole", "told", "one", "abroad"] {
        let [right, refused, wrong] = [Came::Right, Came::Refused, Came::Wrong].map(|came| of(kind, came));
        println!("{kind}: {right} right, {refused} refused, {wrong} wrong");
    }
    for (what, came, told) in &seen {
        if *came != Came::Right {
            println!("{came:?} {what}: {told}");
        }
    }
    let wrong: Vec<_> = seen.iter().filter(|one| one.1 == Came::Wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(of("told", Came::Refused), 0, "what is told is believed");
    // A file of six names tells its encoding, and most of those of one name are for a person to say.
    assert!(of("whole", Came::Right) >= 61 && of("one", Came::Right) >= 28, "{seen:#?}");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    is: String,
    #[serde(default)]
    text: String,
    /// Bytes in place of a text.
    hex: Option<String>,
    /// What the text is in, if not in UTF-8.
    encoding: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
    /// How the lines of [`people`] begin that are there afterwards.
    people: Vec<String>,
    /// Parts of what is said.
    #[serde(default)]
    told: Vec<String>,
    /// Parts of what is said when nothing goes in.
    refused: Option<Vec<String>>,
    /// Parts of what is said of rows that are refused; `line 2` is their line.
    rows_refused: Option<Vec<String>>,
}

impl Case {
    /// What is otherwise than it should be.
    fn differences(&self, desk: &Desk) -> Vec<String> {
        let bytes = match (&self.hex, &self.encoding) {
            (Some(hex), _) => hex::decode(hex).unwrap(),
            (None, Some(encoding)) => encoded(&self.text, encoding),
            (None, None) => self.text.clone().into_bytes(),
        };
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let (has_failed, told) = if self.told.is_empty() {
            let imported = desk.import_here(&bytes, &arguments);
            (imported.is_err(), imported.err().unwrap_or_default())
        } else {
            // What is said besides refusals goes to standard error.
            let output = desk.import(&bytes, &arguments);
            (!output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let mut differences = Vec::new();
        let is_refused = self.refused.is_some() || self.rows_refused.is_some();
        if has_failed != is_refused {
            differences.push(format!("failed: {has_failed}, {told}"));
        }
        let lines = people(desk.path());
        let are_there = lines.len() == self.people.len()
            && lines.iter().zip(&self.people).all(|(line, start)| line.starts_with(start.as_str()));
        if !are_there {
            differences.push(format!("people {lines:?}"));
        }
        let errors = std::fs::read_to_string(desk.path().join("people.errors.csv")).unwrap_or_default();
        for part in self.rows_refused.iter().flatten() {
            let is_there = match part.strip_prefix("line ") {
                Some(line) => errors
                    .lines()
                    .any(|row| row.strip_prefix(line).is_some_and(|rest| rest.starts_with([',', ';', '\t', '|']))),
                None => errors.contains(part.as_str()),
            };
            if !is_there {
                differences.push(format!("`{part}` is not in {errors:?}"));
            }
        }
        for part in self.told.iter().chain(self.refused.iter().flatten()) {
            if !told.contains(part.as_str()) {
                differences.push(format!("`{part}` is not told: {told}"));
            }
        }
        differences
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_spreadsheets_and_other_programs_are_read_as_meant() {
    let desk = Desk::new().await;
    let cases: Vec<Case> = serde_json::from_str(include_str!("files/spreadsheets.json")).unwrap();
    let wrong: Vec<String> = cases
        .iter()
        .map(|case| (case, case.differences(&desk)))
        .filter(|(_, differences)| !differences.is_empty())
        .map(|(case, differences)| format!("{}: {}", case.is, differences.join("; ")))
        .collect();
    println!("{} of {} right", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_from_the_field_are_read_as_meant() {
    let desk = Desk::new().await;
    let cut = desk.import(include_bytes!("files/cells-left-off.csv"), &[]);
    assert!(cut.status.success(), "{cut:?}");
    assert_eq!(people(desk.path()).len(), 3);
    let tags = desk.import(include_bytes!("files/quoted-tags.csv"), &[]);
    assert!(tags.status.success(), "{tags:?}");
    assert!(people(desk.path())[0].contains(" Spring sale+VIP "), "{:?}", people(desk.path()));
    assert!(desk.import(include_bytes!("files/utf16.csv"), &[]).status.success());
    assert_eq!(people(desk.path()).len(), 1);
    let cyrillic = include_bytes!("files/cyrillic-1251.csv");
    let asked = desk.import(cyrillic, &[]);
    let told = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!((asked.status.code(), people(desk.path()).len()), (Some(1), 0), "one short name is not enough: {told}");
    assert!(told.contains("`Иван` with --encoding windows-1251") && told.contains("nothing was imported"), "{told}");
    let answered = desk.import(cyrillic, &["--encoding", "windows-1251"]);
    assert!(String::from_utf8_lossy(&answered.stderr).contains("Windows-1251: `Иван`"), "{answered:?}");
    assert!(people(desk.path())[0].ends_with("Иван - - - {} - - csv_import"), "{:?}", people(desk.path()));
}
