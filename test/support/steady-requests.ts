/**
 * A process of its own: asks at a fixed pace, by turns over new connections and over kept ones, and tells how it went.
 * Nothing is asked twice. Kept connections are used in turn, so that none is silent for as long as a server may close it.
 */
import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const [address = "", token = "", perSecond = "50"] = process.argv.slice(2);
const agents = {
  fresh: new Agent({ keepAlive: false }),
  kept: new Agent({ keepAlive: true, scheduling: "fifo", timeout: 2000 }),
};
const body = JSON.stringify({ messages: [{ role: "user", content: "hello" }] });
const tally: { [outcome: string]: number } = {};
let reused = 0;
let slowestMs = 0;
let stopped = false;
const open = new Set<Promise<void>>();

function once(kind: "fresh" | "kept"): Promise<void> {
  const began = performance.now();
  return new Promise((resolve) => {
    const done = (outcome: string): void => {
      tally[outcome] = (tally[outcome] ?? 0) + 1;
      slowestMs = Math.max(slowestMs, performance.now() - began);
      resolve();
    };
    const headers = {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    const asked = request(address, { method: "POST", agent: agents[kind], headers }, (answer) => {
      answer.resume();
      answer.on("end", () => done(answer.complete ? String(answer.statusCode) : `${kind}: cut`));
      answer.on("error", (error) => done(`${kind}, cut: ${error.message}`));
    });
    asked.on("error", (error) => done(`${kind}${asked.reusedSocket ? ", used before" : ""}: ${error.message}`));
    asked.on("close", () => {
      if (asked.reusedSocket) reused += 1;
    });
    asked.end(body);
  });
}

// Until SIGTERM: then what is under way is waited for.
process.on("SIGTERM", () => {
  stopped = true;
});
for (let turn = 0; !stopped; turn += 1) {
  const one = once(turn % 2 === 0 ? "fresh" : "kept");
  open.add(one);
  one.then(() => open.delete(one));
  await pause(1000 / Number(perSecond));
}
await Promise.all(open);
console.log(JSON.stringify({ tally, reused, slowestMs: Math.round(slowestMs) }));
process.exit(0);
