//! How long it takes to find people among a million.
//!
//! The contacts are written straight into the tables, in a few alphabets, with names of which some are everybody's and
//! some are a few people's; half of them were in touch at some time. Then the index is made by the jobs that the server
//! makes it with, and each search is run often enough for its 99th percentile. `QYVO_CONTACTS` makes fewer contacts.
//!
//! All of that again with people who were numbered one after another, in all that is known of them, and whom nobody was
//! in touch with: what is sought of these has little but parts that everybody has.
//!
//! It takes minutes and a gigabyte, so it is run by name: `cargo bench --bench search`. The file stays in Cargo's
//! folder for such things and serves until the schema, the index or [`DATA`] changes. With `--test` after two more
//! dashes it makes few contacts in a file of its own and runs each search once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qyvo::domain::{Synchronous, Timestamp};
use qyvo::store::search::{Search, find};
use qyvo::store::{self, Store, search};
use rusqlite::{Connection, params};

/// What the project promises for each search.
const TARGET: Duration = Duration::from_millis(50);
/// Contacts, unless said otherwise.
const CONTACTS: u64 = 1_000_000;
const FILE: &str = "qyvo.db";
/// Version of what [`fill`] writes. A higher one makes the kept file anew.
const DATA: u32 = 3;
/// What else a kept file depends on.
const SOURCES: [&str; 3] = [
    include_str!("../schema.sql"),
    include_str!("../src/store/search/index.rs"),
    include_str!("../src/store/search/activity.rs"),
];
/// The contact whose number and email address are sought, who was in touch.
const SOUGHT: u64 = 700_001;
/// Contacts in a job of the index, as in the server.
const PER_JOB: u32 = 100;
/// Contacts that get another name.
const RENAMED: i64 = 1_000;
/// How often each search is run.
const RUNS: usize = 200;
/// Contacts that an API answers at most.
const LIMIT: u32 = 50;

/// What people who have no email address were imported with.
const NO_EMAIL: &str = "unknown@example.org";
/// The first message, in milliseconds since the Unix epoch, and how long there have been messages.
const BEGAN: u64 = 1_700_000_000_000;
const SPAN: u64 = 70_000_000_000;

const FIRST: [&str; 20] = [
    "Ana",
    "Maria",
    "Jo\u{e3}o",
    "Peter",
    "Olga",
    "\u{418}\u{432}\u{430}\u{43d}",
    "Fatima",
    "Wei",
    "Li",
    "Sofia",
    "Lukas",
    "Emma",
    "Noah",
    "Mia",
    "Ben",
    "Zo\u{eb}",
    "Jos\u{e9}",
    "Luc\u{ed}a",
    "\u{130}pek",
    "Nina",
];
const SYLLABLES: [&str; 24] = [
    "son", "ber", "mar", "tin", "sil", "va", "gar", "ci", "a", "mül", "ler", "schmi", "dt", "ko", "wal", "ski", "ro",
    "dri", "guez", "pe", "ters", "lin", "dgren", "ova",
];
/// Common surnames, each of one character.
const CHINESE: [&str; 8] =
    ["\u{738b}", "\u{674e}", "\u{5f20}", "\u{5218}", "\u{9648}", "\u{6768}", "\u{8d75}", "\u{9ec4}"];
const PREFIXES: [&str; 5] = ["+1415", "+4915", "+346", "+861", "+5511"];

/// Numbers without an order (SplitMix64).
fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn pick<'a>(from: &[&'a str], n: u64) -> &'a str {
    from[usize::try_from(n % from.len() as u64).unwrap_or(0)]
}

fn name(n: u64) -> String {
    let x = mixed(n);
    match n {
        // A surname and a word that twenty people have, evenly among all.
        _ if n % (CONTACTS / 20) == 7 => "\u{6b27}\u{9633}\u{4fee}".to_owned(),
        _ if n % (CONTACTS / 20) == 8 => "Quetzalcoatl Xu".to_owned(),
        _ if x.is_multiple_of(10) => {
            format!("{}{}{}", pick(&CHINESE, x >> 8), pick(&CHINESE, x >> 16), pick(&CHINESE, x >> 24))
        }
        _ => {
            let last: String = (1..4).map(|part| pick(&SYLLABLES, x >> (8 * part))).collect();
            format!("{} {last}", pick(&FIRST, x >> 40))
        }
    }
}

