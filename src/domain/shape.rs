//! Reading an object of a document into a type, with a problem where that fails.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Problem, checks};

/// Deserialises one object and says where it failed.
pub(super) fn shape<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner().to_string();
        let problem = Problem::new(checks::WRONG_SHAPE, format!("It cannot be read: {reason}. {}", advice(&reason)));
        if path == "." { problem } else { problem.field(path) }
    })
}

/// What to do about an error of deserialising, by how its sentence begins.
fn advice(reason: &str) -> &'static str {
    const ADVICE: [(&str, &str); 4] = [
        ("unknown field", "Rename or remove the key."),
        ("missing field", "Add the key."),
        ("unknown variant", "Use one of the words that are expected."),
        ("invalid", "Write a value of the type that is expected."),
    ];
    let found = ADVICE.iter().find(|(start, _)| reason.starts_with(start));
    found.map_or("Correct the value.", |(_, advice)| advice)
}
