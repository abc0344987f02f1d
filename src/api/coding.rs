//! Content codings: compressing answers for clients that accept it, and decompressing bodies.
//!
//! An answer of more than [`WORTH`] bytes goes out in the coding that `Accept-Encoding` prefers (RFC 9110, section
//! 12.5.3), with `Vary` and, if it has an `ETag`, a different one for each coding. Small answers, such as those to
//! triggers, cost nothing. Streams are not coded: their pieces are small, and a client waits for each.
//!
//! Compressing an answer that has both a secret and a text of another party reveals the secret by its length to an
//! attacker who can have many such requests sent and watch them (BREACH). Here that is impossible: a token is no
//! browser's, and the admin page's cookie goes with no request of another site. The answers that show a secret are
//! smaller than [`WORTH`] besides.

use std::io::{self, Read, Write};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::api::error::ApiError;

/// Bytes up to which an answer is not worth compressing.
pub(super) const WORTH: u64 = 1024;
/// Bytes that are compressed or decompressed on the thread that answers: it takes some milliseconds. More goes to one
/// that may block.
const MAX_IN_PLACE: usize = 256 * 1024;

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Coding {
    /// Not at all.
    Identity,
    /// As of RFC 1952.
    Gzip,
    /// As of RFC 7932.
    Brotli,
}

/// How much work compressing is worth.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effort {
    /// It is done for this answer.
    Once,
    /// The result is kept.
    Kept,
}

impl Coding {
    /// The best first, for clients that rank several alike.
    const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Identity];

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// The value of `Content-Encoding`, if there is one.
    pub(super) fn header(self) -> Option<HeaderValue> {
        (self != Self::Identity).then(|| HeaderValue::from_static(self.name()))
    }

    /// What sets the `ETag` of a coded answer apart from that of the same one in another coding.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gzip",
            Self::Brotli => "-br",
        }
    }

    /// The coding that a client prefers. One that takes nothing that there is gets the answer as it is, which is of
    /// more use to it than a refusal (RFC 9110, section 15.5.7).
    pub(super) fn preferred(headers: &HeaderMap) -> Self {
        let accepted = Accepted::of(headers);
        let weights = Self::ALL.map(|coding| (accepted.weight(coding), coding));
        // The first of several that weigh the same.
        let best = weights.iter().rev().max_by_key(|(weight, _)| *weight);
        best.filter(|(weight, _)| *weight > 0).map_or(Self::Identity, |(_, coding)| *coding)
    }

    /// Codes bytes.
    ///
    /// # Errors
    /// What the coder says; it has no reason to, since it writes to memory.
    fn encode(self, bytes: &Bytes, effort: Effort) -> io::Result<Bytes> {
        let mut coded = Vec::with_capacity(bytes.len() / 4);
        match self {
            Self::Identity => return Ok(bytes.clone()),
            Self::Gzip => {
                let level = Compression::new(if matches!(effort, Effort::Once) { 6 } else { 9 });
                let mut encoder = GzEncoder::new(&mut coded, level);
                encoder.write_all(bytes)?;
                encoder.finish()?;
            }
            Self::Brotli => {
                let quality = if matches!(effort, Effort::Once) { 4 } else { 9 };
                let params = brotli::enc::BrotliEncoderParams { quality, lgwin: 19, ..Default::default() };
                brotli::BrotliCompress(&mut bytes.as_ref(), &mut coded, &params)?;
            }
        }
        Ok(coded.into())
    }
}

/// What a client's `Accept-Encoding` says, as thousandths; a coding that it does not name weighs what `*` does.
struct Accepted {
    named: [Option<u16>; 3],
    any: Option<u16>,
    /// It names a coding, ours or not.
    is_choosy: bool,
}

impl Accepted {
    fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self { named: [None; 3], any: None, is_choosy: false };
        let lines = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
        for item in lines.flat_map(|line| line.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let Some(weight) = read_weight(parts) else { continue };
            let name = if name == "x-gzip" { "gzip" } else { name.as_str() };
            accepted.is_choosy |= !name.is_empty();
            if name == "*" {
                accepted.any = Some(weight);
            } else if let Some(index) = Coding::ALL.iter().position(|coding| coding.name() == name) {
                accepted.named[index] = Some(weight);
            }
        }
        accepted
    }

    fn weight(&self, coding: Coding) -> u16 {
        let index = Coding::ALL.iter().position(|one| *one == coding).unwrap_or_default();
        let other = match (coding, self.any) {
            (_, Some(any)) => any,
            // Allowed where nothing forbids it, and behind all that is named.
            (Coding::Identity, None) if self.is_choosy => 1,
            // A client that says nothing of codings is given none.
            (Coding::Identity, None) => 1000,
            (_, None) => 0,
        };
        self.named[index].unwrap_or(other)
    }
}

