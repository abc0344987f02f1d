//! How long it takes to find people among a million.
//!
//! The contacts are written straight into the tables, in a few alphabets, with names of which some are everybody's and
//! some are a few people's; half of them were in touch at some time. Then the index is made by the jobs that the server
//! makes it with, and each search is run often enough for its 99th percentile. `QYVO_CONTACTS` makes fewer contacts.
//!
//! It takes minutes and half a gigabyte, so it is run by name: `cargo bench --bench search`. With `--test` after two more
//! dashes it makes few contacts and runs each search once.

use std::time::{Duration, Instant};

use qyvo::domain::Timestamp;
use qyvo::store::search::{Search, find};
use qyvo::store::{self, Store, Synchronous, search_index};
use rusqlite::{Connection, params};

/// What the project promises for each search.
const TARGET: Duration = Duration::from_millis(50);
/// Contacts, unless said otherwise.
const CONTACTS: u64 = 1_000_000;
/// Contacts in a job of the index, as in the server.
const PER_JOB: u32 = 100;
/// How often each search is run.
const RUNS: usize = 200;
/// Contacts that an API answers at most.
const LIMIT: u32 = 50;

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

fn fill(path: &std::path::Path, contacts: u64) -> rusqlite::Result<()> {
    let mut conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA foreign_keys = OFF;")?;
    let tx = conn.transaction()?;
    tx.execute_batch("INSERT INTO tags (seq, name) VALUES (1, 'customer'), (2, 'vip'), (3, 'rare')")?;
    {
        let mut contact = tx.prepare(
            "INSERT INTO contacts (seq, id, name, email, source, metadata, last_message_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, 'api', '{\"crm_id\":4711,\"plan\":\"basic\"}', ?5, ?6, ?6)",
        )?;
        let mut address = tx.prepare("INSERT INTO addresses VALUES ('phone', ?1, ?2, 0, NULL)")?;
        let mut tag = tx.prepare("INSERT INTO contact_tags VALUES (?1, ?2)")?;
        for n in 1..=contacts {
            let x = mixed(n ^ 0xABCD);
            // The oldest fifth was imported from Z\u{fc}rich and never written to.
            let name = if n <= contacts / 5 { format!("{} Z\u{fc}rich", name(n)) } else { name(n) };
            let email = (x % 10 < 7).then(|| format!("{}{}@example.org", pick(&SYLLABLES, x >> 9), x % 1_000_003));
            let last =
                (n > contacts / 5 && !x.is_multiple_of(3)).then_some(1_700_000_000_000 + (x >> 20) % 70_000_000_000);
            let row = i64::try_from(n).expect("few contacts");
            let last = last.map(|at| i64::try_from(at).expect("a time of this century"));
            let mut id = [0; 16];
            id[..8].copy_from_slice(&x.to_be_bytes());
            id[8..].copy_from_slice(&n.to_be_bytes());
            contact.execute(params![row, id, name, email, last, 1_700_000_000_000 + row])?;
            address.execute(params![format!("{}{:08}", pick(&PREFIXES, x >> 5), n * 61 % 100_000_007), row])?;
            for (seq, every) in [(1, 2), (2, 200), (3, CONTACTS / 20)] {
                if n % every == 1 {
                    tag.execute(params![row, seq])?;
                }
            }
        }
    }
    tx.commit()
}

