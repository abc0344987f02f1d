//! The files that are part of the program: the admin page, and the API's description with the page that shows it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::page_lists;
use crate::api::coding::{Coding, Effort, WORTH, encode, is_compressible, leave_as_it_is, unpack};
use crate::api::error::ApiError;
use crate::error::Error;

/// What the page may load, and who may show it: its own files and nothing else.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// What the page that shows the API may load: this server's scripts, styles and answers. Swagger UI, which draws it,
/// has its icons as `data:` in its style sheet.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files that are part of the program.
#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// `GET /`: where people begin. Browsers keep what stands behind the `#` of an address that is redirected.
pub(in crate::api) async fn redirect_to_admin() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/admin/")).finish()
}

/// `GET /admin/…`: the application and what it loads, and below `old/` the page before it.
pub(in crate::api) async fn get_admin_file(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    let file = match path.as_str() {
        "" => StaticFile::application(),
        "old" => return HttpResponse::SeeOther().insert_header((header::LOCATION, "/admin/old/")).finish(),
        "old/" => StaticFile::at("old/index.html"),
        "lists.js" | "old/lists.js" => Some(StaticFile::lists()),
        name if name == lists_name() => Some(StaticFile { is_named_by_content: true, ..StaticFile::lists() }),
        name => match name.strip_prefix("old/") {
            Some(name) => StaticFile::at(&format!("old/{name}")),
            None => StaticFile::built(name),
        },
    };
    match file {
        Some(file) => answer(&request, file).await,
        None => ApiError::nothing_at(request.path()).error_response(),
    }
}

/// `GET /docs`: the page below it, to whose folder its links are relative.
pub(in crate::api) async fn redirect_to_docs() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/docs/")).finish()
}

/// `GET /docs/…`: the page that shows the API, and what it loads.
pub(in crate::api) async fn get_docs_file(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    let name = if path.is_empty() { "index.html" } else { path.as_str() };
    let Some(file) = StaticFile::at(&format!("docs/{name}")) else {
        return ApiError::nothing_at(request.path()).error_response();
    };
    let mut response = answer(&request, file).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    response
}

/// `GET /openapi.yaml`: this API, described.
pub(in crate::api) async fn get_openapi(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    match StaticFile::at("openapi.yaml") {
        Some(file) => Ok(answer(&request, StaticFile { content_type: "application/yaml".to_owned(), ..file }).await),
        None => Err(ApiError::not_found("Not found")),
    }
}

/// A file of the program's.
struct StaticFile {
    data: Cow<'static, [u8]>,
    /// SHA-256 of `data`.
    hash: [u8; 32],
    content_type: String,
    /// Whether the data are compressed by gzip, as large files in the program are.
    is_packed: bool,
    /// Whether its name has a hash of what is in it, so that there is never anything else under that name.
    is_named_by_content: bool,
}

/// Where the build of the application puts files that are named by their content.
const ASSETS: &str = "assets/";

/// What `index.html` calls the script of lists, where the server puts the name that it has by its content.
const LISTS: &str = "\"lists.js\"";

/// The name of the script of lists by its content.
fn lists_name() -> String {
    format!("lists-{}.js", hex::encode(&StaticFile::lists().hash[..8]))
}

impl StaticFile {
    fn at(name: &str) -> Option<Self> {
        if let Some(file) = Files::get(name) {
            let content_type = with_charset(file.metadata.mimetype());
            let hash = file.metadata.sha256_hash();
            return Some(Self { hash, data: file.data, content_type, is_packed: false, is_named_by_content: false });
        }
        let file = Files::get(&format!("{name}.gz"))?;
        let content_type = with_charset(if name.ends_with(".css") { "text/css" } else { "text/javascript" });
        let hash = file.metadata.sha256_hash();
        Some(Self { hash, data: file.data, content_type, is_packed: true, is_named_by_content: false })
    }

