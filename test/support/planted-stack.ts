/** Settings of a stack that refer to every kind of secret a gateway can hold, and the values that a test plants for them. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parse } from "yaml";
import { z } from "zod";
import { openSecrets } from "../../engine/secrets.ts";
import { plantedWord, plantSecrets } from "./planted-secrets.ts";

/** `{ source: file, provider: stack, id }`: the stack's secret `secret-<id>`. */
export const stackSecret = (id: string): object => ({ source: "file", provider: "stack", id });

/** By their keys in the stack file. `clientKey`: of a certificate that the gateway shows to a model server. */
export function gatewaySecrets(clientKey: string): { [key: string]: string } {
  const keys = [
    ...["gatewayToken", "previousGatewayToken", "token-app", "previousToken-app", "token-ops"],
    ...["apiKey-numbers", "apiKey-refusing", "secret-search", "secret-tracing", "secret-header", "secret-bearer"],
  ];
  const values = Object.values(plantSecrets(keys.length));
  return {
    ...Object.fromEntries(keys.map((key, index) => [key, values[index] ?? ""])),
    // Of several lines.
    "secret-client-key": clientKey,
  };
}

export interface ModelServers {
  /** One that answers for the model "numbers". */
  numbers: string;
  /** One that refuses everything, and says the key in doing so. */
  refusing: string;
  clientCertificate: string;
}

/** Their places in the stack file. */
export function gatewaySections(servers: ModelServers) {
  const { numbers, refusing, clientCertificate: cert } = servers;
  const until = new Date(Date.now() + 365 * 86_400_000).toISOString();
  const request = (more: { [part: string]: unknown }): object => ({
    baseUrl: refusing,
    models: [`of-${Object.keys(more)[0]}`],
    request: more,
  });
  return {
    models: {
      default: "numbers/numbers",
      providers: {
        numbers: { baseUrl: numbers, models: ["numbers"] },
        refusing: { baseUrl: refusing, models: ["refused"] },
        headed: request({ headers: { "x-team": stackSecret("header") } }),
        bearer: request({ auth: { mode: "authorization-bearer", token: stackSecret("bearer") } }),
        certified: request({ tls: { cert, key: stackSecret("client-key") } }),
      },
    },
    tokens: [{ id: "app", previous: { expiresAt: until } }, { id: "ops" }],
    rotation: { previousToken: { expiresAt: until } },
    memory: { search: { enabled: true, provider: "openai", remote: { baseUrl: refusing, apiKey: stackSecret("search") } } },
    tracing: { enabled: false, endpoint: `${refusing}/traces`, headers: { "x-key": stackSecret("tracing") } },
    logging: { level: "debug" },
  };
}

/** Settings as `config set --secret` writes them, all at once: it takes a second each. The stack was made before. */
export async function encrypted(
  stackFile: string,
  passphraseFile: string,
  secrets: { [key: string]: string },
): Promise<{ [key: string]: object }> {
  const { encryptionsalt } = z.object({ encryptionsalt: z.string() }).parse(parse(readFileSync(stackFile, "utf8")));
  const manager = await openSecrets(encryptionsalt, { PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile });
  return Object.fromEntries(Object.entries(secrets).map(([key, value]) => [key, { secure: manager.encrypt(value) }]));
}

/** An authority gives out such keys. */
export const accountKey = (): string => Buffer.from(`${plantedWord()}${randomBytes(16).toString("hex")}`).toString("base64url");

export interface RefusingServer {
  readonly baseUrl: string;
  close(): Promise<void>;
}

/** As some providers do it, with the caller's own key in the words of the refusal. */
export async function startRefusing(address: string): Promise<RefusingServer> {
  const server = createServer((request, response) => {
    request.resume();
    const said = `${request.headers.authorization ?? ""} ${request.headers["x-team"] ?? ""}`;
    const error = { message: `Incorrect API key provided: ${said}`, type: "invalid_request_error", code: "invalid_api_key" };
    response.writeHead(401, { "content-type": "application/json" }).end(JSON.stringify({ error }));
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const bound: AddressInfo | string | null = server.address();
  const port = typeof bound === "object" && bound ? bound.port : 0;
  return {
    baseUrl: `http://${address}:${port}/v1`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
