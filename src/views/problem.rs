//! What is wrong with the server now.

use serde::Serialize;

use super::IsoTime;
use crate::domain::server_problem::{self, ServerProblem};
use crate::domain::{EndpointId, FlowId, Timestamp, TokenId};

/// What `GET /problems` gives.
#[derive(Debug, Serialize)]
pub struct Problems<'a> {
    /// The problems, the worst first.
    pub problems: Vec<Problem<'a>>,
    /// How many there are.
    pub count: usize,
    /// The time of the list: what comes later is not in it.
    pub at: IsoTime,
}

/// Something that is wrong now.
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    /// What it is known by for as long as it goes on.
    pub key: String,
    /// What kind of problem it is.
    pub kind: &'static str,
    /// How bad it is.
    pub severity: &'static str,
    /// Since when.
    pub since: IsoTime,
    /// When the newest of what it counts happened; `None` where that is not known.
    pub newest_at: Option<IsoTime>,
    /// What is wrong, in a sentence.
    pub text: &'a str,
    /// What to do, in a sentence or two.
    pub advice: &'static str,
    /// How much it concerns; `None` where nothing is counted.
    pub count: Option<u32>,
    /// There may be more: counting stopped there.
    pub is_at_least: bool,
    /// What it is about.
    pub about: About<'a>,
}

/// What a problem is about. A key is there only where there is something to say.
#[derive(Debug, Serialize)]
pub struct About<'a> {
    /// The channel's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'static str>,
    /// The webhook endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    /// The status by which the messages are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// The reason of the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The template's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<&'a str>,
    /// The flows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<FlowName<'a>>,
    /// The token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// The key of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'static str>,
}

/// A flow with its name.
#[derive(Debug, Serialize)]
pub struct FlowName<'a> {
    /// The flow's id.
    pub id: FlowId,
    /// What people call it.
    pub name: &'a str,
}

impl<'a> Problems<'a> {
    /// The list as it was at a time.
    pub fn new(problems: &'a [ServerProblem], at: Timestamp) -> Self {
        let problems: Vec<Problem<'a>> = problems.iter().map(Problem::from).collect();
        Self { count: problems.len(), problems, at: IsoTime(at) }
    }
}

impl<'a> From<&'a ServerProblem> for Problem<'a> {
    fn from(problem: &'a ServerProblem) -> Self {
        let server_problem::About { channel, endpoint, status, reason, template, flows, token, limit } = &problem.about;
        Self {
            key: problem.key(),
            kind: problem.kind.as_str(),
            severity: problem.severity.as_str(),
            since: IsoTime(problem.since),
            newest_at: problem.newest_at.map(IsoTime),
            text: &problem.text,
            advice: problem.kind.advice(),
            count: problem.count,
            is_at_least: problem.is_at_least,
            about: About {
                channel: *channel,
                endpoint_id: *endpoint,
                status: *status,
                reason: reason.as_deref(),
                template: template.as_deref(),
                flows: flows.iter().map(|(id, name)| FlowName { id: *id, name }).collect(),
                token_id: *token,
                limit: *limit,
            },
        }
    }
}
