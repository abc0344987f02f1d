//! The description against itself: an example for each request and each answer, each as its schema wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::Regex;
use serde_json::{Map, Value, json};
use testkit::tools;

use crate::routes::routes;

const INSTALL: &str = "python3 -m pip install --target target/tools/schemathesis schemathesis==4.32.0 \
                       hypothesis==6.170.15 openapi-spec-validator==0.9.0";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

struct Description(Value);

impl Description {
    fn read() -> Self {
        Self(serde_saphyr::from_str(&std::fs::read_to_string(crate::openapi::DESCRIPTION).unwrap()).unwrap())
    }

    /// What a reference stands for, or the thing itself.
    fn resolve<'a>(&'a self, mut value: &'a Value) -> &'a Value {
        while let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is not of this document"));
            value = self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        }
        value
    }

    /// Each operation with its name, such as `GET /flows`.
    fn operations(&self) -> impl Iterator<Item = (String, &Map<String, Value>)> {
        let paths = self.0["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter().filter(|(key, _)| METHODS.contains(&key.as_str()));
            methods.map(move |(method, operation)| {
                (format!("{} {path}", method.to_uppercase()), operation.as_object().unwrap())
            })
        })
    }

    /// Each event that webhooks are told of, with its operation.
    fn webhooks(&self) -> impl Iterator<Item = (String, &Map<String, Value>)> {
        let webhooks = self.0["webhooks"].as_object().unwrap().iter();
        webhooks.map(|(event, methods)| (event.clone(), methods["post"].as_object().unwrap()))
    }

    /// The answers of an operation, by their status.
    fn answers<'a>(&'a self, operation: &'a Map<String, Value>) -> BTreeMap<&'a str, &'a Value> {
        let answers = operation["responses"].as_object().unwrap();
        answers.iter().map(|(status, answer)| (status.as_str(), self.resolve(answer))).collect()
    }

    /// What is wrong with the examples of something that has a schema: a body, a parameter or a header.
    fn wrong_examples(&self, place: &str, described: &Value) -> Vec<String> {
        let mut examples: Vec<(String, &Value)> =
            described.get("example").map(|value| (place.to_owned(), value)).into_iter().collect();
        for (name, example) in described["examples"].as_object().into_iter().flatten() {
            examples.push((format!("{place}, {name}"), &self.resolve(example)["value"]));
        }
        if examples.is_empty() {
            return vec![format!("{place}: no example")];
        }
        // The schemas refer to one another by their places in the whole document.
        let schema =
            json!({"allOf": [described["schema"]], "components": {"schemas": self.0["components"]["schemas"]}});
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        let wrong = |(place, value): (String, &Value)| {
            validator.iter_errors(value).map(|error| format!("{place}: {error}")).collect::<Vec<_>>()
        };
        examples.into_iter().flat_map(wrong).collect()
    }
}

