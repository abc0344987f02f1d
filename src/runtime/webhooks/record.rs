//! What becomes of deliveries that were posted, and of their endpoint: recorded for many of them in one job.
//!
//! - 2xx: taken. Everything else has failed and is tried again: after 5 s at first, at last after an hour. Meanwhile
//!   the other lanes of the endpoint go on.
//! - After [`DOWN_AFTER`] attempts in a row that failed, of more than one lane, the endpoint is taken to be down: one
//!   delivery at a time is posted as a probe, after 5 s at first, at last every five minutes, until it takes one. An
//!   endpoint that says `Retry-After` is left alone for that time in the same way.
//! - A delivery that has failed for 24 hours is given up. So is everything that is as old, once the endpoint has taken
//!   nothing for 24 hours.
//! - An answer that blames the request (3xx, as redirects are not followed, and 4xx except 408, 425 and 429) gives that
//!   delivery up after five attempts, so that one which an endpoint will never take does not hold up its lane for a
//!   day; not while the endpoint takes nothing at all, where the answer says nothing about the delivery.
//! - 410 Gone switches the endpoint off and gives up what is queued for it.

use std::time::Duration;

use super::post::Refusal;
use crate::domain::{EndpointId, Timestamp};
use crate::error::Result;
use crate::metrics::Metric;
use crate::runtime::{Runtime, jittered, log_failure, wait_for_store};
use crate::store::webhooks::{self, DeliveryRow, Endpoint, Queue, Standing};
use crate::store::{Tx, WriteClass};

/// How long a delivery is tried.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Attempts at a delivery that the endpoint says is at fault, and attempts at least before one is given up for its age.
const ATTEMPTS_AT_LEAST: u32 = 5;
/// The longest wait after the first attempt that failed; the shortest is the half. It doubles with each.
const BACK_OFF: Duration = Duration::from_secs(10);
/// The longest wait between two attempts at a delivery.
const BACK_OFF_AT_MOST: Duration = Duration::from_secs(3600);
/// The longest waits before each probe of an endpoint that is down; the shortest are the half.
const PROBES: [Duration; 6] = [
    BACK_OFF,
    Duration::from_secs(20),
    Duration::from_secs(40),
    Duration::from_secs(80),
    Duration::from_secs(160),
    Duration::from_secs(300),
];
/// Attempts in a row after which an endpoint is taken to be down: one that refuses every other event is not.
const DOWN_AFTER: u32 = 8;
/// Deliveries that one job gives up.
const ROWS_PER_JOB: u32 = 1_000;

/// When the first of the deliveries that are queued for an endpoint is given up, if the endpoint goes on as it does;
/// `None` if there is nothing to fear.
pub fn gives_up_at(endpoint: &Endpoint, queue: &Queue) -> Option<Timestamp> {
    let oldest = queue.oldest.filter(|_| endpoint.is_active)?;
    let since = match (endpoint.standing.probe_at, endpoint.failing_since) {
        (Some(_), Some(failing_since)) => failing_since.max(oldest),
        _ if queue.attempts > 0 => oldest,
        _ => return None,
    };
    Some(since.plus(GIVE_UP_AFTER))
}

/// A delivery that was posted, and why it was not taken.
pub(super) struct Attempt {
    pub(super) row: DeliveryRow,
    pub(super) refusal: Option<Refusal>,
}

/// An attempt that failed, with all that a job must not draw anew when it runs twice.
#[derive(Clone)]
struct Failure {
    row: DeliveryRow,
    refusal: Refusal,
    /// When it is tried again, unless it is given up.
    again_at: Timestamp,
    /// When an endpoint is probed that is down, by the number of probes so far.
    probes_at: [Timestamp; PROBES.len()],
}

impl Failure {
    fn new(row: DeliveryRow, refusal: Refusal, now: Timestamp) -> Self {
        let doubled = BACK_OFF.saturating_mul(2_u32.saturating_pow(row.attempts)).min(BACK_OFF_AT_MOST);
        let again_at = now.plus(jittered(doubled).max(refusal.retry_after.unwrap_or_default()));
        Self { row, refusal, again_at, probes_at: PROBES.map(|at_most| now.plus(jittered(at_most))) }
    }

