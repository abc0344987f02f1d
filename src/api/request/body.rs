//! The bodies of requests: their type, their coding, and how large and how slow they may be.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::api::coding::{Coding, Unpacking, of_body, unpack};
use crate::api::error::ApiError;
use crate::api::state::State;
use crate::domain::{json_text, what_instead};
use crate::error::Error;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(8);

/// Bytes that a resource's bodies may have, where it is not `server.max_body`.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct BodyLimit(pub(in crate::api) usize);

/// A JSON object that was sent, and its bytes.
#[derive(Debug)]
pub(in crate::api) struct JsonBody {
    /// As received, and decoded.
    pub(in crate::api) raw: Bytes,
    /// The parsed object.
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

/// A body as it was received, not decoded, of whatever type it says it is, within the resource's limit, from a sender
/// that is not authenticated yet. Of the bytes that are here, each beyond the first `free` ones takes a permit of
/// `budget`; what a request announces takes none.
pub(in crate::api) async fn raw_body(
    request: &HttpRequest,
    payload: web::Payload,
    (free, budget): (usize, &Semaphore),
) -> Result<Bytes, ApiError> {
    gather_within(BODY_TIMEOUT, request, payload, (free, budget)).await.map(|(raw, _)| raw)
}

async fn gather_within<'a>(
    within: Duration,
    request: &HttpRequest,
    payload: web::Payload,
    (free, budget): (usize, &'a Semaphore),
) -> Result<BufferedBody<'a>, ApiError> {
    let limit = check_length(request)?;
    let gathering = gather(payload, limit, (free, budget));
    tokio::time::timeout(within, gathering).await.unwrap_or_else(|_| Err(too_slow()))
}

/// A body, and the permits of the byte budget that it uses.
pub(in crate::api) type BufferedBody<'a> = (Bytes, Option<SemaphorePermit<'a>>);

async fn gather<'a>(
    mut payload: web::Payload,
    limit: usize,
    (free, budget): (usize, &'a Semaphore),
) -> Result<BufferedBody<'a>, ApiError> {
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
            let more = budget.try_acquire_many(more).map_err(|_| no_room())?;
            match &mut taken {
                Some(taken) => taken.merge(more),
                None => taken = Some(more),
            }
        }
        raw.extend_from_slice(&piece);
    }
    Ok((raw.freeze(), taken))
}

/// A body of whatever type, decoded, within the resource's limit, from an authenticated caller. It may take `within` to
/// arrive. Each of its bytes that is here takes a permit of `budget`, which is the caller's to keep for as long as it
/// keeps the body.
pub(in crate::api) async fn kept_body<'a>(
    request: &HttpRequest,
    payload: web::Payload,
    within: Duration,
    budget: &'a Semaphore,
) -> Result<BufferedBody<'a>, ApiError> {
    let coding = of_body(request)?;
    let (sent, permits_held) = gather_within(within, request, payload, (0, budget)).await?;
    if coding == Coding::Identity {
        return Ok((sent, permits_held));
    }
    // How much it becomes is known afterwards, and there must be room for all that it may become.
    let limit = check_length(request)?;
    let permits = u32::try_from(limit).map_err(|_| too_large(limit))?;
    let mut whole = budget.try_acquire_many(permits).map_err(|_| no_room())?;
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
