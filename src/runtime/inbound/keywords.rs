//! The words that start flows, kept in memory so that no message costs a look into any document.
//!
//! A keyword can only come with a publication, and each publication makes a row: so the number of the last row tells
//! whether what is kept is complete, whoever published and wherever. That a flow has been unpublished since, or lost the
//! word, is seen when the word is used.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::super::job::{Hold, Job};
use super::super::{Runtime, sweeper};
use crate::domain::FlowId;
use crate::domain::text::normalize_reply;
use crate::error::Result;
use crate::store::routing;

/// The words of all flows.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Keywords {
    index: RwLock<Option<Arc<Index>>>,
    /// Held by who reads them anew: one at a time.
    reading: tokio::sync::Mutex<()>,
}

/// The words as they were after a publication.
#[derive(Debug)]
struct Index {
    publications: i64,
    /// By a word's normal form: the flows that it starts, the one that was published last first.
    flows: HashMap<String, Vec<FlowId>>,
}

impl Keywords {
    fn current(&self) -> Option<Arc<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads the words anew if anything was published since they were read.
pub(in crate::runtime) async fn read(runtime: &Runtime) -> Result<()> {
    let keywords = &runtime.inner.keywords;
    let _turn = keywords.reading.lock().await;
    let known = keywords.current().map(|index| index.publications);
    let index = sweeper::read(runtime, move |conn| {
        // Counted first: what is published meanwhile is then read once more.
        let publications = routing::publications(conn)?;
        if known == Some(publications) {
            return Ok(None);
        }
        let mut flows: HashMap<String, Vec<FlowId>> = HashMap::new();
        for row in routing::keywords(conn)? {
            let word = normalize_reply(&row.word);
            let of_word = flows.entry(word).or_default();
            if !of_word.contains(&row.flow_id) {
                of_word.push(row.flow_id);
            }
        }
        flows.remove("");
        Ok(Some(Index { publications, flows }))
    });
    if let Some(index) = index.await? {
        *keywords.index.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(index));
    }
    Ok(())
}

impl Job<'_> {
    /// The flows that a text in its normal form starts, as far as is known without looking at them: the one that was
    /// published last first. Holds the job when anything was published since the words were read.
    pub(super) fn flows_of_keyword(&self, word: &str) -> Result<Vec<FlowId>, Hold> {
        let publications = routing::publications(self.tx())?;
        match self.inner().keywords.current() {
            Some(index) if index.publications == publications => Ok(index.flows.get(word).cloned().unwrap_or_default()),
            _ => Err(Hold::NeedsKeywords),
        }
    }
}
