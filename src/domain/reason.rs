//! Why sessions failed or were cancelled, in words: the names are for programs.

/// Reasons of the program's own, each with what was wrong and what to do.
const REASONS: &[(&str, &str)] = &[
    (
        "bad_time",
        "A delay was to end at what is no moment in time, or at one more than ten years off. Look at its `until`.",
    ),
    ("cancelled", "Somebody ended it, or the API was asked to, without giving a reason."),
    ("depth_limit", "Too many sub-flows were in each other at once. Look for a `run_flow` that runs its own flow."),
    ("erased", "The contact was erased, and the conversation ended with it."),
    ("flow_stopped", "The flow was stopped, and its sessions were ended with it."),
    ("internal_error", "Something went wrong in the server. Its log says what, under the session's id."),
    ("merged", "Two contacts turned out to be one person. The other conversation of the flow goes on."),
    ("missing_flow", "The flow that a `run_flow` names is not published. Publish it, or name another."),
    ("missing_node", "An exit leads to a node that is not in this version. Wire the exit to another, and publish."),
    ("no_entry_node", "The flow has no node to begin with. Name one in its `entry_node`, and publish it."),
    ("node_limit", "It passed too many nodes in one turn without waiting. Put a wait into the loop."),
    ("nothing_to_draw", "No branch of a random split has a weight. Give one of them a weight above 0."),
    ("opted_out", "The contact has opted out: flows do not write to them any more."),
    ("restarted", "The flow was triggered anew for this contact, with `on_running` set to `restart`."),
    ("state_limit", "It kept too much data. Save less of what HTTP calls answer, or end the session earlier."),
    ("sub_flow_not_loaded", "A sub-flow could not be loaded. The server's log says why."),
    ("template_limit", "Its texts took too much work to fill in. Use shorter lists and fewer loops in templates."),
    ("turn_limit", "It took too many turns. A conversation that goes on for so long should end and begin anew."),
    ("wait_at_wrong_node", "It waited at a node that does not wait. The server's log may say more; please report it."),
];

/// A session's reason in words; `None` for those that somebody else gave, and for codes of channels.
pub fn session_reason_in_words(reason: &str) -> Option<&'static str> {
    REASONS.iter().find(|(name, _)| *name == reason).map(|(_, words)| *words)
}
