//! WhatsApp Cloud API: what goes out, what comes in, and what the account knows.
//!
//! Facts are from Meta's documentation of the WhatsApp Business Platform (2026) and its OpenAPI file, unless said
//! otherwise. Host, version and the id in the path are configuration: Meta changes the latter two.

mod answer;
mod changes;
mod incoming;
mod limits;
mod repair;
mod request;
mod templates;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::http::{self, Answer, NoAnswer};
use super::outgoing::{Outgoing, Recipient, Refusal, Sent};
use super::signature::{is_hmac_of, is_same_secret};
use crate::domain::MessageTemplate;
use crate::error::{Error, Result};

pub use incoming::read_delivery;
pub use templates::template_status;

/// Bytes that are read of an answer about a message.
const MAX_ANSWER: usize = 256 * 1024;
/// Bytes that are read of a page of templates.
const MAX_PAGE: usize = 8 * 1024 * 1024;

/// What the channel must know.
#[derive(Clone)]
pub struct WhatsAppOptions {
    /// Such as `https://graph.facebook.com`.
    pub api_base: String,
    /// Such as `v26.0`.
    pub api_version: String,
    /// The id of the number that messages come from.
    pub phone_number_id: String,
    /// The id of the account that the templates belong to.
    pub business_account_id: String,
    /// What requests are authorised with.
    pub access_token: String,
    /// What Meta signs its deliveries with.
    pub app_secret: String,
    /// What Meta shows when it asks whether the webhook is ours.
    pub verify_token: String,
    /// Numbers or business-scoped ids that messages may go to; empty for no limit. For staging.
    pub only_to: Vec<String>,
}

/// A template of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTemplate {
    /// Meta's id of it, which differs by language.
    pub provider_id: String,
    /// The template.
    pub template: MessageTemplate,
}

/// What a test of the channel finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// The number that people see, as Meta writes it.
    pub display_phone: Option<String>,
    /// The name that people see.
    pub verified_name: Option<String>,
    /// Meta's word for the number's quality, such as `GREEN`.
    pub quality: Option<String>,
    /// Whether any app is subscribed to the account: without one no message of a person ever arrives.
    pub subscribed: bool,
}

/// A delivery that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct Unreadable(pub String);

/// The channel of one number.
pub struct WhatsApp {
    client: Client,
    /// With the version, and without a slash at its end.
    api: Url,
    options: WhatsAppOptions,
    access_token: RwLock<Arc<str>>,
}