/// The weight of an item, of its parameters, in thousandths; `None` if it cannot be read, and the item is passed over.
fn read_weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    let Some(parameter) = parameters.next() else { return Some(1000) };
    let (name, value) = parameter.split_once('=')?;
    let value: f32 = value.trim().parse().ok()?;
    let is_weight = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&value);
    // Below a thousandth there is no weight but none.
    is_weight.then(|| (value * 1000.0).round() as u16)
}

/// The marker of an answer that goes out as it is.
struct AsItIs;

/// Has an answer go out as it is.
pub(super) fn leave_as_it_is(response: &mut HttpResponse) {
    response.extensions_mut().insert(AsItIs);
}

/// Compresses an answer as its client takes it, if it is whole, has a body worth it, and is not coded already.
pub(super) async fn compress(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let BodySize::Sized(size) = response.response().body().size() else { return response };
    if size == 0 || (size <= WORTH && !refuses_identity(response.request().headers())) {
        return response;
    }
    let headers = response.headers();
    let is_left = headers.contains_key(CONTENT_ENCODING) || response.response().extensions().get::<AsItIs>().is_some();
    if is_left || !headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_compressible) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let coding = Coding::preferred(response.request().headers());
    let Some(name) = coding.header() else { return response };
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return ServiceResponse::new(request, response.set_body(body)),
    };
    let Some(body) = encode(coding, bytes.clone(), Effort::Once).await else {
        return ServiceResponse::new(request, response.set_body(BoxBody::new(bytes)));
    };
    let mut response = response;
    response.headers_mut().insert(CONTENT_ENCODING, name);
    if let Some(tag) = response.headers().get(ETAG).and_then(|tag| coded_tag(tag, coding)) {
        response.headers_mut().insert(ETAG, tag);
    }
    ServiceResponse::new(request, response.set_body(BoxBody::new(body)))
}

/// Whether a client takes nothing that is not coded. Few say so, and all others must not pay for asking.
fn refuses_identity(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    lines.any(|line| line.contains("=0") || line.contains("= 0")) && Accepted::of(headers).weight(Coding::Identity) == 0
}

/// Codes bytes, many of them on a thread that may block. `None` if that failed, which is logged.
pub(super) async fn encode(coding: Coding, bytes: Bytes, effort: Effort) -> Option<Bytes> {
    let coded = if bytes.len() <= MAX_IN_PLACE && matches!(effort, Effort::Once) {
        coding.encode(&bytes, effort)
    } else {
        web::block(move || coding.encode(&bytes, effort)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    };
    coded.inspect_err(|error| tracing::error!(%error, coding = coding.name(), "an answer was not compressed")).ok()
}

/// Whether a media type has what compresses: text, whatever it is called.
pub(super) fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/") && essence != "text/event-stream"
        || ["json", "javascript", "yaml", "xml"].iter().any(|kind| essence.ends_with(kind))
}

fn coded_tag(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let inner = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::from_str(&format!("{inner}{}\"", coding.tag())).ok()
}

/// An entity tag, without its quotes, as it is without a coding.
pub(super) fn plain_tag(tag: &str) -> &str {
    let coded = Coding::ALL.iter().filter(|coding| !coding.tag().is_empty());
    coded.filter_map(|coding| tag.strip_suffix(coding.tag())).next().unwrap_or(tag)
}

/// How a request's body is coded: not at all, or by gzip.
///
/// # Errors
/// 415 for every other coding, and for several of them.
pub(super) fn of_body(request: &HttpRequest) -> Result<Coding, ApiError> {
    let lines = request.headers().get_all(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let names: Vec<String> = lines
        .flat_map(|line| line.split(',').map(|name| name.trim().to_ascii_lowercase()).collect::<Vec<_>>())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(Coding::Identity),
        ["gzip" | "x-gzip"] => Ok(Coding::Gzip),
        _ => Err(ApiError::UnknownCoding(names.join(", "))),
    }
}

/// Why something could not be unpacked.
#[derive(Debug)]
pub(super) enum Unpacking {
    /// There is more than was allowed.
    TooLong,
    /// The body is not in the coding that its header names.
    Unreadable(io::Error),
}

/// What gzip has packed, if that is at most `limit` bytes. One byte beyond them ends it, however many there would be.
pub(super) async fn unpack(packed: Bytes, limit: usize) -> Result<Bytes, Unpacking> {
    if limit <= MAX_IN_PLACE {
        return gunzip(&packed, limit);
    }
    let unpacking = web::block(move || gunzip(&packed, limit)).await;
    unpacking.unwrap_or_else(|error| Err(Unpacking::Unreadable(io::Error::other(error))))
}

