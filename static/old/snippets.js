// Code to trigger a flow, in four languages, with the flow's own inputs. Each carries an Idempotency-Key, because a
// retry without one starts a second conversation if the first is already over.

/** What a trigger of this flow may pass: its inputs, else what its texts read from the context. */
export function exampleContext(document) {
  const inputs = Array.isArray(document?.inputs) ? document.inputs.filter((input) => typeof input?.name === "string") : [];
  const context = {};
  if (inputs.length > 0) {
    for (const { name, type } of inputs) context[name] = example(name, type);
    return context;
  }
  for (const name of readNames(document)) context[name] = example(name, "string");
  return context;
}

function example(name, type) {
  switch (type) {
    case "number": return 1;
    case "boolean": return true;
    case "object": return {};
    case "array": return [];
    default:
      if (/url|link/i.test(name)) return "https://shop.example.com/cart";
      if (/total|amount|price/i.test(name)) return "129.00";
      if (/mail/i.test(name)) return "ada@example.com";
      if (/name/i.test(name)) return "Ada";
      return "1001";
  }
}

/** Names that texts read from the context, without those that the flow itself writes. */
function readNames(document) {
  const names = new Set();
  const written = new Set();
  const visit = (value) => {
    if (typeof value === "string") {
      for (const [, inner] of value.matchAll(/\{\{(.*?)\}\}/gs)) {
        for (const [, name] of inner.matchAll(/\bcontext\.([A-Za-z_]\w*)/g)) names.add(name);
      }
    } else if (value && typeof value === "object") {
      if (typeof value.save_as === "string") written.add(value.save_as).add(`${value.save_as}_raw`);
      for (const assignment of Array.isArray(value.assignments) ? value.assignments : []) written.add(assignment?.name);
      Object.values(value).forEach(visit);
    }
  };
  visit(document?.nodes);
  return [...names].filter((name) => !written.has(name));
}

/** The call that starts a flow or a sequence, and what it names it by. */
export function triggerOf(isSequence) {
  return isSequence ? { path: "/actions/trigger-sequence", key: "sequence_id" } : { path: "/actions/trigger-flow", key: "flow_id" };
}

/** The four snippets as `{ id, label, note, code }`. The token comes from the environment: code is shared, tokens are not. */
export function snippets({ baseUrl, flowId, isSequence, phone, context }) {
  const trigger = triggerOf(isSequence);
  const url = `${baseUrl.replace(/\/+$/, "")}/api/v1${trigger.path}`;
  const body = { [trigger.key]: flowId, phone, context };
  // A key each: they write the same body with other blanks, and one key with two bodies is refused.
  return [
    { id: "curl", label: "curl", note: "Set QYVO_TOKEN to a token with the scope “trigger”.", code: curl(url, body, "order-1001") },
    { id: "javascript", label: "JavaScript", note: "Node 18 or newer. Keep tokens out of browsers.", code: javascript(url, body, "order-1002") },
    { id: "php", label: "PHP", note: "With the curl extension.", code: php(url, body, "order-1003") },
    { id: "python", label: "Python", note: "pip install httpx", code: python(url, body, "order-1004") },
  ];
}

const WHY = "The key makes a retry safe: the same key and body give the first answer again.";
const indented = (text, indent) => text.replaceAll("\n", `\n${indent}`);
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function curl(url, body, key) {
  return `# ${WHY}
curl -sS --fail-with-body ${shell(url)} \\
  -H "Authorization: Bearer $QYVO_TOKEN" \\
  -H "Content-Type: application/json" \\
  -H ${shell(`Idempotency-Key: ${key}`)} \\
  -d ${shell(indented(JSON.stringify(body, null, 2), "  "))}
`;
}

function javascript(url, body, key) {
  return `const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.QYVO_TOKEN}\`,
    "Content-Type": "application/json",
    // ${WHY}
    "Idempotency-Key": ${JSON.stringify(key)},
  },
  body: JSON.stringify(${indented(JSON.stringify(body, null, 2), "  ")}),
  signal: AbortSignal.timeout(10_000),
});
const answer = await response.json();
if (!response.ok) throw new Error(\`Qyvo answered \${response.status}: \${JSON.stringify(answer)}\`);
console.log(answer.id, answer.status); // "started", or "already_running"
`;
}

function php(url, body, key) {
  return `<?php
$request = curl_init(${phpValue(url)});
curl_setopt_array($request, [
    CURLOPT_POST => true,
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 10,
    CURLOPT_HTTPHEADER => [
        'Authorization: Bearer ' . getenv('QYVO_TOKEN'),
        'Content-Type: application/json',
        // ${WHY}
        ${phpValue(`Idempotency-Key: ${key}`)},
    ],
    CURLOPT_POSTFIELDS => json_encode(${phpValue(body, "    ")}, JSON_THROW_ON_ERROR),
]);
$answer = curl_exec($request);
if ($answer === false) {
    throw new RuntimeException('Qyvo cannot be reached: ' . curl_error($request));
}
$status = curl_getinfo($request, CURLINFO_RESPONSE_CODE);
if ($status >= 300) {
    throw new RuntimeException("Qyvo answered $status: $answer");
}
echo $answer, "\\n"; // {"id": ..., "status": "started" or "already_running", ...}
`;
}

function python(url, body, key) {
  return `import os

import httpx

response = httpx.post(
    ${JSON.stringify(url)},
    headers={
        "Authorization": f"Bearer {os.environ['QYVO_TOKEN']}",
        # ${WHY}
        "Idempotency-Key": ${JSON.stringify(key)},
    },
    json=${pythonValue(body, "    ")},
    timeout=10,
)
response.raise_for_status()
print(response.json())  # {"id": ..., "status": "started" or "already_running", ...}
`;
}

/** A value as PHP writes it. */
function phpValue(value, indent = "") {
  if (typeof value === "string") return `'${value.replace(/[\\']/g, "\\$&")}'`;
  if (value === null || typeof value !== "object") return String(value);
  const deeper = `${indent}    `;
  const entries = Object.entries(value);
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[\n${value.map((item) => `${deeper}${phpValue(item, deeper)},\n`).join("")}${indent}]`;
  // An empty PHP array would be encoded as a list.
  if (entries.length === 0) return "new stdClass()";
  return `[\n${entries.map(([name, item]) => `${deeper}${phpValue(name)} => ${phpValue(item, deeper)},\n`).join("")}${indent}]`;
}

/** A value as Python writes it. JSON's escapes in strings mean the same there. */
function pythonValue(value, indent = "") {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[\n${value.map((item) => `${deeper}${pythonValue(item, deeper)},\n`).join("")}${indent}]`;
  const entries = Object.entries(value);
  if (entries.length === 0) return "{}";
  return `{\n${entries.map(([name, item]) => `${deeper}${JSON.stringify(name)}: ${pythonValue(item, deeper)},\n`).join("")}${indent}}`;
}
