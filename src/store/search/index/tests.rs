//! What the index has of contacts, through every change of theirs.

use std::time::Duration;

use super::*;
use crate::domain::Contact;
use crate::store::search_queue::{BACKLOG, defer};
use crate::store::testing::{self, contact_id, now};
use crate::store::{contacts, merge};

fn person(tx: &Tx<'_>, n: u128, name: &str) -> i64 {
    let mut contact = Contact::new(contact_id(n), Some(format!("+1415555{n:04}").parse().unwrap()));
    contact.name = Some(name.to_owned());
    contacts::insert(tx, &contact, "api", now()).unwrap()
}

fn rename(tx: &Tx<'_>, seq: i64, name: Option<&str>) {
    let before = contacts::find_by_seq(tx, seq).unwrap().unwrap().contact;
    let after = Contact { name: name.map(str::to_owned), ..before.clone() };
    contacts::update(tx, seq, &after, &before, now()).unwrap();
}

fn with(conn: &Conn, run: &str) -> Vec<i64> {
    with_word(conn, &word(run))
}

fn with_word(conn: &Conn, word: &str) -> Vec<i64> {
    let mut statement = conn.prepare("SELECT rowid FROM search_grams WHERE search_grams MATCH ?1").unwrap();
    statement.query_map([word], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn check(conn: &Conn) {
    conn.execute("INSERT INTO search_grams (search_grams) VALUES ('integrity-check')", []).unwrap();
}

#[test]
fn a_text_is_cut_into_runs_within_its_fields() {
    let text = "\u{738b}\u{4f1f}\nab";
    let expected: BTreeSet<String> =
        ["\u{738b}", "\u{4f1f}", "\u{738b}\u{4f1f}", "a", "b", "ab"].map(word).into_iter().collect();
    assert_eq!(runs(text), expected);
    assert!(runs("").is_empty());
    let longer: Vec<String> = runs("+1234567 12345").into_iter().filter(|run| run.len() > 2 * LONGEST).collect();
    assert_eq!(longer, ["1234", "123456", "2345", "234567", "3456", "4567"].map(word));
    assert!(runs("12a34\n5678").contains(&word("5678")) && !runs("123\n45 6").contains(&word("1234")));
}

#[test]
fn new_and_changed_contacts_are_indexed_some_at_a_time() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    assert!(!is_behind(&tx).unwrap());
    let (ana, bo, cy) = (person(&tx, 1, "Ana"), person(&tx, 2, "Bo"), person(&tx, 3, "Cy Ana"));
    assert!(is_behind(&tx).unwrap());
    assert_eq!(index_some(&tx, 2).unwrap(), 2);
    assert_eq!((with(&tx, "ana"), with(&tx, "cy")), (vec![ana], vec![]));
    assert_eq!(index_some(&tx, 2).unwrap(), 1);
    assert!(!is_behind(&tx).unwrap());
    assert_eq!((with(&tx, "ana"), with(&tx, "y"), with(&tx, "555")), (vec![ana, cy], vec![cy], vec![ana, bo, cy]));

    rename(&tx, bo, Some("Anabel"));
    assert_eq!(with(&tx, "ana"), [ana, cy], "the job that renames does not index");
    assert!(is_behind(&tx).unwrap());
    assert_eq!(index_some(&tx, 9).unwrap(), 1);
    assert_eq!((with(&tx, "ana"), with(&tx, "bo")), (vec![ana, bo, cy], vec![]));
    rename(&tx, bo, None);
    index_some(&tx, 9).unwrap();
    assert_eq!((with(&tx, "ana"), with(&tx, "555")), (vec![ana, cy], vec![ana, bo, cy]));
    for name in [Some("Bo"), Some("Bob"), Some("Bo"), None, Some("Bo")] {
        rename(&tx, bo, name);
        index_some(&tx, 9).unwrap();
    }
    for seq in [ana, bo, cy] {
        remove(&tx, seq).unwrap();
    }
    check(&tx);
    for run in ["a", "an", "ana", "b", "5", "+14"] {
        assert_eq!(with(&tx, run), [0; 0], "{run}");
    }
}

#[test]
fn who_is_changed_or_made_alone_does_not_wait_for_thousands() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let backlog = u128::try_from(BACKLOG).unwrap();
    let queued = || tx.query_row("SELECT count(*) FROM search_queue", [], |row| row.get::<_, u32>(0)).unwrap();
    let many = |numbers: std::ops::RangeInclusive<u128>| -> Vec<i64> {
        let seqs = numbers.map(|n| person(&tx, n, "Many"));
        seqs.inspect(|seq| defer(&tx, *seq).unwrap()).collect()
    };
    let first = many(1..=2 * backlog);
    assert_eq!(queued(), 0, "their turn comes");
    let (ana, bo) = (person(&tx, 5_001, "Ana"), person(&tx, 5_002, "Bo"));
    many(6_001..=6_000 + backlog);
    assert_eq!((queued(), index_some(&tx, 10).unwrap()), (2, 10));
    assert_eq!((with(&tx, "ana"), with(&tx, "bo"), with(&tx, "man").len()), (vec![ana], vec![bo], 8));
    while index_some(&tx, 1_000).unwrap() == 1_000 {}
    check(&tx);

    // As an import changes those whom it knows.
    for seq in &first {
        rename(&tx, *seq, Some("Ever"));
        defer(&tx, *seq).unwrap();
    }
    rename(&tx, ana, Some("Zo"));
    for seq in &first[..9] {
        rename(&tx, *seq, Some("Other"));
        defer(&tx, *seq).unwrap();
    }
    assert_eq!((queued(), index_some(&tx, 10).unwrap()), (2 * u32::try_from(backlog).unwrap() + 1, 10));
    assert_eq!((with(&tx, "zo"), with(&tx, "ana")), (vec![ana], vec![]));
    assert_eq!(with(&tx, "eve").len(), 9);
    rename(&tx, first[0], Some("Cy"));
    index_some(&tx, 1).unwrap();
    assert_eq!(with(&tx, "cy"), first[..1], "who waits and is changed again is next");
    while index_some(&tx, 1_000).unwrap() == 1_000 {}
    assert_eq!((queued(), with(&tx, "oth").len(), with(&tx, "eve").len()), (0, 8, first.len() - 9));
    assert!(!is_behind(&tx).unwrap());
    check(&tx);
}

