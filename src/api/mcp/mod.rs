//! `POST /mcp`: the API for assistants, over the Model Context Protocol's streamable HTTP.
//!
//! What the protocol is, its versions included, is the official SDK's business (`rmcp`). Here is what HTTP brings and
//! takes away again. The SDK's service is fed directly and not through a crate that mounts it in actix: the body is
//! read with the same limits as any other, refusals have the same shape, and the caller's token never gets to the SDK.
//!
//! **Nothing is kept between requests.** There are no sessions and no streams: each request is answered whole, in JSON,
//! so a restart breaks no client and no client can fill the memory. `GET` and `DELETE` are answered 405, which is how
//! a client learns that there is no stream to listen to and no session to end (specification of 2025-06-18, "Streamable
//! HTTP").
//!
//! **Who may do what.** Tokens, the rate limit and its headers are those of the API, one bucket for both. A request
//! without a valid token is answered 401 before any of it is read. A token sees the tools that its scope reaches and
//! can call no other:
//!
//! | tool | scope |
//! |---|---|
//! | `trigger_flow` | `trigger` |
//! | `list_flows`, `get_flow`, `create_flow`, `validate_flow` | `api` |
//! | `list_sessions`, `get_session` | `api` |
//! | `search_contacts`, `get_contact`, `send_message` | `api` |
//! | `publish_flow` | `admin` |
//!
//! So an assistant can be given a token that drafts flows and looks into conversations, and a person publishes. A flow
//! of `create_flow` does not run before that. Without `admin` the URLs, headers and bodies of a document's HTTP calls
//! are hidden, since they may carry other services' credentials.

mod arguments;
mod calls;
mod guard;
mod schemas;
mod server;
mod tools;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use http_body_util::{BodyExt, Full};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};

use crate::api::auth::Principal;
use crate::api::coding;
use crate::api::error::ApiError;
use crate::api::request::json_bytes;
use crate::api::state::State;
use crate::domain::json_text;
use crate::domain::unicode_form::json_as_utf8;
use crate::error::Error;
use server::Server;

/// The type of every answer.
const JSON: &str = "application/json";
/// JSON-RPC 2.0, section 5.1: what was sent is no JSON.
const PARSE_ERROR: i64 = -32_700;
/// JSON-RPC 2.0, section 5.1: it is JSON, but no request.
const INVALID_REQUEST: i64 = -32_600;
/// The error for JSON that is no request.
const NO_MESSAGE: &str = "The body is not a JSON-RPC message of this protocol.";
/// The header that names the revision of the protocol.
const VERSION: &str = "mcp-protocol-version";

/// The revision of the protocol that has batches; it is also that of requests which name none (specification of
/// 2025-06-18, "Protocol Version Header").
const WITH_BATCHES: &str = "2025-03-26";
/// Messages of a batch.
const BATCH_MESSAGES: usize = 20;

/// `POST /mcp`: takes a JSON-RPC message, or a batch of them, and returns it.
pub(super) async fn receive_mcp(
    request: HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    guard::check(&request, &state.settings.effective().public_url)?;
    // The SDK knows UTF-8 without a mark only.
    let body = Bytes::from(json_as_utf8(&json_bytes(&request, payload).await?).into_owned());
    let message = match json_text::parse::<Value>(&body) {
        Ok(message) => message,
        Err(error) => return Ok(not_a_message(PARSE_ERROR, &format!("The body is not valid JSON: {error}."))),
    };
    let mut response = match message {
        Value::Array(messages) => receive_batch(&request, state, principal, messages).await?,
        _ => match ask(&request, Server::new(state, principal), body).await? {
            ServerReply::Answer(status, answer) => HttpResponse::build(status).content_type(JSON).body(answer),
            ServerReply::Nothing(status) => HttpResponse::build(status).finish(),
            ServerReply::NoMessage => not_a_message(INVALID_REQUEST, NO_MESSAGE),
        },
    };
    coding::leave_as_it_is(&mut response);
    Ok(response)
}

