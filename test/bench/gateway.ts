// Figures of the gateway: cold start, memory, and requests a second in front of a fake model server. Prints a Markdown table.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent } from "undici";
import { nodeEnvironment, nodeFlags } from "../../gateway/process/supervisor-child.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/free-port.ts";

const runs = Number(process.env.BENCH_RUNS ?? 7);
const loadSeconds = Number(process.env.BENCH_SECONDS ?? 5);
const token = "bench-token-0123456789";
const folder = mkdtempSync(join(tmpdir(), "openclaw-bench-"));
const upstream = await startFakeUpstream();

try {
  const config = join(folder, "openclaw.json");
  const port = await freePort();
  const models = {
    providers: { fake: { api: "openai-completions", baseUrl: upstream.baseUrl, models: [{ id: "fake-model" }] } },
  };
  writeFileSync(config, JSON.stringify({ gateway: { port, auth: { token } }, models }), { mode: 0o600 });

  const firstStart = await measureStart(config, port);
  const starts: { ms: number; idleMb: number }[] = [];
  for (let run = 0; run < runs; run += 1) starts.push(await measureStart(config, port));
  const load = await measureLoad(config, port);

  console.log(`\nNode ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "processor"}\n`);
  console.log("| gateway | measured | goal |\n|---|---|---|");
  console.log(
    `| cold start to /healthz, median of ${runs} | ${median(starts.map((start) => start.ms)).toFixed(0)} ms | 700 ms |`,
  );
  console.log(`| the very first start (nothing compiled yet) | ${firstStart.ms.toFixed(0)} ms | |`);
  console.log(`| memory (RSS), idle, median | ${median(starts.map((start) => start.idleMb)).toFixed(0)} MB | 95 MB |`);
  console.log(`| chat, 1 KB JSON, 64 at a time | ${load.perSecond.toFixed(0)} requests/s | |`);
  console.log(`| same, p50 / p99 | ${load.p50.toFixed(1)} / ${load.p99.toFixed(1)} ms | |`);
  console.log(`| same, straight to the fake model server | ${load.direct.toFixed(0)} requests/s | |`);
  console.log(`| memory (RSS) after that load | ${load.rssMb.toFixed(0)} MB | |`);
} finally {
  await upstream.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Started as the supervisor starts it. */
function startGateway(config: string) {
  return spawn(process.execPath, [...nodeFlags, join(import.meta.dirname, "../../gateway/main.ts"), "--config", config], {
    env: {
      ...nodeEnvironment,
      PATH: process.env.PATH,
      OPENCLAW_STATE_DIR: folder,
      NODE_COMPILE_CACHE: join(folder, "compile-cache"),
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
}

async function measureStart(config: string, port: number): Promise<{ ms: number; idleMb: number }> {
  const begun = performance.now();
  const child = startGateway(config);
  await alive(port);
  const ms = performance.now() - begun;
  await sleep(3000);
  const idleMb = residentMb(child.pid ?? 0);
  child.kill("SIGTERM");
  await once(child, "exit");
  return { ms, idleMb };
}

async function measureLoad(config: string, port: number) {
  const child = startGateway(config);
  await alive(port);
  const body = JSON.stringify({ model: "fake-model", messages: [{ role: "user", content: "x".repeat(900) }] });
  await hammer(`http://127.0.0.1:${port}`, "/v1/chat/completions", body, 1);
  const through = await hammer(`http://127.0.0.1:${port}`, "/v1/chat/completions", body, loadSeconds);
  const rssMb = residentMb(child.pid ?? 0);
  await upstream.script([{}]);
  const direct = await hammer(`http://127.0.0.1:${upstream.port}`, "/v1/chat/completions", body, Math.min(3, loadSeconds));
  child.kill("SIGTERM");
  await once(child, "exit");
  return { perSecond: through.perSecond, p50: through.p50, p99: through.p99, direct: direct.perSecond, rssMb };
}

async function hammer(origin: string, path: string, body: string, seconds: number) {
  const agent = new Agent({ connections: 64, pipelining: 1 });
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  const begun = performance.now();
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      const start = performance.now();
      const response = await agent.request({
        origin,
        path,
        method: "POST",
        body,
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      });
      await response.body.arrayBuffer();
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: 64 }, one));
  const perSecond = (times.length * 1000) / (performance.now() - begun);
  await agent.close();
  times.sort((a, b) => a - b);
  return { perSecond, p50: times[Math.floor(times.length * 0.5)] ?? 0, p99: times[Math.floor(times.length * 0.99)] ?? 0 };
}

async function alive(port: number): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) {
    const up = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      (response) => response.ok,
      () => false,
    );
    if (up) return;
    await sleep(5);
  }
  throw new Error("the gateway did not come up");
}

function residentMb(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return (pages * 4096) / 1e6;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
