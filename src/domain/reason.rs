//! Why sessions, messages, replies and channels ended or wait as they do: every reason of the program's own, once.
//!
//! What is stored and published is the code. It is a short name; for an event that a session did not take it is a
//! sentence. A stored reason may also be free text, such as a caller's own for a cancel or a provider's code for a
//! refusal: [`Reason::parse`] returns the registered one, if it is one. The page receives codes and sentences by
//! `/admin/old/lists.js` (`api/manage/page_lists.rs`).

use serde::{Serialize, Serializer};

use super::named::named;

/// What a reason may be given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A session that failed or was cancelled.
    Session,
    /// A message of ours that failed.
    Message,
    /// A message of ours that waits in the outbox.
    Queue,
    /// A message of a person that no session took.
    Reply,
    /// A message of a person that a session took, and that answers nothing.
    Taken,
    /// An event that changed nothing in a session, as the trace has it.
    Trace,
    /// A channel that does not run.
    Channel,
    /// A call to a channel's provider that brought nothing, other than to send a message.
    Call,
}

/// How far the failure of a message of ours goes for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is the message's own: the later parts of its text fail for that, and its session gets the failure.
    Message,
    /// The later parts of its text fail for the same reason; its session gets the failure.
    Text,
    /// The same, but its session is over by then, or ends with it, and gets nothing.
    Conversation,
}

/// What a reason may be given for, and how far it goes where that is a message.
struct Given {
    places: &'static [Place],
    reach: Reach,
}

impl Given {
    /// For no message of ours. A provider's code that reads like the reason goes no further than its message.
    const fn elsewhere(places: &'static [Place]) -> Self {
        Self { places, reach: Reach::Message }
    }
}

macro_rules! reasons {
    ($($name:ident = $code:literal in $given:ident: $words:literal $(, of a session: $of_session:literal)?;)*) => {
        named! {
            /// A reason of the program's own.
            #[derive(Hash)]
            pub enum Reason {
                $(#[doc = $words] $name = $code,)*
            }
        }

        impl Reason {
            /// A sentence for people: what it means, and what to do where something can be done.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }

            /// The sentence about a session in particular, with what to do about the flow.
            pub const fn of_session(self) -> Option<&'static str> {
                match self {
                    $($(Self::$name => Some($of_session),)?)*
                    _ => None,
                }
            }

            /// What it may be given for.
            pub const fn places(self) -> &'static [Place] {
                match self {
                    $(Self::$name => $given.places,)*
                }
            }

            /// How far the failure of a message for it goes.
            pub const fn reach(self) -> Reach {
                match self {
                    $(Self::$name => $given.reach,)*
                }
            }
        }
    };
}

const SESSION: Given = Given::elsewhere(&[Place::Session]);
const QUEUE: Given = Given::elsewhere(&[Place::Queue]);
const REPLY: Given = Given::elsewhere(&[Place::Reply]);
const TAKEN: Given = Given::elsewhere(&[Place::Taken]);
const TRACE: Given = Given::elsewhere(&[Place::Trace]);
const CHANNEL: Given = Given::elsewhere(&[Place::Channel]);
const CALL: Given = Given::elsewhere(&[Place::Call]);
const SESSION_AND_REPLY: Given = Given::elsewhere(&[Place::Session, Place::Reply]);
const QUEUE_AND_REPLY: Given = Given::elsewhere(&[Place::Queue, Place::Reply]);

// Those of messages say in their names how far they go.
const MESSAGE_ALONE: Given = Given { places: &[Place::Message], reach: Reach::Message };
const MESSAGE_WITH_ITS_TEXT: Given = Given { places: &[Place::Message], reach: Reach::Text };
/// A session that is ended from outside takes its queued messages along.
const SESSION_WITH_ITS_MESSAGES: Given =
    Given { places: &[Place::Session, Place::Message], reach: Reach::Conversation };
const MESSAGE_OF_ENDED_AND_REPLY: Given = Given { places: &[Place::Message, Place::Reply], reach: Reach::Conversation };
const SESSION_WITH_ITS_MESSAGES_AND_REPLY: Given =
    Given { places: &[Place::Session, Place::Message, Place::Reply], reach: Reach::Conversation };

