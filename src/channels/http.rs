//! The HTTP client of channels and of outgoing webhooks, and the results of its calls.
//!
//! The difference that matters is whether the far side can have acted: a connection that never came about is retried
//! freely, an answer that never came is not.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, Url};
use rustls::crypto::CryptoProvider;

use crate::error::{Error, Result};

/// How long a connection may take to come about, DNS and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take from its beginning to the end of its answer.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// The interval of probes that find a connection dead which a firewall has forgotten, before a message is lost to it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long a connection is kept for the next call. A far side closes idle ones as well, and a message that is written
/// just then leaves a doubt; a connection anew costs a few round trips.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// The longest that the far side may ask callers to wait: a mistake of it must not silence a channel for days.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// Characters that are shown of what a far side or a library says.
const SHOWN: usize = 500;

/// An answer, of whatever status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the far side asks callers to wait, at most an hour.
    pub retry_after: Option<Duration>,
    /// The scheme and host that a redirect points to: more of it may be secret. It is never followed: a signature or a
    /// token is meant for one host.
    pub location: Option<String>,
    /// The body; of one that breaks off or is too long, what was read of it.
    pub body: Vec<u8>,
    /// The address that answered, where that is known.
    pub from: Option<IpAddr>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection came about: the far side has seen nothing of the request.
    Unreachable(String),
    /// The request was written, in part at least, and no answer came: the far side may have acted on it.
    Ambiguous(String),
}

/// A client with its own pool of connections, as [`builder`] sets it up.
///
/// # Errors
/// When the system has no root certificates.
pub fn client() -> Result<Client> {
    build(builder())
}

