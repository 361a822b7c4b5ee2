/** The files and messages that the supervisor, its command line and the gateway agree on. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";

/** What is to be run and where it listens; written by the command line, read by a supervisor that starts alone (after a crash or a boot). */
export const ProcessSpec = z.strictObject({
  /** The Node that runs gateway and supervisor. */
  node: z.string(),
  /** The gateway's entry file. */
  entry: z.string(),
  host: z.string(),
  port: z.int().min(0).max(65535),
  /** Identity of the code: another value asks for a restart. */
  release: z.string(),
  environment: z.record(z.string(), z.string()),
  maxLogBytes: z.int().positive(),
  keptLogs: z.int().min(0),
  /** How long an old gateway may take for its last answers before it is killed. */
  drainTimeoutMs: z.int().positive(),
});
export type ProcessSpec = z.infer<typeof ProcessSpec>;

export const SupervisorStatus = z.object({
  phase: z.enum(["starting", "ready", "waiting", "failed", "stopping"]),
  supervisorPid: z.int(),
  gatewayPid: z.int().optional(),
  gatewayStartedAt: z.string().optional(),
  /** Restarts after a crash since the supervisor's start. */
  crashes: z.int(),
  lastExit: z.string().optional(),
  host: z.string(),
  port: z.int(),
  release: z.string(),
});
export type SupervisorStatus = z.infer<typeof SupervisorStatus>;

/** Requests to the supervisor, one JSON line each, on its socket. */
export const SupervisorRequest = z.discriminatedUnion("command", [
  z.strictObject({ command: z.literal("status") }),
  /** Answers once the gateway is ready or has failed for good. */
  z.strictObject({ command: z.literal("await-ready") }),
  /** A new gateway takes over before the old one drains; with the specification on disk. */
  z.strictObject({ command: z.literal("restart") }),
  /** Asks the gateway to read its files again and says what came of it. */
  z.strictObject({ command: z.literal("reload") }),
  z.strictObject({ command: z.literal("stop") }),
]);
export type SupervisorRequest = z.infer<typeof SupervisorRequest>;

export const SupervisorReply = z.object({
  ok: z.boolean(),
  /** Why not, or how. */
  message: z.string().optional(),
  /** After a reload: settings that only a restart brings into effect. */
  restartNeededFor: z.array(z.string()).optional(),
  status: SupervisorStatus,
});
export type SupervisorReply = z.infer<typeof SupervisorReply>;

/** Messages from the gateway to its supervisor, over Node's IPC channel. */
export const GatewayMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready") }),
  z.object({
    type: z.literal("reloaded"),
    ok: z.boolean(),
    message: z.string().optional(),
    restartNeededFor: z.array(z.string()).optional(),
  }),
]);
export type GatewayMessage = z.infer<typeof GatewayMessage>;
/** And the other way. */
export const SupervisorMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("reload") }),
  /** Another gateway accepts on the same socket now; SIGTERM follows. */
  z.object({ type: z.literal("replaced") }),
]);
export type SupervisorMessage = z.infer<typeof SupervisorMessage>;

/** A supervisor that finds another one at work ends with this (EX_TEMPFAIL of sysexits.h). */
export const otherSupervisorExitCode = 75;
/** What the gateway ends with when its configuration is wrong (EX_CONFIG): trying again would not help. */
export const configErrorExitCode = 78;

export interface SupervisorFiles {
  directory: string;
  runDirectory: string;
  spec: string;
  lock: string;
  /** Relative to `runDirectory`: a socket's path may have 104 bytes, so both sides change to that directory first. */
  socketName: string;
  log: string;
}

export function supervisorFiles(directory: string): SupervisorFiles {
  const runDirectory = join(directory, "run");
  return {
    directory,
    runDirectory,
    spec: join(runDirectory, "process.json"),
    lock: join(runDirectory, "supervisor.lock"),
    socketName: "supervisor.sock",
    log: join(directory, "logs", "gateway.log"),
  };
}

export function readSpec(files: SupervisorFiles): ProcessSpec {
  return ProcessSpec.parse(JSON.parse(readFileSync(files.spec, "utf8")));
}

export function writeSpec(files: SupervisorFiles, spec: ProcessSpec): void {
  // Two command lines may write at the same time: each has its own file until the last step.
  const temporary = `${files.spec}.${process.pid}.new`;
  writeFileSync(temporary, `${JSON.stringify(spec, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, files.spec);
}
