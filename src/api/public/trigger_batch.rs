//! `POST /flows/{id}/trigger-batch`: one flow or sequence for many contacts, with an answer for each of them.
//!
//! Each row is a trigger like any other: a job of its own, which its neighbours' errors do not touch. Only a few rows
//! stand in the writer's queue at once, those of all batches together: enough to share commits, and so few that other
//! triggers wait for milliseconds and are never refused because of a batch.
//!
//! Under an `Idempotency-Key` each row is kept under a key of its own, made of the batch's key and the row's index. So
//! a batch that broke off in the middle goes on where it did when it is sent again, and rows that were answered before
//! are answered the same way.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::actions::flows::{id_key, read_trigger_of, trigger_idempotent};
use super::actions::{self};
use super::batch_quota::{BatchQuota, row_key};
use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::{
    Fields, Reader, idempotency_key, is_json, kept_body, media_type, run_idempotent, scoped_to, too_large,
};
use crate::api::state::State;
use crate::api::state::batches::ROWS_AT_ONCE;
use crate::domain::unicode_form::json_as_utf8;
use crate::domain::{FlowId, FlowKind, json_text};
use crate::error::{Code, Error};
use crate::runtime::{BatchBegun, BeginBatch, IdempotencyKey, Trigger, TriggerRefusal};
use crate::views::session::TriggerAnswer;

/// Rows that a batch may have.
const MAX_ROWS: usize = 10_000;
/// How long a batch may take to arrive.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);
/// What the idempotency keys of batches belong to.
const BATCH_ROUTE: &str = "trigger-batch";
/// One JSON value a line. There is no registered type; these are in use.
const NDJSON: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];

/// `POST /flows/{id}/trigger-batch`: triggers a flow or a sequence for each row.
pub(in crate::api) async fn trigger_batch(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let flow_id: FlowId = id.parse().map_err(|_| actions::refused(FlowKind::Flow, TriggerRefusal::FlowNotFound))?;
    let form = Form::of(&request)?;
    state.runtime.check_room()?;
    let full = || Error::unavailable("Many batches are under way already; send this one again in a moment.");
    if state.batches.batches.available_permits() == 0 {
        // Before it has sent megabytes.
        return Err(full().into());
    }
    let (raw, _room) = kept_body(&request, payload, BATCH_TIMEOUT, &state.batches.bytes).await?;
    let _place = state.batches.batches.try_acquire().map_err(|_| full())?;
    let key = scoped_to(idempotency_key(&request, &principal, BATCH_ROUTE, &raw)?, flow_id.0);
    let raw = match json_as_utf8(&raw) {
        Cow::Borrowed(same) => raw.slice_ref(same),
        Cow::Owned(text) => Bytes::from(text),
    };
    let rows = split(&raw, form).await?;
    let quota = BatchQuota::take(&state, &principal, key.as_ref(), &rows).await?;
    let charge = quota.for_batch(key.as_ref());
    let (begun, is_replay) = run_idempotent(&state, charge, key.clone(), BeginBatch { flow_id }).await?;
    let kind = match begun {
        BatchBegun::Ready { kind } => kind,
        BatchBegun::Refused { kind, refusal } => return Err(actions::refused(kind, refusal)),
    };
    let batch = Batch { state: &state, flow_id, kind, key, raw, quota };
    // Polled in their order, so the rows come to the writer in their order.
    let answers = stream::iter(rows.into_iter().enumerate())
        .map(|(index, row)| batch.run_row(index, row))
        .buffered(ROWS_AT_ONCE)
        .collect::<Vec<Answer>>()
        .await;
    let mut response = HttpResponse::Ok();
    if is_replay {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    Ok(match form {
        Form::Lines if wants_lines(&request) => response.content_type(NDJSON[0]).body(as_lines(answers)),
        _ => response.content_type("application/json").body(as_object(answers)),
    })
}

/// How the rows of a batch are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A JSON array.
    Array,
    /// One JSON object a line.
    Lines,
}

impl Form {
    fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        match media_type(request).as_str() {
            lines if NDJSON.contains(&lines) => Ok(Self::Lines),
            json if is_json(json) => Ok(Self::Array),
            _ => {
                let error = "The body must be a JSON array, or JSON objects one a line.";
                Err(ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
                    .hint("Send the header Content-Type: application/json or application/x-ndjson."))
            }
        }
    }
}

/// Whether the caller asks for its answers one a line.
fn wants_lines(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|one| {
        let one = one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        NDJSON.contains(&one.as_str())
    })
}