    fn is_test(&self) -> bool {
        self.row.next_attempt_at.is_none()
    }
}

/// What follows for a delivery from an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextStep {
    /// It is tried again then.
    Again(Timestamp),
    /// It is given up: the endpoint blames it, or it is a test.
    Faulty,
    /// It is given up for its age.
    TooOld,
    /// The endpoint has answered 410 and wants no more events.
    Gone,
}

fn classify(failure: &Failure, is_down: bool, now: Timestamp) -> NextStep {
    let status = failure.refusal.status;
    if status == Some(410) {
        return NextStep::Gone;
    }
    // An administrator waits for the result of a test, and starts another one if need be.
    if failure.is_test() {
        return NextStep::Faulty;
    }
    let is_last = failure.row.attempts + 1 >= ATTEMPTS_AT_LEAST && !is_down;
    let blames = matches!(status, Some(300..=499)) && !matches!(status, Some(408 | 425 | 429));
    if is_last && blames {
        return NextStep::Faulty;
    }
    if is_last && now.since(failure.row.created_at) >= GIVE_UP_AFTER {
        return NextStep::TooOld;
    }
    NextStep::Again(failure.again_at)
}

/// How an endpoint stands after an attempt that failed.
fn standing_after(before: Standing, failure: &Failure, now: Timestamp) -> Standing {
    let lane = failure.row.contact_seq.unwrap_or_default();
    let first = before.failing_lane.unwrap_or(lane);
    let mut after = Standing { failing_lane: Some(first), ..before };
    match before.probe_at {
        // It was under way when the endpoint was found to be down.
        Some(probe_at) if probe_at > now => {}
        Some(_) => {
            after.failures = before.failures.saturating_add(1);
            after.probe_at = Some(probe_time(failure, after.failures));
        }
        None => {
            after.failures = before.failures.saturating_add(1);
            if after.failures >= DOWN_AFTER && lane != first {
                after.failures = DOWN_AFTER;
                after.probe_at = Some(probe_time(failure, DOWN_AFTER));
            }
        }
    }
    if let Some(retry_after) = failure.refusal.retry_after {
        after.probe_at = Some(after.probe_at.unwrap_or(now).max(now.plus(retry_after)));
    }
    after
}

fn probe_time(failure: &Failure, failures: u32) -> Timestamp {
    let probes = usize::try_from(failures.saturating_sub(DOWN_AFTER)).unwrap_or(usize::MAX);
    failure.probes_at[probes.min(PROBES.len() - 1)]
}

/// What a job has recorded, for the log.
#[derive(Default)]
struct Recorded {
    next_steps: Vec<NextStep>,
    /// Whether the endpoint is taken to be down from now on.
    went_down: bool,
    /// Since when it has taken nothing.
    failing_since: Option<Timestamp>,
}

/// Records the results of an endpoint's deliveries. This is tried until the store takes it: a delivery that is not
/// recorded is posted again.
pub(super) async fn record(runtime: &Runtime, id: EndpointId, attempts: Vec<Attempt>) -> Result<()> {
    let now = runtime.clock().now();
    let (mut taken, mut failures, mut is_test) = (Vec::new(), Vec::new(), false);
    for Attempt { row, refusal } in attempts {
        is_test |= row.next_attempt_at.is_none();
        match refusal {
            None => taken.push(row.seq),
            Some(refusal) => failures.push(Failure::new(row, refusal, now)),
        }
    }
    let attempted = (taken.len(), failures.len());
    let recorded = loop {
        let (taken, failures) = (taken.clone(), failures.clone());
        let recorded = runtime
            .store()
            .write_as(WriteClass::Essential, move |tx| record_in(tx, id, (&taken, is_test), &failures, now));
        match recorded.await {
            Ok(recorded) => break recorded,
            Err(error) if wait_for_store(runtime).await => {
                log_failure(runtime, &error, "what an endpoint said could not be recorded; it is tried again");
            }
            Err(error) => return Err(error),
        }
    };
    for (failure, next_step) in failures.iter().zip(&recorded.next_steps) {
        log(id, failure, *next_step);
    }
    if recorded.went_down {
        tracing::warn!(endpoint = %id, "an endpoint takes nothing: it is tried again with one event at a time");
    }
    let last = failures.last().map_or("", |failure| failure.refusal.reason.as_str());
    // A test that fails is tried no more, but nothing is lost by it.
    let ended = failures.iter().zip(&recorded.next_steps).filter(|(failure, _)| !failure.is_test());
    let mut given_up = ended.filter(|(_, step)| !matches!(step, NextStep::Again(_))).count();
    if recorded.next_steps.contains(&NextStep::Gone) {
        tracing::warn!(endpoint = %id, "an endpoint answered 410 Gone and is switched off");
        runtime.reload_endpoints().await?;
        given_up += give_up(runtime, id, now, "endpoint_gone", now).await?;
    } else if recorded.failing_since.is_some_and(|since| now.since(since) >= GIVE_UP_AFTER) {
        given_up += give_up(runtime, id, now.minus(GIVE_UP_AFTER), last, now).await?;
    }
    count_recorded(runtime, id, attempted, given_up);
    Ok(())
}

