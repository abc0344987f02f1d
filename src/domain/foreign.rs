//! Files of other programs that are handed in for a flow document, recognized by their structure.
//!
//! Nothing of them is read: they are named, so that a user does not look for a mistake in a file of another program.

use serde_json::{Map, Value};

/// Levels at which a flow document is looked for that has something around it.
const LEVELS: usize = 3;

type Fields = Map<String, Value>;
/// Whether a value has the shape of a program's files.
type Shape = fn(&Value) -> bool;

/// The programs, each with what only its files have. The first that fits counts, so shapes with fewer marks stand
/// below.
const PROGRAMS: [(&str, Shape); 50] = [
    // Builders of conversations.
    ("Typebot", |file| {
        has(file, &["groups", "edges"]) && has_any(file, &["variables", "typebotId", "theme", "events"])
    }),
    ("Typebot", |file| {
        has(file, &["blocks", "edges", "variables"]) && has_any(file, &["theme", "publicId", "typebotId"])
    }),
    ("RapidPro or TextIt", |file| {
        has(file, &["flows"]) && has_any(file, &["campaigns", "triggers", "site"]) && is_text_or_number(file, "version")
    }),
    ("RapidPro or TextIt", |file| has(file, &["spec_version", "nodes"]) || has(file, &["action_sets", "rule_sets"])),
    ("Viamo or another program of the FLOIP standard (Flow Interop)", |file| {
        has(file, &["specification_version", "flows"]) || has(file, &["blocks", "first_block_id"])
    }),
    ("Twilio Studio", |file| has(file, &["states", "initial_state"])),
    ("Botpress", |file| has(file, &["startNode", "nodes"]) || has(file, &["catchAll", "nodes"])),
    ("Voiceflow", |file| has(file, &["diagrams"]) && has_any(file, &["version", "project"])),
    ("Voiceflow", |file| has(file, &["programs", "project"])),
    ("Landbot", |file| {
        values_have(file, "function", |value| value.as_str().is_some_and(|name| name.starts_with("__")))
    }),
    ("Landbot", |file| has(file, &["diagram"]) && has_any(file, &["bricks", "blocks", "brick_groups"])),
    ("Landbot", |file| has(file, &["diagram"]) && has_any(file, &["landbot_id", "channel"])),
    ("ManyChat", |file| {
        let flow = at(file, "data").and_then(|data| at(data, "flow")).or_else(|| at(file, "flow")).unwrap_or(file);
        has(flow, &["contents"]) && has_any(flow, &["root_content", "ns"])
    }),
    ("ManyChat", |file| {
        at(file, "content").is_some_and(|content| has(content, &["messages"])) && is_text_or_number(file, "version")
    }),
    ("WATI", |file| has_any(file, &["flowNodes", "flowEdges"]) || items_have(file, "nodes", &["flowNodeType"])),
    ("Tiledesk", |file| items_have(file, "intents", &["intent_display_name"])),
    ("Chatwoot", |file| has(file, &["event_name", "conditions", "actions"])),
    ("Chatwoot", |file| items_have(file, "actions", &["action_name", "action_params"])),
    ("Chatwoot", |file| {
        at(file, "payload").is_some_and(|rules| match rules {
            Value::Array(rules) => any_has(rules, &["event_name", "account_id", "inbox_id"]),
            rule => has_any(rule, &["event_name", "account_id", "inbox_id"]),
        })
    }),
    ("Chatwoot", |file| has(file, &["account_id", "inbox_id"])),
    ("Glific", |file| items_have(file, "flows", &["definition", "keywords"])),
    ("Flowise", |file| {
        let is_of = |node: &Value| {
            at(node, "data").is_some_and(|data| has_any(data, &["baseClasses", "inputAnchors", "outputAnchors"]))
        };
        at(file, "nodes").and_then(list).is_some_and(|nodes| nodes.iter().any(is_of))
    }),
    ("another builder (React Flow)", |file| {
        items_have(file, "nodes", &["position", "data"])
            && items_have(file, "edges", &["source", "target"])
            && !has_any(file, &["viewport", "data"])
    }),
    // Assistants that understand language.
    ("Dialogflow", |file| {
        has(file, &["userSays"]) || (has(file, &["responses", "auto"]) || has(file, &["webhookUsed", "responses"]))
    }),
    ("Dialogflow", |file| {
        has(file, &["defaultTimezone"]) && has_any(file, &["googleAssistant", "language", "webhook"])
    }),
    ("Dialogflow CX", |file| {
        has_any(file, &["transitionRoutes", "transition_routes", "defaultLanguageCode"])
            && has_any(file, &["displayName", "display_name", "pages"])
    }),
    ("Rasa", |file| has_any(file, &["rasa_nlu_data"])),
    ("IBM watsonx Assistant", |file| has(file, &["dialog_nodes"]) || has(file, &["intents", "counterexamples"])),
    ("Amazon Lex", |file| {
        at(file, "metadata").is_some_and(|about| at(about, "importType").is_some())
            || has(file, &["slotTypes", "intents"])
    }),
    ("Amazon Connect", |file| has(file, &["StartAction", "Actions"])),
    ("Microsoft Bot Framework Composer", |file| text(file, "$kind").is_some_and(|kind| kind.starts_with("Microsoft."))),
    // WhatsApp's own.
    ("WhatsApp Flows (Meta's forms)", |file| {
        items_have(file, "screens", &["id", "layout"]) || has(file, &["screens", "version"])
    }),
    ("a message template of WhatsApp", |file| {
        items_have(file, "components", &["type"]) && has_any(file, &["category", "language"])
    }),
    ("a webhook of WhatsApp", |file| text(file, "object") == Some("whatsapp_business_account")),
    // Builders of workflows.
    ("n8n", |file| items_have(file, "nodes", &["parameters", "type"]) && has(file, &["connections"])),
    ("n8n", |file| {
        item_texts(file, "nodes", "type", |kind| kind.starts_with("n8n-nodes") || kind.starts_with("@n8n/"))
    }),
    ("Node-RED", |file| {
        list(file).is_some_and(|items| all_have(items, &["id", "type"]) && any_has(items, &["wires", "z", "disabled"]))
    }),
    ("Make (Integromat)", |file| items_have(file, "flow", &["module"])),
    ("Zapier", |file| has(file, &["zaps"])),
    ("Activepieces", |file| at(file, "template").is_some_and(|template| has(template, &["trigger"]))),
    ("GitHub Actions", |file| has(file, &["jobs", "on"])),
    ("Flowise", |file| items_have(file, "nodes", &["data", "id"]) && has(file, &["edges", "viewport"])),
    ("Langflow", |file| at(file, "data").is_some_and(|data| has(data, &["nodes", "edges"]))),
    ("Power Automate or Azure Logic Apps", |file| {
        at(file, "definition").is_some_and(|flow| has(flow, &["actions", "triggers"]))
    }),
    ("AWS Step Functions", |file| has(file, &["StartAt", "States"])),
    // What lies beside a flow in a folder.
    ("an export of Telegram", |file| {
        let has_chats = at(file, "chats").is_some_and(|chats| has(chats, &["list"]));
        (has_chats && has_any(file, &["about", "personal_information"]))
            || (has(file, &["type", "id"]) && items_have(file, "messages", &["date", "from", "text"]))
    }),
    ("a form of Typeform", |file| {
        items_have(file, "fields", &["ref", "type"]) && has_any(file, &["welcome_screens", "thankyou_screens", "title"])
    }),
    ("an OpenAPI description", |file| has_any(file, &["openapi", "swagger"])),
    ("Postman", |file| {
        at(file, "info").is_some_and(|info| has_any(info, &["_postman_id", "schema"])) && has(file, &["item"])
    }),
    ("npm (package.json)", |file| {
        has_any(file, &["dependencies", "devDependencies"]) && has(file, &["name", "version"])
    }),
];

