//! The golden conversations of `tests/flows/`: a file holds one, or several of one flow.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// A golden conversation.
pub struct Conversation {
    /// The file's name without its end; behind a `#` the number of the conversation, if there are several.
    pub name: String,
    /// The conversation, laid over what its file has beside it.
    pub golden: Value,
    /// Its file.
    path: PathBuf,
    /// Its place in the list of its file; `None` if it is the whole file.
    place: Option<usize>,
}

/// Every golden conversation, by the names of their files. A file with `conversations` holds a list of them, and beside
/// it what they have in common.
pub fn conversations() -> Vec<Conversation> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(crate::root().join("tests/flows")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| of_file(path)).collect()
}

/// The conversations of one file.
pub fn of_file(path: &Path) -> Vec<Conversation> {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let mut common = read(path);
    let Some(several) = common.remove("conversations") else {
        let golden = Value::Object(common);
        return vec![Conversation { path: path.to_owned(), name: name.to_owned(), golden, place: None }];
    };
    let several: Vec<Map<String, Value>> =
        serde_json::from_value(several).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!several.is_empty(), "{} has no conversations", path.display());
    let laid_over = |(index, own): (usize, Map<String, Value>)| {
        let name = format!("{name}#{}", index + 1);
        assert!(own.contains_key("steps"), "{name} has no steps of its own");
        let golden = common.clone().into_iter().chain(own).collect();
        Conversation { path: path.to_owned(), name, golden, place: Some(index) }
    };
    several.into_iter().enumerate().map(laid_over).collect()
}

fn read(path: &Path) -> Map<String, Value> {
    serde_json::from_str(&fs::read_to_string(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Conversation {
    /// Writes into its file what is to be expected of each of its steps.
    pub fn expect(&self, expected: impl IntoIterator<Item = Value>) {
        let mut file = Value::Object(read(&self.path));
        let golden = match self.place {
            Some(place) => &mut file["conversations"][place],
            None => &mut file,
        };
        for (step, expected) in golden["steps"].as_array_mut().unwrap().iter_mut().zip(expected) {
            step["expect"] = expected;
        }
        fs::write(&self.path, format!("{}\n", serde_json::to_string_pretty(&file).unwrap())).unwrap();
    }
}
