//! Publishing checks: `tests/checks/<id>.json` holds a document that fails the check and one that passes it.
//!
//! The two differ in that one problem and in no other. A large document is written short: `{"$repeat": 3, "of": "ab"}`
//! stands for `"ababab"`, and in the place of a list `{"$repeat": 2, "of": {"id": "n#"}}` for `[{"id": "n0"}, {"id":
//! "n1"}]`.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use qyvo::domain::{FlowDocument, FlowId, MessageTemplate, Problem, checks};
use qyvo::engine::{Offered, Publishing, problems_of};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    fails: Value,
    passes: Value,
    problem: Place,
    /// The flow's id, where its document does not say.
    #[serde(default)]
    flow_id: Option<FlowId>,
    /// The flows that are published beside it, by their ids. Without any it is not known which are.
    #[serde(default)]
    flows: Option<BTreeMap<FlowId, Value>>,
    /// The channel's templates, when it is published for WhatsApp.
    #[serde(default)]
    templates: Option<Templates>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    Known(Vec<MessageTemplate>),
    NotFetched(NotFetched),
}

#[derive(Deserialize)]
enum NotFetched {
    #[serde(rename = "not fetched")]
    NotFetched,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    severity: String,
    node: Option<String>,
    field: Option<String>,
}

fn fixtures() -> BTreeMap<String, Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut fixture: Fixture =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            fixture.fails = written_out(&fixture.fails);
            fixture.passes = written_out(&fixture.passes);
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fixture)
        })
        .collect()
}

fn written_out(value: &Value) -> Value {
    match value {
        Value::Object(fields) => match (fields.get("$repeat").and_then(Value::as_u64), fields.get("of")) {
            (Some(times), Some(Value::String(text))) => text.repeat(times as usize).into(),
            (Some(times), Some(of)) => (0..times).map(|index| numbered(of, index)).collect(),
            _ => fields.iter().map(|(key, value)| (key.clone(), written_out(value))).collect(),
        },
        Value::Array(items) => items.iter().map(written_out).collect(),
        plain => plain.clone(),
    }
}

fn numbered(value: &Value, index: u64) -> Value {
    serde_json::from_str(&value.to_string().replace('#', &index.to_string())).unwrap()
}

fn problems(document: &Value, fixture: &Fixture) -> Vec<Problem> {
    let Fixture { flow_id, flows, templates, .. } = fixture;
    let published = |id: FlowId| Some(FlowDocument::parse(flows.as_ref()?.get(&id)?).unwrap());
    problems_of(
        document,
        Publishing {
            default_ttl: Duration::from_secs(1800),
            flow_id: *flow_id,
            flows: flows.is_some().then_some(&published),
            templates: match templates {
                Some(Templates::Known(templates)) => Offered::Known(templates),
                Some(Templates::NotFetched(_)) => Offered::NotFetched,
                None => Offered::Unasked,
            },
        },
    )
}

#[test]
fn every_check_has_a_fixture() {
    let ids: Vec<&str> = checks::ALL.iter().map(|check| check.id()).collect();
    let known: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(ids.len(), known.len(), "two checks have one id");
    let of_files: BTreeSet<String> = fixtures().into_keys().collect();
    assert_eq!(of_files, known);
}

#[test]
fn each_fixture_fails_its_check_and_no_other() {
    for (id, fixture) in fixtures() {
        let (failed, passed) = (problems(&fixture.fails, &fixture), problems(&fixture.passes, &fixture));
        let expected = &fixture.problem;
        let place = |problem: &Problem| (problem.id, problem.node.clone(), problem.field.clone());
        let remaining: Vec<_> = passed.iter().map(place).collect();
        assert!(remaining.iter().all(|(other, ..)| *other != id), "{id}: {passed:#?}");
        let found: Vec<&Problem> = failed.iter().filter(|problem| !remaining.contains(&place(problem))).collect();
        assert_eq!(failed.len(), remaining.len() + 1, "{id}: {failed:#?}\n{passed:#?}");
        let [problem] = found.as_slice() else { panic!("{id}: {failed:#?}\n{passed:#?}") };
        assert_eq!(problem.id, id);
        assert_eq!((&problem.node, &problem.field), (&expected.node, &expected.field), "{id}");
        assert_eq!(serde_json::to_value(problem.severity).unwrap(), expected.severity, "{id}");
    }
}

/// How the sentence begins that says what to do.
const VERBS: [&str; 20] = [
    "Add", "Ask", "Choose", "Correct", "Do", "Give", "Import", "Make", "Name", "Put", "Remove", "Rename", "Reword",
    "Set", "Shorten", "Split", "Use", "Wire", "Write", "Raise",
];

#[test]
fn each_problem_says_what_to_do() {
    for (id, fixture) in fixtures() {
        for problem in problems(&fixture.fails, &fixture) {
            let text = &problem.text;
            assert!(text.ends_with('.') && text.starts_with(|c: char| !c.is_lowercase()), "{id}: {text}");
            // The advice is a sentence, or what follows a colon.
            let says_what_to_do = text.split(". ").flat_map(|part| part.split(": ")).any(|part| {
                let first = part.split(' ').next().unwrap_or_default();
                VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(first))
            });
            assert!(says_what_to_do, "{id}: {text}");
        }
    }
}
