//! What each channel can do.
//!
//! The rest of the program asks for a capability and never for the channel's name. All answers stand in this file, each
//! as a match over every kind or every channel, so that the compiler names the answers that a new channel lacks.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::incoming::{FetchedTemplate, Item, Unreadable};
use super::outgoing::{Refusal, Sent};
use super::whatsapp::{self, Probe};
use super::{Channel, ChannelKind, Webhook, in_part};
use crate::domain::{AddressKey, AddressKind, TextLimits, Timestamp};

/// The answer to a caller that asks a channel for what it does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHere {
    /// Why not, in a sentence.
    pub error: &'static str,
    /// What to do instead, in a sentence.
    pub hint: &'static str,
}

/// What must be configured before a channel can be live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// What the channel is called in the sentence that names what is missing.
    pub channel: &'static str,
    /// The keys of the configuration: texts that are empty by default.
    pub keys: &'static [&'static str],
}

/// Where a provider's deliveries come in, and how they are known to be its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deliveries {
    /// The path of their route.
    pub path: &'static str,
    /// The header that carries the proof.
    pub proof: &'static str,
    /// What to do where the proof is missing or wrong, in a sentence.
    pub hint: &'static str,
}

/// The outcome of asking the far side of a channel whether it would take messages.
#[derive(Debug, Clone, PartialEq)]
pub enum Tested {
    /// It would take messages.
    Works {
        /// What is known of it, in a sentence.
        text: &'static str,
        /// What else it says of itself, by the keys of the API's answer.
        details: Vec<(&'static str, Value)>,
    },
    /// It would not.
    Refused(Refusal),
    /// It was reached, and its answer does not show whether it would.
    Unclear(String),
}

/// Every kind of address by which people may be known, whichever channel is live: phone numbers, then the channels'
/// own.
pub fn address_kinds() -> &'static [AddressKind] {
    static KINDS: LazyLock<Vec<AddressKind>> = LazyLock::new(|| {
        let own = ChannelKind::ALL.into_iter().flat_map(ChannelKind::address_kinds);
        std::iter::once(AddressKind::PHONE).chain(own.copied()).collect()
    });
    &KINDS
}

