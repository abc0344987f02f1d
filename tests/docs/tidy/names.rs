//! Names that stand in one place alone: reasons in their registry, kinds of channels in what knows them.

use std::collections::BTreeSet;

use qyvo::domain::Reason;
use regex::Regex;

use super::{is_product, product, sources};

/// Reasons whose codes stand for something else as well, such as a status, an exit or a field, with the files in which
/// they do.
const CODES_OF_OTHER_THINGS: [(Reason, &[&str]); 15] = [
    (Reason::BadTemplate, &["domain/problem.rs"]),
    (Reason::Cancelled, &["api/mcp/schemas.rs", "api/public/actions/flows.rs", "domain/session.rs"]),
    (Reason::ChannelPaused, &["domain/server_problem.rs", "runtime/upkeep/health.rs"]),
    (Reason::Colleague, &["api/manage/simulation_fields.rs", "domain/held.rs", "domain/origin.rs"]),
    (
        Reason::Failed,
        &[
            "api/manage/messages.rs",
            "api/mcp/schemas.rs",
            "api/public/trigger_batch.rs",
            "channels/whatsapp/catalog.rs",
            "channels/whatsapp/messages.rs",
            "domain/delivery_status.rs",
            "domain/message_status.rs",
            "domain/node.rs",
            "domain/session.rs",
            "engine/check/nodes.rs",
            "engine/machine/frames.rs",
            "runtime/job/message_outcome.rs",
            "runtime/outbox/progress.rs",
            "store/messages/seen.rs",
            "views/message.rs",
        ],
    ),
    (Reason::LateReply, &["domain/handling.rs", "runtime/authoring/simulation/afterwards.rs"]),
    (Reason::NoEntryNode, &["domain/problem.rs"]),
    (
        Reason::NoMatch,
        &[
            "domain/node.rs",
            "engine/check/nodes.rs",
            "engine/machine/mod.rs",
            "engine/machine/replies.rs",
            "engine/mod.rs",
        ],
    ),
    (Reason::OptedIn, &["cli/table/columns.rs"]),
    (Reason::OptedOut, &["api/manage/contacts.rs", "api/request/contact_fields.rs", "cli/table/columns.rs"]),
    (
        Reason::Queued,
        &[
            "api/manage/messages.rs",
            "api/mcp/schemas.rs",
            "api/public/actions/messages.rs",
            "domain/delivery_status.rs",
            "domain/message_status.rs",
        ],
    ),
    (
        Reason::Standby,
        &["channels/whatsapp/catalog.rs", "channels/whatsapp/echoes.rs", "domain/held.rs", "domain/origin.rs"],
    ),
    (Reason::SubFlowNotPublished, &["domain/problem.rs"]),
    (Reason::TemplateNotApproved, &["domain/problem.rs"]),
    (Reason::UnknownTemplate, &["domain/problem.rs"]),
];

/// Kinds of channels that are named beside what every kind answers, by file and variant.
const NAMED_KINDS: [(&str, &str); 5] = [
    // Meta's subscription and the form of its deliveries have a route of their own.
    ("api/inbound/whatsapp.rs", "WhatsApp"),
    // How long texts may be is configured for the generic webhook alone, and a simulation may ask for either.
    ("runtime/authoring/simulation/window.rs", "Simulator"),
    ("runtime/authoring/simulation/window.rs", "Webhook"),
    ("runtime/mod.rs", "Webhook"),
    ("runtime/options.rs", "Webhook"),
];

#[test]
fn reasons_are_written_out_in_their_registry_alone() {
    let literal = Regex::new(r#""((?:[^"\\]|\\.)*)""#).unwrap();
    let mut unused: BTreeSet<(&str, &str)> = CODES_OF_OTHER_THINGS
        .iter()
        .flat_map(|(reason, files)| files.iter().map(|file| (*file, reason.as_str())))
        .collect();
    let exempt = unused.clone();
    let mut wrong = Vec::new();
    for (path, code) in sources().into_iter().filter(|(path, _)| path != "domain/reason.rs" && is_product(path)) {
        for line in product(&code).lines() {
            for reason in literal.captures_iter(line).filter_map(|found| Reason::parse(&found[1])) {
                let named = (path.as_str(), reason.as_str());
                unused.retain(|other| *other != named);
                if !exempt.contains(&named) {
                    wrong.push(format!("{path}: {}", line.trim()));
                }
            }
        }
    }
    assert_eq!(wrong, [] as [&str; 0]);
    assert_eq!(unused, BTreeSet::new(), "these need no exception any more");
}

#[test]
fn kinds_of_channels_are_named_only_by_channels_and_their_configuration() {
    let named = Regex::new(r"\bChannelKind::(\{|\*|[A-Z]\w*[a-z]\w*)").unwrap();
    let mut unused = BTreeSet::from(NAMED_KINDS);
    let mut wrong = BTreeSet::new();
    for (path, code) in sources().into_iter().filter(|(path, _)| is_product(path)) {
        if path.starts_with("channels/") || path.starts_with("config/") {
            continue;
        }
        for found in named.captures_iter(product(&code)) {
            unused.retain(|other| *other != (path.as_str(), &found[1]));
            if !NAMED_KINDS.contains(&(path.as_str(), &found[1])) {
                wrong.insert(format!("{path} names {}: ask `channels::capabilities`", &found[0]));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
    assert_eq!(unused, BTreeSet::new(), "these need no exception any more");
}
