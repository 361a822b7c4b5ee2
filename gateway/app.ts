// createApp: the only file that knows every part. It never listens, reads the environment or ends the process.
import { randomUUID } from "node:crypto";
import { Server as TlsServer } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import type { FastifyInstance } from "fastify";
import { ConfigError } from "./config/faults.ts";
import type { Loaded } from "./config/load.ts";
import { needsRestart } from "./config/restart.ts";
import { logFormat } from "./config/rules.ts";
import type { StackConfig } from "./config/schema.ts";
import { isErrorCode, messageOf } from "./errors.ts";
import { createGovernance } from "./governance/governance.ts";
import { type Authenticator, createAuthenticator } from "./http/auth.ts";
import { createClientAddress } from "./http/client-address.ts";
import type { GatewayContext, ReadinessPart, ReloadState, Runtime } from "./http/context.ts";
import { createEntrance } from "./http/entrance.ts";
import { RoutesFigures } from "./http/route-figures.ts";
import { createServer } from "./http/server.ts";
import { createAdmission } from "./models/admission/admission.ts";
import { createProviders, type ProviderSet } from "./models/build.ts";
import type { AnswerStore } from "./models/cache/answers.ts";
import { createCache } from "./models/cache/cache.ts";
import { createIdempotency } from "./models/cache/idempotency.ts";
import { createMemoryAnswers } from "./models/cache/memory.ts";
import { createSharedAnswers } from "./models/cache/shared-answers.ts";
import { createBalancer } from "./models/candidates.ts";
import { createHealth } from "./models/health.ts";
import { createLinked } from "./models/linked/linked.ts";
import { createRouted } from "./models/routed.ts";
import { createRouter } from "./models/router.ts";
import { createTraced } from "./models/traced.ts";
import { createUpstreams } from "./models/upstreams.ts";
import { createUsageLayer } from "./models/usage-layer.ts";
import type { Log } from "./observability/log.ts";
import { createMetrics, type Metrics } from "./observability/metrics.ts";
import type { Registry } from "./observability/registry.ts";
import type { Tracing } from "./observability/trace.ts";
import { createLifecycle, type Lifecycle } from "./process/lifecycle.ts";
import { createShared, type Shared } from "./shared.ts";
import { createMeter } from "./store/meter.ts";
import type { RedisLink } from "./store/store.ts";

export interface App {
  readonly server: FastifyInstance;
  /** Health and metrics on a port of their own, where the config asks for it. */
  readonly operations: FastifyInstance | undefined;
  readonly lifecycle: Lifecycle;
  readonly context: GatewayContext;
  /** Puts a changed config in force. Never throws: what is wrong with it is in the state that it returns. */
  reload(load: () => Promise<Loaded>): Promise<ReloadState>;
  /** Reads secrets again and lets callers in by their new values. */
  reloadSecrets(): Promise<void>;
  /** After a drain: what the last requests left to be written is on disk when it resolves. */
  finish(): Promise<void>;
  /** The process ends at once: saves what can be saved without waiting. */
  rescue(): void;
  close(): Promise<void>;
}

interface Deps {
  readonly log: Log;
  readonly version: string;
  readonly now?: () => Date;
  /** False: another process serves the port of metrics and health. */
  readonly operations?: boolean;
  /** Of parts outside. */
  readonly readiness?: readonly ReadinessPart[];
  /** The figures of all processes of this gateway; without it those of this one. */
  readonly allFigures?: (own: Registry) => GatewayContext["figures"];
  /** What this process shares with others; without it all is its own. */
  readonly shared?: Shared;
}

