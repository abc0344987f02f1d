"""A business on pywa: takes webhooks on a port of its own, sends on request, and tells in lines of JSON what it saw.

Usage: python with_pywa.py SETTINGS, where SETTINGS is JSON. Lines on standard input: `send TO WAMID`, `fetch MEDIA`, `events`.
"""

import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import httpx
from pywa import WhatsApp, errors, types, utils
from pywa.types.others import Pagination
from pywa.types.templates import BodyText, QuickReplyButton, TemplateLanguage, URLButton

settings = json.loads(sys.argv[1])


class ToFake(httpx.HTTPTransport):
    """pywa has one address for the API and no setting for another."""

    def handle_request(self, request):
        fake = httpx.URL(settings["base_url"])
        request.url = request.url.copy_with(scheme=fake.scheme, host=fake.host, port=fake.port)
        request.headers["host"] = f"{fake.host}:{fake.port}"
        return super().handle_request(request)


wa = WhatsApp(
    phone_id=settings["phone_number_id"],
    token=settings["access_token"],
    waba_id=settings["business_account_id"],
    verify_token=settings["verify_token"],
    app_secret=settings["app_secret"],
    session=httpx.Client(transport=ToFake()),
    server=None,
)

events = []
troubles = []


class Troubles(logging.Handler):
    """pywa answers 200 to what it cannot read, and says so only in its log."""

    def emit(self, record):
        troubles.append(f"{record.getMessage()} {record.exc_info[1]!r}" if record.exc_info else record.getMessage())


logging.getLogger("pywa").addHandler(Troubles(level=logging.WARNING))


def note(kind, update, **details):
    user = update.from_user
    events.append({"kind": kind, "id": update.id, "wa_id": user.wa_id, "bsuid": user.bsuid, **details})


@wa.on_message
def on_message(_, message):
    details = {"type": message.type.value}
    if message.text:
        details["text"] = message.text
    if message.image:
        details |= {"media": message.image.id, "mime": message.image.mime_type, "caption": message.caption}
    if message.audio:
        details["voice"] = message.audio.voice
    if message.document:
        details["filename"] = message.document.filename
    if message.location:
        details |= {"latitude": message.location.latitude, "name": message.location.name}
    if message.contacts:
        details["contact"] = message.contacts[0].phones[0].phone
    if message.reaction:
        details["emoji"] = message.reaction.emoji
    if message.reply_to_message:
        details["quotes"] = message.reply_to_message.id
    if message.error:
        details["code"] = message.error.code
    note("message", message, **details)


@wa.on_callback_button
def on_callback_button(_, tap):
    quotes = tap.reply_to_message.id if tap.reply_to_message else None
    note("button", tap, data=tap.data, title=tap.title, quick_reply=tap.is_quick_reply, quotes=quotes)


@wa.on_callback_selection
def on_callback_selection(_, tap):
    note("list", tap, data=tap.data, title=tap.title, description=tap.description)


@wa.on_message_status
def on_message_status(_, status):
    code = status.error.code if status.error else None
    note("status", status, status=status.status.value, tracker=status.tracker, code=code, priced=bool(status.pricing))


@wa.on_phone_number_change
def on_phone_number_change(_, change):
    note("new_number", change, old=change.old_wa_id, new=change.new_wa_id)


@wa.on_edited_message
def on_edited_message(_, edited):
    note("edited", edited, text=edited.message.text)


@wa.on_deleted_message
def on_deleted_message(_, deleted):
    note("deleted", deleted)


@wa.on_template_status_update
def on_template_status_update(_, update):
    events.append({"kind": "template", "name": update.template_name, "status": update.new_status.value})


class Webhook(BaseHTTPRequestHandler):
    def answer(self, body, status):
        body = (body or "").encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        query = parse_qs(urlparse(self.path).query)
        self.answer(*wa.webhook_challenge_handler(query[utils.HUB_VT][0], query[utils.HUB_CH][0]))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = wa.webhook_update_validator(body, self.headers.get(utils.HUB_SIG))
        self.answer(*(refused or wa.webhook_update_handler(body)))

    def log_message(self, *_):
        pass


def send(to, inbound):
    """One message of each kind; the ids, and what the refused ones were refused with."""
    sent = {
        "text": wa.send_message(to, "Grüße 👋", tracker="row-1", preview_url=True),
        "quote": wa.send_message(to, "quoting", reply_to_message_id=inbound),
        "buttons": wa.send_message(
            to, "Well?", header="Cart", footer="Shop", buttons=[types.Button("Yes", "yes"), types.Button("No", "no")]
        ),
        "list": wa.send_message(
            to,
            "Which?",
            buttons=types.SectionList(
                "Choose",
                [types.Section("Sizes", [types.SectionRow("Small", "s", "the small one"), types.SectionRow("Large", "l")])],
            ),
        ),
        "template": wa.send_template(
            to,
            name="abandoned_cart",
            language=TemplateLanguage.ENGLISH_US,
            params=[
                BodyText.params("Anna", "12.00"),
                QuickReplyButton.params(callback_data="buy", index=0),
                URLButton.params(url_variable="cart/7", index=2),
            ],
        ),
        "image": wa.send_image(to, "https://example.com/cart.png", caption="your cart"),
        "location": wa.send_location(to, 52.5, 13.4, "Shop", "Street 1"),
        "reaction": wa.send_reaction(to, "👍", inbound),
    }
    read = [wa.mark_message_as_read(inbound).success, wa.indicate_typing(inbound).success]
    try:
        wa.send_template(to, name="nothing", language=TemplateLanguage.ENGLISH_US, params=[])
        refused = None
    except errors.TemplateNotExists as error:
        refused = error.code
    page = wa.get_templates()
    names = [template.name for template in page]
    while page.has_next:
        page = wa.get_templates(pagination=Pagination(after=page.after))
        names += [template.name for template in page]
    number = wa.get_business_phone_number()
    return {
        "sent": {kind: message.id for kind, message in sent.items()},
        "read": read,
        "refused": refused,
        "templates": names,
        "number": number.display_phone_number,
    }


def fetch(media):
    return {"bytes": wa.get_media_bytes(url=wa.get_media_url(media).url).decode()}


orders = {"send": send, "fetch": fetch, "events": lambda: {"events": events, "troubles": troubles}}
server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"port": server.server_port}), flush=True)
for line in sys.stdin:
    order, *arguments = line.split()
    print(json.dumps(orders[order](*arguments)), flush=True)