/// What begins a line of a YAML file, with the program that writes such files.
const YAML: [(&str, &[&str]); 7] = [
    ("Rasa", &["nlu:", "stories:", "rules:", "intents:", "responses:", "slots:", "recipe:"]),
    ("Rasa", &["flows:"]),
    ("Dify", &["app:", "workflow:"]),
    ("Microsoft Copilot Studio", &["kind: AdaptiveDialog", "kind: Dialog"]),
    ("GitHub Actions", &["jobs:"]),
    ("Docker Compose", &["services:"]),
    ("an OpenAPI description", &["openapi:"]),
];

/// Describes a value that was handed in for a flow document and is none: a sentence that says so, and what to do.
/// `None` for a value that may be one, or of unknown kind.
pub fn what_instead(value: &Value) -> Option<String> {
    if looks_like_ours(value) {
        return None;
    }
    if let Some(place) = place_of_ours(value) {
        return Some(format!("The flow document is inside, at {place}: import that part alone."));
    }
    let program = |value: &Value| PROGRAMS.iter().find(|(_, is_of)| is_of(value)).map(|(name, _)| *name);
    match value {
        Value::String(_) => {
            let inner = written_out(value)?;
            match looks_like_ours(&inner) {
                true => Some(
                    "The document is a text in quotation marks, with the flow document in it: it was encoded as JSON \
                     twice. Encode it once."
                        .to_owned(),
                ),
                false => what_instead(&inner),
            }
        }
        Value::Array(items) => {
            let first = items.first()?;
            program(value).or_else(|| program(first)).map(sentence).or_else(|| {
                let is_contact = has_any(first, &["phone", "phone_number", "Phone", "mobile", "wa_id", "tel"]);
                is_contact.then(|| {
                    "This looks like a list of contacts, and a flow document is one JSON object: contacts go in as CSV \
                     by `qyvo contacts import`, or one by one by POST /api/v1/actions/create-contact."
                        .to_owned()
                })
            })
        }
        _ => program(value).map(sentence).or_else(|| {
            let inner = value.as_object()?.values().filter_map(written_out);
            inner.filter_map(|inner| program(&inner)).next().map(sentence)
        }),
    }
}

