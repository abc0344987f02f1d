//! Conventions of the whole API.

use qyvo::store::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::app::{PHONE, START, secret};

use super::{Ask, NOBODY, Row, TRIGGERED, UNKNOWN, Want, World, documented, get, ours, ours_told, post, told};

const SEARCH: &str = "a_search_gives_fifty_by_their_last_message";

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
        documented(s, "so are those in answers", post("get-contact", json!({"contact_id": ana})).uuid("/id")),
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
        told(s, "a revoked token is refused", "app/api/admin.rs", "tokens_are_made_shown_once_and_revoked"),
        told(s, "the same token serves /mcp", "app/api/mcp.rs", "a_token_sees_the_tools_of_its_scope"),
        documented(
            s,
            "a missing scope is 403",
            get("me").by(Some(&secret(Scope::Trigger))).status(403).keys(&["error"]),
        ),
        ours(
            s,
            "403 names the scope",
            get("me").by(Some(&secret(Scope::Trigger))).error(403, "This token lacks the scope `api`."),
        ),
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
        told(s, "Meta's code is passed on", "app/whatsapp/sends.rs", "what_meta_refuses_the_caller_is_told"),
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
            "app/api/public_limits.rs",
            "a_thousand_at_once_get_no_further_than_the_limit",
        ),
        told(s, "per token", "app/api/public_limits.rs", "a_limit_of_its_own_leaves_other_tokens_alone"),
        ours_told(
            s,
            "as many as its owner allows",
            "app/api/public_limits.rs",
            "every_authenticated_answer_shows_what_is_left",
        ),
        ours_told(
            s,
            "who has no token is not counted",
            "app/api/public_limits.rs",
            "every_authenticated_answer_shows_what_is_left",
        ),
        told(s, "/mcp is limited, too", "app/api/mcp.rs", "assistants_share_the_rate_limit_of_their_token"),
    ]);
    let s = "1.5 lists";
    let both = |tag: &str| post("search-contacts", json!({"tag": tag, "email": "ana@shop.example"}));
    rows.extend([
        told(s, "100 messages and 100 sessions at most", "app/api/public_polling.rs", "at_most_a_hundred_are_listed"),
        told(
            s,
            "newest first",
            "app/api/public_polling.rs",
            "started_sessions_are_listed_newest_first_with_the_documented_fields",
        ),
        told(s, "50 contacts at most, by last_message_at", "app/api/public_contacts.rs", SEARCH),
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
            "app/api/conformance/mod.rs",
            "a_trigger_by_phone_is_a_consent_unless_there_is_one",
        ),
        ours_told(
            s,
            "STOP ends what runs, and a trigger is 422",
            "app/api/contacts.rs",
            "opting_out_ends_all_that_talks_to_the_person",
        ),
        ours_told(
            s,
            "STOP outlives an erasure",
            "app/api/contacts.rs",
            "who_had_opted_out_stays_out_after_being_erased",
        ),
    ]);
    rows.push(told(
        "1.8 the 24-hour window",
        "free text is 422 with 131047 outside, by the last inbound message",
        "app/whatsapp/sends.rs",
        "a_text_goes_within_24_hours_of_the_last_inbound_message_only",
    ));
    rows
}

fn raw(method: Method, path: &str, body: Option<&str>) -> Ask {
    Ask::new(method, path.to_owned(), body.map(str::to_owned))
}