/// Finds the rows of a body. None of them is parsed yet.
async fn split(raw: &Bytes, form: Form) -> Result<Vec<Range<usize>>, ApiError> {
    let body = raw.clone();
    let splitting = web::block(move || match form {
        Form::Array => split_array(&body),
        Form::Lines => Ok(split_lines(&body)),
    });
    let rows = splitting.await.map_err(|error| Error::internal("Reading a batch panicked").caused_by(error))??;
    if rows.len() > MAX_ROWS {
        let text = format!("The body must not have more than {MAX_ROWS} rows: send it in parts.");
        return Err(ApiError::Validation(vec![("body".to_owned(), text)]));
    }
    Ok(rows)
}

/// The lines that are not blank, the first [`MAX_ROWS`] and one more.
fn split_lines(body: &[u8]) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut start = 0;
    for line in body.split(|byte| *byte == b'\n') {
        let end = start + line.len();
        if !line.trim_ascii().is_empty() {
            rows.push(start..end);
            if rows.len() > MAX_ROWS {
                break;
            }
        }
        start = end + 1;
    }
    rows
}

/// The elements of an array, the first [`MAX_ROWS`] and one more.
fn split_array(body: &[u8]) -> Result<Vec<Range<usize>>, ApiError> {
    // What is wrong, and at which line and column, the parser says best of the whole.
    let wrong = || match json_text::parse::<IgnoredAny>(body) {
        Err(error) => ApiError::refused(StatusCode::BAD_REQUEST, format!("The body is not valid JSON: {error}.")),
        Ok(_) => {
            let text = "The body must be a JSON array with an object for each contact.";
            ApiError::Validation(vec![("body".to_owned(), text.to_owned())])
        }
    };
    let skip = |from: usize| from + body[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut rows = Vec::new();
    let mut at = skip(0);
    if body.get(at) != Some(&b'[') {
        return Err(wrong());
    }
    at = skip(at + 1);
    if body.get(at) == Some(&b']') {
        return if skip(at + 1) == body.len() { Ok(rows) } else { Err(wrong()) };
    }
    loop {
        let mut values = serde_json::Deserializer::from_slice(&body[at..]).into_iter::<IgnoredAny>();
        let Some(Ok(_)) = values.next() else { return Err(wrong()) };
        let end = at + values.byte_offset();
        rows.push(at..end);
        if rows.len() > MAX_ROWS {
            return Ok(rows);
        }
        at = skip(end);
        match body.get(at) {
            Some(b',') => at = skip(at + 1),
            Some(b']') if skip(at + 1) == body.len() => return Ok(rows),
            _ => return Err(wrong()),
        }
    }
}

/// What the rows of a batch share.
struct Batch<'a> {
    state: &'a State,
    flow_id: FlowId,
    kind: FlowKind,
    key: Option<IdempotencyKey>,
    raw: Bytes,
    quota: BatchQuota<'a>,
}

impl Batch<'_> {
    /// Triggers one row, and returns its answer.
    async fn run_row(&self, index: usize, row: Range<usize>) -> Answer {
        match self.trigger_row(index, row).await {
            Ok((status, body, replayed)) => answer_row(RowView { index, code: status.as_u16(), body, replayed }),
            Err(error) => {
                if let ApiError::Failed(error) = &error
                    && matches!(error.code(), Code::Internal | Code::OutcomeUnknown)
                {
                    tracing::error!(index, %error, "a row of a batch failed");
                }
                let mut body = error.body(None);
                if let Some(fields) = body.as_object_mut() {
                    // The id of this request is in the answer's head, and the same for all rows.
                    fields.shift_remove("request_id");
                    if error.status_code() == StatusCode::SERVICE_UNAVAILABLE {
                        fields
                            .insert("hint".to_owned(), json!("Nothing was changed: send this row again in a moment."));
                    }
                }
                answer_row(RowView { index, code: error.status_code().as_u16(), body, replayed: false })
            }
        }
    }

    async fn trigger_row(
        &self,
        index: usize,
        row: Range<usize>,
    ) -> Result<(StatusCode, TriggerAnswer, bool), ApiError> {
        let _place =
            self.state.batches.rows.acquire().await.map_err(|error| Error::internal("Closed").caused_by(error))?;
        let key = self.key.as_ref().map(|key| row_key(key, index));
        let charge = self.quota.for_row(index, row.len(), key.as_ref());
        match self.read_row(&self.raw[row]) {
            Ok(trigger) => trigger_idempotent(self.state, charge, key, trigger).await,
            Err(refusal) => {
                charge.give_back();
                Err(refusal)
            }
        }
    }

    fn read_row(&self, row: &[u8]) -> Result<Trigger, ApiError> {
        let refused = |field: &str, text: &str| ApiError::Validation(vec![(field.to_owned(), text.to_owned())]);
        if row.len() > self.state.max_body {
            // A value in memory takes many times the bytes of its text.
            return Err(too_large(self.state.max_body));
        }
        let row = serde_json::from_slice(row).map_err(|error| {
            // The parser counts lines from where the row begins, which would mislead.
            let text = format!("The row is not valid JSON: look at its column {}.", error.column());
            ApiError::refused(StatusCode::BAD_REQUEST, text)
        })?;
        let Value::Object(mut row) = row else { return Err(refused("row", "The row must be a JSON object.")) };
        let key = id_key(self.kind);
        if Fields::of(&row).value(key).is_none() {
            row.insert(key.to_owned(), json!(self.flow_id));
        }
        let trigger = read_trigger_of(self.kind, Fields::of(&row), false)?;
        for key in [FlowKind::Flow, FlowKind::Sequence].map(id_key) {
            let mut fields = Fields::of(&row);
            let sent: Option<FlowId> = fields.parsed(key);
            fields.finish()?;
            if sent.is_some_and(|id| id != self.flow_id) {
                let text = format!("The {} must be that of the path, or be left out.", key.replace('_', " "));
                return Err(refused(key, &text));
            }
        }
        Ok(trigger)
    }
}

