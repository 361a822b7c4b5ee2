/** The search for planted secrets finds each one in each place where a deployment could leave it, and none where none is. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { runCommand } from "../support/outcome.ts";
import { type Finding, plantSecrets, type SecretSearch, searchFor } from "../support/planted-secrets.ts";
import { watchProcesses } from "../support/process-watch.ts";
import { makeKey } from "../support/sshd.ts";

const secrets = plantSecrets();
const value = (number: number): string => Object.values(secrets)[number] ?? "";
const search: SecretSearch = searchFor(secrets);
const told = (found: Finding[]): string[] =>
  [...new Set(found.map(({ secret, place, form }) => `${secret}: ${form} in ${place}`))].sort();

test("there are twenty, all different, and a text without one is clean", () => {
  assert.equal(new Set(Object.values(secrets)).size, 20);
  for (const one of Object.values(secrets)) assert.match(one, /^[\x21-\x7e]+$/);
  assert.deepEqual(search.text("nothing", Object.keys(secrets).join()), []);
  assert.deepEqual(search.text("a part of one", value(0).slice(0, 12)), []);
});

test("every form of each is found", () => {
  for (const [index, secret] of Object.values(secrets).entries()) {
    const name = Object.keys(secrets)[index];
    const forms: { [form: string]: string } = {
      clear: `a ${secret} b`,
      json: JSON.stringify({ a: secret }),
      "json in json": JSON.stringify(JSON.stringify({ a: secret })),
      url: `https://x.test/?a=${encodeURIComponent(secret)}`,
      form: new URLSearchParams({ a: secret }).toString(),
      shell: `'${secret.replaceAll("'", `'"'"'`)}'`,
      systemd: [...secret].map((letter) => (/\w/.test(letter) ? letter : `\\x${letter.charCodeAt(0).toString(16)}`)).join(""),
    };
    for (const [form, text] of Object.entries(forms))
      assert.deepEqual(told(search.text("text", text)), [`${name}: clear in text`], form);
    assert.deepEqual(told(search.text("text", Buffer.from(secret).toString("hex"))), [`${name}: hex in text`]);
    for (const before of ["", "x", "xy", "user:", "a longer one: "]) {
      for (const encoding of ["base64", "base64url"] as const) {
        const text = Buffer.from(`${before}${secret}${before}`).toString(encoding);
        assert.deepEqual(told(search.text("text", text)), [`${name}: base64 in text`], `${encoding} after "${before}"`);
      }
    }
    assert.deepEqual(told(search.text("text", gzipSync(`a ${secret}`))), [`${name}: clear in text (gzip)`]);
  }
});

test("private keys are told from their public halves", () => {
  const folder = mkdtempSync(join(tmpdir(), "planted-"));
  try {
    const ssh = makeKey(folder, "ssh");
    const openssh = readFileSync(ssh.file, "utf8");
    const pairs = [
      generateKeyPairSync("ec", { namedCurve: "P-256" }),
      generateKeyPairSync("ed25519"),
      generateKeyPairSync("rsa", { modulusLength: 2048 }),
    ].map(({ privateKey, publicKey }) => ({
      key: String(privateKey.export({ type: "pkcs8", format: "pem" })),
      der: privateKey.export({ type: "pkcs8", format: "der" }),
      open: String(publicKey.export({ type: "spki", format: "pem" })),
    }));
    for (const { key, der, open } of [...pairs, { key: openssh, der: undefined, open: ssh.publicKey }]) {
      const own = searchFor({ key });
      const is = (content: string | Buffer): boolean => own.text("text", content).length > 0;
      assert.ok(is(key) && is(JSON.stringify({ key })) && is(Buffer.from(key).toString("base64")) && is(gzipSync(key)), open);
      assert.ok(der === undefined || (is(der) && is(der.toString("hex"))), open);
      assert.ok(!is(open), open);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a text on the border of two pieces of a large file", () => {
  const folder = mkdtempSync(join(tmpdir(), "planted-"));
  try {
    for (const at of [4 * 1024 ** 2 - 5, 4 * 1024 ** 2, 8 * 1024 ** 2 - 15, 9 * 1024 ** 2]) {
      const bytes = Buffer.alloc(10 * 1024 ** 2, 0x61);
      bytes.write(value(0), at);
      writeFileSync(join(folder, "large"), bytes);
      assert.deepEqual(told(search.files([folder])), [`planted-01: clear in file ${folder}/large`], String(at));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
    writeFileSync(join(folder, "deep", value(5).replaceAll("/", "-")), "");
    symlinkSync(value(6), join(folder, "deep/link"));
    assert.deepEqual(told(search.files([folder], [join(folder, "allowed")])), [
      `planted-01: clear in file ${folder}/deep/er/file`,
      `planted-04: clear in file ${folder}/deep/packed.gz (gzip)`,
      `planted-06: clear in names in ${folder}/deep`,
      `planted-07: clear in names in ${folder}/deep`,
    ]);
    assert.deepEqual(told(search.files([folder], [join(folder, "deep")])), [
      `planted-05: clear in file ${folder}/allowed/token`,
    ]);
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

test("programs that start, however short they live", async () => {
  const watch = await watchProcesses();
  for (let index = 0; index < 5; index++) {
    await runCommand(["true", value(index)]);
    await runCommand(["true"], { env: { PATH: process.env.PATH, SECRET: value(5 + index) } });
    await runCommand(["true"], { env: { PATH: process.env.PATH, MAY_HOLD: value(10 + index) } });
  }
  const programs = await watch.stop();
  const found = search.programs(programs, [/ environ .*MAY_HOLD=/s]);
  const unread = programs.filter(({ cmdline }) => cmdline === "").length;
  assert.ok(programs.length >= 15, String(programs.length));
  const seen = told(found).map((line) => line.replace(/ process \d+/, ""));
  // One that ended before it was read is counted, and is not found.
  assert.ok(seen.filter((line) => line.endsWith("cmdline")).length >= 5 - unread, `${unread} unread:\n${seen.join("\n")}`);
  assert.ok(seen.filter((line) => line.endsWith("environ")).length >= 5 - unread, `${unread} unread:\n${seen.join("\n")}`);
  assert.ok(unread < programs.length / 2, `${unread} of ${programs.length}`);
  assert.ok(!seen.some((line) => /planted-1[1-9]/.test(line)), seen.join("\n"));
});

const noDocker = whyNoDocker();
if (noDocker) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${noDocker}`);

const script = 'echo "$1"; echo "$2" > /tmp/written; echo "$3" > /stored/file';

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
    assert.deepEqual(await search.docker(docker), []);
    // Words of a Dockerfile know dollars and quotes: what is planted there is plain.
    const { code, text } = await runCommand(["docker", "-H", docker.host, "build", "-q", "-t", "own:1", "-"], {
      // What a later layer removes is in the one before all the same.
      input: `FROM base:1\nRUN echo '${value(4)}' > /tmp/gone\nRUN rm /tmp/gone\nENV KEY='${value(8)}'\n`,
      env: { ...process.env, DOCKER_BUILDKIT: "0" },
    });
    assert.equal(code, 0, text);
    await cli("run", "-d", "--name", "env", "-e", `KEY=${value(2)}`, "base:1", "sleep", "600");
    await cli("run", "-d", "--name", "words", "base:1", "sh", "-c", 'sleep 600; echo "$0"', value(0));
    await cli(
      "run",
      "--name",
      "says",
      "-v",
      "stored:/stored",
      "base:1",
      "sh",
      "-c",
      script,
      "sh",
      value(3),
      value(6),
      value(7),
    );
    await cli("volume", "create", "--label", `a=${value(5)}`, "labelled");
    await cli("network", "create", "--label", `a=${value(9)}`, "labelled");
    const began = performance.now();
    const found = await search.docker(docker);
    console.log(`a daemon is searched in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    const places = (number: number): string =>
      told(found.filter(({ secret }) => secret === `planted-${String(number).padStart(2, "0")}`)).join("\n");
    assert.match(places(5), /clear in layer of \S+( \S+)*: tmp\/gone/);
    assert.match(places(5), /in image \S+ history/);
    assert.match(places(9), /in image own:1 inspect/);
    assert.match(places(3), /in container env inspect/);
    assert.match(places(3), /in file data\/containers\/\w+\/config\.v2\.json/);
    assert.match(places(4), /clear in container says logs/);
    assert.match(places(4), /in file data\/containers\/\w+\/\w+-json\.log/);
    assert.match(places(7), /clear in layer of container says: tmp\/written/);
    assert.match(places(8), /clear in file data\/volumes\/stored\/_data\/file/);
    assert.match(places(6), /volume labelled inspect/);
    assert.match(places(10), /network labelled inspect/);
    const processes = told(search.processes());
    const has = (line: RegExp): void =>
      assert.ok(
        processes.some((one) => line.test(one)),
        processes.join("\n"),
      );
    has(/^planted-03: clear in process \d+ \((sleep|busybox)\) environ/);
    has(/^planted-01: clear in process \d+ \((sh|busybox)\) cmdline/);
    assert.deepEqual(
      told(await search.docker(docker, [join(docker.folder, "data/volumes/stored/_data/file")])).filter((line) =>
        line.includes("stored/_data"),
      ),
      [],
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
      input: `[Service]\nType=exec\nEnvironment='KEY=${value(2).replaceAll("%", "%%")}'\nExecStart=sleep 600\n`,
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
