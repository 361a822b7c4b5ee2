// The HTTP side that provider kinds share: address, headers, key, sending a call, asking for the list of models.
import * as z from "zod";
import type { SecretInput } from "../config/fields.ts";
import type { Transport } from "../config/transport.ts";
import { GatewayError } from "../errors.ts";
import type { Connections } from "./connections.ts";
import { createDial } from "./dial.ts";
import { Exchange } from "./exchange.ts";
import type { AnswerController } from "./http1/connection.ts";
import { headerLines, lineOf, type UpstreamRequest } from "./http1/request-head.ts";
import type { CallHandle, CallSink, ModelCall, ProviderDeps } from "./provider.ts";

export interface RemoteSettings {
  readonly baseUrl: string;
  readonly apiKey?: SecretInput | undefined;
  readonly headers: Readonly<Record<string, SecretInput>>;
  readonly timeoutSeconds?: number | undefined;
  readonly request?: Transport | undefined;
}

export type Send = (
  path: string,
  body: Buffer,
  call: ModelCall,
  sink: CallSink,
  ends: RegExp,
  headers?: Readonly<Record<string, string>>,
) => CallHandle;

export interface Remote {
  /** `path` is under baseUrl; `ends` is how its streams end; `headers` come on top of the provider's own. */
  send: Send;
  /** The list at `path`, as `read` understands its JSON. Rejects with a GatewayError when nobody answers. */
  list(path: string, read: (json: unknown) => readonly string[], timeoutMs: number): Promise<readonly string[]>;
  /** Any page of the server: /metrics, or another address. Rejects when it is not there. */
  page(address: string | undefined, timeoutMs: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** How a kind sends its key; the key is asked for at each call. */
export type KeyHeaders = (key: string) => Record<string, string>;

export const bearerKey: KeyHeaders = (key) => ({ authorization: `Bearer ${key}` });

export async function openRemote(
  id: string,
  settings: RemoteSettings,
  deps: ProviderDeps,
  keyHeaders: KeyHeaders = bearerKey,
  fixedHeaders: Readonly<Record<string, string>> = {},
): Promise<Remote> {
  const base = new URL(settings.baseUrl);
  const { origin } = base;
  const folder = base.pathname.replace(/\/$/, "");
  const timeouts = { ...deps.timeouts, ...(settings.timeoutSeconds ? { totalMs: settings.timeoutSeconds * 1000 } : {}) };
  const transport = settings.request ?? {};
  const { secret, env } = deps;
  const connections = await deps.openConnections(createDial({ transport, connectMs: timeouts.connectMs, secret, env }));
  const ownHeaders = (key = settings.apiKey): Record<string, string> => ({
    "user-agent": `openclaw-stack/${deps.version}`,
    ...fixedHeaders,
    ...keyOf(settings.request, key, secret, keyHeaders),
    ...Object.fromEntries(
      Object.entries({ ...settings.headers, ...transport.headers }).map(([name, value]) => [
        name.toLowerCase(),
        deps.secret(value),
      ]),
    ),
  });
  /** The secrets among them may change: these are what the kept lines were made of. */
  const inputs = Object.values({ ...settings.headers, ...transport.headers });
  let kept: KeptHeaders | undefined;
  const inputsWith = (key: SecretInput | undefined): SecretInput[] => {
    const { auth } = transport;
    if (auth?.mode === "authorization-bearer") return [...inputs, auth.token];
    if (auth?.mode === "header") return [...inputs, auth.value];
    return key === undefined ? inputs : [...inputs, key];
  };
  const isKept = (key: SecretInput | undefined): boolean => {
    if (!kept || kept.key !== key) return false;
    const { asked, values } = kept;
    for (let at = 0; at < asked.length; at += 1) {
      const input = asked[at];
      if (input === undefined || secret(input) !== values[at]) return false;
    }
    return true;
  };
  function ownBlock(key = settings.apiKey): OwnHeaders {
    if (kept && isKept(key)) return kept.block;
    const own = ownHeaders(key);
    const names = Object.keys(own);
    const block: OwnHeaders = {
      hasCallNames: names.some((name) => callHeaderNames.has(name)),
      hasAny(others) {
        for (const name in others) if (own[name] !== undefined) return true;
        return false;
      },
      headers: own,
      lines: headerLines(own),
    };
    const asked = inputsWith(key);
    kept = { key, asked, values: asked.map(secret), block };
    return block;
  }
  return {
    send(path, body, call, sink, ends, headers = noHeaders) {
      const totalMs = timeLeft(timeouts.totalMs, deps.timeouts.totalMs, call);
      const exchange = new Exchange(id, call.stream, timeouts, sink, ends, totalMs, call.onHeaders);
      try {
        const own = ownBlock(call.key);
        // A name is written once: where a header of the call has the name of one of the provider's, it stands in its place.
        const isPlain = !own.hasCallNames && !own.hasAny(headers);
        const isUsual = isPlain && headers === noHeaders && call.contentType === undefined;
        const request: UpstreamRequest = {
          origin,
          path: folder + path,
          method: "POST",
          body,
          lines: isUsual ? `${own.lines}${usualLines(call)}` : isPlain ? own.lines : "",
          headers: isUsual ? noHeaders : headersOf(call, isPlain ? noHeaders : own.headers, headers),
          reset: call.fresh === true,
        };
        connections.dispatch(request, exchange);
      } catch (error) {
        exchange.refuse(error);
      }
      return exchange;
    },
    list: (path, read, timeoutMs) =>
      listServed(connections, id, base.origin, `${folder}${path}`, ownHeaders(), read, timeoutMs),
    async page(address, timeoutMs) {
      const url = new URL(address ?? "/metrics", base);
      // The key is for the provider, not for what else is asked for figures.
      const headers = url.origin === base.origin ? ownHeaders() : {};
      const path = `${url.pathname}${url.search}`;
      const { status, body } = await get(connections, { origin: url.origin, path, method: "GET", headers }, id, timeoutMs);
      if (status !== 200)
        throw new GatewayError("upstream_failed", `provider ${id} answered ${status} to a look at ${url.pathname}`);
      return body;
    },
    close: () => connections.close(),
  };
}

interface OwnHeaders {
  /** One of them has the name of a header that each call has. */
  readonly hasCallNames: boolean;
  /** One of them has the name of one of these. */
  hasAny(others: Readonly<Record<string, string>>): boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** The same as they are sent. */
  readonly lines: string;
}

interface KeptHeaders {
  readonly key: SecretInput | undefined;
  readonly asked: readonly SecretInput[];
  readonly values: readonly string[];
  readonly block: OwnHeaders;
}

const wholeLines = headerLines({ "content-type": "application/json", accept: "application/json" });
const streamLines = headerLines({ "content-type": "application/json", accept: "text/event-stream" });

/** Of a call that has nothing special. Its ids are of letters, digits and a few marks (visit.ts, trace-context.ts). */
function usualLines({ stream, requestId, traceparent, tracestate }: ModelCall): string {
  const text = `${stream ? streamLines : wholeLines}x-request-id: ${requestId}\r\n`;
  if (!traceparent) return text;
  return `${text}traceparent: ${traceparent}\r\n${tracestate ? lineOf("tracestate", tracestate) : ""}`;
}

function headersOf(
  call: ModelCall,
  own: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
): Record<string, string> {
  return {
    "content-type": call.contentType ?? "application/json",
    accept: call.contentType ? "*/*" : call.stream ? "text/event-stream" : "application/json",
    ...own,
    ...headers,
    "x-request-id": call.requestId,
    ...(call.traceparent ? { traceparent: call.traceparent } : {}),
    ...(call.tracestate ? { tracestate: call.tracestate } : {}),
  };
}

const noHeaders: Readonly<Record<string, string>> = {};
const callHeaderNames: ReadonlySet<string> = new Set(["content-type", "accept", "x-request-id", "traceparent", "tracestate"]);

/** One time is for the whole request, whoever answers it; a provider with a longer time of its own has that one. */
function timeLeft(ownMs: number, wholeMs: number, { spentMs = 0 }: ModelCall): number {
  return Math.max(1, Math.min(ownMs, Math.ceil(Math.max(ownMs, wholeMs) - spentMs)));
}

/** The key as the kind sends it, unless request.auth says otherwise. */
function keyOf(
  request: Transport | undefined,
  key: SecretInput | undefined,
  secret: ProviderDeps["secret"],
  keyHeaders: KeyHeaders,
): Record<string, string> {
  const auth = request?.auth;
  if (auth?.mode === "authorization-bearer") return bearerKey(secret(auth.token));
  if (auth?.mode === "header") return { [auth.headerName.toLowerCase()]: `${auth.prefix ?? ""}${secret(auth.value)}` };
  return key === undefined ? {} : keyHeaders(secret(key));
}

const listSchema = z.object({ data: z.array(z.looseObject({ id: z.string() })) });

/** https://platform.openai.com/docs/api-reference/models/list and https://docs.anthropic.com/en/api/models-list */
export const readModelList = (json: unknown): readonly string[] => listSchema.parse(json).data.map((model) => model.id);

const maxListBytes = 4 * 1024 * 1024;

async function listServed(
  connections: Connections,
  id: string,
  origin: string,
  path: string,
  headers: Record<string, string>,
  read: (json: unknown) => readonly string[],
  timeoutMs: number,
): Promise<readonly string[]> {
  const { status, body } = await get(connections, { origin, path, method: "GET", headers }, id, timeoutMs);
  if (status === 401 || status === 403)
    throw new GatewayError("upstream_auth", `provider ${id} refused the gateway's key (${status})`);
  if (status === 404 || status === 405) {
    // A server without this path answers all the same: it is up, and only its list is not known. One like vLLM's engine
    // says at /health whether it can work: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    const health = await get(connections, { origin, path: "/health", method: "GET", headers }, id, timeoutMs);
    if (health.status < 500) return [];
    throw new GatewayError("upstream_failed", `provider ${id} says at /health that it cannot work (${health.status})`);
  }
  if (status >= 400) throw new GatewayError("upstream_failed", `provider ${id} answered ${status} to a list of its models`);
  try {
    return read(JSON.parse(body.toString("utf8")));
  } catch (error) {
    throw new GatewayError("upstream_malformed", `provider ${id} sent a list of models that cannot be read`, { cause: error });
  }
}

function get(connections: Connections, request: UpstreamRequest, id: string, timeoutMs: number) {
  return new Promise<{ status: number; body: Buffer }>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let status = 0;
    let controller: AnswerController | undefined;
    let drop: (() => void) | undefined;
    const fail = (error: GatewayError): void => {
      clearTimeout(timer);
      reject(error);
      if (controller) controller.abort(error);
      else drop?.();
    };
    const timer = setTimeout(
      () => fail(new GatewayError("upstream_timeout", `provider ${id} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    // Over a connection of its own: one that was kept and is gone by now says nothing of the provider.
    connections.dispatch(
      { ...request, reset: true },
      {
        onConnecting(give) {
          drop = give;
        },
        onRequestStart(current) {
          controller = current;
        },
        onResponseStart(_, code) {
          status = code;
        },
        onResponseData(_, chunk) {
          size += chunk.length;
          if (size > maxListBytes) fail(new GatewayError("upstream_malformed", `provider ${id} sent an endless answer`));
          else chunks.push(chunk);
        },
        onResponseEnd() {
          clearTimeout(timer);
          resolve({ status, body: Buffer.concat(chunks) });
        },
        onResponseError: (_, error) =>
          fail(new GatewayError("upstream_unreachable", `provider ${id} cannot be reached`, { cause: error })),
      },
    );
  });
}