/// The object that a text has as JSON.
fn written_out(value: &Value) -> Option<Value> {
    let text = value.as_str()?.trim_start();
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The sentence on a file of another program, by its name, which may have an article before it.
fn sentence(name: &str) -> String {
    let is_thing = name.starts_with("a ") || name.starts_with("an ");
    let what = if is_thing { name.to_owned() } else { format!("a file of {name}") };
    format!(
        "This looks like {what}, which cannot be imported. Write the flow anew: docs/flows.md, \"The flow document\", \
         says what one is."
    )
}

/// The program whose YAML a text is.
pub(super) fn program_of_yaml(text: &str) -> Option<String> {
    let has_line = |starts: &[&str]| text.lines().any(|line| starts.iter().any(|start| line.starts_with(start)));
    YAML.iter().find(|(_, starts)| has_line(starts)).map(|(name, _)| sentence(name))
}

/// Whether a value has the marks of a flow document, right or wrong.
fn looks_like_ours(value: &Value) -> bool {
    let Some(fields) = value.as_object() else { return false };
    let is_node = |node: &Value| {
        let kind = node.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| super::NODE_TYPES.contains(&kind)) && node.get("parameters").is_none()
    };
    fields.contains_key("schema_version")
        || fields.contains_key("entry_node")
        || fields.get("nodes").and_then(Value::as_array).is_some_and(|nodes| nodes.iter().any(is_node))
}

/// Where inside a value a flow document is, as `data[0].document`.
fn place_of_ours(value: &Value) -> Option<String> {
    fn search(value: &Value, place: &str, levels: usize) -> Option<String> {
        // Nodes alone may be another program's that has something around them.
        let is_ours = value.get("schema_version").is_some() || value.get("entry_node").is_some();
        if !place.is_empty() && value.is_object() && is_ours {
            return Some(format!("`{place}`"));
        }
        if !place.is_empty() && written_out(value).is_some_and(|inner| looks_like_ours(&inner)) {
            return Some(format!("`{place}`, in a text"));
        }
        if levels == 0 {
            return None;
        }
        match value {
            Value::Object(fields) => fields.iter().find_map(|(key, inner)| {
                let dot = if place.is_empty() { "" } else { "." };
                search(inner, &format!("{place}{dot}{key}"), levels - 1)
            }),
            // The first of many will do.
            Value::Array(items) => items.first().and_then(|inner| search(inner, &format!("{place}[0]"), levels - 1)),
            _ => None,
        }
    }
    search(value, "", LEVELS)
}

fn at<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.as_object()?.get(key)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    at(value, key)?.as_str()
}

fn list(value: &Value) -> Option<&Vec<Value>> {
    value.as_array().filter(|items| !items.is_empty())
}

fn has(value: &Value, keys: &[&str]) -> bool {
    value.as_object().is_some_and(|fields| keys.iter().all(|key| fields.contains_key(*key)))
}

fn has_any(value: &Value, keys: &[&str]) -> bool {
    value.as_object().is_some_and(|fields| keys.iter().any(|key| fields.contains_key(*key)))
}

fn is_text_or_number(value: &Value, key: &str) -> bool {
    at(value, key).is_some_and(|value| value.is_string() || value.is_number())
}

fn all_have(items: &[Value], keys: &[&str]) -> bool {
    items.iter().all(|item| has(item, keys))
}

fn any_has(items: &[Value], keys: &[&str]) -> bool {
    items.iter().any(|item| has_any(item, keys))
}

/// Whether a key has a list of which an item has all of `keys`.
fn items_have(value: &Value, key: &str, keys: &[&str]) -> bool {
    at(value, key).and_then(list).is_some_and(|items| items.iter().any(|item| has(item, keys)))
}

fn item_texts(value: &Value, key: &str, inner: &str, is_right: impl Fn(&str) -> bool) -> bool {
    at(value, key).and_then(list).is_some_and(|items| items.iter().any(|item| text(item, inner).is_some_and(&is_right)))
}

/// Whether all values of an object have a key of which something holds.
fn values_have(value: &Value, key: &str, holds: impl Fn(&Value) -> bool) -> bool {
    let holds_of =
        |fields: &Fields| !fields.is_empty() && fields.values().all(|inner| at(inner, key).is_some_and(&holds));
    value.as_object().is_some_and(holds_of)
}