fn record_in(
    tx: &Tx<'_>,
    id: EndpointId,
    (taken, is_test): (&[i64], bool),
    failures: &[Failure],
    now: Timestamp,
) -> Result<Recorded> {
    if !taken.is_empty() {
        webhooks::set_sent(tx, id, taken, is_test, now)?;
    }
    let Some(endpoint) = webhooks::find_endpoint(tx, id)?.filter(|_| !failures.is_empty()) else {
        return Ok(Recorded::default());
    };
    let mut standing = endpoint.standing;
    let mut recorded = Recorded { failing_since: endpoint.failing_since, ..Recorded::default() };
    // How the endpoint stands is known once all of them are counted: then no event is blamed for its failure.
    for failure in failures.iter().filter(|failure| !failure.is_test()) {
        standing = standing_after(standing, failure, now);
    }
    for failure in failures {
        let next_step = classify(failure, standing.probe_at.is_some(), now);
        let again_at = if let NextStep::Again(at) = next_step { Some(at) } else { None };
        webhooks::set_attempt_failed(tx, failure.row.seq, &failure.refusal.reason, again_at, now)?;
        recorded.next_steps.push(next_step);
    }
    recorded.went_down = endpoint.standing.probe_at.is_none() && standing.probe_at.is_some();
    webhooks::set_standing(tx, id, &standing)?;
    if recorded.next_steps.contains(&NextStep::Gone) {
        webhooks::deactivate(tx, id, now)?;
    }
    Ok(recorded)
}

/// Counts what an endpoint took, the attempts that failed, and what will not be tried again.
fn count_recorded(runtime: &Runtime, endpoint: EndpointId, (taken, failed): (usize, usize), given_up: usize) {
    let (metrics, endpoint) = (runtime.metrics(), endpoint.to_string());
    metrics.add(Metric::EventsDelivered, &[&endpoint], taken as u64);
    metrics.add(Metric::EventAttemptsFailed, &[&endpoint], failed as u64);
    metrics.add(Metric::EventsGivenUp, &[&endpoint], given_up as u64);
}

/// Says what comes of an attempt that failed: what is given up, and what is soon, as a warning.
fn log(id: EndpointId, failure: &Failure, next_step: NextStep) {
    let (reason, delivery) = (&failure.refusal.reason, failure.row.id);
    match next_step {
        NextStep::Again(again_at) => {
            let again_at = again_at.to_iso_seconds();
            tracing::info!(endpoint = %id, %delivery, reason, again_at, "an endpoint has not taken an event");
        }
        NextStep::Faulty | NextStep::TooOld if !failure.is_test() => {
            tracing::warn!(endpoint = %id, %delivery, reason, attempts = failure.row.attempts + 1,
                "an endpoint has not taken an event, which is given up");
        }
        _ => tracing::info!(endpoint = %id, %delivery, reason, "an endpoint has not taken an event"),
    }
}

