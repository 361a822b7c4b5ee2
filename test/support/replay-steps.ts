/** The recorded steps that are deployments: how each was started, and what the messages do not say about it. */
import type { DeploymentOptions } from "../../engine/deployment.ts";
import type { PlayedLog } from "./replay-player.ts";

export interface ReplayStep {
  recording: string;
  step: string;
  /** The step whose checkpoint lies before this one; "" = an empty stack. */
  before: string;
  kind: DeploymentOptions["kind"];
  /** For steps without a program; the others say it in the call that starts it. */
  dryRun?: boolean;
  options?: Partial<DeploymentOptions>;
  /** It failed in the recording, so that what ran beside the failure is chance: invariants are compared. */
  races?: boolean;
  fails?: boolean;
  /** The resource's name during whose creation the user interrupts (SIGINT), or the process is killed (SIGKILL). */
  interruptAt?: string;
  killAt?: string;
  logs?: PlayedLog[];
  /** A command that was not recorded ran before this one; it deleted these. */
  unrecorded?: { gone: string[] };
}

const unset = `Unable to set 'PULUMI_COMMAND_STDOUT'. This only works if your SSH server is configured to accept
	these variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the remote host, you could
	prefix the command itself with the variables in the form 'VAR=value command'`;
const acceptEnv: PlayedLog = { method: "Delete", name: "apply", severity: "warning", message: unset };

function imageInUse(container: string): PlayedLog {
  return {
    method: "Delete",
    name: "img",
    severity: "error",
    message: `  sdk-v2/provider2.go:571: sdk.helper_schema: Unable to remove Docker image: Error response from daemon: conflict: unable to remove repository reference "spike:1" (must force) - container ${container} is using its referenced image dfcd9fcd4d0f: provider=docker@5.2.0`,
  };
}

/** Output of a command that is run as a function, in every step that does so. */
export const said: PlayedLog[] = ["invoked", "3b83"].map((message) => ({
  method: "Invoke",
  name: "run",
  severity: "info",
  message,
  ephemeral: true,
}));

function alreadyThere(name: string, what: string): PlayedLog {
  const message = `Retry #0; creation failed: ${what} "gateway" already exists`;
  return { method: "Create", name, severity: "info", message, ephemeral: true };
}

type Row = Omit<ReplayStep, "recording" | "before">;

/** Each step begins with the checkpoint of the one above it. */
function chain(recording: string, rows: Row[]): ReplayStep[] {
  return rows.map((row, index) => ({ ...row, recording, before: rows[index - 1]?.step ?? "" }));
}

const lifecycle = chain("lifecycle", [
  { step: "01-up", kind: "update" },
  { step: "02-preview-2", kind: "update" },
  { step: "03-up-2-fails", kind: "update", races: true, fails: true },
  { step: "04-up-3", kind: "update" },
  { step: "05-preview-json", kind: "update" },
  { step: "08-destroy", kind: "destroy" },
  { step: "09-up-again", kind: "update" },
  { step: "10-destroy-protected", kind: "destroy", races: true, fails: true },
]);

const target = "urn:pulumi:dev::options::random:index/randomId:RandomId::n-1";
const options: ReplayStep[] = [
  ...chain("options", [
    { step: "10-up", kind: "update" },
    { step: "11-up-same", kind: "update" },
    { step: "12-preview-changed", kind: "update" },
    { step: "13-preview-expect-no-changes", kind: "update" },
    { step: "14-preview-json", kind: "update" },
    { step: "15-up-changed", kind: "update" },
    { step: "16-up-target", kind: "update", options: { targets: [target, "**n-2"] } },
    { step: "17-up-rest", kind: "update" },
    { step: "18-up-replace", kind: "update", options: { replaceTargets: [target] } },
    { step: "19-up-fail", kind: "update", races: true, fails: true },
    { step: "20-up-fail-continue", kind: "update", races: true, fails: true, options: { continueOnError: true } },
    { step: "21-up-program-throws", kind: "update", races: true, fails: true },
    { step: "22-up-killed", kind: "update", races: true, fails: true, killAt: "slow", unrecorded: { gone: ["before-throw"] } },
    { step: "25-up-after-kill", kind: "update" },
    { step: "26-up-sigint", kind: "update", races: true, fails: true, interruptAt: "slow", unrecorded: { gone: ["slow"] } },
    { step: "27-refresh", kind: "refresh" },
    { step: "28-refresh-preview-only", kind: "refresh", dryRun: true },
    { step: "29-up-base", kind: "update", races: true, fails: true },
  ]),
  { recording: "options", step: "30-up-stack-reference", before: "", kind: "update", options: { stack: "other" } },
  {
    recording: "options",
    step: "38-destroy-target",
    before: "29-up-base",
    kind: "destroy",
    options: { targets: ["**replace-on-changes"] },
  },
  { recording: "options", step: "40-destroy", before: "38-destroy-target", kind: "destroy" },
];

const docker = chain("docker", [
  { step: "01-preview", kind: "update" },
  { step: "02-up", kind: "update" },
  { step: "03-up-same", kind: "update" },
  { step: "04-preview-change", kind: "update" },
  { step: "05-up-change", kind: "update", races: true, fails: true, logs: [imageInUse("04c426d03de4")] },
  { step: "06-refresh-drift", kind: "refresh" },
  { step: "07-up-repair", kind: "update", races: true, fails: true, logs: [imageInUse("ae7f302a79ca")] },
  { step: "08-destroy", kind: "destroy" },
]);

const remote = chain("remote", [
  { step: "01-preview", kind: "update" },
  { step: "02-up", kind: "update" },
  { step: "03-up-same", kind: "update" },
  { step: "04-preview-change", kind: "update" },
  { step: "05-up-change", kind: "update", logs: [acceptEnv] },
  { step: "06-up-fails", kind: "update", races: true, fails: true },
  { step: "07-up-wrong-host-key", kind: "update", races: true, fails: true },
  { step: "08-refresh", kind: "refresh" },
  { step: "09-destroy", kind: "destroy", logs: [acceptEnv] },
]);

const kubernetes = chain("kubernetes", [
  { step: "01-preview", kind: "update" },
  { step: "02-up", kind: "update" },
  { step: "03-up-same", kind: "update" },
  {
    step: "04-preview-change",
    kind: "update",
    logs: [alreadyThere("config", "configmaps"), alreadyThere("gateway", "deployments.apps")],
  },
  { step: "05-up-change", kind: "update" },
  { step: "06-refresh-drift", kind: "refresh" },
  { step: "07-up-repair", kind: "update", races: true, fails: true },
  { step: "08-destroy", kind: "destroy" },
]);

export const replaySteps: ReplayStep[] = [...lifecycle, ...options, ...docker, ...remote, ...kubernetes];
