//! What can be wrong with a flow document: every check by its name, and the problems that they find.

use serde::Serialize;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The flow cannot be published.
    Error,
    /// The flow can be published; its author should look.
    Warning,
}

/// One check of a document. There are no others than those of [`checks`], so that none of [`checks::ALL`] goes without
/// a fixture in `tests/checks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    id: &'static str,
    severity: Severity,
}

impl Check {
    /// Its stable name, such as `unknown_exit_target`.
    pub const fn id(self) -> &'static str {
        self.id
    }

    /// How bad it is to fail it.
    pub const fn severity(self) -> Severity {
        self.severity
    }
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = $severity:ident $id:literal;)*) => {
        $($(#[$doc])* pub const $name: Check = Check { id: $id, severity: Severity::$severity };)*

        /// All checks, in the order of this file.
        pub const ALL: &[Check] = &[$($name),*];
    };
}

/// The checks, by what they look at.
pub mod checks {
    use super::{Check, Severity};

    /// A conversation that the flow must pass goes otherwise. Not of [`ALL`], which look at a document alone.
    pub const TEST_CASE_FAILED: Check = Check { id: "test_case_failed", severity: Severity::Error };

    checks! {
        // The document's shape.

        /// It is another program's file, or has something around it.
        FOREIGN_DOCUMENT = Error "foreign_document";
        /// A value is missing, unknown or of the wrong type.
        WRONG_SHAPE = Error "wrong_shape";
        /// The document has too many bytes.
        DOCUMENT_TOO_LARGE = Error "document_too_large";
        /// It is written for another version of this program.
        UNKNOWN_SCHEMA_VERSION = Error "unknown_schema_version";
        /// The flow has no name.
        BLANK_NAME = Error "blank_name";
        /// It has too many nodes.
        TOO_MANY_NODES = Error "too_many_nodes";
        /// A node's id has other characters than ids have.
        BAD_NODE_ID = Error "bad_node_id";
        /// Two nodes have one id.
        DUPLICATE_NODE_ID = Error "duplicate_node_id";
        /// No node has that type.
        UNKNOWN_NODE_TYPE = Error "unknown_node_type";

        // Templates and patterns.

        /// A template cannot be parsed.
        BAD_TEMPLATE = Error "bad_template";
        /// A template is larger than its library bears.
        TEMPLATE_TOO_LARGE = Error "template_too_large";
        /// The flow has more templates than memory is set aside for.
        TOO_MANY_TEMPLATES = Error "too_many_templates";
        /// A template reads what does not exist.
        UNKNOWN_TEMPLATE_ROOT = Error "unknown_template_root";
        /// A template calls a filter, a test or a function that is not there, or with the wrong number of arguments.
        UNKNOWN_TEMPLATE_CALL = Error "unknown_template_call";
        /// A pattern cannot be compiled.
        BAD_PATTERN = Error "bad_pattern";
        /// The flow has more patterns than memory is set aside for.
        TOO_MANY_PATTERNS = Error "too_many_patterns";

        // Settings and inputs.

        /// The time to live is out of its range.
        TTL_OUT_OF_RANGE = Error "ttl_out_of_range";
        /// The order of dates is not one.
        BAD_DATE_ORDER = Error "bad_date_order";
        /// The time zone does not exist.
        UNKNOWN_TIMEZONE = Error "unknown_timezone";
        /// The hours of sending are none of a day.
        BAD_SEND_WINDOW = Error "bad_send_window";
        /// A contact who taps an option after the end of the conversation gets no answer.
        NO_LATE_REPLY = Warning "no_late_reply";
        /// A late reply begins at a node that does not exist.
        UNKNOWN_RESTART_NODE = Error "unknown_restart_node";
        /// Two inputs have one name.
        DUPLICATE_INPUT = Error "duplicate_input";
        /// An input is required where no message can carry it.
        INPUT_NEVER_POSSIBLE = Error "input_never_possible";

        // The graph.

        /// A session has nowhere to begin.
        NO_ENTRY_NODE = Error "no_entry_node";
        /// An exit that this type of node does not have.
        UNKNOWN_EXIT = Error "unknown_exit";
        /// An exit leads to a node that does not exist.
        UNKNOWN_EXIT_TARGET = Error "unknown_exit_target";
        /// A way leads in a circle and never waits.
        LOOP_WITHOUT_WAIT = Error "loop_without_wait";
        /// The person's choice, or the flow's decision, leads nowhere: no further message is sent.
        EXIT_LEADS_NOWHERE = Warning "exit_leads_nowhere";
        /// No way leads to a node.
        UNREACHABLE_NODE = Warning "unreachable_node";
        /// A free text may come when WhatsApp takes templates only.
        FREE_TEXT_AFTER_A_DAY = Warning "free_text_after_a_day";

        /// A message to a contact who has never written may come without a template.
        FIRST_MESSAGE_WITHOUT_TEMPLATE = Warning "first_message_without_template";

        // What nodes say.

        /// A node that sends a message has no content for it.
        NOTHING_TO_SAY = Error "nothing_to_say";
        /// A text is longer than a message may be.
        TEXT_TOO_LONG = Error "text_too_long";
        /// A medium is of no kind that can be sent.
        BAD_MEDIA_KIND = Error "bad_media_kind";
        /// A medium's address that can never be fetched.
        BAD_MEDIA_URL = Error "bad_media_url";

        // Templates of the channel.

        /// The channel's templates are not known, so it cannot be checked whether those that are named exist.
        TEMPLATES_NOT_CHECKED = Warning "templates_not_checked";
        /// The channel has no template of that name.
        UNKNOWN_TEMPLATE = Error "unknown_template";
        /// The template cannot be sent, or not now.
        TEMPLATE_NOT_APPROVED = Error "template_not_approved";
        /// The template has a part that nothing here can fill.
        TEMPLATE_CANNOT_BE_FILLED = Error "template_cannot_be_filled";
        /// The variables are not those that the template has.
        TEMPLATE_VARIABLES = Error "template_variables";
        /// The template's buttons are not as many as the menu's options.
        TEMPLATE_BUTTONS = Error "template_buttons";

        // Calls and sub-flows.

        /// No endpoint is called with that method.
        BAD_HTTP_METHOD = Error "bad_http_method";
        /// An address that cannot be called.
        BAD_HTTP_URL = Error "bad_http_url";
        /// A header that cannot be sent, or that is not an author's.
        BAD_HTTP_HEADER = Error "bad_http_header";
        /// A body whose values cannot be escaped where they stand.
        BAD_HTTP_BODY = Error "bad_http_body";
        /// An attempt of a call may take too long, or no time at all.
        BAD_HTTP_TIMEOUT = Error "bad_http_timeout";
        /// A call is tried too often.
        TOO_MANY_RETRIES = Error "too_many_retries";
        /// Nothing is wired for a call or a sub-flow that fails.
        NO_FAILURE_EXIT = Warning "no_failure_exit";
        /// A sub-flow cannot be entered as things are.
        SUB_FLOW_NOT_PUBLISHED = Warning "sub_flow_not_published";
        /// Flows run one another in a circle and never wait.
        RECURSIVE_SUB_FLOW = Error "recursive_sub_flow";

        // Menus.

        /// A menu has too few or too many options.
        MENU_SIZE = Error "menu_size";
        /// An option's id cannot be one.
        BAD_OPTION_ID = Error "bad_option_id";
        /// Two options or branches have one id.
        DUPLICATE_ID = Error "duplicate_id";
        /// An option has no title.
        BLANK_TITLE = Error "blank_title";
        /// A title is longer than WhatsApp takes.
        TITLE_TOO_LONG = Error "title_too_long";
        /// A description is longer than WhatsApp takes.
        DESCRIPTION_TOO_LONG = Warning "description_too_long";
        /// Two options have one title.
        DUPLICATE_TITLE = Warning "duplicate_title";
        /// An option is called like a keyword of the flow.
        TITLE_IS_KEYWORD = Warning "title_is_keyword";
        /// An option is called like a word that opts out.
        TITLE_IS_OPT_OUT_WORD = Warning "title_is_opt_out_word";
        /// A keyword of the flow is a word that opts out.
        KEYWORD_IS_OPT_OUT_WORD = Warning "keyword_is_opt_out_word";

        // Waits.

        /// The number of attempts is out of its range.
        BAD_ATTEMPTS = Error "bad_attempts";
        /// A timeout is out of its range.
        BAD_TIMEOUT = Error "bad_timeout";
        /// Nothing is wired for silence.
        NO_TIMEOUT_EXIT = Warning "no_timeout_exit";
        /// The exit for silence is wired, and there is no timeout.
        TIMEOUT_NEVER_FIRES = Warning "timeout_never_fires";
        /// The session is over before the timeout.
        TIMEOUT_BEYOND_TTL = Warning "timeout_beyond_ttl";
        /// Nothing is wired for answers that do not fit.
        NO_NO_MATCH_EXIT = Warning "no_no_match_exit";
        /// A date or a time is asked for without an example of how to write it.
        NO_EXAMPLE = Warning "no_example";
        /// A delay has no length, two, or one out of its range.
        BAD_DELAY = Error "bad_delay";
        /// A bound of answers is of another kind than they are.
        BAD_VALIDATION = Error "bad_validation";
        /// An event's name has other characters than such names have.
        BAD_EVENT_NAME = Error "bad_event_name";

        // Branches and values.

        /// A condition has no case.
        NO_CASES = Error "no_cases";
        /// A case has no exit.
        BLANK_EXIT = Error "blank_exit";
        /// A case compares with what its operator cannot use.
        CASE_NEVER_HOLDS = Warning "case_never_holds";
        /// A random split has nothing to draw.
        NO_WEIGHT = Error "no_weight";
        /// A name that templates could not read.
        BAD_VARIABLE_NAME = Error "bad_variable_name";
    }
}

/// One thing that is wrong with a flow document: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable name of the check, such as `unknown_exit_target`.
    pub id: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The node it concerns; `None` for the document as a whole.
    pub node: Option<String>,
    /// Path of the field inside the node (or the document), such as `options[2].title`.
    pub field: Option<String>,
    /// Says what is wrong and what to do.
    pub text: String,
}

impl Problem {
    /// What a check has found. The text says what is wrong and what to do.
    pub fn new(check: Check, text: impl Into<String>) -> Self {
        Self { id: check.id, severity: check.severity, node: None, field: None, text: text.into() }
    }

    /// The same problem, at a node.
    #[must_use]
    pub fn at(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// The same problem, at a field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}]", self.id)?;
        if let Some(node) = &self.node {
            write!(f, " node {node}")?;
        }
        if let Some(field) = &self.field {
            write!(f, " {field}")?;
        }
        write!(f, ": {}", self.text)
    }
}
