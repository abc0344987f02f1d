//! One attempt of a flow's HTTP call: the addresses that it may reach, and how its answer is read.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::Resolve;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::channels::http;
use crate::domain::HttpCall;
use crate::domain::text::json_depth;
use crate::domain::unicode_form::json_as_utf8;
use crate::engine::limits;
use crate::error::Result;
use crate::runtime::address_guard::{Guard, Guarded, Refused, System};

/// Bytes that an answer's body may have.
pub(super) const BODY_BYTES: usize = 256 * 1024;
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Connections that are kept open to one host.
const IDLE_PER_HOST: usize = 4;
/// The header that a call's id goes out in, the same over all its attempts: the far side can recognize a repetition by
/// it. The name is the one of draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Headers that belong to the connection and not to the call (RFC 9110, section 7.6.1), and those that say how long the
/// body is: the client writes them itself.
const NOT_THEIRS: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Headers that are kept on a redirect to another host: any other may carry a secret, and their names cannot be listed.
const GOES_ALONG: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT, IDEMPOTENCY_KEY];

/// The HTTP client of calls, which checks each address before it connects.
pub(super) struct Fetcher {
    client: Client,
    guard: Arc<Guard>,
}

/// An answer, of whatever status.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long the far side asks callers to wait.
    pub(super) retry_after: Option<Duration>,
    /// JSON, or else text; `null` for an empty body.
    pub(super) body: Value,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Something on the way: another attempt may fare better.
    Passing(String),
    /// The call itself: another attempt would fare no better.
    Lasting(String),
}

impl Fetcher {
    /// A fetcher that calls the public internet, and these networks.
    ///
    /// # Errors
    /// When the system has no root certificates.
    pub(super) fn new(allow: Vec<IpNet>) -> Result<Self> {
        Self::with_resolver(allow, Arc::new(System::default()))
    }

    fn with_resolver(allow: Vec<IpNet>, inner: Arc<dyn Resolve>) -> Result<Self> {
        let guard = Arc::new(Guard::new(allow));
        let builder = http::builder()
            .dns_resolver(Arc::new(Guarded { inner, guard: guard.clone() }))
            .pool_max_idle_per_host(IDLE_PER_HOST)
            // Bytes that have arrived wait in memory before they are counted.
            .http2_initial_stream_window_size(u32::try_from(BODY_BYTES).ok());
        Ok(Self { client: http::build(builder)?, guard })
    }

    /// Makes one attempt, redirects and the whole body included, within the call's own timeout.
    ///
    /// # Errors
    /// When no answer came, or none that can be taken.
    pub(super) async fn fetch(&self, call: &HttpCall, key: &str) -> Result<Answer, Failure> {
        let timeout = Duration::from_millis(call.timeout_ms.into());
        match tokio::time::timeout(timeout, self.follow(call, key)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Passing(format!("no whole answer within {} ms", call.timeout_ms))),
        }
    }

    async fn follow(&self, call: &HttpCall, key: &str) -> Result<Answer, Failure> {
        let lasting = |why: &dyn std::fmt::Display| Failure::Lasting(why.to_string());
        let mut url: Url =
            call.url.parse().map_err(|error| Failure::Lasting(format!("the URL cannot be read: {error}")))?;
        let mut method = Method::from_bytes(call.method.as_bytes()).map_err(|error| lasting(&error))?;
        let mut body = call.body.clone();
        let mut headers = headers_of(call, key)?;
        for _ in 0..=REDIRECTS {
            self.guard.check_url(&url).map_err(|why| lasting(&why))?;
            let mut request = self.client.request(method.clone(), url.clone()).headers(headers.clone());
            if let Some(body) = &body {
                request = request.body(body.clone());
            }
            let response = request.send().await.map_err(failure_of)?;
            let Some(target) = target(&url, &response)? else { return read(response).await };
            if leaves_encryption(&url, &target) {
                return Err(Failure::Lasting("a redirect leads from https to http".to_owned()));
            }
            if target.origin() != url.origin() {
                headers =
                    headers.into_iter().filter(goes_along).filter_map(|(name, value)| Some((name?, value))).collect();
            }
            if turns_to_get(response.status(), &method) {
                method = Method::GET;
                body = None;
                headers.remove(header::CONTENT_TYPE);
            }
            url = target;
        }
        Err(Failure::Lasting(format!("more than {REDIRECTS} redirects")))
    }
}

