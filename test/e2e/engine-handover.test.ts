/** Which engine runs: a stand-in for the Pulumi CLI notes how it was called, in place of the real one. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

const main = join(import.meta.dirname, "../../engine/main.ts");
const passphrase = "a passphrase that nobody sees";

interface Call {
  args: string[];
  env: { [name: string]: string };
  cwd: string;
}

interface Ran {
  exit: number | string;
  out: string;
  err: string;
}

/** Notes its call in a file and does what its first argument after the command asks for. */
const standIn = `#!${process.execPath}
import { writeFileSync } from "node:fs";
const args = process.argv.slice(2);
if (args[0] === "version") { console.log(process.env.STAND_IN_VERSION || "v3.260.0"); process.exit(Number(process.env.STAND_IN_VERSION_EXIT || 0)); }
writeFileSync(process.env.STAND_IN_LOG, JSON.stringify({ args, env: process.env, cwd: process.cwd() }));
console.log("the official one ran");
if (process.env.STAND_IN_WAIT) { process.on("SIGTERM", () => process.exit(75)); setInterval(() => {}, 1000); console.log("waiting"); }
else if (process.env.STAND_IN_SIGNAL) process.kill(process.pid, process.env.STAND_IN_SIGNAL);
else process.exit(Number(process.env.STAND_IN_EXIT || 0));
`;

