//! The limit of automatic answers, so that two machines that answer each other come to an end.
//!
//! The answer to a late reply, the fallback flow and a flow started by a keyword are automatic answers. After ten of
//! them to one person within a minute, in which no session took a reply, there is no other one until the person has
//! been silent for an hour, or an operator lets them go on. A reply counts if it fitted what was asked.
//!
//! Since a question for any text is answered by a machine, too, and a flow may take its time, automatic answers also
//! stop after thirty within ten minutes that led to more: a session took another message of the person, whether or not
//! that fitted, or the session that began went on by itself, because a timer of it fired. A person may well write every
//! ten seconds to a flow that answers with a text and ends, but does not go through thirty conversations in ten
//! minutes, however often the answers in each are wrong. Messages above the limit are kept as unrouted with the reason
//! [`Reason::AutoReplyLimit`]. Words that opt out and in do their work all the same; only their confirmations stop at
//! as many within a minute.
//!
//! All of it is read from stored messages, so that a restart changes nothing. It is checked only before an automatic
//! answer.

use std::time::Duration;

use crate::domain::{ContactId, Handling, Reason, Timestamp};
use crate::error::Result;
use crate::runtime::Command;
use crate::runtime::job::{Deferred, Job};
use crate::store::messages::{self, HeardRow};
use crate::store::{Conn, contacts};

/// Automatic answers to one person within [`SPAN`], at the most.
const MAX_ANSWERS: usize = 10;
/// The time in which they are counted.
const SPAN: Duration = Duration::from_secs(60);
/// Automatic answers that led to more, at the most, and the time in which they are counted.
const MAX_ROUNDS: usize = 30;
const SPAN_OF_ROUNDS: Duration = Duration::from_secs(600);
/// For how long a person has to be silent before there are others.
const SILENCE: Duration = Duration::from_secs(3600);
/// Messages from a person that are looked at: those of ten minutes, at three a second.
const MAX_HEARD: u32 = 2_000;

/// The state of a person under the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Standing {
    /// There may be another automatic answer.
    Free,
    /// There were as many as there may be, just now.
    Reached,
    /// There were before, and the person has not been silent since.
    Over,
}

/// A message from a person, as far as the limit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) struct Earlier {
    /// When it came.
    pub(in crate::runtime) at: Timestamp,
    /// How it was handled.
    pub(in crate::runtime) kind: EarlierKind,
}

/// How a message from a person was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum EarlierKind {
    /// It got an automatic answer, and nothing followed.
    Answered,
    /// It got an automatic answer by a session that went on, because a timer of it fired.
    Begun,
    /// A session took it as an answer to what it had asked.
    Taken,
    /// A session got it and did not take it as an answer: it did not fit, or nothing was asked.
    Heard,
    /// It was not answered because of the limit.
    Unanswered,
    /// Any other handling, such as a word that opts out or in.
    Other,
}

impl Earlier {
    fn of(row: &HeardRow) -> Self {
        let is_limited = row.reason.as_deref() == Some(Reason::AutoReplyLimit.as_str());
        let kind = match (row.handled, row.reason.as_deref()) {
            _ if is_limited => EarlierKind::Unanswered,
            (Some(Handling::Keyword | Handling::LateReply | Handling::Fallback), _) if row.went_on => {
                EarlierKind::Begun
            }
            (Some(Handling::Keyword | Handling::LateReply | Handling::Fallback), _) => EarlierKind::Answered,
            // With a reason it is no answer to what was asked.
            (Some(Handling::Reply), None) => EarlierKind::Taken,
            (Some(Handling::Reply | Handling::Ignored), _) => EarlierKind::Heard,
            _ => EarlierKind::Other,
        };
        Self { at: row.at, kind }
    }
}