    /// A file of the application.
    fn built(name: &str) -> Option<Self> {
        let file = Self::at(&format!("admin/{name}"))?;
        Some(Self { is_named_by_content: name.starts_with(ASSETS), ..file })
    }

    /// The application's page, which names all that it loads by its content.
    fn application() -> Option<Self> {
        let file = Self::at("admin/index.html")?;
        let page = String::from_utf8_lossy(&file.data).replacen(LISTS, &format!("\"{}\"", lists_name()), 1);
        Some(Self { hash: Sha256::digest(&page).into(), data: Cow::Owned(page.into_bytes()), ..file })
    }

    /// The script of what the admin page lists, which is in no file.
    fn lists() -> Self {
        static LISTS: LazyLock<(String, [u8; 32])> = LazyLock::new(|| {
            let script = page_lists::script();
            let hash = Sha256::digest(&script).into();
            (script, hash)
        });
        let (script, hash) = &*LISTS;
        let content_type = with_charset("text/javascript");
        let data = Cow::Borrowed(script.as_bytes());
        Self { data, hash: *hash, content_type, is_packed: false, is_named_by_content: false }
    }

    /// The file in a coding. It is made when it is first asked for, and kept.
    async fn coded(self, coding: Coding) -> Option<Bytes> {
        // A release build holds the files in itself, and nothing of them is copied; a debug build reads them.
        let stored = match self.data {
            Cow::Borrowed(data) => Bytes::from_static(data),
            Cow::Owned(data) => Bytes::from(data),
        };
        if coding == if self.is_packed { Coding::Gzip } else { Coding::Identity } {
            return Some(stored);
        }
        let key = (self.hash, coding);
        let kept = CODED.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(kept) = kept {
            return Some(kept);
        }
        let plain = if self.is_packed { unpack(stored, FILE_BYTES).await.ok()? } else { stored };
        let coded = if coding == Coding::Identity { plain } else { encode(coding, plain, Effort::Kept).await? };
        CODED.lock().unwrap_or_else(PoisonError::into_inner).insert(key, coded.clone());
        Some(coded)
    }
}

/// Files as they were asked for, by the hash of what is stored: no more than there are files and codings.
static CODED: LazyLock<Mutex<Coded>> = LazyLock::new(Mutex::default);

type Coded = HashMap<([u8; 32], Coding), Bytes>;

/// Bytes that a file which lies in the program compressed has at the most.
const FILE_BYTES: usize = 16 * 1024 * 1024;

/// A file, in the coding that its client prefers, or 304 to a client that has it. A file that is named by its content
/// is kept without asking; no other is, because a new program comes with new files.
async fn answer(request: &HttpRequest, file: StaticFile) -> HttpResponse {
    let is_worth_it = file.is_packed || file.data.len() as u64 > WORTH;
    let varies = is_worth_it && is_compressible(&file.content_type);
    let coding = if varies { Coding::preferred(request.headers()) } else { Coding::Identity };
    let etag = format!("\"{}{}\"", hex::encode(&file.hash[..16]), coding.tag());
    let is_known = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == etag);
    let kept = if file.is_named_by_content { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(kept)))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .insert_header((header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")));
    if varies {
        response.insert_header((header::VARY, HeaderValue::from_static("Accept-Encoding")));
    }
    if is_known {
        return response.finish();
    }
    response.content_type(file.content_type.as_str());
    if let Some(name) = coding.header() {
        response.insert_header((header::CONTENT_ENCODING, name));
    }
    match file.coded(coding).await {
        Some(body) => {
            let mut response = response.body(body);
            leave_as_it_is(&mut response);
            response
        }
        None => ApiError::from(Error::internal("A file of the program cannot be coded")).error_response(),
    }
}

fn with_charset(mime: &str) -> String {
    let is_text = mime.starts_with("text/") || mime.ends_with("javascript") || mime.ends_with("json");
    if is_text { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}
