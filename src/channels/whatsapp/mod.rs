//! WhatsApp Cloud API: what goes out, what comes in, and what the account knows.
//!
//! Facts are from Meta's documentation of the WhatsApp Business Platform (2026) and its OpenAPI file, unless said
//! otherwise. Host, version and the id in the path are configuration: Meta changes the latter two.

mod addresses;
mod answer;
mod catalog;
mod changes;
mod code_words;
mod codes;
mod components;
#[cfg(test)]
mod corpus;
mod echoes;
mod fields;
mod incoming;
mod limits;
mod messages;
mod options;
mod people;
mod repair;
mod request;
mod signature;
mod templates;

pub(super) use addresses::new_addresses;
pub use addresses::{BSUID, WA_ID};
pub(super) use code_words::CODE_WORDS;
pub use limits::TEXT_LIMITS;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::http::{self, Answer, NoAnswer};
use super::incoming::FetchedTemplate;
use super::outgoing::{Outgoing, Recipient, Refusal, Sent};
use crate::domain::{Phone, Reason};
use crate::error::Result;

pub use incoming::read_delivery;
pub use options::WhatsAppOptions;
pub(super) use signature::is_signature;

/// Bytes that are read of an answer about a message.
const MAX_ANSWER: usize = 256 * 1024;
/// Bytes that are read of a page of templates.
const MAX_PAGE: usize = 8 * 1024 * 1024;

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

/// Whether a refusal's code concerns the access token, or what it may do: what another token may mend.
pub fn is_token_refusal(code: &str) -> bool {
    code.parse().is_ok_and(codes::is_of_token)
}

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
    /// `Invalid`, naming the key of the configuration, when an option is missing or wrong; or when the system has no
    /// root certificates.
    pub fn new(mut options: WhatsAppOptions) -> Result<Self> {
        let api = options.checked_api()?;
        let access_token = RwLock::new(options.access_token.trim().into());
        options.access_token.clear();
        Ok(Self { client: http::client()?, api, options, access_token })
    }

    /// Replaces the access token: the next request carries the new one.
    pub fn set_access_token(&self, token: String) {
        *self.access_token.write().unwrap_or_else(PoisonError::into_inner) = token.trim().into();
    }

    /// A digest of what the account is reached with, as a JSON text: another one means that the token, the number or
    /// the account is another one.
    pub fn credentials_digest(&self) -> String {
        let token = self.access_token();
        let parts = [&self.options.phone_number_id, &self.options.business_account_id, &*token];
        format!("\"{}\"", hex::encode(Sha256::digest(parts.join("\n"))))
    }

    /// The id of the number that messages come from.
    pub fn phone_number_id(&self) -> &str {
        &self.options.phone_number_id
    }

    /// Hands a message over, once.
    pub async fn send(&self, message: &Outgoing) -> Sent {
        if !self.may_write_to(&message.to) {
            let text = "`whatsapp.only_to` does not list this person: nothing is sent to others while it is set";
            return Sent::Refused(limits::refuse(Reason::NotOnOnlyTo, text));
        }
        let body = match request::body_of(message) {
            Ok(body) => body,
            Err(refusal) => return Sent::Refused(refusal),
        };
        let token = self.access_token();
        let request = self.client.post(self.url(&[&self.options.phone_number_id, "messages"])).json(&body);
        answer::of_send(call(request, &token, MAX_ANSWER).await, &token)
    }

    /// Marks a message of a person as read and, with `typing`, shows that an answer is being typed: for 25 seconds, or
    /// until it comes.
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
        Err(templates::refuse(Reason::EndlessList, "Meta's list of templates does not come to an end".to_owned()))
    }

    /// Asks Meta about the number and the account: whether the token works, the ids exist and deliveries are
    /// subscribed.
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
        let known = to.addresses.iter().map(|address| plain(&address.value));
        let mut known = known.filter(|address| !address.is_empty());
        // A listed number is read as people write numbers, without a plus sign too.
        let number = |digits: &str| Phone::from_e164(&format!("+{digits}")).ok();
        let listed: Vec<(String, Option<Phone>)> = self
            .options
            .only_to
            .iter()
            .map(|listed| (plain(listed), listed.parse().ok().or_else(|| format!("+{}", listed.trim()).parse().ok())))
            .collect();
        let names = |known: &str, (text, phone): &(String, Option<Phone>)| {
            let is_number = || phone.as_ref().zip(number(known)).is_some_and(|(one, other)| one.is_same_number(&other));
            text == known || is_number()
        };
        listed.is_empty() || known.any(|known| listed.iter().any(|listed| names(&known, listed)))
    }
}

