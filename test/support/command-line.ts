/** Runs the engine's command line in a project of its own: own home, own state folder, no Pulumi on the path. */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

export interface CommandResult {
  /** The exit code, or the signal that ended it. */
  exit: number | string;
  out: string;
  err: string;
}

export interface CommandLine {
  run(args: string[], options?: RunOptions): Promise<CommandResult>;
  backend: string;
  /** What the commands find in their environment. */
  env: { [name: string]: string };
}

export interface RunOptions {
  env?: { [name: string]: string };
  /** Sends the signal as soon as standard output shows these texts, one after another. */
  signalAt?: { texts: string[]; signal: NodeJS.Signals };
}

const main = join(import.meta.dirname, "../../engine/main.ts");

export function createCommandLine(root: string, passphrase: string): CommandLine {
  const home = join(root, "home");
  const backend = join(root, "state");
  mkdirSync(home, { recursive: true });
  mkdirSync(backend, { recursive: true });
  const base = {
    HOME: home,
    PATH: "/usr/bin:/bin",
    PULUMI_HOME: join(home, ".pulumi"),
    PULUMI_BACKEND_URL: `file://${backend}`,
    PULUMI_CONFIG_PASSPHRASE: passphrase,
  };
  return {
    backend,
    env: base,
    run: (args, options = {}) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [main, ...args], {
          cwd: root,
          env: { ...base, ...options.env },
          stdio: ["ignore", "pipe", "pipe"],
        });
        let out = "";
        let err = "";
        let signalled = false;
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          out += text;
          if (options.signalAt && !signalled && showsInOrder(out, options.signalAt.texts)) {
            signalled = true;
            child.kill(options.signalAt.signal);
          }
        });
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          err += text;
        });
        child.on("error", reject);
        child.on("close", (code, signal) => resolve({ exit: code ?? signal ?? "", out, err }));
      }),
  };
}

function showsInOrder(out: string, texts: string[]): boolean {
  let from = 0;
  return texts.every((text) => {
    const at = out.indexOf(text, from);
    from = at + text.length;
    return at >= 0;
  });
}
