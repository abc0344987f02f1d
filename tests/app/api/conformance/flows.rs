//! Flows and sequences.

use serde_json::{Value, json};
use testkit::app::{PHONE, START};

use super::{Row, TRIGGERED, UNKNOWN, World, documented, get, ours, ours_told, post, told};
use crate::api::public_polling::SESSION_KEYS;

const STARTED: [&str; 5] = ["id", "status", "flow_id", "flow_name", "contact_id"];
const TOOLS: &str = "a_token_sees_the_tools_of_its_scope";
const ENDED: &str = "what_has_ended_stays_with_the_time_of_its_end";
const REFUSALS: &str = "every_bad_input_is_refused_and_changes_no_row";

pub(super) fn flows(world: &World) -> Vec<Row> {
    let World { flow, draft, ana, .. } = world;
    let s = "2.1 trigger-flow";
    let trigger = |more: Value| {
        let mut body = json!({"flow_id": flow});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post("trigger-flow", body)
    };
    let mut rows = vec![
        documented(
            s,
            "201, started",
            trigger(json!({"contact_id": ana, "context": {"cart": "7"}}))
                .status(201)
                .keys(&STARTED)
                .at("/status", json!("started"))
                .at("/flow_id", json!(flow))
                .at("/flow_name", json!("Question"))
                .at("/contact_id", json!(ana))
                .uuid("/id"),
        ),
        documented(
            s,
            "200, already_running",
            trigger(json!({"phone": PHONE})).keys(&STARTED).at("/status", json!("already_running")),
        ),
        ours(s, "a new context is dropped", trigger(json!({"phone": PHONE, "context": {"cart": "8"}}))),
        told(
            s,
            "no second session, however many ask",
            "app/api/trigger.rs",
            "two_hundred_triggers_at_once_start_one_session",
        ),
        ours_told(
            s,
            "already_running has the id of the one that runs",
            "app/api/trigger.rs",
            "two_hundred_triggers_at_once_start_one_session",
        ),
        ours(s, "both, of one contact", trigger(json!({"contact_id": ana, "phone": PHONE}))),
        ours(
            s,
            "both, of two contacts",
            trigger(json!({"contact_id": ana, "phone": TRIGGERED})).status(422).keys(&["message", "errors"]),
        ),
        documented(
            s,
            "flow_id is required",
            post("trigger-flow", json!({"phone": PHONE})).invalid("flow_id", "The flow id field is required."),
        ),
        documented(
            s,
            "flow_id is a UUID",
            post("trigger-flow", json!({"flow_id": "7", "phone": PHONE}))
                .invalid("flow_id", "The flow id must be a valid UUID."),
        ),
        documented(
            s,
            "one of the two is required",
            trigger(json!({}))
                .invalid("contact_id", "The contact id field is required when phone is not present.")
                .invalid("phone", "The phone field is required when contact id is not present."),
        ),
        documented(s, "an unknown contact", trigger(json!({"contact_id": UNKNOWN})).error(404, "Contact not found")),
        documented(
            s,
            "a draft",
            post("trigger-flow", json!({"flow_id": draft, "phone": PHONE}))
                .error(404, "Flow not found or not published"),
        ),
        told(s, "Flow has no entry node", "app/api/errors.rs", REFUSALS),
        ours(
            s,
            "context is an object",
            trigger(json!({"phone": PHONE, "context": "x"})).invalid("context", "The context must be an object."),
        ),
        ours_told(s, "of at most 64 KiB and 32 levels", "app/api/errors.rs", "the_limits_themselves_are_accepted"),
        ours_told(s, "Idempotency-Key", "app/api/trigger.rs", "an_idempotency_key_replays_its_answer"),
        ours_told(s, "on_running", "app/api/trigger.rs", "on_running_returns_restarts_or_fails"),
    ];
    let s = "2.2 get-flow";
    let look = |id: &str| post("get-flow", json!({"flow_id": id}));
    rows.extend([
        documented(
            s,
            "fields",
            look(flow).keys(&["id", "name", "status", "trigger_type", "sessions_count", "published_at", "created_at"]),
        ),
        documented(s, "published", look(flow).at("/status", json!("published")).at("/published_at", json!(START))),
        documented(s, "a draft", look(draft).at("/status", json!("draft")).at("/published_at", Value::Null)),
        documented(s, "trigger_type", look(flow).at("/trigger_type", json!("manual"))),
        told(
            s,
            "trigger_type of a keyword; sessions_count for life",
            "app/api/public_sequences.rs",
            "looking_up_counts_all_that_ever_started",
        ),
        documented(s, "sessions_count", look(flow).at("/sessions_count", json!(2))),
        ours(s, "Flow not found", look(UNKNOWN).error(404, "Flow not found")),
        documented(s, "flow_id is required", post("get-flow", json!({})).invalid("flow_id", "is required")),
        documented(
            s,
            "flow_id is a UUID",
            post("get-flow", json!({"flow_id": "7"})).invalid("flow_id", "The flow id must be a valid UUID."),
        ),
    ]);
    let s = "2.3 new-flow-triggered";
    let of = |id: &str| get(&format!("triggers/new-flow-triggered?flow_id={id}"));
    rows.extend([
        documented(s, "fields", get("triggers/new-flow-triggered").count(2).keys(&SESSION_KEYS)),
        documented(
            s,
            "newest first",
            get("triggers/new-flow-triggered").at("/0/contact_id", json!(ana)).at("/1/contact_phone", json!(TRIGGERED)),
        ),
        told(s, "a hundred at most", "app/api/public_polling.rs", "at_most_a_hundred_are_listed"),
        documented(s, "flow_id", of(flow).count(2)),
        documented(s, "running", of(flow).at("/0/status", json!("running"))),
        told(s, "completed", "app/api/public_polling.rs", "at_most_a_hundred_are_listed"),
        told(s, "expired", "app/api/public_polling.rs", ENDED),
        ours_told(s, "expires_at of one that has ended", "app/api/public_polling.rs", ENDED),
        told(
            s,
            "a cancelled one has failed: the list of four is complete",
            "app/api/public_polling.rs",
            "started_sessions_are_listed_newest_first_with_the_documented_fields",
        ),
        documented(s, "current_node_id", of(flow).at("/0/current_node_id", json!("ask"))),
        documented(s, "context as the trigger gave it", of(flow).at("/0/context", json!({"cart": "7"}))),
        documented(
            s,
            "contact_name and contact_email",
            of(flow)
                .at("/0/contact_name", json!("Ana"))
                .at("/0/contact_email", json!("ana@shop.example"))
                .at("/1/contact_name", Value::Null),
        ),
        documented(
            s,
            "last_interaction_at and created_at",
            of(flow).at("/0/last_interaction_at", json!(START)).at("/0/created_at", json!(START)),
        ),
        documented(
            s,
            "expires_at is half an hour later",
            of(flow).at("/0/expires_at", json!("2026-05-07T08:30:00+00:00")),
        ),
        documented(s, "completed_at is null until then", of(flow).at("/0/completed_at", Value::Null)),
        ours(s, "an unknown flow_id", of(UNKNOWN).is(json!([]))),
        ours(s, "a malformed flow_id", of("7").invalid("flow_id", "must be a valid UUID")),
    ]);
    let s = "2.4 dropdowns/flows";
    rows.extend([
        documented(s, "id and label", get("dropdowns/flows").keys(&["id", "label"])),
        ours(s, "published ones alone", get("dropdowns/flows").is(json!([{"id": flow, "label": "Question"}]))),
        ours_told(s, "by label", "app/api/public_polling.rs", "dropdowns_offer_what_can_be_used_by_label"),
    ]);
    let s = "2.6 flows over MCP";
    rows.extend([
        told(s, "list_flows, get_flow, create_flow, trigger_flow", "app/api/mcp.rs", TOOLS),
        told(s, "which of them read, and that none destroys", "app/api/mcp.rs", TOOLS),
        told(
            s,
            "create_flow makes a draft, and publishing is another's",
            "app/api/mcp.rs",
            "a_flow_is_drafted_by_one_token_and_published_by_another",
        ),
        told(
            s,
            "trigger_flow starts, and says what runs",
            "app/api/mcp.rs",
            "a_conversation_is_started_and_looked_into",
        ),
    ]);
    rows.extend([
        told("2.7 settings", "session_ttl_minutes", "app/api/timers.rs", "a_session_expires_to_the_second"),
        told(
            "2.8 templates in flows",
            "{{context.*}}",
            "docs/readme.rs",
            "the_example_flow_is_sound_and_says_what_the_page_says",
        ),
    ]);
    rows
}

