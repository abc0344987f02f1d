//! What one caller finds here: the tools that its scope reaches, and a guide to write flows by.

use actix_web::web;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult, ErrorCode,
    ErrorData, Implementation, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::arguments::{KnownArguments, keep_known};
use super::calls::call;
use super::tools::Tool;
use crate::api::auth::Principal;
use crate::api::error::{ApiError, NEW_KEY};
use crate::api::state::State;
use crate::error::{Code, Error};
use crate::telemetry::LogRateLimit;

/// Says which tools turned their callers away.
static TURNED_AWAY: LogRateLimit = LogRateLimit::new();

/// Where the guide is found.
const GUIDE_URI: &str = "qyvo://guide/flow-document";
/// The guide: the whole flow document with an example, and what its questions understand.
const GUIDE: &str = concat!(
    include_str!("../../../static/guide/flow-document.md"),
    "\n",
    include_str!("../../../static/guide/what-people-may-type.md")
);
/// What an assistant should know before it calls anything.
const INSTRUCTIONS: &str = "\
Qyvo runs conversation flows with people over WhatsApp or a webhook. A flow is a document of nodes; a session is one \
run of a flow for one contact.

To build a flow: read the resource qyvo://guide/flow-document (or the description of create_flow), write a document, \
call validate_flow until it has no errors, then create_flow. That makes a draft, which reaches nobody until somebody \
publishes it. To see why a conversation stopped: list_sessions, then get_session, whose turns tell what happened.

trigger_flow and send_message reach real people: use them only when the user asked for that.";

/// The parameters of a method that lists something.
const LIST: &str = "an object, perhaps with a text as its `cursor`";
/// The methods that take parameters, and which.
const WANTED: [(&str, &str); 6] = [
    ("initialize", "an object with `protocolVersion`, `capabilities` and `clientInfo`"),
    ("tools/call", "an object with the `name` of a tool and an object of `arguments`"),
    ("resources/read", "an object with the `uri` of a resource"),
    ("tools/list", LIST),
    ("resources/list", LIST),
    ("resources/templates/list", LIST),
];

/// The protocol's server, for one request of one caller.
#[derive(Clone)]
pub(super) struct Server {
    state: web::Data<State>,
    caller: Principal,
}

impl Server {
    /// A server for a caller.
    pub(super) fn new(state: web::Data<State>, caller: Principal) -> Self {
        Self { state, caller }
    }

    /// A tool's answer to a caller whom it is open to, and a sentence on arguments that it does not have.
    async fn call(&self, tool: Tool, arguments: Map<String, Value>) -> Result<(Value, Option<String>), ApiError> {
        let KnownArguments { known, note } = keep_known(tool, arguments)?;
        Ok((call(&self.state, &self.caller, tool, &known).await?, note))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        let name = Implementation::new("qyvo", env!("CARGO_PKG_VERSION")).with_title("Qyvo");
        ServerConfig::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        first_page(page)?;
        let within_reach = Tool::all().filter(|tool| tool.scope() <= self.caller.scope);
        Ok(ListToolsResult::with_all_items(within_reach.map(Tool::describe).collect()))
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        Tool::named(name).map(Tool::describe)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = Tool::named(&request.name) else {
            let text = format!("There is no tool `{}`: tools/list names those that there are.", request.name);
            return Err(ErrorData::invalid_params(text, None));
        };
        let called = match tool.scope() <= self.caller.scope {
            true => self.call(tool, request.arguments.unwrap_or_default()).await,
            false => Err(ApiError::Forbidden(tool.scope())),
        };
        let result = match called {
            Ok((answer, note)) => {
                let mut result = CallToolResult::structured(answer);
                result.content.extend(note.map(ContentBlock::text));
                result
            }
            // Without structured content, which would have to fit the schema of what the tool gives.
            Err(error) => CallToolResult::error(vec![ContentBlock::text(told(tool, &error))]),
        };
        Ok(result.into())
    }

