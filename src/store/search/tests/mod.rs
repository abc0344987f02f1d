//! Every way of finding people, compared with a check of every contact.

mod any_steps;

use std::time::Duration;

use rusqlite::params;

use super::activity;
use super::index::{index_some, remove};
use super::plan::{BOUNDS, Bounds, find_seqs};
use super::*;
use crate::domain::{AddressKey, AddressKind, Contact, ContactId};
use crate::store::testing::{self, contact_id, now};
use crate::store::{Tx, addresses};
use any_steps::by_brute_force;

/// A contact that a message went to so many seconds ago.
fn person(tx: &Tx<'_>, n: u128, name: &str, seconds_ago: Option<u64>) -> ContactId {
    let mut contact = Contact::new(contact_id(n), Some(format!("+1415555{n:04}").parse().unwrap()));
    contact.name = Some(name.to_owned());
    let seq = contacts::insert(tx, &contact, "api", now()).unwrap();
    if let Some(ago) = seconds_ago {
        contacts::touch(tx, seq, 1, None, now().minus(Duration::from_secs(ago))).unwrap();
    }
    contact.id
}

fn ids(conn: &Conn, search: &Search) -> Vec<ContactId> {
    find(conn, search, 50).unwrap().iter().map(|profile| profile.stored.contact.id).collect()
}

fn by(query: &str) -> Search {
    Search { query: Some(query.to_owned()), ..Search::default() }
}

/// More contacts than are walked through, all with later messages than any other contact.
fn crowd(tx: &Tx<'_>) {
    let crowd = i64::try_from(BOUNDS.walked_first + 10).unwrap();
    tx.execute(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
         INSERT INTO contacts (id, name, source, metadata, last_message_at, created_at, updated_at)
         SELECT randomblob(16), 'Crowd ' || n, 'api', '{}', ?2 + n, 0, 0 FROM n",
        params![crowd, now()],
    )
    .unwrap();
}

#[test]
fn the_order_is_that_of_the_last_message_and_then_of_the_newest() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let old = person(&tx, 1, "Old", Some(60));
    let never = person(&tx, 2, "Never", None);
    let new = person(&tx, 3, "New", Some(1));
    let never_either = person(&tx, 4, "Never either", None);
    let same = person(&tx, 5, "Same", Some(1));
    let all = [same, new, old, never_either, never];
    assert_eq!(ids(&tx, &Search::default()), all);
    assert_eq!(ids(&tx, &by("415555")), all);
    crowd(&tx);
    index_some(&tx, 10_000).unwrap();
    assert_eq!(ids(&tx, &by("415555")), all);
    assert_eq!(find(&tx, &by("415555"), 2).unwrap().len(), 2);
    assert_eq!(find(&tx, &by("crowd"), 50).unwrap().len(), 50);
}

#[test]
fn parts_of_any_length_are_found_whatever_the_case_and_beyond_the_walk() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let names = [
        "\u{c9}lodie",
        "\u{42f}\u{43a}\u{43e}\u{432}",
        "\u{130}pek",
        "\u{6b27}\u{9633}\u{4fee}",
        "50%_off",
        "Jose\u{301}",
        "Stra\u{df}e",
        "\u{39f}\u{3b4}\u{3c5}\u{3c3}\u{3c3}\u{3b5}\u{3cd}\u{3c2}",
    ];
    let people: Vec<ContactId> = names.iter().zip(1..).map(|(name, n)| person(&tx, n, name, None)).collect();
    let rows = [
        ("\u{e9}LO", 0),
        ("\u{c9}l", 0),
        ("\u{44f}\u{41a}\u{41e}", 1),
        ("\u{44f}", 1),
        ("ipek", 2),
        ("\u{130}PEK", 2),
        ("\u{6b27}", 3),
        ("\u{9633}\u{4fee}", 3),
        ("0%_", 4),
        ("%", 4),
        ("_", 4),
        ("%_", 4),
        ("JOS\u{c9}", 5),
        ("os\u{e9}", 5),
        ("jose", 5),
        ("elo", 0),
        ("OFF 50", 4),
        ("strasse", 6),
        ("\u{3a3}\u{3a3}\u{395}\u{3cd}\u{3a3}", 7),
        ("  Off ", 4),
    ];
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        for (query, n) in rows {
            assert_eq!(ids(&tx, &by(query)), [people[n]], "{query} {is_crowded}");
        }
        for nobody in ["%%", "o_f", "5%o", "jo se f", "\"", "\u{0}", "(", "a\nb"] {
            assert_eq!(ids(&tx, &by(nobody)), [], "{nobody} {is_crowded}");
        }
    }
}

