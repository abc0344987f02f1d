//! The HTTP API: the one table of routes, what surrounds every request, and a file for each resource.

mod answer;
mod auth;
mod coding;
mod error;
mod headers;
mod inbound;
mod manage;
mod mcp;
mod public;
mod request;
mod state;

use crate::domain::Scope;
use std::sync::LazyLock;
use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError, Route, guard, web};
use uuid::Uuid;

use crate::channels::ChannelKind;
use crate::error::Code;
use crate::telemetry::LogRateLimit;
use error::ApiError;
use inbound::{deliveries, generic, whatsapp};
use manage::{
    audit, backups, channels, contact_export, contacts, events, flows, health, log_in, message_groups, messages,
    metrics, pages, problems, publishing, sessions, settings, simulations, stats, templates, test_cases, tokens,
    webhook_endpoints,
};
use public::{actions, dropdowns, me, polling, session_events, trigger_batch};
use request::BodyLimit;
use state::batches::BATCH_BYTES;

pub(crate) use inbound::deliveries::UNPROVEN_BYTES;
pub(crate) use state::batches::Batches;
pub(crate) use state::follow::follow;
pub(crate) use state::logins::Logins;
pub(crate) use state::problems::watch_problems;
pub(crate) use state::quotas::Quotas;
pub(crate) use state::rate_limit::RateLimit;
pub(crate) use state::requests::Requests;
pub(crate) use state::tokens::Tokens;
pub(crate) use state::watchers::Watchers;
pub(crate) use state::{COMPILED_AT_ONCE, State};

/// Bytes that a flow document may have as a request's body: the document's own limit and some white space.
const DOCUMENT_BYTES: usize = 2 * 1024 * 1024;

/// Says which requests were turned away. Callers send them again and again, and the log has better things to hold.
static TURNED_AWAY: LogRateLimit = LogRateLimit::new();

/// One row of the table of routes.
struct Entry {
    method: Method,
    path: &'static str,
    /// What a token must have; `None` needs no token.
    scope: Option<Scope>,
    body_limit: Option<usize>,
    /// Whether the token of `server.metrics_token` goes in place of one with the scope.
    is_for_scrapers: bool,
    route: fn() -> Route,
}

const fn entry(method: Method, path: &'static str, scope: Option<Scope>, route: fn() -> Route) -> Entry {
    Entry { method, path, scope, body_limit: None, is_for_scrapers: false, route }
}

/// A route that takes a flow document.
const fn document(method: Method, path: &'static str, scope: Option<Scope>, route: fn() -> Route) -> Entry {
    Entry { method, path, scope, body_limit: Some(DOCUMENT_BYTES), is_for_scrapers: false, route }
}

impl Entry {
    const fn limited(mut self, bytes: usize) -> Self {
        self.body_limit = Some(bytes);
        self
    }

    const fn or_metrics_token(mut self) -> Self {
        self.is_for_scrapers = true;
        self
    }
}

const TRIGGER: Option<Scope> = Some(Scope::Trigger);
const API: Option<Scope> = Some(Scope::Api);
const ADMIN: Option<Scope> = Some(Scope::Admin);
const OPEN: Option<Scope> = None;

