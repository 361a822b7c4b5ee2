// The official openai client against the gateway in front of a fake model server in its own process.

import { fakeConfig, startGateway, token } from "../support/gateway.ts";
import { openaiClientSuite } from "../support/openai-client-suite.ts";

openaiClientSuite(async (upstreamBaseUrl) => {
  const gateway = await startGateway(fakeConfig(upstreamBaseUrl));
  return { url: gateway.url, token, close: () => gateway.close() };
});
