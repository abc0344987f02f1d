//! The HTTP side: `graph.facebook.com`.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;

use actix_web::dev::Extensions;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cloud::Shared;
use super::error::GraphError;
use super::faults::Fault;
use super::messages::{self, Planned};
use super::state::{Refused, Request, State};

/// A second handle on a connection, to end it without an answer.
struct Connection(TcpStream);

impl Connection {
    fn end(&self) {
        // The other side may have ended it before.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Keeps a handle on each connection.
pub(super) fn keep_connection(connection: &dyn Any, data: &mut Extensions) {
    let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>().expect("a plain connection");
    data.insert(Connection(TcpStream::from(stream.as_fd().try_clone_to_owned().expect("a free file descriptor"))));
}

/// What is answered.
enum Reply {
    Json(Value),
    File { mime_type: String, bytes: Vec<u8> },
}

/// Every request.
pub(super) async fn handle(request: HttpRequest, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let (place, fault) = shared.change(|state| {
        let record = record(state.now(), &request, &body);
        let fault = state.plan.take(&record);
        state.requests.push(record);
        (state.requests.len() - 1, fault)
    });
    let end = || request.conn_data::<Connection>().expect("every connection is kept").end();
    let mut planned = Planned::default();
    match &fault {
        Some(Fault::Answer { status, content_type, body }) => {
            shared.change(|state| state.requests[place].status = Some(*status));
            let status = StatusCode::from_u16(*status).expect("a status");
            return HttpResponse::build(status).content_type(*content_type).body(body.clone());
        }
        Some(Fault::DropBefore) => {
            end();
            return HttpResponse::InternalServerError().finish();
        }
        Some(Fault::HoldRequest(gate)) => gate.pass().await,
        Some(Fault::FailLater(error)) => planned.fails = Some(error.clone()),
        Some(Fault::MessageStatus(status)) => planned.message_status = Some(status),
        Some(Fault::Refuse(_) | Fault::HoldAnswer(_) | Fault::AcceptThenDrop) | None => {}
    }
    let refusal = match &fault {
        Some(Fault::Refuse(error)) => Some(error.clone()),
        _ => None,
    };
    let result = shared.change(|state| {
        let result = refusal.map_or_else(|| answer(state, place, planned), Err);
        if let Err(error) = &result {
            let Request { at, path, body, .. } = state.requests[place].clone();
            state.refused.push(Refused { at, path, error: error.clone(), body });
        }
        result
    });
    match &fault {
        Some(Fault::HoldAnswer(gate)) => gate.pass().await,
        Some(Fault::AcceptThenDrop) => {
            end();
            return HttpResponse::InternalServerError().finish();
        }
        _ => {}
    }
    let status = result.as_ref().map_or_else(|error| error.status, |_| 200);
    shared.change(|state| state.requests[place].status = Some(status));
    match result {
        Ok(Reply::Json(body)) => HttpResponse::Ok().json(body),
        Ok(Reply::File { mime_type, bytes }) => HttpResponse::Ok().content_type(mime_type).body(bytes),
        Err(error) => HttpResponse::build(StatusCode::from_u16(status).expect("a status")).json(error.body()),
    }
}

fn record(at: i64, request: &HttpRequest, body: &[u8]) -> Request {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Request {
        at,
        method: request.method().as_str().to_owned(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        headers,
        body: serde_json::from_slice(body).unwrap_or_default(),
        status: None,
    }
}

fn answer(state: &mut State, place: usize, planned: Planned) -> Result<Reply, GraphError> {
    let request = state.requests[place].clone();
    check_token(state, &request)?;
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    if let ["GET", "media", id] = [&[request.method.as_str()], &segments[..]].concat()[..] {
        return file(state, id);
    }
    let [version, id, rest @ ..] = &segments[..] else { return Err(unknown_path(&request)) };
    let numbers = version.strip_prefix('v').and_then(|version| version.split_once('.'));
    if !numbers.is_some_and(|(major, minor)| major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok()) {
        return Err(unknown_path(&request));
    }
    let (is_number, is_account) = (*id == state.setup.phone_number_id, *id == state.setup.business_account_id);
    let body = match (request.method.as_str(), rest) {
        ("POST", ["messages"]) if is_number => {
            if !request.body.is_object() {
                return Err(GraphError::new(100, "The body must be a JSON object."));
            }
            messages::post(state, version, &request.body, planned)
        }
        ("GET", ["message_templates"]) if is_account => templates(state, &request),
        ("GET", ["phone_numbers"]) if is_account => Ok(json!({"data": [number(state)]})),
        ("GET", ["subscribed_apps"]) if is_account => {
            let app = json!({"id": "67084", "name": "Test App", "link": "https://example.com"});
            let app = json!({ "whatsapp_business_api_data": app });
            Ok(json!({"data": if state.is_subscribed { vec![app] } else { Vec::new() }}))
        }
        ("POST", ["subscribed_apps"]) if is_account => {
            state.is_subscribed = true;
            Ok(json!({"success": true}))
        }
        ("GET", []) if is_number => Ok(select(number(state), parameter(&request, "fields").as_deref())),
        ("GET", []) if is_account => {
            Ok(json!({"id": state.setup.business_account_id, "name": state.setup.verified_name}))
        }
        ("GET", []) if state.media.contains_key(*id) => Ok(media(state, id)),
        _ => {
            let details =
                format!("Unsupported request. Object with ID '{id}' does not exist, or lacks what was asked for");
            Err(GraphError::new(100, details).with_subcode(33))
        }
    };
    body.map(Reply::Json)
}

fn unknown_path(request: &Request) -> GraphError {
    GraphError::new(2500, format!("Unknown path components: {}", request.path))
}

fn check_token(state: &State, request: &Request) -> Result<(), GraphError> {
    let header = request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.as_str());
    let given = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let given = given.or_else(|| parameter(request, "access_token"));
    if given.is_some() && given == state.token {
        return Ok(());
    }
    Err(GraphError::new(190, "Error validating access token: Session has expired.").with_subcode(463))
}

fn number(state: &State) -> Value {
    json!({
        "id": state.setup.phone_number_id,
        "display_phone_number": state.setup.display_phone,
        "verified_name": state.setup.verified_name,
        "quality_rating": "GREEN",
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
    })
}

fn media(state: &State, id: &str) -> Value {
    let media = &state.media[id];
    json!({
        "messaging_product": "whatsapp",
        "id": id,
        "url": state.media_url(id),
        "mime_type": media.mime_type,
        "sha256": hex::encode(Sha256::digest(&media.bytes)),
        "file_size": media.bytes.len(),
    })
}

fn file(state: &State, id: &str) -> Result<Reply, GraphError> {
    let media = state.media.get(id).ok_or_else(|| GraphError::new(100, "This file does not exist").with_subcode(33))?;
    Ok(Reply::File { mime_type: media.mime_type.clone(), bytes: media.bytes.clone() })
}

/// A page of the account's templates. A cursor is the place of its item.
fn templates(state: &State, request: &Request) -> Result<Value, GraphError> {
    let limit = parameter(request, "limit").and_then(|limit| limit.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let size = limit.clamp(1, state.page_size);
    let start = match parameter(request, "after") {
        None => 0,
        Some(cursor) => {
            let place = cursor.strip_prefix("QVFI").and_then(|place| usize::from_str_radix(place, 16).ok());
            place.ok_or_else(|| GraphError::new(100, "Invalid cursor"))? + 1
        }
    };
    let wanted = |key: &str, value: &str| {
        parameter(request, key).is_none_or(|given| given.split(',').any(|one| one.eq_ignore_ascii_case(value)))
    };
    let matching: Vec<_> = state
        .templates
        .iter()
        .filter(|template| wanted("name", &template.name) && wanted("status", &template.status))
        .collect();
    let fields = parameter(request, "fields");
    let data: Vec<Value> =
        matching.iter().skip(start).take(size).map(|template| select(template.as_json(), fields.as_deref())).collect();
    let mut page = json!({ "data": data });
    if let Some(wanted) = parameter(request, "summary") {
        let summary = json!({
            "total_count": matching.len(),
            "message_template_count": state.templates.len(),
            "message_template_limit": 6000,
            "are_translations_complete": true,
        });
        page["summary"] = select(summary, Some(&wanted));
    }
    if data.is_empty() {
        return Ok(page);
    }
    let cursor = |place: usize| format!("QVFI{place:08x}");
    let after = cursor(start + data.len() - 1);
    let mut paging = json!({"cursors": {"before": cursor(start), "after": after}});
    if start + data.len() < matching.len() {
        let rest: Vec<&str> =
            request.query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after=")).collect();
        let query = [rest, vec![&format!("after={after}")]].concat().join("&");
        paging["next"] = format!("{}{}?{query}", state.base_url, request.path).into();
    }
    page["paging"] = paging;
    Ok(page)
}

/// The named fields and the id; everything if none are named.
fn select(mut object: Value, fields: Option<&str>) -> Value {
    if let (Some(fields), Some(object)) = (fields, object.as_object_mut()) {
        object.retain(|key, _| key == "id" || fields.split(',').any(|field| field.trim() == key));
    }
    object
}

/// A parameter of the query. Commas are all that the parameters of this API have to escape.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.replace("%2C", ",")).next()
}