impl fmt::Debug for WhatsApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatsApp").field("phone_number_id", &self.options.phone_number_id).finish_non_exhaustive()
    }
}

async fn call(request: RequestBuilder, token: &str, max_body: usize) -> Result<Answer, NoAnswer> {
    http::call(request.bearer_auth(token), max_body).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::outgoing::{Content, RefusalClass};
    use crate::channels::testing::{Does, FarSide, nowhere};
    use crate::domain::{AddressKey, AddressKind, Timestamp};

    pub(super) fn options(api_base: &str) -> WhatsAppOptions {
        WhatsAppOptions {
            api_base: api_base.to_owned(),
            api_version: "v26.0".to_owned(),
            phone_number_id: "106540352242922".to_owned(),
            business_account_id: "102290129340398".to_owned(),
            access_token: "token-1".to_owned(),
            app_secret: "1222e786b144d0e85b9f365372d93676".to_owned(),
            verify_token: "verify-me".to_owned(),
            only_to: Vec::new(),
        }
    }

    pub(super) fn whatsapp(api_base: &str) -> WhatsApp {
        WhatsApp::new(options(api_base)).unwrap()
    }

    fn to(kind: AddressKind, value: &str) -> Recipient {
        Recipient { addresses: vec![AddressKey::new(kind, value)] }
    }

    fn text_to(phone: &str) -> Outgoing {
        Outgoing {
            id: "01936b1e-7c6a-7000-8000-000000000001".parse().unwrap(),
            to: to(AddressKind::PHONE, phone),
            content: Content::Text("Hi".to_owned()),
            at: Timestamp::from_millis(0),
        }
    }

    fn accepted() -> String {
        json!({"contacts": [{"wa_id": "16505551234"}], "messages": [{"id": "wamid.1"}]}).to_string()
    }

    fn refusal(sent: Sent) -> Refusal {
        match sent {
            Sent::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_message_goes_to_the_number_with_the_token_of_the_moment() {
        let answers = || vec![Does::Answers(200, accepted()), Does::Answers(200, accepted())];
        let far_side = FarSide::listen(|_| answers()).await;
        let channel = whatsapp(&format!("{}/", far_side.url));
        let sent = channel.send(&text_to("+16505551234")).await;
        let reached = Some(AddressKey::new(WA_ID, "16505551234"));
        assert_eq!(sent, Sent::Accepted { provider_id: Some("wamid.1".to_owned()), reached });
        channel.set_access_token("token-2\n".to_owned());
        channel.send(&text_to("+16505551234")).await;
        let received = far_side.received();
        let tokens: Vec<_> = received.iter().map(|request| request.header("authorization")).collect();
        assert_eq!(tokens, [Some("Bearer token-1"), Some("Bearer token-2")]);
        assert_eq!(received[0].line, "POST /v26.0/106540352242922/messages HTTP/1.1");
        assert_eq!(received[0].header("content-type"), Some("application/json"));
        assert_eq!(received[0].json()["to"], "+16505551234");
    }

    #[tokio::test]
    async fn only_a_connection_that_never_came_about_is_free_to_be_tried_again() {
        let down = refusal(whatsapp(&nowhere().await).send(&text_to("+16505551234")).await);
        assert_eq!((down.class, down.code.as_str()), (RefusalClass::Unreachable, "unreachable"));
        for does in [Does::Drops, Does::BreaksOff(r#"{"messages":[{"id":"wam"#)] {
            let far_side = FarSide::listen(|_| vec![does]).await;
            let sent = whatsapp(&far_side.url).send(&text_to("+16505551234")).await;
            assert!(matches!(sent, Sent::Ambiguous { .. }), "{sent:?}");
            assert_eq!(far_side.received().len(), 1);
        }
        let html = FarSide::answering(500, "<html>Sorry</html>").await;
        assert_eq!(refusal(whatsapp(&html.url).send(&text_to("+16505551234")).await).class, RefusalClass::Transient);
    }

    #[tokio::test]
    async fn a_redirect_takes_no_token_elsewhere() {
        let elsewhere = FarSide::answering(200, accepted()).await;
        let far_side = FarSide::listen(|_| vec![Does::Redirects(302, elsewhere.url.clone())]).await;
        let refusal = refusal(whatsapp(&far_side.url).send(&text_to("+16505551234")).await);
        assert_eq!((refusal.class, refusal.code.as_str()), (RefusalClass::Unreachable, "http_302"));
        assert!(elsewhere.received().is_empty());
    }

    #[tokio::test]
    async fn staging_writes_to_nobody_but_those_listed() {
        let far_side = FarSide::answering(200, accepted()).await;
        let only_to =
            ["+1 650-555-1234", "US.13491208655302741918", "+44 07911 123401", "4915112340003.0", "+5215512345678"];
        let only_to = only_to.map(str::to_owned).to_vec();
        let channel = WhatsApp::new(WhatsAppOptions { only_to, ..options(&far_side.url) }).unwrap();
        let other = refusal(channel.send(&text_to("+16505551235")).await);
        assert_eq!((other.class, other.code.as_str()), (RefusalClass::Permanent, "not_on_only_to"));
        let mut nobody = text_to("+16505551235");
        nobody.to = Recipient::default();
        assert_eq!(refusal(channel.send(&nobody).await).code, "not_on_only_to");
        assert!(far_side.received().is_empty());
        assert!(matches!(channel.send(&text_to("+16505551234")).await, Sent::Accepted { .. }));
        for to in [
            to(WA_ID, "16505551234"),
            to(BSUID, "US.13491208655302741918"),
            to(AddressKind::PHONE, "+447911123401"),
            to(WA_ID, "4915112340003"),
            to(AddressKind::PHONE, "+525512345678"),
        ] {
            assert!(channel.may_write_to(&to), "{to:?}");
        }
        assert!(!channel.may_write_to(&to(BSUID, "US.2")));
    }

    #[tokio::test]
    async fn what_is_refused_here_is_never_posted() {
        let far_side = FarSide::answering(200, accepted()).await;
        let mut long = text_to("+16505551234");
        long.content = Content::Text("x".repeat(4097));
        assert_eq!(refusal(whatsapp(&far_side.url).send(&long).await).code, "too_long");
        assert!(far_side.received().is_empty());
    }

    #[tokio::test]
    async fn reading_is_told_on_the_same_address() {
        let far_side = FarSide::listen(|_| {
            let gone = json!({"error": {"message": "Invalid parameter", "code": 100}}).to_string();
            vec![Does::Answers(200, r#"{"success":true}"#.to_owned()), Does::Answers(400, gone)]
        })
        .await;
        let channel = whatsapp(&far_side.url);
        assert_eq!(channel.mark_read("wamid.9", true).await, Ok(()));
        assert_eq!(channel.mark_read("wamid.9", false).await.unwrap_err().code, "100");
        let received = far_side.received();
        assert_eq!(received[0].line, "POST /v26.0/106540352242922/messages HTTP/1.1");
        assert_eq!(received[0].json()["typing_indicator"], json!({"type": "text"}));
        assert_eq!(received[1].json().get("typing_indicator"), None);
    }

    fn page(names: &[&str], next: Option<String>) -> Does {
        let data: Vec<Value> =
            names.iter().map(|name| json!({"id": "1", "name": name, "language": "en", "status": "APPROVED"})).collect();
        let mut page = json!({"data": data, "paging": {"cursors": {"after": "x"}}});
        if let Some(next) = next {
            page["paging"]["next"] = json!(next);
        }
        Does::Answers(200, page.to_string())
    }

    #[tokio::test]
    async fn templates_are_fetched_page_by_page() {
        let far_side = FarSide::listen(|url| {
            let next = format!("{url}/v26.0/102290129340398/message_templates?after=x");
            vec![page(&["a", "b"], Some(next)), page(&[], None)]
        })
        .await;
        let templates = whatsapp(&far_side.url).fetch_templates().await.unwrap();
        assert_eq!(templates.iter().map(|fetched| fetched.template.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let received = far_side.received();
        assert_eq!(
            received[0].line,
            "GET /v26.0/102290129340398/message_templates\
             ?fields=id%2Cname%2Clanguage%2Cstatus%2Ccategory%2Ccomponents&limit=100 HTTP/1.1"
        );
        assert_eq!(received[1].line, "GET /v26.0/102290129340398/message_templates?after=x HTTP/1.1");
        assert_eq!(received[1].header("authorization"), Some("Bearer token-1"));
    }

    #[tokio::test]
    async fn half_a_list_of_templates_is_none() {
        let elsewhere = FarSide::listen(|_| vec![page(&["c"], None)]).await;
        let away = elsewhere.url.clone();
        let far_side = FarSide::listen(|_| vec![page(&["a"], Some(format!("{away}/next")))]).await;
        assert_eq!(whatsapp(&far_side.url).fetch_templates().await.unwrap_err().code, "foreign_page");
        assert!(elsewhere.received().is_empty());
        let failing = FarSide::listen(|url| {
            let limit = json!({"error": {"message": "Too many calls", "code": 80007}}).to_string();
            vec![page(&["a"], Some(format!("{url}/next"))), Does::Answers(400, limit)]
        })
        .await;
        let refusal = whatsapp(&failing.url).fetch_templates().await.unwrap_err();
        assert_eq!((refusal.class, refusal.code.as_str()), (RefusalClass::ChannelPacing, "80007"));
        let endless = FarSide::listen(|url| {
            let next = || Some(format!("{url}/same"));
            vec![page(&["a"], next()), page(&["b"], next())]
        })
        .await;
        assert_eq!(whatsapp(&endless.url).fetch_templates().await.unwrap_err().code, "endless_list");
    }

    #[tokio::test]
    async fn a_probe_tells_number_name_and_subscription() {
        let number = json!({
            "display_phone_number": "+1 555-078-3881", "verified_name": "Shop", "quality_rating": "GREEN", "id": "1",
        });
        for (apps, subscribed) in [(json!([{"whatsapp_business_api_data": {"id": "7"}}]), true), (json!([]), false)] {
            let answers =
                vec![Does::Answers(200, number.to_string()), Does::Answers(200, json!({"data": apps}).to_string())];
            let far_side = FarSide::listen(|_| answers).await;
            let probe = whatsapp(&far_side.url).probe().await.unwrap();
            let expected = Probe {
                display_phone: Some("+1 555-078-3881".to_owned()),
                verified_name: Some("Shop".to_owned()),
                quality: Some("GREEN".to_owned()),
                subscribed,
            };
            assert_eq!(probe, expected);
            let lines: Vec<String> = far_side.received().into_iter().map(|request| request.line).collect();
            assert_eq!(lines[1], "GET /v26.0/102290129340398/subscribed_apps HTTP/1.1");
        }
        let expired = json!({"error": {"message": "Session has expired", "code": 190}}).to_string();
        let far_side = FarSide::answering(401, expired).await;
        assert_eq!(whatsapp(&far_side.url).probe().await.unwrap_err().class, RefusalClass::ChannelDown);
    }
}