/// The routes below `/api/v1` and `/v1`, besides [`DELIVERIES`]. Each is described in `static/openapi.yaml`, and each
/// described there is here.
#[rustfmt::skip]
const ROUTES: &[Entry] = &[
    entry(Method::POST, "/actions/trigger-flow", TRIGGER, || web::to(actions::flows::trigger_flow)),
    entry(Method::POST, "/actions/trigger-sequence", TRIGGER, || web::to(actions::sequences::trigger_sequence)),
    entry(Method::POST, "/actions/get-flow", API, || web::to(actions::flows::get_public_flow)),
    entry(Method::POST, "/actions/get-sequence", API, || web::to(actions::sequences::get_public_sequence)),
    entry(Method::GET, "/triggers/new-flow-triggered", API, || web::to(polling::list_triggered_flows)),
    entry(Method::GET, "/triggers/new-sequence-triggered", API, || web::to(polling::list_triggered_sequences)),
    entry(Method::GET, "/triggers/new-message-received", API, || web::to(polling::list_received_messages)),
    entry(Method::GET, "/triggers/new-campaign-sent", API, || web::to(polling::list_sent_campaigns)),
    entry(Method::GET, "/dropdowns/flows", API, || web::to(dropdowns::list_flow_choices)),
    entry(Method::GET, "/dropdowns/sequences", API, || web::to(dropdowns::list_sequence_choices)),
    entry(Method::GET, "/dropdowns/templates", API, || web::to(dropdowns::list_template_choices)),
    entry(Method::GET, "/dropdowns/template-variables", API, || web::to(dropdowns::list_variable_choices)),
    entry(Method::GET, "/me", API, || web::to(me::get_me)),
    entry(Method::POST, "/actions/cancel-flow", TRIGGER, || web::to(actions::flows::cancel_flow)),
    entry(Method::POST, "/actions/send-event", TRIGGER, || web::to(session_events::send_event)),
    entry(Method::POST, "/actions/send-text-message", API, || web::to(actions::messages::send_text_message)),
    entry(Method::POST, "/actions/send-template-message", API, || web::to(actions::messages::send_template_message)),
    entry(Method::POST, "/actions/list-templates", API, || web::to(actions::templates::list_public_templates)),
    entry(Method::POST, "/actions/get-template", API, || web::to(actions::templates::get_public_template)),
    entry(Method::POST, "/actions/create-contact", API, || web::to(actions::contacts::create_contact)),
    entry(Method::POST, "/actions/update-contact", API, || web::to(actions::contacts::update_contact)),
    entry(Method::POST, "/actions/get-contact", API, || web::to(actions::contacts::get_contact)),
    entry(Method::POST, "/actions/search-contacts", API, || web::to(actions::contacts::search_contacts)),
    entry(Method::POST, "/actions/add-tag", API, || web::to(actions::tags::add_tag)),
    entry(Method::POST, "/actions/remove-tag", API, || web::to(actions::tags::remove_tag)),
    entry(Method::POST, "/actions/list-tags", API, || web::to(actions::tags::list_tags)),
    entry(Method::POST, "/sessions/{id}/events", ADMIN, || web::to(session_events::send_session_event)),
    entry(Method::POST, "/inbound", API, || web::to(generic::receive_inbound)),
    entry(Method::GET, "/webhooks/whatsapp", OPEN, || web::to(whatsapp::answer_challenge)),
    entry(Method::GET, "/sessions", ADMIN, || web::to(sessions::list_sessions)),
    entry(Method::GET, "/sessions/{id}", ADMIN, || web::to(sessions::get_session)),
    entry(Method::GET, "/sessions/{id}/turns", ADMIN, || web::to(sessions::list_turns)),
    entry(Method::POST, "/sessions/{id}/cancel", ADMIN, || web::to(sessions::cancel_session)),
    entry(Method::POST, "/sessions/{id}/resume", ADMIN, || web::to(sessions::resume_session)),
    entry(Method::POST, "/sessions/{id}/fire-timeout", ADMIN, || web::to(sessions::fire_timeout)),
    entry(Method::GET, "/contacts", ADMIN, || web::to(contacts::list_contacts)),
    entry(Method::GET, "/contacts/{id}", ADMIN, || web::to(contacts::get_contact)),
    entry(Method::PATCH, "/contacts/{id}", ADMIN, || web::to(contacts::update_contact)),
    entry(Method::DELETE, "/contacts/{id}", ADMIN, || web::to(contacts::delete_contact)),
    entry(Method::POST, "/contacts/{id}/allow-auto-replies", ADMIN, || web::to(contacts::allow_auto_replies)),
    entry(Method::POST, "/contacts/{id}/resume", ADMIN, || web::to(contacts::resume_contact)),
    entry(Method::GET, "/contacts/{id}/export", ADMIN, || web::to(contact_export::export_contact)),
    entry(Method::GET, "/contacts/{id}/messages", ADMIN, || web::to(messages::list_contact_messages)),
    entry(Method::POST, "/contacts/{id}/messages", API, || web::to(messages::answer_contact)),
    entry(Method::GET, "/messages", ADMIN, || web::to(messages::list_messages)),
    entry(Method::POST, "/messages/seen", ADMIN, || web::to(message_groups::mark_messages_seen)),
    entry(Method::POST, "/messages/retry", ADMIN, || web::to(message_groups::retry_messages)),
    entry(Method::POST, "/messages/{id}/retry", ADMIN, || web::to(messages::retry_message)),
    entry(Method::GET, "/flows", ADMIN, || web::to(flows::list_flows)),
    document(Method::POST, "/flows", ADMIN, || web::to(flows::create_flow)),
    document(Method::POST, "/flows/import", ADMIN, || web::to(publishing::import_flow)),
    document(Method::POST, "/flows/validate", ADMIN, || web::to(flows::validate_flow)),
    entry(Method::GET, "/flows/{id}", ADMIN, || web::to(flows::get_flow)),
    document(Method::PUT, "/flows/{id}", ADMIN, || web::to(flows::replace_flow)),
    entry(Method::DELETE, "/flows/{id}", ADMIN, || web::to(flows::delete_flow)),
    entry(Method::GET, "/flows/{id}/export", ADMIN, || web::to(flows::export_flow)),
    entry(Method::POST, "/flows/{id}/duplicate", ADMIN, || web::to(flows::duplicate_flow)),
    entry(Method::POST, "/flows/{id}/publish", ADMIN, || web::to(publishing::publish_flow)),
    entry(Method::POST, "/flows/{id}/unpublish", ADMIN, || web::to(publishing::unpublish_flow)),
    entry(Method::GET, "/flows/{id}/stop", ADMIN, || web::to(publishing::foresee_stop)),
    entry(Method::POST, "/flows/{id}/stop", ADMIN, || web::to(publishing::stop_flow)),
    entry(Method::POST, "/flows/{id}/trigger-batch", TRIGGER, || web::to(trigger_batch::trigger_batch))
        .limited(BATCH_BYTES),
    entry(Method::GET, "/flows/{id}/versions", ADMIN, || web::to(publishing::list_versions)),
    entry(Method::GET, "/flows/{id}/versions/{n}", ADMIN, || web::to(publishing::get_version)),
    entry(Method::POST, "/flows/{id}/versions/{n}/restore", ADMIN, || web::to(publishing::restore_version)),
    entry(Method::GET, "/problems", API, || web::to(problems::list_problems)),
    entry(Method::GET, "/stats", ADMIN, || web::to(stats::get_stats)),
    document(Method::POST, "/simulations", ADMIN, || web::to(simulations::start_simulation)),
    entry(Method::GET, "/simulations/{id}", ADMIN, || web::to(simulations::get_simulation)),
    entry(Method::POST, "/simulations/{id}/events", ADMIN, || web::to(simulations::take_event)),
    entry(Method::GET, "/flows/{id}/test-cases", ADMIN, || web::to(test_cases::list_test_cases)),
    document(Method::POST, "/flows/{id}/test-cases", ADMIN, || web::to(test_cases::create_test_case)),
    entry(Method::POST, "/flows/{id}/test-cases/run", ADMIN, || web::to(test_cases::run_test_cases)),
    entry(Method::DELETE, "/flows/{id}/test-cases/{case_id}", ADMIN, || web::to(test_cases::delete_test_case)),
    entry(Method::GET, "/events", ADMIN, || web::to(events::watch_events)),
    entry(Method::GET, "/templates", API, || web::to(templates::list_templates)),
    entry(Method::POST, "/templates", ADMIN, || web::to(templates::create_template)),
    entry(Method::POST, "/templates/sync", ADMIN, || web::to(templates::sync_templates)),
    entry(Method::GET, "/templates/{id}", API, || web::to(templates::get_template)),
    entry(Method::PATCH, "/templates/{id}", ADMIN, || web::to(templates::update_template)),
    entry(Method::DELETE, "/templates/{id}", ADMIN, || web::to(templates::delete_template)),
    entry(Method::GET, "/channels", ADMIN, || web::to(channels::list_channels)),
    entry(Method::POST, "/channels/{name}/pause", ADMIN, || web::to(channels::pause_channel)),
    entry(Method::POST, "/channels/{name}/resume", ADMIN, || web::to(channels::resume_channel)),
    entry(Method::POST, "/channels/{name}/test", ADMIN, || web::to(channels::test_channel)),
    entry(Method::GET, "/channels/{name}/strays", ADMIN, || web::to(channels::list_strays)),
    entry(Method::GET, "/tokens", ADMIN, || web::to(tokens::list_tokens)),
    entry(Method::POST, "/tokens", ADMIN, || web::to(tokens::create_token)),
    entry(Method::PATCH, "/tokens/{id}", ADMIN, || web::to(tokens::change_token)),
    entry(Method::DELETE, "/tokens/{id}", ADMIN, || web::to(tokens::revoke_token)),
    entry(Method::POST, "/tokens/{id}/rotate", ADMIN, || web::to(tokens::rotate_token)),
    entry(Method::GET, "/webhook-endpoints", ADMIN, || web::to(webhook_endpoints::list_endpoints)),
    entry(Method::POST, "/webhook-endpoints", ADMIN, || web::to(webhook_endpoints::create_endpoint)),
    entry(Method::GET, "/webhook-endpoints/{id}", ADMIN, || web::to(webhook_endpoints::get_endpoint)),
    entry(Method::PATCH, "/webhook-endpoints/{id}", ADMIN, || web::to(webhook_endpoints::update_endpoint)),
    entry(Method::DELETE, "/webhook-endpoints/{id}", ADMIN, || web::to(webhook_endpoints::delete_endpoint)),
    entry(Method::POST, "/webhook-endpoints/{id}/test", ADMIN, || web::to(webhook_endpoints::test_endpoint)),
    entry(Method::POST, "/webhook-endpoints/{id}/try-now", ADMIN, || web::to(webhook_endpoints::try_endpoint)),
    entry(Method::POST, "/webhook-endpoints/{id}/rotate-secret", ADMIN, || web::to(webhook_endpoints::rotate_secret)),
    entry(Method::GET, "/webhook-endpoints/{id}/deliveries", ADMIN, || web::to(webhook_endpoints::list_deliveries)),
    entry(Method::GET, "/backups", ADMIN, || web::to(backups::list_backups)),
    entry(Method::POST, "/backups", ADMIN, || web::to(backups::create_backup)),
    entry(Method::GET, "/backups/{name}", ADMIN, || web::to(backups::download_backup)),
    entry(Method::GET, "/audit", ADMIN, || web::to(audit::list_audit)),
    entry(Method::GET, "/settings", ADMIN, || web::to(settings::list_settings)),
    entry(Method::PUT, "/settings", ADMIN, || web::to(settings::change_settings)),
    entry(Method::GET, "/admin/session", OPEN, || web::to(log_in::get_admin_session)),
    entry(Method::POST, "/admin/set-up", OPEN, || web::to(log_in::set_up_admin)),
    entry(Method::POST, "/admin/log-in", OPEN, || web::to(log_in::log_in_admin)),
    entry(Method::POST, "/admin/log-out", ADMIN, || web::to(log_in::log_out_admin)),
    entry(Method::POST, "/admin/password", ADMIN, || web::to(log_in::change_password)),
    entry(Method::GET, "/openapi.yaml", OPEN, || web::to(pages::get_openapi)),
];