/// The state of a person by the messages before, the newest first. An operator has let answers go on at `allowed_from`.
pub(in crate::runtime) fn standing(
    earlier: impl IntoIterator<Item = Earlier>,
    allowed_from: Option<Timestamp>,
    now: Timestamp,
) -> Standing {
    let (mut answers, mut is_counting, mut after) = (0, true, now);
    let (mut rounds, mut led_to_more) = (0, false);
    for Earlier { at, kind } in earlier {
        if at.plus(SILENCE) <= after || allowed_from.is_some_and(|from| at <= from) {
            break;
        }
        match kind {
            EarlierKind::Unanswered => return Standing::Over,
            EarlierKind::Taken => (is_counting, led_to_more) = (false, true),
            EarlierKind::Heard => led_to_more = true,
            EarlierKind::Answered | EarlierKind::Begun => {
                led_to_more |= kind == EarlierKind::Begun;
                answers += usize::from(is_counting && at.plus(SPAN) > now);
                rounds += usize::from(led_to_more && at.plus(SPAN_OF_ROUNDS) > now);
                led_to_more = false;
            }
            EarlierKind::Other => {}
        }
        after = after.min(at);
    }
    if answers < MAX_ANSWERS && rounds < MAX_ROUNDS { Standing::Free } else { Standing::Reached }
}

impl Job<'_> {
    /// The state of a contact under the limit when a message comes at `at`.
    pub(super) fn auto_replies(&self, contact_seq: i64, at: Timestamp) -> Result<Standing> {
        standing_of(self.tx(), contact_seq, at)
    }

    /// Whether a wish of a contact, whose message is stored by now, is still confirmed: not if it changes more often
    /// than a person would change it.
    pub(super) fn may_confirm(&self, contact_seq: i64) -> Result<bool> {
        let heard = messages::heard_of(self.tx(), contact_seq, self.now(), (SPAN, Duration::ZERO), MAX_HEARD)?;
        let since = self.now().minus(SPAN);

        let is_wish = |row: &&HeardRow| matches!(row.handled, Some(Handling::OptOut | Handling::OptIn));
        Ok(heard.iter().filter(|row| row.at > since).filter(is_wish).count() <= MAX_ANSWERS)
    }
}

/// The state of a contact under the limit at a time.
fn standing_of(conn: &Conn, contact_seq: i64, at: Timestamp) -> Result<Standing> {
    let heard = messages::heard_of(conn, contact_seq, at, (SILENCE, SPAN_OF_ROUNDS), MAX_HEARD)?;
    let allowed_from = contacts::auto_replies_allowed_from(conn, contact_seq)?;
    Ok(standing(heard.iter().map(Earlier::of), allowed_from, at))
}

/// Whether automatic answers to a contact have stopped.
///
/// # Errors
/// When the database cannot be read.
pub fn has_stopped_auto_replies(conn: &Conn, contact_seq: i64, now: Timestamp) -> Result<bool> {
    Ok(standing_of(conn, contact_seq, now)? == Standing::Over)
}

/// Lifts the limit of automatic answers for a contact. The outcome is whether there is such a contact.
#[derive(Debug, Clone, Copy)]
pub struct AllowAutoReplies {
    /// The contact for which the limit is lifted.
    pub contact_id: ContactId,
}

impl Command for AllowAutoReplies {
    type Outcome = bool;