/// What is the same for all channels of a kind, however they are configured.
impl ChannelKind {
    /// Its name as people write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Simulator => "The simulator",
            Self::WhatsApp => "WhatsApp",
            Self::Webhook => "The generic webhook",
        }
    }

    /// What must be configured before it can be live. `None` where it needs nothing.
    pub fn needs(self) -> Option<Needs> {
        match self {
            Self::Simulator => None,
            Self::WhatsApp => Some(Needs {
                channel: "WhatsApp",
                keys: &[
                    "whatsapp.phone_number_id",
                    "whatsapp.business_account_id",
                    "whatsapp.access_token",
                    "whatsapp.app_secret",
                    "whatsapp.verify_token",
                ],
            }),
            Self::Webhook => Some(Needs { channel: "webhook", keys: &["webhook.url", "webhook.secret"] }),
        }
    }

    /// Whether a key of the configuration is one of those by which channels are configured.
    pub fn is_key_of_any(key: &str) -> bool {
        let section = key.split('.').next().unwrap_or_default();
        section == "channel" || Self::parse(section).is_some()
    }

    /// Whether messages leave the server. If not, a message counts as accepted in the transaction that says it: it
    /// never waits in the outbox.
    pub fn reaches_phones(self) -> bool {
        match self {
            Self::Simulator => false,
            Self::WhatsApp | Self::Webhook => true,
        }
    }

    /// Whether free text may go out only within 24 hours of the person's last message.
    pub fn has_window(self) -> bool {
        match self {
            Self::WhatsApp => true,
            Self::Simulator | Self::Webhook => false,
        }
    }

    /// Whether another app of the provider may hold the conversation with a person, and a free text of ours takes it
    /// back.
    pub fn has_handover(self) -> bool {
        match self {
            Self::WhatsApp => true,
            Self::Simulator | Self::Webhook => false,
        }
    }

    /// Whether the outbox keeps to a number of messages a second, and to a pace for each person.
    pub fn is_paced(self) -> bool {
        match self {
            Self::WhatsApp => true,
            Self::Simulator | Self::Webhook => false,
        }
    }

    /// Whether a message that failed may be sent once more.
    pub fn can_resend(self) -> bool {
        match self {
            Self::Simulator => false,
            Self::WhatsApp | Self::Webhook => true,
        }
    }

    /// The kinds of address by which it knows people, besides their phone numbers.
    pub fn address_kinds(self) -> &'static [AddressKind] {
        match self {
            Self::WhatsApp => &[whatsapp::WA_ID, whatsapp::BSUID],
            Self::Simulator | Self::Webhook => &[],
        }
    }

    /// The addresses that a person has from now on, by the payload of a notice that they have changed.
    pub fn new_addresses(self, payload: &Value) -> Vec<AddressKey> {
        match self {
            Self::WhatsApp => whatsapp::new_addresses(payload),
            Self::Simulator | Self::Webhook => Vec::new(),
        }
    }

    /// Whether the provider reports the progress of each message. If not, nothing is known of a message after its
    /// acceptance.
    pub fn reports_progress(self) -> bool {
        match self {
            Self::Simulator | Self::WhatsApp => true,
            Self::Webhook => false,
        }
    }

    /// Whether a provider's id of a message counts for its sender alone, so that two people's messages may have the
    /// same one.
    pub fn numbers_by_sender(self) -> bool {
        match self {
            Self::Simulator | Self::Webhook => true,
            Self::WhatsApp => false,
        }
    }

    /// Whether the far side's explanation of a failure may be shown to callers that are not logged in. The explanation
    /// of an operator's own receiver may reveal internals.
    pub fn explains_to_all(self) -> bool {
        match self {
            Self::Simulator | Self::WhatsApp => true,
            Self::Webhook => false,
        }
    }

    /// How long the texts of its messages may be where its configuration does not say. What is longer goes out in
    /// parts.
    pub fn text_limits(self) -> TextLimits {
        match self {
            Self::Simulator => TextLimits::NONE,
            Self::WhatsApp => whatsapp::TEXT_LIMITS,
            Self::Webhook => TextLimits::all(Webhook::TEXT_CHARS),
        }
    }

    /// Whether the provider approves templates, so that a node's template must be one of those that it knows. Elsewhere
    /// they are made by hand and sent filled in.
    pub fn has_templates(self) -> bool {
        self.refuses_handmade().is_some()
    }

    /// The answer to a caller that makes a template by hand, where the provider approves templates. `None` where it is
    /// taken.
    pub fn refuses_handmade(self) -> Option<NotHere> {
        match self {
            Self::WhatsApp => Some(NotHere {
                error: "Templates of WhatsApp are made and approved at Meta.",
                hint: "Make or change it in the WhatsApp Manager, then fetch it with POST /templates/sync.",
            }),
            Self::Simulator | Self::Webhook => None,
        }
    }

    /// The answer to a caller that posts a person's message to `POST /inbound`, where only the provider delivers them:
    /// a token of the API must not speak for people there. `None` where it is taken.
    pub fn refuses_handed_in(self) -> Option<NotHere> {
        match self {
            Self::WhatsApp => Some(NotHere {
                error: "What people write on WhatsApp is delivered by Meta alone, and WhatsApp is the live channel.",
                hint: "Hand messages in where the generic webhook or the simulator is live, as for a test.",
            }),
            Self::Simulator | Self::Webhook => None,
        }
    }

    /// What its provider delivers, where it delivers anything.
    pub fn deliveries(self) -> Option<Deliveries> {
        match self {
            Self::WhatsApp => Some(Deliveries {
                path: "/webhooks/whatsapp",
                proof: "X-Hub-Signature-256",
                hint: "Enter the app's secret as `whatsapp.app_secret`.",
            }),
            Self::Simulator | Self::Webhook => None,
        }
    }

    /// The key of the configuration that holds the access token, which may be replaced while the server runs.
    pub fn access_token_key(self) -> Option<&'static str> {
        match self {
            Self::WhatsApp => Some("whatsapp.access_token"),
            Self::Simulator | Self::Webhook => None,
        }
    }

    /// The kind whose access token a key of the configuration holds.
    pub fn with_access_token(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.access_token_key() == Some(key))
    }

    /// What the provider's codes mean, for people who look why a message was not sent: codes with a sentence each.
    pub fn code_words(self) -> &'static [(i64, &'static str)] {
        match self {
            Self::WhatsApp => whatsapp::CODE_WORDS,
            Self::Simulator | Self::Webhook => &[],
        }
    }

    /// Whether a refusal's code concerns the access token, or what it may do: what another token may mend.
    pub fn is_token_refusal(self, code: &str) -> bool {
        match self {
            Self::WhatsApp => whatsapp::is_token_refusal(code),
            Self::Simulator | Self::Webhook => false,
        }
    }
}

