//! Files that are handed in for flow documents: in other forms of Unicode, of other programs, with mistakes of JSON.
//!
//! `files/documents.json` has files as other programs and people write them, with parts of what is to be said of each.

use qyvo::domain::{FlowDocument, json_text};
use serde::Deserialize;
use serde_json::Value;
use testkit::process::{command, command_with_input};

use crate::cli::{out, refused};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    is: String,
    /// The file's JSON, or its text, or its bytes.
    value: Option<Value>,
    text: Option<String>,
    hex: Option<String>,
    told: Vec<String>,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        match (&self.value, &self.text, &self.hex) {
            (Some(value), ..) => value.to_string().into_bytes(),
            (_, Some(text), _) => text.clone().into_bytes(),
            (.., Some(hex)) => hex::decode(hex).unwrap(),
            _ => panic!("{} is nothing", self.is),
        }
    }

    /// What is said of it.
    fn told(&self) -> String {
        let value: Value = match json_text::parse_value(&self.bytes()) {
            Ok(value) => value,
            Err(error) => return error.to_string(),
        };
        let problems = FlowDocument::parse(&value).err().unwrap_or_default();
        let texts: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
        assert!(texts.len() < 2, "one sentence says it: {texts:?}");
        texts.concat()
    }
}

#[test]
fn what_is_no_flow_document_is_named() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("files/documents.json")).unwrap();
    let wrong: Vec<String> = cases
        .iter()
        .map(|case| (case, case.told()))
        .filter(|(case, told)| !case.told.iter().all(|part| told.contains(part.as_str())))
        .map(|(case, told)| format!("{}: {told} / {:?}", case.is, case.told))
        .collect();
    println!("{} of {} right", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn flow_documents_are_taken_for_nothing_else() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for samples in ["tests/flows", "static/samples"] {
        for entry in std::fs::read_dir(folder.join(samples)).unwrap() {
            let value: Value = json_text::parse(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
            for document in [&value, &value["flow"], &value["document"]] {
                if document.get("schema_version").is_some() {
                    count += 1;
                    assert_eq!(qyvo::domain::what_instead(document), None);
                }
            }
        }
    }
    assert!(count > 50, "{count} documents");
    for draft in [r#"{"name": "Half"}"#, "{}", r#"{"nodes": []}"#, r#"{"nodes": [{"id": "a", "type": "end"}]}"#] {
        let draft: Value = serde_json::from_str(draft).unwrap();
        assert_eq!(qyvo::domain::what_instead(&draft), None, "{draft}");
    }
}

#[test]
fn flow_files_of_windows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let bom = include_bytes!("files/flow-bom.json");
    let utf16 = include_bytes!("files/flow-utf16.json");
    std::fs::write(folder.path().join("bom.json"), bom).unwrap();
    std::fs::write(folder.path().join("utf16.json"), utf16).unwrap();
    for file in ["bom.json", "utf16.json"] {
        let told = out(&command(folder.path(), &["flow", "validate", file]));
        assert!(told.contains("1 nodes, no errors"), "{file}: {told}");
        assert!(command_with_input(folder.path(), &["simulate", file], "").status.success(), "{file}");
    }
    let piped = command_with_input(folder.path(), &["flow", "validate", "-"], std::str::from_utf8(bom).unwrap());
    assert!(out(&piped).contains("no errors"));
    std::fs::write(folder.path().join("studio.json"), r#"{"states": [], "initial_state": "Trigger"}"#).unwrap();
    let told = refused(&command(folder.path(), &["flow", "validate", "studio.json"]));
    assert!(told.contains("error[foreign_document]") && told.contains("Twilio Studio"), "{told}");
    assert!(told.contains("cannot be imported") && told.contains("The flow document"), "{told}");
    std::fs::write(folder.path().join("rasa.json"), "nlu:\n- intent: greet\n").unwrap();
    let told = refused(&command(folder.path(), &["flow", "validate", "rasa.json"]));
    assert!(told.contains("rasa.json is not JSON: it is YAML") && told.contains("Rasa"), "{told}");
}