#[test]
fn a_number_is_found_with_its_plus_and_without_and_as_people_write_it() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let ana = person(&tx, 123, "Ana", None);
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        for query in ["+14155550123", "14155550123", "+1 (415) 555-0123", "5550123", "555-0123", "0123"] {
            assert_eq!(ids(&tx, &by(query)), [ana], "{query}");
        }
        for query in ["+4155550123", "141555501234"] {
            assert_eq!(ids(&tx, &by(query)), [], "{query}");
        }
    }
    let seq = contacts::find_by_id(&tx, ana).unwrap().unwrap().seq;
    addresses::add(&tx, seq, &AddressKey::new(AddressKind::PHONE, "+34600111222"), now()).unwrap();
    assert_eq!(ids(&tx, &by("600111")), [ana], "not indexed yet");
    addresses::retire(&tx, seq, &AddressKey::new(AddressKind::PHONE, "+14155550123"), now()).unwrap();
    index_some(&tx, 10).unwrap();
    assert_eq!((ids(&tx, &by("600111")), ids(&tx, &by("5550123"))), (vec![ana], vec![]));
}

#[test]
fn a_whole_number_is_found_by_its_other_spellings() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let numbers = ["+5521987654321", "+552187654322", "+5215512345678", "+541112345678", "+14155550123"];
    let people: Vec<ContactId> = numbers
        .iter()
        .zip(1..)
        .map(|(number, n)| {
            let contact = Contact::new(contact_id(n), Some(number.parse().unwrap()));
            contacts::insert(&tx, &contact, "api", now()).unwrap();
            contact.id
        })
        .collect();
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        for (query, n) in [
            ("+552187654321", 0),
            ("55 21 8765-4321", 0),
            ("+55 (21) 98765-4322", 1),
            ("00 55 21 98765 4322", 1),
            ("+52 55 1234 5678", 2),
            ("+54 9 11 1234-5678", 3),
            ("0054 11 1234-5678", 3),
            ("0014155550123", 4),
            ("00 1 (415) 555-0123", 4),
            ("+\u{661}\u{664}\u{661}\u{665}\u{665}\u{665}\u{665}\u{660}\u{661}\u{662}\u{663}", 4),
        ] {
            assert_eq!(ids(&tx, &by(query)), [people[n]], "{query} {is_crowded}");
        }
        for nobody in ["21 8765-4321", "+5521887654321", "004155550123", "+5491112345679"] {
            assert_eq!(ids(&tx, &by(nobody)), [], "{nobody} {is_crowded}");
        }
    }
}

#[test]
fn an_email_address_is_found_whatever_its_case_beyond_ascii() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let emails =
        ["\u{c9}LODIE@Example.org", "\u{e9}lodie@example.org", "Stra\u{df}e@example.org", "\u{212a}im@example.org"];
    let people: Vec<ContactId> = emails
        .iter()
        .zip(1..)
        .map(|(email, n)| {
            let mut contact = Contact::new(contact_id(n), None);
            contact.email = Some((*email).to_owned());
            contacts::insert(&tx, &contact, "api", now()).unwrap();
            contact.id
        })
        .collect();
    let with = |email: &str| ids(&tx, &Search { email: Some(email.to_owned()), ..Search::default() });
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        for same in ["\u{c9}lodie@example.ORG", "E\u{301}lodie@example.org"] {
            assert_eq!(with(same), [people[1], people[0]], "{same} {is_crowded}");
        }
        assert_eq!(with("STRASSE@example.org"), people[2..3], "{is_crowded}");
        assert_eq!(with("kim@example.org"), people[3..], "{is_crowded}");
        assert_eq!(with("elodie@example.org"), [], "{is_crowded}");
    }
}