/// The routes at the root.
#[rustfmt::skip]
const ROOT_ROUTES: &[Entry] = &[
    entry(Method::GET, "/healthz", OPEN, || web::to(health::get_health)),
    entry(Method::GET, "/readyz", OPEN, || web::to(health::get_readiness)),
    entry(Method::GET, "/metrics", ADMIN, || web::to(metrics::get_metrics)).or_metrics_token(),
    document(Method::POST, "/mcp", TRIGGER, || web::to(mcp::receive_mcp)),
    // Below the root as well, which is what operators are used to enter at Meta.
    entry(Method::GET, "/webhooks/whatsapp", OPEN, || web::to(whatsapp::answer_challenge)),
];

/// The routes by which deliveries come in, below `/api/v1` and `/v1` and at the root: one for each kind of channel
/// whose provider delivers anything.
static DELIVERIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let paths = ChannelKind::ALL.into_iter().filter_map(|kind| Some(kind.deliveries()?.path));
    let route = || web::to(deliveries::receive_delivery);
    paths.map(|path| entry(Method::POST, path, OPEN, route).limited(deliveries::DELIVERY_BYTES)).collect()
});

/// Adds all routes to an application.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for prefix in ["/api/v1", "/v1"] {
        let mut scope = web::scope(prefix);
        for entries in by_path(ROUTES.iter().chain(DELIVERIES.iter())) {
            scope = scope.service(resource(entries));
        }
        config.service(scope.default_service(web::to(not_found)));
    }
    for entries in by_path(ROOT_ROUTES.iter().chain(DELIVERIES.iter())) {
        config.service(resource(entries));
    }
    // Files and not routes of the API: what they are is the folder's business.
    let files = || guard::Any(guard::Get()).or(guard::Head());
    config
        .route("/", web::route().guard(files()).to(pages::redirect_to_admin))
        .route("/admin", web::route().guard(files()).to(pages::redirect_to_admin))
        .route("/admin/{file:.*}", web::route().guard(files()).to(pages::get_admin_file))
        .route("/docs", web::route().guard(files()).to(pages::redirect_to_docs))
        .route("/docs/{file:.*}", web::route().guard(files()).to(pages::get_docs_file));
    config.default_service(web::to(not_found));
}

