//! Reading requests: the JSON body within its limit, and its fields with all their errors at once.

pub(super) mod contact_fields;

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::api::auth::Principal;
use crate::api::coding::{Coding, Unpacking, of_body, unpack};
use crate::api::error::ApiError;
use crate::api::state::State;
use crate::domain::{ContactId, ParseError, Phone, json_text, what_instead};
use crate::error::Error;
use crate::runtime::{IdempotencyKey, Whom};

/// At most this many characters in an `Idempotency-Key`.
pub(in crate::api) const MAX_KEY: usize = 255;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(8);
/// Characters of a reason at most.
const REASON_CHARS: usize = 200;
/// Rows of a list if the request does not say.
const DEFAULT_LIMIT: u32 = 50;
/// Rows of a list at most.
const MAX_LIMIT: u32 = 200;
/// What is said of a cursor that is none.
const CURSOR: &str = "The cursor must be a `next_cursor` of this list.";

/// Bytes that a resource's bodies may have, where it is not `server.max_body`.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct BodyLimit(pub(in crate::api) usize);

/// A JSON object that was sent, and its bytes.
#[derive(Debug)]
pub(in crate::api) struct JsonBody {
    /// As received, and decoded.
    pub(in crate::api) raw: Bytes,
    /// Parsed.
    pub(in crate::api) fields: Map<String, Value>,
}

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let checked = check_headers(request);
        let payload = web::Payload::from_request(request, payload).into_inner();
        Box::pin(async move {
            let (limit, coding) = checked?;
            let raw = decode(coding, read_body(payload, limit, BODY_TIMEOUT).await?, limit).await?;
            let fields = parse_object(&raw)?;
            Ok(Self { raw, fields })
        })
    }
}

fn parse_object(raw: &Bytes) -> Result<Map<String, Value>, ApiError> {
    let value = json_text::parse_value(raw).map_err(|error| {
        let text = format!("The body is not valid JSON: {error}.");
        ApiError::refused(StatusCode::BAD_REQUEST, text)
    })?;
    match value {
        Value::Object(fields) => Ok(fields),
        other => {
            let instead = what_instead(&other).map(|text| format!(" {text}")).unwrap_or_default();
            Err(ApiError::Validation(vec![("body".to_owned(), format!("The body must be a JSON object.{instead}"))]))
        }
    }
}

/// The fields of a JSON object, all of them optional: a body without a byte counts as an empty one, whatever type it
/// says it is, because clients without anything to say send it in all these ways.
#[derive(Debug)]
pub(in crate::api) struct OptionalJsonBody(pub(in crate::api) Map<String, Value>);

impl FromRequest for OptionalJsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (typed, coding, checked) = (check_type(request), of_body(request), check_length(request));
        let payload = web::Payload::from_request(request, payload).into_inner();
        Box::pin(async move {
            let (limit, coding) = (checked?, coding?);
            let raw = decode(coding, read_body(payload, limit, BODY_TIMEOUT).await?, limit).await?;
            if raw.is_empty() {
                return Ok(Self(Map::new()));
            }
            typed?;
            parse_object(&raw).map(Self)
        })
    }
}

/// A JSON body, decoded, within the resource's limit; whether it is JSON is not looked at.
pub(in crate::api) async fn json_bytes(request: &HttpRequest, payload: web::Payload) -> Result<Bytes, ApiError> {
    let (limit, coding) = check_headers(request)?;
    decode(coding, read_body(Ok(payload), limit, BODY_TIMEOUT).await?, limit).await
}

/// A body that was received, decoded. It may have `limit` bytes in either form.
pub(in crate::api) async fn decode(coding: Coding, sent: Bytes, limit: usize) -> Result<Bytes, ApiError> {
    // Without a byte there is nothing that could be coded.
    if coding == Coding::Identity || sent.is_empty() {
        return Ok(sent);
    }
    unpack(sent, limit).await.map_err(|error| match error {
        Unpacking::TooLong => too_large(limit),
        Unpacking::Unreadable(error) => {
            let text = format!("The body is not what its Content-Encoding says; as gzip it cannot be read: {error}.");
            ApiError::refused(StatusCode::BAD_REQUEST, text)
        }
    })
}