/// The name with where the oldest fifth was imported from, who were never written to, and another fifth, who were
/// written to before everybody else.
fn full_name(n: u64, contacts: u64) -> String {
    match n {
        _ if n <= contacts / 5 => format!("{} Z\u{fc}rich", name(n)),
        _ if is_lapsed(n, contacts) => format!("{} Lisboa", name(n)),
        _ => name(n),
    }
}

/// Whether a contact is of the fifth who were in touch before everybody else.
fn is_lapsed(n: u64, contacts: u64) -> bool {
    (contacts / 5 * 2..contacts / 5 * 3).contains(&n)
}

/// When somebody was last in touch, in milliseconds after [`BEGAN`].
fn last_message(n: u64, contacts: u64) -> Option<u64> {
    let x = mixed(n ^ 0xABCD);
    if is_lapsed(n, contacts) {
        return Some((x >> 20) % (SPAN / 30));
    }
    (n > contacts / 5 && !x.is_multiple_of(3)).then_some(SPAN / 30 + (x >> 20) % (SPAN / 30 * 29))
}

/// The email address of a contact, if it has one. A tenth of all have the same.
fn email(n: u64) -> Option<String> {
    if n.is_multiple_of(2) && is_lapsed(n, CONTACTS) {
        return Some(NO_EMAIL.to_owned());
    }
    let x = mixed(n ^ 0xABCD);
    (x % 10 < 7).then(|| format!("{}{}@example.org", pick(&SYLLABLES, x >> 9), x % 1_000_003))
}

fn phone(n: u64) -> String {
    format!("{}{:08}", pick(&PREFIXES, mixed(n ^ 0xABCD) >> 5), n * 61 % 100_000_007)
}

/// Who the contacts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum People {
    /// As they come.
    Mixed,
    /// Numbered, as by an import, and nobody was ever in touch.
    Numbered,
}

impl People {
    const ALL: [Self; 2] = [Self::Mixed, Self::Numbered];

    /// In the names of files.
    const fn label(self) -> &'static str {
        match self {
            Self::Mixed => "search",
            Self::Numbered => "numbered",
        }
    }

    fn name(self, n: u64, contacts: u64) -> String {
        match self {
            Self::Mixed => full_name(n, contacts),
            Self::Numbered => format!("Person {n}"),
        }
    }

    fn email(self, n: u64) -> Option<String> {
        match self {
            Self::Mixed => email(n),
            Self::Numbered => Some(format!("person{n:06}@example.com")),
        }
    }

    fn phone(self, n: u64) -> String {
        match self {
            Self::Mixed => phone(n),
            Self::Numbered => format!("+1415505{n:07}"),
        }
    }

    fn last_message(self, n: u64, contacts: u64) -> Option<u64> {
        match self {
            Self::Mixed => last_message(n, contacts),
            Self::Numbered => None,
        }
    }

    fn searches(self, contacts: u64) -> Vec<(String, usize, Search)> {
        match self {
            Self::Mixed => {
                searches(contacts).into_iter().map(|(what, least, search)| (what.to_owned(), least, search)).collect()
            }
            Self::Numbered => numbered_searches(contacts),
        }
    }
}

