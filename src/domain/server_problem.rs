//! What may be wrong with a running server: every kind of problem, once.
//!
//! A problem is found anew each time somebody asks, by `runtime/upkeep/problems.rs`, and by `api/state/problems.rs`
//! where it concerns callers. The problems of a flow's document are others: see `domain/problem.rs`.

use super::named::named;
use super::{EndpointId, FlowId, Timestamp, TokenId};

named! {
    /// How bad a problem is. The worst comes first.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum Severity {
        /// Something stands still, or is lost, until a person acts.
        Error = "error",
        /// Something does not do all of its work, or will not soon.
        Warning = "warning",
        /// Something happened that a person should look at.
        Notice = "notice",
    }
}

macro_rules! kinds {
    ($($(#[doc = $about:literal])+ $name:ident = $code:literal, $severity:ident: $advice:literal;)+) => {
        named! {
            /// A kind of problem.
            #[derive(Hash)]
            pub enum ProblemKind {
                $($(#[doc = $about])+ $name = $code,)+
            }
        }

        impl ProblemKind {
            /// How bad it is, where the problem itself does not say otherwise.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }

            /// What to do about it, in a sentence or two.
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$name => $advice,)+
                }
            }
        }
    };
}

// In the order in which those of one severity are listed.
kinds! {
    /// The database takes no writes any more, and the server ends.
    DatabaseStopped = "database_stopped", Error:
        "Look into the log for the cause, mend it, and start the server again.";
    /// Another process keeps the database locked.
    DatabaseLocked = "database_locked", Error:
        "End that process, or let it finish: a tool with an open transaction, or a backup that locks the file.";
    /// The database cannot be read at the moment, so that more may be wrong than is listed.
    ChannelUnknown = "channel_unknown", Error:
        "Look into the log for the cause. If it goes on, check the file with `qyvo check`.";
    /// Nothing but what frees room is written.
    DiskFull = "disk_full", Error: "Free some space on the disk of the database.";
    /// Triggers, batches and messages of other systems are refused.
    DiskNearlyFull = "disk_nearly_full", Error: "Free some space on the disk of the database.";
    /// The disk will have no room for new sessions within days.
    DiskFillsUp = "disk_fills_up", Warning:
        "Make the disk larger, or have old sessions and messages deleted with the settings of `retention`.";
    /// The channel is paused: nothing goes out.
    ChannelPaused = "channel_paused", Error: "Mend the cause, and resume the channel.";
    /// The channel cannot be reached, or refuses everything for a reason that may pass.
    ChannelBackingOff = "channel_backing_off", Warning:
        "It is tried again by itself. If it goes on, test the channel: the far side's status page may say more.";
    /// Messages were due long ago and have not gone out, though the channel is not stopped.
    ChannelBehind = "channel_behind", Warning:
        "Wait, where many were started at once. If the channel can take more in a second, raise its \
         messages_per_second.";
    /// The channel's templates could never be fetched.
    TemplatesNotFetched = "channel_templates_not_fetched", Error:
        "Look at the templates for the channel's answer. The fetch is tried again by itself, and at once when you \
         fetch them there.";
    /// The channel in use records messages and sends none.
    NoPhones = "messages_reach_no_phone", Warning:
        "Connect a channel in the settings, and restart the server. For trying flows out it may stay as it is.";
    /// A published flow uses a template that cannot be sent.
    TemplateUnavailable = "template_unavailable", Error:
        "Have it approved at the channel, or publish the flows with another template.";
    /// Timers are due and have not fired.
    TimersOverdue = "timers_overdue", Error:
        "The log says why. If it does not, the machine is too slow or the clock was set: restart the server if it goes \
         on.";
    /// Events of an endpoint are given up soon.
    EndpointGivingUp = "endpoint_giving_up", Error:
        "Have the endpoint take them before; its page says why it does not.";
    /// An endpoint takes nothing.
    EndpointFailing = "endpoint_failing", Warning:
        "Look at the endpoint's last error, mend it, and try it now. Events are tried again by themselves for a day.";
    /// An endpoint takes events more slowly than they happen.
    EndpointBehind = "endpoint_behind", Warning:
        "Have it answer faster, or subscribe it to fewer events.";
    /// An endpoint was not told of events, and will not be.
    EndpointGaveUp = "endpoint_gave_up", Warning:
        "What it missed is in the list of its deliveries for a day: read it there, or read the state from the API.";
    /// Messages failed, for one reason.
    MessagesFailed = "messages_failed", Warning:
        "Mend the cause and send them all again, or mark them as seen.";
    /// It is not known whether messages arrived.
    MessagesUnknown = "messages_unknown", Warning:
        "Send those again that matter: a person may get one twice. Or mark them as seen.";
    /// Automatic answers to people have stopped, because they came as fast as between two machines.
    AutoRepliesStopped = "auto_replies_stopped", Warning:
        "Look whether a machine answers there. If a person does, let automatic answers go on at the contact. Then mark \
         the messages as seen.";
    /// People wrote messages that nothing took, for one reason.
    MessagesUnrouted = "messages_unrouted", Notice:
        "Answer those who wait for an answer, or mark the messages as seen. A fallback flow takes what nothing else \
         takes.";
    /// Another system of Meta holds conversations: flows are silent there.
    OnStandby = "conversations_on_standby", Notice:
        "Nothing, if that system is meant to answer. Else give it no conversations in the settings of Meta, or resume \
         the contacts.";
    /// The server's own backups are late.
    BackupLate = "backup_late", Warning: "Look at the backups and into the log for the cause, or make one now.";
    /// The last backup failed.
    BackupFailed = "backup_failed", Warning:
        "Mend the cause, and make one now. It is tried again by itself while backups are made at an interval.";
    /// A quota has refused requests within the last hour.
    QuotaRefused = "quota_refused", Warning:
        "Find out whether the caller runs wild. If it does not, raise the limit of the token or in the settings.";
}

/// Something that is wrong with the server now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProblem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// How bad it is.
    pub severity: Severity,
    /// Since when, as far as that is known: else when it was first noticed.
    pub since: Timestamp,
    /// When the newest of what it counts happened.
    pub newest_at: Option<Timestamp>,
    /// What is wrong, in a sentence. It names no address and no path.
    pub text: String,
    /// How many messages, events, timers or people it concerns.
    pub count: Option<u32>,
    /// There may be more: counting stopped there.
    pub is_at_least: bool,
    /// What it is about.
    pub about: About,
}

