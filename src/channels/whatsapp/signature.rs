//! Whether what comes in is from Meta.

use super::WhatsApp;
use crate::channels::signature::{is_hmac_of, is_same_secret};

/// Whether a header has the form of Meta's signature: an HMAC-SHA256 in hexadecimal.
pub(in crate::channels) fn is_signature(header: &str) -> bool {
    let hex = header.strip_prefix("sha256=");
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

impl WhatsApp {
    /// What to answer to Meta's question whether the webhook is ours, its three parameters `hub.…`: the challenge, word
    /// for word; `None` (403) if the token is not ours.
    pub fn challenge(&self, mode: &str, token: &str, challenge: &str) -> Option<String> {
        let is_ours = is_same_secret(&self.options.verify_token, token);
        (mode == "subscribe" && is_ours).then(|| challenge.to_owned())
    }

    /// Whether a delivery was signed by Meta. `header` is `X-Hub-Signature-256`, `raw` the body as it was received:
    /// what Meta signs is its bytes, escapes and all.
    pub fn is_signed(&self, header: Option<&str>, raw: &[u8]) -> bool {
        let hex = header.and_then(|header| header.strip_prefix("sha256="));
        hex.is_some_and(|hex| is_hmac_of(&self.options.app_secret, hex, raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::whatsapp::tests::{options, whatsapp};
    use crate::channels::whatsapp::{WhatsAppOptions, read_delivery};

    /// A delivery as Meta signed it, from the test suite of pywa (MIT): the secret has been reset since.
    const SIGNED: &[u8] = br#"{"object":"whatsapp_business_account","entry":[{"id":"264937493375603","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550953877","phone_number_id":"277321005464405"},"contacts":[{"profile":{"name":"PyWa Tests"},"wa_id":"972544401243"}],"messages":[{"from":"972544401243","id":"wamid.HBgMOTcyNTQ0NDAxMjQzFQIAEhggM0RFQTNCMEEwRTY3QzUwODYzMDc4NjQ4QzM4ODAxM0YA","timestamp":"1730231903","text":{"body":"Hey there! I am using PyWa."},"type":"text"}]},"field":"messages"}]}]}"#;
    const SIGNATURE: &str = "sha256=54edfa1d7259e0eb13c677cc7d73d1b5c86cfa12433d19156e058ab9251bc441";

    #[test]
    fn takes_what_meta_signed_and_nothing_else() {
        let channel = whatsapp("https://graph.facebook.com");
        assert!(channel.is_signed(Some(SIGNATURE), SIGNED));
        let hex = SIGNATURE.strip_prefix("sha256=").unwrap();
        let mut changed = SIGNED.to_vec();
        changed[20] ^= 1;
        assert!(!channel.is_signed(Some(SIGNATURE), &changed));
        for header in [
            None,
            Some(""),
            Some("sha256="),
            Some(hex),
            Some(&SIGNATURE[..SIGNATURE.len() - 1]),
            Some(&SIGNATURE[..SIGNATURE.len() - 2]),
            Some(&SIGNATURE.to_uppercase()),
            Some(&format!("sha256={}", hex.to_uppercase())),
            Some(&format!("sha1={hex}")),
            Some(&format!("{SIGNATURE} ")),
            Some("sha256=é"),
        ] {
            assert!(!channel.is_signed(header, SIGNED), "{header:?}");
        }
        let other = WhatsAppOptions { app_secret: "another".to_owned(), ..options("https://graph.facebook.com") };
        assert!(!WhatsApp::new(other).unwrap().is_signed(Some(SIGNATURE), SIGNED));
        assert_eq!(read_delivery(SIGNED, "277321005464405").map(|items| items.len()), Ok(1));
    }

    #[test]
    fn the_challenge_is_for_who_knows_the_token() {
        let channel = whatsapp("https://graph.facebook.com");
        assert_eq!(channel.challenge("subscribe", "verify-me", "1158201444").as_deref(), Some("1158201444"));
        for (mode, token) in [("subscribe", "verify"), ("subscribe", ""), ("unsubscribe", "verify-me"), ("", "")] {
            assert_eq!(channel.challenge(mode, token, "1"), None, "{mode} {token}");
        }
    }
}