/// Gives up what was queued for an endpoint no later than `until`, and returns how many events that were.
async fn give_up(runtime: &Runtime, id: EndpointId, until: Timestamp, reason: &str, now: Timestamp) -> Result<usize> {
    let mut all = 0;
    loop {
        let reason = reason.to_owned();
        let given_up = runtime.store().write_as(WriteClass::Essential, move |tx| {
            webhooks::give_up_oldest(tx, id, until, &reason, now, ROWS_PER_JOB)
        });
        match given_up.await? {
            0 => break,
            given_up => all += given_up,
        }
    }
    if all > 0 {
        tracing::warn!(endpoint = %id, events = all, "an endpoint has taken nothing for too long: events are given up");
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::DeliveryStatus;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_778_141_663_250).plus(Duration::from_secs(seconds))
    }

    fn failure(contact_seq: i64, attempts: u32, status: u16, now: Timestamp) -> Failure {
        let row = DeliveryRow {
            seq: contact_seq,
            id: Uuid::from_u128(1),
            event: "session.started".to_owned(),
            body: "{}".to_owned(),
            status: DeliveryStatus::Queued,
            reason: None,
            attempts,
            next_attempt_at: Some(at(0)),
            contact_seq: Some(contact_seq),
            created_at: at(0),
            updated_at: at(0),
        };
        Failure::new(row, Refusal { status: Some(status), reason: String::new(), retry_after: None }, now)
    }

    #[test]
    fn one_lane_that_fails_takes_no_endpoint_down_and_two_do() {
        let mut standing = Standing::default();
        for n in 0..20 {
            standing = standing_after(standing, &failure(1, n, 500, at(1)), at(1));
        }
        assert_eq!((standing.failures, standing.failing_lane, standing.probe_at), (20, Some(1), None));
        let down = standing_after(standing, &failure(2, 0, 500, at(1)), at(1));
        let probe_at = down.probe_at.unwrap();
        assert!(probe_at >= at(6) && probe_at <= at(11), "{probe_at:?}");
        let straggler = standing_after(down, &failure(3, 0, 500, at(2)), at(2));
        assert_eq!(straggler, down, "it was posted before the endpoint was down");
        let mut probed = down;
        let mut now = at(1);
        for _ in 0..9 {
            now = probed.probe_at.unwrap();
            probed = standing_after(probed, &failure(4, 0, 500, now), now);
        }
        let wait = probed.probe_at.unwrap().since(now);
        assert!((150..=300).contains(&wait.as_secs()), "{wait:?}");
        let few =
            (0..7).fold(Standing::default(), |standing, n| standing_after(standing, &failure(n, 0, 500, at(1)), at(1)));
        assert_eq!(few.probe_at, None);
    }

    #[test]
    fn an_endpoint_that_asks_for_time_gets_it() {
        let mut asks = failure(1, 0, 429, at(1));
        asks.refusal.retry_after = Some(Duration::from_secs(90));
        assert_eq!(standing_after(Standing::default(), &asks, at(1)).probe_at, Some(at(91)));
    }

    #[test]
    fn an_event_is_blamed_only_while_the_endpoint_takes_others() {
        let day = 24 * 3600;
        assert_eq!(classify(&failure(1, 4, 404, at(9)), false, at(9)), NextStep::Faulty);
        assert!(matches!(classify(&failure(1, 4, 404, at(9)), true, at(9)), NextStep::Again(_)));
        assert!(matches!(classify(&failure(1, 3, 404, at(9)), false, at(9)), NextStep::Again(_)));
        assert!(matches!(classify(&failure(1, 4, 429, at(9)), false, at(9)), NextStep::Again(_)));
        assert_eq!(classify(&failure(1, 9, 500, at(day)), false, at(day)), NextStep::TooOld);
        assert!(matches!(classify(&failure(1, 9, 500, at(day)), true, at(day)), NextStep::Again(_)));
        assert!(matches!(classify(&failure(1, 0, 500, at(day)), false, at(day)), NextStep::Again(_)), "never tried");
        assert_eq!(classify(&failure(1, 0, 410, at(9)), true, at(9)), NextStep::Gone);
    }
}