/// A body as it was received, not decoded, of whatever type it says it is, within the resource's limit, from somebody who
/// is not known yet. Of the bytes that are here, each beyond the first `free` ones takes a permit of `room`; what a request
/// announces takes none.
pub(in crate::api) async fn raw_body(
    request: &HttpRequest,
    payload: web::Payload,
    (free, room): (usize, &Semaphore),
) -> Result<Bytes, ApiError> {
    gather_within(BODY_TIMEOUT, request, payload, (free, room)).await.map(|(raw, _)| raw)
}

async fn gather_within<'a>(
    within: Duration,
    request: &HttpRequest,
    payload: web::Payload,
    (free, room): (usize, &'a Semaphore),
) -> Result<Housed<'a>, ApiError> {
    let limit = check_length(request)?;
    let gathering = gather(payload, limit, (free, room));
    tokio::time::timeout(within, gathering).await.unwrap_or_else(|_| Err(too_slow()))
}

/// A body, and the room that it takes up.
pub(in crate::api) type Housed<'a> = (Bytes, Option<SemaphorePermit<'a>>);

async fn gather<'a>(
    mut payload: web::Payload,
    limit: usize,
    (free, room): (usize, &'a Semaphore),
) -> Result<Housed<'a>, ApiError> {
    let mut raw = BytesMut::new();
    let mut taken: Option<SemaphorePermit<'a>> = None;
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| unreadable(error.into()))?;
        let length = raw.len() + piece.len();
        if length > limit {
            return Err(too_large(limit));
        }
        let beyond = length.saturating_sub(raw.len().max(free));
        if beyond > 0 {
            let more = u32::try_from(beyond).map_err(|_| too_large(limit))?;
            let more = room.try_acquire_many(more).map_err(|_| no_room())?;
            match &mut taken {
                Some(taken) => taken.merge(more),
                None => taken = Some(more),
            }
        }
        raw.extend_from_slice(&piece);
    }
    Ok((raw.freeze(), taken))
}

/// A body of whatever type, decoded, within the resource's limit, from somebody who is known. It may take `within` to
/// arrive. Each of its bytes that is here takes a permit of `room`, which is the caller's to keep for as long as it keeps
/// the body.
pub(in crate::api) async fn kept_body<'a>(
    request: &HttpRequest,
    payload: web::Payload,
    within: Duration,
    room: &'a Semaphore,
) -> Result<Housed<'a>, ApiError> {
    let coding = of_body(request)?;
    let (sent, housed) = gather_within(within, request, payload, (0, room)).await?;
    if coding == Coding::Identity {
        return Ok((sent, housed));
    }
    // How much it becomes is known afterwards, and there must be room for all that it may become.
    let limit = check_length(request)?;
    let permits = u32::try_from(limit).map_err(|_| too_large(limit))?;
    let mut whole = room.try_acquire_many(permits).map_err(|_| no_room())?;
    let decoded = decode(coding, sent, limit).await?;
    Ok((decoded.clone(), whole.split(decoded.len())))
}

fn no_room() -> Error {
    Error::unavailable("Many large bodies are read already; send this one again.")
}

/// The media type that a body says it is, without its parameters and in small letters.
pub(in crate::api) fn media_type(request: &HttpRequest) -> String {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type is JSON.
pub(in crate::api) fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn check_headers(request: &HttpRequest) -> Result<(usize, Coding), ApiError> {
    check_type(request)?;
    Ok((check_length(request)?, of_body(request)?))
}

fn check_type(request: &HttpRequest) -> Result<(), ApiError> {
    if is_json(&media_type(request)) {
        return Ok(());
    }
    let error = ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON.");
    Err(error.hint("Send the header Content-Type: application/json."))
}

/// The bytes that a body may have, if it does not announce more.
fn check_length(request: &HttpRequest) -> Result<usize, ApiError> {
    let of_resource = request.app_data::<BodyLimit>().map(|limit| limit.0);
    let limit = of_resource.or_else(|| request.app_data::<web::Data<State>>().map(|state| state.max_body));
    let limit = limit.unwrap_or_default();
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit) { Err(too_large(limit)) } else { Ok(limit) }
}