    fn run(&self, job: &Job<'_>) -> Result<bool, Deferred> {
        let Some(contact) = contacts::find_by_id(job.tx(), self.contact_id)? else { return Ok(false) };
        contacts::allow_auto_replies(job.tx(), contact.seq, job.now())?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_778_141_663_250).plus(Duration::from_secs(seconds))
    }

    /// Messages by their seconds, recorded in the order in which they came.
    fn told(all: &[(u64, EarlierKind)], allowed_from: Option<u64>, now: u64) -> Standing {
        let newest_first = all.iter().rev().map(|(seconds, kind)| Earlier { at: at(*seconds), kind: *kind });
        standing(newest_first, allowed_from.map(at), at(now))
    }

    fn answered(seconds: impl Iterator<Item = u64>) -> Vec<(u64, EarlierKind)> {
        seconds.map(|second| (second, EarlierKind::Answered)).collect()
    }

    #[test]
    fn ten_answers_in_a_minute_are_as_many_as_there_are() {
        assert_eq!(told(&[], None, 0), Standing::Free);
        assert_eq!(told(&answered(0..9), None, 10), Standing::Free);
        assert_eq!(told(&answered(0..10), None, 10), Standing::Reached);
        assert_eq!(told(&answered(0..10), None, 59), Standing::Reached);
        assert_eq!(told(&answered(0..10), None, 60), Standing::Free, "the first is a minute ago");
        assert_eq!(told(&answered((0..70).step_by(7)), None, 70), Standing::Free, "nine within a minute");
    }

    #[test]
    fn a_reply_that_a_session_took_begins_the_count_anew() {
        let mut all = answered(0..10);
        all.push((10, EarlierKind::Taken));
        assert_eq!(told(&all, None, 11), Standing::Free);
        all.extend(answered(11..20));
        assert_eq!(told(&all, None, 20), Standing::Free);
        all.extend(answered(20..21));
        assert_eq!(told(&all, None, 21), Standing::Reached);
        all.push((21, EarlierKind::Unanswered));
        all.push((22, EarlierKind::Taken));
        assert_eq!(told(&all, None, 23), Standing::Over, "only silence or an operator ends it");
    }

    #[test]
    fn thirty_answers_that_led_to_more_within_ten_minutes_are_the_end() {
        let of = |kinds: &[EarlierKind], pause: usize, n: u64| -> Vec<_> {
            (0..n).step_by(pause).zip(kinds.iter().copied().cycle()).collect()
        };
        let talk = |pause, n| of(&[EarlierKind::Answered, EarlierKind::Taken], pause, n);
        let wrong = [EarlierKind::Answered, EarlierKind::Heard, EarlierKind::Heard, EarlierKind::Heard];
        assert_eq!(told(&of(&wrong, 2, 232), None, 232), Standing::Free, "29 of them");
        assert_eq!(told(&of(&wrong, 2, 240), None, 240), Standing::Reached);
        assert_eq!(told(&of(&wrong, 8, 3_000), None, 3_000), Standing::Free, "a person who is wrong all the time");
        assert_eq!(told(&of(&[EarlierKind::Begun], 7, 203), None, 203), Standing::Free, "29 of them");
        assert_eq!(told(&of(&[EarlierKind::Begun], 7, 210), None, 210), Standing::Reached);
        assert_eq!(told(&of(&[EarlierKind::Answered, EarlierKind::Heard], 1, 20), None, 20), Standing::Reached);
        assert_eq!(told(&talk(5, 290), None, 290), Standing::Free, "29 of them");
        assert_eq!(told(&talk(5, 300), None, 300), Standing::Reached);
        assert_eq!(told(&talk(11, 3_000), None, 3_000), Standing::Free, "28 in any ten minutes");
        assert_eq!(told(&answered((0..700).step_by(7)), None, 700), Standing::Free, "nobody replied to these");
    }

    #[test]
    fn it_is_over_after_an_hour_of_silence_or_when_an_operator_says_so() {
        let mut all = answered(0..10);
        all.push((10, EarlierKind::Unanswered));
        assert_eq!(told(&all, None, 3609), Standing::Over);
        assert_eq!(told(&all, None, 3610), Standing::Free);
        assert_eq!(told(&all, Some(11), 12), Standing::Free);
        assert_eq!(told(&all, Some(9), 12), Standing::Over, "that was before");
        // Whatever else comes is no silence.
        all.push((3000, EarlierKind::Other));
        assert_eq!(told(&all, None, 6599), Standing::Over);
        assert_eq!(told(&all, None, 6600), Standing::Free);
    }
}
