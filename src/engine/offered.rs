//! Publishing checks of channel templates: a template that is named must be there, approved, and fit the node.

use std::collections::BTreeSet;

use super::address;
use crate::domain::{
    FlowDocument, MessageTemplate, Node, NodeKind, Placeholder, Problem, TemplateStatus, TemplateUse, checks,
    is_in_language,
};

/// Problems of the templates that a document names, by those that the channel has.
pub(super) fn problems(document: &FlowDocument, offered: &[MessageTemplate]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for node in &document.nodes {
        if let Some(named) = node.kind.says().template() {
            let found = of_node(node, named, document.language.as_deref(), offered);
            problems.extend(found.into_iter().map(|problem| problem.at(node.id.as_str())));
        }
    }
    problems
}

/// The problem that the templates of a document cannot be checked, because the channel's templates were never fetched.
pub(super) fn unchecked(document: &FlowDocument) -> Option<Problem> {
    let node = document.nodes.iter().find(|node| node.kind.says().template().is_some())?;
    let text = "The templates could not be checked, because they were never fetched from the channel. Do so on the \
                page Templates once the channel answers; until then what needs a template waits.";
    Some(Problem::new(checks::TEMPLATES_NOT_CHECKED, text).at(node.id.as_str()).field("template"))
}

/// `of_flow` is the flow's language.
fn of_node(node: &Node, named: &TemplateUse, of_flow: Option<&str>, offered: &[MessageTemplate]) -> Vec<Problem> {
    let of_name: Vec<&MessageTemplate> = offered.iter().filter(|template| template.name == named.name).collect();
    if of_name.is_empty() {
        let text = format!("The channel has no template `{}`. Choose another, or add it there first.", named.name);
        return vec![Problem::new(checks::UNKNOWN_TEMPLATE, text).field("template.name")];
    }
    if let Some(problem) = named.language.as_deref().and_then(|language| untranslated(named, language, &of_name)) {
        return vec![problem];
    }
    let is_approved = |template: &&&MessageTemplate| template.status == TemplateStatus::Approved;
    let approved: Vec<&MessageTemplate> = of_name.iter().filter(is_approved).copied().collect();
    if approved.is_empty() {
        let statuses: BTreeSet<String> =
            of_name.iter().map(|one| format!("{} in {}", status_name(one.status), one.language)).collect();
        let text = format!(
            "The template `{}` cannot be sent: it is {}. Choose another, or have it approved first.",
            named.name,
            statuses.into_iter().collect::<Vec<_>>().join(", ")
        );
        return vec![Problem::new(checks::TEMPLATE_NOT_APPROVED, text).field("template.name")];
    }
    let sendable: Vec<&MessageTemplate> = approved.iter().filter(|one| one.unfillable.is_empty()).copied().collect();
    let approved = match approved.iter().find_map(|one| one.cannot_be_sent()).filter(|_| sendable.is_empty()) {
        Some(why) => {
            let text = format!("The template `{}` {why}. Choose another, or have one approved without it.", named.name);
            return vec![Problem::new(checks::TEMPLATE_CANNOT_BE_FILLED, text).field("template.name")];
        }
        None => sendable,
    };
    // In the language asked for, if it is there; in whichever the contact speaks, if not.
    let language = named.language.as_deref().or(of_flow);
    let asked: Vec<&MessageTemplate> =
        approved.iter().filter(|one| language.is_some_and(|tag| is_in_language(&one.language, tag))).copied().collect();
    let possible = if asked.is_empty() { approved } else { asked };
    let mut problems = Vec::new();
    if let Some(problem) = possible.iter().find_map(|template| misfit(named, template)) {
        problems.push(problem);
    }
    if let NodeKind::Menu(menu) = &node.kind
        && let Some(template) = possible.iter().find(|one| one.quick_replies().count() != menu.options.len())
    {
        let text = format!(
            "The template `{}` has {} quick-reply buttons in {}, and the menu has {} options, for which they stand in \
             their order. Make them as many.",
            template.name,
            template.quick_replies().count(),
            template.language,
            menu.options.len()
        );
        problems.push(Problem::new(checks::TEMPLATE_BUTTONS, text).field("template.name"));
    }
    problems
}

