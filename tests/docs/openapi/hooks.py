"""What Schemathesis cannot know by itself.

The description's examples speak of a session, a contact, a flow and so on by ids that never change, while the server gives
each its own. So wherever an example's id is about to be sent, one is made on the server and its id is sent instead: a new one
each time, because many calls end, change or delete what they are about.
"""

import itertools
import json
import os
import urllib.request

import schemathesis

NUMBERS = itertools.count()


def ask(method, path, body=None):
    """What the server answers an administrator."""
    request = urllib.request.Request(
        os.environ["QYVO_URL"] + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": "Bearer " + os.environ["QYVO_TOKEN"], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        text = response.read()
    return json.loads(text) if text else None


def new_phone():
    return f"+1416555{next(NUMBERS):04}"


def publish(kind, *nodes, **more):
    document = {"schema_version": 1, "kind": kind, "name": "Delivery", "entry_node": nodes[0]["id"], "nodes": list(nodes)}
    return ask("POST", "/flows/import?publish=true", document | more)["id"]


# What a maker makes may be about something else that the same call is about: `made` gives that.
ASK = {"id": "ask", "type": "ask", "text": "How was it?", "timeout_seconds": 600}
HANDOFF = {"id": "talk", "type": "handoff", "note": "Wants to talk"}


def flow(operation, made):
    id = publish("flow", ASK)
    # The examples speak of its second version.
    return publish("flow", ASK | {"text": "And how was it?"}, id=id) if "/versions/" in operation else id


def sequence(operation, made):
    return publish("sequence", ASK)


def session(operation, made):
    node = HANDOFF if operation.endswith("/resume") else ASK
    body = {"flow_id": publish("flow", node), "phone": new_phone()}
    return ask("POST", "/actions/trigger-flow", body)["id"]


def contact(operation, made):
    return ask("POST", "/actions/create-contact", {"phone": new_phone()})["id"]


def simulation(operation, made):
    return ask("POST", "/simulations", {"flow_id": made(FLOW)})["id"]


def test_case(operation, made):
    body = {"name": f"Case {next(NUMBERS)}", "simulation_id": made(SIMULATION)}
    return ask("POST", f"/flows/{made(FLOW)}/test-cases", body)["id"]


def template(operation, made):
    body = {"name": f"cart_{next(NUMBERS)}", "language": "en", "body": "Hi {{1}}, your cart is waiting."}
    return ask("POST", "/templates", body)["id"]


def token(operation, made):
    return ask("POST", "/tokens", {"name": f"made {next(NUMBERS)}", "scope": "trigger"})["id"]


def endpoint(operation, made):
    # There may be only so many.
    for one in ask("GET", "/webhook-endpoints")["data"][:1]:
        ask("DELETE", f"/webhook-endpoints/{one['id']}")
    return ask("POST", "/webhook-endpoints", {"url": f"https://crm.example.com/{next(NUMBERS)}"})["id"]


TOKEN = "01a20830-4f6e-7c2d-9a1b-0e8d7c6b5a43"
FLOW = "01a20838-5b1f-7be9-86d0-83f43783c82b"
SIMULATION = "01a2083b-2f10-7a55-9d0e-0c1f5b7a9e33"
# By the ids in the description's examples.
MAKERS = {
    "01a20839-0a4e-7f13-9c0b-2f3f1f9d8b55": session,
    "01a20838-9d10-7c55-b1a2-6f0d6a1c7e21": contact,
    FLOW: flow,
    "01a20838-5b20-7d1c-9f3e-4b7a60c2d914": sequence,
    SIMULATION: simulation,
    "01a2083c-5d20-7b1e-8f43-9a7e6c5d4b21": test_case,
    "01a20838-3f60-7a11-8c2d-5b4a39281706": template,
    "01a20838-7c1e-7d5a-9b11-0f6c6f2b7a10": template,
    TOKEN: token,
    "01a20841-7c3e-7a10-8f52-3d1c0b9a8e77": endpoint,
}


def ids_of_tokens_to_keep():
    """Schemathesis sends ids that it was answered, too, and must not revoke or slow down what the makers ask with."""
    return {one["id"] for one in ask("GET", "/tokens")["data"] if not one["name"].startswith("made ")}


# What the examples take for the newest revisions of drafts.
EXAMPLES_OF_REVISIONS = ['"6"', '"7"']


def with_ids(value, made):
    """The same with ids of what there is in the places of examples' ids."""
    if isinstance(value, dict):
        return {key: with_ids(one, made) for key, one in value.items()}
    if isinstance(value, list):
        return [with_ids(one, made) for one in value]
    return made(value) if isinstance(value, str) and value in MAKERS else value


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    """JSON one a line, which the description has as a text."""
    return value.encode() if isinstance(value, str) else str(value).encode()

BLANK = {"enum": ["", None]}
EMPTY_ARRAY = {"type": "array", "maxItems": 0}
# Parts of requests in which a blank is a value like any other, or wrong.
NOT_WIDENED = {"FlowDocument", "Draft", "Json", "Context"}


def widened(schema, schemas):
    """The same schema, which takes a blank for each of its optional properties."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name in NOT_WIDENED or name.endswith("OrBlank"):
            return schema
        if name + "OrBlank" not in schemas:
            # Named before it is there, because schemas may refer to themselves.
            schemas[name + "OrBlank"] = {}
            schemas[name + "OrBlank"].update(widened(schemas[name], schemas))
        return schema | {"$ref": f"#/components/schemas/{name}OrBlank"}
    schema = dict(schema)
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            schema[key] = [widened(one, schemas) for one in schema[key]]
    if isinstance(schema.get("items"), dict):
        schema["items"] = widened(schema["items"], schemas)
    if "properties" in schema:
        required = schema.get("required", [])
        schema["properties"] = {
            name: widened(one, schemas) if name in required else or_blank(one, schemas)
            for name, one in schema["properties"].items()
        }
    return schema


def or_blank(schema, schemas):
    described = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    is_object = "object" in described.get("type", []) or "properties" in described or "anyOf" in described
    return {"anyOf": [widened(schema, schemas), BLANK] + [EMPTY_ARRAY] * is_object}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Says in schemas what the description says in words: in optional parts of a request a blank counts as absent."""
    schemas = raw_schema["components"]["schemas"]
    for methods in raw_schema["paths"].values():
        # Beside the operations of a path stand the parameters that they share.
        for operation in (one for one in methods.values() if isinstance(one, dict)):
            for parameter in operation.get("parameters", []):
                if parameter.get("in") == "query" and not parameter.get("required"):
                    parameter["schema"] = {"anyOf": [parameter["schema"], {"const": ""}]}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = widened(content["schema"], schemas)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Has each call be about something that is there."""
    known = {}

    def made(example):
        if example not in known:
            known[example] = MAKERS[example](case.operation.label, made)
        return known[example]

    ends_tokens = case.operation.path in ("/tokens/{id}", "/tokens/{id}/rotate")
    if ends_tokens and (case.path_parameters or {}).get("id") in ids_of_tokens_to_keep():
        case.path_parameters["id"] = made(TOKEN)
    for part in ("path_parameters", "query", "body"):
        value = getattr(case, part)
        if isinstance(value, (dict, list)):
            setattr(case, part, with_ids(value, made))
    if FLOW in known and (case.headers or {}).get("If-Match") in EXAMPLES_OF_REVISIONS:
        case.headers["If-Match"] = f'"{ask("GET", f"/flows/{known[FLOW]}")["revision"]}"'


@schemathesis.hook
def after_call(context, case, response):
    """Writes down what each operation was answered."""
    with open(os.environ["QYVO_ANSWERS"], "a", encoding="utf-8") as answers:
        answers.write(f"{case.operation.label} {response.status_code}\n")
