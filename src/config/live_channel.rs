//! Which channel a configuration makes live: the one that it names, or the first of which it has every key.

use serde::{Deserialize, Serialize};

use super::Config;
use crate::channels::ChannelKind;
use crate::channels::capabilities::Needs;
use crate::domain::Resend;
use crate::error::{Error, Result};

/// The channel of messages that name no other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&str")]
pub enum DefaultChannel {
    /// The first channel that is configured, else the simulator.
    #[default]
    Auto,
    /// The one that is named.
    Named(ChannelKind),
}

/// The name of [`DefaultChannel::Auto`].
const AUTO: &str = "auto";

impl From<DefaultChannel> for &'static str {
    fn from(channel: DefaultChannel) -> Self {
        match channel {
            DefaultChannel::Auto => AUTO,
            DefaultChannel::Named(kind) => kind.as_str(),
        }
    }
}

impl TryFrom<String> for DefaultChannel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == AUTO {
            return Ok(Self::Auto);
        }
        ChannelKind::parse(&text).map(Self::Named).ok_or_else(|| {
            let names = ChannelKind::ALL.map(|kind| format!("`{kind}`")).join(", ");
            let (others, last) = names.rsplit_once(", ").unwrap_or_default();
            format!("`{text}` is not a channel: write `{AUTO}`, {others} or {last}")
        })
    }
}

impl Config {
    /// The channel that messages go out on.
    ///
    /// # Errors
    /// `Invalid` when a channel is configured in part: names the keys that are missing.
    pub fn live_channel(&self) -> Result<ChannelKind> {
        let mut whole = Vec::new();
        for (kind, needs) in needs() {
            if self.has_all(needs, self.channel.default == DefaultChannel::Named(kind))? {
                whole.push(kind);
            }
        }
        Ok(match self.channel.default {
            DefaultChannel::Auto => whole.first().copied().unwrap_or(ChannelKind::Simulator),
            DefaultChannel::Named(kind) => kind,
        })
    }

    /// Whether a channel has all that it needs; half of it is a mistake, and so is nothing of a channel that is asked
    /// for.
    fn has_all(&self, needs: Needs, is_asked_for: bool) -> Result<bool> {
        let mut missing = Vec::new();
        for key in needs.keys {
            if self.text(key)?.is_empty() {
                missing.push(*key);
            }
        }
        if missing.is_empty() {
            return Ok(true);
        }
        if missing.len() == needs.keys.len() && !is_asked_for {
            return Ok(false);
        }
        Err(Error::invalid(format!(
            "The {} channel is configured in part: set {} as well, or take the other keys of the channel away.",
            needs.channel,
            missing.join(", ")
        )))
    }

    /// What the section of a channel says of how its messages go out.
    ///
    /// # Errors
    /// `Internal` when the section cannot be written down, or a key of it means something else.
    pub fn sending(&self, channel: ChannelKind) -> Result<Sending> {
        let read: Option<Sending> = serde_json::from_value(self.section(channel.as_str())?)
            .map_err(|error| Error::internal(format!("The section `{channel}` cannot be read")).caused_by(error))?;
        Ok(read.unwrap_or_default())
    }
}

/// Keys that mean the same in the section of each channel that has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sending {
    /// Which messages go out again when it is not known whether they arrived; none where there is no such key.
    pub resend: Resend,
    /// Messages in both directions that the channel's account may handle in a second.
    pub messages_per_second: Option<u32>,
}

impl Default for Sending {
    fn default() -> Self {
        Self { resend: Resend::None, messages_per_second: None }
    }
}

/// The channel that a server with settings in its database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveChannel {
    /// Which.
    pub channel: ChannelKind,
    /// What the settings of the database hold a part of, in a sentence.
    pub in_part: Option<String>,
    /// Whether that is the channel itself: then it is paused, and its messages wait.
    pub waits: bool,
}

impl Config {
    /// The channel that messages go out on if `laid` is this configuration with the settings of the database under it.
    ///
    /// # Errors
    /// `Invalid` when file or environment configure a channel in part. A part that only the database holds stops no
    /// start.
    pub fn live_channel_with(&self, laid: &Self) -> Result<LiveChannel> {
        let error = match laid.live_channel() {
            Ok(channel) => return Ok(LiveChannel { channel, in_part: None, waits: false }),
            Err(error) => error,
        };
        let Ok(channel) = self.live_channel() else { return Err(error) };
        // Who asks for the simulator, or has another channel, does not wait for this one.
        let waits = channel == ChannelKind::Simulator && self.channel.default == DefaultChannel::Auto;
        let in_part = needs().find(|(_, needs)| laid.has_all(*needs, false).is_err());
        let channel = in_part.filter(|_| waits).map_or(channel, |(kind, _)| kind);
        Ok(LiveChannel { channel, in_part: Some(error.message().to_owned()), waits })
    }
}

