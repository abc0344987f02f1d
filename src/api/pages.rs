//! The files that are part of the program: the admin page, and the API's description with the page that shows it.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error::ApiError;

/// What the page may load, and who may show it: its own files and nothing else.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// What the page that shows the API may load: this server's scripts, styles and answers. Swagger UI, which draws it, has its
/// icons as `data:` in its style sheet.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files that are part of the program.
#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// `GET /`: where people begin.
pub(super) async fn redirect_to_admin() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/admin/")).finish()
}

/// `GET /admin/…`: the page and what it loads.
pub(super) async fn get_admin_file(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    let name = if path.is_empty() { "index.html" } else { path.as_str() };
    match Files::get(&format!("admin/{name}")) {
        Some(file) => answer(&request, file, None),
        None => super::nothing_at(request.path()),
    }
}

/// `GET /docs`: the page below it, to whose folder its links are relative.
pub(super) async fn redirect_to_docs() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/docs/")).finish()
}

/// `GET /docs/…`: the page that shows the API, and what it loads. What is large is kept compressed and sent so, for every
/// browser takes it.
pub(super) async fn get_docs_file(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    let name = if path.is_empty() { "index.html" } else { path.as_str() };
    let mut response = if let Some(file) = Files::get(&format!("docs/{name}")) {
        answer(&request, file, None)
    } else if let Some(file) = Files::get(&format!("docs/{name}.gz")) {
        let content_type = if name.ends_with(".css") { "text/css" } else { "text/javascript" };
        let mut response = answer(&request, file, Some(&with_charset(content_type)));
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        return super::nothing_at(request.path());
    };
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    response
}

/// `GET /openapi.yaml`: this API, described.
pub(super) async fn get_openapi(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    match Files::get("openapi.yaml") {
        Some(file) => Ok(answer(&request, file, Some("application/yaml"))),
        None => Err(ApiError::not_found("Not found")),
    }
}

/// A file, or 304 to who has it. Nothing is kept without asking: a new program comes with new files.
fn answer(request: &HttpRequest, file: EmbeddedFile, content_type: Option<&str>) -> HttpResponse {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let is_known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|one| one.trim().trim_start_matches("W/") == etag));
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .insert_header((header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")));
    if is_known {
        return response.finish();
    }
    let content_type = content_type.map_or_else(|| with_charset(file.metadata.mimetype()), str::to_owned);
    // A release build holds the files in itself, and nothing of them is copied; a debug build reads them.
    let data = match file.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    };
    response.content_type(content_type).body(data)
}

fn with_charset(mime: &str) -> String {
    let is_text = mime.starts_with("text/") || mime.ends_with("javascript") || mime.ends_with("json");
    if is_text { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}
