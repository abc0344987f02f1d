// Reasons in words: the server gives short names, for programs; people who look why a conversation stopped need a
// sentence. A name that is not here is shown as it is.

const WORDS = {
  cancelled: "Somebody ended it.",
  flow_stopped: "The flow was stopped.",
  internal_error: "Something went wrong in the server; its log says what.",
  missing_node: "An exit leads to a node that is not there.",
  no_entry_node: "The flow has no node to begin with.",
  no_session: "No conversation was waiting for a reply.",
  node_limit: "It passed too many nodes without waiting.",
  not_your_session: "The button belongs to somebody else's conversation.",
  nothing_to_draw: "No branch of a random split has a weight.",
  opted_out: "The contact has opted out.",
  restarted: "The flow was triggered anew for this contact.",
  session_ended: "The conversation was over by then.",
  state_limit: "It kept too much data.",
  template_limit: "Its texts took too much work to fill in.",
  turn_limit: "It took too many turns.",
  window_closed: "The contact wrote last more than 24 hours ago, and the message has no template.",
};

/** A sentence for a reason, or null. */
export function inWords(reason) {
  return Object.hasOwn(WORDS, reason ?? "") ? WORDS[reason] : null;
}