/// Takes the messages of a batch one after another. Each of them counts against the caller's rate limit.
async fn receive_batch(
    request: &HttpRequest,
    state: web::Data<State>,
    principal: Principal,
    messages: Vec<Value>,
) -> Result<HttpResponse, ApiError> {
    let revision = request.headers().get(VERSION).and_then(|value| value.to_str().ok());
    let refusal = if revision.is_some_and(|revision| revision != WITH_BATCHES) {
        Some(format!("Only the revision {WITH_BATCHES} of the protocol has batches: send one message at a time."))
    } else if messages.is_empty() {
        Some("A batch has at least one message.".to_owned())
    } else if messages.len() > BATCH_MESSAGES {
        Some(format!("A batch has at most {BATCH_MESSAGES} messages: send it in parts."))
    } else {
        None
    };
    if let Some(refusal) = refusal {
        return Ok(not_a_message(INVALID_REQUEST, &refusal));
    }
    state.rate_limit.count_more(&principal, messages.len() - 1)?;
    let server = Server::new(state, principal);
    let mut answers = Vec::new();
    for message in messages {
        if message["method"] == "initialize" {
            let text = "The message initialize cannot be part of a batch.";
            answers.push(error_object(message["id"].clone(), INVALID_REQUEST, text));
            continue;
        }
        let id = message["id"].clone();
        match ask(request, server.clone(), message.to_string().into()).await {
            Ok(ServerReply::Answer(_, answer)) => answers.extend(serde_json::from_slice::<Value>(&answer)),
            Ok(ServerReply::Nothing(_)) => {}
            Ok(ServerReply::NoMessage) => answers.push(error_object(Value::Null, INVALID_REQUEST, NO_MESSAGE)),
            // The messages before this one have been handled, and their answers must be returned.
            Err(ApiError::Refused { error, .. }) => answers.push(error_object(id, INVALID_REQUEST, &error)),
            Err(error) => return Err(error),
        }
    }
    if answers.is_empty() {
        return Ok(HttpResponse::Accepted().finish());
    }
    Ok(HttpResponse::Ok().json(answers))
}

/// The SDK's answer to a message.
enum ServerReply {
    /// An answer in JSON, with its status.
    Answer(StatusCode, Bytes),
    /// A status, which is all there is to say to a notification.
    Nothing(StatusCode),
    /// That it is none.
    NoMessage,
}

/// Hands one message to the SDK.
async fn ask(request: &HttpRequest, server: Server, body: Bytes) -> Result<ServerReply, ApiError> {
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let config = config.with_max_request_body_bytes(body.len());
    // Made for each request, because it belongs to its caller: it is two counted references and a short list.
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config);
    let answer = service.handle(inner(request, body)?).await;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let status = StatusCode::from_u16(head.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let is_json = head.headers.get(http::header::CONTENT_TYPE).is_some_and(|value| value.as_bytes() == JSON.as_bytes());
    if is_json {
        return Ok(ServerReply::Answer(status, body));
    }
    match status {
        status if status.is_success() => Ok(ServerReply::Nothing(status)),
        // The type was looked at already, so this is the SDK's word for JSON that is no message.
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Ok(ServerReply::NoMessage),
        status if status.is_server_error() => {
            Err(Error::internal(format!("MCP: {}", String::from_utf8_lossy(&body))).into())
        }
        status => Err(ApiError::refused(status, String::from_utf8_lossy(&body))),
    }
}

/// The request as the SDK sees it: what the protocol defines and nothing else.
fn inner(request: &HttpRequest, body: Bytes) -> Result<http::Request<Full<Bytes>>, ApiError> {
    let is_of_the_protocol = |name: &HeaderName| *name == ACCEPT || name.as_str().starts_with("mcp-");
    // The SDK's own check of the host would be the second one.
    let mut inner = http::Request::post("http://localhost/mcp").header(CONTENT_TYPE.as_str(), JSON);
    for (name, value) in request.headers().iter().filter(|(name, _)| is_of_the_protocol(name)) {
        inner = inner.header(name.as_str(), value.as_bytes());
    }
    inner.body(Full::new(body)).map_err(|error| {
        ApiError::refused(StatusCode::BAD_REQUEST, format!("The request's headers cannot be read: {error}."))
    })
}

/// The answer to a body that holds no message, so that its id is unknown.
fn not_a_message(code: i64, message: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(error_object(Value::Null, code, message))
}

fn error_object(id: Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}
