//! Settings with which the runtime is made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::channels::{Channel, ChannelKind};
use crate::domain::consent::ConsentWords;
use crate::domain::{FlowId, Resend, TextLimits};

/// Messages in both directions that a number may handle in a second, unless the operator knows better.
pub(super) const MESSAGES_PER_SECOND: u32 = 80;
/// For how long flows are silent after a colleague's message, unless it is configured.
pub(super) const COLLEAGUE_PAUSE: Duration = Duration::from_secs(3600);

/// Settings with which the runtime is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The channel that messages go out on.
    pub channel: Channel,
    /// The time to live of sessions whose flow sets none.
    pub default_ttl: Duration,
    /// How long to wait for a status of a message whose delivery is unknown.
    pub unknown_after: Duration,
    /// Which of them go out again after that.
    pub resend: Resend,
    /// Messages in both directions that the channel's number may handle in a second.
    pub messages_per_second: u32,
    /// Where messages from people go.
    pub routing: Routing,
    /// Networks that flows may call besides the public internet.
    pub allow: Vec<IpNet>,
    /// When and where backups are made.
    pub backups: BackupPlan,
    /// For how long rows are kept.
    pub retention: Retention,
    /// Why another channel is not in use of which the settings of the database hold a part, in a sentence.
    pub unused_settings: Option<String>,
}

/// When and where backups are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupPlan {
    /// The interval; zero: none are made.
    pub every: Duration,
    /// How many are kept.
    pub keep: usize,
    /// Their folder.
    pub dir: PathBuf,
    /// Bytes that a backup leaves free on the disk of the database.
    pub min_free: u64,
}

/// For how long rows are kept; zero: for good.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Sessions after their end, with their turns.
    pub sessions: Duration,
    /// Messages.
    pub messages: Duration,
    /// Turns of sessions that have ended.
    pub traces: Duration,
    /// Deliveries to webhook endpoints that are settled; zero: for a day.
    pub deliveries: Duration,
    /// Rows of the audit.
    pub audit: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let forever = Duration::ZERO;
        let audit = Duration::from_secs(365 * 24 * 3600);
        Self { sessions: forever, messages: forever, traces: forever, deliveries: forever, audit }
    }
}

/// Where messages from people go.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Words that opt out, each perhaps with its language before it (`de:stopp`); empty for those of
    /// [`consent`](crate::domain::consent).
    pub opt_out_words: Vec<String>,
    /// Words that opt in again, likewise.
    pub opt_in_words: Vec<String>,
    /// The flow that takes what no session and no keyword wants.
    pub fallback_flow: Option<FlowId>,
    /// For how long flows are silent after a colleague has written to the person in the WhatsApp Business app; zero:
    /// they are not.
    pub colleague_pause: Duration,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            opt_out_words: Vec::new(),
            opt_in_words: Vec::new(),
            fallback_flow: None,
            colleague_pause: COLLEAGUE_PAUSE,
        }
    }
}

/// What a server is set to, as far as a simulated conversation depends on it. A [`Duration`] is one that sets nothing
/// but the time to live of sessions whose flow sets none.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The time to live of sessions whose flow sets none.
    pub default_ttl: Duration,
    /// The words that opt out and in.
    pub words: Arc<ConsentWords>,
    /// For how long flows are silent after a colleague's message.
    pub colleague_pause: Duration,
    /// How long the texts of messages on the channel in use may be.
    pub live: TextLimits,
    /// How long those on the generic webhook may be.
    pub webhook: TextLimits,
    /// The fallback flow: a message that nothing else takes starts it.
    pub fallback: Option<FlowId>,
}

impl ServerSettings {
    /// The same for a server whose channel in use has this name.
    #[must_use]
    pub fn on_channel(self, name: &str) -> Self {
        let live = match ChannelKind::parse(name) {
            Some(ChannelKind::Webhook) => self.webhook,
            other => other.unwrap_or_default().text_limits(),
        };
        Self { live, ..self }
    }
}

impl From<Duration> for ServerSettings {
    fn from(default_ttl: Duration) -> Self {
        let (live, webhook) = (TextLimits::NONE, ChannelKind::Webhook.text_limits());
        Self { default_ttl, words: Arc::default(), colleague_pause: COLLEAGUE_PAUSE, live, webhook, fallback: None }
    }
}

impl Options {
    /// The options of a server on a channel that sets nothing else.
    pub fn new(channel: Channel, default_ttl: Duration) -> Self {
        Self {
            channel,
            default_ttl,
            unknown_after: Duration::from_secs(60),
            resend: Resend::default(),
            messages_per_second: MESSAGES_PER_SECOND,
            routing: Routing::default(),
            allow: Vec::new(),
            backups: BackupPlan::default(),
            retention: Retention::default(),
            unused_settings: None,
        }
    }
}
