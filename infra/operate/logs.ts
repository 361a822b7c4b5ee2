/** `npm run logs -- [-s stack] [-f] [-n lines]`: the gateway's JSON lines; `-f` goes on with what follows, also after a rotation. */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { logOptions } from "./log-options.ts";
import { OperatorError } from "./operator-error.ts";
import { findWorkplace, targetOf } from "./workplace.ts";

export async function logs(args: string[]): Promise<number> {
  const workplace = findWorkplace(args);
  // Such as `head`, which has seen enough.
  process.stdout.on("error", () => process.exit(0));
  const target = targetOf(workplace);
  if (target === "docker") return (await import("./docker.ts")).dockerLogs(workplace, args);
  if (target === "vm") return (await import("./server.ts")).serverLogs(workplace, args);
  const file = join(workplace.places.logs, "gateway.log");
  if (!existsSync(file)) throw new OperatorError(`there is no log yet (${file}): run \`npm run up\` first`);
  const { count, follow } = logOptions(args);
  const tail = readFrom(file, Math.max(0, statSync(file).size - 1_000_000));
  const lines = tail.text.split("\n");
  process.stdout.write(lines.slice(Math.max(0, lines.length - 1 - count)).join("\n"));
  let position = tail.end;
  while (follow) {
    await sleep(200);
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    // Emptied by a rotation.
    if (size < position) position = 0;
    if (size === position) continue;
    const next = readFrom(file, position);
    process.stdout.write(next.text);
    position = next.end;
  }
  return 0;
}

function readFrom(file: string, start: number): { text: string; end: number } {
  const descriptor = openSync(file, "r");
  try {
    const length = Math.max(0, fstatSync(descriptor).size - start);
    const buffer = Buffer.alloc(length);
    const read = readSync(descriptor, buffer, 0, length, start);
    return { text: buffer.toString("utf8", 0, read), end: start + read };
  } finally {
    closeSync(descriptor);
  }
}