#[test]
fn others_take_it_for_openapi() {
    if !tools::is_there("schemathesis/openapi_spec_validator", INSTALL) {
        return;
    }
    let mut command = Command::new("python3");
    command.args(["-m", "openapi_spec_validator", "--schema", "3.1", crate::openapi::DESCRIPTION]);
    command.env("PYTHONPATH", tools::folder().join("schemathesis")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().expect("python3 is installed");
    let [text, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{text}{error}");
}

/// Whether an operation can be called by somebody who is not known.
fn is_open(operation: &Map<String, Value>) -> bool {
    let security = operation.get("security").and_then(Value::as_array);
    security.is_some_and(|ways| ways.is_empty() || ways.contains(&json!({})))
}

#[test]
fn every_request_and_every_answer_has_examples_that_fit_their_schemas() {
    let description = Description::read();
    let mut wrong = Vec::new();
    // Most answers are shared, and building a validator takes time: each place is looked at once.
    let mut seen = BTreeSet::new();
    for (name, operation) in description.operations().chain(description.webhooks()) {
        let body = operation.get("requestBody").map(|body| (format!("{name}, request"), description.resolve(body)));
        let answers = operation["responses"].as_object().unwrap().iter().map(|(status, answer)| {
            let place = answer["$ref"].as_str().map_or_else(|| format!("{name}, {status}"), str::to_owned);
            (place, description.resolve(answer))
        });
        for (place, described) in body.into_iter().chain(answers) {
            if !seen.insert(place.clone()) {
                continue;
            }
            for (kind, content) in described["content"].as_object().into_iter().flatten() {
                wrong.extend(description.wrong_examples(&format!("{place}, {kind}"), content));
            }
            for (header, described) in described["headers"].as_object().into_iter().flatten() {
                if described.get("$ref").is_none() {
                    wrong.extend(description.wrong_examples(&format!("{place}, {header}"), described));
                }
            }
        }
    }
    let paths = description.0["paths"].as_object().unwrap().iter();
    let of_paths = paths.map(|(path, described)| (path.clone(), described.get("parameters")));
    let of_operations = description
        .operations()
        .chain(description.webhooks())
        .map(|(name, operation)| (name, operation.get("parameters")));
    for (name, parameters) in of_paths.chain(of_operations) {
        for parameter in parameters.and_then(Value::as_array).into_iter().flatten() {
            let parameter = description.resolve(parameter);
            let place = format!("{name}, {}", parameter["name"].as_str().unwrap());
            // Where a list goes on only the list itself can tell.
            if parameter["name"] != "cursor" && seen.insert(place.clone()) {
                wrong.extend(description.wrong_examples(&place, parameter));
            }
        }
    }
    for (header, described) in description.0["components"]["headers"].as_object().unwrap() {
        wrong.extend(description.wrong_examples(header, described));
    }
    assert!(seen.len() > 200, "only {} places were looked at", seen.len());
    assert_eq!(wrong, [] as [&str; 0]);
}

#[test]
fn every_operation_names_itself_and_the_answers_that_it_can_give() {
    let description = Description::read();
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    for (name, operation) in description.operations() {
        let is_open = is_open(operation);
        let answers = description.answers(operation);
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{name}: {what}"));
            }
        };
        must(ids.insert(operation["operationId"].as_str().unwrap()), "its operationId is another's");
        must(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "no summary");
        must(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "not one tag");
        if !is_open {
            ["401", "403", "429"].iter().for_each(|status| must(answers.contains_key(status), status));
        }
        if operation.get("requestBody").is_some_and(|body| body["content"].get("application/json").is_some()) {
            ["400", "408", "413"].iter().for_each(|status| must(answers.contains_key(status), status));
        }
        for (status, answer) in &answers {
            let headers = &answer["headers"];
            must(headers.get("X-Request-Id").is_some(), &format!("{status} without X-Request-Id"));
            let is_of_the_caller = !is_open && !["401", "500", "503", "429"].contains(status);
            let has_limit =
                headers.get("X-RateLimit-Limit").is_some() && headers.get("X-RateLimit-Remaining").is_some();
            must(!is_of_the_caller || has_limit, &format!("{status} without X-RateLimit-Limit and -Remaining"));
            let has_retry = headers.get("Retry-After").is_some();
            must(!["429", "503"].contains(status) || has_retry || is_open, &format!("{status} without Retry-After"));
            must(
                *status != "401" || is_open || headers.get("WWW-Authenticate").is_some(),
                "401 without WWW-Authenticate",
            );
        }
        let takes_key = operation.get("parameters").is_some_and(|all| all.to_string().contains("IdempotencyKey"));
        let replays = answers
            .iter()
            .any(|(status, answer)| status.starts_with('2') && answer["headers"].get("Idempotency-Replayed").is_some());
        must(takes_key == replays, "Idempotency-Key and Idempotency-Replayed go together");
    }
    assert_eq!(wrong, [] as [&str; 0]);
}

#[test]
fn every_operation_names_the_scope_that_its_route_wants() {
    let scopes: BTreeMap<String, String> = routes().into_iter().map(|route| (route.name(), route.scope)).collect();
    let description = Description::read();
    let named = Regex::new(r"[Nn]eeds\s+the\s+scope\s+`([a-z]+)`").unwrap();
    let mut wrong = Vec::new();
    for (name, operation) in description.operations() {
        let text = operation.get("description").and_then(Value::as_str).unwrap_or_default();
        let scope = named.captures(text).map_or("open", |found| found.get(1).unwrap().as_str());
        let wanted = scopes[&name].as_str();
        let is_open = is_open(operation);
        // Who is logged in has no scope to name.
        let of_people = name.starts_with("POST /admin/");
        if !of_people && (scope != wanted || is_open != (wanted == "open")) {
            wrong.push(format!("{name}: the route wants `{wanted}`, the description says `{scope}`"));
        }
    }
    assert_eq!(wrong, [] as [&str; 0]);
}