fn searches() -> Vec<(&'static str, Search)> {
    let query = |text: &str| Search { query: Some(text.to_owned()), ..Search::default() };
    let tag = |name: &str| Search { tag: Some(name.to_owned()), ..Search::default() };
    vec![
        ("nothing given", Search::default()),
        ("common word: maria", query("maria")),
        ("common word: example", query("example")),
        ("rare word: quetzal", query("quetzal")),
        ("rare, many letters", query("quetzalcoatl xu")),
        ("in the middle: rodrisilva", query("rodrisilva")),
        ("in the middle: berkoski", query("berkoski")),
        ("in the middle: ana rodri", query("ana rodri")),
        ("only who is never in touch: z\u{fc}rich", query("Z\u{dc}RICH")),
        ("common runs, nobody: marmarmar", query("marmarmarmar")),
        ("one character: a", query("a")),
        ("one character, rare: x", query("x")),
        ("one character, rare: q", query("q")),
        ("two characters: ma", query("ma")),
        ("two characters, rare: xu", query("xu")),
        ("two characters, nobody: qq", query("qq")),
        ("Chinese, common: \u{738b}", query("\u{738b}")),
        ("Chinese, two: \u{738b}\u{674e}", query("\u{738b}\u{674e}")),
        ("Chinese, three: \u{738b}\u{674e}\u{5f20}", query("\u{738b}\u{674e}\u{5f20}")),
        ("Chinese, rare: \u{6b27}", query("\u{6b27}")),
        ("Chinese, rare, two: \u{6b27}\u{9633}", query("\u{6b27}\u{9633}")),
        ("Cyrillic: \u{418}\u{412}\u{410}\u{41d}", query("\u{418}\u{412}\u{410}\u{41d}")),
        ("a country: +34", query("+34")),
        ("a number", query("+141500061000")),
        ("the end of a number", query("061061")),
        ("digits: 0000", query("0000")),
        ("a sign: %", query("%")),
        ("a tag that half have", tag("customer")),
        ("a tag that few have", tag("vip")),
        ("a tag that twenty have", tag("rare")),
        ("a word and a tag", Search { query: Some("rodri".to_owned()), ..tag("vip") }),
        ("a rare word and a common tag", Search { query: Some("rodrisilva".to_owned()), ..tag("customer") }),
        ("an email address", Search { email: Some("SON17@example.org".to_owned()), ..Search::default() }),
    ]
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let contacts = std::env::var("QYVO_CONTACTS").ok().and_then(|number| number.parse().ok());
    let contacts = contacts.unwrap_or(if is_test { 20_000 } else { CONTACTS });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("qyvo.db");
    let mut options = store::Options::new(&path);
    options.synchronous = Synchronous::Normal;
    Store::open(&options).expect("a new file").close();
    fill(&path, contacts).expect("contacts");
    let store = Store::open(&options).expect("the file");
    let size = || std::fs::metadata(&path).map_or(0, |file| file.len() / 1_000_000);
    let (before, began, mut slowest) = (size(), Instant::now(), Duration::ZERO);
    let mut jobs = 0_u32;
    loop {
        let job = Instant::now();
        let done = store.write_blocking(|tx| search_index::index_some(tx, PER_JOB)).expect("the index");
        slowest = slowest.max(job.elapsed());
        jobs += 1;
        if done < PER_JOB {
            break;
        }
    }
    let took = began.elapsed();
    println!(
        "{contacts} contacts indexed in {took:.1?}: {:.1?} a job of {PER_JOB}, the slowest {slowest:.1?}; \
         {before} MB became {} MB",
        took / jobs.max(1),
        size()
    );
    let renamed = Instant::now();
    let names = 1_000;
    store
        .write_blocking(move |tx| {
            let at = Timestamp::from_millis(1_778_141_663_250);
            for seq in 1..=names {
                let known = store::contacts::find_by_seq(tx, seq * 7)?.map(|known| known.contact);
                let Some(before) = known else { continue };
                let mut after = before.clone();
                after.name = Some(format!("Renamed {seq}"));
                store::contacts::update(tx, seq * 7, &after, &before, at)?;
            }
            Ok(())
        })
        .expect("names");
    let marked = renamed.elapsed();
    store.write_blocking(move |tx| search_index::index_some(tx, 1_000)).expect("the index");
    println!("{names} contacts renamed in {marked:.1?}, and indexed again in {:.1?}", renamed.elapsed() - marked);
    let mut is_slow = false;
    for (what, search) in searches() {
        let mut took = Vec::with_capacity(RUNS);
        let mut found = 0;
        for _ in 0..if is_test { 1 } else { RUNS } {
            let clock = Instant::now();
            found = store.read(|conn| find(conn, &search, LIMIT)).expect("a search").len();
            took.push(clock.elapsed());
        }
        took.sort_unstable();
        let (median, late) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        let verdict = if late > TARGET { "  TOO SLOW" } else { "" };
        is_slow |= late > TARGET;
        println!("{what:45} {found:3} found   p50 {median:9.2?}   p99 {late:9.2?}{verdict}");
    }
    if !is_test {
        println!("{}", if is_slow { "some searches take longer than promised" } else { "all within what is promised" });
    }
}