/// What a problem is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The channel.
    pub channel: Option<&'static str>,
    /// The webhook endpoint.
    pub endpoint: Option<EndpointId>,
    /// The status by which the messages are listed, such as `failed` or `unrouted`.
    pub status: Option<&'static str>,
    /// The reason of the messages.
    pub reason: Option<String>,
    /// The name of the template.
    pub template: Option<String>,
    /// The flows that are concerned, each with its name.
    pub flows: Vec<(FlowId, String)>,
    /// The token.
    pub token: Option<TokenId>,
    /// The key of the limit.
    pub limit: Option<&'static str>,
}

impl ServerProblem {
    /// A problem of its kind's severity, of nothing that is counted.
    pub fn new(kind: ProblemKind, since: Timestamp, text: impl Into<String>) -> Self {
        Self {
            kind,
            severity: kind.severity(),
            since,
            newest_at: None,
            text: text.into(),
            count: None,
            is_at_least: false,
            about: About::default(),
        }
    }

    /// The same about something.
    #[must_use]
    pub fn about(self, about: About) -> Self {
        Self { about, ..self }
    }

    /// The same of so many; `is_at_least` where counting stopped there.
    #[must_use]
    pub fn counting(self, count: u32, is_at_least: bool) -> Self {
        Self { count: Some(count), is_at_least, ..self }
    }

    /// By what problems are sorted: the worst first, and those of a kind beside each other.
    pub fn order(&self) -> (Severity, usize, String) {
        (self.severity, self.kind as usize, self.key())
    }

    /// What the problem is known by for as long as it goes on: its kind and what it is about.
    pub fn key(&self) -> String {
        let About { channel, endpoint, status: _, reason, template, flows: _, token, limit } = &self.about;
        let endpoint = endpoint.map(|id| id.to_string());
        let token = token.map(|id| id.to_string());
        let parts = [*channel, endpoint.as_deref(), reason.as_deref(), template.as_deref(), token.as_deref(), *limit];
        let mut key = self.kind.as_str().to_owned();
        for part in parts.into_iter().flatten() {
            key.push(':');
            key.push_str(part);
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_to_do() {
        for kind in ProblemKind::ALL {
            let advice = kind.advice();
            assert!(advice.ends_with('.') && advice.starts_with(char::is_uppercase), "{kind}: {advice}");
        }
        assert!(Severity::ALL.is_sorted() && Severity::Error < Severity::Notice);
    }

    #[test]
    fn a_key_is_of_the_kind_and_of_what_it_is_about() {
        let at = Timestamp::from_millis(0);
        let of = |about| ServerProblem::new(ProblemKind::MessagesFailed, at, "x").about(about);
        let reason = About { reason: Some("131026".to_owned()), status: Some("failed"), ..About::default() };
        assert_eq!(of(reason.clone()).key(), "messages_failed:131026");
        assert_eq!(of(reason).counting(3, true).key(), "messages_failed:131026");
        assert_eq!(of(About::default()).key(), "messages_failed");
    }
}
