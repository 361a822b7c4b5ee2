/** The look at a server by SSH, on a real sshd: what is told where it answers, and why where it does not. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inspectServer } from "../../infra/components/vm/server.ts";
import { type Route, runBySsh, SshProblem } from "../../infra/components/vm/ssh.ts";
import { type KeyPair, makeKey, type Sshd, startSshd, whyNoSshd } from "../support/sshd.ts";

const why = whyNoSshd();
let folder: string;
let key: KeyPair;
let sshd: Sshd;

before(async () => {
  if (why !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "vm-ssh-"));
  key = makeKey(folder, "login");
  sshd = await startSshd({ authorizedKeys: [key.publicKey] });
});
after(async () => {
  await sshd?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const route = (more: Partial<Route> = {}): Route => ({
  host: "127.0.0.1",
  port: sshd.port,
  user: sshd.user,
  hostKey: sshd.hostKey,
  privateKey: key.privateKey,
  connectTimeoutMs: 10_000,
  ...more,
});

async function problemOf(given: Route): Promise<SshProblem> {
  try {
    await runBySsh(given, "true", "");
  } catch (error) {
    assert.ok(error instanceof SshProblem, String(error));
    return error;
  }
  throw new Error("it went well");
}

test("a command with its input, its output and its end", { skip: why }, async () => {
  const result = await runBySsh(route(), "cat; echo err >&2; exit 3", "in\n");
  assert.deepEqual(result, { code: 3, stdout: "in\n", stderr: "err\n" });
  assert.equal((await runBySsh(route({ bastion: route() }), "echo through", "")).stdout, "through\n");
});

test("output is told of while the command runs, for as long as it runs", { skip: why }, async () => {
  const pipe = join(folder, "pipe");
  const told: string[] = [];
  // It ends only when its first line has been heard here.
  const result = await runBySsh(route(), `mkfifo ${pipe}; echo first; read -r word <${pipe}; echo "$word"`, "", {
    timeoutMs: 0,
    onOutput(text) {
      told.push(text);
      if (told.length === 1) writeFileSync(pipe, "second\n");
    },
  });
  assert.deepEqual(result, { code: 0, stdout: "", stderr: "" });
  assert.equal(told.join(""), "first\nsecond\n");
});

test("facts of this machine in one connection", { skip: why }, async () => {
  const before = sshd.logins();
  const facts = await inspectServer(route(), ["openssh-server", "no-such-package"]);
  assert.equal(sshd.logins(), before + 1);
  assert.equal(facts.uid, 0);
  assert.ok(facts.cpus >= 1 && facts.memoryTotalMb > 100 && facts.sshPorts.includes(sshd.port), JSON.stringify(facts));
  assert.ok(Math.abs(facts.time - Date.now() / 1000) < 60);
});

test("why it cannot be reached, without a secret in the words", { skip: why }, async () => {
  const other = makeKey(folder, "other");
  const wrongKey = await problemOf(route({ hostKey: other.publicKey }));
  assert.equal(wrongKey.stage, "host-key");
  assert.match(wrongKey.message, /another key.*nothing was sent/);
  const stranger = await problemOf(route({ privateKey: other.privateKey }));
  assert.equal(stranger.stage, "login");
  assert.match(stranger.message, /authorized_keys/);
  const nobody = await problemOf(route({ port: 1 }));
  assert.equal(nobody.stage, "reach");
  assert.match(nobody.message, /127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)/);
  const noKey = await problemOf(route({ privateKey: "not a key\n" }));
  assert.equal(noKey.stage, "login");
  assert.match(noKey.message, /cannot be read/);
  for (const { message } of [wrongKey, stranger, nobody, noKey]) assert.ok(!message.includes("PRIVATE KEY"));
});
