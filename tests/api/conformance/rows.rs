//! The rows, subject by subject.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Ask, Row, WEBHOOKS, Want, World, documented, get, ours, ours_told, post, told};
use crate::support::{PHONE, START, secret};

/// Whom a row makes.
const NEW: &str = "+14155550124";
/// Whom a trigger makes.
const TRIGGERED: &str = "+14155550125";
/// Whom no row makes.
const NOBODY: &str = "+14155550999";
/// Nothing's id.
const UNKNOWN: &str = "01a20838-9d10-7c55-b1a2-6f0d6a1c7e21";
const STARTED: [&str; 5] = ["id", "status", "flow_id", "flow_name", "contact_id"];
const CONTACT: [&str; 14] = [
    "id",
    "phone",
    "name",
    "email",
    "locale",
    "source",
    "metadata",
    "tags",
    "opted_in_at",
    "opted_out_at",
    "last_message_at",
    "total_messages",
    "created_at",
    "updated_at",
];
const SENT: [&str; 4] = ["id", "status", "whatsapp_message_id", "contact_id"];
const SEARCH: &str = "a_search_gives_fifty_by_their_last_message";
const REFUSALS: &str = "every_bad_input_is_refused_and_changes_no_row";

fn raw(method: Method, path: &str, body: Option<&str>) -> Ask {
    Ask::new(method, path.to_owned(), body.map(str::to_owned))
}

