//! The fuzz targets without a fuzzer: what each of them holds is compiled here on a stable compiler, and tried on its
//! corpus, on all beginnings of it, and on all of it with one part changed.

use std::path::Path;

use serde_json::Value;

#[path = "../../fuzz/invariants/webhook.rs"]
mod webhook;

/// The files that a target starts from, and those that runs of the fuzzer have left beside them.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<Vec<u8>> =
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!files.is_empty(), "no corpus of {target}");
    files
}

#[test]
fn the_corpus_of_webhooks_holds() {
    for raw in corpus("webhook") {
        webhook::check(&raw);
    }
}

#[test]
fn webhooks_that_are_cut_off_or_damaged_hold() {
    // Lengths that share no factor with what JSON repeats, so that in all the files most kinds of places are met.
    const CUT_EVERY: usize = 7;
    const DAMAGED_EVERY: usize = 5;
    for raw in corpus("webhook") {
        for end in (0..raw.len()).step_by(CUT_EVERY) {
            webhook::check(&raw[..end]);
        }
        for (turn, place) in (0..raw.len()).step_by(DAMAGED_EVERY).enumerate() {
            let mut damaged = raw.clone();
            damaged[place] = b"\"\\{}[],:0-e\0 \xff\xc3"[turn % 15];
            webhook::check(&damaged);
        }
    }
}

#[test]
fn no_part_of_a_webhook_is_required() {
    for raw in corpus("webhook") {
        let Ok(delivery) = serde_json::from_slice::<Value>(&raw) else { continue };
        let mut paths = Vec::new();
        collect_paths(&delivery, &mut String::new(), &mut paths);
        for path in paths {
            for other in [Value::Null, Value::from(7), Value::from("x"), Value::from(vec![Value::Null])] {
                let mut changed = delivery.clone();
                *changed.pointer_mut(&path).unwrap() = other;
                webhook::check(changed.to_string().as_bytes());
            }
        }
    }
}

/// The JSON pointers of all that is inside a value, shallow ones alone where it is nested for its own sake.
fn collect_paths(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    const DEEPEST: usize = 20;
    if path.matches('/').count() >= DEEPEST {
        return;
    }
    let keys: Vec<String> = match value {
        Value::Object(fields) => fields.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
        Value::Array(items) => (0..items.len()).map(|at| at.to_string()).collect(),
        _ => Vec::new(),
    };
    for key in keys {
        let length = path.len();
        path.push('/');
        path.push_str(&key);
        paths.push(path.clone());
        if let Some(inner) = value.pointer(&path[length..]) {
            collect_paths(inner, path, paths);
        }
        path.truncate(length);
    }
}
