//! What a rendering notes beside its text: that a value was missing, and what filters could do nothing with.
//!
//! Both are state of one rendering, which its caller reads afterwards.

use minijinja::{State, Value as Dynamic};

const MISSING: &str = "qyvo_missing";
const NOTES: &str = "qyvo_notes";
/// Notes of one rendering; more say nothing new.
const MOST_NOTES: usize = 5;

/// Notes what a filter could do nothing with. The caller of the rendering reads it afterwards.
pub(super) fn note(state: &mut State<'_, '_>, text: &str) {
    let mut all = notes(state);
    let text = text.replace('\n', " ");
    if all.len() < MOST_NOTES && !all.contains(&text) {
        all.push(text);
        state.set_temp(NOTES, Dynamic::from(all.join("\n")));
    }
}

pub(super) fn notes(state: &State<'_, '_>) -> Vec<String> {
    let noted = state.get_temp(NOTES);
    noted.iter().flat_map(|notes| notes.as_str().unwrap_or_default().lines().map(str::to_owned)).collect()
}

/// Notes that a value was missing: state of one rendering, which its caller reads afterwards.
pub(super) fn note_missing(state: &mut State<'_, '_>) {
    state.set_temp(MISSING, Dynamic::from(true));
}

/// Whether a template's value is missing: no such name, or null.
pub(super) fn is_missing(value: &Dynamic) -> bool {
    value.is_undefined() || value.is_none()
}

/// Whether a value was missing.
pub(super) fn saw_missing(state: &State<'_, '_>) -> bool {
    state.get_temp(MISSING).is_some()
}
