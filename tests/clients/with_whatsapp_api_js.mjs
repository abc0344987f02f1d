// A business on whatsapp-api-js: takes webhooks on a port of its own, sends on request, and tells in lines of JSON what
// it saw.
//
// Usage: node with_whatsapp_api_js.mjs SETTINGS, where SETTINGS is JSON. Lines on standard input: `send TO WAMID`,
// `fetch MEDIA`, `events`.

import http from "node:http";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const settings = JSON.parse(process.argv[2]);
const load = (file) => import(pathToFileURL(`${settings.library}/lib/${file}`));
const { WhatsAppAPI } = await load("middleware/node-http.js");
const {
  ActionButtons, ActionList, Body, BodyComponent, BodyParameter, Button, Footer, Header, Image, Interactive,
  ListSection, Location, PayloadComponent, Reaction, Row, SkipButtonComponent, Template, Text, URLComponent,
} = await load("messages/index.js");

// The library has one address for the API and no setting for another.
const toFake = (url, options) => fetch(url.replace("https://graph.facebook.com", settings.base_url), options);

const whatsapp = new WhatsAppAPI({
  token: settings.access_token,
  appSecret: settings.app_secret,
  webhookVerifyToken: settings.verify_token,
  v: "v26.0",
  ponyfill: { fetch: toFake },
});

const events = [];
whatsapp.on.message = ({ from, recipient, message, name }) => {
  events.push({ kind: "message", from, bsuid: recipient.bsuid, name, message });
};
whatsapp.on.status = ({ phone, recipient, status, id, error, pricing, biz_opaque_callback_data: callback }) => {
  const { bsuid } = recipient;
  events.push({ kind: "status", phone, bsuid, status, id, callback, code: error?.code, priced: !!pricing });
};

const server = http.createServer(async (request, response) => {
  if (request.method === "GET") {
    try {
      response.end(whatsapp.handle_get(request));
    } catch (status) {
      response.writeHead(status).end();
    }
    return;
  }
  response.writeHead(await whatsapp.handle_post(request)).end();
});

async function send(to, inbound) {
  const phone = settings.phone_number_id;
  const recipient = to.startsWith("+") ? { phone: to } : { bsuid: to };
  const messages = {
    text: new Text("Grüße 👋", true),
    buttons: new Interactive(
      new ActionButtons(new Button("yes", "Yes"), new Button("no", "No")),
      new Body("Well?"), new Header("Cart"), new Footer("Shop"),
    ),
    list: new Interactive(
      new ActionList("Choose", new ListSection("Sizes", new Row("s", "Small", "the small one"), new Row("l", "Large"))),
      new Body("Which?"),
    ),
    template: new Template(
      "abandoned_cart", "en_US",
      new BodyComponent(new BodyParameter("Anna"), new BodyParameter("12.00")),
      new PayloadComponent("buy"), new SkipButtonComponent(), new URLComponent("cart/7"),
    ),
    image: new Image("https://example.com/cart.png", false, "your cart"),
    location: new Location(13.4, 52.5, "Shop", "Street 1"),
    reaction: new Reaction(inbound, "👍"),
    quote: new Text("quoting"),
  };
  const sent = {};
  for (const [kind, message] of Object.entries(messages)) {
    const context = kind === "quote" ? inbound : undefined;
    const answer = await whatsapp.sendMessage(phone, recipient, message, context, `row-${kind}`);
    sent[kind] = answer.messages?.[0].id ?? answer;
  }
  const unknown = await whatsapp.sendMessage(phone, recipient, new Template("nothing", "en_US"));
  const read = [
    (await whatsapp.markAsRead(phone, inbound)).success,
    (await whatsapp.markAsRead(phone, inbound, "text")).success,
  ];
  return { sent, read, refused: unknown.error?.code };
}

async function retrieve(media) {
  const { url, mime_type: mime } = await whatsapp.retrieveMedia(media);
  const response = await whatsapp.$$apiFetch$$(url);
  return { bytes: await response.text(), mime };
}

server.listen(0, "127.0.0.1", async () => {
  const tell = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  tell({ port: server.address().port });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [order, ...words] = line.split(" ");
    tell(await { send, fetch: retrieve, events: () => ({ events, troubles: [] }) }[order](...words));
  }
  process.exit(0);
});
