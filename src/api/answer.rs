//! Shared parts of answers: the format of moments, and the pages of lists.

use serde_json::{Value, json};

use super::request::{Query, Reader};
use crate::domain::Timestamp;
use crate::store::contacts::Profile;
use crate::views::contact::ContactRow;

/// A moment as the API shows it.
pub(in crate::api) fn iso(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(at.to_iso_seconds()))
}

/// The page that a query asks for, of a list that is short enough to be read whole: all of it where no limit is
/// given. Its cursor counts rows.
pub(in crate::api) fn paginate<T>(rows: Vec<T>, query: &mut Query) -> (Vec<T>, Option<String>) {
    let is_limited = query.has("limit");
    let page = query.page();
    slice_page(rows, page.cursor, if is_limited { page.limit as usize } else { usize::MAX })
}

/// At most `limit` rows of a whole list from the row that its cursor counts, and the cursor of the next page.
pub(in crate::api) fn slice_page<T>(rows: Vec<T>, cursor: Option<i64>, limit: usize) -> (Vec<T>, Option<String>) {
    let from = cursor.and_then(|cursor| usize::try_from(cursor).ok()).unwrap_or(0);
    let end = from.saturating_add(limit);
    let next = (end < rows.len()).then(|| end.to_string());
    (rows.into_iter().skip(from).take(limit).collect(), next)
}

/// Trims a list that was read one row past its limit, and returns the cursor of the next page.
pub(in crate::api) fn trim_page<T>(rows: &mut Vec<T>, limit: u32, seq: impl Fn(&T) -> i64) -> Option<String> {
    let limit = limit as usize;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more.then(|| rows.last().map(|row| seq(row).to_string())).flatten()
}

/// The fields of a contact in a list.
pub(in crate::api) fn row_of(profile: &Profile) -> ContactRow<'_> {
    ContactRow {
        contact: &profile.stored.contact,
        source: &profile.source,
        held: profile.stored.held,
        last_inbound_at: profile.last_inbound_at,
        last_message_at: profile.last_message_at,
        total_messages: profile.total_messages,
        created_at: profile.stored.created_at,
        updated_at: profile.updated_at,
    }
}
