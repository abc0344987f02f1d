//! Message templates: what the business account has, and what a message says to fill one.

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::GraphError;
use super::limits::{at_most, require_text};

/// A template of the business account.
#[derive(Clone, Debug)]
pub struct Template {
    /// The template's id at Meta.
    pub id: String,
    /// Its name, which its languages share.
    pub name: String,
    /// Its language, such as `en_US`.
    pub language: String,
    /// `APPROVED`, `PENDING`, `REJECTED`, `PAUSED`, `DISABLED` and so on.
    pub status: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    pub category: String,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: String,
    /// As Meta lists them: HEADER, BODY, FOOTER, BUTTONS.
    pub components: Vec<Value>,
}

impl Template {
    /// An approved one without components, of the category MARKETING.
    pub fn new(name: &str, language: &str) -> Self {
        Self {
            id: (Uuid::now_v7().as_u128() % 10_000_000_000_000_000).to_string(),
            name: name.to_owned(),
            language: language.to_owned(),
            status: "APPROVED".to_owned(),
            category: "MARKETING".to_owned(),
            parameter_format: "POSITIONAL".to_owned(),
            components: Vec::new(),
        }
    }

    /// Sets the status it begins with.
    pub fn status(self, status: &str) -> Self {
        Self { status: status.to_owned(), ..self }
    }

    /// Sets the category.
    pub fn category(self, category: &str) -> Self {
        Self { category: category.to_owned(), ..self }
    }

    /// Variables of the components to come have names, as in `{{first_name}}`, and not numbers.
    pub fn named(self) -> Self {
        Self { parameter_format: "NAMED".to_owned(), ..self }
    }

    /// A header of text, perhaps with one variable.
    pub fn header(self, text: &str) -> Self {
        let component = json!({"type": "HEADER", "format": "TEXT", "text": text});
        self.with_example(component, "header_text")
    }

    /// A header of `IMAGE`, `VIDEO`, `DOCUMENT` or `LOCATION`.
    pub fn media_header(self, format: &str) -> Self {
        let mut component = json!({"type": "HEADER", "format": format});
        if format != "LOCATION" {
            component["example"] = json!({"header_handle": ["https://scontent.whatsapp.net/v/example"]});
        }
        self.with(component)
    }

    /// The text, with variables such as `{{1}}`.
    pub fn body(self, text: &str) -> Self {
        self.with_example(json!({"type": "BODY", "text": text}), "body_text")
    }

    /// The line below.
    pub fn footer(self, text: &str) -> Self {
        self.with(json!({"type": "FOOTER", "text": text}))
    }

    /// One more button that answers with a payload.
    pub fn quick_reply(self, text: &str) -> Self {
        self.button(json!({"type": "QUICK_REPLY", "text": text}))
    }

    /// One more button that opens an address, which may end in `{{1}}`.
    pub fn url_button(self, text: &str, url: &str) -> Self {
        let mut button = json!({"type": "URL", "text": text, "url": url});
        if !variables(url).is_empty() {
            button["example"] = json!([format!("{url}example")]);
        }
        self.button(button)
    }

    /// One more button as Meta lists it.
    pub fn button(mut self, button: Value) -> Self {
        match self.components.iter_mut().find(|component| component["type"] == "BUTTONS") {
            Some(buttons) => buttons["buttons"].as_array_mut().unwrap().push(button),
            None => self.components.push(json!({"type": "BUTTONS", "buttons": [button]})),
        }
        self
    }

    /// Each variable was given with an example, which is listed with it.
    fn with_example(self, mut component: Value, part: &str) -> Self {
        let names = variables(component["text"].as_str().unwrap_or_default());
        if names.is_empty() {
            return self.with(component);
        }
        let mut example = json!({});
        if self.parameter_format == "NAMED" {
            let named: Vec<Value> =
                names.iter().map(|name| json!({"param_name": name, "example": "example"})).collect();
            example[format!("{part}_named_params")] = json!(named);
        } else {
            let examples = vec!["example"; names.len()];
            example[part] = if part == "body_text" { json!([examples]) } else { json!(examples) };
        }
        component["example"] = example;
        self.with(component)
    }