describe("which engine runs", () => {
  let root = "";
  let log = "";
  const plugins = () => join(root, "home", ".pulumi", "plugins");

  function install(name: string, version: string): string {
    const folder = join(plugins(), `resource-${name}-v${version}`);
    mkdirSync(folder, { recursive: true });
    const binary = join(folder, `pulumi-resource-${name}`);
    writeFileSync(binary, "#!/bin/sh\nexit 1\n");
    chmodSync(binary, 0o755);
    return folder;
  }

  function putCli(folder: string): void {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "pulumi"), standIn);
    chmodSync(join(folder, "pulumi"), 0o755);
  }

  function run(
    args: string[],
    env: { [name: string]: string } = {},
    onOutput?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
  ): Promise<Ran> {
    rmSync(log, { force: true });
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [main, ...args], {
        cwd: root,
        env: {
          HOME: join(root, "home"),
          PATH: `${join(root, "bin")}:/usr/bin:/bin`,
          PULUMI_BACKEND_URL: `file://${join(root, "state")}`,
          PULUMI_CONFIG_PASSPHRASE: passphrase,
          STAND_IN_LOG: log,
          ...env,
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let out = "";
      let err = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        out += text;
        onOutput?.(out, (signal) => child.kill(signal));
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        err += text;
      });
      child.on("error", reject);
      child.on("close", (code, signal) => resolve({ exit: code ?? signal ?? "", out, err }));
    });
  }

  const called = (): Call | undefined => (existsSync(log) ? JSON.parse(readFileSync(log, "utf8")) : undefined);

  before(() => {
    root = mkdtempSync(join(tmpdir(), "handover-"));
    log = join(root, "call.json");
    for (const name of ["infra", "stacks", "state", "home", "node_modules/@pulumi/thing"])
      mkdirSync(join(root, name), { recursive: true });
    writeFileSync(
      join(root, "Pulumi.yaml"),
      "name: demo\nmain: infra/index.ts\nstackConfigDir: stacks\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
    );
    writeFileSync(join(root, "infra/index.ts"), "export const a = 1;\n");
    writeFileSync(
      join(root, "package.json"),
      '{"type":"module","dependencies":{"@pulumi/thing":"1.2.3","@pulumi/pulumi":"*"}}',
    );
    writeFileSync(
      join(root, "node_modules/@pulumi/thing/package.json"),
      '{"name":"@pulumi/thing","version":"1.2.3","pulumi":{"resource":true,"name":"thing"}}',
    );
    symlinkSync(join(import.meta.dirname, "../../node_modules/@pulumi/pulumi"), join(root, "node_modules/@pulumi/pulumi"));
    putCli(join(root, "bin"));
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  test("the embedded one where a plug-in is missing, which it names", async () => {
    assert.equal((await run(["--engine", "embedded", "stack", "init", "dev"])).exit, 0);
    const { out, exit } = await run(["preview"]);
    assert.equal(
      out.split("\n")[0],
      "Engine: embedded 0.1.0, because this plug-in is not installed for the Pulumi CLI 3.260.0: thing 1.2.3 (--engine pulumi installs them)",
    );
    assert.equal(exit, 0);
    assert.equal(called(), undefined);
  });

  test("a plug-in of another version, or one whose download broke off, does not count", async () => {
    const other = install("thing", "1.2.4");
    const partial = install("thing", "1.2.3");
    writeFileSync(`${partial}.partial`, "");
    const { out } = await run(["preview"]);
    assert.match(out, /^Engine: embedded .*thing 1\.2\.3/);
    for (const path of [other, partial, `${partial}.partial`]) rmSync(path, { recursive: true });
  });

  test("a plug-in that is source in some language counts", async () => {
    const folder = install("thing", "1.2.3");
    rmSync(join(folder, "pulumi-resource-thing"));
    assert.match((await run(["preview"])).out, /^Engine: embedded .*thing 1\.2\.3/);
    writeFileSync(join(folder, "PulumiPlugin.yaml"), "runtime: python\n");
    assert.match((await run(["preview"])).out, /^Engine: Pulumi CLI 3\.260\.0/);
    rmSync(folder, { recursive: true });
  });

  test("the official one where all plug-ins are there, with the arguments as given", async () => {
    const folder = install("thing", "1.2.3");
    const { out, err, exit } = await run(["up", "--yes", "-s", "dev", "--target", "a b"], { STAND_IN_EXIT: "7" });
    assert.match(
      out,
      /^Engine: Pulumi CLI 3\.260\.0 \(.*\/bin\/pulumi\), because it and all plug-ins that the stack needs are installed\nthe official one ran\n$/,
    );
    assert.equal(err, "");
    assert.equal(exit, 7);
    const call = called();
    assert.deepEqual(call?.args, ["up", "--yes", "-s", "dev", "--target", "a b"]);
    assert.equal(call?.env.PULUMI_BACKEND_URL, `file://${join(root, "state")}`);
    assert.equal(call?.env.PULUMI_CONFIG_PASSPHRASE, passphrase);
    assert.ok(!JSON.stringify(call?.args).includes(passphrase));
    rmSync(folder, { recursive: true });
  });

  test("a state that needs another plug-in keeps the embedded one", async () => {
    const folder = install("thing", "1.2.3");
    const file = join(root, "state/.pulumi/stacks/demo/dev.json");
    const checkpoint = JSON.parse(readFileSync(file, "utf8"));
    const urn = "urn:pulumi:dev::demo::pulumi:providers:other::default_9_9_9";
    const provider = {
      urn,
      custom: true,
      id: "5b3c2e5e-8a9e-4a53-8f2a-0d6f1d2c3b4a",
      type: "pulumi:providers:other",
      inputs: { version: "9.9.9" },
    };
    const latest = checkpoint.checkpoint.latest ?? { manifest: { time: "2026-01-01T00:00:00Z", magic: "", version: "" } };
    const changed = { ...checkpoint, checkpoint: { ...checkpoint.checkpoint, latest: { ...latest, resources: [provider] } } };
    writeFileSync(file, JSON.stringify(changed));
    const { out } = await run(["preview", "-s", "dev"]);
    assert.match(out, /^Engine: embedded .*other 9\.9\.9/);
    assert.match((await run(["preview"])).out, /other 9\.9\.9/, "also where the stack is the selected one");
    writeFileSync(file, JSON.stringify(checkpoint));
    rmSync(folder, { recursive: true });
  });

  test("--engine overrides, and is not passed on", async () => {
    const official = await run(["--engine", "pulumi", "preview", "--diff"]);
    assert.match(official.out, /^Engine: Pulumi CLI 3\.260\.0 .* because --engine pulumi was given\n/);
    assert.deepEqual(called()?.args, ["preview", "--diff"]);
    const folder = install("thing", "1.2.3");
    const embedded = await run(["preview", "--engine=embedded", "-s", "dev"]);
    assert.match(embedded.out, /^Engine: embedded 0\.1\.0, because --engine embedded was given\n/);
    assert.equal(called(), undefined);
    rmSync(folder, { recursive: true });
    const wrong = await run(["preview", "--engine", "turbo"]);
    assert.equal(wrong.err, 'error: invalid argument "turbo" for "--engine": it must be pulumi or embedded\n');
  });

  test("with --json the line about the engine goes to stderr", async () => {
    const { out, err } = await run(["preview", "--json", "-s", "dev", "--engine", "embedded"]);
    assert.match(err, /^Engine: embedded/);
    assert.equal(JSON.parse(out).changeSummary.create, 1);
  });

  test("a CLI that is too old or broken is named", async () => {
    const old = await run(["preview", "-s", "dev"], { STAND_IN_VERSION: "v3.100.0" });
    assert.match(
      old.out,
      /^Engine: embedded 0\.1\.0, because the Pulumi CLI at .*\/bin\/pulumi is too old: 3\.100\.0; at least 3\.200\.0 is needed\n/,
    );
    const broken = await run(["preview", "-s", "dev"], { STAND_IN_VERSION_EXIT: "3" });
    assert.match(broken.out, /because the Pulumi CLI at .*\/bin\/pulumi does not work: `pulumi version` failed \(3\)\n/);
    const forced = await run(["preview", "--engine", "pulumi"], { STAND_IN_VERSION: "v3.100.0" });
    assert.match(forced.err, /^error: --engine pulumi: the Pulumi CLI at .* is too old/);
    assert.equal(forced.exit, 1);
  });

  test("what only the CLI has is refused, unless the CLI runs", async () => {
    const refused = await run(["up", "--yes", "--policy-pack", "p"]);
    assert.match(refused.err, /^error: the embedded engine has no `--policy-pack`/);
    const folder = install("thing", "1.2.3");
    const taken = await run(["up", "--yes", "--policy-pack", "p", "-s", "dev"]);
    assert.equal(taken.exit, 0);
    assert.deepEqual(called()?.args, ["up", "--yes", "--policy-pack", "p", "-s", "dev"]);
    rmSync(folder, { recursive: true });
  });

  test("`pulumi --` passes anything on, with the stack in the environment", async () => {
    const { exit } = await run(["-s", "dev", "pulumi", "--", "stack", "rename", "--yes"], { STAND_IN_EXIT: "3" });
    assert.equal(exit, 3);
    const call = called();
    assert.deepEqual(call?.args, ["stack", "rename", "--yes"]);
    assert.equal(call?.env.PULUMI_STACK, "dev");
    assert.equal(call?.env.PULUMI_CONFIG_PASSPHRASE, passphrase);
    rmSync(join(root, "bin"), { recursive: true });
    const missing = await run(["pulumi", "--", "whoami"]);
    assert.equal(
      missing.err,
      "error: no Pulumi CLI was found on the PATH or in ~/.pulumi/bin; install it: https://www.pulumi.com/docs/install/\n",
    );
    putCli(join(root, "home", ".pulumi", "bin"));
    assert.equal((await run(["pulumi", "--", "whoami"])).exit, 0);
    rmSync(join(root, "home", ".pulumi", "bin"), { recursive: true });
    putCli(join(root, "bin"));
  });

  test("signals are passed on, and so is the one that ended it", async () => {
    const stopped = await run(["pulumi", "--", "up"], { STAND_IN_WAIT: "1" }, (out, kill) => {
      if (out.includes("waiting")) kill("SIGTERM");
    });
    assert.equal(stopped.exit, 75);
    assert.equal((await run(["pulumi", "--", "up"], { STAND_IN_SIGNAL: "SIGKILL" })).exit, "SIGKILL");
  });
});
