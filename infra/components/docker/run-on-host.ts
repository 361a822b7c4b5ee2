/** A command on the Docker host itself, where this machine can run one there: on this very machine, or through ssh. */
import { execFile } from "node:child_process";
import type { Endpoint } from "./client.ts";
import { sshArguments } from "./ssh.ts";

/** What it printed; undefined where it failed, or the host is reached by TCP alone. */
export function runOnHost({ host, sshOptions }: Endpoint, command: string): Promise<string | undefined> {
  const url = new URL(host);
  if (url.protocol === "tcp:") return Promise.resolve(undefined);
  const [program, args] =
    url.protocol === "ssh:" ? ["ssh", sshArguments(url, sshOptions, [command])] : ["/bin/sh", ["-c", command]];
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 20_000 }, (error, stdout) => resolve(error ? undefined : stdout));
  });
}