fn gunzip(packed: &[u8], limit: usize) -> Result<Bytes, Unpacking> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut plain);
    match read {
        _ if plain.len() > limit => Err(Unpacking::TooLong),
        Ok(_) => Ok(plain.into()),
        Err(error) => Err(Unpacking::Unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(lines: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        Coding::preferred(&headers).name()
    }

    #[test]
    fn the_coding_that_weighs_most_is_taken() {
        for (lines, coding) in [
            (&[][..], "identity"),
            (&[""], "identity"),
            (&["gzip"], "gzip"),
            (&["br"], "br"),
            (&["BR"], "br"),
            (&["x-gzip"], "gzip"),
            (&["gzip, br"], "br"),
            (&["gzip", "br"], "br"),
            (&["gzip, deflate, br, zstd"], "br"),
            (&["gzip;q=1.0, br;q=0.9"], "gzip"),
            (&["gzip; q=0.5 , br;Q=0.4"], "gzip"),
            (&["br;q=0, gzip"], "gzip"),
            (&["br;q=0, gzip;q=0"], "identity"),
            (&["br;q=0.000, *"], "gzip"),
            (&["*"], "br"),
            (&["*;q=0"], "identity"),
            (&["*;q=0, gzip"], "gzip"),
            (&["gzip;q=0.001"], "gzip"),
            (&["identity"], "identity"),
            (&["identity, gzip;q=0.5"], "identity"),
            (&["identity;q=0.5, gzip;q=1"], "gzip"),
            (&["identity;q=0"], "identity"),
            (&["identity;q=0, gzip"], "gzip"),
            (&["identity;q=0, *"], "br"),
            (&["deflate"], "identity"),
            (&["deflate, compress, zstd"], "identity"),
            (&["gzip;q=2"], "identity"),
            (&["gzip;q=-1, br;q=x"], "identity"),
            (&["gzip;level=9"], "identity"),
            (&["gzip;q"], "identity"),
            (&[";q=1, ,, gzip"], "gzip"),
        ] {
            assert_eq!(preferred(lines), coding, "{lines:?}");
        }
    }

    #[test]
    fn only_who_refuses_what_is_not_coded_has_small_answers_coded() {
        for (line, refuses) in [
            ("gzip", false),
            ("identity;q=0, gzip", true),
            ("gzip, *;q=0", true),
            ("gzip, *; q= 0.0", true),
            ("br;q=0, gzip", false),
            ("gzip, identity;q=0.5, *;q=0", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(line));
            assert_eq!(refuses_identity(&headers), refuses, "{line}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let zeros = Bytes::from(vec![0; 50 * 1024 * 1024]);
        let bomb = Coding::Gzip.encode(&zeros, Effort::Kept).unwrap();
        assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
        assert!(matches!(gunzip(&bomb, 1000), Err(Unpacking::TooLong)));
        let twice = [&Coding::Gzip.encode(&Bytes::from_static(b"{}"), Effort::Once).unwrap()[..], &bomb[..]].concat();
        assert!(matches!(gunzip(&twice, 1000), Err(Unpacking::TooLong)), "a second member counts, too");
    }

    #[test]
    fn what_is_coded_is_what_was_there() {
        let text = Bytes::from(r#"{"a": "Grüße", "b": [1, 2, 3]}"#.repeat(100));
        for effort in [Effort::Once, Effort::Kept] {
            let coded = Coding::Gzip.encode(&text, effort).unwrap();
            assert!(coded.len() < text.len() / 10);
            assert_eq!(gunzip(&coded, text.len()).unwrap(), text);
            assert!(matches!(gunzip(&coded, text.len() - 1), Err(Unpacking::TooLong)));
            assert!(gunzip(&coded[..coded.len() - 1], text.len()).is_err(), "its end is missing");
            assert!(gunzip(&[&coded[..], b"x"].concat(), text.len()).is_err(), "something stands behind it");
            let coded = Coding::Brotli.encode(&text, effort).unwrap();
            let mut plain = Vec::new();
            brotli::BrotliDecompress(&mut &coded[..], &mut plain).unwrap();
            assert_eq!(plain, text);
        }
        assert!(gunzip(b"{}", 10).is_err());
    }

    #[test]
    fn tags_are_told_apart_by_their_coding() {
        let tag = HeaderValue::from_static("\"7\"");
        assert_eq!(coded_tag(&tag, Coding::Brotli).unwrap(), "\"7-br\"");
        assert_eq!(coded_tag(&HeaderValue::from_static("W/\"7\""), Coding::Gzip).unwrap(), "W/\"7-gzip\"");
        assert_eq!([plain_tag("7-br"), plain_tag("7-gzip"), plain_tag("7"), plain_tag("x-y")], ["7", "7", "7", "x-y"]);
    }
}