fn leaves_encryption(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

fn goes_along((name, _): &(Option<HeaderName>, HeaderValue)) -> bool {
    name.as_ref().is_some_and(|name| GOES_ALONG.contains(name))
}

/// Where an answer redirects to, if it does.
fn target(from: &Url, response: &Response) -> Result<Option<Url>, Failure> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(header::LOCATION) else { return Ok(None) };
    // Servers write more than ASCII there.
    let location = String::from_utf8_lossy(location.as_bytes());
    let target = from.join(&location);
    target.map(Some).map_err(|error| Failure::Lasting(format!("a redirect's URL cannot be read: {error}")))
}

/// Whether a redirect is followed with GET and without a body (the Fetch standard, "HTTP-redirect fetch").
fn turns_to_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => method == Method::POST,
        303 => method != Method::GET && method != Method::HEAD,
        _ => false,
    }
}

fn headers_of(call: &HttpCall, key: &str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    if let Ok(key) = HeaderValue::from_str(key) {
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    for (name, value) in &call.headers {
        let wrong = || Failure::Lasting(format!("the header `{name}` cannot be sent"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
        if !NOT_THEIRS.contains(&name) {
            headers.insert(name, value);
        }
    }
    let is_json = |body: &String| serde_json::from_str::<IgnoredAny>(body).is_ok();
    if call.body.as_ref().is_some_and(is_json) && !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(headers)
}

/// Reads an answer to its end, or until it is too long. The announced length is not trusted.
async fn read(mut response: Response) -> Result<Answer, Failure> {
    let status = response.status().as_u16();
    let headers = response.headers();
    let retry_after = http::retry_after(headers);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = is_json_type(content_type);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure_of)? {
        if body.len() + chunk.len() > BODY_BYTES {
            return Err(Failure::Lasting(format!("the answer has more than {BODY_BYTES} bytes (status {status})")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, retry_after, body: value_of(&body, is_json) })
}

fn is_json_type(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// A body as a flow sees it. A body that is not declared as JSON is parsed as JSON only if it begins like an object or
/// a list: an order number in a plain text keeps its zeros.
fn value_of(body: &[u8], is_json: bool) -> Value {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Value::Null;
    }
    // Files of PHP and of .NET begin with a byte order mark, and so do the answers that they make.
    let json = json_as_utf8(body);
    let looks_like_json =
        is_json || json.trim_ascii_start().starts_with(b"{") || json.trim_ascii_start().starts_with(b"[");
    if looks_like_json
        && let Ok(value) = serde_json::from_slice::<Value>(&json)
        // A session keeps it beside the status, one level down; what is nested deeper could not be read from it again.
        && json_depth(&value) < limits::DEPTH
    {
        return value;
    }
    // Bytes that are no text take more room as replacement characters.
    let mut text = String::from_utf8_lossy(body).into_owned();
    text.truncate(text.floor_char_boundary(BODY_BYTES));
    Value::String(text)
}

fn failure_of(error: reqwest::Error) -> Failure {
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        if let Some(refused) = source.downcast_ref::<Refused>() {
            return Failure::Lasting(refused.to_string());
        }
        cause = source.source();
    }
    let is_ours = error.is_builder();
    let why = http::sentence_of(error);
    if is_ours { Failure::Lasting(why) } else { Failure::Passing(why) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use reqwest::dns::{Name, Resolving};
    use serde_json::json;
    use testkit::site::{Site, answer};
    use tokio::sync::Notify;

    use super::*;

    /// A call without headers and body, tried once.
    fn call(method: &str, url: &str) -> HttpCall {
        HttpCall {
            node: "call".parse().unwrap(),
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Default::default(),
            body: None,
            timeout_ms: 5_000,
            max_retries: 0,
        }
    }

    /// A fetcher that may call 127.0.0.1 and nothing else of this machine.
    fn fetcher() -> Fetcher {
        Fetcher::new(vec!["127.0.0.1/32".parse().unwrap()]).unwrap()
    }

    #[tokio::test]
    async fn a_call_goes_out_as_it_is_written() {
        let site = Site::start(|_| answer(201, "application/json", br#"{"a": [1]}"#)).await;
        let mut post = call("POST", &site.url("/orders?x=%20"));
        post.body = Some(r#"{"n": 1}"#.to_owned());
        post.headers = [("Authorization", "Bearer t"), ("host", "evil.example"), ("Content-Length", "3"), ("x-a", "b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let answered = fetcher().fetch(&post, "the-key").await.unwrap();
        assert_eq!(answered, Answer { status: 201, retry_after: None, body: json!({"a": [1]}) });
        let seen = site.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].line.as_str(), seen[0].body.as_str()), ("POST /orders?x=%20 HTTP/1.1", r#"{"n": 1}"#));
        assert_eq!(seen[0].header("idempotency-key"), Some("the-key"));
        assert_eq!(seen[0].header("authorization"), Some("Bearer t"));
        assert_eq!(seen[0].header("content-type"), Some("application/json"));
        assert_eq!(seen[0].header("user-agent"), Some(concat!("qyvo/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(seen[0].header("content-length"), Some("8"));
        assert_eq!(seen[0].header("accept-encoding"), None, "nothing is decompressed");
        assert!(seen[0].header("host").unwrap().starts_with("127.0.0.1:"));
    }

    #[test]
    fn a_body_is_json_where_it_says_or_looks_so() {
        let table: [(&[u8], bool, Value); 13] = [
            (b"\xef\xbb\xbf{\"a\": 1}", false, json!({"a": 1})),
            (b"\xef\xbb\xbf7", true, json!(7)),
            (b"", true, json!(null)),
            (b" \r\n", false, json!(null)),
            (b" {\"a\": 1}", false, json!({"a": 1})),
            (b"[1]", false, json!([1])),
            (b"007", true, json!("007")),
            (b"7", true, json!(7)),
            (b"7", false, json!("7")),
            (b"{oops", true, json!("{oops")),
            (b"<html>", false, json!("<html>")),
            (b"\xff{", false, json!("\u{fffd}{")),
            (br#"{"a": "\ud800"}"#, true, json!(r#"{"a": "\ud800"}"#)),
        ];
        for (body, is_json, value) in table {
            assert_eq!(value_of(body, is_json), value, "{}", String::from_utf8_lossy(body));
        }
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(value_of(nested(limits::DEPTH - 1).as_bytes(), true).is_array());
        assert!(value_of(nested(limits::DEPTH).as_bytes(), true).is_string());
        let binary = value_of(&[0xff; BODY_BYTES], false);
        assert!((BODY_BYTES - 3..=BODY_BYTES).contains(&binary.as_str().unwrap().len()));
        for (name, is_json) in [
            ("application/json; charset=utf-8", true),
            ("application/problem+JSON", true),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json_type(name), is_json, "{name}");
        }
    }

    #[tokio::test]
    async fn an_answer_over_the_cap_is_none_whatever_length_it_announces() {
        let site = Site::start(|request| match request.path() {
            "/fits" => answer(200, "text/plain", &vec![b'x'; BODY_BYTES]),
            "/announced" => b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}".to_vec(),
            _ => {
                // A body without an end, as far as the reader can see.
                let mut raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for _ in 0..80 {
                    raw.extend_from_slice(b"1000\r\n");
                    raw.extend_from_slice(&[b'x'; 4096]);
                    raw.extend_from_slice(b"\r\n");
                }
                raw
            }
        })
        .await;
        let fits = fetcher().fetch(&call("GET", &site.url("/fits")), "k").await.unwrap();
        assert_eq!(fits.body.as_str().unwrap().len(), BODY_BYTES);
        let over = fetcher().fetch(&call("GET", &site.url("/over")), "k").await.unwrap_err();
        assert!(matches!(&over, Failure::Lasting(why) if why.contains("262144 bytes (status 200)")), "{over:?}");
        let cut_off = fetcher().fetch(&call("GET", &site.url("/announced")), "k").await.unwrap_err();
        assert!(matches!(&cut_off, Failure::Passing(_)), "{cut_off:?}");
    }

    #[tokio::test]
    async fn the_timeout_holds_for_the_whole_attempt() {
        let gate = Arc::new(Notify::new());
        let site = Site::start_slow(gate.clone(), |_| answer(200, "text/plain", b"late")).await;
        let mut slow = call("GET", &site.url("/"));
        slow.timeout_ms = 50;
        let failure = fetcher().fetch(&slow, "k").await.unwrap_err();
        assert_eq!(failure, Failure::Passing("no whole answer within 50 ms".to_owned()));
        let trickle = Site::start_open(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx".to_vec()).await;
        slow.url = trickle.url("/");
        assert_eq!(fetcher().fetch(&slow, "k").await.unwrap_err(), failure);
    }

    #[tokio::test]
    async fn nothing_inside_is_called_neither_first_nor_by_a_redirect() {
        // 127.0.0.2 is another machine, as far as these calls are concerned.
        let inside = Site::start_at("127.0.0.2", |_| answer(200, "text/plain", b"secret")).await;
        let to = inside.url("/");
        let outside = Site::start(move |_| redirect(302, &to)).await;
        for (url, requests) in [(inside.url("/"), 0), (outside.url("/"), 1)] {
            let refused = fetcher().fetch(&call("GET", &url), "k").await.unwrap_err();
            assert!(matches!(&refused, Failure::Lasting(why) if why.contains("loopback")), "{url}: {refused:?}");
            assert_eq!((inside.seen().len(), outside.seen().len()), (0, requests));
        }
        for location in
            ["file:///etc/passwd", "http://user:pw@127.0.0.1/", "http://[::ffff:127.0.0.2]/", "http://0x7f000002/"]
        {
            let outside = Site::start(move |_| redirect(307, location)).await;
            let refused = fetcher().fetch(&call("GET", &outside.url("/")), "k").await.unwrap_err();
            assert!(matches!(&refused, Failure::Lasting(_)), "{location}: {refused:?}");
        }
    }

    fn redirect(status: u16, location: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes()
    }

    #[tokio::test]
    async fn redirects_are_followed_five_times_as_browsers_do() {
        let site = Site::start(|request| {
            let path = request.path();
            match path.strip_prefix("/to/").and_then(|rest| rest.parse::<u16>().ok()) {
                Some(status) => redirect(status, "/end"),
                None if path == "/end" => answer(200, "text/plain", request.line.as_bytes()),
                None => match path[1..].parse::<u32>() {
                    Ok(0) => answer(200, "text/plain", b"there"),
                    Ok(left) => redirect(302, &format!("/{}", left - 1)),
                    Err(_) => b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n".to_vec(),
                },
            }
        })
        .await;
        let fetcher = fetcher();
        let mut post = call("POST", "");
        post.body = Some("{}".to_owned());
        for (method, status, then) in [
            ("POST", 301, "GET"),
            ("POST", 302, "GET"),
            ("POST", 303, "GET"),
            ("POST", 307, "POST"),
            ("POST", 308, "POST"),
            ("PUT", 302, "PUT"),
            ("PUT", 303, "GET"),
            ("HEAD", 303, "HEAD"),
        ] {
            let body = (method != "HEAD").then(|| "{}".to_owned());
            let call =
                HttpCall { method: method.to_owned(), url: site.url(&format!("/to/{status}")), body, ..post.clone() };
            assert_eq!(fetcher.fetch(&call, "k").await.unwrap().status, 200);
            let seen = site.seen();
            let last = seen.last().unwrap();
            assert!(last.line.starts_with(&format!("{then} /end")), "{method} {status}: {}", last.line);
            assert_eq!(last.body.is_empty(), then != method || method == "HEAD");
            assert_eq!(last.header("idempotency-key"), Some("k"));
        }
        assert_eq!(fetcher.fetch(&call("GET", &site.url("/5")), "k").await.unwrap().body, json!("there"));
        let failure = fetcher.fetch(&call("GET", &site.url("/6")), "k").await.unwrap_err();
        assert_eq!(failure, Failure::Lasting("more than 5 redirects".to_owned()));
        let nowhere = fetcher.fetch(&call("GET", &site.url("/nowhere")), "k").await.unwrap();
        assert_eq!(nowhere.status, 302, "a redirect without a target is an answer");
    }

    #[tokio::test]
    async fn secrets_stay_with_the_host_they_are_for() {
        let other = Site::start(|_| answer(200, "text/plain", b"ok")).await;
        let to = other.url("/");
        let site = Site::start(move |request| match request.path() {
            "/away" => redirect(307, &to),
            "/near" => redirect(307, "/end"),
            _ => answer(200, "text/plain", b"ok"),
        })
        .await;
        let mut post = call("POST", &site.url("/away"));
        post.body = Some("text".to_owned());
        post.headers =
            [("authorization", "Bearer t"), ("cookie", "a=b"), ("x-api-key", "s"), ("content-type", "text/csv")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        fetcher().fetch(&post, "k").await.unwrap();
        let seen = other.seen();
        for name in ["authorization", "cookie", "x-api-key"] {
            assert!(site.seen()[0].header(name).is_some() && seen[0].header(name).is_none(), "{name}");
        }
        assert_eq!((seen[0].header("content-type"), seen[0].body.as_str()), (Some("text/csv"), "text"));
        post.url = site.url("/near");
        fetcher().fetch(&post, "k").await.unwrap();
        assert_eq!(site.seen().last().unwrap().header("authorization"), Some("Bearer t"));
    }

    /// Answers each name with the addresses of its list in turn, the last of them for ever.
    struct Changing {
        answers: Mutex<HashMap<String, Vec<SocketAddr>>>,
        asked: Mutex<usize>,
    }

    impl Resolve for Changing {
        fn resolve(&self, name: Name) -> Resolving {
            *self.asked.lock().unwrap() += 1;
            let mut answers = self.answers.lock().unwrap();
            let list = answers.get_mut(name.as_str()).unwrap();
            let address = if list.len() > 1 { list.remove(0) } else { list[0] };
            Box::pin(async move { Ok(Box::new(std::iter::once(address)) as _) })
        }
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_leads_nowhere_inside() {
        let outside = Site::start(|_| answer(200, "text/plain", b"public")).await;
        let inside =
            Site::start_at(&format!("127.0.0.2:{}", outside.port()), |_| answer(200, "text/plain", b"secret")).await;
        let at = |host: &str| SocketAddr::new(host.parse().unwrap(), 0);
        let answers = [("rebind.example".to_owned(), vec![at("127.0.0.1"), at("127.0.0.2")])].into();
        let resolver = Arc::new(Changing { answers: Mutex::new(answers), asked: Mutex::new(0) });
        let fetcher = Fetcher::with_resolver(vec!["127.0.0.1/32".parse().unwrap()], resolver.clone()).unwrap();
        let get = call("GET", &format!("http://rebind.example:{}/", outside.port()));
        let first = fetcher.fetch(&get, "k").await.unwrap();
        assert_eq!(first.body, json!("public"));
        assert_eq!(*resolver.asked.lock().unwrap(), 1, "what was checked is what was connected to");
        let second = fetcher.fetch(&get, "k").await.unwrap_err();
        let Failure::Lasting(why) = &second else { panic!("{second:?}") };
        assert!(why.contains("`rebind.example` resolves to 127.0.0.2") && why.contains("loopback"), "{why}");
        assert_eq!((outside.seen().len(), inside.seen().len()), (1, 0));
    }

    #[test]
    fn a_redirect_never_leaves_encryption() {
        // No certificate is at hand for a whole call.
        let [https, http]: [Url; 2] = ["https://a.example/", "http://a.example/"].map(|url| url.parse().unwrap());
        assert!(leaves_encryption(&https, &http));
        assert!(
            !leaves_encryption(&http, &https) && !leaves_encryption(&https, &https) && !leaves_encryption(&http, &http)
        );
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_not_tried() {
        for (method, url, header) in [
            ("GET", "not a url", ("a", "b")),
            ("G T", "http://127.0.0.1:1/", ("a", "b")),
            ("GET", "http://127.0.0.1:1/", ("a b", "c")),
            ("GET", "http://127.0.0.1:1/", ("a", "b\r\nc: d")),
        ] {
            let mut call = call(method, url);
            call.headers = [(header.0.to_owned(), header.1.to_owned())].into();
            let failure = fetcher().fetch(&call, "k").await.unwrap_err();
            assert!(matches!(failure, Failure::Lasting(_)), "{method} {url}: {failure:?}");
        }
        let closed = fetcher().fetch(&call("GET", "http://127.0.0.1:1/"), "k").await.unwrap_err();
        assert!(matches!(closed, Failure::Passing(_)), "{closed:?}");
    }
}
