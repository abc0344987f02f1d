//! The channel's options, and whether it can work with them.

use std::fmt;

use reqwest::Url;
use serde::Deserialize;

use crate::error::{Error, Result};

/// What the channel must know.
#[derive(Clone, Deserialize)]
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

impl WhatsAppOptions {
    /// The address of the API with its version, once all options are found in order.
    ///
    /// # Errors
    /// `Invalid`, naming the key of the configuration.
    pub(super) fn checked_api(&self) -> Result<Url> {
        let invalid = |key: &str, what: &str| Err(Error::invalid(format!("`whatsapp.{key}` {what}")));
        for (key, value) in [
            ("access_token", &self.access_token),
            ("app_secret", &self.app_secret),
            ("verify_token", &self.verify_token),
        ] {
            if value.trim().is_empty() {
                return invalid(key, "is missing");
            }
        }
        // They become parts of a path, where a slash or a question mark would change whom the token is shown to.
        for (key, value) in [
            ("api_version", &self.api_version),
            ("phone_number_id", &self.phone_number_id),
            ("business_account_id", &self.business_account_id),
        ] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if value.is_empty() || !value.chars().all(is_plain) || value.chars().all(|c| c == '.') {
                return invalid(key, "must be letters, digits, `.`, `_` and `-`");
            }
        }
        let base = self.api_base.trim().trim_end_matches('/');
        let api = format!("{base}/{}", self.api_version).parse::<Url>().ok();
        let api = api.filter(|url| ["http", "https"].contains(&url.scheme()) && url.query().is_none());
        let Some(api) = api.filter(|url| url.fragment().is_none() && url.username().is_empty()) else {
            return invalid("api_base", "must be an http or https URL such as https://graph.facebook.com");
        };
        Ok(api)
    }
}

impl fmt::Debug for WhatsAppOptions {
    /// Leaves the secrets out.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::whatsapp::WhatsApp;
    use crate::channels::whatsapp::tests::options;

    #[test]
    fn options_are_checked_and_secrets_never_shown() {
        type Change = fn(&mut WhatsAppOptions);
        let wrong: [(&str, Change); 10] = [
            ("access_token", |options| options.access_token = " ".to_owned()),
            ("app_secret", |options| options.app_secret.clear()),
            ("verify_token", |options| options.verify_token.clear()),
            ("phone_number_id", |options| options.phone_number_id.clear()),
            ("phone_number_id", |options| options.phone_number_id = "1/../2".to_owned()),
            ("business_account_id", |options| options.business_account_id = "1?x".to_owned()),
            ("api_version", |options| options.api_version = "..".to_owned()),
            ("api_base", |options| options.api_base = "graph.facebook.com".to_owned()),
            ("api_base", |options| options.api_base = "https://a.example?x=1".to_owned()),
            ("api_base", |options| options.api_base = "https://user@a.example".to_owned()),
        ];
        for (key, change) in wrong {
            let mut options = options("https://graph.facebook.com");
            change(&mut options);
            let error = WhatsApp::new(options).unwrap_err();
            assert!(error.message().contains(&format!("`whatsapp.{key}`")), "{}", error.message());
        }
        let options = options("https://graph.facebook.com");
        let shown = format!("{options:?} {:?}", WhatsApp::new(options.clone()).unwrap());
        for secret in ["token-1", "1222e786b144d0e85b9f365372d93676", "verify-me"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
