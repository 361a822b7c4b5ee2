// Rules between settings, that a shape alone cannot express.

import { hostRefusal, reachOf } from "../models/destination.ts";
import { checkAdmission } from "./admission-rules.ts";
import type { Fault } from "./faults.ts";
import { isNetwork } from "./governance.ts";
import { checkModelNames } from "./model-names.ts";
import { type Config, pluginId, type StackConfig } from "./schema.ts";

export type AuthMode = "none" | "token" | "password" | "trusted-proxy";

export const stackOf = (config: Config): StackConfig => config.plugins.entries[pluginId].config;

/** The mode in force: said, or taken from what is set. */
export function authMode(config: Config): AuthMode {
  const { auth } = config.gateway;
  if (auth.mode) return auth.mode;
  if (auth.token !== undefined || stackOf(config).tokens.length > 0) return "token";
  return auth.password === undefined ? "none" : "password";
}

export function logFormat({ config, stack }: { config: Config; stack: StackConfig }): "json" | "text" {
  return config.logging.consoleStyle === "pretty" ? "text" : stack.logging.format;
}

/** The address to listen on. */
export function listenHost(config: Config): string {
  const { bind, customBindHost } = config.gateway;
  if (bind === "lan") return "0.0.0.0";
  return bind === "custom" ? (customBindHost ?? "127.0.0.1") : "127.0.0.1";
}

export const isLoopback = (host: string): boolean => host === "::1" || host === "localhost" || host.startsWith("127.");

/** Nothing that could answer: no provider, and the demonstration is not asked for either. */
export function isUnconfigured(config: Config): boolean {
  return Object.keys(config.models.providers).length === 0 && !stackOf(config).demo.enabled;
}

export function checkRules(config: Config): Fault[] {
  const faults: Fault[] = [];
  const fault = (path: string, problem: string, fix: string): void => {
    faults.push({ path: path.split("."), problem, fix });
  };
  const { gateway } = config;
  const stack = stackOf(config);
  const mode = authMode(config);
  if (mode === "token" && gateway.auth.token === undefined && stack.tokens.length === 0) {
    fault("gateway.auth.mode", "is token, but no token is set", "Set gateway.auth.token to a secret reference.");
  }
  if (mode === "password" && gateway.auth.password === undefined) {
    fault("gateway.auth.mode", "is password, but no password is set", "Set gateway.auth.password to a secret reference.");
  }
  if (mode === "trusted-proxy") {
    if (!gateway.auth.trustedProxy)
      fault("gateway.auth.mode", "is trusted-proxy, but trustedProxy is not set", "Set gateway.auth.trustedProxy.userHeader.");
    if (gateway.trustedProxies.length === 0)
      fault("gateway.trustedProxies", "is empty, so no proxy is trusted", "List the proxy's address.");
  }
  if (mode === "none" && !isLoopback(listenHost(config))) {
    fault(
      "gateway.bind",
      `${gateway.bind} lets other machines in, but nobody is asked for a token`,
      'Set gateway.auth.token, or bind: "loopback".',
    );
  }
  if (gateway.bind === "custom" && !gateway.customBindHost) {
    fault(
      "gateway.bind",
      "is custom, but customBindHost is not set",
      "Set gateway.customBindHost to an address of this machine.",
    );
  }
  if (gateway.bind === "tailnet")
    fault(
      "gateway.bind",
      "tailnet is not offered",
      'Set bind: "custom" and customBindHost to the machine\'s Tailscale address.',
    );
  if (gateway.mode === "remote")
    fault("gateway.mode", "remote means that the gateway runs elsewhere", 'Set mode: "local" to run it here.');
  if (stack.metrics.port === gateway.port)
    fault(`${stackPath}.metrics.port`, "is the gateway's own port", "Choose another one: 18790 is usual.");
  for (const entry of gateway.trustedProxies) {
    if (!isNetwork(entry)) {
      fault(
        "gateway.trustedProxies",
        `${JSON.stringify(entry)} is neither an address nor a network`,
        "Write 10.0.0.1 or 10.0.0.0/8.",
      );
    }
  }
  const ids = stack.tokens.map((token) => token.id);
  for (const [index, token] of stack.tokens.entries()) {
    const path = [...stackPath.split("."), "tokens", index];
    if (ids.indexOf(token.id) !== index)
      faults.push({ path: [...path, "id"], problem: `${token.id} is there twice`, fix: "Give each token its own id." });
    const { currency } = token.budget ?? {};
    if (currency !== undefined && currency !== stack.usage.currency)
      faults.push({
        path: [...path, "budget", "currency"],
        problem: `is ${currency}, but the models' prices are in ${stack.usage.currency} (usage.currency)`,
        fix: "Write the amount in the currency of the prices.",
      });
    if (token.notBefore && token.expiresAt && Date.parse(token.notBefore) >= Date.parse(token.expiresAt)) {
      faults.push({ path: [...path, "expiresAt"], problem: "lies before notBefore", fix: "Swap the two times." });
    }
  }
  for (const kept of ["cache", "idempotency"] as const) {
    if (stack[kept].store === "redis" && stack.cluster?.redisUrl === undefined)
      fault(`${stackPath}.${kept}.store`, "is redis, but no Redis is configured", 'Set cluster.redisUrl, or store: "memory".');
  }
  const providers = Object.keys(config.models.providers);
  return [
    ...faults,
    ...checkModels(config),
    ...checkModelNames(config),
    ...checkAdmission(stack, providers, stackPath.split(".")),
  ];
}

const stackPath = `plugins.entries.${pluginId}.config`;

function checkModels(config: Config): Fault[] {
  const faults: Fault[] = [];
  const { providers } = config.models;
  const aliases = new Map<string, string>();
  for (const [name, entry] of Object.entries(config.agents.defaults?.models ?? {})) {
    const { alias } = entry;
    const path = ["agents", "defaults", "models", name, "alias"];
    if (alias === undefined) continue;
    if (aliases.has(alias))
      faults.push({
        path,
        problem: `${alias} is the alias of ${aliases.get(alias)} too`,
        fix: "Give each model its own alias.",
      });
    aliases.set(alias, name);
  }
  for (const [id, provider] of Object.entries(providers)) {
    const seen = new Set<string>();
    const refused =
      "baseUrl" in provider
        ? hostRefusal(new URL(provider.baseUrl).hostname, reachOf(provider.request?.allowPrivateNetwork))
        : undefined;
    if (refused !== undefined)
      faults.push({
        path: ["models", "providers", id, "baseUrl"],
        problem: `leads to ${refused}`,
        fix: "Write the model server's own address, or allow it by request.allowPrivateNetwork: true.",
      });
    for (const [index, model] of ("models" in provider ? provider.models : []).entries()) {
      if (seen.has(model.id))
        faults.push({
          path: ["models", "providers", id, "models", index, "id"],
          problem: `${model.id} is there twice`,
          fix: "Remove one of the two.",
        });
      seen.add(model.id);
    }
  }
  return faults;
}