impl WhatsApp {
    /// A channel of one number.
    ///
    /// # Errors
    /// `Invalid`, naming the key of the configuration, when an option is missing or wrong; or when the system has no root
    /// certificates.
    pub fn new(mut options: WhatsAppOptions) -> Result<Self> {
        let invalid = |key: &str, what: &str| Err(Error::invalid(format!("`whatsapp.{key}` {what}")));
        for (key, value) in [
            ("access_token", &options.access_token),
            ("app_secret", &options.app_secret),
            ("verify_token", &options.verify_token),
        ] {
            if value.trim().is_empty() {
                return invalid(key, "is missing");
            }
        }
        // They become parts of a path, where a slash or a question mark would change whom the token is shown to.
        for (key, value) in [
            ("api_version", &options.api_version),
            ("phone_number_id", &options.phone_number_id),
            ("business_account_id", &options.business_account_id),
        ] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if value.is_empty() || !value.chars().all(is_plain) || value.chars().all(|c| c == '.') {
                return invalid(key, "must be letters, digits, `.`, `_` and `-`");
            }
        }
        let base = options.api_base.trim().trim_end_matches('/');
        let api = format!("{base}/{}", options.api_version).parse::<Url>().ok();
        let api = api.filter(|url| ["http", "https"].contains(&url.scheme()) && url.query().is_none());
        let Some(api) = api.filter(|url| url.fragment().is_none() && url.username().is_empty()) else {
            return invalid("api_base", "must be an http or https URL such as https://graph.facebook.com");
        };
        let access_token = RwLock::new(options.access_token.trim().into());
        options.access_token.clear();
        Ok(Self { client: http::client()?, api, options, access_token })
    }

    /// Replaces the access token: the next request carries the new one.
    pub fn set_access_token(&self, token: String) {
        *self.access_token.write().unwrap_or_else(PoisonError::into_inner) = token.trim().into();
    }

    /// The id of the number that messages come from.
    pub fn phone_number_id(&self) -> &str {
        &self.options.phone_number_id
    }

    /// Hands a message over, once.
    pub async fn send(&self, message: &Outgoing) -> Sent {
        if !self.may_write_to(&message.to) {
            let text = "`whatsapp.only_to` does not list this person: nothing is sent to others while it is set";
            return Sent::Refused(limits::refuse("not_on_only_to", text));
        }
        let body = match request::body_of(message) {
            Ok(body) => body,
            Err(refusal) => return Sent::Refused(refusal),
        };
        let token = self.access_token();
        let request = self.client.post(self.url(&[&self.options.phone_number_id, "messages"])).json(&body);
        answer::of_send(call(request, &token, MAX_ANSWER).await, &token)
    }

    /// Marks a message of a person as read and, with `typing`, shows that an answer is being typed: for 25 seconds, or until
    /// it comes.
    ///
    /// # Errors
    /// When Meta refuses or does not answer; nothing depends on it.
    pub async fn mark_read(&self, provider_id: &str, typing: bool) -> Result<(), Refusal> {
        let token = self.access_token();
        let url = self.url(&[&self.options.phone_number_id, "messages"]);
        let request = self.client.post(url).json(&request::mark_read(provider_id, typing));
        answer::of_call(call(request, &token, MAX_ANSWER).await, &token).map(drop)
    }

    /// All templates of the account, in all languages.
    ///
    /// # Errors
    /// When Meta refuses a page or does not answer. There is no partial list: it would look like templates gone.
    pub async fn fetch_templates(&self) -> Result<Vec<FetchedTemplate>, Refusal> {
        let mut templates = Vec::new();
        let mut url = self.url(&[&self.options.business_account_id, "message_templates"]);
        url.query_pairs_mut().append_pair("fields", templates::FIELDS).append_pair("limit", templates::PER_PAGE);
        for _ in 0..templates::MAX_PAGES {
            let page = self.get(url.clone(), MAX_PAGE).await?;
            templates.extend(templates::read_page(&page)?);
            match templates::next_page(&page, &self.api)? {
                None => return Ok(templates),
                Some(next) if next == url => break,
                Some(next) => url = next,
            }
        }
        Err(templates::refuse("endless_list", "Meta's list of templates does not come to an end".to_owned()))
    }

    /// Asks Meta about the number and the account: whether the token works, the ids exist and deliveries are subscribed.
    ///
    /// # Errors
    /// When Meta refuses, with its explanation.
    pub async fn probe(&self) -> Result<Probe, Refusal> {
        let mut url = self.url(&[&self.options.phone_number_id]);
        url.query_pairs_mut().append_pair("fields", "display_phone_number,verified_name,quality_rating");
        let number = self.get(url, MAX_ANSWER).await?;
        let apps = self.get(self.url(&[&self.options.business_account_id, "subscribed_apps"]), MAX_ANSWER).await?;
        let part = |key: &str| number.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Probe {
            display_phone: part("display_phone_number"),
            verified_name: part("verified_name"),
            quality: part("quality_rating"),
            subscribed: apps.get("data").and_then(Value::as_array).is_some_and(|apps| !apps.is_empty()),
        })
    }

    /// What to answer to Meta's question whether the webhook is ours, its three parameters `hub.…`: the challenge, word for
    /// word; `None` (403) if the token is not ours.
    pub fn challenge(&self, mode: &str, token: &str, challenge: &str) -> Option<String> {
        let is_ours = is_same_secret(&self.options.verify_token, token);
        (mode == "subscribe" && is_ours).then(|| challenge.to_owned())
    }

    /// Whether a delivery was signed by Meta. `header` is `X-Hub-Signature-256`, `raw` the body as it was received: what
    /// Meta signs is its bytes, escapes and all.
    pub fn is_signed(&self, header: Option<&str>, raw: &[u8]) -> bool {
        let hex = header.and_then(|header| header.strip_prefix("sha256="));
        hex.is_some_and(|hex| is_hmac_of(&self.options.app_secret, hex, raw))
    }

    fn access_token(&self) -> Arc<str> {
        self.access_token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.api.clone();
        // Only URLs such as `mailto:` have no path to extend, and `new` takes none of them.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url
    }

    async fn get(&self, url: Url, max_body: usize) -> Result<Value, Refusal> {
        let token = self.access_token();
        answer::of_call(call(self.client.get(url), &token, max_body).await, &token)
    }

    /// Whether `only_to` names any address of a person.
    fn may_write_to(&self, to: &Recipient) -> bool {
        let plain = |address: &str| {
            let address = address.trim();
            if address.contains(|c: char| c.is_ascii_alphabetic()) {
                return address.to_owned();
            }
            address.chars().filter(char::is_ascii_digit).collect()
        };
        let known = [to.phone.as_ref().map(|phone| phone.as_str()), to.wa_id.as_deref(), to.bsuid.as_deref()];
        let mut known = known.into_iter().flatten().map(plain).filter(|address| !address.is_empty());
        self.options.only_to.is_empty()
            || known.any(|known| self.options.only_to.iter().any(|listed| plain(listed) == known))
    }
}

impl fmt::Debug for WhatsApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsApp").field("phone_number_id", &self.options.phone_number_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for WhatsAppOptions {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsAppOptions")
            .field("api_base", &self.api_base)
            .field("api_version", &self.api_version)
            .field("phone_number_id", &self.phone_number_id)
            .field("business_account_id", &self.business_account_id)
            .field("only_to", &self.only_to)
            .finish_non_exhaustive()
    }
}

async fn call(request: RequestBuilder, token: &str, max_body: usize) -> Result<Answer, NoAnswer> {
    http::call(request.bearer_auth(token), max_body).await
}