async fn read_body(
    payload: actix_web::Result<web::Payload>,
    limit: usize,
    within: Duration,
) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(within, payload.map_err(unreadable)?.to_bytes_limited(limit)).await {
        Ok(Ok(bytes)) => bytes.map_err(unreadable),
        Ok(Err(_)) => Err(too_large(limit)),
        Err(_) => Err(too_slow()),
    }
}

fn unreadable(error: actix_web::Error) -> ApiError {
    ApiError::refused(StatusCode::BAD_REQUEST, format!("The body could not be read: {error}."))
}

fn too_slow() -> ApiError {
    ApiError::refused(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.")
}

/// The answer to a body, or a part of one that stands for a body, with more bytes than it may have.
pub(in crate::api) fn too_large(limit: usize) -> ApiError {
    ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, format!("The body has more than {limit} bytes."))
}

/// The fields of a body, read one by one; what is wrong is gathered until [`Fields::finish`].
pub(in crate::api) struct Fields<'a> {
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<(String, String)>,
}

impl<'a> Fields<'a> {
    pub(in crate::api) fn of(fields: &'a Map<String, Value>) -> Self {
        Self { fields, known: Vec::new(), errors: Vec::new() }
    }

    /// A field's value; null and an empty text count as absent.
    pub(in crate::api) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// A field's value as it was sent: null and an empty text are values here, too.
    pub(in crate::api) fn sent(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields.get(name)
    }

