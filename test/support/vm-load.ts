/**
 * Constant load on a server of the target vm: calls and streams through the proxy to the gateway, and WebSockets through the same
 * proxy to an echo server. The gateway speaks no WebSocket yet, so those go through a second site: a copy of the stack's own, on
 * another port and with the echo server in the gateway's place, served by the same processes with the same certificate.
 */
import {
  describeFailures,
  describeSlowest,
  type Load,
  type LoadFailure,
  type LoadReport,
  loadKinds,
  slowestOf,
  startLoad,
} from "./constant-load.ts";
import { eventually } from "./eventually.ts";
import type { VmServer } from "./vm-server.ts";

/** To be let in by the server's firewall. */
export const echoPort = 8443;

export interface VmLoad {
  phase(name: string): void;
  /** Waits for what runs, and gives what failed in any phase. */
  finish(): Promise<{ reports: LoadReport[]; failures: LoadFailure[]; text: string }>;
  stop(): Promise<void>;
}

const sites = {
  nginx: { of: "/etc/nginx/conf.d/openclaw.conf", echo: "/etc/nginx/conf.d/zz-echo.conf" },
  caddy: { of: "/etc/caddy/Caddyfile", echo: "/etc/caddy/conf.d/echo.caddy" },
};

export async function startVmLoad(server: VmServer, proxy: "nginx" | "caddy", token: string): Promise<VmLoad> {
  const { machine, authority, upstream } = server;
  const common = { caFile: authority.caPath, token, model: "numbers", slowMs: 10_000 };
  await makeEchoSite(server, proxy, `${new URL(upstream.baseUrl).host}`);
  const loads: Load[] = [];
  const all = <T>(work: (load: Load) => Promise<T>): Promise<T[]> => Promise.all(loads.map(work));
  const stop = async (): Promise<void> => {
    await all((load) => load.stop());
  };
  try {
    const streams = { streams: 2, streamPieces: 300, streamPaceMs: 100 };
    loads.push(await startLoad({ ...common, ...streams, url: `https://${machine.address4}`, callsPerSecond: 5 }));
    const webSockets = { path: "/ws", count: 3, everyMs: 250 };
    loads.push(await startLoad({ ...common, url: `https://${machine.address4}:${echoPort}`, callsPerSecond: 0, webSockets }));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    phase(name) {
      for (const load of loads) load.phase(name);
    },
    async finish() {
      const reports = await all((load) => load.finish());
      const failures = reports.flatMap((report) => report.failures);
      const sum = (count: (report: LoadReport) => number): number => reports.reduce((all, report) => all + count(report), 0);
      // Each load has the kinds that the other one has not.
      const slowest = loadKinds.flatMap((kind) => reports.map((report) => slowestOf(report, kind)).filter(({ ms }) => ms > 0));
      const counts = `${sum(({ calls }) => calls)} calls, ${sum(({ streams }) => streams)} streams, ${sum(({ echoes }) => echoes)} echoes`;
      return { reports, failures, text: `${counts}, ${failures.length} failures, slowest ${describeSlowest(slowest)}` };
    },
    stop,
  };
}

export const describeVmFailures = (failures: LoadFailure[], [report]: LoadReport[]): string =>
  report ? describeFailures({ ...report, failures }) : "";

/** Whoever owns the server has a site of their own beside ours. */
async function makeEchoSite({ machine }: VmServer, proxy: "nginx" | "caddy", echo: string): Promise<void> {
  const { of, echo: file } = sites[proxy];
  const own = await machine.good(["cat", of]);
  const site = proxy === "nginx" ? nginxEcho(own, echo) : caddyEcho(own, echo);
  const { code, text } = await machine.run(`mkdir -p "$(dirname ${file})" && cat >${file}`, { input: site });
  if (code !== 0) throw new Error(text);
  // Taken over by the proxy without being told to.
  await eventually("the echo server's site answers", async () => {
    const { stdout } = await machine.run(
      `curl -sk -o /dev/null -w '%{http_code}' https://${machine.address4}:${echoPort}/models`,
    );
    return stdout === "200";
  });
}

export async function removeEchoSite({ machine }: VmServer, proxy: "nginx" | "caddy"): Promise<void> {
  await machine.good(`rm ${sites[proxy].echo}; rmdir --ignore-fail-on-non-empty "$(dirname ${sites[proxy].echo})"`);
}

function nginxEcho(own: string, echo: string): string {
  const site = own
    .split(/^(?=server \{)/m)
    .find((block) => block.includes("proxy_pass http://openclaw_gateways"))
    ?.replaceAll(/^( *listen (\[::\]:)?)443/gm, `$1${echoPort}`)
    .replaceAll("http://openclaw_gateways", `http://${echo}`);
  if (!site) throw new Error(`there is no site in\n${own}`);
  return site;
}

function caddyEcho(own: string, echo: string): string {
  const start = own.search(/^https:\/\//m);
  const site = own.slice(start, own.indexOf("\n}\n", start) + 3);
  if (start < 0) throw new Error(`there is no site in\n${own}`);
  return site
    .replace(/^[^{]*\{/, (head) => head.replaceAll(/(https:\/\/[^,\s]+)/g, `$1:${echoPort}`))
    .replace(/reverse_proxy \S+/, `reverse_proxy ${echo}`)
    .replace("health_uri /readyz", "health_uri /models");
}