    fn with(mut self, component: Value) -> Self {
        self.components.push(component);
        self
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "parameter_format": self.parameter_format,
            "components": self.components,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "id": self.id,
        })
    }

    fn component(&self, kind: &str) -> Option<&Value> {
        self.components.iter().find(|component| component["type"] == kind)
    }

    pub(super) fn buttons(&self) -> &[Value] {
        self.component("BUTTONS").and_then(|component| component["buttons"].as_array()).map_or(&[], Vec::as_slice)
    }
}

/// Finds the template that a message names and checks what it is filled with.
pub(super) fn check<'a>(templates: &'a [Template], message: &Value) -> Result<&'a Template, GraphError> {
    let name = require_text(&message["name"], "template['name']")?;
    at_most(name, 512, 100, "template['name']")?;
    let language = require_text(&message["language"]["code"], "template['language']['code']")?;
    let unknown = || GraphError::new(132001, format!("template name ({name}) does not exist in {language}"));
    let template = find(templates, message).ok_or_else(unknown)?;
    match template.status.as_str() {
        "APPROVED" => {}
        "PAUSED" => return Err(GraphError::new(132015, format!("template ({name}) is paused"))),
        "DISABLED" => return Err(GraphError::new(132016, format!("template ({name}) is disabled"))),
        _ => return Err(unknown()),
    }
    let empty = Vec::new();
    let components = match &message["components"] {
        Value::Null => &empty,
        Value::Array(components) => components,
        _ => return Err(GraphError::new(100, "template['components'] must be an array")),
    };
    for (at, component) in components.iter().enumerate() {
        let kind = component["type"].as_str().unwrap_or_default().to_lowercase();
        let is_known = match kind.as_str() {
            "header" | "body" => template.component(&kind.to_uppercase()).is_some(),
            "button" => button_index(component).is_some_and(|index| index < template.buttons().len()),
            _ => false,
        };
        if !is_known {
            let details = format!("components: the template has nothing to be filled by components[{at}] ({kind})");
            return Err(GraphError::new(132000, details));
        }
    }
    for kind in ["HEADER", "BODY"] {
        if let Some(wanted) = template.component(kind) {
            let given = components
                .iter()
                .find(|component| component["type"].as_str().is_some_and(|given| given.eq_ignore_ascii_case(kind)));
            check_parameters(template, kind, wanted, given)?;
        }
    }
    for (index, button) in template.buttons().iter().enumerate() {
        let given =
            components.iter().find(|component| component["type"] == "button" && button_index(component) == Some(index));
        check_button(index, button, given)?;
    }
    Ok(template)
}

/// The template that a message names.
pub(super) fn find<'a>(templates: &'a [Template], message: &Value) -> Option<&'a Template> {
    let is_it = |template: &&Template| {
        message["name"] == template.name.as_str() && message["language"]["code"] == template.language.as_str()
    };
    templates.iter().find(is_it)
}