#[test]
fn all_that_is_given_must_fit() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let people: Vec<ContactId> = (1..=4).map(|n| person(&tx, n, "Ana", Some(n as u64))).collect();
    for (n, tags, email) in
        [(0, vec!["vip"], None), (1, vec!["vip"], Some("Ana@Example.org")), (2, vec![], Some("ana@example.org"))]
    {
        let stored = contacts::find_by_id(&tx, people[n]).unwrap().unwrap();
        let mut after = stored.contact.clone();
        after.tags = tags.into_iter().map(str::to_owned).collect();
        after.email = email.map(str::to_owned);
        contacts::update(&tx, stored.seq, &after, &stored.contact, now()).unwrap();
    }
    let search = |query: Option<&str>, tag: Option<&str>, email: Option<&str>| Search {
        query: query.map(str::to_owned),
        tag: tag.map(str::to_owned),
        email: email.map(str::to_owned),
    };
    let rows: [(Search, &[ContactId]); 9] = [
        (search(None, Some("vip"), None), &people[..2]),
        (search(None, Some("VIP"), None), &[]),
        (search(None, Some("vi"), None), &[]),
        (search(None, None, Some("ANA@example.ORG")), &people[1..3]),
        (search(None, None, Some("ana@example")), &[]),
        (search(None, Some("vip"), Some("ana@example.org")), &people[1..2]),
        (search(Some("ana"), Some("vip"), None), &people[..2]),
        (search(Some("0002"), Some("vip"), None), &people[1..2]),
        (search(Some("0003"), Some("vip"), None), &[]),
    ];
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        for (search, expected) in &rows {
            assert_eq!(&ids(&tx, search), expected, "{search:?} {is_crowded}");
        }
    }
    tx.execute(
        "INSERT INTO contact_tags SELECT seq, (SELECT seq FROM tags) FROM contacts WHERE name LIKE 'Crowd%'",
        [],
    )
    .unwrap();
    tx.execute("INSERT INTO search_queue (contact_seq) SELECT seq FROM contacts WHERE name LIKE 'Crowd%'", []).unwrap();
    index_some(&tx, 10_000).unwrap();
    assert_eq!(ids(&tx, &search(Some("0002"), Some("vip"), None)), people[1..2], "a tag that many have");
    assert_eq!(ids(&tx, &search(None, Some("vip"), None)).len(), 50);
}

#[test]
fn who_is_erased_is_not_found_at_once() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let ana = person(&tx, 1, "Ana", None);
    crowd(&tx);
    index_some(&tx, 10_000).unwrap();
    assert_eq!(ids(&tx, &by("ana")), [ana]);
    let known = contacts::find_by_id(&tx, ana).unwrap().unwrap();
    remove(&tx, known.seq).unwrap();
    assert_eq!(ids(&tx, &by("ana")), []);
}

#[test]
fn who_is_made_or_changed_while_thousands_wait_is_found_at_once() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let known = person(&tx, 1, "Old name", None);
    index_some(&tx, 10).unwrap();
    crowd(&tx);
    // The first one counts on from the numbers that it gave itself.
    let tx = Tx::new(&conn);
    let ana = person(&tx, 2, "Ana", None);
    let stored = contacts::find_by_id(&tx, known).unwrap().unwrap();
    let after = Contact { name: Some("Zo\u{eb}".to_owned()), ..stored.contact.clone() };
    contacts::update(&tx, stored.seq, &after, &stored.contact, now()).unwrap();
    crowd(&tx);
    assert_eq!((ids(&tx, &by("ana")), ids(&tx, &by("zo\u{eb}"))), (vec![ana], vec![known]), "before they are indexed");
    assert_eq!(ids(&tx, &by("old name")), []);
    index_some(&tx, 2).unwrap();
    let queued: u32 = tx.query_row("SELECT count(*) FROM search_queue", [], |row| row.get(0)).unwrap();
    assert_eq!(queued, 0, "they were first");
    assert_eq!((ids(&tx, &by("ana")), ids(&tx, &by("zo\u{eb}"))), (vec![ana], vec![known]), "by the index");
}

#[test]
fn tags_are_found_by_a_part_of_their_names() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    tx.execute_batch("INSERT INTO tags (name) VALUES ('vip'), ('VIP 2'), ('50%'), ('\u{c9}t\u{e9}')").unwrap();
    assert_eq!(tags(&tx, None, 9).unwrap(), ["50%", "VIP 2", "vip", "\u{c9}t\u{e9}"]);
    assert_eq!(tags(&tx, None, 2).unwrap(), ["50%", "VIP 2"]);
    assert_eq!(tags(&tx, Some("ViP"), 9).unwrap(), ["VIP 2", "vip"]);
    assert_eq!(tags(&tx, Some("%"), 9).unwrap(), ["50%"]);
    assert_eq!(tags(&tx, Some("_"), 9).unwrap(), [""; 0]);
    assert_eq!(tags(&tx, Some("\u{e9}T\u{c9}"), 9).unwrap(), ["\u{c9}t\u{e9}"]);
}