/// Searches among the numbered, each with how many it finds.
fn numbered_searches(contacts: u64) -> Vec<(String, usize, Search)> {
    let (last, middle) = (contacts - 1, contacts / 2 + 1);
    let mut queries = vec![
        ("5000000".to_owned(), 1),
        ("141505".to_owned(), 1),
        ("50500000".to_owned(), 9),
        ("+14155050000".to_owned(), 50),
        ("4155050123456".to_owned(), 1),
        ("000000".to_owned(), 1),
        ("00000".to_owned(), 50),
        ("0000".to_owned(), 50),
        ("000".to_owned(), 50),
        ("99999".to_owned(), 19),
        ("999990".to_owned(), 1),
        ("person000123".to_owned(), 1),
        ("person0001".to_owned(), 50),
        ("person 77777".to_owned(), 11),
        ("on00".to_owned(), 50),
        ("9@e".to_owned(), 50),
        ("3123@".to_owned(), 50),
        ("@example.com".to_owned(), 50),
        ("person@".to_owned(), 0),
        ("comperson".to_owned(), 0),
        ("123123123".to_owned(), 0),
        ("505505".to_owned(), 1),
        ("personperson".to_owned(), 0),
    ];
    for n in [1, 123, middle, last, contacts] {
        queries.push((People::Numbered.phone(n), 1));
        queries.push((People::Numbered.email(n).unwrap_or_default(), 1));
        queries.push((People::Numbered.name(n, contacts), 1));
    }
    let by_email = |n| Search { email: People::Numbered.email(n), ..Search::default() };
    let emails = [1, middle, last].map(|n| (format!("the email address of {n}"), 1, by_email(n)));
    let by_query = |query: String| Search { query: Some(query), ..Search::default() };
    queries.into_iter().map(|(query, least)| (query.clone(), least, by_query(query))).chain(emails).collect()
}

fn fill(path: &Path, people: People, contacts: u64) -> rusqlite::Result<()> {
    let mut conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA foreign_keys = OFF;")?;
    let tx = conn.transaction()?;
    tx.execute_batch(
        "INSERT INTO tags (seq, name) VALUES (1, 'customer'), (2, 'vip'), (3, 'rare'), (4, 'lapsed'), (5, 'old')",
    )?;
    {
        let mut contact = tx.prepare(
            "INSERT INTO contacts (seq, id, name, email, source, metadata, last_message_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, 'api', '{\"crm_id\":4711,\"plan\":\"basic\"}', ?5, ?6, ?6)",
        )?;
        let mut address = tx.prepare("INSERT INTO addresses VALUES ('phone', ?1, ?2, 0, NULL)")?;
        let mut tag = tx.prepare("INSERT INTO contact_tags VALUES (?1, ?2)")?;
        for n in 1..=contacts {
            let x = mixed(n ^ 0xABCD);
            let name = people.name(n, contacts);
            let after = people.last_message(n, contacts);
            let last = after.map(|after| BEGAN + after);
            let row = i64::try_from(n).expect("few contacts");
            let last = last.map(|at| i64::try_from(at).expect("a time of this century"));
            let mut id = [0; 16];
            id[..8].copy_from_slice(&x.to_be_bytes());
            id[8..].copy_from_slice(&n.to_be_bytes());
            contact.execute(params![row, id, name, people.email(n), last, 1_700_000_000_000 + row])?;
            address.execute(params![people.phone(n), row])?;
            for (seq, every) in [(1, 2), (2, 200), (3, CONTACTS / 20)] {
                if n % every == 1 {
                    tag.execute(params![row, seq])?;
                }
            }
            if n % 2 == 1 && is_lapsed(n, contacts) {
                tag.execute(params![row, 4])?;
            }
            if after.is_some_and(|after| after < SPAN / 2) {
                tag.execute(params![row, 5])?;
            }
        }
    }
    tx.commit()
}

