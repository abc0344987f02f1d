// The client has the server's address written into it.
export default {
  qyvo: {
    input: { target: `${process.env.QYVO_URL}/api/v1/openapi.yaml` },
    output: { target: './qyvo.ts', client: 'fetch', baseUrl: `${process.env.QYVO_URL}/api/v1` },
  },
};
