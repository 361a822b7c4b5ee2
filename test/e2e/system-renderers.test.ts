/** A server's system files, judged by the programs that will read them, for every case that has golden files. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createLog } from "../../gateway/observability/log.ts";
import { renderCloudInit } from "../../infra/render/system/cloud-init.ts";
import { renderSystem } from "../../infra/render/system/index.ts";
import type { SystemFile } from "../../infra/render/system/machine.ts";
import { packagesOf } from "../../infra/render/system/packages.ts";
import { installPrograms } from "../support/debian-packages.ts";
import { machineNamed, machineNames } from "../support/machines.ts";

const programs = {
  "systemd-analyze": "systemd",
  nft: "nftables",
  visudo: "sudo",
  logrotate: "logrotate",
  "fail2ban-client": "fail2ban",
  "redis-server": "redis-server",
  "redis-cli": "redis-tools",
};
const limit = 1.5;
const folder = mkdtempSync(join(tmpdir(), "system-files-"));
let refusal: string | undefined;

before(() => {
  if (process.platform !== "linux") refusal = `these files are for Linux, this is ${process.platform}`;
  else refusal = installPrograms(programs);
  if (refusal) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);
});
after(() => rmSync(folder, { recursive: true, force: true }));

function checked(name: string, work: (context: TestContext) => void | Promise<void>): void {
  test(name, async (context) => {
    if (refusal) context.skip(refusal);
    else await work(context);
  });
}

const all = machineNames().map((name) => ({ name, files: renderSystem(machineNamed(name)) }));

/** The files as they would lie on the server, below a folder. */
function written(name: string, files: SystemFile[]): string {
  const root = join(folder, name);
  for (const { path, mode, content } of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode: Number.parseInt(mode, 8) });
  }
  return root;
}

function run(program: string, args: string[], options: { input?: string } = {}): { code: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 120_000, ...options });
  return { code: status, text: `${stdout}${stderr}` };
}

for (const { name, files } of all) {
  checked(`${name}: each file passes the check that it names`, () => {
    const root = written(`${name}-checks`, files);
    for (const { path, validate } of files) {
      if (!validate) continue;
      const FILE = join(root, path);
      // Rules of a network of its own: nothing here is touched, not even while they are checked.
      const { status, stdout, stderr } = spawnSync("unshare", ["--net", "sh", "-c", validate], {
        encoding: "utf8",
        env: { ...process.env, FILE },
      });
      assert.equal(status, 0, `${path}: ${stdout}${stderr}`);
    }
  });

  checked(`${name}: systemd knows every line of the units`, () => {
    const root = written(`${name}-units`, files);
    const units = files.filter(({ path }) => path.startsWith("/etc/systemd/system/")).map(({ path }) => basename(path));
    // Programs and users of the server are not here.
    const elsewhere = /is not executable: No such file/;
    const { text } = spawnSyncText("systemd-analyze", [
      "verify",
      "--man=no",
      ...units.map((unit) => join(root, "etc/systemd/system", unit)),
    ]);
    const complaints = text.split("\n").filter((line) => /openclaw|Unknown|Failed/.test(line) && !elsewhere.test(line));
    assert.deepEqual(complaints, []);
    const wrong = join(root, "openclaw-wrong.service");
    writeFileSync(wrong, "[Service]\nExecStart=/bin/true\nProtectSytem=strict\n");
    assert.match(spawnSyncText("systemd-analyze", ["verify", "--man=no", wrong]).text, /Unknown key (name )?'ProtectSytem'/);
  });

  checked(`${name}: the gateway's services are shut off well`, () => {
    const root = written(`${name}-security`, files);
    const ours = files.filter(({ path }) => /\/openclaw-(gateway|gateway-next|redis)\.service$/.test(path));
    assert.ok(ours.length >= 2);
    for (const { path } of ours) {
      const { text } = spawnSyncText("systemd-analyze", ["security", "--offline=true", "--no-pager", join(root, path)]);
      const level = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
      assert.ok(level <= limit, `${path}: ${level}\n${text}`);
    }
  });

  checked(`${name}: fail2ban reads its configuration`, (context) => {
    const jails = files.filter(({ path }) => path.startsWith("/etc/fail2ban/"));
    if (jails.length === 0) return context.skip("without fail2ban");
    const root = join(folder, `${name}-fail2ban`);
    execFileSync("cp", ["-a", "/etc/fail2ban", root]);
    for (const { path, content } of jails) writeFileSync(join(root, path.slice("/etc/fail2ban".length)), content);
    // It looks whether the log is there.
    const log = join(folder, `${name}-access.log`);
    writeFileSync(log, "");
    const jail = join(root, "jail.d/openclaw.conf");
    const text = jails.find(({ path }) => path.endsWith("jail.d/openclaw.conf"))?.content ?? "";
    writeFileSync(jail, text.replace("/var/log/openclaw/access.log", log));
    const { code, text: said } = run("fail2ban-client", ["-c", root, "-t"]);
    assert.equal(code, 0, said);
    const shown = run("fail2ban-client", ["-c", root, "--dp"]).text;
    for (const part of ["['add', 'sshd', 'systemd']", "'openclaw-gateway'", "'bantime.increment', True", "2001:db8::/32"])
      if (part !== "2001:db8::/32" || text.includes(part)) assert.ok(shown.includes(part), `${part} is not in\n${shown}`);
  });
}

