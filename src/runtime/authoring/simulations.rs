//! The simulations that callers have under way, kept in memory: for an hour, so many, and so many bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::simulation::Simulation;
use crate::domain::{SimulationId, Timestamp};
use crate::runtime::Clock;

/// How long a simulation is kept.
pub const LIFETIME: Duration = Duration::from_secs(3600);
/// How many are kept.
pub const MAX_SIMULATIONS: usize = 1_000;
/// How many bytes they may take together, about, where nothing else is set.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The simulations of one server.
#[derive(Debug)]
pub struct Simulations {
    clock: Clock,
    registry: Mutex<Registry>,
}

#[derive(Debug)]
struct Registry {
    max_bytes: usize,
    by_id: HashMap<SimulationId, Kept>,
    /// The oldest first. Each is in `by_id`.
    order: VecDeque<SimulationId>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    since: Timestamp,
    weight: usize,
    simulation: Arc<Mutex<Simulation>>,
}

impl Simulations {
    pub(in crate::runtime) fn new(clock: Clock) -> Self {
        Self { clock, registry: Mutex::new(Registry::new(MAX_BYTES)) }
    }

    /// Changes how many bytes they may take together; 0 is as many as they are.
    pub fn set_max_bytes(&self, bytes: u64) {
        let mut registry = self.lock();
        registry.max_bytes = if bytes == 0 { usize::MAX } else { usize::try_from(bytes).unwrap_or(usize::MAX) };
        registry.make_room();
    }

    /// Keeps a simulation under a new id. The oldest make room for it.
    pub fn keep(&self, simulation: Simulation) -> SimulationId {
        let id = SimulationId(Uuid::now_v7());
        let weight = simulation.weight();
        let simulation = Arc::new(Mutex::new(simulation));
        let now = self.clock.now();
        let mut registry = self.tidy(now);
        registry.by_id.insert(id, Kept { since: now, weight, simulation });
        registry.order.push_back(id);
        registry.bytes += weight;
        registry.make_room();
        id
    }

    /// Looks at a simulation, or moves it on. Returns `None` where there is none (any more). Runs as long as its events
    /// take, so not on a thread that must not block.
    pub fn with<T>(&self, id: SimulationId, work: impl FnOnce(&mut Simulation) -> T) -> Option<T> {
        let simulation = self.tidy(self.clock.now()).by_id.get(&id)?.simulation.clone();
        let (done, weight) = {
            // A refused event puts back what it changed, but a panic may not have come so far: such a simulation is
            // dropped.
            let Ok(mut simulation) = simulation.lock() else {
                self.lock().remove(id);
                return None;
            };
            (work(&mut simulation), simulation.weight())
        };
        let mut registry = self.lock();
        if let Some(kept) = registry.by_id.get_mut(&id) {
            let before = std::mem::replace(&mut kept.weight, weight);
            registry.bytes = registry.bytes - before + weight;
            registry.make_room();
        }
        Some(done)
    }

