"""Triggers a flow by what openapi-python-client has made, and prints the answer."""

import json
import os
from uuid import UUID

from qyvo_client import AuthenticatedClient
from qyvo_client.api.actions import trigger_flow
from qyvo_client.models import Context, Refused, TriggerFlow, TriggerStarted

client = AuthenticatedClient(base_url=os.environ["QYVO_URL"] + "/api/v1", token=os.environ["QYVO_TOKEN"])
context = Context.from_dict({"cart_total": "129.00"})
body = TriggerFlow(flow_id=UUID(os.environ["QYVO_FLOW_ID"]), phone="+14155550123", context=context)
answer = trigger_flow.sync(client=client, body=body, idempotency_key="cart-1")
assert isinstance(answer, TriggerStarted), answer

nothing = TriggerFlow(flow_id=UUID(int=0), phone="+14155550123")
refused = trigger_flow.sync(client=client, body=nothing)
assert isinstance(refused, Refused) and refused.error == "Flow not found or not published", refused

print(json.dumps(answer.to_dict()))