    /// A text.
    pub(in crate::api) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let value = self.value(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.fail(name, format!("The {} must be a string.", label(name)));
        }
        text
    }

    /// A text that must be there.
    pub(in crate::api) fn required_text(&mut self, name: &'static str) -> Option<&'a str> {
        if self.value(name).is_none() {
            self.fail(name, format!("The {} field is required.", label(name)));
        }
        self.text(name)
    }

    /// A text that is parsed; its error says "must be …".
    pub(in crate::api) fn parsed<T: FromStr<Err = ParseError>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        self.parse(name, text)
    }

    /// A parsed text that must be there.
    pub(in crate::api) fn required<T: FromStr<Err = ParseError>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.required_text(name)?;
        self.parse(name, text)
    }

    fn parse<T: FromStr<Err = ParseError>>(&mut self, name: &'static str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(name, format!("The {} {error}.", label(name)));
                None
            }
        }
    }

    /// An object; an empty list counts as one, because PHP writes an empty array so.
    pub(in crate::api) fn object(&mut self, name: &'static str) -> Option<&'a Map<String, Value>> {
        let value = self.value(name)?;
        match value {
            Value::Object(object) => Some(object),
            Value::Array(items) if items.is_empty() => None,
            _ => {
                self.fail(name, format!("The {} must be an object.", label(name)));
                None
            }
        }
    }

    /// One of a few words.
    pub(in crate::api) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if chosen.is_none() {
            self.fail(name, not_a_choice(name, choices.iter().map(|(word, _)| *word)));
        }
        chosen
    }

    /// `contact_id` or `phone`, or both.
    pub(in crate::api) fn whom(&mut self) -> Option<Whom> {
        let is_absent = self.value("contact_id").is_none() && self.value("phone").is_none();
        if is_absent {
            self.fail("contact_id", "The contact id field is required when phone is not present.");
            self.fail("phone", "The phone field is required when contact id is not present.");
            return None;
        }
        let errors = self.errors.len();
        let id: Option<ContactId> = self.parsed("contact_id");
        let phone: Option<Phone> = self.parsed("phone");
        if self.errors.len() > errors {
            return None;
        }
        match (id, phone) {
            (Some(id), Some(phone)) => Some(Whom::Both(id, phone)),
            (Some(id), None) => Some(Whom::Id(id)),
            (None, Some(phone)) => Some(Whom::Phone(phone)),
            (None, None) => None,
        }
    }

    /// Why somebody ends a session.
    pub(in crate::api) fn reason(&mut self) -> Option<String> {
        let reason = self.text("reason")?;
        if reason.chars().count() > REASON_CHARS {
            self.fail("reason", format!("The reason must not be longer than {REASON_CHARS} characters."));
        }
        Some(reason.to_owned())
    }

    /// True or false.
    pub(in crate::api) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?;
        if !value.is_boolean() {
            self.fail(name, format!("The {} must be true or false.", label(name)));
        }
        value.as_bool()
    }

    /// A whole number, 0 or more.
    pub(in crate::api) fn whole_number(&mut self, name: &'static str) -> Option<u64> {
        let value = self.value(name)?;
        if !value.is_u64() {
            self.fail(name, format!("The {} must be a whole number, 0 or more.", label(name)));
        }
        value.as_u64()
    }

    /// A list.
    pub(in crate::api) fn list(&mut self, name: &'static str) -> Option<&'a Vec<Value>> {
        let value = self.value(name)?;
        if !value.is_array() {
            self.fail(name, format!("The {} must be a list.", label(name)));
        }
        value.as_array()
    }

    /// Reads an object inside this one, whose errors are named `<place>.<field>`.
    pub(in crate::api) fn within<'b, T>(
        &mut self,
        place: &str,
        fields: &'b Map<String, Value>,
        read: impl FnOnce(&mut Fields<'b>) -> T,
    ) -> T {
        let mut inner = Fields::of(fields);
        let value = read(&mut inner);
        self.errors.extend(inner.errors.into_iter().map(|(field, text)| (format!("{place}.{field}"), text)));
        value
    }

    /// `limit` and `cursor`, as a query has them.
    pub(in crate::api) fn page(&mut self) -> Page {
        let limit = self.whole_number("limit").and_then(|limit| u32::try_from(limit).ok().or(Some(0)));
        if limit.is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit)) {
            self.fail("limit", format!("The limit must be 1 to {MAX_LIMIT}."));
        }
        let sent = self.text("cursor");
        let cursor = sent.and_then(|cursor| cursor.parse().ok()).filter(|cursor: &i64| *cursor >= 0);
        if sent.is_some() && cursor.is_none() {
            self.fail("cursor", CURSOR);
        }
        Page { limit: limit.unwrap_or(DEFAULT_LIMIT), cursor }
    }

    /// Notes an error.
    pub(in crate::api) fn fail(&mut self, name: &str, sentence: impl Into<String>) {
        self.errors.push((name.to_owned(), sentence.into()));
    }

    /// Refuses keys that nobody asked for.
    pub(in crate::api) fn refuse_unknown(&mut self) {
        let unknown = self.fields.keys().filter(|key| !self.known.contains(&key.as_str()));
        let errors =
            unknown.map(|key| (key.clone(), format!("The {key} field is not known here."))).collect::<Vec<_>>();
        self.errors.extend(errors);
    }

    /// All errors at once, or none.
    pub(in crate::api) fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.errors)) }
    }
}

/// A field's name in a sentence: `flow_id` is "flow id".
fn label(name: &str) -> String {
    name.replace('_', " ")
}

/// The request's `Idempotency-Key`, bound to its token, its route and its body.
pub(in crate::api) fn idempotency_key(
    request: &HttpRequest,
    principal: &Principal,
    route: &'static str,
    raw: &Bytes,
) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(header) = request.headers().get(HeaderName::from_static("idempotency-key")) else { return Ok(None) };
    let key = header.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > MAX_KEY {
        let text = format!("Idempotency-Key must have 1 to {MAX_KEY} visible ASCII characters.");
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, text));
    }
    let body_hash = Sha256::digest(raw).into();
    Ok(Some(IdempotencyKey { token_seq: principal.seq, route, key: key.to_owned(), body_hash }))
}

