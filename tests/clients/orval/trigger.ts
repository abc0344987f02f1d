// Triggers a flow by what orval has made, and prints the answer.
import { triggerFlow } from './qyvo.js';

const { QYVO_TOKEN, QYVO_FLOW_ID } = process.env as Record<string, string>;
const headers = { Authorization: `Bearer ${QYVO_TOKEN}`, 'Idempotency-Key': 'cart-1' };
const body = { flow_id: QYVO_FLOW_ID!, phone: '+14155550123', context: { cart_total: '129.00' } };

const answer = await triggerFlow(body, { headers });
if (answer.status !== 201) throw new Error(JSON.stringify(answer));
const refused = await triggerFlow({ ...body, flow_id: '00000000-0000-0000-0000-000000000000' }, {
  headers: { Authorization: headers.Authorization },
});
if (refused.status !== 404 || refused.data.error !== 'Flow not found or not published') {
  throw new Error(JSON.stringify(refused));
}
console.log(JSON.stringify(answer.data));
