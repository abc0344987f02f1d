// Each of these lines has a mistake that the generated types must find; a line without one fails to compile.
import createClient from 'openapi-fetch';
import type { paths } from './qyvo.js';

const qyvo = createClient<paths>({ baseUrl: 'http://localhost:8080/api/v1' });
const flow_id = '01a20838-5b1f-7be9-86d0-83f43783c82b';

// @ts-expect-error There is no such route.
await qyvo.POST('/actions/trigger-flows', { body: { flow_id } });
// @ts-expect-error The flow must be named.
await qyvo.POST('/actions/trigger-flow', { body: { phone: '+14155550123' } });
// @ts-expect-error A total is no context.
await qyvo.POST('/actions/trigger-flow', { body: { flow_id, phone: '+14155550123', context: 129 } });
// @ts-expect-error `again` is none of the choices.
await qyvo.POST('/actions/trigger-flow', { body: { flow_id, phone: '+14155550123', on_running: 'again' } });
const { data } = await qyvo.GET('/sessions/{id}', { params: { path: { id: flow_id } } });
// @ts-expect-error There may be no answer.
console.log(data.status);
// @ts-expect-error A session has no such key.
console.log(data?.state);
