//! The words that start flows, kept in memory so that no message costs a look into any document.
//!
//! A keyword can only come with a publication, and each publication makes a row: so the number of the last row shows
//! whether the cache is complete, also after a publication by another process. That a flow has been unpublished since,
//! or lost the word, is seen when the word is used.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Deferred, Job};
use crate::domain::FlowId;
use crate::domain::typed::Typed;
use crate::error::Result;
use crate::store::{Store, flows};

/// The words of all flows.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Keywords {
    index: RwLock<Option<Arc<Index>>>,
    /// Held while the words are read anew, so that one task reads at a time.
    reading: tokio::sync::Mutex<()>,
}

/// The words as they were after a publication.
#[derive(Debug)]
struct Index {
    publications: i64,
    /// By a word's exact form: the flows that it starts, the one that was published last first.
    exact: HashMap<String, Vec<FlowId>>,
    /// The same by its loose form.
    loose: HashMap<String, Vec<FlowId>>,
}

impl Index {
    /// The flows that a text starts: those with the word, else the only one with such a word.
    fn flows_of(&self, typed: &Typed) -> Vec<FlowId> {
        let like = || self.loose.get(typed.loose.as_deref()?).filter(|flows| flows.len() == 1);
        self.exact.get(&typed.exact).or_else(like).cloned().unwrap_or_default()
    }
}

impl Keywords {
    fn current(&self) -> Option<Arc<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads the words anew if anything was published since they were read.
pub(in crate::runtime) async fn read(keywords: &Keywords, store: &Store) -> Result<()> {
    let _turn = keywords.reading.lock().await;
    let known = keywords.current().map(|index| index.publications);
    let index = store.query_vital(move |conn| {
        // Counted first: a publication meanwhile then causes another read.
        let publications = flows::publications(conn)?;
        if known == Some(publications) {
            return Ok(None);
        }
        let (mut exact, mut loose) = (HashMap::new(), HashMap::new());
        let add = |flows: &mut HashMap<String, Vec<FlowId>>, word: String, flow: FlowId| {
            let of_word = flows.entry(word).or_default();
            if !of_word.contains(&flow) {
                of_word.push(flow);
            }
        };
        for row in flows::keywords(conn)? {
            let Typed { exact: word, loose: like, .. } = Typed::of(&row.word);
            add(&mut exact, word, row.flow_id);
            if let Some(like) = like {
                add(&mut loose, like, row.flow_id);
            }
        }
        exact.remove("");
        Ok(Some(Index { publications, exact, loose }))
    });
    if let Some(index) = index.await? {
        *keywords.index.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(index));
    }
    Ok(())
}

impl Job<'_> {
    /// The flows that a text starts, as far as is known without looking at them: the one that was published last first.
    /// Holds the job when anything was published since the words were read.
    pub(in crate::runtime) fn flows_of_keyword(&self, typed: &Typed) -> Result<Vec<FlowId>, Deferred> {
        let publications = flows::publications(self.tx())?;
        match self.shared().keywords.current() {
            Some(index) if index.publications == publications => Ok(index.flows_of(typed)),
            _ => Err(Deferred::NeedsKeywords),
        }
    }
}
