/** What `doctor` says of a Docker host, each thing made wrong on a real one; and `up`, which ends with the same words before anything changes. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { assertFindings } from "../support/doctor-findings.ts";
import { freePort } from "../support/free-port.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { makeKey, type Sshd, startSshd, whyNoSshd } from "../support/sshd.ts";
import { type Sections, stateOf, writeSections } from "../support/stack-file.ts";

const stack = "dock";
const why = whyNoDocker() ?? whyNoSshd();
if (why !== undefined) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${why}`);
const late = AbortSignal.timeout(900_000);

let folder: string;
let docker: TestDocker;
let clone: LocalClone;
let ports: { http: number; https: number };
/** Holds what a server has beside Docker Compose. */
let programs: string;
const servers: Server[] = [];
let sshd: Sshd | undefined;

function write(own: Sections = {}, more: Sections = {}): void {
  writeSections(join(clone.directory, `stacks/Pulumi.${stack}.yaml`), {
    target: "docker",
    docker: { host: docker.host, addresses: ["127.0.0.1"], directory: join(clone.base, "compose"), ...own },
    demo: { enabled: true },
    proxy: { names: ["127.0.0.1"], ports, ...more },
  });
}

/** The checks that found something, each with the pattern of its message; no other one did. */
async function finds(expected: { [check: string]: RegExp }): Promise<string> {
  const outcome = await clone.operate(["doctor", "-s", stack], { environment: { PATH: programs } });
  // A small disk is a warning at most, and the machine's own.
  return assertFindings(outcome, expected, ["disk"]);
}

/** All that a deployment makes. */
async function inventory(): Promise<string[]> {
  const ids: string[] = [];
  for (const path of ["/containers/json", "/images/json", "/networks"]) {
    const list = await docker.daemon.list({ method: "GET", path, query: { all: true } }, late);
    ids.push(...list.map(({ Id }) => `${path} ${String(Id)}`));
  }
  const volumes = (await docker.daemon.bytes({ method: "GET", path: "/volumes" }, late)).toString("utf8");
  return [...ids.sort(), volumes];
}

/** `up` says it and ends; on the daemon, in its folder and in the stack's state nothing differs from before. */
async function refusesUp(pattern: RegExp): Promise<void> {
  const earlier = { daemon: await inventory(), state: stateOf(clone.home), files: readdirSync(clone.base) };
  const { code, text } = await clone.operate(["up", "--yes", "-s", stack]);
  assert.notEqual(code, 0, text);
  assert.match(text, pattern);
  assert.deepEqual({ daemon: await inventory(), state: stateOf(clone.home), files: readdirSync(clone.base) }, earlier);
}

/** The daemon behind a socket of its own, which tells of itself what a host of another kind would. */
async function pretend(info: { [field: string]: unknown }): Promise<string> {
  const socketPath = docker.host.slice("unix://".length);
  const server = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const onward = request({ socketPath, method, path: url, headers }, async (response) => {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(Buffer.from(part));
      const body = Buffer.concat(parts).toString("utf8");
      const changed = url?.endsWith("/info") ? JSON.stringify({ ...JSON.parse(body), ...info }) : body;
      outgoing.writeHead(response.statusCode ?? 500, { "content-type": "application/json" }).end(changed);
    });
    incoming.pipe(onward);
  });
  servers.push(server);
  const path = join(folder, `pretended-${servers.length}.sock`);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return `unix://${path}`;
}