pub(super) fn sequences(world: &World) -> Vec<Row> {
    let World { sequence, ana, flow, .. } = world;
    let s = "3.1 trigger-sequence";
    let keys = ["id", "status", "sequence_id", "sequence_name", "contact_id"];
    let start = |id: &str| post("trigger-sequence", json!({"sequence_id": id, "contact_id": ana, "context": {}}));
    let mut rows = vec![
        documented(s, "201, started", start(sequence).status(201).keys(&keys).at("/status", json!("started"))),
        documented(s, "its id", start(sequence).uuid("/id").uuid("/contact_id")),
        told(
            s,
            "a trigger by phone is a consent",
            "app/api/conformance/mod.rs",
            "a_trigger_by_phone_is_a_consent_unless_there_is_one",
        ),
        documented(s, "200, already_running", start(sequence).keys(&keys).at("/status", json!("already_running"))),
        documented(s, "a flow is no sequence", start(flow).error(404, "Sequence not found or not published")),
        documented(
            s,
            "sequence_id is required",
            post("trigger-sequence", json!({"phone": PHONE}))
                .invalid("sequence_id", "The sequence id field is required."),
        ),
        documented(
            s,
            "one of the two is required",
            post("trigger-sequence", json!({"sequence_id": sequence}))
                .invalid("phone", "is required")
                .invalid("contact_id", "is required"),
        ),
        told(
            s,
            "days, and a restart between",
            "app/api/public_sequences.rs",
            "a_sequence_starts_once_and_goes_on_after_days_and_a_restart",
        ),
    ];
    let s = "3.2 get-sequence";
    let look = |id: &str| post("get-sequence", json!({"sequence_id": id}));
    rows.extend([
        documented(
            s,
            "fields",
            look(sequence).keys(&["id", "name", "status", "sessions_count", "published_at", "created_at"]),
        ),
        documented(s, "sessions_count", look(sequence).at("/sessions_count", json!(1))),
        documented(
            s,
            "published",
            look(sequence).at("/status", json!("published")).at("/published_at", json!(START)).uuid("/id"),
        ),
        told(s, "a draft", "app/api/public_sequences.rs", "looking_up_counts_all_that_ever_started"),
        documented(
            s,
            "sequence_id is required",
            post("get-sequence", json!({})).invalid("sequence_id", "The sequence id field is required."),
        ),
        documented(
            s,
            "sequence_id is a UUID",
            post("get-sequence", json!({"sequence_id": "7"}))
                .invalid("sequence_id", "The sequence id must be a valid UUID."),
        ),
        ours(s, "Sequence not found", look(UNKNOWN).error(404, "Sequence not found")),
    ]);
    let s = "3.3 new-sequence-triggered";
    let of = |id: &str| get(&format!("triggers/new-sequence-triggered?sequence_id={id}"));
    let of_sequence = SESSION_KEYS.map(|key| match key {
        "flow_id" => "sequence_id",
        "flow_name" => "sequence_name",
        other => other,
    });
    rows.extend([
        documented(
            s,
            "its session alone",
            get("triggers/new-sequence-triggered").count(1).at("/0/contact_id", json!(ana)),
        ),
        documented(s, "sequence_id", of(sequence).count(1)),
        ours(s, "fields as of flows", of(sequence).keys(&of_sequence)),
        ours(
            s,
            "expires_at, where its document sets a time to live",
            of(sequence).at("/0/expires_at", json!("2026-05-07T08:30:00+00:00")),
        ),
        ours(s, "an unknown sequence_id", of(UNKNOWN).is(json!([]))),
        documented(s, "the dropdown", get("dropdowns/sequences").is(json!([{"id": sequence, "label": "Days"}]))),
        ours_told(s, "expires_at is null otherwise, until it ends", "app/api/public_polling.rs", ENDED),
        told(s, "a hundred at most, the newest first", "app/api/public_polling.rs", "at_most_a_hundred_are_listed"),
    ]);
    rows.push(ours_told("3.4 sequences over MCP", "no tools of their own", "app/api/mcp.rs", TOOLS));
    rows
}