#[test]
fn what_changes_nothing_that_is_searched_is_not_indexed_again() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let seq = person(&tx, 1, "Ana");
    contacts::touch(&tx, seq, 1, None, now()).unwrap();
    assert_eq!(index_some(&tx, 9).unwrap(), 1, "a contact that is not indexed needs no mark");
    let before = contacts::find_by_seq(&tx, seq).unwrap().unwrap().contact;
    let after = Contact { language: Some("pt".to_owned()), ..before.clone() };
    contacts::update(&tx, seq, &after, &before, now()).unwrap();
    contacts::touch(&tx, seq, 1, None, now()).unwrap();
    assert!(!is_behind(&tx).unwrap());
}

#[test]
fn the_first_message_is_indexed_and_no_other() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (ana, bo) = (person(&tx, 1, "Ana"), person(&tx, 2, "intouch tag1"));
    index_some(&tx, 9).unwrap();
    assert_eq!(with_word(&tx, IN_TOUCH), [0; 0], "nobody has what is the index's own");
    contacts::touch(&tx, ana, 1, None, now()).unwrap();
    contacts::touch(&tx, bo, 1, None, now()).unwrap();
    assert_eq!(index_some(&tx, 9).unwrap(), 2);
    assert_eq!((with_word(&tx, IN_TOUCH), with(&tx, "ana")), (vec![ana, bo], vec![ana]));
    contacts::touch(&tx, ana, 1, None, now()).unwrap();
    assert!(!is_behind(&tx).unwrap());
    remove(&tx, ana).unwrap();
    assert_eq!(with_word(&tx, IN_TOUCH), [bo]);
    check(&tx);
}

#[test]
fn a_tag_is_indexed_and_taken_out_again() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (ana, bo) = (person(&tx, 1, "Ana"), person(&tx, 2, "tag1"));
    let tagged = |seq, tags: &[&str]| {
        let before = contacts::find_by_seq(&tx, seq).unwrap().unwrap().contact;
        let after = Contact { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..before.clone() };
        contacts::update(&tx, seq, &after, &before, now()).unwrap();
        index_some(&tx, 9).unwrap()
    };
    assert_eq!(tagged(ana, &["vip"]), 3, "one that is new, and one that is new and marked");
    assert_eq!(with_word(&tx, "tag1"), [ana]);
    assert_eq!((tagged(bo, &["new", "vip"]), tagged(ana, &["vip"])), (1, 0));
    assert_eq!((with_word(&tx, "tag1"), with_word(&tx, "tag2")), (vec![ana, bo], vec![bo]));
    tagged(ana, &[]);
    remove(&tx, bo).unwrap();
    assert_eq!((with_word(&tx, "tag1"), with_word(&tx, "tag2")), (vec![], vec![]));
    check(&tx);
}

