//! Posting one delivery, and what an endpoint answers.
//!
//! An endpoint may be inside the operator's network, and the person who sets it up need not be the operator: the body
//! of an answer is kept as the reason only if flows may call the address that gave it (see `address_guard`).

use std::borrow::Cow;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;

use crate::channels::http::{self, NoAnswer};
use crate::channels::signature::{SIGNATURE_HEADER, sign};
use crate::domain::web_link;
use crate::runtime::Runtime;
use crate::runtime::address_guard::Guard;
use crate::store::webhooks::{DeliveryRow, Endpoint};

/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read of an answer: the beginning of an explanation.
const ANSWER_BYTES: usize = 1024;
/// Characters of an explanation that are kept.
const REASON_CHARS: usize = 300;

/// Why an endpoint has not taken a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Of its answer, if it gave one.
    pub(super) status: Option<u16>,
    /// Why, for people.
    pub(super) reason: String,
    /// How long it asks callers to wait.
    pub(super) retry_after: Option<Duration>,
}

/// Posts a delivery once.
pub(super) async fn post(runtime: &Runtime, endpoint: &Endpoint, row: &DeliveryRow) -> Result<(), Refusal> {
    let silent =
        |reason: String| Refusal { status: None, reason: http::truncate(&reason, REASON_CHARS), retry_after: None };
    let client: &Client = runtime
        .inner
        .webhooks
        .client
        .get_or_init(|| http::client().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|why| silent(why.clone()))?;
    let unix = runtime.clock().now().as_millis().div_euclid(1000);
    let request = client
        .post(web_link(&endpoint.url).as_ref().unwrap_or(&endpoint.url))
        .timeout(TIMEOUT)
        .header(CONTENT_TYPE, "application/json")
        .header(SIGNATURE_HEADER, sign(&endpoint.secret, unix, row.body.as_bytes()))
        .header("X-Qyvo-Event", &row.event)
        .header("X-Qyvo-Webhook-Id", endpoint.id.to_string())
        .header("X-Qyvo-Delivery-Id", row.id.to_string())
        .body(row.body.clone());
    let answer = match http::call(request, ANSWER_BYTES).await {
        Ok(answer) => answer,
        Err(NoAnswer::Unreachable(why) | NoAnswer::Ambiguous(why)) => return Err(silent(why)),
    };
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    // The answer of a service inside the operator's network is not shown: an administrator need not have access to that
    // network. The answer of an address that flows may call may be shown.
    let guard = Guard::new(runtime.shared().options.allow.clone());
    let may_show = answer.from.is_some_and(|address| guard.check(address).is_ok());
    let said = if may_show { String::from_utf8_lossy(&answer.body) } else { Cow::default() };
    let said: String = said.chars().filter(|c| !c.is_control()).collect();
    let reason = format!("status {}: {said}", answer.status);
    let reason = http::truncate(reason.trim_end_matches([':', ' ']), REASON_CHARS);
    Err(Refusal { status: Some(answer.status), reason, retry_after: answer.retry_after })
}