    /// What the SDK could read as none of its requests: of a method that is known, the parameters were wrong.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        let wanted = WANTED.iter().find(|(known, _)| *known == method).map(|(_, wanted)| *wanted);
        Err(match wanted {
            Some(wanted) => {
                ErrorData::invalid_params(format!("The params of {method} cannot be read: they are {wanted}."), None)
            }
            None => {
                let text = format!("There is no method `{method}` here.");
                ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None)
            }
        })
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        first_page(page)?;
        let guide = Resource::new(GUIDE_URI, "flow-document")
            .with_title("How to write a flow")
            .with_description("Every type of node with its fields and exits, templates, limits, and an example.")
            .with_mime_type("text/markdown")
            .with_size(GUIDE.len() as u64);
        Ok(ListResourcesResult::with_all_items(vec![guide]))
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        first_page(page)?;
        Ok(ListResourceTemplatesResult::default())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != GUIDE_URI {
            let text = format!("There is nothing at `{}`: the only resource is {GUIDE_URI}.", request.uri);
            return Err(ErrorData::resource_not_found(text, None));
        }
        let text = ResourceContents::text(GUIDE, GUIDE_URI).with_mime_type("text/markdown");
        Ok(ReadResourceResult::new(vec![text]).into())
    }
}

/// Refuses to go on with a list: all of them are whole on their first page, so no cursor was ever given out.
fn first_page(page: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match page.and_then(|page| page.cursor) {
        Some(cursor) => {
            let text = format!("There is no page `{cursor}`: the list is whole without a cursor.");
            Err(ErrorData::invalid_params(text, None))
        }
        None => Ok(()),
    }
}

/// A refusal in words: what was wrong, where, and what to do. What only the log explains is written there.
fn told(tool: Tool, error: &ApiError) -> String {
    let id = Uuid::now_v7().to_string();
    match error {
        ApiError::Failed(error) => log(tool, &id, error),
        // The caller of a tool has sent neither a header nor a body.
        ApiError::KeyReused => return format!("This idempotency_key was used with other arguments.\n{NEW_KEY}"),
        _ => {}
    }
    let Value::Object(mut body) = error.body(Some(&id)) else { return error.to_string() };
    let mut take = |key: &str| body.shift_remove(key);
    let mut lines = Vec::new();
    lines.extend(take("error").or_else(|| take("message")).map(|sentence| words(&sentence)));
    if let Some(Value::Object(errors)) = take("errors") {
        lines.extend(errors.iter().map(|(field, sentences)| format!("- {field}: {}", words(sentences))));
    }
    lines.extend(take("hint").map(|hint| words(&hint)));
    // What is known besides, such as the id of a session that runs already, or a document's problems.
    lines.extend(Some(body).filter(|rest| !rest.is_empty()).map(|rest| Value::Object(rest).to_string()));
    lines.join("\n")
}

fn log(tool: Tool, id: &str, error: &Error) {
    let tool = tool.name();
    match error.code() {
        Code::Internal | Code::OutcomeUnknown => {
            tracing::error!(request_id = id, tool, %error, "a tool of an assistant failed");
        }
        _ => {
            if let Some(others) = TURNED_AWAY.let_through() {
                tracing::warn!(request_id = id, tool, others, %error, "a tool of an assistant was turned away");
            }
        }
    }
}

/// A sentence, or several, as text.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FlowDocument;

    #[test]
    fn refusals_are_told_with_all_that_is_known() {
        let errors = [("flow_id", "The flow id field is required."), ("phone", "The phone is no phone.")];
        let errors = errors.map(|(field, text)| (field.to_owned(), text.to_owned())).to_vec();
        assert_eq!(
            told(Tool::TriggerFlow, &ApiError::Validation(errors)),
            "The given data was invalid.\n- flow_id: The flow id field is required.\n- phone: The phone is no phone."
        );
        let error = ApiError::not_found("Flow not found").with("id", "7").hint("Publish it.");
        assert_eq!(told(Tool::TriggerFlow, &error), "Flow not found\nPublish it.\n{\"id\":\"7\"}");
    }

    #[test]
    fn what_only_the_log_explains_is_not_told() {
        let error = ApiError::from(Error::internal("the disk is on fire"));
        let text = told(Tool::ListFlows, &error);
        assert!(text.starts_with("Internal server error\n{\"request_id\":") && !text.contains("fire"), "{text}");
    }

    #[test]
    fn the_guides_examples_are_flows() {
        let examples: Vec<&str> =
            GUIDE.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!examples.is_empty());
        for example in examples {
            let document: Value = serde_json::from_str(example).unwrap();
            FlowDocument::parse(&document).unwrap_or_else(|problems| panic!("{problems:?}"));
        }
    }
}
