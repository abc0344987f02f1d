//! Compiled flows, kept in memory so that no job compiles one.

use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::engine::CompiledFlow;

/// Compiled flows that are kept at once, at the most.
const FLOWS_KEPT: usize = 4_096;
/// Bytes that they take, their documents included, about.
const FLOW_BYTES_KEPT: u64 = 64 * 1024 * 1024;

/// One published version of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub(in crate::runtime) flow_seq: i64,
    pub(in crate::runtime) version: u32,
}

/// The compiled flows of published versions.
pub(in crate::runtime) type FlowCache = Cache<FlowKey, Arc<CachedFlow>, FlowWeight>;

/// An empty cache.
pub(in crate::runtime) fn new_cache() -> FlowCache {
    Cache::with_options(flow_cache(), FlowWeight, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

/// A compiled flow and the size of its document.
pub(in crate::runtime) struct CachedFlow {
    pub(in crate::runtime) flow: Arc<CompiledFlow>,
    pub(in crate::runtime) bytes: u64,
}

/// One shard, so that a heavy flow fits in; the lock is held for a look-up only.
fn flow_cache() -> quick_cache::Options {
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(FLOWS_KEPT).weight_capacity(FLOW_BYTES_KEPT).shards(1);
    options.build().unwrap_or_else(|_| unreachable!("both capacities are set"))
}

/// Weighs flows by the memory that they take.
#[derive(Clone)]
pub(in crate::runtime) struct FlowWeight;

impl Weighter<FlowKey, Arc<CachedFlow>> for FlowWeight {
    fn weight(&self, _: &FlowKey, cached: &Arc<CachedFlow>) -> u64 {
        // One heavier than half of the cache would never be kept, and compiled for each job.
        (cached.flow.weight() as u64 + cached.bytes).clamp(4_096, FLOW_BYTES_KEPT / 2)
    }
}
