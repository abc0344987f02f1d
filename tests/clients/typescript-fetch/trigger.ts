// Triggers a flow by what openapi-generator has made for TypeScript, and prints the answer.
import { ActionsApi, Configuration, ResponseError, TriggerStartedToJSON } from './client';

const { QYVO_URL, QYVO_TOKEN, QYVO_FLOW_ID } = process.env as Record<string, string>;

async function main() {
  const actions = new ActionsApi(new Configuration({ basePath: `${QYVO_URL}/api/v1`, accessToken: QYVO_TOKEN }));
  const triggerFlow = { flowId: QYVO_FLOW_ID!, phone: '+14155550123', context: { cart_total: '129.00' } };
  const answer = await actions.triggerFlow({ triggerFlow, idempotencyKey: 'cart-1' });
  try {
    await actions.triggerFlow({ triggerFlow: { ...triggerFlow, flowId: '00000000-0000-0000-0000-000000000000' } });
    throw new Error('there is no such flow');
  } catch (error) {
    if (!(error instanceof ResponseError) || error.response.status !== 404) throw error;
  }
  console.log(JSON.stringify(TriggerStartedToJSON(answer)));
}

main();