function spawnSyncText(program: string, args: string[]): { text: string } {
  const env = { ...process.env, SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "cat" };
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env, timeout: 120_000 });
  return { text: `${stdout}${stderr}` };
}

/** A line of the gateway's log, as journald shows it, made by what writes it. */
function gatewayLine(fields: { status: number; remote: string; route?: string; error_code?: string }): string {
  let line = "";
  const log = createLog((text) => {
    line += text;
  });
  const route = fields.route ?? "/v1/models";
  log.of("http").info("request", `GET ${route} ${fields.status}`, {
    request_id: "7b0c1f0e-1111-4222-8333-444455556666",
    method: "GET",
    route,
    status: fields.status,
    duration_ms: 0.7,
    remote: fields.remote,
    trace_id: "0af7651916cd43dd8448eb211c80319c",
    error_code: fields.error_code,
  });
  return `${new Date().toISOString()} server openclaw-gateway[812]: ${line.trim()}`;
}

const nginxLine = (status: number, address: string, path = "/v1/models"): string =>
  `{"time":"${new Date().toISOString()}","address":"${address}","method":"GET","path":"${path}","status":"${status}","bytes":98,` +
  '"seconds":0.003,"protocol":"HTTP/1.1","upstream":"127.0.0.1:18789","upstreamStatus":"401","agent":"curl"}';

checked("401s are counted with the client's address, and nothing else is", () => {
  const filter = join(folder, "openclaw-gateway.conf");
  const file = all.flatMap(({ files }) => files).find(({ path }) => path.endsWith("filter.d/openclaw-gateway.conf"));
  writeFileSync(filter, file?.content ?? "");
  const claimed = '\\",\\"status\\":401,\\"duration_ms\\":1,\\"remote\\":\\"203.0.113.99\\"';
  const guilty: [string, string][] = [
    [gatewayLine({ status: 401, remote: "192.0.2.1", error_code: "invalid_api_key" }), "192.0.2.1"],
    [gatewayLine({ status: 401, remote: "2001:db8::7", error_code: "invalid_api_key" }), "2001:db8::7"],
    [gatewayLine({ status: 401, remote: "192.0.2.3", route: '/v1/"models\\' }), "192.0.2.3"],
    [nginxLine(401, "198.51.100.4"), "198.51.100.4"],
    [nginxLine(401, "198.51.100.5", `/x${claimed}`), "198.51.100.5"],
  ];
  const innocent = [
    gatewayLine({ status: 200, remote: "192.0.2.10" }),
    gatewayLine({ status: 403, remote: "192.0.2.11", error_code: "missing_scope" }),
    gatewayLine({ status: 429, remote: "192.0.2.12", error_code: "too_many_attempts" }),
    gatewayLine({ status: 404, remote: "192.0.2.13", route: '/","status":401,"duration_ms":1,"remote":"203.0.113.99"' }),
    nginxLine(200, "198.51.100.10"),
    nginxLine(404, "198.51.100.11", `/x${claimed}`),
  ];
  const log = join(folder, "lines.log");
  writeFileSync(log, `${[...guilty.map(([line]) => line), ...innocent].join("\n")}\n`);
  const { text } = run("fail2ban-regex", ["--out", "ip", log, filter]);
  const found = text.split("\n").filter((line) => /^[\d.]+$|^[0-9a-f:]+$/.test(line.trim()) && line.trim() !== "");
  assert.deepEqual(found.map((line) => line.trim()).sort(), guilty.map(([, address]) => address).sort(), text);
});