/// The searches, each with the least that it finds: what proves that it was answered at all.
fn searches(contacts: u64) -> Vec<(&'static str, usize, Search)> {
    let query = |text: &str| Search { query: Some(text.to_owned()), ..Search::default() };
    let tag = |name: &str| Search { tag: Some(name.to_owned()), ..Search::default() };
    let with_email = (SOUGHT.min(contacts)..).find_map(email).expect("seven of ten have one");
    let number = phone(SOUGHT.min(contacts));
    vec![
        ("nothing given", 1, Search::default()),
        ("common word: maria", 1, query("maria")),
        ("common word: example", 1, query("example")),
        ("rare word: quetzal", 1, query("quetzal")),
        ("rare, many letters", 1, query("quetzalcoatl xu")),
        ("in the middle: rodrisil", 1, query("rodrisil")),
        ("in the middle: berkoski", 1, query("berkoski")),
        ("in the middle: ana rodri", 1, query("ana rodri")),
        ("only who is never in touch: z\u{fc}rich", 1, query("Z\u{dc}RICH")),
        ("common runs, nobody: marmarmar", 0, query("marmarmarmar")),
        ("one character: a", 1, query("a")),
        ("one character, rare: x", 1, query("x")),
        ("one character, rare: q", 1, query("q")),
        ("two characters: ma", 1, query("ma")),
        ("two characters, rare: xu", 1, query("xu")),
        ("two characters, nobody: qq", 0, query("qq")),
        ("Chinese, common: \u{738b}", 1, query("\u{738b}")),
        ("Chinese, two: \u{738b}\u{674e}", 1, query("\u{738b}\u{674e}")),
        ("Chinese, three: \u{738b}\u{674e}\u{5f20}", 1, query("\u{738b}\u{674e}\u{5f20}")),
        ("Chinese, rare: \u{6b27}", 1, query("\u{6b27}")),
        ("Chinese, rare, two: \u{6b27}\u{9633}", 1, query("\u{6b27}\u{9633}")),
        ("Cyrillic: \u{418}\u{412}\u{410}\u{41d}", 1, query("\u{418}\u{412}\u{410}\u{41d}")),
        ("a country: +34", 1, query("+34")),
        ("a number", 1, query(&number)),
        ("the end of a number", 1, query(&number[number.len() - 6..])),
        ("digits: 0000", 1, query("0000")),
        ("a sign: %", 0, query("%")),
        ("a tag that half have", 1, tag("customer")),
        ("a tag that few have", 1, tag("vip")),
        ("a tag that twenty have", 1, tag("rare")),
        ("a word and a tag", 1, Search { query: Some("rodri".to_owned()), ..tag("vip") }),
        ("a rare word and a common tag", 1, Search { query: Some("rodrisil".to_owned()), ..tag("customer") }),
        ("a common letter and a rare tag", 1, Search { query: Some("a".to_owned()), ..tag("vip") }),
        ("a country and a rare tag", 1, Search { query: Some("+34".to_owned()), ..tag("vip") }),
        ("200,000 who were in touch before all others", 1, query("lisboa")),
        ("100,000 of them with a tag", 1, tag("lapsed")),
        ("a common letter and their tag", 1, Search { query: Some("a".to_owned()), ..tag("lapsed") }),
        ("a word and their tag", 1, Search { query: Some("maria".to_owned()), ..tag("lapsed") }),
        ("a word and a tag of others", 0, Search { query: Some("z\u{fc}rich".to_owned()), ..tag("lapsed") }),
        ("a tag of the less recent half in touch", 1, tag("old")),
        ("a common letter and that tag", 1, Search { query: Some("a".to_owned()), ..tag("old") }),
        (
            "their email address, which 100,000 have",
            1,
            Search { email: Some(NO_EMAIL.to_owned()), ..Search::default() },
        ),
        ("an email address", 1, Search { email: Some(with_email.to_uppercase()), ..Search::default() }),
    ]
}

/// The file with the contacts and their index: one that was made before, or a new one.
fn file(folder: &Path, people: People, contacts: u64) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    let label = people.label();
    (DATA, SOURCES, contacts).hash(&mut hasher);
    let kept = folder.join(format!("{label}-{:016x}", hasher.finish()));
    if !kept.exists() {
        for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with(&format!("{label}-")) {
                std::fs::remove_dir_all(entry.path()).expect("contacts that do not serve any more");
            }
        }
        // Under its name only once it is whole.
        let new = kept.with_extension("new");
        std::fs::create_dir(&new).expect("a folder");
        let path = new.join(FILE);
        Store::open(&options(&path)).expect("a new file").close();
        fill(&path, people, contacts).expect("contacts");
        index(&path, contacts);
        std::fs::rename(&new, &kept).expect("the folder");
    }
    kept.join(FILE)
}

