//! Any search after any steps gives what a look at every contact gives.

use proptest::prelude::*;

use super::*;

/// What is done to the contacts of a test, one step after another.
#[derive(Debug, Clone)]
enum Step {
    Add(String, bool),
    Message(usize, u64),
    Tag(usize, bool),
    Rename(usize, String),
    Erase(usize),
    Merge(usize, usize),
    Index(u32),
    Follow,
}

/// A text of few different characters, or of few different digits and longer.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ab1\u{738b}]{0,5}", "[01]{3,9}a?"]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0_usize..40;
    prop_oneof![
        6 => (name(), any::<bool>()).prop_map(|(name, is_tagged)| Step::Add(name, is_tagged)),
        // Some months, each with messages of one moment among them, and not in their order.
        6 => (who.clone(), 0_u64..4, 0_u64..4)
            .prop_map(|(who, month, second)| Step::Message(who, month * 2_600_000 + second)),
        3 => (who.clone(), any::<bool>()).prop_map(|(who, is_tagged)| Step::Tag(who, is_tagged)),
        2 => (who.clone(), name()).prop_map(|(who, name)| Step::Rename(who, name)),
        2 => who.clone().prop_map(Step::Erase),
        1 => (who.clone(), who).prop_map(|(keep, gone)| Step::Merge(keep, gone)),
        3 => (1_u32..30).prop_map(Step::Index),
        2 => Just(Step::Follow),
    ]
}

impl Step {
    /// Does it to a contact of `seqs`, which has all that there are, and gives the number of the next contact.
    fn run(&self, tx: &Tx<'_>, seqs: &mut Vec<i64>, n: u128) {
        let at = |who: usize, seqs: &[i64]| (!seqs.is_empty()).then(|| who % seqs.len());
        let change = |seq: i64, change: &dyn Fn(&mut Contact)| {
            let before = contacts::find_by_seq(tx, seq).unwrap().unwrap().contact;
            let mut after = before.clone();
            change(&mut after);
            contacts::update(tx, seq, &after, &before, now()).unwrap();
        };
        let tags = |is_tagged: bool| if is_tagged { vec!["vip".to_owned()] } else { Vec::new() };
        match self {
            Step::Add(name, is_tagged) => {
                let id = person(tx, n, name, None);
                let seq = contacts::find_by_id(tx, id).unwrap().unwrap().seq;
                change(seq, &|contact| contact.tags = tags(*is_tagged));
                seqs.push(seq);
            }
            Step::Message(who, seconds) => {
                let Some(who) = at(*who, seqs) else { return };
                contacts::touch(tx, seqs[who], 1, None, now().plus(Duration::from_secs(*seconds))).unwrap();
            }
            Step::Tag(who, is_tagged) => {
                let Some(who) = at(*who, seqs) else { return };
                change(seqs[who], &|contact| contact.tags = tags(*is_tagged));
            }
            Step::Rename(who, name) => {
                let Some(who) = at(*who, seqs) else { return };
                change(seqs[who], &|contact| contact.name = Some(name.clone()));
            }
            Step::Erase(who) => {
                let Some(who) = at(*who, seqs) else { return };
                let seq = seqs.swap_remove(who);
                remove(tx, seq).unwrap();
                for sql in [
                    "DELETE FROM addresses WHERE contact_seq = ?1",
                    "DELETE FROM contact_tags WHERE contact_seq = ?1",
                    "DELETE FROM contact_redirects WHERE contact_seq = ?1",
                    "DELETE FROM contacts WHERE seq = ?1",
                ] {
                    tx.execute(sql, [seq]).unwrap();
                }
            }
            Step::Merge(keep, gone) => {
                let (Some(keep), Some(gone)) = (at(*keep, seqs), at(*gone, seqs)) else { return };
                if keep != gone {
                    let stored = |seq| contacts::find_by_seq(tx, seq).unwrap().unwrap();
                    crate::store::merge::unite(tx, &stored(seqs[keep]), &stored(seqs[gone]), now()).unwrap();
                    seqs.swap_remove(gone);
                }
            }
            Step::Index(limit) => {
                index_some(tx, *limit).unwrap();
            }
            Step::Follow => {
                activity::follow(tx).unwrap();
            }
        }
    }
}

/// The answer by looking at everybody.
pub(super) fn by_brute_force(tx: &Tx<'_>, seqs: &[i64], filter: &Filter, limit: usize) -> Vec<i64> {
    let mut expected: Vec<_> = seqs
        .iter()
        .map(|seq| Person::find(tx, *seq, true).unwrap().unwrap())
        .filter(|person| filter.fits(tx, person, &person.text()).unwrap())
        .map(|person| person.place())
        .collect();
    expected.sort_unstable_by(|one, other| other.cmp(one));
    expected.into_iter().map(|(_, seq)| seq).take(limit).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every way of finding gives what looking at everybody does, wherever it is given up for another, and whatever the
    /// index has not been told yet.
    #[test]
    fn what_is_found_is_what_looking_at_everybody_finds(
        steps in prop::collection::vec(step(), 1..90),
        query in prop::option::of(prop_oneof![
            "[ab1\u{738b}]{1,4}", "[ab1\u{e4}]{1,2} [ab]{1,2}", "[01]{4,8}a?", "5550[01]{1,4}"
        ]),
        has_tag in any::<bool>(),
        (walked_first, stride, few, kept) in (1_usize..9, 1_usize..5, 0_usize..9, 1_usize..9),
        limit in 1_usize..12,
    ) {
        let conn = testing::conn();
        let tx = Tx::new(&conn);
        tx.execute("INSERT INTO tags (seq, name) VALUES (1, 'vip')", []).unwrap();
        let mut seqs = Vec::new();
        for (step, n) in steps.iter().zip(1..) {
            step.run(&tx, &mut seqs, n);
        }
        let search = Search { query, tag: has_tag.then(|| "vip".to_owned()), email: None };
        let filter = Filter::of(&tx, &search).unwrap().unwrap();
        let bounds = Bounds { walked_first, stride, few, kept, same_email: 3 };
        let expected = by_brute_force(&tx, &seqs, &filter, limit);
        prop_assert_eq!(find_seqs(&tx, &filter, &bounds, None, limit).unwrap(), expected);
        // In parts it is the same.
        let (mut parts, mut after) = (Vec::new(), None);
        loop {
            let part = find_seqs(&tx, &filter, &bounds, after, limit).unwrap();
            let Some(&last) = part.last() else { break };
            after = Some(Person::find(&tx, last, false).unwrap().unwrap().place());
            parts.extend(part);
        }
        prop_assert_eq!(parts, by_brute_force(&tx, &seqs, &filter, usize::MAX));
    }
}
