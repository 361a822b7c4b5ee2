/** Reads the recordings of the official CLI: gRPC messages, checkpoints, what was printed. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { PropertyMap, Value } from "../../engine/values.ts";
import { isMap } from "../../engine/values.ts";

export const recordings = join(import.meta.dirname, "../fixtures/recordings");

const propertyMap = z.custom<PropertyMap>((value) => typeof value === "object" && value !== null && !Array.isArray(value));

const lineSchema = z.object({
  method: z.string(),
  request: propertyMap.optional(),
  response: propertyMap.optional(),
  errors: z.array(z.string()).optional(),
  metadata: z.object({ name: z.string().optional() }),
  progress: z.enum(["request_started", "response_completed"]),
});

/** One call, its answer beside it. */
export interface RecordedCall {
  /** `ResourceProvider`, `ResourceMonitor`, `LanguageRuntime` or `Callbacks`. */
  service: string;
  method: string;
  /** The provider's package. */
  pkg?: string;
  request: PropertyMap;
  response?: PropertyMap;
  /** The gRPC error's text, without its `rpc error: code = … desc = `. */
  error?: { code: string; message: string };
  /** Positions in the file: order of beginnings and of ends. */
  began: number;
  ended?: number;
}

/** One deployment of a step: an `up` with preview has two. */
export interface RecordedRun {
  calls: RecordedCall[];
}

function parseError(text: string): { code: string; message: string } {
  const [, code = "Unknown", message = text] = /^rpc error: code = (\w+) desc = ([\s\S]*)$/.exec(text) ?? [];
  return { code, message };
}

/** Replaces a text in all strings of a value; object keys stay. */
export function replaceText(value: Value, from: string, to: string): Value {
  if (typeof value === "string") return value.includes(from) ? value.replaceAll(from, to) : value;
  if (Array.isArray(value)) return value.map((item) => replaceText(item, from, to));
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replaceText(item, from, to)]));
  return value;
}

function readCalls(file: string): RecordedCall[] {
  const calls: RecordedCall[] = [];
  const open: RecordedCall[] = [];
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  for (const [position, text] of lines.entries()) {
    const line = lineSchema.parse(JSON.parse(text));
    const [service = "", method = ""] = line.method.replace("/pulumirpc.", "").split("/");
    const request = line.request ?? {};
    if (line.progress === "request_started") {
      const call: RecordedCall = { service, method, pkg: line.metadata.name, request, began: position };
      calls.push(call);
      open.push(call);
      continue;
    }
    const wanted = JSON.stringify(request);
    const index = open.findIndex(
      (call) =>
        call.service === service &&
        call.method === method &&
        call.pkg === line.metadata.name &&
        JSON.stringify(call.request) === wanted,
    );
    const [call] = open.splice(index, index < 0 ? 0 : 1);
    if (!call) throw new Error(`${file}:${position + 1}: an answer without its question`);
    call.ended = position;
    if (line.errors?.[0] !== undefined) call.error = parseError(line.errors[0]);
    if (line.response) call.response = line.response;
  }
  return calls;
}

/** The deployments of a step, in order. A second one begins where the language host is asked for packages again. */
export function readRuns(recording: string, step: string): RecordedRun[] {
  const file = join(recordings, recording, `${step}.grpc.jsonl`);
  const runs: RecordedRun[] = [];
  let seen = false;
  for (const call of readCalls(file)) {
    const begins = call.service === "LanguageRuntime" && call.method === "GetRequiredPackages";
    if (runs.length === 0 || (begins && seen)) runs.push({ calls: [] });
    seen ||= begins;
    runs.at(-1)?.calls.push(call);
  }
  return runs;
}

export function readText(recording: string, name: string): string | undefined {
  const file = join(recordings, recording, name);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** The configuration that the program got, from the call that started it. */
export function readConfig(run: RecordedRun): { config: { [key: string]: string }; secretKeys: string[] } | undefined {
  const started = run.calls.find((call) => call.service === "LanguageRuntime" && call.method === "Run");
  if (!started) return undefined;
  const schema = z.object({
    config: z.record(z.string(), z.string()).default({}),
    configSecretKeys: z.array(z.string()).default([]),
  });
  const { config, configSecretKeys } = schema.parse(started.request);
  return { config, secretKeys: configSecretKeys };
}