fn options(path: &Path) -> store::Options {
    let mut options = store::Options::new(path);
    options.synchronous = Synchronous::Normal;
    options
}

fn index(path: &Path, contacts: u64) {
    let store = Store::open(&options(path)).expect("the file");
    let size = || std::fs::metadata(path).map_or(0, |file| file.len() / 1_000_000);
    let (before, began, mut slowest) = (size(), Instant::now(), Duration::ZERO);
    let mut jobs = 0_u32;
    loop {
        let job = Instant::now();
        let done = store.write_blocking(|tx| search::index::index_some(tx, PER_JOB)).expect("the index");
        slowest = slowest.max(job.elapsed());
        jobs += 1;
        if done < PER_JOB {
            break;
        }
    }
    let took = began.elapsed();
    store.close();
    println!(
        "{contacts} contacts indexed in {took:.1?}: {:.1?} a job of {PER_JOB}, the slowest {slowest:.1?}; \
         {before} MB became {} MB",
        took / jobs,
        size()
    );
}

/// Gives some contacts another name, and tells how long that and indexing them takes.
fn rename(store: &Store, new_name: impl Fn(u64) -> String + Send + 'static) -> (Duration, Duration) {
    let began = Instant::now();
    store
        .write_blocking(move |tx| {
            let at = Timestamp::from_millis(1_778_141_663_250);
            for seq in (1..=RENAMED).map(|n| n * 7) {
                let Some(known) = store::contacts::find_by_seq(tx, seq)? else { continue };
                let mut after = known.contact.clone();
                after.name = Some(new_name(seq.unsigned_abs()));
                store::contacts::update(tx, seq, &after, &known.contact, at)?;
            }
            Ok(())
        })
        .expect("names");
    let marked = began.elapsed();
    while store.write_blocking(|tx| search::index::index_some(tx, PER_JOB)).expect("the index") == PER_JOB {}
    (marked, began.elapsed() - marked)
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let contacts = std::env::var("QYVO_CONTACTS").ok().and_then(|number| number.parse().ok());
    let contacts = contacts.unwrap_or(if is_test { 20_000 } else { CONTACTS });
    let folder = tempfile::tempdir().expect("a folder");
    let folder = if is_test { folder.path() } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let mut is_slow = false;
    for people in People::ALL {
        println!("\n{people:?} people");
        is_slow |= measure(folder, people, contacts, if is_test { 1 } else { RUNS });
    }
    if !is_test {
        println!("{}", if is_slow { "some searches take longer than promised" } else { "all within what is promised" });
    }
}

/// Runs each search so often, and tells whether one took longer than promised.
fn measure(folder: &Path, people: People, contacts: u64, runs: usize) -> bool {
    let path = file(folder, people, contacts);
    let store = Store::open(&options(&path)).expect("the file");
    let (marked, indexed) = rename(&store, |seq| format!("Renamed {seq}"));
    println!("{RENAMED} contacts renamed in {marked:.1?}, and indexed again in {indexed:.1?}");
    rename(&store, move |n| people.name(n, contacts));
    let mut is_slow = false;
    for (what, least, search) in people.searches(contacts) {
        let mut took = Vec::with_capacity(runs);
        let mut found = 0;
        for _ in 0..runs {
            let clock = Instant::now();
            found = store.read(|conn| find(conn, &search, LIMIT)).expect("a search").len();
            took.push(clock.elapsed());
        }
        assert!(found >= least || contacts < CONTACTS, "{what}: found {found}");
        took.sort_unstable();
        let (median, late) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        let verdict = if late > TARGET { "  TOO SLOW" } else { "" };
        is_slow |= late > TARGET;
        println!("{what:45} {found:3} found   p50 {median:9.2?}   p99 {late:9.2?}{verdict}");
    }
    store.close();
    is_slow
}
