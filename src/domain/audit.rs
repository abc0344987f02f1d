//! The audit: which deeds are recorded, and who does them.

use std::sync::Arc;

use super::TokenId;
use super::named::named;

named! {
    /// What the audit records. Each has an entry where it is done, and in the log.
    #[derive(Hash)]
    pub enum AuditAction {
        /// The first password of the admin page was set, with the code that the server prints.
        SetUp = "admin.set_up",
        /// A person logged in to the admin page.
        LoggedIn = "admin.logged_in",
        /// A wrong password, or a wrong set-up code, was given for the admin page.
        LogInFailed = "admin.log_in_failed",
        /// A person logged out of the admin page.
        LoggedOut = "admin.logged_out",
        /// The admin page got another password, which ended the log-ins.
        PasswordChanged = "admin.password_changed",
        /// A token was made.
        TokenCreated = "token.created",
        /// A token got another rate limit.
        TokenChanged = "token.changed",
        /// A token was revoked.
        TokenRevoked = "token.revoked",
        /// A token got another secret.
        TokenRotated = "token.rotated",
        /// A version of a flow was published.
        FlowPublished = "flow.published",
        /// A flow was taken back: no session starts on it.
        FlowUnpublished = "flow.unpublished",
        /// A flow was taken back, and its sessions ended.
        FlowStopped = "flow.stopped",
        /// A flow was deleted.
        FlowDeleted = "flow.deleted",
        /// Settings were changed.
        SettingsChanged = "settings.changed",
        /// The channel was paused by hand.
        ChannelPaused = "channel.paused",
        /// The channel was let go on by hand.
        ChannelResumed = "channel.resumed",
        /// A webhook endpoint was made.
        EndpointCreated = "webhook_endpoint.created",
        /// A webhook endpoint was changed.
        EndpointChanged = "webhook_endpoint.changed",
        /// A webhook endpoint got another secret.
        EndpointSecretRotated = "webhook_endpoint.secret_rotated",
        /// A webhook endpoint was deleted.
        EndpointDeleted = "webhook_endpoint.deleted",
        /// Messages were marked as seen.
        MessagesSeen = "messages.seen",
        /// All messages that had failed for a reason were sent again.
        MessagesRetried = "messages.retried",
        /// A contact was erased.
        ContactErased = "contact.erased",
        /// All that is stored on a contact was exported.
        ContactExported = "contact.exported",
        /// A backup was asked for.
        BackupCreated = "backup.created",
        /// A backup was downloaded, with all that is in it.
        BackupDownloaded = "backup.downloaded",
    }
}

named! {
    /// What kind of actor did something.
    #[derive(Hash)]
    pub enum ActorKind {
        /// A person who is logged in on the admin page.
        Login = "login",
        /// A program with a token.
        Token = "token",
        /// A command on the command line.
        CommandLine = "command_line",
        /// The server itself, as its configuration says.
        Server = "server",
        /// A caller who has not shown that they may do it.
        Unknown = "unknown",
    }
}

/// Who does something that the audit records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of actor that is.
    pub kind: ActorKind,
    /// The name given at log-in, or the token's; empty for all others.
    pub name: Arc<str>,
    /// The token, where it is one.
    pub token: Option<TokenId>,
    /// The network that the request came from; `None` where there was no request.
    pub network: Option<Arc<str>>,
}

impl Actor {
    /// A command on the command line.
    pub fn command_line() -> Self {
        Self::without_request(ActorKind::CommandLine)
    }

    /// The server itself.
    pub fn server() -> Self {
        Self::without_request(ActorKind::Server)
    }

    /// A caller from a network who has not shown that they may do it. What they call themselves proves nothing.
    pub fn unknown(network: &str) -> Self {
        Self { network: Some(network.into()), ..Self::without_request(ActorKind::Unknown) }
    }

    /// A person who logs in from a network.
    pub fn login(name: &str, network: &str) -> Self {
        let (name, network) = (name.into(), Some(network.into()));
        Self { name, network, ..Self::without_request(ActorKind::Login) }
    }

    fn without_request(kind: ActorKind) -> Self {
        Self { kind, name: "".into(), token: None, network: None }
    }
}

/// A deed for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// What was done.
    pub action: AuditAction,
    /// Who did it.
    pub actor: Actor,
    /// The id or the name of what it was done to; never of a contact that is erased.
    pub target: Option<String>,
    /// What else there is to say, such as the keys of settings; never anything of a contact.
    pub detail: Option<String>,
}

impl Deed {
    /// A deed with no target and nothing else to say.
    pub fn new(action: AuditAction, actor: Actor) -> Self {
        Self { action, actor, target: None, detail: None }
    }

    /// The same, done to what has this id or name.
    #[must_use]
    pub fn to(self, target: impl ToString) -> Self {
        Self { target: Some(target.to_string()), ..self }
    }

    /// The same, with something to say of it.
    #[must_use]
    pub fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}
