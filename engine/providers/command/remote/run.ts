/** Runs the commands of remote.Command with their inputs, and makes their outputs. */
import { quote } from "../../../go-quote.ts";
import { isMap, type PropertyMap, type Value } from "../../../values.ts";
import { ProviderError, type ProviderLog } from "../../provider.ts";
import { bare, secretTexts } from "../inputs.ts";
import { lineReader } from "../lines.ts";
import { masker } from "../messages.ts";
import { execRemote } from "./exec.ts";
import type { ConnectionPool } from "./pool.ts";
import { connectionSecrets, readConnection } from "./settings.ts";

export interface RemoteDeps {
  /** What relative paths are relative to: where the program runs. */
  programDirectory: string;
  log(entry: ProviderLog): void;
}

export interface RemoteRun {
  command: Value;
  inputs: PropertyMap;
  /** Outputs of the last run; empty before the first. */
  previous: PropertyMap;
  urn: string;
  timeoutSeconds?: number;
}

/** The new stdout and stderr. Throws ProviderError where the command fails; the text holds no secret input. */
export async function runRemote(
  run: RemoteRun,
  deps: RemoteDeps,
  pool: ConnectionPool,
  cancel: AbortSignal,
): Promise<PropertyMap> {
  const { connection = null, ...given } = run.inputs;
  const settings = readConnection(connection);
  const plain = bare(given);
  const inputs = isMap(plain) ? plain : {};
  const command = text(bare(run.command));
  const secrets = [...secretTexts(given), ...secretTexts(run.previous), ...connectionSecrets(connection)];
  const mask = masker(secrets, secretTexts(run.command));
  const logging = inputs.logging ?? "stdoutAndStderr";
  const log = (severity: ProviderLog["severity"], message: string, ephemeral?: boolean) => {
    deps.log({ severity, message, urn: run.urn, ...(ephemeral ? { ephemeral } : {}) });
  };
  const deadline = run.timeoutSeconds ? AbortSignal.timeout(run.timeoutSeconds * 1000) : undefined;
  const signal = deadline ? AbortSignal.any([cancel, deadline]) : cancel;
  const lines = {
    stdout: lineReader((line) => log("info", mask(line), true)),
    stderr: lineReader((line) => log("info", mask(line), true)),
  };
  try {
    const options = { signal, onRetry: (message: string) => log("info", message, true) };
    const result = await pool.withSession(settings, options, (client) => {
      const line = {
        command,
        ...environment(inputs, run.previous),
        stdin: text(inputs.stdin),
        onRefused: (name: string, optional: boolean) => log(optional ? "warning" : "error", notAccepted(name)),
        onOutput(stream: "stdout" | "stderr", chunk: Buffer) {
          if (logging === stream || logging === "stdoutAndStderr") lines[stream].add(chunk);
        },
      };
      return execRemote(client, line, signal);
    });
    lines.stdout.end();
    lines.stderr.end();
    if (result.failure !== undefined) {
      const shown = secretTexts(run.command).length > 0 ? "[secret]" : quote(mask(command));
      const message = `${result.failure}: running ${shown}:\n${mask(result.combined.toString("utf8"))}`;
      throw new ProviderError(cancel.aborted ? "cancelled" : "failed", message);
    }
    return { stdout: withoutLineEnd(result.stdout), stderr: withoutLineEnd(result.stderr) };
  } catch (error) {
    if (deadline?.aborted && !cancel.aborted) {
      log("warning", `The command was killed: it ran longer than its timeout of ${run.timeoutSeconds} seconds.`);
    }
    throw error;
  }
}

function environment(inputs: PropertyMap, previous: PropertyMap) {
  const wanted: { [name: string]: string } = {};
  const optional: { [name: string]: string } = {};
  if (isMap(inputs.environment)) for (const [name, value] of Object.entries(inputs.environment)) wanted[name] = text(value);
  if (inputs.addPreviousOutputInEnv !== false) {
    const [stdout, stderr] = [text(bare(previous.stdout ?? null)), text(bare(previous.stderr ?? null))];
    if (stdout !== "") optional.PULUMI_COMMAND_STDOUT = stdout;
    if (stderr !== "") optional.PULUMI_COMMAND_STDERR = stderr;
  }
  return { environment: wanted, optionalEnvironment: optional };
}

function notAccepted(name: string): string {
  return (
    `Unable to set '${name}'. This only works if your SSH server is configured to accept\n` +
    "\tthese variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the remote host, you could\n" +
    "\tprefix the command itself with the variables in the form 'VAR=value command'"
  );
}

function withoutLineEnd(bytes: Buffer): string {
  return bytes.toString("utf8").replace(/\n$/, "");
}

function text(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}
