// Liveness, start-up and readiness; with detail for a caller who may read it.
import { accessSync, constants } from "node:fs";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { GatewayContext } from "../context.ts";

const alive = Buffer.from('{"status":"ok","ok":true}');

export function registerHealth(server: FastifyInstance, context: GatewayContext): void {
  for (const path of ["/healthz", "/health"]) {
    server.get(path, (_request, reply) => {
      reply.type("application/json").send(alive);
    });
  }
  for (const path of ["/startupz", "/startup"]) {
    server.get(path, async (_request, reply) => {
      const started = context.lifecycle.phase !== "starting";
      return reply.code(started ? 200 : 503).send({ status: started ? "started" : "starting", ok: started });
    });
  }
  for (const path of ["/readyz", "/ready"]) {
    server.get(path, async (request, reply) => {
      const failing = failures(context);
      const ready = failing.length === 0;
      const answer = { status: ready ? "ready" : "not ready", ready, failing, degraded: degraded(context) };
      return reply.code(ready ? 200 : 503).send(mayRead(request, context) ? { ...answer, ...detail(context) } : answer);
    });
  }
  server.get("/readyz/models", async (request, reply) => {
    const { health, router } = context.runtime();
    // Whoever waits after a deployment should not wait for the next regular look as well.
    if (health.list().some((provider) => provider.state !== "up")) await health.check();
    const main = router.defaultRoute;
    const chain = main
      ? [main, ...router.fallbacksOf(main)].flatMap(
          ({ pool, ...route }) => pool?.members.map((member) => member.route) ?? [route],
        )
      : router.list().length > 0
        ? context.runtime().providers.map((provider) => ({ provider, model: "*" }))
        : [];
    const upstreams = chain.map(({ provider, model }) => ({ ...health.of(provider.id), model: `${provider.id}/${model}` }));
    const ready = upstreams.some((upstream) => upstream.state === "up");
    const shown = mayRead(request, context)
      ? upstreams
      : upstreams.map(({ provider, state, model }) => ({ provider, state, model }));
    return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not ready", ready, upstreams: shown });
  });
}

function failures(context: GatewayContext): string[] {
  const failing: string[] = [];
  if (context.lifecycle.phase !== "ready") failing.push(context.lifecycle.phase);
  try {
    accessSync(context.stateDir, constants.W_OK);
  } catch {
    failing.push("state");
  }
  return failing;
}

/** What does not take the gateway out of its balancer. */
function degraded(context: GatewayContext): string[] {
  const down = context
    .runtime()
    .health.list()
    .filter((provider) => provider.state === "down");
  return [
    ...down.map((provider) => `model:${provider.provider}`),
    ...(context.reloadState()?.result === "invalid" ? ["config"] : []),
    ...(context.pendingRestart().length > 0 ? ["restart-pending"] : []),
    ...context.readiness.flatMap((part) => part.degraded?.() ?? []),
  ];
}

/** Readiness answers everybody; detail is for those who show a token. */
function mayRead(request: FastifyRequest, context: GatewayContext): boolean {
  try {
    const { scopes } = context.entrance.identify(request.headers, request.ip, request.visit.address);
    return scopes.has("operator.read") || scopes.has("operator.admin");
  } catch {
    return false;
  }
}

function detail(context: GatewayContext) {
  const runtime = context.runtime();
  return {
    version: context.version,
    pid: process.pid,
    uptimeMs: Math.round(process.uptime() * 1000),
    activeRequests: context.lifecycle.active,
    demo: runtime.demo,
    config: {
      path: runtime.path,
      /** sha256 of the bytes of the file that is in force: who wrote the file knows when it is applied. */
      hash: runtime.hash,
      generation: runtime.generation,
      pendingRestart: context.pendingRestart(),
      lastReload: context.reloadState() ?? null,
    },
    providers: runtime.health.list(),
    upstreams: context.upstreams.list(),
    ...Object.assign({}, ...context.readiness.map((part) => part.detail?.())),
  };
}