fn without(keys: &[&'static str], one: &str) -> Vec<&'static str> {
    keys.iter().copied().filter(|key| *key != one).collect()
}

pub(super) fn conventions(world: &World) -> Vec<Row> {
    let World { ana, .. } = world;
    let s = "1.1 transport and shapes";
    let mut rows = vec![
        documented(
            s,
            "look-ups are POST, and nothing else",
            raw(Method::GET, "/api/v1/actions/get-contact", None).status(405).want(Want::Header("allow", Some("POST"))),
        ),
        documented(
            s,
            "triggers, dropdowns and me are GET",
            raw(Method::POST, "/api/v1/dropdowns/flows", Some("{}")).status(405),
        ),
        documented(s, "answers are JSON", get("me").want(Want::Header("content-type", Some("application/json")))),
        documented(
            s,
            "an id is a UUID",
            post("get-contact", json!({"contact_id": "7"}))
                .invalid("contact_id", "The contact id must be a valid UUID."),
        ),
        documented(
            s,
            "a timestamp has whole seconds and +00:00",
            post("get-contact", json!({"contact_id": ana})).at("/created_at", json!("2026-05-07T08:00:00+00:00")),
        ),
        documented(
            s,
            "a list is a bare array, [] when empty",
            post("search-contacts", json!({"query": "zzz"})).is(json!([])),
        ),
        documented(s, "the description is at openapi.yaml", get("openapi.yaml").want(Want::Says("openapi: 3.1"))),
        ours(s, "it needs no token", get("openapi.yaml").by(None)),
        ours(s, "the base path is /v1, too", raw(Method::GET, "/v1/me", None)),
        ours(s, "unknown keys are ignored", post("get-contact", json!({"contact_id": ana, "surprise": 1}))),
        ours(s, "every answer has an id", get("me").want(Want::Header("x-request-id", None))),
    ];
    let s = "1.2 authentication";
    rows.extend([
        documented(
            s,
            "no token is 401 with `message`",
            get("me").by(None).status(401).is(json!({"message": "Unauthenticated."})),
        ),
        documented(
            s,
            "a wrong token is the same",
            get("me").by(Some("qyvo_wrong")).status(401).is(json!({"message": "Unauthenticated."})),
        ),
        ours(
            s,
            "401 says which scheme",
            get("me").by(None).status(401).want(Want::Header("www-authenticate", Some("Bearer"))),
        ),
        told(s, "a revoked token is refused", "api/admin.rs", "tokens_are_made_shown_once_and_revoked"),
        told(s, "the same token serves /mcp", "api/mcp.rs", "a_token_sees_the_tools_of_its_scope"),
        documented(
            s,
            "a missing scope is 403",
            get("me").by(Some(&secret(Scope::Trigger))).status(403).keys(&["error"]),
        ),
        ours(s, "403 names the scope", get("me").by(Some(&secret(Scope::Trigger))).status(403).want(Want::Says("api"))),
        ours(s, "there is always a workspace", get("me").at("/tenant/name", json!("Shop"))),
    ]);
    let s = "1.3 errors";
    let huge = json!({"phone": PHONE, "message": "x".repeat(256 * 1024)}).to_string();
    let text = "/api/v1/actions/send-text-message";
    let template = json!({"phone": PHONE, "template_id": world.template, "variables": {"1": "Ana"}});
    rows.extend([
        documented(
            s,
            "validation has `message` and `errors`",
            post("create-contact", json!({})).status(422).keys(&["message", "errors"]),
        ),
        documented(
            s,
            "The given data was invalid.",
            post("create-contact", json!({"phone": ""}))
                .status(422)
                .at("/message", json!("The given data was invalid.")),
        ),
        documented(
            s,
            "The phone field is required.",
            post("create-contact", json!({"name": "Bo"})).invalid("phone", "The phone field is required."),
        ),
        documented(
            s,
            "The template id must be a valid UUID.",
            post("get-template", json!({"template_id": "7"}))
                .invalid("template_id", "The template id must be a valid UUID."),
        ),
        documented(
            s,
            "missing variables have extra keys",
            post("send-template-message", template)
                .error(422, "Template requires variables that were not provided.")
                .at("/expected_placeholders", json!(["1", "2"]))
                .at("/missing", json!(["2"])),
        ),
        told(s, "Meta's code is passed on", "whatsapp/sends.rs", "what_meta_refuses_the_caller_is_told"),
        documented(
            s,
            "Contact not found",
            post("get-contact", json!({"phone": NOBODY})).status(404).is(json!({"error": "Contact not found"})),
        ),
        documented(
            s,
            "Template not found",
            post("get-template", json!({"template_id": UNKNOWN})).error(404, "Template not found"),
        ),
        documented(
            s,
            "Sequence not found or not published",
            post("trigger-sequence", json!({"sequence_id": UNKNOWN, "phone": PHONE}))
                .error(404, "Sequence not found or not published"),
        ),
        documented(
            s,
            "Flow not found or not published",
            post("trigger-flow", json!({"flow_id": UNKNOWN, "phone": PHONE}))
                .error(404, "Flow not found or not published"),
        ),
        documented(
            s,
            "Neither contact_id nor phone provided",
            post("add-tag", json!({"tag": "x"})).error(422, "Neither contact_id nor phone provided"),
        ),
        documented(
            s,
            "None of contact_id, phone, email provided",
            post("get-contact", json!({})).error(422, "None of contact_id, phone, email provided"),
        ),
        ours(s, "malformed JSON is 400", raw(Method::POST, text, Some("{")).status(400)),
        ours(s, "a body of no JSON type is 415", raw(Method::POST, text, None).status(415)),
        ours(s, "a body over 256 KiB is 413", raw(Method::POST, text, Some(&huge)).status(413)),
        ours(s, "an unknown path is 404, in JSON", get("actions/fly").status(404).keys(&["error"])),
        ours(
            s,
            "all fields at once",
            post("send-text-message", json!({"phone": 1, "message": 1}))
                .invalid("phone", "must be a string")
                .invalid("message", "must be a string"),
        ),
    ]);
    let s = "1.4 rate limits";
    rows.extend([
        documented(s, "X-RateLimit-Limit", get("me").want(Want::Header("x-ratelimit-limit", Some("6000")))),
        documented(s, "X-RateLimit-Remaining", get("me").want(Want::Header("x-ratelimit-remaining", None))),
        ours(
            s,
            "errors have them, too",
            post("get-contact", json!({})).status(422).want(Want::Header("x-ratelimit-remaining", None)),
        ),
        told(
            s,
            "over it: 429 with Retry-After in seconds",
            "api/public_limits.rs",
            "a_limit_of_its_own_leaves_other_tokens_alone",
        ),
        told(s, "per token", "api/public_limits.rs", "a_thousand_at_once_get_no_further_than_the_limit"),
        ours_told(
            s,
            "who has no token is not counted",
            "api/public_limits.rs",
            "every_authenticated_answer_shows_what_is_left",
        ),
        told(s, "/mcp is limited, too", "api/mcp.rs", "assistants_share_the_rate_limit_of_their_token"),
    ]);
    let s = "1.5 lists";
    let both = |tag: &str| post("search-contacts", json!({"tag": tag, "email": "ana@shop.example"}));
    rows.extend([
        told(s, "100 messages and 100 sessions at most", "api/public_polling.rs", "at_most_a_hundred_are_listed"),
        told(
            s,
            "newest first",
            "api/public_polling.rs",
            "started_sessions_are_listed_newest_first_with_the_documented_fields",
        ),
        told(s, "50 contacts at most, by last_message_at", "api/public_contacts.rs", SEARCH),
        documented(s, "filters combine with AND", both("vip").count(1)),
        documented(s, "and all must hold", both("beta").count(1)),
        documented(s, "one that does not hold leaves none", both("nothing").is(json!([]))),
        documented(
            s,
            "an empty string is no filter",
            post("search-contacts", json!({"query": "", "tag": ""})).count(1),
        ),
        documented(s, "nor is one in a query", get("triggers/new-message-received?message_type=").count(1)),
    ]);
    let s = "1.6 phone numbers";
    let written = |phone: &str| post("get-contact", json!({"phone": phone})).at("/phone", json!(PHONE));
    rows.extend([
        documented(s, "written with blanks and brackets", written("+1 (415) 555-0123")),
        ours(s, "written with 00", written("0014155550123")),
        documented(
            s,
            "one contact for one number",
            post("create-contact", json!({"phone": "+1-415-555-0123"})).status(201).at("/id", json!(ana)),
        ),
        ours(
            s,
            "what is no number",
            post("get-contact", json!({"phone": "12"})).invalid("phone", "international form"),
        ),
    ]);
    let s = "1.7 opt-in and opt-out";
    let trigger = json!({"flow_id": world.flow, "phone": TRIGGERED});
    rows.extend([
        documented(s, "a trigger by phone makes the contact", post("trigger-flow", trigger).status(201)),
        documented(
            s,
            "with opted_in_at now",
            post("get-contact", json!({"phone": TRIGGERED}))
                .at("/opted_in_at", json!(START))
                .at("/opted_out_at", Value::Null),
        ),
        ours(
            s,
            "create-contact takes no consent for granted",
            post("get-contact", json!({"phone": PHONE})).at("/opted_in_at", Value::Null),
        ),
        ours_told(
            s,
            "a consent keeps its date, and one who is asked for by id gives none",
            "api/conformance/mod.rs",
            "a_trigger_by_phone_is_a_consent_unless_there_is_one",
        ),
        ours_told(
            s,
            "STOP ends what runs, and a trigger is 422",
            "api/contacts.rs",
            "opting_out_ends_all_that_talks_to_the_person",
        ),
        ours_told(s, "STOP outlives an erasure", "api/contacts.rs", "who_had_opted_out_stays_out_after_being_erased"),
    ]);
    rows.push(told(
        "1.8 the 24-hour window",
        "free text is 422 with 131047 outside, by the last inbound message",
        "whatsapp/sends.rs",
        "a_text_goes_within_24_hours_of_the_last_inbound_message_only",
    ));
    rows
}

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
                .at("/contact_id", json!(ana)),
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
            "api/trigger.rs",
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
        told(s, "Flow has no entry node", "api/errors.rs", REFUSALS),
        ours(
            s,
            "context is an object",
            trigger(json!({"phone": PHONE, "context": "x"})).invalid("context", "The context must be an object."),
        ),
        ours_told(s, "of at most 64 KiB and 32 levels", "api/errors.rs", "the_limits_themselves_are_accepted"),
        ours_told(s, "Idempotency-Key", "api/trigger.rs", "an_idempotency_key_replays_its_answer"),
        ours_told(s, "on_running", "api/trigger.rs", "on_running_returns_restarts_or_fails"),
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
            "api/public_sequences.rs",
            "looking_up_counts_all_that_ever_started",
        ),
        documented(s, "sessions_count", look(flow).at("/sessions_count", json!(2))),
        ours(s, "Flow not found", look(UNKNOWN).error(404, "Flow not found")),
        documented(s, "flow_id is required", post("get-flow", json!({})).invalid("flow_id", "is required")),
    ]);
    let s = "2.3 new-flow-triggered";
    let of = |id: &str| get(&format!("triggers/new-flow-triggered?flow_id={id}"));
    rows.extend([
        documented(
            s,
            "fields",
            get("triggers/new-flow-triggered").count(2).keys(&[
                "id",
                "flow_id",
                "flow_name",
                "contact_id",
                "contact_phone",
                "contact_name",
                "contact_email",
                "status",
                "current_node_id",
                "context",
                "last_interaction_at",
                "expires_at",
                "completed_at",
                "created_at",
            ]),
        ),
        documented(
            s,
            "newest first",
            get("triggers/new-flow-triggered").at("/0/contact_id", json!(ana)).at("/1/contact_phone", json!(TRIGGERED)),
        ),
        documented(s, "flow_id", of(flow).count(2)),
        documented(s, "running", of(flow).at("/0/status", json!("running"))),
        told(s, "completed", "api/public_polling.rs", "at_most_a_hundred_are_listed"),
        told(
            s,
            "a cancelled one has failed: the list of four is complete",
            "api/public_polling.rs",
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
        ours_told(s, "by label", "api/public_polling.rs", "dropdowns_offer_what_can_be_used_by_label"),
    ]);
    let s = "2.6 flows over MCP";
    rows.extend([
        told(s, "list_flows, get_flow, create_flow, trigger_flow", "api/mcp.rs", "a_client_is_told_what_there_is"),
        told(
            s,
            "create_flow makes a draft, and publishing is another's",
            "api/mcp.rs",
            "a_flow_is_drafted_by_one_token_and_published_by_another",
        ),
        told(s, "trigger_flow starts, and says what runs", "api/mcp.rs", "a_conversation_is_started_and_looked_into"),
    ]);
    rows.extend([
        told("2.7 settings", "session_ttl_minutes", "api/timers.rs", "a_session_expires_to_the_second"),
        told(
            "2.8 templates in flows",
            "{{context.*}}",
            "readme.rs",
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
            "api/public_sequences.rs",
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
        ours(s, "Sequence not found", look(UNKNOWN).error(404, "Sequence not found")),
    ]);
    let s = "3.3 new-sequence-triggered";
    let of = |id: &str| get(&format!("triggers/new-sequence-triggered?sequence_id={id}"));
    rows.extend([
        documented(
            s,
            "its session alone",
            get("triggers/new-sequence-triggered").count(1).at("/0/contact_id", json!(ana)),
        ),
        documented(s, "sequence_id", of(sequence).count(1)),
        ours(
            s,
            "fields as of flows",
            of(sequence).keys(&[
                "id",
                "sequence_id",
                "sequence_name",
                "contact_id",
                "contact_phone",
                "contact_name",
                "contact_email",
                "status",
                "current_node_id",
                "context",
                "last_interaction_at",
                "expires_at",
                "completed_at",
                "created_at",
            ]),
        ),
        ours(
            s,
            "expires_at, where its document sets a time to live",
            of(sequence).at("/0/expires_at", json!("2026-05-07T08:30:00+00:00")),
        ),
        ours(s, "an unknown sequence_id", of(UNKNOWN).is(json!([]))),
        documented(s, "the dropdown", get("dropdowns/sequences").is(json!([{"id": sequence, "label": "Days"}]))),
        ours_told(
            s,
            "expires_at is null otherwise",
            "api/public_sequences.rs",
            "a_sequence_starts_once_and_goes_on_after_days_and_a_restart",
        ),
    ]);
    rows.push(ours_told(
        "3.4 sequences over MCP",
        "no tools of their own",
        "api/mcp.rs",
        "a_client_is_told_what_there_is",
    ));
    rows
}

pub(super) fn contacts(world: &World) -> Vec<Row> {
    let World { ana, .. } = world;
    let s = "4.1 create-contact";
    let create = |body: Value| post("create-contact", body);
    let new =
        json!({"phone": NEW, "name": "Bo", "email": "bo@shop.example", "tags": " new , vip", "metadata": {"a": 1}});
    let large = json!({"phone": NEW, "metadata": {"x": "y".repeat(64 * 1024)}});
    let mut rows = vec![
        documented(s, "201 for a new one", create(new).status(201).keys(&CONTACT)),
        documented(s, "201 for one that is there", create(json!({"phone": NEW})).status(201)),
        documented(
            s,
            "tags are comma-separated, blanks tolerated",
            create(json!({"phone": NEW})).status(201).at("/tags", json!(["new", "vip"])),
        ),
        ours(
            s,
            "what is blank is left alone",
            create(json!({"phone": NEW, "name": "", "email": "", "tags": ""}))
                .status(201)
                .at("/name", json!("Bo"))
                .at("/email", json!("bo@shop.example"))
                .at("/tags", json!(["new", "vip"])),
        ),
        ours(
            s,
            "tags are added",
            create(json!({"phone": NEW, "tags": "third"})).status(201).at("/tags", json!(["new", "third", "vip"])),
        ),
        ours(
            s,
            "metadata is merged",
            create(json!({"phone": NEW, "metadata": {"b": 2}})).status(201).at("/metadata", json!({"a": 1, "b": 2})),
        ),
        ours(
            s,
            "{} changes nothing",
            create(json!({"phone": NEW, "metadata": {}})).status(201).at("/metadata", json!({"a": 1, "b": 2})),
        ),
        ours(s, "source is api", create(json!({"phone": NEW})).status(201).at("/source", json!("api"))),
        ours(s, "no consent", create(json!({"phone": NEW})).status(201).at("/opted_in_at", Value::Null)),
        documented(
            s,
            "a valid email",
            create(json!({"phone": NEW, "email": "bo"})).invalid("email", "must be an email address"),
        ),
        documented(s, "about 64 KB of metadata", create(large).invalid("metadata", "65536")),
    ];
    let s = "4.2 update-contact";
    let update = |mut body: Value| {
        body["phone"] = json!(NEW);
        post("update-contact", body)
    };
    let metadata = |value: Value| post("get-contact", json!({"phone": NEW})).at("/metadata", value);
    rows.extend([
        documented(s, "fields", update(json!({})).keys(&["id", "phone", "name", "email", "tags", "updated_at"])),
        documented(s, "by contact_id", post("update-contact", json!({"contact_id": ana})).at("/phone", json!(PHONE))),
        documented(
            s,
            "only what is present is written",
            update(json!({"name": "Bob"}))
                .at("/name", json!("Bob"))
                .at("/email", json!("bo@shop.example"))
                .at("/tags", json!(["new", "third", "vip"])),
        ),
        documented(s, "an empty name clears", update(json!({"name": ""})).at("/name", Value::Null)),
        documented(s, "an empty email clears", update(json!({"email": ""})).at("/email", Value::Null)),
        documented(s, "tags are replaced", update(json!({"tags": "one, two"})).at("/tags", json!(["one", "two"]))),
        ours(s, "empty tags change nothing", update(json!({"tags": ""})).at("/tags", json!(["one", "two"]))),
        documented(s, "metadata is merged", update(json!({"metadata": {"b": {"c": 3}}}))),
        documented(s, "on its first level alone", metadata(json!({"a": 1, "b": {"c": 3}}))),
        ours(s, "null", update(json!({"metadata": {"a": null}}))),
        ours(s, "removes a key", metadata(json!({"b": {"c": 3}}))),
        documented(s, "{} is accepted", update(json!({"metadata": {}}))),
        documented(s, "and changes nothing", metadata(json!({"b": {"c": 3}}))),
        documented(
            s,
            "an unknown contact",
            post("update-contact", json!({"phone": NOBODY, "name": "x"})).error(404, "Contact not found"),
        ),
        documented(
            s,
            "neither",
            post("update-contact", json!({"name": "x"})).error(422, "Neither contact_id nor phone provided"),
        ),
        ours(s, "both, of two contacts", update(json!({"contact_id": ana})).invalid("contact_id", "")),
    ]);
    let s = "4.3 get-contact";
    let contact = without(&CONTACT, "updated_at");
    rows.extend([
        documented(
            s,
            "by contact_id, with these fields",
            post("get-contact", json!({"contact_id": ana})).keys(&contact),
        ),
        documented(s, "by phone", post("get-contact", json!({"phone": PHONE})).at("/id", json!(ana))),
        documented(s, "by email", post("get-contact", json!({"email": "ana@shop.example"})).at("/id", json!(ana))),
        documented(
            s,
            "metadata and tags",
            post("get-contact", json!({"contact_id": ana}))
                .at("/metadata", json!({"crm": 4711}))
                .at("/tags", json!(["beta", "vip"])),
        ),
        documented(
            s,
            "last_message_at, either way",
            post("get-contact", json!({"contact_id": ana})).at("/last_message_at", json!(START)),
        ),
        documented(
            s,
            "total_messages",
            post("get-contact", json!({"contact_id": ana})).at("/total_messages", json!(3)),
        ),
        documented(
            s,
            "null where there is nothing",
            post("get-contact", json!({"phone": NEW}))
                .at("/name", Value::Null)
                .at("/locale", Value::Null)
                .at("/last_message_at", Value::Null)
                .at("/total_messages", json!(0)),
        ),
        documented(
            s,
            "an unknown email",
            post("get-contact", json!({"email": "x@shop.example"})).error(404, "Contact not found"),
        ),
        ours(
            s,
            "several: the id is looked up first",
            post("get-contact", json!({"contact_id": ana, "email": "x@shop.example"})).at("/id", json!(ana)),
        ),
    ]);
    let s = "4.4 search-contacts";
    let search = |body: Value| post("search-contacts", body);
    rows.extend([
        documented(
            s,
            "fields",
            search(json!({"query": "Ana"})).count(1).keys(&[
                "id",
                "phone",
                "name",
                "email",
                "source",
                "tags",
                "last_message_at",
                "created_at",
            ]),
        ),
        documented(s, "an empty body finds all", search(json!({})).count(3)),
        ours(s, "nulls last", search(json!({})).at("/2/phone", json!(NEW))),
        documented(s, "query: a part of the name, in either case", search(json!({"query": "aN"})).count(1)),
        documented(s, "query: a part of the phone", search(json!({"query": "5550123"})).at("/0/id", json!(ana))),
        documented(s, "query: a part of the email", search(json!({"query": "@SHOP"})).at("/0/id", json!(ana))),
        documented(s, "tag: the whole name", search(json!({"tag": "vi"})).is(json!([]))),
        documented(s, "tag", search(json!({"tag": "vip"})).count(1)),
        documented(s, "email: the whole address", search(json!({"email": "ana@shop"})).is(json!([]))),
        ours(s, "% is a percent sign", search(json!({"query": "%"})).is(json!([]))),
        ours(s, "_ is an underscore", search(json!({"query": "_"})).is(json!([]))),
    ]);
    let s = "4.5 add-tag";
    let tag = |tag: &str| json!({"phone": PHONE, "tag": tag});
    let tagged = json!({"id": ana, "phone": PHONE, "tag_added": "gold", "tags": ["beta", "gold", "vip"]});
    rows.extend([
        documented(s, "a new tag", post("add-tag", tag("gold")).is(tagged.clone())),
        documented(s, "twice is once", post("add-tag", tag("gold")).is(tagged)),
        documented(s, "tag is required", post("add-tag", json!({"phone": PHONE})).invalid("tag", "is required")),
        documented(
            s,
            "makes no contact",
            post("add-tag", json!({"phone": NOBODY, "tag": "x"})).error(404, "Contact not found"),
        ),
    ]);
    let s = "4.6 remove-tag";
    rows.extend([
        documented(
            s,
            "detaches",
            post("remove-tag", tag("gold"))
                .is(json!({"id": ana, "phone": PHONE, "tag_removed": "gold", "tags": ["beta", "vip"]})),
        ),
        documented(s, "the tag stays", post("list-tags", json!({"name": "gold"})).count(1)),
        documented(s, "an unknown tag", post("remove-tag", tag("nothing")).at("/tags", json!(["beta", "vip"]))),
        documented(
            s,
            "an unknown contact",
            post("remove-tag", json!({"contact_id": UNKNOWN, "tag": "x"})).error(404, "Contact not found"),
        ),
        documented(
            s,
            "neither",
            post("remove-tag", json!({"tag": "x"})).error(422, "Neither contact_id nor phone provided"),
        ),
    ]);
    let s = "4.7 list-tags";
    let tags = ["beta", "gold", "new", "one", "third", "two", "vip"];
    let mut all = post("list-tags", json!({})).keys(&["id", "name"]).count(tags.len());
    for (pointer, name) in
        ["/0/name", "/1/name", "/2/name", "/3/name", "/4/name", "/5/name", "/6/name"].into_iter().zip(tags)
    {
        all = all.at(pointer, json!(name));
    }
    rows.extend([
        documented(s, "all, by name", all),
        documented(s, "name: a part", post("list-tags", json!({"name": "ET"})).count(1).at("/0/name", json!("beta"))),
    ]);
    rows.push(ours_told("4.7 list-tags", "a thousand at most", "api/conformance/mod.rs", "a_thousand_tags_are_listed"));
    rows.push(told(
        "4.8 contacts over MCP",
        "search_contacts and get_contact",
        "api/mcp.rs",
        "people_are_found_and_looked_at",
    ));
    rows
}

pub(super) fn messages(world: &World) -> Vec<Row> {
    let World { template, ana, .. } = world;
    let s = "5.1 send-text-message";
    let text = |message: &str| post("send-text-message", json!({"phone": PHONE, "message": message}));
    let mut rows = vec![
        documented(s, "fields", text("Hi").keys(&SENT).at("/contact_id", json!(ana))),
        told(
            s,
            "sent, with a wamid",
            "whatsapp/sends.rs",
            "a_text_goes_within_24_hours_of_the_last_inbound_message_only",
        ),
        documented(s, "4096 characters", text(&"x".repeat(4096))),
        documented(s, "and no more", text(&"x".repeat(4097)).invalid("message", "4096")),
        documented(
            s,
            "phone and message are required",
            post("send-text-message", json!({}))
                .invalid("phone", "The phone field is required.")
                .invalid("message", "The message field is required."),
        ),
        ours(
            s,
            "without a WhatsApp account it is simulated",
            text("Hi").at("/status", json!("simulated")).at("/whatsapp_message_id", Value::Null),
        ),
        ours_told(
            s,
            "an unknown phone makes a contact",
            "api/public_messages.rs",
            "a_text_makes_its_contact_and_disturbs_no_session",
        ),
    ];
    let s = "5.2 send-template-message";
    let send = |mut more: Value| {
        more["phone"] = json!(PHONE);
        post("send-template-message", more)
    };
    let variables = json!({"1": "Ana", "2": "12"});
    rows.extend([
        documented(s, "fields", send(json!({"template_id": template, "variables": variables})).keys(&SENT)),
        documented(
            s,
            "a missing language takes another",
            send(json!({"template_id": template, "language": "fr", "variables": variables})),
        ),
        told(s, "an approved one", "whatsapp/sends.rs", "a_template_goes_in_a_language_that_may_be_sent"),
        documented(s, "template_id is required", send(json!({})).invalid("template_id", "is required")),
        documented(s, "Template not found", send(json!({"template_id": UNKNOWN})).error(404, "Template not found")),
        documented(
            s,
            "values are strings",
            send(json!({"template_id": template, "variables": {"1": ["x"]}}))
                .invalid("variables.1", "must be a string"),
        ),
        ours(
            s,
            "more variables than there are",
            send(json!({"template_id": template, "variables": {"1": "a", "2": "b", "3": "c"}})),
        ),
        documented(
            s,
            "names for its variables",
            get(&format!("dropdowns/template-variables?template_id={template}"))
                .keys(&["id", "label"])
                .count(2)
                .at("/0/id", json!("1"))
                .at("/1/id", json!("2")),
        ),
    ]);
    let s = "5.3 list-templates";
    let list = |body: Value| post("list-templates", body);
    let summary = ["id", "name", "category", "status", "languages", "created_at"];
    rows.extend([
        documented(s, "fields", list(json!({})).count(2).keys(&summary)),
        documented(s, "by name", list(json!({})).at("/0/name", json!("away")).at("/1/name", json!("cart"))),
        documented(s, "languages", list(json!({})).at("/1/languages", json!(["en"]))),
        documented(s, "status APPROVED", list(json!({"status": "APPROVED"})).count(2)),
        documented(s, "status PENDING", list(json!({"status": "PENDING"})).is(json!([]))),
        documented(s, "status REJECTED", list(json!({"status": "REJECTED"})).is(json!([]))),
        documented(
            s,
            "no other status",
            list(json!({"status": "PAUSED"})).invalid("status", "APPROVED, PENDING, REJECTED"),
        ),
        told(
            s,
            "one for each name, with the best of its states",
            "api/public_templates.rs",
            "each_name_is_one_template_with_its_languages_and_its_best_state",
        ),
    ]);
    let s = "5.4 get-template";
    let look = post("get-template", json!({"template_id": template}));
    let more = ["body", "header_type", "header_content", "footer", "buttons", "placeholders"];
    rows.extend([
        documented(
            s,
            "fields, and the body's placeholders",
            look.keys(&[summary.as_slice(), &more].concat())
                .at("/placeholders", json!(["1", "2"]))
                .at("/body", json!("Hi {{1}}, {{2}} is waiting.")),
        ),
        told(
            s,
            "header, footer and buttons",
            "api/public_templates.rs",
            "each_name_is_one_template_with_its_languages_and_its_best_state",
        ),
        documented(s, "template_id is required", post("get-template", json!({})).invalid("template_id", "is required")),
        documented(
            s,
            "the dropdown",
            get("dropdowns/templates")
                .keys(&["id", "label"])
                .count(2)
                .at("/1/id", json!(template))
                .at("/1/label", json!("cart")),
        ),
    ]);
    let s = "5.5 new-message-received";
    let of = |kind: &str| get(&format!("triggers/new-message-received?message_type={kind}"));
    rows.extend([
        documented(
            s,
            "fields",
            get("triggers/new-message-received").count(1).keys(&[
                "id",
                "direction",
                "type",
                "content",
                "status",
                "contact_id",
                "contact_phone",
                "contact_name",
                "contact_email",
                "sent_at",
                "delivered_at",
                "read_at",
                "created_at",
            ]),
        ),
        documented(
            s,
            "inbound, received",
            of("text").at("/0/direction", json!("inbound")).at("/0/status", json!("received")),
        ),
        documented(s, "the content of a text", of("text").at("/0/content", json!({"body": "Hello"}))),
        told(
            s,
            "the contents of media and of taps",
            "api/public_polling.rs",
            "messages_from_people_are_listed_with_what_they_say",
        ),
        documented(
            s,
            "delivered_at and read_at are null",
            of("text").at("/0/delivered_at", Value::Null).at("/0/read_at", Value::Null),
        ),
    ]);
    let kinds = [
        ("image", "image"),
        ("audio", "audio"),
        ("document", "document"),
        ("video", "video"),
        ("location", "location"),
        ("contacts", "contacts"),
        ("interactive", "interactive"),
        ("sticker", "sticker"),
    ];
    rows.extend(kinds.map(|(fact, kind)| documented(s, fact, of(kind).is(json!([])))));
    rows.push(ours(s, "no other type", of("smoke").invalid("message_type", "sticker")));
    rows.push(ours("5.6 new-campaign-sent", "there are no campaigns", get("triggers/new-campaign-sent").is(json!([]))));
    rows.push(told("5.7 messages over MCP", "send_message", "api/mcp.rs", "a_message_is_sent_outside_any_flow"));
    let s = "5.8 me";
    rows.extend([
        documented(
            s,
            "id is a number; tenant",
            get("me").is(json!({"id": 1, "email": "ada@shop.example",
            "name": "Ada", "tenant": {"id": "00000000-0000-0000-0000-000000000001", "name": "Shop"}})),
        ),
        documented(s, "401", get("me").by(None).status(401).is(json!({"message": "Unauthenticated."}))),
    ]);
    rows
}

pub(super) fn webhooks() -> Vec<Row> {
    let s = WEBHOOKS;
    let keys = ("whatsapp/told.rs", "messages_are_told_of_with_the_documented_keys");
    let signed = ("api/webhooks.rs", "what_happens_is_told_signed_and_in_order");
    let tests = [
        ("webhook.test on creation", keys),
        ("message.received", keys),
        ("message.status.sent, .delivered, .read", keys),
        ("message.status.failed has error_code and error_message", keys),
        ("X-Qyvo-Signature, X-Qyvo-Event, X-Qyvo-Webhook-Id", signed),
    ];
    let mut rows: Vec<Row> = tests.map(|(fact, (file, test))| told(s, fact, file, test)).into();
    rows.extend([
        told(
            s,
            "several events, selectable",
            "api/webhooks.rs",
            "an_endpoint_hears_only_what_it_chose_and_only_while_it_is_on",
        ),
        told(s, "the secret is shown once", "api/webhooks.rs", "endpoints_are_made_changed_and_deleted"),
        ours_told(s, "the text that is signed", signed.0, signed.1),
        ours_told(
            s,
            "told again, in order",
            "api/webhooks.rs",
            "what_is_not_taken_is_told_again_in_order_also_after_a_restart",
        ),
        ours_told(s, "for a day", "api/webhooks.rs", "what_fails_for_a_day_is_given_up_and_the_rest_is_told"),
        ours_told(s, "sessions are told of, too", signed.0, signed.1),
        ours_told(s, "handoff.requested", "api/webhooks.rs", "a_person_is_asked_for_and_gives_the_session_back"),
    ]);
    rows
}
