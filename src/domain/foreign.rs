//! Files of other programs that somebody hands in for a flow document, known by their structure.
//!
//! Nothing of them is read: they are named, so that nobody looks for a mistake in a file that is none of ours.

use serde_json::{Map, Value};

/// Levels at which a flow document is looked for that has something around it.
const LEVELS: usize = 3;

type Fields = Map<String, Value>;
/// Whether a value has the shape of a program's files.
type Shape = fn(&Value) -> bool;

/// The programs, each with what only its files have. The first that fits counts, so what is told by less stands below.
const PROGRAMS: [(&str, Shape); 43] = [
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
    ("Twilio Studio", |file| has(file, &["states", "initial_state"])),
    ("Botpress", |file| has(file, &["startNode", "nodes"]) || has(file, &["catchAll", "nodes"])),
    ("Voiceflow", |file| has(file, &["diagrams"]) && has_any(file, &["version", "project"])),
    ("Voiceflow", |file| has(file, &["programs", "project"])),
    ("Landbot", |file| {
        values_have(file, "function", |value| value.as_str().is_some_and(|name| name.starts_with("__")))
    }),
    ("Landbot", |file| has(file, &["diagram"]) && has_any(file, &["bricks", "blocks", "brick_groups"])),
    ("ManyChat", |file| {
        at(file, "content").is_some_and(|content| has(content, &["messages"])) && is_text_or_number(file, "version")
    }),
    ("WATI", |file| has_any(file, &["flowNodes", "flowEdges"]) || items_have(file, "nodes", &["flowNodeType"])),
    ("Tiledesk", |file| items_have(file, "intents", &["intent_display_name"])),
    ("Chatwoot", |file| has(file, &["event_name", "conditions", "actions"])),
    ("Chatwoot", |file| items_have(file, "actions", &["action_name", "action_params"])),
    ("Glific", |file| items_have(file, "flows", &["definition", "keywords"])),
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
const YAML: [(&str, &[&str]); 6] = [
    ("Rasa", &["nlu:", "stories:", "rules:", "intents:", "responses:", "slots:", "recipe:"]),
    ("Dify", &["app:", "workflow:"]),
    ("Microsoft Copilot Studio", &["kind: AdaptiveDialog", "kind: Dialog"]),
    ("GitHub Actions", &["jobs:"]),
    ("Docker Compose", &["services:"]),
    ("an OpenAPI description", &["openapi:"]),
];

/// What a value is that was handed in for a flow document and is none: a sentence that says so, and what to do. `None`
/// for what may be one, or what nobody knows.
pub fn what_instead(value: &Value) -> Option<String> {
    if looks_like_ours(value) {
        return None;
    }
    if let Some(place) = place_of_ours(value) {
        return Some(format!("The flow document is inside, at `{place}`: import that part alone."));
    }
    let first = value.as_array().and_then(|items| items.first());
    let program = |value: &Value| PROGRAMS.iter().find(|(_, is_of)| is_of(value)).map(|(name, _)| *name);
    program(value).or_else(|| first.and_then(program)).map(sentence)
}

/// The sentence on a file of another program, by its name, which may have an article before it.
fn sentence(name: &str) -> String {
    let is_thing = name.starts_with("a ") || name.starts_with("an ");
    let what = if is_thing { name.to_owned() } else { format!("a file of {name}") };
    format!(
        "This looks like {what}, which cannot be imported. Write the flow anew: README.md, \"The flow document\", says \
         what one is."
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
            return Some(place.to_owned());
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
