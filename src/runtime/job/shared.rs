//! What all jobs share, whatever they do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::arrivals::Arrivals;
use super::changes::ChangeFeed;
use super::flow_cache::{self, FlowCache};
use super::keywords::Keywords;
use super::listeners::Listeners;
use super::wake::WakeSignals;
use crate::domain::consent::ConsentWords;
use crate::runtime::clock::Clock;
use crate::runtime::options::Options;
use crate::store::Store;
use crate::store::tombstones::ErasureKey;

/// What all jobs share.
pub(in crate::runtime) struct Shared {
    pub(in crate::runtime) store: Store,
    pub(in crate::runtime) clock: Clock,
    pub(in crate::runtime) options: Options,
    /// Replies that have arrived and are not yet committed.
    pub(in crate::runtime) arrivals: Arrivals,
    /// The words by which people opt out and in.
    pub(in crate::runtime) consent: Arc<ConsentWords>,
    /// The words that start flows.
    pub(in crate::runtime) keywords: Keywords,
    /// The webhook endpoints that subscribe to events, in memory.
    pub(in crate::runtime) listeners: Listeners,
    /// Subscribers of changes.
    pub(in crate::runtime) feed: ChangeFeed,
    pub(in crate::runtime) flows: FlowCache,
    /// What the workers wait for.
    pub(in crate::runtime) signals: WakeSignals,
    /// The key of what is remembered of erased people, once it is known to be committed.
    pub(in crate::runtime) erasure_key: OnceLock<ErasureKey>,
    /// Time to live of sessions whose flow sets none, in seconds.
    default_ttl: AtomicU64,
}

impl Shared {
    pub(in crate::runtime) fn new(store: Store, clock: Clock, options: Options) -> Self {
        let consent = Arc::new(ConsentWords::new(&options.routing.opt_out_words, &options.routing.opt_in_words));
        Self {
            store,
            arrivals: Arrivals::new(clock.clone()),
            clock,
            consent,
            keywords: Keywords::default(),
            listeners: Listeners::default(),
            feed: ChangeFeed::new(),
            flows: flow_cache::new_cache(),
            signals: WakeSignals::default(),
            erasure_key: OnceLock::new(),
            default_ttl: AtomicU64::new(options.default_ttl.as_secs()),
            options,
        }
    }

    /// The time to live of sessions whose flow sets none.
    pub(in crate::runtime) fn default_ttl(&self) -> Duration {
        Duration::from_secs(self.default_ttl.load(Ordering::Relaxed))
    }

    /// Changes it: for sessions that begin or move from now on.
    pub(in crate::runtime) fn set_default_ttl(&self, default_ttl: Duration) {
        let seconds = default_ttl.as_secs();
        if self.default_ttl.swap(seconds, Ordering::Relaxed) != seconds {
            // Compiled flows carry it.
            self.flows.clear();
        }
    }
}