    /// The registry, without the simulations that have expired.
    fn tidy(&self, now: Timestamp) -> MutexGuard<'_, Registry> {
        let mut registry = self.lock();
        while let Some(oldest) = registry.order.front().copied() {
            if registry.by_id.get(&oldest).is_some_and(|kept| now.since(kept.since) < LIFETIME) {
                break;
            }
            registry.remove(oldest);
        }
        registry
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Its functions do not panic between two changes that belong together.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn new(max_bytes: usize) -> Self {
        Self { max_bytes, by_id: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// Lets the oldest go until the rest fits; the newest stays in any case.
    fn make_room(&mut self) {
        while self.order.len() > MAX_SIMULATIONS || (self.bytes > self.max_bytes && self.order.len() > 1) {
            let Some(oldest) = self.order.front().copied() else { return };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: SimulationId) {
        self.order.retain(|kept| *kept != id);
        if let Some(kept) = self.by_id.remove(&id) {
            self.bytes -= kept.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FlowDocument;
    use crate::engine::CompiledFlow;
    use crate::runtime::simulation::{SimulatedEvent, Start, Subject};
    use serde_json::json;

    fn simulation(document_bytes: usize) -> Simulation {
        let document = json!({"schema_version": 1, "name": "Ask", "entry_node": "ask",
                              "nodes": [{"id": "ask", "type": "ask", "text": "Name?"}]});
        let document = FlowDocument::parse(&document).unwrap();
        let flow = Arc::new(CompiledFlow::load(document, LIFETIME));
        let crate::runtime::ServerSettings { words, colleague_pause, live, webhook, .. } = LIFETIME.into();
        let subject = Subject {
            flow,
            flow_id: None,
            version: None,
            bytes: document_bytes,
            words,
            colleague_pause,
            is_fallback: false,
            texts: (live, webhook),
        };
        let start: Start = serde_json::from_value(json!({"now": "2026-05-07T08:00:00+00:00", "seed": 7})).unwrap();
        Simulation::start(subject, start).unwrap()
    }

    #[test]
    fn each_is_kept_for_an_hour_from_its_start() {
        let clock = Clock::by_hand(Timestamp::from_millis(1_000_000));
        let simulations = Simulations::new(clock.clone());
        let id = simulations.keep(simulation(0));
        clock.advance(LIFETIME - Duration::from_millis(1));
        assert_eq!(simulations.with(id, |simulation| simulation.turns().len()), Some(1));
        let other = simulations.keep(simulation(0));
        clock.advance(Duration::from_millis(1));
        assert!(simulations.with(id, |_| ()).is_none());
        assert!(simulations.with(other, |_| ()).is_some());
        assert_eq!(simulations.lock().order.len(), 1);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_or_they_are_too_large() {
        let simulations = Simulations::new(Clock::by_hand(Timestamp::from_millis(1_000_000)));
        let ids: Vec<_> = (0..=MAX_SIMULATIONS).map(|_| simulations.keep(simulation(0))).collect();
        assert!(simulations.with(ids[0], |_| ()).is_none());
        assert!(simulations.with(ids[1], |_| ()).is_some());
        let large: Vec<_> = (0..9).map(|_| simulations.keep(simulation(2 * 1024 * 1024))).collect();
        assert!(simulations.with(ids[MAX_SIMULATIONS], |_| ()).is_none(), "the small ones went first");
        assert!(simulations.with(large[1], |_| ()).is_none());
        assert!(simulations.with(large[2], |_| ()).is_some());
        let registry = simulations.lock();
        let weights: usize = registry.by_id.values().map(|kept| kept.weight).sum();
        assert!(registry.bytes == weights && weights <= MAX_BYTES && registry.order.len() == registry.by_id.len());
    }

    #[test]
    fn a_lower_bound_is_in_force_at_once() {
        let simulations = Simulations::new(Clock::by_hand(Timestamp::from_millis(1_000_000)));
        let one = simulation(1024 * 1024).weight() as u64;
        let ids: Vec<_> = (0..3).map(|_| simulations.keep(simulation(1024 * 1024))).collect();
        let left = || ids.iter().map(|id| simulations.with(*id, |_| ()).is_some()).collect::<Vec<_>>();
        simulations.set_max_bytes(3 * one);
        assert_eq!(left(), [true, true, true]);
        simulations.set_max_bytes(3 * one - 1);
        assert_eq!(left(), [false, true, true]);
        simulations.set_max_bytes(0);
        for _ in 0..100 {
            simulations.keep(simulation(1024 * 1024));
        }
        assert_eq!(left(), [false, true, true]);
    }

    #[test]
    fn one_that_panicked_is_given_up_and_the_others_stay() {
        let simulations = Arc::new(Simulations::new(Clock::by_hand(Timestamp::from_millis(1_000_000))));
        let (bad, good) = (simulations.keep(simulation(0)), simulations.keep(simulation(0)));
        let shared = simulations.clone();
        assert!(std::thread::spawn(move || shared.with(bad, |_| panic!("on purpose"))).join().is_err());
        assert!(simulations.with(bad, |_| ()).is_none());
        let taken =
            simulations.with(good, |it| it.take(&SimulatedEvent::Reply { text: "Ann".to_owned(), message: None }));
        assert_eq!(taken, Some(Ok(())));
        assert_eq!(simulations.lock().order.len(), 1);
    }
}
