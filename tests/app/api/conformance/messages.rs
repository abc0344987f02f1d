//! Messages, templates, the account, and outgoing webhooks.

use serde_json::{Value, json};
use testkit::app::PHONE;

use super::{Row, UNKNOWN, WEBHOOKS, World, bodyless, documented, get, ours, ours_told, post, told};
use crate::api::public_polling::MESSAGE_KEYS;

const SENT: [&str; 4] = ["id", "status", "whatsapp_message_id", "contact_id"];

pub(super) fn messages(world: &World) -> Vec<Row> {
    let World { template, ana, .. } = world;
    let s = "5.1 send-text-message";
    let text = |message: &str| post("send-text-message", json!({"phone": PHONE, "message": message}));
    let mut rows = vec![
        documented(s, "fields", text("Hi").keys(&SENT).at("/contact_id", json!(ana)).uuid("/id")),
        told(
            s,
            "sent, with a wamid",
            "app/whatsapp/sends.rs",
            "a_text_goes_within_24_hours_of_the_last_inbound_message_only",
        ),
        documented(s, "4096 characters", text(&"x".repeat(4096))),
        documented(s, "of any script", text(&"語".repeat(4096))),
        documented(s, "and no more", text(&"x".repeat(4097)).invalid("message", "4096")),
        documented(s, "of any script neither", text(&"語".repeat(4097)).invalid("message", "4096")),
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
            "app/api/public_messages.rs",
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
        told(s, "an approved one", "app/whatsapp/sends.rs", "a_template_goes_in_a_language_that_may_be_sent"),
        documented(s, "template_id is required", send(json!({})).invalid("template_id", "is required")),
        told(
            s,
            "an unknown phone makes a contact",
            "app/api/public_messages.rs",
            "a_template_made_by_hand_goes_out_as_its_text",
        ),
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
        ours(s, "no bytes, with a media type", bodyless("list-templates", Some("")).count(2)),
        ours(s, "no bytes, without one", bodyless("list-templates", None).count(2)),
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
            "app/api/public_templates.rs",
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
            "app/api/public_templates.rs",
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
        documented(s, "fields", get("triggers/new-message-received").count(1).keys(&MESSAGE_KEYS)),
        documented(
            s,
            "inbound, received",
            of("text").at("/0/direction", json!("inbound")).at("/0/status", json!("received")),
        ),
        documented(s, "the content of a text", of("text").at("/0/content", json!({"body": "Hello"}))),
        told(
            s,
            "the contents of media and of taps",
            "app/api/public_polling.rs",
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
    rows.push(told("5.7 messages over MCP", "send_message", "app/api/mcp.rs", "a_message_is_sent_outside_any_flow"));
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
    let keys = ("app/whatsapp/told.rs", "messages_are_told_of_with_the_documented_keys");
    let signed = ("app/api/webhooks.rs", "what_happens_is_told_signed_and_in_order");
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
            "app/api/webhooks.rs",
            "an_endpoint_hears_only_what_it_chose_and_only_while_it_is_on",
        ),
        told(s, "the secret is shown once", "app/api/webhooks.rs", "endpoints_are_made_changed_and_deleted"),
        ours_told(s, "the text that is signed", signed.0, signed.1),
        ours_told(
            s,
            "told again, in order",
            "app/api/webhooks.rs",
            "what_is_not_taken_is_told_again_in_order_also_after_a_restart",
        ),
        ours_told(s, "for a day", "app/api/webhooks.rs", "what_fails_for_a_day_is_given_up_and_the_rest_is_told"),
        ours_told(s, "sessions are told of, too", signed.0, signed.1),
        ours_told(s, "handoff.requested", "app/api/webhooks.rs", "a_person_is_asked_for_and_gives_the_session_back"),
    ]);
    rows
}
