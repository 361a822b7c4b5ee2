/** The target `local`: files in the user's own folder, and a supervised gateway process. */

import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { Files } from "../components/files.ts";
import { GatewayProcess } from "../components/gateway-process.ts";
import { createGatewayToken } from "../components/gateway-token.ts";
import { cloneDirectory, stackPlaces } from "../places.ts";
import { bundleGateway } from "../release/index.ts";
import { listenHost, reachableUrl } from "../render/address.ts";
import { renderOpenclawConfig } from "../render/openclaw-config.ts";
import type { Settings } from "../settings.ts";
import type { StackOutputs } from "./target.ts";

export function deployLocal(settings: Settings): StackOutputs {
  const places = stackPlaces(cloneDirectory(), pulumi.getStack());
  const token = settings.gatewayToken ?? createGatewayToken("gateway-token");
  const { config, secretFiles } = renderOpenclawConfig(settings, places.secrets);

  const secrets: { [file: string]: pulumi.Input<string> } = {};
  for (const [file, key] of Object.entries(secretFiles)) {
    secrets[file] = key === "gatewayToken" ? token : pulumi.secret(settings.secrets[key] ?? "");
  }
  const files = new Files("files", {
    configDirectory: places.config,
    secretsDirectory: places.secrets,
    config: `${JSON.stringify(config, null, 2)}\n`,
    secrets,
  });
  new GatewayProcess("gateway", {
    directory: places.directory,
    host: listenHost(settings.gateway),
    port: settings.gateway.port,
    configPath: files.configPath,
    dataDirectory: places.data,
    bundle: bundleGateway(),
    revision: files.revision,
    drainTimeoutMs: settings.drain.delayMs + settings.drain.timeoutMs + 5000,
    keepData: settings.keepData,
  });
  return {
    url: reachableUrl(settings.gateway),
    token: pulumi.secret(token),
    configPath: files.configPath,
    logs: join(places.logs, "gateway.log"),
  };
}
