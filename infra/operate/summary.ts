/** What a user wants to know after a deployment: where it is, how to call it, how to control it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { GatewayStatus } from "./control.ts";
import { readToken } from "./token.ts";
import type { Workplace } from "./workplace.ts";

export async function describeGateway(workplace: Workplace, status: GatewayStatus): Promise<string> {
  const url = gatewayUrl(status);
  const model = await firstModel(url, workplace);
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] });
  const call = (extra: string, content: string): string =>
    `  npm run -s token -- --header | curl ${extra}-H @- -H 'content-type: application/json' \\\n    ${url}/v1/chat/completions -d '${content}'`;
  return [
    "",
    `Gateway   ${url}`,
    "Token     npm run -s token",
    `Config    ${join(workplace.places.config, "openclaw.json")}`,
    `Settings  ${workplace.stackFile}`,
    "",
    "Ask it something (the token stays out of the process list and off the screen):",
    call("-sS ", body),
    "As a stream:",
    call("-sSN ", body.replace(/}$/, ',"stream":true}')),
    "",
    "npm run status | logs [-- -f] | stop | start | preview | up | destroy",
  ].join("\n");
}

/** Where it is reached from this machine. */
export function gatewayUrl({ host = "127.0.0.1", port }: GatewayStatus): string {
  return `http://${host === "0.0.0.0" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host}:${port}`;
}

const ModelList = z.object({ data: z.array(z.object({ id: z.string() })) });

/** The default of the rendered config, or the first model that the gateway lists. */
async function firstModel(url: string, workplace: Workplace): Promise<string> {
  const configured = z
    .object({ agents: z.object({ defaults: z.object({ model: z.object({ primary: z.string() }) }) }) })
    .safeParse(readJson(join(workplace.places.config, "openclaw.json")));
  if (configured.success) return configured.data.agents.defaults.model.primary;
  try {
    const token = readToken(workplace);
    const response = await fetch(`${url}/v1/models`, {
      headers: token ? { authorization: `Bearer ${token}` } : {},
      signal: AbortSignal.timeout(3000),
    });
    return ModelList.parse(await response.json()).data[0]?.id ?? "default";
  } catch {
    return "default";
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}