/// What depends on how a channel is configured, or asks its far side.
impl Channel {
    /// What kind of channel it is.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Simulator => ChannelKind::Simulator,
            Self::WhatsApp(_) => ChannelKind::WhatsApp,
            Self::Webhook(_) => ChannelKind::Webhook,
            Self::Incomplete { kind, .. } => *kind,
        }
    }

    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        self.kind().as_str()
    }

    /// How long the texts of its messages may be. What is longer goes out in parts.
    pub fn text_limits(&self) -> TextLimits {
        match self {
            Self::Webhook(webhook) => webhook.text_limits(),
            // Parts that are cut for an incomplete channel go out once the channel is whole.
            Self::Simulator | Self::WhatsApp(_) | Self::Incomplete { .. } => self.kind().text_limits(),
        }
    }

    /// Why it takes nothing, if it is configured in part.
    pub fn lacks(&self) -> Option<&str> {
        match self {
            Self::Incomplete { lacks, .. } => Some(lacks),
            Self::Simulator | Self::WhatsApp(_) | Self::Webhook(_) => None,
        }
    }

    /// A digest of what the account is reached with, as a JSON text: another one means that the token or the account is
    /// another one. `None` where there is nothing that a provider could refuse for good.
    pub fn credentials_digest(&self) -> Option<String> {
        match self {
            Self::WhatsApp(whatsapp) => Some(whatsapp.credentials_digest()),
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => None,
        }
    }

    /// Replaces the access token, where there is one: the next request carries the new one.
    pub fn set_access_token(&self, token: String) {
        match self {
            Self::WhatsApp(whatsapp) => whatsapp.set_access_token(token),
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => {}
        }
    }

    /// All templates of the account, in all languages; `None` where there is nothing to fetch them from.
    ///
    /// # Errors
    /// When the provider refuses or does not answer. There is no partial list: it would look like templates gone.
    pub async fn fetch_templates(&self) -> Result<Option<Vec<FetchedTemplate>>, Refusal> {
        match self {
            Self::WhatsApp(whatsapp) => whatsapp.fetch_templates().await.map(Some),
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => Ok(None),
        }
    }

    /// Whether people see that their messages were read.
    pub fn marks_read(&self) -> bool {
        match self {
            Self::WhatsApp(_) => true,
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => false,
        }
    }

    /// Marks a message of a person as read and shows that an answer is being typed, where people see that.
    ///
    /// # Errors
    /// When the provider refuses or does not answer; nothing depends on it.
    pub async fn mark_read(&self, provider_id: &str) -> Result<(), Refusal> {
        match self {
            Self::WhatsApp(whatsapp) => whatsapp.mark_read(provider_id, true).await,
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => Ok(()),
        }
    }

    /// Whether the header of a delivery has the form of a proof, so that the body is worth reading.
    pub fn is_proof(&self, header: &str) -> bool {
        match self {
            Self::WhatsApp(_) => whatsapp::is_signature(header),
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => false,
        }
    }

    /// Whether a delivery is the provider's own. `raw` is the body as it was received.
    pub fn is_proven(&self, header: &str, raw: &[u8]) -> bool {
        match self {
            Self::WhatsApp(whatsapp) => whatsapp.is_signed(Some(header), raw),
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => false,
        }
    }

    /// Reads a delivery that is proven. Whatever this version does not know is in it as it came.
    ///
    /// # Errors
    /// When it has no form that the provider uses.
    pub fn read_delivery(&self, body: &[u8]) -> Result<Vec<Item>, Unreadable> {
        match self {
            Self::WhatsApp(whatsapp) => whatsapp::read_delivery(body, whatsapp.phone_number_id()),
            Self::Simulator | Self::Webhook(_) | Self::Incomplete { .. } => Ok(Vec::new()),
        }
    }

    /// Asks the far side whether it would take messages. No message is sent. `id` is new and `at` the time now: what is
    /// signed and stamped carries them.
    pub async fn test(&self, id: &str, at: Timestamp) -> Tested {
        match self {
            Self::Simulator => {
                let text = "The simulator works: it records messages, and none reaches a phone.";
                Tested::Works { text, details: Vec::new() }
            }
            Self::WhatsApp(whatsapp) => whatsapp.probe().await.map_or_else(Tested::Refused, known),
            Self::Webhook(webhook) => match webhook.test(id, at).await {
                Sent::Accepted { .. } => {
                    let text = "The URL took a signed channel.test.";
                    Tested::Works { text, details: vec![("message_id", json!(id))] }
                }
                Sent::Refused(refusal) => Tested::Refused(refusal),
                Sent::Ambiguous { text } => Tested::Unclear(text),
            },
            Self::Incomplete { lacks, .. } => Tested::Refused(in_part(lacks)),
        }
    }
}

/// What WhatsApp says of the number.
fn known(probe: Probe) -> Tested {
    let text = match probe.subscribed {
        true => "Meta takes the access token, knows the number, and delivers what people write.",
        false => {
            "Meta takes the access token and knows the number, but no app is subscribed to the account: what people \
             write does not arrive. Subscribe the app to the account's webhooks at Meta."
        }
    };
    let details = vec![
        ("display_phone", json!(probe.display_phone)),
        ("verified_name", json!(probe.verified_name)),
        ("quality", json!(probe.quality)),
        ("is_subscribed", json!(probe.subscribed)),
    ];
    Tested::Works { text, details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_by_its_name_and_knows_its_keys() {
        for kind in ChannelKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(ChannelKind::parse("auto"), None);
        assert!(ChannelKind::is_key_of_any("whatsapp.access_token") && ChannelKind::is_key_of_any("channel.default"));
        assert!(!ChannelKind::is_key_of_any("server.bind"));
    }
}