checked("Redis takes any password, and lets nobody in without it", async () => {
  const { files } = all.find(({ name }) => name === "ubuntu2404-everything") ?? { files: [] };
  const root = written("redis", files);
  const password = String.raw`pa"ss\w#rd 'x' $HOME`;
  writeFileSync(join(folder, "redis-password"), `${password}\n`);
  const env = { ...process.env, CREDENTIALS_DIRECTORY: folder, RUNTIME_DIRECTORY: folder };
  execFileSync("sh", [join(root, "opt/openclaw/bin/redis-password"), "redis-password"], { env });
  const socket = join(folder, "redis.sock");
  const config = join(root, "etc/openclaw/redis.conf");
  // Its folder is the server's: here there is another one.
  writeFileSync(config, readFileSync(config, "utf8").replace(/^dir .*$/m, `dir ${folder}`));
  const here = ["--port", "0", "--unixsocket", socket, "--supervised", "no"];
  const server = spawn("redis-server", [config, "--include", join(folder, "password.conf"), ...here], { stdio: "ignore" });
  try {
    const ask = (...words: string[]) => run("redis-cli", ["-s", socket, ...words]).text;
    const end = Date.now() + 60_000;
    while (!/NOAUTH/.test(ask("ping"))) {
      assert.ok(Date.now() < end && server.exitCode === null, "Redis does not start");
      await pause(50);
    }
    assert.match(ask("--no-auth-warning", "-a", password, "config", "get", "maxmemory"), /268435456/);
    assert.match(ask("--no-auth-warning", "-a", "another", "ping"), /WRONGPASS/);
  } finally {
    server.kill("SIGKILL");
  }
});

checked("the kernel has every setting that is asked of it", () => {
  const text = all.flatMap(({ files }) => files).find(({ path }) => path.startsWith("/etc/sysctl.d/"))?.content ?? "";
  const names = [...text.matchAll(/^-([a-z0-9._]+) =/gm)].map(([, name]) => name ?? "");
  assert.ok(names.length > 10);
  for (const name of names) assert.equal(run("sysctl", ["-n", name]).code, 0, name);
});

checked("user data fits cloud-init's own schema", (context) => {
  const schema = cloudInit();
  if (typeof schema === "string") return context.skip(schema);
  for (const { name, files } of all) {
    const machine = machineNamed(name);
    const file = join(folder, `${name}.yaml`);
    const authorizedKeys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample ann@example"];
    const text = renderCloudInit({ machine, files, packages: packagesOf(machine), authorizedKeys });
    writeFileSync(file, text);
    const { code, said } = schema(file);
    assert.equal(code, 0, `${name}: ${said}`);
    writeFileSync(file, text.replace("ssh_pwauth: false", "ssh_pwauth: []"));
    assert.match(schema(file).said, /ssh_pwauth: \[\] is not /);
  }
});

/** cloud-init itself, unpacked but not installed: it would set up this machine at its next start. Why not, in words. */
function cloudInit(): string | ((file: string) => { code: number | null; said: string }) {
  const libraries = "jsonschema configobj jinja2 jsonpatch oauthlib requests yaml netifaces".split(" ");
  const missing = installPrograms({ "/usr/bin/jsonschema": libraries.map((name) => `python3-${name}`).join(" ") });
  if (missing) return missing;
  const cache = join(homedir(), ".cache/openclaw-stack/cloud-init-1");
  if (!existsSync(join(cache, "complete"))) {
    rmSync(cache, { recursive: true, force: true });
    mkdirSync(cache, { recursive: true });
    const { code, text } = run("sh", [
      "-c",
      `cd ${cache} && apt-get download -q cloud-init && dpkg -x cloud-init_*.deb . && touch complete`,
    ]);
    assert.equal(code, 0, text);
  }
  return (file) => {
    const { status, stdout, stderr } = spawnSync(
      "/usr/bin/python3",
      ["-m", "cloudinit.cmd.main", "schema", "--config-file", file],
      {
        encoding: "utf8",
        env: { PATH: process.env.PATH, PYTHONPATH: join(cache, "usr/lib/python3/dist-packages") },
      },
    );
    return { code: status, said: `${stdout}${stderr}` };
  };
}
