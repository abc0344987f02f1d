// An assistant's program on the protocol's own SDK: connects, and does on request what a model would.
//
// Usage: node with_mcp_sdk.mjs SETTINGS, where SETTINGS is JSON. Each line on standard input is an order in JSON and is
// answered with a line on standard output: {"tools": true}, {"call": NAME, "arguments": {…}}, {"resources": true},
// {"read": URI}, {"server": true}, {"end": true}. Lists take {"cursor": CURSOR} in place of true.

import readline from "node:readline";
import { pathToFileURL } from "node:url";

const settings = JSON.parse(process.argv[2]);
const load = (file) => import(pathToFileURL(`${settings.library}/dist/esm/client/${file}`));
const { Client } = await load("index.js");
const { StreamableHTTPClientTransport } = await load("streamableHttp.js");

const client = new Client({ name: "a-test", version: "1.0.0" });
const transport = new StreamableHTTPClientTransport(new URL(settings.url), {
  requestInit: { headers: { Authorization: `Bearer ${settings.token}` } },
});

const answer = (value) => console.log(JSON.stringify(value));

async function obey(order) {
  if (order.server) {
    return { name: client.getServerVersion(), can: client.getServerCapabilities(), says: client.getInstructions() };
  }
  if (order.tools) return client.listTools(order.tools === true ? undefined : order.tools);
  if (order.resources) return client.listResources(order.resources === true ? undefined : order.resources);
  if (order.read) return client.readResource({ uri: order.read });
  if (order.call) return client.callTool({ name: order.call, arguments: order.arguments });
  if (order.end) {
    // Nothing to end, for there is no session; a client asks all the same.
    await transport.terminateSession();
    await client.close();
    return { session: transport.sessionId ?? null };
  }
  throw new Error(`unknown order: ${JSON.stringify(order)}`);
}

try {
  await client.connect(transport);
  answer({ connected: true });
} catch (error) {
  answer({ failed: String(error), code: error.code ?? null });
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    answer(await obey(JSON.parse(line)));
  } catch (error) {
    answer({ failed: String(error), code: error.code ?? null });
  }
}
