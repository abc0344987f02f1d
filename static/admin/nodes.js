// What an author can put into a document: a node of each kind, as text to go on from.

/** A sound beginning of each kind of node, by its type. */
export const NODES = {
  send_message: { text: "Hello {{contact.name|default('there')}}.", exits: { next: null } },
  ask: { text: "What is your e-mail address?", expects: "email", save_as: "email", timeout_seconds: 3600, exits: { reply: null, no_match: null, timeout: null } },
  menu: { text: "What would you like?", options: [{ id: "yes", title: "Yes" }, { id: "no", title: "No" }], timeout_seconds: 3600, exits: { yes: null, no: null, no_match: null, timeout: null } },
  condition: { cases: [{ left: "{{context.total}}", operator: "number_gte", right: 100, exit: "large" }], exits: { large: null, default: null } },
  random_split: { branches: [{ id: "a", weight: 1 }, { id: "b", weight: 1 }], exits: { a: null, b: null } },
  set_variable: { assignments: [{ name: "source", value: "reminder" }], exits: { next: null } },
  update_contact: { add_tags: ["reminded"], exits: { next: null } },
  http_request: { method: "POST", url: "https://shop.example.com/api/carts/{{context.cart_id}}", headers: { "X-Source": "qyvo" }, body: { phone: "{{contact.phone}}" }, timeout_ms: 10000, max_retries: 2, save_as: "cart", exits: { success: null, failure: null } },
  delay: { seconds: 3600, exits: { next: null } },
  wait_for_event: { event: "order.paid", timeout_seconds: 86400, save_as: "order", exits: { event: null, timeout: null } },
  run_flow: { flow_id: "", context: {}, save_as: "result", exits: { completed: null, expired: null, failed: null } },
  handoff: { note: "{{contact.name|default('Somebody')}} asks for help.", timeout_seconds: 86400, exits: { resumed: null, timeout: null } },
  end: { outcome: "done", text: "Thank you." },
};

/** Types of nodes that say something, and so may name a template. */
export const SPEAKING = new Set(["send_message", "ask", "menu", "end"]);

const ABOUT = {
  send_message: "says something and goes on", ask: "asks and reads the answer", menu: "offers options to tap",
  condition: "goes one way or another", random_split: "splits by chance", set_variable: "keeps values", update_contact: "changes the contact",
  http_request: "calls a server of yours", delay: "waits for a time", wait_for_event: "waits for an event", run_flow: "runs another flow inside this one",
  handoff: "calls a person", end: "ends the conversation",
};

/** A type with what it does. */
export const describe = (type) => `${type}: ${ABOUT[type]}`;

/** A node with an id that none of `taken` has. Exits lead nowhere yet. */
export function makeNode(type, taken) {
  const stem = type.replace(/^(send|set|update|wait_for|run)_/, "");
  let id = stem;
  for (let count = 2; taken.includes(id); count += 1) id = `${stem}_${count}`;
  return { id, type, ...structuredClone(NODES[type]) };
}
