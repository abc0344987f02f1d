//! Moving the timers of a session whose conversation is held by another party: its clock stands still meanwhile.
//!
//! When a hold begins, every timer moves on by its length; when it ends early, back by what is left of it. So the time
//! from the end of the hold to a timer is what was left when it began, and a query for due rows finds no session that
//! stands still. An event that comes in between is applied to the session as it would be without the hold (moved back
//! by what is left), and the result is moved on again.

use std::time::Duration;

use crate::domain::{Session, Status, Timestamp, WaitKind};

/// Which way timers move, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Later, by so much.
    On(Duration),
    /// Earlier, by so much.
    Back(Duration),
}

impl Move {
    /// The way from a time to another.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        if from <= to { Self::On(to.since(from)) } else { Self::Back(from.since(to)) }
    }

    fn of(self, at: Timestamp) -> Timestamp {
        match self {
            Self::On(by) => at.plus(by),
            Self::Back(by) => at.minus(by),
        }
    }
}

/// Moves the timers of a running session. A call that is under way goes on, so that the wait for it stays; a delay
/// until a moment ends at that moment, but not before `not_before`.
pub fn move_timers(session: &mut Session, by: Move, not_before: Timestamp) {
    if session.status != Status::Running {
        return;
    }
    session.expires_at = session.expires_at.map(|at| by.of(at));
    let Some(wait) = &mut session.wait else { return };
    let Some(wake_at) = wait.wake_at else { return };
    match wait.kind {
        WaitKind::Http => {}
        WaitKind::Delay if wait.timeout.is_none() => {
            let moment = wait.moment.unwrap_or(wake_at);
            let wake_at = moment.max(not_before);
            (wait.wake_at, wait.moment) = (Some(wake_at), (wake_at != moment).then_some(moment));
        }
        WaitKind::Reply | WaitKind::Delay | WaitKind::Event | WaitKind::Handoff => wait.wake_at = Some(by.of(wake_at)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Map;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{ContactId, FlowId, SessionId, Wait};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn session(kind: WaitKind, wake_at: i64, timeout: Option<u64>) -> Session {
        let wait = Wait {
            kind,
            entered_in: 1,
            armed_in: 1,
            attempts: 0,
            wake_at: Some(at(wake_at)),
            timeout,
            moment: None,
            asked_at: None,
            options: Vec::new(),
        };
        Session {
            id: SessionId(Uuid::nil()),
            flow_id: FlowId(Uuid::nil()),
            version: 1,
            contact_id: ContactId(Uuid::nil()),
            status: Status::Running,
            reason: None,
            outcome: None,
            current_node: None,
            wait: Some(wait),
            turn: 1,
            seed: 1,
            draws: 0,
            visits: BTreeMap::new(),
            context: Map::new(),
            input: None,
            kept_events: Vec::new(),
            frames: Vec::new(),
            spoken: Vec::new(),
            undelivered: None,
            queued_replies: Vec::new(),
            expires_at: Some(at(wake_at + 900)),
            started_at: at(0),
            last_interaction_at: at(0),
            ended_at: None,
        }
    }

    fn timers(session: &Session) -> (i64, i64) {
        let seconds = |at: Option<Timestamp>| at.unwrap().as_millis() / 1000;
        (seconds(session.wait.as_ref().unwrap().wake_at), seconds(session.expires_at))
    }

    fn moved(mut session: Session, by: Move, not_before: i64) -> Session {
        move_timers(&mut session, by, at(not_before));
        session
    }

    #[test]
    fn spans_move_and_calls_and_moments_stand_fast() {
        let hour = Move::On(Duration::from_secs(3600));
        for kind in [WaitKind::Reply, WaitKind::Delay, WaitKind::Event, WaitKind::Handoff] {
            assert_eq!(timers(&moved(session(kind, 60, Some(60_000)), hour, 3600)), (3660, 4560), "{kind:?}");
        }
        assert_eq!(timers(&moved(session(WaitKind::Http, 60, Some(60_000)), hour, 3600)), (60, 4560));
        let later = moved(session(WaitKind::Delay, 86_400, None), hour, 3600);
        assert_eq!((timers(&later).0, later.wait.unwrap().moment), (86_400, None));
        let soon = moved(session(WaitKind::Delay, 600, None), hour, 3600);
        assert_eq!((timers(&soon).0, soon.wait.as_ref().unwrap().moment), (3600, Some(at(600))));
        // It ends early: before the moment, and after it.
        let back = |at: u64| Move::Back(Duration::from_secs(3600 - at));
        assert_eq!(timers(&moved(soon.clone(), back(300), 300)), (600, 600 + 900 + 300));
        assert_eq!(timers(&moved(soon, back(1200), 1200)).0, 1200);
        let mut over = session(WaitKind::Reply, 60, Some(60_000));
        over.status = Status::Completed;
        assert_eq!(timers(&moved(over, hour, 3600)), (60, 960));
    }

    proptest! {
        #[test]
        fn what_moves_on_and_back_again_is_as_it_was(
            wake_at in 1..9_000_i64, length in 1..9_000_i64, now in 0..9_000_i64, is_span: bool,
        ) {
            // A timer that is armed is in the future, and what is left of the time is, too.
            prop_assume!(wake_at > now && length > now);
            let before = session(WaitKind::Delay, wake_at, is_span.then_some(1));
            let rest = Duration::from_secs(u64::try_from(length - now).unwrap());
            let held = moved(before.clone(), Move::On(rest), length);
            prop_assert!(held.due_at().unwrap() >= at(length));
            prop_assert_eq!(moved(held, Move::Back(rest), now), before);
        }
    }
}