/// The answer to a row: that of a single trigger, and the row's index.
#[derive(Serialize)]
struct RowView<B> {
    index: usize,
    code: u16,
    #[serde(flatten)]
    body: B,
    /// That the row was answered so before; there only where it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

fn answer_row<B: Serialize>(row: RowView<B>) -> Answer {
    Answer { code: row.code, json: json!(row).to_string().into() }
}

/// The answer to a row. As text it takes a fraction of the memory.
struct Answer {
    code: u16,
    json: Box<str>,
}

/// How many rows came to what, as a JSON object.
fn counts(answers: &[Answer]) -> String {
    let with = |wanted: u16| answers.iter().filter(|answer| answer.code == wanted).count();
    let (started, running) = (with(201), with(200));
    json!({"started": started, "already_running": running, "failed": answers.len() - started - running}).to_string()
}

/// The answers one a line, and the counts in a line of their own at the end.
fn as_lines(answers: Vec<Answer>) -> String {
    let counts = counts(&answers);
    let mut lines = String::with_capacity(bytes_of(&answers) + counts.len() + 1);
    for Answer { json, .. } in answers {
        lines.push_str(&json);
        lines.push('\n');
    }
    lines + &counts + "\n"
}

/// The counts and the answers in one object.
fn as_object(answers: Vec<Answer>) -> String {
    let counts = counts(&answers);
    let head = counts.trim_end_matches('}');
    let mut object = String::with_capacity(bytes_of(&answers) + counts.len() + 16);
    object.push_str(head);
    object.push_str(",\"results\":[");
    for (index, Answer { json, .. }) in answers.into_iter().enumerate() {
        if index > 0 {
            object.push(',');
        }
        object.push_str(&json);
    }
    object + "]}"
}

fn bytes_of(answers: &[Answer]) -> usize {
    answers.iter().map(|answer| answer.json.len() + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(body: &str) -> Option<Vec<&str>> {
        split_array(body.as_bytes()).ok().map(|rows| rows.into_iter().map(|row| &body[row]).collect())
    }

    #[test]
    fn an_array_is_split_where_its_elements_end() {
        for (body, expected) in [
            ("[]", &[][..]),
            (" [ ] \n", &[]),
            ("[1]", &["1"]),
            ("[{\"a\":[1,\"],\"]},{}\n, null ,\"x\"]", &["{\"a\":[1,\"],\"]}", "{}", "null", "\"x\""]),
        ] {
            assert_eq!(elements(body).as_deref(), Some(expected), "{body}");
        }
        for wrong in ["", "{}", "1", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]2", "[] []", "[}", "[\"\u{1}\"]"] {
            assert_eq!(elements(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lines_are_split_and_blank_ones_left_out() {
        let body = "{\"a\":1}\r\n\n  \t\n{}\n x";
        let rows: Vec<_> = split_lines(body.as_bytes()).into_iter().map(|row| body[row].trim()).collect();
        assert_eq!(rows, ["{\"a\":1}", "{}", "x"]);
        assert!(split_lines(b"").is_empty());
        assert_eq!(split_lines("1\n".repeat(MAX_ROWS + 5).as_bytes()).len(), MAX_ROWS + 1);
    }
}