/// Binds a key also to what its request's path names: that is part of what is asked for, and no part of the body.
pub(in crate::api) fn scoped_to(key: Option<IdempotencyKey>, id: Uuid) -> Option<IdempotencyKey> {
    key.map(|key| {
        let body_hash = Sha256::new().chain_update(id).chain_update(key.body_hash).finalize().into();
        IdempotencyKey { body_hash, ..key }
    })
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Page {
    /// Rows.
    pub(in crate::api) limit: u32,
    /// The row where the page before ended.
    pub(in crate::api) cursor: Option<i64>,
}

impl Page {
    /// Reads `limit` and `cursor` from a query that has nothing else.
    pub(in crate::api) fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut query = Query::read(request)?;
        let page = query.page();
        query.finish()?;
        Ok(page)
    }
}

/// The parameters of a query, read one by one; what is wrong is gathered until [`Query::finish`], which refuses
/// parameters that nobody asked for.
pub(in crate::api) struct Query {
    parameters: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: Vec<(String, String)>,
}

impl Query {
    /// Splits the query.
    pub(in crate::api) fn read(request: &HttpRequest) -> Result<Self, ApiError> {
        let parameters = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| ApiError::refused(StatusCode::BAD_REQUEST, "The query cannot be read."))?
            .into_inner();
        Ok(Self { parameters, known: Vec::new(), errors: Vec::new() })
    }

    /// Whether a parameter was sent.
    pub(in crate::api) fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(key, _)| key == name)
    }

    /// A parameter's text; an empty one counts as absent, and of several the last counts.
    pub(in crate::api) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let found = self.parameters.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.trim().is_empty())
    }

    /// A parameter that is parsed; its error says "must be …".
    pub(in crate::api) fn parsed<T: FromStr<Err = ParseError>>(&mut self, name: &'static str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(name, format!("The {} {error}.", label(name)));
                None
            }
        }
    }

    /// A whole number within a range.
    pub(in crate::api) fn number(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        match self.text(name)?.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.fail(name, format!("The {} must be {} to {}.", label(name), range.start(), range.end()));
                None
            }
        }
    }

    /// One of a few words.
    pub(in crate::api) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if chosen.is_none() {
            self.fail(name, not_a_choice(name, choices.iter().map(|(word, _)| *word)));
        }
        chosen
    }

    /// `limit`.
    pub(in crate::api) fn limit(&mut self) -> u32 {
        let limit = self.number("limit", 1..=i64::from(MAX_LIMIT)).and_then(|limit| u32::try_from(limit).ok());
        limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// A `cursor` that is read by this list alone.
    pub(in crate::api) fn cursor<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let cursor = read(&self.text("cursor")?);
        if cursor.is_none() {
            self.fail("cursor", CURSOR);
        }
        cursor
    }

    /// `limit` and `cursor`.
    pub(in crate::api) fn page(&mut self) -> Page {
        let limit = self.limit();
        let sent = self.text("cursor");
        let cursor = sent.as_ref().and_then(|cursor| cursor.parse().ok()).filter(|cursor: &i64| *cursor >= 0);
        if sent.is_some() && cursor.is_none() {
            self.fail("cursor", CURSOR);
        }
        Page { limit, cursor }
    }

    /// Notes an error.
    pub(in crate::api) fn fail(&mut self, name: &str, sentence: impl Into<String>) {
        self.errors.push((name.to_owned(), sentence.into()));
    }

    /// The end of reading in the public API, where parameters that are not known are let pass.
    pub(in crate::api) fn finish_with_strangers(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.errors)) }
    }

    /// All errors at once, or none.
    pub(in crate::api) fn finish(mut self) -> Result<(), ApiError> {
        for (name, _) in &self.parameters {
            if !self.known.contains(&name.as_str()) {
                self.errors.push((name.clone(), format!("The {name} parameter is not known here.")));
            }
        }
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.errors)) }
    }
}

/// The sentence about a word that is none of those allowed.
fn not_a_choice<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    format!("The selected {} is invalid: use one of {}.", label(name), words.join(", "))
}
