/** A process of its own: asks the same thing again and again at a fixed pace, each time over a new connection, and tells how it went. */
import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const [address = "", token = "", perSecond = "50"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: false });
const tally: { [outcome: string]: number } = {};
let slowestMs = 0;
let stopped = false;
const open = new Set<Promise<void>>();

function once(): Promise<void> {
  const began = performance.now();
  return new Promise((resolve) => {
    const done = (outcome: string): void => {
      tally[outcome] = (tally[outcome] ?? 0) + 1;
      slowestMs = Math.max(slowestMs, performance.now() - began);
      resolve();
    };
    const asked = request(address, { agent, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      answer.resume();
      answer.on("end", () => done(String(answer.statusCode)));
      answer.on("error", (error) => done(`cut: ${error.message}`));
    });
    asked.on("error", (error) => done(error.message));
    asked.end();
  });
}

// Until SIGTERM: then what is under way is waited for.
process.on("SIGTERM", () => {
  stopped = true;
});
while (!stopped) {
  const one = once();
  open.add(one);
  one.then(() => open.delete(one));
  await pause(1000 / Number(perSecond));
}
await Promise.all(open);
console.log(JSON.stringify({ tally, slowestMs: Math.round(slowestMs) }));
process.exit(0);