// In the order of their codes.
reasons! {
    PersonTookOver = "a person has taken over" in REPLY: "A person has taken over the conversation.";
    AutoReplyLimit = "auto_reply_limit" in REPLY:
        "Too many automatic answers went to this person within a minute, as between two machines: nothing is answered \
         by itself until the person has been silent for an hour, or until somebody lets it go on.";
    BadMedia = "bad_media" in MESSAGE_ALONE: "What stands for the medium is no http or https link.";
    BadTemplate = "bad_template" in MESSAGE_ALONE:
        "The template has a part that takes values which cannot be given from here; the page Templates says which.";
    BadTime = "bad_time" in SESSION:
        "A delay was to end at what is no moment in time, or at one more than ten years off.",
        of a session:
        "A delay was to end at what is no moment in time, or at one more than ten years off. Look at its `until`.";
    Blank = "blank" in MESSAGE_ALONE: "A part of it that the channel needs is blank.";
    Cancelled = "cancelled" in SESSION: "Somebody ended it.",
        of a session: "Somebody ended it, or the API was asked to, without giving a reason.";
    ChannelPaused = "channel_paused" in QUEUE: "The channel is paused: it goes out when the channel goes on.";
    Colleague = "colleague" in QUEUE_AND_REPLY:
        "A colleague has written to this person in the WhatsApp Business app: flows are silent for a while, and what \
         the person writes is for the colleague.";
    ConfiguredInPart = "configured_in_part" in CHANNEL: "A part of the channel's configuration is missing.";
    DepthLimit = "depth_limit" in SESSION:
        "Too many sub-flows were in each other at once: look for one that runs itself.",
        of a session: "Too many sub-flows were in each other at once. Look for a `run_flow` that runs its own flow.";
    EarlierPartFailed = "earlier_part_failed" in MESSAGE_ALONE: "It goes on from a message that could not be sent.";
    EndlessList = "endless_list" in CALL: "The provider's list of templates does not come to an end.";
    Erased = "erased" in SESSION_WITH_ITS_MESSAGES: "The contact was erased.",
        of a session: "The contact was erased, and the conversation ended with it.";
    Failed = "failed" in MESSAGE_ALONE: "The channel says that it failed, and not why.";
    FlowStopped = "flow_stopped" in SESSION: "The flow was stopped.",
        of a session: "The flow was stopped, and its sessions were ended with it.";
    ForeignPage = "foreign_page" in CALL:
        "The provider's list of templates goes on at another address, where the access token is not sent.";
    Http401 = "http_401" in CHANNEL:
        "The URL refused the signature or the address: compare the secret on both sides.";
    Http403 = "http_403" in CHANNEL:
        "The URL refused the signature or the address: compare the secret on both sides.";
    Http404 = "http_404" in MESSAGE_ALONE: "There is nothing at the URL: correct it.";
    Http410 = "http_410" in MESSAGE_ALONE: "The URL says that it is gone for good: give another.";
    InternalError = "internal_error" in SESSION_AND_REPLY: "Something went wrong in the server; its log says what.",
        of a session: "Something went wrong in the server. Its log says what, under the session's id.";
    Late = "late" in REPLY: "It came after the time to answer, before the person had seen what was said then.";
    LateReply = "late_reply" in TRACE: "The conversation was over, and the flow answered as it does then.";
    Merged = "merged" in SESSION_WITH_ITS_MESSAGES:
        "Two contacts turned out to be one person; the other conversation goes on.",
        of a session: "Two contacts turned out to be one person. The other conversation of the flow goes on.";
    MissingFlow = "missing_flow" in SESSION:
        "The flow that a node runs is not published: publish it, or name another.",
        of a session: "The flow that a `run_flow` names is not published. Publish it, or name another.";
    MissingNode = "missing_node" in SESSION: "An exit leads to a node that is not there: wire it to another.",
        of a session:
        "An exit leads to a node that is not in this version. Wire the exit to another, and publish.";
    MissingVariable = "missing_variable" in MESSAGE_ALONE:
        "A placeholder of the template had no value: give its variable a default in the node.";
    NoReplyQueued = "no reply is queued" in TRACE: "No reply is queued.";
    NoAddress = "no_address" in MESSAGE_ALONE:
        "There is no address of this person that the channel reaches: add a phone number.";
    NoAnswer = "no_answer" in CALL: "The provider's answer could not be read.";
    NoEntryNode = "no_entry_node" in SESSION: "The flow has no node to begin with: name one in entry_node.",
        of a session: "The flow has no node to begin with. Name one in its `entry_node`, and publish it.";
    NoMatch = "no_match" in TAKEN: "It fits nothing that was asked.";
    NoSession = "no_session" in REPLY: "No conversation was waiting for a reply.";
    NodeLimit = "node_limit" in SESSION: "It passed too many nodes without waiting: put a wait into the loop.",
        of a session: "It passed too many nodes in one turn without waiting. Put a wait into the loop.";
    NotAsked = "not_asked" in TAKEN: "Nothing was asked.";
    NotOnOnlyTo = "not_on_only_to" in MESSAGE_ALONE:
        "The number is not on the list of numbers that this server may write to (whatsapp.only_to).";
    NotYourSession = "not_your_session" in REPLY: "The button belongs to somebody else's conversation.";
    NothingToDraw = "nothing_to_draw" in SESSION:
        "No branch of a random split has a weight: give one of them more than 0.",
        of a session: "No branch of a random split has a weight. Give one of them a weight above 0.";
    Operator = "operator" in CHANNEL: "Somebody paused the channel.";
    OptedIn = "opted_in" in MESSAGE_ALONE: "The contact has opted in again.";
    OptedOut = "opted_out" in SESSION_WITH_ITS_MESSAGES_AND_REPLY: "The contact has opted out.",
        of a session: "The contact has opted out: flows do not write to them any more.";
    Queued = "queued" in TAKEN: "It came during an HTTP call, and the conversation takes it after that.";
    Restarted = "restarted" in SESSION: "The flow was triggered anew for this contact.",
        of a session: "The flow was triggered anew for this contact, with `on_running` set to `restart`.";
    SendWindow = "send_window" in QUEUE:
        "It waits for the hours in which the flow may speak first, or until the person writes.";
    SentAsTemplate = "sent_as_template" in MESSAGE_ALONE: "The template that went out stands for it.";
    SessionEnded = "session_ended" in MESSAGE_OF_ENDED_AND_REPLY: "The conversation was over by then.";
    Stale = "stale" in REPLY: "The message was already old when it arrived.";
    Standby = "standby" in QUEUE_AND_REPLY:
        "Another system of Meta, such as Meta Business Agent, holds the conversation: flows are silent until it gives \
         the conversation back or is silent itself for a day.";
    StateLimit = "state_limit" in SESSION: "It kept too much data: save less of what HTTP calls answer.",
        of a session: "It kept too much data. Save less of what HTTP calls answer, or end the session earlier.";
    SubFlowNotLoaded = "sub_flow_not_loaded" in SESSION:
        "A sub-flow could not be loaded: the server's log says why.",
        of a session: "A sub-flow could not be loaded. The server's log says why.";
    SubFlowNotPublished = "sub_flow_not_published" in SESSION:
        "The flow that a node runs is not published: publish it, or name another.";
    SubFlowWithoutEntry = "sub_flow_without_entry" in SESSION:
        "The flow that a node runs has no node to begin with: name one in its entry_node.";
    TemplateDisabled = "template_disabled" in MESSAGE_ALONE: "The channel has switched the template off.";
    TemplateLimit = "template_limit" in SESSION: "Its texts took too much work to fill in.",
        of a session: "Its texts took too much work to fill in. Use shorter lists and fewer loops in templates.";
    TemplateNotApproved = "template_not_approved" in MESSAGE_ALONE:
        "The template is not approved: choose another, or wait for it.";
    TemplatePaused = "template_paused" in MESSAGE_ALONE: "The channel has paused the template.";
    AnswerStale = "the answer is stale" in TRACE: "The answer of the call came too late.";
    BeforeDelay = "the message came before the delay" in REPLY: "The message came before the delay.";
    BeforeQuestion = "the message came before the question" in REPLY: "The message came before the question.";
    DuringDelay = "the message came during a delay" in REPLY: "The message came during a delay.";
    PayloadTooDeep = "the payload is nested too deep" in TRACE: "The event's payload is nested too deep.";
    ExpiresFirst = "the session expires first" in TRACE: "The session expires first.";
    AlreadyBegun = "the session has already begun" in TRACE: "The session has already begun.";
    HasEnded = "the session has ended" in TRACE: "The session has ended.";
    HasGoneOn = "the session has gone on since that message" in TRACE: "The session has gone on since that message.";
    NotExpired = "the session has not expired" in TRACE: "The session has not expired.";
    NotInHandoff = "the session is not in handoff" in TRACE: "No person has taken over the conversation.";
    WaitsForEvent = "the session waits for an event" in REPLY:
        "The conversation waits for an event, and not for a reply.";
    WaitsForNoAnswer = "the session waits for no answer" in TRACE: "The session waits for no answer of a call.";
    WaitsForNothing = "the session waits for nothing" in REPLY: "The session waits for nothing.";
    TimerNotDue = "the timer is not due" in TRACE: "The timer is not due.";
    TimerStale = "the timer is stale" in TRACE: "The session has gone on since the timer was armed.";
    NoRoomForEvent = "there is no room to keep the event" in TRACE:
        "The session keeps as much data as it may, and has no room for the event.";
    NoRoomForMessage = "there is no room to queue the message" in REPLY:
        "The session keeps as much data as it may, and has no room for the message.";
    TooManyDuringCall = "too many messages came during an HTTP call" in REPLY:
        "Too many messages came during an HTTP call.";
    TooLong = "too_long" in MESSAGE_ALONE: "It is longer than the channel allows: shorten it.";
    TooMany = "too_many" in MESSAGE_ALONE: "It has more options than the channel allows: leave some out.";
    TooOld = "too_old" in MESSAGE_WITH_ITS_TEXT: "It waited too long to be sent; by then it was out of date.";
    TurnLimit = "turn_limit" in SESSION: "It took too many turns.",
        of a session: "It took too many turns. A conversation that goes on for so long should end and begin anew.";
    UnknownTemplate = "unknown_template" in MESSAGE_ALONE:
        "The channel has no template of this name: look at the list of templates.";
    Unreachable = "unreachable" in CHANNEL: "The channel could not be reached.";
    Unreadable = "unreadable" in MESSAGE_ALONE: "What was stored of the message cannot be read.";
    WaitAtWrongNode = "wait_at_wrong_node" in SESSION:
        "It waited at a node that does not wait: the server's log may say more.",
        of a session: "It waited at a node that does not wait. The server's log may say more; please report it.";
    WaitsForTemplates = "waits_for_templates" in QUEUE:
        "It waits for the channel's templates, which could not be fetched yet.";
    WindowClosed = "window_closed" in MESSAGE_ALONE:
        "The contact wrote last more than 24 hours ago, and the message has no template: give the node one.";
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_has_each_code_once() {
        let codes = Reason::ALL.map(Reason::as_str);
        assert!(codes.is_sorted_by(|one, other| one < other), "{codes:?}");
    }

    #[test]
    fn every_reason_has_words_and_somewhere_to_stand() {
        for reason in Reason::ALL {
            for words in [Some(reason.words()), reason.of_session()].into_iter().flatten() {
                assert!(words.ends_with('.') && words.starts_with(char::is_uppercase), "{reason}: {words}");
            }
            assert!(!reason.places().is_empty(), "{reason}");
            let is_of_message = reason.places().contains(&Place::Message);
            assert!(
                is_of_message || reason.reach() == Reach::Message,
                "{reason} is for no message and goes on from one"
            );
            let is_of_session = reason.places().contains(&Place::Session);
            assert!(
                is_of_session || reason.of_session().is_none(),
                "{reason} says something of sessions that it is not for"
            );
        }
    }
}
