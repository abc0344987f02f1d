//! `qyvo serve --demo`: a database of its own with the sample flows and the sample sequence, a fresh token, and two
//! commands to paste.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::credentials;
use crate::domain::audit::{Actor, AuditAction, Deed};
use crate::domain::{FlowId, Scope, TokenId};
use crate::error::{Error, Result};
use crate::runtime::Clock;
use crate::runtime::publishing::{self, Consent, Refused};
use crate::server::App;
use crate::store::flows::{self, FlowRow};
use crate::store::{self, Store, audit, settings};

/// The setting that marks a database as the demonstration's own.
const MARK: &str = "demo";
/// Name of the demonstration's token.
const TOKEN: &str = "demo";
/// The phone number of the demonstration's contact: of a range that is kept for fiction.
const PHONE: &str = "+14155550123";
/// The samples; the first is the one that the printed commands use.
const SAMPLES: [&str; 4] = [
    include_str!("../../static/samples/abandoned-cart.json"),
    include_str!("../../static/samples/in-conversation-menu.json"),
    include_str!("../../static/samples/support-triage.json"),
    include_str!("../../static/samples/welcome-three-days.json"),
];

/// What the mark holds.
#[derive(Serialize, Deserialize)]
struct Mark {
    /// The token of the last start.
    token: TokenId,
}

/// A prepared demonstration.
pub(super) struct Demo {
    token: String,
    flow_id: FlowId,
}

/// Brings the samples and a fresh token into the database.
///
/// # Errors
/// When the database is there and not the demonstration's own.
pub(super) fn prepare(config: &Config) -> Result<Demo> {
    // An empty file is as good as none: SQLite begins with one.
    let existed = std::fs::metadata(&config.storage.path).is_ok_and(|file| file.len() > 0);
    let store = App::open_store(config)?;
    let prepared = fill(&store, config, existed);
    store.close();
    prepared
}

fn fill(store: &Store, config: &Config, existed: bool) -> Result<Demo> {
    if existed && store.read(|conn| settings::get(conn, MARK))?.is_none() {
        return Err(Error::conflict(format!(
            "{} is not a database that --demo made. Run `qyvo serve` on it, or give --demo a file of its own with \
             --database demo.db",
            super::shown(&config.storage.path)
        )));
    }
    let facts = super::server_facts(config, store)?;
    let mut missing = Vec::new();
    let mut first = None;
    for text in SAMPLES {
        let value: Value =
            serde_json::from_str(text).map_err(|error| Error::internal("A sample is no JSON").caused_by(error))?;
        let checked = publishing::check(store, &facts, &value, None)?
            .map_err(|problems| Error::internal(format!("A sample is wrong: {problems:?}")))?;
        let id = checked.document.id.ok_or_else(|| Error::internal("A sample has no id"))?;
        first = first.or(Some(id));
        if !is_missing(store, id, &checked.json)? {
            continue;
        }
        let prepared = publishing::prepare(store, &facts, &value, None, &Consent::default())?;
        missing.push(prepared.map_err(|Refused { problems, .. }| {
            problems.iter().for_each(super::note);
            Error::invalid(format!("The sample {} cannot be published here", checked.document.name))
        })?);
    }
    let flow_id = first.ok_or_else(|| Error::internal("There is no sample"))?;
    let token = credentials::make_token()?;
    let secret = token.clone();
    let now = Clock::system().now();
    store.write_blocking(move |tx| {
        for sample in &missing {
            let (flow, published) =
                publishing::import_published(tx, sample, flow_id, (Some("The sample"), TOKEN), now)?;
            if let Some(deed) = publishing::deed_of(&published, flow.summary.id, Actor::command_line()) {
                audit::record(tx, &deed, now)?;
            }
        }
        // Only the token of the last start, by its id: the user may have made one of the same name.
        let last = settings::get(tx, MARK)?.and_then(|mark| serde_json::from_str::<Mark>(&mark).ok());
        if let Some(Mark { token }) = last {
            store::tokens::revoke(tx, token, now)?;
            audit::record(tx, &Deed::new(AuditAction::TokenRevoked, Actor::command_line()).to(token), now)?;
        }
        let token = credentials::keep_token(tx, TOKEN, Scope::Admin, None, &secret, now)?;
        audit::record(tx, &credentials::token_made(Actor::command_line(), token, TOKEN, Scope::Admin), now)?;
        let mark = serde_json::to_string(&Mark { token });
        let mark = mark.map_err(|error| Error::internal("The mark cannot be written").caused_by(error))?;
        settings::set(tx, MARK, &mark, now)
    })?;
    Ok(Demo { token, flow_id })
}

/// Whether a sample is still to be published: what its user made of it stays.
fn is_missing(store: &Store, id: FlowId, json: &str) -> Result<bool> {
    let is_untouched = |flow: FlowRow| flow.summary.published_version.is_none() && flow.draft == json;
    Ok(store.read(|conn| flows::find(conn, id))?.is_none_or(is_untouched))
}

impl Demo {
    /// What to paste, for a server at `address`.
    pub(super) fn instructions(&self, address: SocketAddr) -> String {
        let reachable = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let base = format!("http://{}/api/v1", SocketAddr::new(reachable, address.port()));
        let Self { token, flow_id } = self;
        format!(
            r#"
Start the abandoned-cart flow for a contact:

curl -sS {base}/actions/trigger-flow \
  -H 'Authorization: Bearer {token}' \
  -H 'Content-Type: application/json' \
  -H "Idempotency-Key: demo-$(date +%s)-$RANDOM" \
  -d '{{"flow_id": "{flow_id}", "phone": "{PHONE}", "context": {{"cart_id": "987654321", "cart_total": "129.00"}}}}'

Answer as that contact:

curl -sS {base}/inbound \
  -H 'Authorization: Bearer {token}' \
  -H 'Content-Type: application/json' \
  -d '{{"id": "demo-'$(date +%s)-$RANDOM'", "from": "{PHONE}", "type": "text", "text": "I need help"}}'
"#
        )
    }
}