#[test]
fn the_walk_needs_no_sorting() {
    let conn = testing::conn();
    let plan = testing::plan(&conn, "SELECT seq FROM contacts ORDER BY last_message_at DESC, seq DESC");
    assert!(plan.contains("contacts_by_activity") && !plan.contains("TEMP"), "{plan}");
    let sql = "SELECT last_message_at, seq FROM contacts WHERE email = ?1 COLLATE NOCASE";
    let plan = testing::plan(&conn, sql);
    assert!(plan.contains("SEARCH contacts USING INDEX contacts_by_email"), "{plan}");
}
#[test]
fn an_email_address_that_many_have_is_found_by_the_index() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let mut seqs = Vec::new();
    for n in 1..=30_u64 {
        let id = person(&tx, n.into(), "Ana", (n % 3 > 0).then_some(n));
        let stored = contacts::find_by_id(&tx, id).unwrap().unwrap();
        let email = if n % 2 == 0 { "None@Example.org" } else { "none@example.org.uk" };
        let after = Contact { email: Some(email.to_owned()), ..stored.contact.clone() };
        contacts::update(&tx, stored.seq, &after, &stored.contact, now()).unwrap();
        seqs.push(stored.seq);
    }
    index_some(&tx, 99).unwrap();
    activity::follow(&tx).unwrap();
    let search = Search { email: Some("none@EXAMPLE.org".to_owned()), ..Search::default() };
    let filter = Filter::of(&tx, &search).unwrap().unwrap();
    for (few, limit) in [(99, 4), (99, 20), (3, 4), (3, 13), (3, 20)] {
        let bounds = Bounds { walked_first: 2, stride: 1, few, kept: 5, same_email: 3 };
        let found = find_seqs(&tx, &filter, &bounds, None, limit).unwrap();
        assert_eq!(found.len(), limit.min(15));
        assert_eq!(found, by_brute_force(&tx, &seqs, &filter, limit));
    }
}

