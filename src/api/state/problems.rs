//! What is wrong now: what the runtime finds, and what limits have refused to callers.

use std::time::Duration;

use super::State;
use crate::domain::server_problem::{About, ProblemKind, ServerProblem};
use crate::runtime::Change;

/// How often viewers are told where the problems are not what they were.
const INTERVAL: Duration = Duration::from_secs(2);

impl State {
    /// What is wrong now, the worst first; empty while nothing is.
    pub(in crate::api) async fn problems(&self) -> Vec<ServerProblem> {
        let mut all = self.runtime.problems().await.to_vec();
        let refused = self.refused();
        if !refused.is_empty() {
            all.extend(refused);
            all.sort_by_cached_key(ServerProblem::order);
        }
        all
    }

    /// What quotas have refused to tokens within the last hour.
    fn refused(&self) -> Vec<ServerProblem> {
        let now = self.runtime.clock().now();
        let recent = self.tokens.refused().into_iter().filter(|(_, _, refused)| refused.is_recent(now));
        let problem = |(id, name, refused): (_, std::sync::Arc<str>, super::usage::Refused)| {
            let count = u32::try_from(refused.lately).unwrap_or(u32::MAX);
            let requests = if count == 1 { "1 request".to_owned() } else { format!("{count} requests") };
            let text = format!("The limit {} has refused {requests} of the token “{name}”.", refused.limit);
            let about = About { token: Some(id), limit: Some(refused.limit), ..About::default() };
            let problem = ServerProblem::new(ProblemKind::QuotaRefused, refused.since, text);
            let problem = problem.about(about).counting(count, false);
            ServerProblem { newest_at: Some(refused.last_at), ..problem }
        };
        recent.map(problem).collect()
    }
}

/// Tells viewers whenever the problems are not what they were, until `stop` is done. Without viewers it looks at
/// nothing.
pub(crate) async fn watch_problems(state: &State, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut told = None;
    loop {
        if state.watchers.are_there() {
            let problems = state.problems().await;
            let now: Vec<_> = problems.iter().map(|problem| (problem.key(), problem.severity, problem.count)).collect();
            if told.as_ref() != Some(&now) {
                state.runtime.publish_change(Change::Problems { count: now.len() });
                told = Some(now);
            }
        } else {
            // What changes meanwhile is told to the next viewer.
            told = None;
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