/// What is wrong with the language that a node wants a template in: it would go out in another one, or not at all.
fn untranslated(named: &TemplateUse, language: &str, of_name: &[&MessageTemplate]) -> Option<Problem> {
    let in_language: Vec<_> = of_name.iter().filter(|one| is_in_language(&one.language, language)).collect();
    let is_approved = |status| status == TemplateStatus::Approved;
    if in_language.iter().any(|one| is_approved(one.status)) || !of_name.iter().any(|one| is_approved(one.status)) {
        return None;
    }
    let languages: BTreeSet<&str> =
        of_name.iter().filter(|one| is_approved(one.status)).map(|one| one.language.as_str()).collect();
    let languages = languages.into_iter().collect::<Vec<_>>().join(", ");
    let (check, what) = match in_language.first() {
        None => (checks::UNKNOWN_TEMPLATE, "is not there".to_owned()),
        Some(one) => (checks::TEMPLATE_NOT_APPROVED, format!("is {}", status_name(one.status))),
    };
    let text = format!(
        "The template `{}` {what} in {language}; it can be sent in {languages}. Choose one of these, or remove the \
         language, so that it goes in the contact's where there is one.",
        named.name
    );
    Some(Problem::new(check, text).field("template.language"))
}

/// What does not fit between the variables of a node and the placeholders of a template.
fn misfit(named: &TemplateUse, template: &MessageTemplate) -> Option<Problem> {
    let placeholders = template.placeholders();
    let at = |key: &str| format!("template.variables.{key}");
    let problem = |key: &str, text: String| Some(Problem::new(checks::TEMPLATE_VARIABLES, text).field(at(key)));
    for Placeholder { key, is_media } in &placeholders {
        let value = named.variables.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(value) = value else {
            let what = match (key.as_str(), is_media) {
                (_, true) => "a link to the medium above it",
                (key, _) if key.starts_with("button.") => "the end of a button's link",
                _ => "a value",
            };
            let text = format!(
                "The template `{}` needs {what} in {}, and none is given. Add `{key}` to the variables.",
                template.name, template.language
            );
            return problem(key, text);
        };
        // What begins with a value stands as that is, so that it may go on.
        let why = if *is_media && !value.starts_with("{{") { address::problem(value) } else { None };
        if let Some(why) = why {
            return problem(key, format!("`{key}` is a link to the medium above the template. {why}"));
        }
    }
    let extra = named.variables.keys().find(|key| !placeholders.iter().any(|known| known.key == **key))?;
    let known: Vec<&str> = placeholders.iter().map(|known| known.key.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let text = format!(
        "The template `{}` has no `{extra}` in {}. Remove it, or use one of its variables ({known}).",
        template.name, template.language
    );
    problem(extra, text)
}

fn status_name(status: TemplateStatus) -> &'static str {
    match status {
        TemplateStatus::Approved => "approved",
        TemplateStatus::Pending => "pending",
        TemplateStatus::Rejected => "rejected",
        TemplateStatus::Paused => "paused",
        TemplateStatus::Disabled => "disabled",
        TemplateStatus::Other => "in no known status",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::engine::{Offered, Publishing, problems_of};

    fn offered(language: &str, status: TemplateStatus) -> MessageTemplate {
        MessageTemplate {
            name: "cart".to_owned(),
            language: language.to_owned(),
            status,
            category: String::new(),
            header: None,
            body: "Hi".to_owned(),
            footer: None,
            buttons: Vec::new(),
            unfillable: Vec::new(),
        }
    }

    #[test]
    fn the_language_of_a_node_must_be_one_that_the_template_can_be_sent_in() {
        use TemplateStatus::{Approved, Paused, Rejected};
        let found = |language: Value, of_flow: Option<&str>, offered: &[MessageTemplate]| {
            let document = json!({
                "schema_version": 1, "name": "F", "language": of_flow, "entry_node": "a",
                "nodes": [{"id": "a", "type": "end", "template": {"name": "cart", "language": language}}]
            });
            let publishing =
                Publishing { templates: Offered::Known(offered), ..Publishing::from(Duration::from_secs(1800)) };
            let problems = problems_of(&document, publishing);
            problems.into_iter().map(|it| (it.id, it.field.unwrap_or_default())).collect::<Vec<_>>()
        };
        let unknown = |id| vec![(id, "template.language".to_owned())];
        let all =
            [offered("en_US", Approved), offered("pt_BR", Approved), offered("fr", Paused), offered("it", Rejected)];
        for language in ["en_US", "en-us", "EN_us", "en", "pt-BR", "pt"] {
            assert_eq!(found(json!(language), None, &all), [], "{language}");
        }
        for language in ["de", "en_GB", "pt_PT", "e", ""] {
            assert_eq!(found(json!(language), Some("en_US"), &all), unknown("unknown_template"), "{language}");
        }
        for language in ["fr", "fr_CA", "it"] {
            assert_eq!(found(json!(language), None, &all), unknown("template_not_approved"), "{language}");
        }
        for of_flow in [None, Some("de"), Some("fr")] {
            assert_eq!(found(Value::Null, of_flow, &all), [], "the contact may speak another one");
        }
        let none = [offered("fr", Paused)];
        assert_eq!(found(json!("de"), None, &none), [("template_not_approved", "template.name".to_owned())]);
    }
}