/// What is in the database, and how people type it who look for it.
const TYPED: &[(&str, &[&str])] = &[
    ("Łukasz Żółć", &["Lukasz", "lukasz zolc", "ŁUKASZ", "zolc", "Zolc Lukasz"]),
    ("Lukasz Nowak", &["Łukasz Nowak", "Lukasz", "nowak łukasz"]),
    ("Öztürk Ayşe", &["ozturk", "OZTURK", "Ayse Ozturk", "öztürk", "ayşe"]),
    ("Ozturk Mehmet", &["Öztürk Mehmet", "mehmet öztürk"]),
    ("İpek Işık", &["ipek", "IPEK", "isik", "Işık", "ışık", "ISIK"]),
    ("Ilgın Çağlar", &["ilgin", "caglar", "ILGIN", "çağlar ilgın"]),
    ("Jürgen Müller", &["jurgen", "Muller Jurgen", "müller"]),
    ("Groß Weiß", &["gross", "GROSS weiss", "Groß", "weiß"]),
    ("Strasser", &["straßer", "Strasser"]),
    ("Søren Kierkegård", &["soren", "kierkegard", "SØREN"]),
    ("Åse Ærø", &["ase", "aero", "ÆRØ", "ærø åse"]),
    ("Þórður Ðalason", &["thordur", "Dalason", "þórður"]),
    ("Đặng Thị Hương", &["dang thi huong", "Huong", "Đặng", "huong dang"]),
    ("Nguyễn Văn Ánh", &["nguyen van anh", "NGUYEN", "Ánh"]),
    ("José María Núñez", &["jose maria nunez", "Nunez José", "MARÍA"]),
    ("João Conceição", &["joao conceicao", "Conceicao", "JOÃO"]),
    ("Zoë Noël", &["zoe noel", "noël zoë"]),
    ("François Lefèvre", &["francois lefevre", "Lefevre"]),
    ("Œdipe Cœur", &["oedipe", "coeur", "Œdipe"]),
    ("Renée d’Arc", &["renee d'arc", "D’ARC", "d'arc"]),
    ("O'Brien", &["O’Brien", "o'brien"]),
    ("Jean‑Luc Picard", &["jean-luc", "Jean Luc", "picard jean"]),
    ("Dvořák Antonín", &["dvorak", "antonin dvorak", "Dvořák"]),
    ("Škoda Čeněk", &["skoda", "cenek skoda"]),
    ("Ľubomír Ďuriš", &["lubomir", "duris"]),
    ("Kovács Győző", &["kovacs gyozo", "Győző"]),
    ("Ștefan Țepeș", &["stefan tepes", "Stefan"]),
    ("Ćosić Đorđe", &["cosic", "dorde cosic"]),
    ("Āboliņš Jānis", &["abolins", "janis"]),
    ("Žukauskas Šarūnas", &["zukauskas sarunas", "Sarunas"]),
    ("Õunapuu Ülo", &["ounapuu", "ulo"]),
    ("Ħal Ġorġ", &["hal gorg", "Ħal"]),
    ("Алёна Ёлкина", &["Алена", "елкина", "АЛЁНА"]),
    ("Андрей Чайковский", &["андрей", "ЧАЙКОВСКИЙ", "чайковский андрей"]),
    ("Ґалаґан Ївга", &["галаган", "Ґалаґан"]),
    ("Γιώργος Παπαδόπουλος", &["γιωργος", "ΠΑΠΑΔΟΠΟΥΛΟΣ", "παπαδοπουλος γιωργος"]),
    ("محمد عبد الله", &["محمد", "مُحَمَّد", "الله محمد"]),
    ("أحمد إبراهيم", &["احمد", "ابراهيم", "أحمد"]),
    ("فاطمة", &["فاطمه", "فاطمة", "فَاطِمَة"]),
    ("علی رضا", &["علي", "علی"]),
    ("کریم", &["كريم", "کریم"]),
    ("مُوسَى", &["موسى", "موسي"]),
    ("דָּוִד כֹּהֵן", &["דוד כהן", "כהן", "דָּוִד"]),
    ("שרה לוי", &["שָׂרָה", "לוי שרה"]),
    ("王伟", &["王", "伟", "王伟"]),
    ("歐陽修", &["歐陽", "陽修"]),
    ("田中 タロウ", &["田中", "たろう", "タロウ", "ﾀﾛｳ"]),
    ("すずき はなこ", &["スズキ", "ハナコ すずき"]),
    ("김민준", &["김", "민준", "김민준"]),
    ("प्रिया शर्मा", &["प्रिया", "शर्मा प्रिया"]),
    ("สมชาย ใจดี", &["สมชาย", "ใจดี"]),
    ("Ａｎｎａ Ｓｍｉｔｈ", &["anna", "smith anna"]),
    ("Soﬁa Aﬄeck", &["sofia", "affleck", "Soﬁa"]),
    ("Ada Lovelace", &["Lovelace Ada", "ada", "LOVE ADA", "lace"]),
    ("100% Real_Name", &["100%", "real_name", "% real"]),
    ("Anna-Lena\u{a0}Groß", &["anna lena", "lena gross"]),
    ("Mary\u{200b}Ann", &["maryann", "MaryAnn"]),
];

#[test]
fn names_are_found_as_people_type_them() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let people: Vec<ContactId> = TYPED.iter().zip(1..).map(|((name, _), n)| person(&tx, n, name, None)).collect();
    let mut tried = 0;
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        let mut missed = Vec::new();
        for ((name, ways), id) in TYPED.iter().zip(&people) {
            for typed in ways.iter().filter(|typed| !typed.is_empty()) {
                tried += 1;
                if !ids(&tx, &by(typed)).contains(id) {
                    missed.push(format!("{name} by {typed}"));
                }
            }
        }
        assert_eq!(missed, Vec::<String>::new(), "{is_crowded}");
    }
    assert!(tried >= 200, "{tried}");
}

#[test]
fn a_number_is_found_as_people_of_its_country_dial_it() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let rows = [
        ("+441500600123", vec!["01500 600123", "01500", "(01500) 600", "0150060"]),
        ("+4915112345678", vec!["0151 12345678", "0151/1234"]),
        ("+33612345678", vec!["06 12 34 56 78", "0612"]),
        ("+36201234567", vec!["06 20 123 4567"]),
        ("+79123456789", vec!["8 (912) 345-67-89", "8912345"]),
        ("+393471234567", vec!["347 123", "3471234567"]),
        ("+390612345678", vec!["06 1234 5678"]),
        ("+61412345678", vec!["0412 345 678"]),
        ("+919876543210", vec!["09876543210"]),
        ("+34600111222", vec!["600 111 222"]),
    ];
    let people: Vec<ContactId> = rows
        .iter()
        .zip(1..)
        .map(|((number, _), n)| {
            let contact = Contact::new(contact_id(n), Some(number.parse().unwrap()));
            contacts::insert(&tx, &contact, "api", now()).unwrap();
            contact.id
        })
        .collect();
    // This number is not dialled with a 0, and it has the same digits.
    let other = Contact::new(contact_id(99), Some("+14151500600".parse().unwrap()));
    contacts::insert(&tx, &other, "api", now()).unwrap();
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        for ((number, ways), id) in rows.iter().zip(&people) {
            for typed in ways {
                assert!(ids(&tx, &by(typed)).contains(id), "{number} by {typed} {is_crowded}");
            }
        }
        assert_eq!(ids(&tx, &by("01500 600")), [people[0]]);
    }
}

