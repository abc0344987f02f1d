//! Protection from pages of other sites: a browser on the user's machine must not give them access.
//!
//! A page can make its own name point to an address inside the user's network (DNS rebinding) and then talk to what is
//! there as if it were its own server. The protocol therefore wants `Origin` checked (specification of 2025-06-18,
//! "Streamable HTTP", Security Warning). A token is needed besides, which such a page does not have.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HOST, HeaderName, ORIGIN};

use crate::api::error::ApiError;

/// Refuses requests that were sent to a name which is not this server's, or by a page of another server.
///
/// This server's names are that of `server.public_url` and those which no stranger can point elsewhere: addresses, and
/// names without a dot, such as `localhost` or a container's.
pub(super) fn check(request: &HttpRequest, public_url: &str) -> Result<(), ApiError> {
    let Some(host) = header(request, HOST) else { return refused("The header Host is missing.") };
    if !is_ours(host, public_url) {
        return refused(&format!("This server is not known as `{host}`."));
    }
    match header(request, ORIGIN) {
        Some(origin) if !is_same(origin, host, public_url) => {
            refused(&format!("Pages of `{origin}` may not call this server."))
        }
        _ if request.headers().contains_key(ORIGIN) && header(request, ORIGIN).is_none() => {
            refused("The header Origin cannot be read.")
        }
        _ => Ok(()),
    }
}

fn refused(text: &str) -> Result<(), ApiError> {
    let hint = "Set `server.public_url` to the address that clients use for this server.";
    Err(ApiError::refused(StatusCode::FORBIDDEN, text).hint(hint))
}

fn header(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

fn is_ours(host: &str, public_url: &str) -> bool {
    let name = without_port(host);
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_local = !name.is_empty() && !name.contains(['.', ':']);
    is_address || is_local || authority(public_url).is_some_and(|ours| without_port(ours).eq_ignore_ascii_case(name))
}

/// Whether a page is of the server that it calls.
fn is_same(origin: &str, host: &str, public_url: &str) -> bool {
    let Some(of_page) = authority(origin) else { return false };
    let is_public = authority(public_url).is_some_and(|ours| {
        scheme(public_url).eq_ignore_ascii_case(scheme(origin)) && ours.eq_ignore_ascii_case(of_page)
    });
    is_public || of_page.eq_ignore_ascii_case(host)
}

fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

/// A URL's host and port.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_names_are_not_ours() {
        let public = "https://flows.example.com";
        for host in
            ["flows.example.com", "FLOWS.example.com:443", "127.0.0.1:8080", "[::1]:8080", "localhost", "qyvo:80"]
        {
            assert!(is_ours(host, public), "{host}");
        }
        for host in ["evil.example", "flows.example.com.evil.example", "example.com", "evil.example:8080", "", ":80"] {
            assert!(!is_ours(host, public), "{host}");
        }
        assert!(!is_ours("flows.example.com", ""), "no name is known where none is configured");
        assert!(is_ours("10.0.0.7:8080", ""));
    }

    #[test]
    fn only_pages_of_this_server_may_call_it() {
        let public = "https://flows.example.com";
        assert!(is_same("https://flows.example.com", "127.0.0.1:8080", public), "behind a proxy that renames the host");
        assert!(is_same("http://127.0.0.1:8080", "127.0.0.1:8080", ""));
        for origin in [
            "http://flows.example.com",
            "https://flows.example.com:8443",
            "https://evil.example",
            "http://127.0.0.1:3000",
            "http://localhost:8080",
            "null",
            "",
        ] {
            assert!(!is_same(origin, "127.0.0.1:8080", public), "{origin}");
        }
    }
}