/// How clients are set up: system roots, 5 s to connect, 30 s in all, no redirects, and no proxy, whatever the
/// environment says.
pub fn builder() -> ClientBuilder {
    // The client takes the process's provider. The first one installed stays, and this is the only one that is
    // installed.
    if CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Client::builder()
        .user_agent(concat!("qyvo/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(KEEP_ALIVE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .redirect(Policy::none())
        .no_proxy()
}

/// The client that a builder makes.
///
/// # Errors
/// When the system has no root certificates.
pub fn build(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|error| {
        Error::invalid("Cannot make an HTTPS client: install the system's root certificates (ca-certificates)")
            .caused_by(error)
    })
}

/// Makes a call and reads at most `max_body` bytes of its answer.
///
/// # Errors
/// When no answer came. An answer of any status is an [`Answer`].
pub async fn call(request: RequestBuilder, max_body: usize) -> Result<Answer, NoAnswer> {
    let mut response = match request.send().await {
        Ok(response) => response,
        // A request that cannot be built was not written either.
        Err(error) if error.is_connect() || error.is_builder() => {
            return Err(NoAnswer::Unreachable(sentence_of(error)));
        }
        Err(error) => return Err(NoAnswer::Ambiguous(sentence_of(error))),
    };
    let headers = response.headers();
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(|value| {
        let target = response.url().join(value).ok().filter(Url::has_host);
        target.map_or_else(|| "no host".to_owned(), |target| truncate(&target.origin().ascii_serialization(), SHOWN))
    });
    let mut answer = Answer {
        status: response.status().as_u16(),
        retry_after: retry_after(headers),
        location,
        body: Vec::new(),
        from: response.remote_addr().map(|address| address.ip()),
    };
    // If the body breaks off, the status is returned with what came of it; the caller weighs the two.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = max_body.saturating_sub(answer.body.len());
        answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    Ok(answer)
}

/// The first `characters` of a text.
pub fn truncate(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date, which is read against the answer's own
/// `Date`, so that no clock of ours matters.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match asked.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let moment = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_second());
            let sent_at = moment(headers.get(DATE)?.to_str().ok()?)?;
            Duration::from_secs(u64::try_from(moment(asked)?.saturating_sub(sent_at)).unwrap_or(0))
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The error and its causes, without the URL, which may carry something secret.
pub fn sentence_of(error: reqwest::Error) -> String {
    let is_timeout = error.is_timeout();
    let error = error.without_url();
    let mut sentence = if is_timeout { format!("timed out: {error}") } else { error.to_string() };
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    truncate(&sentence, SHOWN)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::channels::testing::{Does, FarSide, nowhere};

    async fn post(url: &str) -> Result<Answer, NoAnswer> {
        call(client().unwrap().post(url).body("x"), 10).await
    }

    #[tokio::test]
    async fn only_what_was_never_written_is_unreachable() {
        for url in [&nowhere().await, "http://no-such-host.invalid/", "https://127.0.0.1:1/", "http://"] {
            let result = post(url).await;
            assert!(matches!(result, Err(NoAnswer::Unreachable(_))), "{url}: {result:?}");
        }
        let dropping = FarSide::listen(|_| vec![Does::Drops]).await;
        let result = post(&dropping.url).await;
        assert!(matches!(result, Err(NoAnswer::Ambiguous(_))), "{result:?}");
        assert_eq!(dropping.received().len(), 1, "it is not tried again by itself");
        let hanging = FarSide::listen(|_| vec![Does::Hangs]).await;
        let request = client().unwrap().post(&hanging.url).timeout(Duration::from_millis(200));
        match call(request, 10).await {
            Err(NoAnswer::Ambiguous(text)) => assert!(text.starts_with("timed out"), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn tls_to_what_speaks_none_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let result = post(&format!("https://{address}/")).await;
        assert!(matches!(result, Err(NoAnswer::Unreachable(_))), "{result:?}");
    }

    #[tokio::test]
    async fn redirects_are_shown_and_not_followed() {
        let elsewhere = FarSide::answering(200, "").await;
        let far_side = FarSide::listen(|_| {
            vec![
                Does::Redirects(307, format!("{}/x?token=secret#part", elsewhere.url)),
                Does::Redirects(307, "/login?token=secret".to_owned()),
                Does::Redirects(307, "https://me:secret@login.example.com/x".to_owned()),
                Does::Redirects(307, "mailto:me@example.com".to_owned()),
            ]
        })
        .await;
        let origin = |url: &str| url.parse::<Url>().unwrap().origin().ascii_serialization();
        for target in [
            origin(&elsewhere.url),
            origin(&far_side.url),
            "https://login.example.com".to_owned(),
            "no host".to_owned(),
        ] {
            let answer = post(&far_side.url).await.unwrap();
            assert_eq!((answer.status, answer.location), (307, Some(target)));
        }
        assert!(elsewhere.received().is_empty());
        let request = &far_side.received()[0];
        assert_eq!(request.header("user-agent"), Some(concat!("qyvo/", env!("CARGO_PKG_VERSION"))));
    }

    #[tokio::test]
    async fn bodies_are_read_as_far_as_they_go_and_are_allowed() {
        let long = FarSide::answering(500, "0123456789abc").await;
        let answer = post(&long.url).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (500, b"0123456789".as_slice()));
        let broken = FarSide::listen(|_| vec![Does::BreaksOff("half")]).await;
        let answer = post(&broken.url).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"half".as_slice()));
    }

    #[tokio::test]
    async fn no_error_shows_the_url() {
        let url = format!("{}/secret-path?token=secret", nowhere().await);
        match post(&url).await {
            Err(NoAnswer::Unreachable(text)) => assert!(!text.contains("secret"), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_an_hour() {
        let wait = |pairs: &[(HeaderName, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            retry_after(&headers.collect()).map(|wait| wait.as_secs())
        };
        let date = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[(RETRY_AFTER, "7")]), Some(7));
        assert_eq!(wait(&[(RETRY_AFTER, "99999999999")]), Some(3600));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT"), date.clone()]), Some(30));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:40:00 GMT"), date.clone()]), Some(0));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT")]), None, "against which clock?");
        assert_eq!(wait(&[(RETRY_AFTER, "soon"), date]), None);
        assert_eq!(wait(&[(RETRY_AFTER, "-1")]), None);
        assert_eq!(wait(&[]), None);
    }
}