before(async () => {
  if (why !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "doctor-docker-"));
  programs = join(folder, "programs");
  mkdirSync(programs);
  for (const program of ["sh", "cat", "df", "tail", "ssh", "echo"]) {
    symlinkSync(
      execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" })
        .trim()
        .replace(/^echo$/, "/bin/echo"),
      join(programs, program),
    );
  }
  docker = await startDocker();
  clone = makeClone("doctor-docker");
  ports = { http: await freePort(), https: await freePort() };
  const made = await clone.operate(["stack", "init", stack]);
  assert.equal(made.code, 0, made.text);
});
after(async () => {
  for (const server of servers) server.close();
  await sshd?.stop();
  await docker?.close();
  await clone?.remove();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

test("a Docker host that is looked at", { skip: why, timeout: 900_000 }, async (context) => {
  await context.test("no daemon, and one that this user may not use", async () => {
    write({ host: `unix://${folder}/nothing.sock` });
    const pattern =
      /cannot be reached: .*ENOENT.*; install Docker there or start it \(sudo systemctl start docker\), or set docker\.host/;
    const text = await finds({ "Docker daemon": pattern });
    assert.match(text, /^- +Docker version: not looked at$/m);
    await refusesUp(pattern);
    write();
    // The socket is root's and the group's.
    chmodSync(docker.folder, 0o755);
    chmodSync(clone.base, 0o755);
    execFileSync("chown", ["-R", "65534:65534", clone.directory, clone.home]);
    const drop = `setpriv --reuid 65534 --regid 65534 --clear-groups ${process.execPath} infra/operate/main.ts doctor -s ${stack}`;
    const refused = await clone.shell(drop);
    assert.match(
      refused.text,
      /^error +Docker daemon: .*EACCES.*; let your user use it: sudo usermod -aG docker USER, then log in again$/m,
    );
    execFileSync("chown", ["-R", "0:0", clone.directory, clone.home]);
  });

  await context.test("another host key", async () => {
    const key = makeKey(folder, "login");
    sshd = await startSshd({ authorizedKeys: [key.publicKey] });
    const hostKey = makeKey(folder, "other").publicKey.split(" ").slice(0, 2).join(" ");
    write({ host: `ssh://${sshd.user}@127.0.0.1:${sshd.port}`, hostKey, sshKeyFile: key.file });
    const pattern =
      /the host shows another key than docker\.hostKey; where the host was made anew, take its line from: ssh-keyscan/;
    await finds({ "Docker daemon": pattern });
    await refusesUp(pattern);
  });

  await context.test("too old, too small, of another kind, late: all is said at once", async () => {
    const host = await pretend({
      ServerVersion: "19.03.15",
      Architecture: "aarch64",
      MemTotal: 1_073_741_824,
      SystemTime: "2026-01-01T00:00:00.000000000Z",
    });
    write(
      { host, vllm: { model: "Qwen/Qwen3-0.6B" } },
      { names: ["nowhere.invalid"], tls: { mode: "acme", acme: { email: "ops@example.test" } } },
    );
    await finds({
      "Docker version": /Docker is 19\.03\.15, and 20\.10 or newer is needed; install a newer one/,
      processor:
        /the host is linux\/arm64, and docker\.platform says linux\/amd64; npm run config -- set --path docker\.platform/,
      memory: /the host has 1024 MB of memory, and 2048 MB are needed; take a larger one/,
      "DNS names": /the name nowhere\.invalid leads nowhere; no certificate can be had for it; make a record for it/,
      "graphics processors":
        /docker\.vllm needs Docker's nvidia runtime, and the host has none; install nvidia-container-toolkit/,
      "Docker Compose": /the host has no Docker Compose 2; the stack does without/,
      clock: /the server's clock is \d+ s (behind|ahead of) this machine's; set one of them right/,
    });
    await refusesUp(/^error: the name nowhere\.invalid leads nowhere/m);
  });

  await context.test("a disk that is full, and ports of others", async () => {
    write();
    const holder = createServer().listen(ports.http, "127.0.0.1");
    servers.push(holder);
    await new Promise((resolve) => holder.once("listening", resolve));
    const data = join(docker.folder, "data");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=100m", "tmpfs", data]);
    const full = /only \d+ MB are free in \S+\/data, and 2048 MB are needed; remove what nobody uses: docker system prune/;
    const taken = new RegExp(
      `port ${ports.http} of the host is taken .*; stop it, or choose another port: npm run config -- set --path proxy\\.ports\\.http`,
    );
    try {
      await finds({ disk: full, ports: taken, "Docker Compose": /no Docker Compose 2/ });
      await refusesUp(full);
    } finally {
      execFileSync("umount", [data]);
    }
    await refusesUp(taken);
    await new Promise((resolve) => holder.close(resolve));
  });

  await context.test("a stack file that is not right", async () => {
    write({ gatewys: 2 });
    const text = await finds({ settings: /docker\.gatewys: / });
    assert.match(text, /^- +Docker daemon: not looked at$/m);
    await refusesUp(/openclaw-stack:docker\.gatewys: /);
  });
});
