// What the primary and its workers tell each other about their own life: start, config, drain, who is there.
import * as z from "zod";
import { defineCall, defineNote } from "./worker-link.ts";

const pathSchema = z.array(z.union([z.string(), z.number()])).readonly();

const faultSchema = z.object({
  path: pathSchema,
  problem: z.string(),
  fix: z.string(),
  origin: z.string().optional(),
  file: z.string().optional(),
  line: z.number().optional(),
  column: z.number().optional(),
});

/** A config file as the primary read it: all workers load the same, whatever is on disk by then. */
const readSchema = z.object({
  value: z.record(z.string(), z.unknown()),
  sources: z.array(z.object({ file: z.string(), text: z.string(), mount: pathSchema })).readonly(),
  faults: z.array(faultSchema).readonly(),
  hash: z.string(),
  exists: z.boolean(),
});

/** A worker asks this first of all. */
export const initCall = defineCall(
  "worker.init",
  z.object({}),
  z.object({
    index: z.int(),
    read: readSchema,
    /** This one also serves the port of metrics and health. */
    servesOperations: z.boolean(),
    /** Another process may still have that port. */
    waitForPort: z.boolean(),
  }),
);

/** It accepts connections. */
export const readyNote = defineNote("worker.ready", z.object({}));

const changeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("read"), read: readSchema }),
  z.object({ kind: z.literal("refused"), path: z.string(), faults: z.array(faultSchema).readonly(), hash: z.string() }),
]);
export type ConfigChange = z.output<typeof changeSchema>;

export const reportSchema = z.object({
  result: z.enum(["applied", "unchanged", "restart-needed", "invalid"]),
  message: z.string().optional(),
  restartNeededFor: z.array(z.string()),
});
export type ReloadReport = z.output<typeof reportSchema>;

export const configCall = defineCall("worker.config", changeSchema, reportSchema);
export const secretsCall = defineCall("worker.secrets", z.object({}), z.object({}));
export const drainNote = defineNote("worker.drain", z.object({ signal: z.string(), handOver: z.boolean() }));

const stateSchema = z.object({
  /** All workers were ready once. */
  started: z.boolean(),
  /** What the primary has to say in readiness. */
  degraded: z.array(z.string()).readonly(),
  detail: z.record(z.string(), z.unknown()),
  workers: z.array(
    z.object({
      index: z.int(),
      pid: z.int(),
      state: z.enum(["starting", "ready", "waiting"]),
      /** Times that it ended unasked. */
      crashes: z.int(),
    }),
  ),
});
export type GatewayState = z.output<typeof stateSchema>;
export type WorkersState = Pick<GatewayState, "workers">;

export const stateNote = defineNote("workers.state", stateSchema);
