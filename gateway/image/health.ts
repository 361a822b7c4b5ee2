// The container's health probe: `node health.js`. Asks the gateway of the same container whether it is alive; exit code 0 or 1.
import { readFileSync } from "node:fs";
import { request as askPlain } from "node:http";
import { request as askSecure } from "node:https";

const defaultPort = 18789;
const timeoutMs = 3000;

function configuredPort(): number {
  const fromEnvironment = Number(process.env.OPENCLAW_GATEWAY_PORT);
  if (fromEnvironment > 0) return fromEnvironment;
  try {
    const port = /"port"\s*:\s*(\d+)/.exec(readFileSync(process.env.OPENCLAW_CONFIG_PATH ?? "", "utf8"))?.[1];
    return port === undefined ? defaultPort : Number(port);
  } catch {
    return defaultPort;
  }
}

function ask(secure: boolean, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const options = { host: "127.0.0.1", port, path: "/healthz", timeout: timeoutMs, agent: false };
  const request = secure ? askSecure({ ...options, rejectUnauthorized: false }) : askPlain(options);
  request.on("response", (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  request.on("timeout", () => request.destroy());
  request.on("error", () => resolve(false));
  request.end();
  return promise;
}

const port = configuredPort();
// One that ends TLS itself answers plain requests with a failure.
process.exit((await ask(false, port)) || (await ask(true, port)) ? 0 : 1);