/// The entries of each path, in their order.
fn by_path(entries: impl Iterator<Item = &'static Entry>) -> Vec<Vec<&'static Entry>> {
    let mut groups: Vec<Vec<&'static Entry>> = Vec::new();
    for entry in entries {
        match groups.iter_mut().find(|group| group[0].path == entry.path) {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    groups
}

/// All methods of one path, behind its tokens; any other method is answered 405.
fn resource(
    entries: Vec<&'static Entry>,
) -> Resource<
    impl actix_web::dev::ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let path = entries.first().map_or("", |entry| entry.path);
    let mut resource = web::resource(path);
    if let Some(limit) = entries.iter().find_map(|entry| entry.body_limit) {
        resource = resource.app_data(BodyLimit(limit));
    }
    let mut methods: Vec<&str> = entries.iter().map(|entry| entry.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    let allow = methods.join(", ");
    for entry in &entries {
        let takes = guard::Any(guard::Method(entry.method.clone()));
        let takes = if entry.method == Method::GET { takes.or(guard::Head()) } else { takes };
        resource = resource.route((entry.route)().guard(takes));
    }
    resource.default_service(web::to(move || std::future::ready(wrong_method(&allow)))).wrap(from_fn(
        move |request: ServiceRequest, next: Next<BoxBody>| {
            let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
            let entry = entries.iter().find(|entry| entry.method == method);
            let (scope, is_for_scrapers) = entry.map_or((None, false), |entry| (entry.scope, entry.is_for_scrapers));
            async move {
                match scope {
                    Some(_) if is_for_scrapers && auth::has_metrics_token(&request) => next.call(request).await,
                    Some(scope) => auth::authenticate(scope, request, next).await,
                    None => next.call(request).await,
                }
            }
        },
    ))
}

fn wrong_method(allow: &str) -> HttpResponse {
    let error = format!("This path takes {allow}.");
    let mut response = ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, error).error_response();
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    ApiError::nothing_at(request.path()).error_response()
}

/// What surrounds every request: its id, one line in the log, its count in the metrics, the headers that keep its
/// answer from being stored or taken for something else, the body of a failure that only the log explains, and the
/// coding that its client takes.
///
/// Clients put a path behind a base URL that ends with a slash, so `//api/v1/…` is `/api/v1/…`.
pub(crate) async fn surround(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let id = Uuid::now_v7().to_string();
    let method = request.method().clone();
    if request.path().contains("//") {
        merge_slashes(&mut request);
    }
    let mut response = match headers::refuse_contradictions(request.headers()) {
        Ok(()) => next.call(request).await?,
        Err(error) => request.error_response(error),
    };
    let failure = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let body = match failure {
        Some(failed @ ApiError::Failed(error)) => {
            match error.code() {
                Code::Internal | Code::OutcomeUnknown => tracing::error!(request_id = %id, %error, "a request failed"),
                _ => {
                    if let Some(others) = TURNED_AWAY.let_through() {
                        tracing::warn!(request_id = %id, others, %error, "a request was turned away");
                    }
                }
            }
            Some(failed.body(Some(&id)))
        }
        _ => None,
    };
    if let Some(body) = body.filter(|_| response.status().is_server_error()) {
        response = response.map_body(|_, _| BoxBody::new(body.to_string()));
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    // Files set themselves how long they may be kept. Every other answer is personal, or true for the moment only.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The pattern and not the path: ids stay out of the log.
    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let (status, took) = (response.status().as_u16(), started.elapsed());
    if let Some(state) = response.request().app_data::<web::Data<State>>() {
        state.requests.count(&route, &method, status, took);
    }
    let millis = took.as_secs_f64() * 1000.0;
    tracing::debug!(request_id = %id, %method, route, status, millis, "request");
    Ok(coding::compress(response).await)
}

/// Makes one slash of several in a request's path. actix-web's `NormalizePath` does the same by a regular expression on
/// every request, which was an eighth of what a request costs.
fn merge_slashes(request: &mut ServiceRequest) {
    let mut path = request.path().to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.parse().ok();
    // Fewer slashes leave a valid path valid.
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}
