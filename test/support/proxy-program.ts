/** A real nginx, Caddy or HAProxy with what the renderers make of a site, in a folder of its own on free ports. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { renderCaddy } from "../../infra/render/proxy/caddy.ts";
import { type HaproxyHost, renderHaproxy } from "../../infra/render/proxy/haproxy.ts";
import { renderNginx } from "../../infra/render/proxy/nginx.ts";
import type { RenderedFiles, Site } from "../../infra/render/proxy/site.ts";

export type ProxyName = "nginx" | "caddy" | "haproxy";

export interface ProxyProgram {
  readonly folder: string;
  /** With the site changed: checked, written and taken over, as in operation. */
  reload(site: Site): Promise<void>;
  /** All that it wrote. */
  output(): string;
  stop(): Promise<void>;
}

/** As `nginx -v` says it. */
export function nginxVersion(): string {
  return /nginx\/([\d.]+)/.exec(spawnSync("nginx", ["-v"], { encoding: "utf8" }).stderr)?.[1] ?? "";
}

interface Kind {
  render(site: Site, folder: string): RenderedFiles;
  readonly check: (folder: string) => string[];
  readonly run: (folder: string) => string[];
  readonly reload: (folder: string, child: ChildProcess) => void;
}

function kinds(host: HaproxyHost): { [name in ProxyName]: Kind } {
  return {
    nginx: {
      render: (site, folder) =>
        renderNginx(site, { root: folder, version: nginxVersion(), runtimeFolder: folder, ...logs(folder) }),
      check: (folder) => ["nginx", "-t", "-q", "-c", `${folder}/nginx.conf`],
      run: (folder) => ["nginx", "-c", `${folder}/nginx.conf`, "-g", "daemon off;"],
      reload: (_, child) => void child.kill("SIGHUP"),
    },
    caddy: {
      render: (site, folder) => renderCaddy(site, { path: `${folder}/Caddyfile`, adminSocket: `${folder}/admin.sock` }),
      check: (folder) => ["caddy", "validate", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`],
      run: (folder) => ["caddy", "run", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`],
      reload: (folder) => {
        const { status, stderr } = spawnSync("caddy", ["reload", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`], {
          encoding: "utf8",
          timeout: 60_000,
        });
        if (status !== 0) throw new Error(`caddy reload: ${stderr}`);
      },
    },
    haproxy: {
      render: (site, folder) =>
        renderHaproxy(site, { ...host, path: `${folder}/haproxy.cfg`, adminSocket: `${folder}/admin.sock` }),
      check: (folder) => ["haproxy", "-c", "-q", "-f", `${folder}/haproxy.cfg`],
      run: (folder) => ["haproxy", "-W", "-db", "-f", `${folder}/haproxy.cfg`],
      reload: (_, child) => void child.kill("SIGUSR2"),
    },
  };
}

export async function startProxy(name: ProxyName, site: Site, host: HaproxyHost = {}): Promise<ProxyProgram> {
  const kind = kinds(host)[name];
  const folder = mkdtempSync(join(tmpdir(), `openclaw-${name}-`));
  // Its processes give up root, and still read what lies here.
  chmodSync(folder, 0o755);
  let output = "";
  write(kind.render(site, folder));
  const [program = "", ...args] = kind.run(folder);
  try {
    check();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }

  function write(files: RenderedFiles): void {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
  }

  function check(): void {
    const [checker = "", ...more] = kind.check(folder);
    const { status, stdout, stderr } = spawnSync(checker, more, { encoding: "utf8", timeout: 60_000 });
    if (status !== 0) throw new Error(`${checker}: ${stdout}${stderr}`);
  }

  async function stop(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await once(child, "exit");
      clearTimeout(late);
    }
    rmSync(folder, { recursive: true, force: true });
  }

  try {
    for (const port of [site.listen.http, site.listen.https]) if (port !== undefined) await answers(port, child, () => output);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    folder,
    async reload(changed) {
      write(kind.render(changed, folder));
      check();
      kind.reload(folder, child);
    },
    output: () => output + logged(folder),
    stop,
  };
}

const logs = (folder: string) => ({ accessLogPath: `${folder}/access.log`, errorLogPath: `${folder}/error.log` });

function logged(folder: string): string {
  return Object.values(logs(folder))
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, "utf8"))
    .join("");
}

async function answers(port: number, child: ChildProcess, output: () => string): Promise<void> {
  for (const until = Date.now() + 60_000; ; ) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch (error) {
      if (child.exitCode !== null || Date.now() > until)
        throw new Error(`does not listen on ${port}: ${output()}`, { cause: error });
      await pause(20);
    } finally {
      socket.destroy();
    }
  }
}
