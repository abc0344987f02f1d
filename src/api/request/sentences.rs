//! How fields and parameters are named in sentences.

/// A field's name in a sentence: `flow_id` is "flow id".
pub(super) fn label(name: &str) -> String {
    name.replace('_', " ")
}

/// The sentence about a word that is none of those allowed.
pub(super) fn not_a_choice<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    format!("The selected {} is invalid: use one of {}.", label(name), words.join(", "))
}
