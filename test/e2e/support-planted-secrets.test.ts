/** The search for planted secrets finds each one in each place where a deployment could leave it, and none where none is. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { runCommand } from "../support/outcome.ts";
import { type Finding, plantSecrets, type SecretSearch, searchFor } from "../support/planted-secrets.ts";

const secrets = plantSecrets();
const value = (number: number): string => Object.values(secrets)[number] ?? "";
const search: SecretSearch = searchFor(secrets);
const told = (found: Finding[]): string[] =>
  [...new Set(found.map(({ secret, place, form }) => `${secret}: ${form} in ${place}`))].sort();

test("there are twenty, all different, and a text without one is clean", () => {
  assert.equal(new Set(Object.values(secrets)).size, 20);
  assert.deepEqual(search.text("nothing", Object.keys(secrets).join()), []);
  assert.deepEqual(search.text("a part of one", value(0).slice(0, 12)), []);
});

test("every form of it is found", () => {
  const secret = value(0);
  const forms: { [form: string]: string } = {
    clear: `a ${secret} b`,
    json: JSON.stringify({ a: secret }),
    html: JSON.stringify({ a: secret }).replaceAll("&", "\\u0026"),
    url: `https://x.test/?a=${encodeURIComponent(secret)}`,
    hex: Buffer.from(secret).toString("hex"),
  };
  for (const [form, text] of Object.entries(forms)) {
    const name = form === "html" ? "json" : form;
    assert.ok(told(search.text("text", text)).includes(`planted-01: ${name} in text`), form);
  }
  for (const before of ["", "x", "xy", "user:", "a longer one: "]) {
    for (const encoding of ["base64", "base64url"] as const) {
      const text = Buffer.from(`${before}${secret}${before}`).toString(encoding);
      assert.deepEqual(told(search.text("text", text)), ["planted-01: base64 in text"], `${encoding} after "${before}"`);
    }
  }
  assert.deepEqual(told(search.text("text", JSON.stringify(JSON.stringify({ a: secret })))), ["planted-01: json in text"]);
  assert.deepEqual(told(search.text("text", gzipSync(`a ${secret}`))), ["planted-01: clear in text (gzip)"]);
});

test("files, arguments and environments", async () => {
  const folder = mkdtempSync(join(tmpdir(), "planted-"));
  const sleeping = spawn("sh", ["-c", 'read -r line; echo "$1"', "sh", value(1)], {
    env: { PATH: process.env.PATH, SECRET: value(2) },
    stdio: ["pipe", "ignore", "ignore"],
  });
  try {
    mkdirSync(join(folder, "deep/er"), { recursive: true });
    mkdirSync(join(folder, "allowed"));
    writeFileSync(join(folder, "deep/er/file"), `x=${value(0)}\n`);
    writeFileSync(join(folder, "deep/packed.gz"), gzipSync(value(3)));
    writeFileSync(join(folder, "allowed/token"), value(4));
    assert.deepEqual(told(search.files([folder], [join(folder, "allowed")])), [
      `planted-01: clear in file ${folder}/deep/er/file`,
      `planted-04: clear in file ${folder}/deep/packed.gz (gzip)`,
    ]);
    assert.deepEqual(told(search.files([folder], [/\/deep\//])), [`planted-05: clear in file ${folder}/allowed/token`]);
    assert.deepEqual(told(search.processes()), [
      `planted-02: clear in process ${sleeping.pid} (sh) cmdline`,
      `planted-03: clear in process ${sleeping.pid} (sh) environ`,
    ]);
  } finally {
    sleeping.kill("SIGKILL");
    await once(sleeping, "exit");
    rmSync(folder, { recursive: true, force: true });
  }
});

const noDocker = whyNoDocker();
if (noDocker) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${noDocker}`);

describe("of a Docker daemon", { skip: noDocker ?? false }, () => {
  let docker: TestDocker;
  before(async () => {
    docker = await startDocker();
    await docker.importBase("base:1");
  });
  after(() => docker?.close());

  test("inspections, logs, layers, histories, volumes, and processes in containers", { timeout: 120_000 }, async () => {
    const cli = async (...args: string[]): Promise<void> => {
      const { code, text } = await runCommand(["docker", "-H", docker.host, ...args]);
      assert.equal(code, 0, text);
    };
    await cli("run", "--name", "clean", "base:1", "true");
    assert.deepEqual(await search.docker(docker.host), []);
    const { code, text } = await runCommand(["docker", "-H", docker.host, "build", "-q", "-t", "own:1", "-"], {
      // What a later layer removes is in the one before all the same.
      input: `FROM base:1\nRUN echo '${value(0)}' > /tmp/gone\nRUN rm /tmp/gone\nENV KEY='${value(1)}'\n`,
      env: { ...process.env, DOCKER_BUILDKIT: "0" },
    });
    assert.equal(code, 0, text);
    await cli("run", "-d", "--name", "env", "-e", `KEY=${value(2)}`, "base:1", "sleep", "600");
    await cli("run", "--name", "logs", "-v", `/nothing:/x:ro`, "base:1", "sh", "-c", `echo '${value(3)}'`);
    await cli("volume", "create", "--label", `a=${value(4)}`, "labelled");
    await cli("network", "create", "--label", `a=${value(5)}`, "labelled");
    const found = await search.docker(docker.host);
    const places = (secret: string): string => told(found.filter((finding) => finding.secret === secret)).join("\n");
    assert.match(places("planted-01"), /clear in image file \S+layer\.tar: tmp\/gone/);
    assert.match(places("planted-01"), /in image \S+ history/);
    assert.match(places("planted-02"), /in image \S+ inspect/);
    assert.match(places("planted-03"), /in container env inspect/);
    assert.match(places("planted-04"), /clear in container logs logs/);
    assert.match(places("planted-05"), /volume labelled inspect/);
    assert.match(places("planted-06"), /network labelled inspect/);
    assert.ok(
      told(search.processes()).some((line) => /^planted-03: clear in process \d+ \((sleep|busybox)\) environ/.test(line)),
    );
    assert.deepEqual(
      [...new Set(found.map(({ secret }) => secret))].sort(),
      ["01", "02", "03", "04", "05", "06"].map((id) => `planted-${id}`),
    );
  });
});

const noMachine = whyNoMachine();
if (noMachine) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${noMachine}`);

describe("of a machine", { skip: noMachine ?? false }, () => {
  let machine: Machine;
  before(async () => {
    machine = await startMachine("planted");
  });
  after(() => machine?.stop());

  test("journal, units, files, arguments and environments", { timeout: 120_000 }, async () => {
    assert.deepEqual(told(await search.machine(machine)), []);
    const write = `cat > /etc/secret; mkdir -p /etc/allowed; cp /etc/secret /etc/allowed/token`;
    await machine.run(write, { input: value(0) });
    await machine.run(["systemd-cat", "-t", "test"], { input: `said ${value(1)}\n` });
    await machine.run(["sh", "-c", "cat > /etc/systemd/system/own.service && systemctl daemon-reload && systemctl start own"], {
      input: `[Service]\nType=exec\nEnvironment='KEY=${value(2)}'\nExecStart=sleep 600\n`,
    });
    const found = told(await search.machine(machine, ["/etc/allowed"]));
    const has = (line: RegExp): void =>
      assert.ok(
        found.some((one) => line.test(one)),
        `${line}:\n${found.join("\n")}`,
      );
    has(/^planted-01: clear in file \/etc\/secret$/);
    has(/^planted-02: clear in journal$/);
    has(/^planted-03: \w+ in units$/);
    has(/^planted-03: clear in process \d+ environ$/);
    assert.ok(!found.some((line) => line.includes("allowed") || line.includes("planted-04")), found.join("\n"));
  });
});