/// What each channel needs that needs anything, in the order in which [`DefaultChannel::Auto`] looks for them.
fn needs() -> impl Iterator<Item = (ChannelKind, Needs)> {
    ChannelKind::ALL.into_iter().filter_map(|kind| Some((kind, kind.needs()?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_channel_can_be_named_and_nothing_else() {
        let read = |name: &str| DefaultChannel::try_from(name.to_owned());
        for kind in ChannelKind::ALL {
            assert_eq!(read(kind.as_str()), Ok(DefaultChannel::Named(kind)));
            assert_eq!(serde_json::to_value(DefaultChannel::Named(kind)).unwrap(), kind.as_str());
        }
        assert_eq!((read("auto"), read("Auto").is_err()), (Ok(DefaultChannel::Auto), true));
    }

    #[test]
    fn what_a_channel_needs_are_keys_of_its_section() {
        for (kind, needs) in needs() {
            for key in needs.keys {
                assert!(key.starts_with(&format!("{kind}.")), "{key}");
                assert_eq!(Config::default().text(key).unwrap(), "", "{key} is unset by default");
            }
        }
        assert!(Config::default().text("whatsapp.colour").is_err());
    }

    #[test]
    fn a_channel_is_configured_whole_or_not_at_all() {
        let config = |lines: &str| toml::from_str::<Config>(lines).unwrap().live_channel();
        let whole = "phone_number_id = \"1\"\nbusiness_account_id = \"2\"\naccess_token = \"t\"\n\
                     app_secret = \"s\"\nverify_token = \"v\"";
        let webhook = "[webhook]\nurl = \"https://bot.example\"\nsecret = \"s\"";
        assert_eq!(config("").unwrap(), ChannelKind::Simulator);
        assert_eq!(config(&format!("[whatsapp]\n{whole}\n{webhook}")).unwrap(), ChannelKind::WhatsApp);
        assert_eq!(config(webhook).unwrap(), ChannelKind::Webhook);
        let simulator = format!("[channel]\ndefault = \"simulator\"\n{webhook}");
        assert_eq!(config(&simulator).unwrap(), ChannelKind::Simulator);
        let error = config("[whatsapp]\nphone_number_id = \"1\"\naccess_token = \"t\"").unwrap_err().to_string();
        assert!(error.contains("whatsapp.business_account_id, whatsapp.app_secret, whatsapp.verify_token"), "{error}");
        let error = config("[channel]\ndefault = \"webhook\"").unwrap_err().to_string();
        assert!(error.contains("set webhook.url, webhook.secret"), "{error}");
        assert!(config("[webhook]\nurl = \"https://bot.example\"").is_err());
    }

    #[test]
    fn how_messages_go_out_stands_in_the_section_of_their_channel() {
        let lines = "[whatsapp]\nresend = \"none\"\nmessages_per_second = 7\n[webhook]\nresend = \"texts\"";
        let config: Config = toml::from_str(lines).unwrap();
        let sending = |kind| {
            let Sending { resend, messages_per_second } = config.sending(kind).unwrap();
            (resend, messages_per_second)
        };
        assert_eq!(sending(ChannelKind::WhatsApp), (Resend::None, Some(7)));
        assert_eq!(sending(ChannelKind::Webhook), (Resend::Texts, None));
        assert_eq!(sending(ChannelKind::Simulator), (Resend::None, None), "it has no section");
    }

    #[test]
    fn a_part_in_the_database_stops_no_start() {
        let config = |lines: &str| toml::from_str::<Config>(lines).unwrap();
        let live = |lines: &str| {
            let base = config(lines);
            let token = BTreeMap::from([("whatsapp.access_token".to_owned(), serde_json::json!("t"))]);
            base.live_channel_with(&base.with_settings(&token).unwrap())
        };
        let alone = live("").unwrap();
        assert_eq!((alone.channel, alone.waits), (ChannelKind::WhatsApp, true));
        assert!(alone.in_part.unwrap().contains("set whatsapp.phone_number_id"));
        let simulator = live("[channel]\ndefault = \"simulator\"").unwrap();
        assert_eq!((simulator.channel, simulator.waits), (ChannelKind::Simulator, false));
        assert!(simulator.in_part.is_some(), "it is told all the same");
        let webhook = live("[webhook]\nurl = \"https://bot.example\"\nsecret = \"s\"").unwrap();
        assert_eq!((webhook.channel, webhook.waits), (ChannelKind::Webhook, false));
        let three = "[whatsapp]\nphone_number_id = \"1\"\nbusiness_account_id = \"2\"\napp_secret = \"s\"";
        let refused = live(three).unwrap_err().to_string();
        assert!(refused.contains("set whatsapp.verify_token as well"), "{refused}");
        let whole = live(&format!("{three}\nverify_token = \"v\"")).unwrap();
        assert_eq!(whole, LiveChannel { channel: ChannelKind::WhatsApp, in_part: None, waits: false });
    }
}