export async function createApp(loaded: Loaded, deps: Deps): Promise<App> {
  const { log, version } = deps;
  const now = deps.now ?? (() => new Date());
  const metrics = createMetrics(version);
  const lifecycle = createLifecycle();
  const initial = loaded.config;
  let stackNow = (): StackConfig => loaded.stack;
  const shared =
    deps.shared ??
    createShared({
      stateDir: loaded.stateDir,
      stack: () => stackNow(),
      reveal: loaded.secrets.reveal,
      metrics,
      log,
      version,
      leaseMs: 0,
    });
  const upstreams = createUpstreams(loaded.stack.routing.breaker, metrics, (upstream, reason, forMs) => {
    log
      .of("models")
      .warn("upstream_left_alone", `upstream ${upstream} failed and is left alone for a while`, { error_code: reason });
    shared.tellOpening({ upstream, reason, forMs });
  });
  shared.onOpening(({ upstream, reason, forMs }) => {
    if (isErrorCode(reason)) upstreams.openedElsewhere(upstream, reason, forMs);
  });
  const meter = createMeter(shared.allowances, { holder: `${process.pid}-${randomUUID()}`, direct: shared.alone });
  const admission = createAdmission(loaded.stack, {
    metrics,
    meter: shared.alone ? undefined : meter,
    async readPage(providerId, address, timeoutMs) {
      const provider = providers.list.find(({ id }) => id === providerId);
      if (!provider?.readPage) throw new Error(`provider ${providerId} has no page of figures`);
      return provider.readPage(address, timeoutMs);
    },
  });
  let reloadState: ReloadState | undefined;
  let pending: readonly string[] = [];
  let providers: ProviderSet = await createProviders(loaded, undefined, version);
  let runtime = await buildRuntime(loaded, 1, undefined);
  stackNow = () => runtime.stack;
  let queue: Promise<unknown> = Promise.resolve();
  lifecycle.onDrain(() => {
    shared.release().catch((error: unknown) => log.of("state").error("state_release_failed", messageOf(error)));
  });

  const tracing = await startTracing(loaded, version, () => runtime, log);
  const routed = createLinked(createRouted(upstreams, metrics, admission.gate));
  const addressOf = (id: string): URL | undefined => {
    const provider = runtime.config.models.providers[id];
    return provider && "baseUrl" in provider ? new URL(provider.baseUrl) : undefined;
  };

  const context: GatewayContext = {
    version,
    stateDir: loaded.stateDir,
    startedAt: now(),
    log,
    metrics,
    routes: new RoutesFigures(metrics),
    figures: deps.allFigures?.(metrics.registry) ?? (async () => metrics.registry),
    tracing,
    lifecycle,
    upstreams,
    entrance: createEntrance({ metrics, meter, others: shared, settings: () => runtime }),
    serve: createGovernance(
      { metrics, meter },
      createUsageLayer(
        shared.usage,
        createIdempotency(
          { metrics, stores: answerStores("idempotency", metrics, shared.redis, shared.answers) },
          createCache(
            { metrics, stores: answerStores("cache", metrics, shared.redis) },
            tracing ? createTraced(tracing, addressOf, routed) : routed,
          ),
        ),
      ),
    ),
    usage: shared.usage,
    readiness: [shared.readiness, admission, ...(deps.readiness ?? [])],
    runtime: () => runtime,
    reloadState: () => reloadState,
    pendingRestart: () => pending,
  };
  const server = await createServer(context, "all", loaded.tls);
  const operations =
    loaded.stack.metrics.port === undefined || deps.operations === false
      ? undefined
      : await createServer(context, "operations");
  metrics.configValid.set(1);
  metrics.configGeneration.set(1);
  metrics.restartPending.set(0);
  shared.begin();

  async function buildRuntime(from: Loaded, generation: number, before: Authenticator | undefined): Promise<Runtime> {
    const { config, stack } = from;
    const model = config.agents.defaults?.model;
    const router = createRouter({
      providers: providers.list,
      primary: providers.demo ? undefined : typeof model === "string" ? model : model?.primary,
      fallbacks: typeof model === "object" && !providers.demo ? model.fallbacks : [],
      aliases: new Map(
        Object.entries(config.agents.defaults?.models ?? {}).flatMap(([name, entry]) =>
          entry.alias ? [[entry.alias, name]] : [],
        ),
      ),
      routing: stack.routing,
      onUnknown: (name) =>
        log.of("models").warn("fallback_unknown", `the fallback ${JSON.stringify(name)} is no model that is offered here`),
    });
    const health = createHealth({
      providers: providers.list,
      intervalMs: stack.health.intervalMs,
      timeoutMs: stack.health.timeoutMs,
      downIntervalMs: stack.health.downIntervalMs,
      onServed(id, served) {
        upstreams.answered(id);
        router.learn(id, served);
      },
      onChange({ provider, state, reason }) {
        metrics.upstreamUp.set(state === "up" ? 1 : 0, provider);
        if (state === "up") log.of("models").info("provider_up", `provider ${provider} answers`, { provider });
        else log.of("models").warn("provider_down", reason ?? `provider ${provider} does not answer`, { provider });
      },
    });
    return {
      config,
      stack,
      secrets: from.secrets,
      hash: from.hash,
      path: from.path,
      generation,
      auth: createAuthenticator(config, from.secrets, Date.now, before),
      clientAddress: createClientAddress(config.gateway.trustedProxies),
      providers: providers.list,
      router,
      health,
      balancer: createBalancer({ active: (route) => admission.load(route, upstreams.active(route)) }),
      demo: providers.demo,
    };
  }

  async function apply(next: Loaded): Promise<ReloadState> {
    const at = now().toISOString();
    const changed = needsRestart(initial, next.config);
    pending = changed;
    metrics.restartPending.set(changed.length > 0 ? 1 : 0);
    const same = next.hash === runtime.hash && isDeepStrictEqual(next.config, runtime.config);
    if (same && reloadState?.result !== "invalid") return { at, result: "unchanged", hash: next.hash };
    if (next.config.gateway.reload.mode === "restart") {
      pending = changed.length > 0 ? changed : ["gateway.reload.mode: restart"];
      metrics.restartPending.set(1);
      return { at, result: "restart-needed", hash: next.hash, message: `needs a restart: ${pending.join(", ")}` };
    }
    const before = { runtime, providers };
    providers = await createProviders(next, before.providers, version);
    runtime = await buildRuntime(next, before.runtime.generation + 1, before.runtime.auth);
    before.runtime.health.close();
    upstreams.configure(next.stack.routing.breaker);
    admission.configure(next.stack);
    log.configure({ level: next.config.logging.level, format: logFormat(next), redact: next.secrets.redact });
    // Old connections end when their last call has: nobody waits for that.
    before.providers.closeUnused(providers).catch((error: unknown) => log.warn("provider_close_failed", messageOf(error)));
    runtime.health.check().catch(() => undefined);
    metrics.configGeneration.set(runtime.generation);
    for (const note of next.notes) log.of("config").warn("config_note", note);
    if (changed.length === 0) return { at, result: "applied", hash: next.hash };
    return {
      at,
      result: "restart-needed",
      hash: next.hash,
      message: `applied, except for what needs a restart: ${changed.join(", ")}`,
    };
  }

  async function finish(): Promise<void> {
    meter.close();
    await shared.finish();
    await tracing?.close(tracingCloseMs);
  }

  /** A renewed certificate is used from the next connection on. */
  function refreshTls(): void {
    const { changed = false, fault } = loaded.tls?.refresh() ?? {};
    const say = log.of("config");
    if (fault) say.error("certificate_unusable", `${fault.problem}; the old one stays. ${fault.fix}`);
    if (fault) metrics.secretReloads.add(1, "failed");
    const { server: secure }: { server: unknown } = server;
    if (!changed || !loaded.tls || !(secure instanceof TlsServer)) return;
    secure.setSecureContext(loaded.tls.material);
    metrics.secretReloads.add(1, "applied");
    say.info("certificate_applied", "A renewed certificate is in force");
  }

  /** One change after the other: the last one wins. */
  const serial = <T>(task: () => Promise<T>): Promise<T> => {
    const result = queue.then(task, task);
    queue = result.catch(() => undefined);
    return result;
  };

  return {
    server,
    operations,
    lifecycle,
    context,
    reload: (load) =>
      serial(async () => {
        let state: ReloadState;
        try {
          state = await apply(await load());
        } catch (error) {
          state = {
            at: now().toISOString(),
            result: "invalid",
            hash: error instanceof ConfigError ? error.hash : "",
            message: runtime.secrets.redact(messageOf(error)),
          };
          if (!(error instanceof ConfigError)) log.of("config").error("config_reload_failed", messageOf(error));
        }
        if (state.result === "unchanged") return state;
        reloadState = state;
        metrics.configValid.set(state.result === "invalid" ? 0 : 1);
        metrics.configReloads.add(1, state.result);
        const fields = { config_hash: runtime.hash, generation: runtime.generation, paths: pending };
        const say = log.of("config");
        if (state.result === "invalid")
          say.error("config_invalid", `The changed config is not used, the old one stays. ${state.message ?? ""}`, fields);
        else if (state.result === "restart-needed") say.warn("config_restart_needed", state.message ?? "", fields);
        else say.info("config_applied", "The changed config is in force", fields);
        return state;
      }),
    reloadSecrets: () =>
      serial(async () => {
        const { changed, faults } = await runtime.secrets.refresh();
        for (const fault of faults)
          log.of("config").error("secret_unreadable", `${fault.problem}; the old value stays. ${fault.fix}`);
        if (faults.length > 0) metrics.secretReloads.add(1, "failed");
        refreshTls();
        if (!changed) return;
        runtime = { ...runtime, auth: createAuthenticator(runtime.config, runtime.secrets, Date.now, runtime.auth) };
        metrics.secretReloads.add(1, "applied");
        log.of("config").info("secrets_applied", "A changed secret is in force");
      }),
    finish,
    rescue: () => shared.rescue(),
    async close() {
      runtime.health.close();
      admission.close();
      await operations?.close();
      await server.close();
      await finish();
      await providers.closeUnused(undefined);
    },
  };
}

/** The last spans are sent within this time when the gateway stops. */
const tracingCloseMs = 3000;

async function startTracing(loaded: Loaded, version: string, runtime: () => Runtime, log: Log): Promise<Tracing | undefined> {
  const { tracing } = loaded.stack;
  if (!tracing.enabled) return undefined;
  const { createTracing } = await import("./observability/trace.ts");
  return createTracing(tracing, {
    version,
    headers: () =>
      Object.fromEntries(Object.entries(tracing.headers).map(([name, value]) => [name, runtime().secrets.reveal(value)])),
    onProblem: (message) => log.of("tracing").warn("spans_not_sent", message),
  });
}

function answerStores(
  label: string,
  metrics: Metrics,
  link: RedisLink | undefined,
  elsewhere?: AnswerStore,
): { memory: AnswerStore; redis: AnswerStore } {
  const figures = { bytes: metrics.keptBytes, entries: metrics.keptEntries, evictions: metrics.evictions };
  const memory = elsewhere ?? createMemoryAnswers(label, figures);
  return { memory, redis: link ? createSharedAnswers(label, link) : memory };
}
