/** Started by runner.ts: runs the commands that it is sent, and ends with the engine. */
import { createGuardian } from "../../guardian.ts";
import { runCommand } from "./run.ts";
import type { RunnerAnswer, RunnerRequest } from "./runner.ts";

const guardian = createGuardian();
const running = new Map<number, AbortController>();

process.on("message", (request: RunnerRequest) => {
  if ("abort" in request) running.get(request.id)?.abort();
  else void run(request);
});
process.on("disconnect", () => {
  // What still runs is killed by the guardian.
  guardian.close();
  process.exit(0);
});

async function run({ id, command }: Extract<RunnerRequest, { command: unknown }>): Promise<void> {
  const stop = new AbortController();
  running.set(id, stop);
  const lines = batches(id);
  const output = await runCommand({ ...command, onLine: lines.add }, guardian, stop.signal);
  running.delete(id);
  lines.flush();
  answer({ id, output });
}

/** Lines that come together are sent together. */
function batches(id: number): { add(stream: "stdout" | "stderr", line: string): void; flush(): void } {
  let waiting: string[] = [];
  let current: "stdout" | "stderr" = "stdout";
  const flush = () => {
    if (waiting.length > 0) answer({ id, stream: current, lines: waiting });
    waiting = [];
  };
  return {
    add(stream, line) {
      if (stream !== current) flush();
      current = stream;
      if (waiting.length === 0) setImmediate(flush);
      waiting.push(line);
    },
    flush,
  };
}

function answer(message: RunnerAnswer): void {
  if (process.connected) process.send?.(message);
}