#[test]
fn a_search_goes_on_where_it_stopped_and_says_how_many_there_are() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    for n in 1..=296_u64 {
        person(&tx, n.into(), "Ada Lovelace", (n % 3 > 0).then_some(n));
    }
    for is_crowded in [false, true] {
        if is_crowded {
            crowd(&tx);
            index_some(&tx, 10_000).unwrap();
        }
        let search = by("lovelace");
        let first = find_page(&tx, &search, None, 200).unwrap();
        assert_eq!((first.profiles.len(), first.total), (200, Some((296, true))));
        let second = find_page(&tx, &search, first.next, 200).unwrap();
        assert_eq!((second.profiles.len(), second.next, second.total), (96, None, None));
        let mut all: Vec<_> = [first, second].into_iter().flat_map(|page| page.profiles).collect();
        let whole = find(&tx, &search, 500).unwrap();
        assert_eq!(all.len(), whole.len());
        assert!(all.drain(..).zip(whole).all(|(one, other)| one.stored.seq == other.stored.seq));
    }
    let many = find_page(&tx, &by("crowd"), None, 2).unwrap();
    assert_eq!((many.profiles.len(), many.total), (2, Some((COUNTED, false))));
    let nobody = Search { tag: Some("gone".to_owned()), ..by("ada") };
    assert_eq!(find_page(&tx, &nobody, None, 2).unwrap().total, Some((0, true)));
}

#[test]
fn a_later_part_is_not_found_by_scanning() {
    let conn = testing::conn();
    for (sql, by) in
        [(plan::ACTIVE_BEFORE, "contacts_by_activity (last_message_at<"), (plan::NEVER_IN_TOUCH, "last_message_at=?")]
    {
        let plan = testing::plan(&conn, sql);
        assert!(plan.contains(by) && !plan.contains("SCAN c") && !plan.contains("TEMP"), "{plan}");
    }
}

#[test]
fn what_an_older_release_indexed_with_its_accents_is_indexed_anew() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (lukasz, ada) = (person(&tx, 1, "Lukasz", None), person(&tx, 2, "Ada", None));
    index_some(&tx, 10).unwrap();
    // As that release had it.
    let seq = contacts::find_by_id(&tx, lukasz).unwrap().unwrap().seq;
    remove(&tx, seq).unwrap();
    tx.execute("UPDATE contacts SET name = '\u{141}ukasz' WHERE seq = ?1", [seq]).unwrap();
    let grams: Vec<String> = super::index::runs("\u{142}ukasz\n+14155550001").into_iter().collect();
    tx.execute("INSERT INTO search_grams (rowid, grams) VALUES (?1, ?2)", params![seq, grams.join(" ")]).unwrap();
    tx.execute("INSERT INTO search_texts VALUES (?1, '\u{142}ukasz\n+14155550001', '')", [seq]).unwrap();
    tx.execute("UPDATE search_progress SET up_to = 2", []).unwrap();
    crowd(&tx);
    // Its first statement; the others add columns, which are there.
    tx.execute_batch(include_str!("../../migrations/6.sql").split_inclusive(';').next().unwrap()).unwrap();
    let queued: Vec<i64> = tx
        .prepare("SELECT contact_seq FROM search_queue")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(queued, [seq], "whom nothing changes for is left alone");
    while index_some(&tx, 10_000).unwrap() == 10_000 {}
    for query in ["lukasz", "\u{141}UKASZ", "uka"] {
        assert_eq!(ids(&tx, &by(query)), [lukasz], "{query}");
    }
    assert_eq!(ids(&tx, &by("ada")), [ada]);
    tx.execute("INSERT INTO search_grams (search_grams) VALUES ('integrity-check')", []).unwrap();
}