#[test]
fn every_event_that_webhooks_are_told_of_is_described() {
    let description = Description::read();
    let mut events: BTreeSet<&str> =
        qyvo::domain::EventKind::ALL.into_iter().map(qyvo::domain::EventKind::as_str).collect();
    events.insert("webhook.test");
    let described: Vec<(String, &Map<String, Value>)> = description.webhooks().collect();
    assert_eq!(described.iter().map(|(event, _)| event.as_str()).collect::<BTreeSet<_>>(), events);
    let can_be_chosen = description.0["components"]["schemas"]["WebhookEvent"]["enum"].as_array().unwrap();
    assert_eq!(can_be_chosen.len(), events.len() - 1);
    let mut ids = BTreeSet::new();
    for (event, operation) in described {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{event}");
        let headers = operation["parameters"].as_array().unwrap().iter();
        let headers = headers.map(|header| description.resolve(header)["name"].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(headers, ["X-Qyvo-Event", "X-Qyvo-Webhook-Id", "X-Qyvo-Delivery-Id", "X-Qyvo-Signature"]);
        let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
        assert_eq!(examples["example"]["value"]["event"], event.as_str());
    }
}

#[test]
fn the_reasons_of_the_programs_own_are_listed_where_they_may_stand() {
    use qyvo::domain::{Place, Reason};
    let description = Description::read();
    for (schema, places) in [
        ("SessionSummary", &[Place::Session][..]),
        ("Message", &[Place::Message, Place::Queue, Place::Reply, Place::Taken]),
        ("InboundResult", &[Place::Reply]),
        ("Channel", &[Place::Channel]),
    ] {
        let property = &description.0["components"]["schemas"][schema]["properties"]["reason"];
        let may_stand = |reason: &Reason| reason.places().iter().any(|place| places.contains(place));
        let reasons: Vec<&str> = Reason::ALL.into_iter().filter(may_stand).map(Reason::as_str).collect();
        assert!(!reasons.is_empty());
        assert_eq!(property["examples"], json!(reasons), "{schema}");
    }
}

/// What generators of clients stumble over, of which linters say nothing.
#[test]
fn generators_of_clients_understand_every_schema() {
    fn look(place: &str, value: &Value, wrong: &mut Vec<String>) {
        let Some(fields) = value.as_object() else {
            let items = value.as_array().into_iter().flatten().enumerate();
            return items.for_each(|(index, item)| look(&format!("{place}/{index}"), item, wrong));
        };
        let is_schema = !place.ends_with("/properties") && !place.ends_with("/value");
        let mut found = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if is_schema && !holds {
                found.push(format!("{place}: {what}"));
            }
        };
        let kinds = fields.get("type").map(|kind| kind.to_string()).unwrap_or_default();
        must(!kinds.contains("\"array\"") || fields.contains_key("items"), "an array of nobody knows what");
        let beside_another = place.rsplit('/').nth(1).is_some_and(|key| key == "anyOf" || key == "oneOf");
        must(kinds != "\"null\"" || beside_another, "null and nothing else");
        must(!fields.contains_key("const") || fields.contains_key("type"), "a constant without a type");
        must(!fields.get("const").is_some_and(Value::is_boolean), "a constant boolean");
        let of_yaml = ["on", "off", "yes", "no", "y", "n", "true", "false", "null"];
        let mut examples = fields.get("examples").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        must(!examples.any(|name| of_yaml.contains(&name.as_str())), "an example that is no name in YAML 1.1");
        wrong.extend(found);
        for (key, inner) in fields.iter().filter(|(key, _)| *key != "examples") {
            look(&format!("{place}/{key}"), inner, wrong);
        }
    }
    let description = Description::read();
    let mut wrong = Vec::new();
    look("", &description.0, &mut wrong);
    assert_eq!(wrong, [] as [&str; 0]);
    let names: Vec<&String> = description.0["components"]["schemas"].as_object().unwrap().keys().collect();
    let of_languages = ["Error", "Object", "Array", "Date", "Map", "Set", "Function", "Symbol", "Promise"];
    assert!(names.iter().all(|name| !of_languages.contains(&name.as_str())), "{names:?}");
}