/// The body as a person reads it.
pub(super) fn fill(templates: &[Template], message: &Value) -> String {
    let body = find(templates, message).and_then(|template| template.component("BODY"));
    let text = body.and_then(|body| body["text"].as_str()).unwrap_or_default();
    let components = message["components"].as_array().into_iter().flatten();
    let parameters = components
        .filter(|component| component["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("body")))
        .flat_map(|component| component["parameters"].as_array().into_iter().flatten());
    parameters.enumerate().fold(text.to_owned(), |text, (at, parameter)| {
        let name = parameter["parameter_name"].as_str().map_or_else(|| (at + 1).to_string(), str::to_owned);
        text.replace(&format!("{{{{{name}}}}}"), parameter["text"].as_str().unwrap_or_default())
    })
}

/// What a tap of the template's button at `index` sends back: the payload of the message, else the button's text.
pub(super) fn payload(message: &Value, index: usize, text: &str) -> String {
    message["components"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|component| component["type"] == "button" && button_index(component) == Some(index))
        .and_then(|component| component["parameters"][0]["payload"].as_str())
        .unwrap_or(text)
        .to_owned()
}

/// Meta's examples have the index as a string; numbers are taken, too.
fn button_index(component: &Value) -> Option<usize> {
    let index = &component["index"];
    index.as_str().map_or_else(|| index.as_u64().map(|index| index as usize), |index| index.parse().ok())
}

fn check_parameters(template: &Template, kind: &str, wanted: &Value, given: Option<&Value>) -> Result<(), GraphError> {
    let parameters = given.and_then(|given| given["parameters"].as_array()).map_or(&[] as &[Value], Vec::as_slice);
    let format = wanted["format"].as_str().unwrap_or("TEXT");
    let part = kind.to_lowercase();
    let names =
        if format == "TEXT" { variables(wanted["text"].as_str().unwrap_or_default()) } else { vec![String::new()] };
    if parameters.len() != names.len() {
        let details = format!(
            "{part}: number of localizable_params ({}) does not match the expected number of params ({})",
            parameters.len(),
            names.len()
        );
        return Err(GraphError::new(132000, details));
    }
    for (at, parameter) in parameters.iter().enumerate() {
        let given = parameter["type"].as_str().unwrap_or_default().to_lowercase();
        let fits = match format {
            "TEXT" => ["text", "currency", "date_time"].contains(&given.as_str()),
            format => given == format.to_lowercase() && parameter[&given].is_object(),
        };
        if !fits {
            let details =
                format!("{part}: format of parameter {at} ({given}) does not match expected format ({format})");
            return Err(GraphError::new(132012, details));
        }
        if given == "text" {
            check_text(&part, at, &parameter["text"])?;
        }
        if template.parameter_format == "NAMED" && format == "TEXT" {
            let name = parameter["parameter_name"].as_str();
            if !name.is_some_and(|name| names.iter().any(|wanted| wanted == name)) {
                let details = format!("{part}: Parameter name is missing or empty, or not one of {}", names.join(", "));
                return Err(GraphError::new(100, details));
            }
        }
    }
    Ok(())
}

/// A text that fills a variable may be neither empty nor run over lines (Meta, "Message templates").
fn check_text(part: &str, at: usize, text: &Value) -> Result<(), GraphError> {
    let text = text.as_str().unwrap_or_default();
    if text.is_empty() {
        let details = format!("{part}: Parameter {at} of type text is missing text value");
        return Err(GraphError::new(131008, details));
    }
    if text.contains(['\n', '\t']) || text.contains("     ") {
        let details = "Param text cannot have new-line/tab characters or more than 4 consecutive spaces";
        return Err(GraphError::new(132018, details));
    }
    Ok(())
}

fn check_button(index: usize, button: &Value, given: Option<&Value>) -> Result<(), GraphError> {
    let parameter = given.map(|given| &given["parameters"][0]);
    match button["type"].as_str().unwrap_or_default() {
        "URL" => {
            let has_variable = !variables(button["url"].as_str().unwrap_or_default()).is_empty();
            match parameter {
                None if has_variable => {
                    let details = format!("buttons: Button at index {index} of type Url requires a parameter");
                    Err(GraphError::new(131008, details))
                }
                Some(_) if !has_variable => {
                    let details = format!("buttons: Button at index {index} of type Url does not take a parameter");
                    Err(GraphError::new(132000, details))
                }
                Some(parameter) => {
                    require_sub_type(index, given, "url")?;
                    let suffix = require_text(&parameter["text"], "buttons: text of a Url button")?;
                    at_most(suffix, 2000, 131009, "buttons: text of a Url button")
                }
                None => Ok(()),
            }
        }
        "QUICK_REPLY" => {
            let Some(parameter) = parameter else { return Ok(()) };
            require_sub_type(index, given, "quick_reply")?;
            let payload = require_text(&parameter["payload"], "buttons: payload of a quick reply")?;
            at_most(payload, 256, 131009, "buttons: payload of a quick reply")
        }
        // Forms and catalogs have to be named, whatever they are filled with.
        kind @ ("FLOW" | "CATALOG") => match given {
            Some(_) => require_sub_type(index, given, &kind.to_lowercase()),
            None => Err(GraphError::new(131009, format!("buttons: Button at index {index} of type {kind} is missing"))),
        },
        _ => Ok(()),
    }
}

fn require_sub_type(index: usize, given: Option<&Value>, wanted: &str) -> Result<(), GraphError> {
    let found = given.and_then(|given| given["sub_type"].as_str()).unwrap_or_default();
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(GraphError::new(132012, format!("buttons: Button at index {index} is of type {wanted}, not {found}")))
}

/// The names between double braces, each once.
pub(super) fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once("{{") {
        let Some((name, behind)) = behind.split_once("}}") else { break };
        if !names.iter().any(|known| known == name.trim()) {
            names.push(name.trim().to_owned());
        }
        rest = behind;
    }
    names
}