#[test]
fn a_message_that_is_told_of_late_is_indexed() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (ana, bo) = (person(&tx, 1, "Ana"), person(&tx, 2, "Bo"));
    let touch = |seq, seconds| {
        let at = now().plus(Duration::from_secs(seconds));
        contacts::touch(&tx, seq, 1, None, at).unwrap();
        (Some(at.as_millis()), seq)
    };
    touch(ana, 1);
    let bo_place = touch(bo, 9);
    index_some(&tx, 9).unwrap();
    activity::follow(&tx).unwrap();
    touch(bo, 8);
    assert!(!is_behind(&tx).unwrap(), "nothing has changed");
    let late = touch(ana, 5);
    assert_eq!(index_some(&tx, 9).unwrap(), 1);
    let mut times = activity::Times::new(&tx);
    assert_eq!((times.place(ana).unwrap(), times.place(bo).unwrap()), (late, bo_place));
    touch(ana, 10);
    assert!(!is_behind(&tx).unwrap(), "it is found by walking");
}

#[test]
fn the_next_contact_is_indexed_though_the_newest_was_erased() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let seq = person(&tx, 1, "Ana");
    index_some(&tx, 9).unwrap();
    remove(&tx, seq).unwrap();
    tx.execute_batch("DELETE FROM addresses; DELETE FROM contacts;").unwrap();
    let next = person(&tx, 2, "Bo");
    assert!(is_behind(&tx).unwrap());
    index_some(&tx, 9).unwrap();
    assert_eq!((with(&tx, "bo"), with(&tx, "ana")), (vec![next], vec![]));
}

#[test]
fn contacts_after_the_newest_are_indexed_whatever_the_order_of_the_erasures() {
    let orders = [[2, 3, 4], [2, 4, 3], [3, 2, 4], [3, 4, 2], [4, 2, 3], [4, 3, 2]];
    for (order, is_merged) in orders.iter().flat_map(|order| [(order, false), (order, true)]) {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        let stored = |seq| contacts::find_by_seq(&tx, seq).unwrap().unwrap();
        for n in 1..=4 {
            person(&tx, n, "Ana");
        }
        index_some(&tx, 9).unwrap();
        for &seq in order {
            if is_merged {
                merge::unite(&tx, &stored(1), &stored(seq), now()).unwrap();
            } else {
                remove(&tx, seq).unwrap();
                tx.execute("DELETE FROM addresses WHERE contact_seq = ?1", [seq]).unwrap();
                tx.execute("DELETE FROM contacts WHERE seq = ?1", [seq]).unwrap();
            }
        }
        index_some(&tx, 9).unwrap();
        let again: Vec<i64> = (5..=7).map(|n| person(&tx, n, "Bo")).collect();
        assert_eq!(again, [5, 6, 7]);
        index_some(&tx, 9).unwrap();
        assert_eq!((with(&tx, "bo"), with(&tx, "ana")), (again, vec![1]), "{order:?}, merged: {is_merged}");
        check(&tx);
    }
}

#[test]
fn a_merge_takes_one_out_and_adds_its_number_to_the_other() {
    let conn = testing::conn();
    let tx = Tx::new(&conn);
    let (keep, gone) = (person(&tx, 1, "Ana"), person(&tx, 2, "Bo"));
    index_some(&tx, 9).unwrap();
    let stored = |seq| contacts::find_by_seq(&tx, seq).unwrap().unwrap();
    merge::unite(&tx, &stored(keep), &stored(gone), now()).unwrap();
    assert_eq!((with(&tx, "bo"), with(&tx, "002")), (vec![], vec![]), "at once");
    index_some(&tx, 9).unwrap();
    assert_eq!((with(&tx, "ana"), with(&tx, "002"), with(&tx, "bo")), (vec![keep], vec![keep], vec![]));
    check(&tx);
}

#[test]
fn nothing_is_found_by_scanning() {
    let conn = testing::conn();
    for sql in [
        "SELECT contact_seq FROM search_queue ORDER BY place DESC LIMIT ?1",
        "SELECT seq FROM contacts WHERE seq > (SELECT up_to FROM search_progress) ORDER BY seq LIMIT ?1",
    ] {
        let plan = testing::plan(&conn, sql).replace("SCAN search_progress", "");
        assert!(!plan.contains("SCAN contacts") && !plan.contains("TEMP"), "{sql}: {plan}");
    }
}
