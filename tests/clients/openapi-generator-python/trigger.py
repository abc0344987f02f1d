"""Triggers a flow by what openapi-generator has made for Python, and prints the answer."""

import os
import uuid

import qyvo

configuration = qyvo.Configuration(
    host=os.environ["QYVO_URL"] + "/api/v1", access_token=os.environ["QYVO_TOKEN"]
)
with qyvo.ApiClient(configuration) as client:
    actions = qyvo.ActionsApi(client)
    body = qyvo.TriggerFlow(
        flow_id=os.environ["QYVO_FLOW_ID"], phone="+14155550123", context={"cart_total": "129.00"}
    )
    answer = actions.trigger_flow(body, idempotency_key="cart-1")
    try:
        actions.trigger_flow(qyvo.TriggerFlow(flow_id=uuid.UUID(int=0), phone="+14155550123"))
        raise AssertionError("there is no such flow")
    except qyvo.exceptions.NotFoundException as refused:
        assert refused.data.error == "Flow not found or not published", refused

print(answer.to_json())
