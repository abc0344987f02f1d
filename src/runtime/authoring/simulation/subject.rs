//! What is simulated, and the flows beside it that it may run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Start;
use crate::domain::consent::ConsentWords;
use crate::domain::{FlowDocument, FlowId, TextLimits};
use crate::engine::CompiledFlow;
use crate::error::Result;
use crate::runtime::ServerSettings;
use crate::runtime::authoring::CheckedDocument;

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The flow.
    pub flow: Arc<CompiledFlow>,
    /// Its id, where it has one.
    pub flow_id: Option<FlowId>,
    /// The published version; `None` for a draft or a loose document.
    pub version: Option<u32>,
    /// Bytes of its document.
    pub bytes: usize,
    /// The words that opt out and in.
    pub words: Arc<ConsentWords>,
    /// For how long the flow is silent after a colleague's message.
    pub colleague_pause: Duration,
    /// Whether it is the fallback flow, which a message starts that nothing else takes.
    pub is_fallback: bool,
    /// How long the texts of messages on the server's own channel, and on its generic webhook, may be.
    pub texts: (TextLimits, TextLimits),
}

impl Subject {
    /// A document that can be published, or could be but for its test cases.
    pub fn of(checked: &CheckedDocument, flow_id: Option<FlowId>, server: impl Into<ServerSettings>) -> Self {
        let ServerSettings { default_ttl, words, colleague_pause, live, webhook, fallback } = server.into();
        let flow = Arc::new(CompiledFlow::load(checked.document.clone(), default_ttl));
        let flow_id = flow_id.or(checked.document.id);
        let is_fallback = flow_id.is_some() && flow_id == fallback;
        let (bytes, texts) = (checked.json.len(), (live, webhook));
        Self { flow, flow_id, version: None, bytes, words, colleague_pause, is_fallback, texts }
    }

    /// A version that was published, from its stored JSON.
    ///
    /// # Errors
    /// When it cannot be run at all.
    pub fn published(document: &str, flow_id: FlowId, version: u32, server: impl Into<ServerSettings>) -> Result<Self> {
        let ServerSettings { default_ttl, words, colleague_pause, live, webhook, fallback } = server.into();
        let flow = Arc::new(crate::runtime::compile_document(document, default_ttl)?);
        Ok(Self {
            flow,
            flow_id: Some(flow_id),
            version: Some(version),
            bytes: document.len(),
            words,
            colleague_pause,
            is_fallback: fallback == Some(flow_id),
            texts: (live, webhook),
        })
    }
}

/// The documents of a simulation's start, compiled. One that cannot be read is as good as not published.
pub(super) fn sub_flows(subject: &Subject, start: &Start) -> HashMap<FlowId, Arc<CompiledFlow>> {
    let mut flows: HashMap<_, _> = subject.flow_id.into_iter().map(|id| (id, subject.flow.clone())).collect();
    for (id, document) in &start.flows {
        if let (Ok(id), Ok(document)) = (id.parse(), FlowDocument::parse(document)) {
            // The time to live is the simulated flow's, whichever runs.
            flows.insert(id, Arc::new(CompiledFlow::load(document, Duration::ZERO)));
        }
    }
    flows
}
