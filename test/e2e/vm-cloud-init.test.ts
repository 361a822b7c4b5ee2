/** A server that its own user data set up at its first boot, and that `up` came to afterwards, is the one that `up` makes over SSH alone. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { z } from "zod";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { makeNetwork, type Network } from "../support/network.ts";
import { searchFor } from "../support/planted-secrets.ts";
import { differencesOf, type Own } from "../support/same-servers.ts";
import { type KeyPair, makeKey } from "../support/sshd.ts";
import { type Sections, writeSections } from "../support/stack-file.ts";

const why = whyNoMachine();
if (why !== undefined) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${why}`);

const secrets = {
  gatewayToken: "gateway7f3a9c1e5b4d",
  "token-load": "caller2d8e6b4f1a",
  "apiKey-numbers": "provider9c4b7a2e6d",
};
const name = "ai.example.test";

const own: Own = [
  [/^\/var\/lib\/cloud\/|^\/var\/log\/cloud-init/, "what cloud-init was given, and its own record of it"],
  [/^\/etc\/sudoers\.d\/(60-openclaw|90-cloud-init-users)$/, "how the login became root before we came"],
  [/^\/etc\/openclaw\/secrets\/(redis-password|secret-redis-of-the-server)$/, "made at random for each stack"],
  [/^\/var\/lib\/openclaw-host\/user-data$/, "which files the first boot brought: they are ours to replace"],
];

const userDataSchema = z.object({
  write_files: z.array(z.object({ path: z.string(), content: z.string(), encoding: z.string().optional() })),
});

let folder: string;
let key: KeyPair;
let network: Network;
let clone: LocalClone;
const machines: Machine[] = [];

function write(stack: string, more: Sections, vm: Sections): void {
  writeSections(join(clone.directory, `stacks/Pulumi.${stack}.yaml`), {
    target: "vm",
    vm: { user: "admin", identity: { file: key.file }, redis: true, ...vm },
    proxy: { names: [name] },
    models: {
      providers: { numbers: { baseUrl: "http://192.0.2.1:9/v1", models: ["numbers"] } },
    },
    tokens: [{ id: "load" }],
    ...more,
  });
}

async function operate(stack: string, args: string[], input?: string): Promise<string> {
  const { code, text } = await clone.operate([...args, "-s", stack], input === undefined ? {} : { input });
  assert.equal(code, 0, `${args.join(" ")} of ${stack}:\n${text}`);
  return text;
}

async function create(stack: string): Promise<void> {
  await operate(stack, ["stack", "init", stack]);
  for (const [secret, value] of Object.entries(secrets)) await operate(stack, ["config", "set", "--secret", secret], value);
}

async function boot(machine: string, userData: string): Promise<Machine> {
  const started = await startMachine(machine, { network, login: "sudo", key, userData });
  machines.push(started);
  return started;
}

/** An image's own user and key, and nothing else. */
const bare = (publicKey: string): string => `#cloud-config
users:
  - default
  - name: admin
    shell: /bin/bash
    lock_passwd: true
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys: ["${publicKey}"]
ssh_pwauth: false
`;

before(() => {
  if (why !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "vm-cloud-init-"));
  key = makeKey(folder, "login");
  network = makeNetwork();
  clone = makeClone("cloud-init");
});
after(async () => {
  await Promise.all(machines.map((machine) => machine.stop()));
  network?.remove();
  await clone?.remove();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

test("user data and one up make the machine that up makes over SSH", { skip: why, timeout: 1_500_000 }, async (context) => {
  let userData = "";

  await context.test("user data without a secret", async () => {
    write("cloud", {}, { mode: "cloud-init", authorizedKeys: [key.publicKey] });
    write("plain", {}, { host: "192.0.2.1", hostKey: key.publicKey });
    await Promise.all(["cloud", "plain"].map(create));
    const text = await operate("cloud", ["up", "--yes"]);
    assert.match(text, /connects to nothing/);
    userData = await operate("cloud", ["stack", "output", "userData"]);
    const files = userDataSchema.parse(parse(userData)).write_files;
    const clear = files.map(({ content, encoding }) =>
      encoding ? gunzipSync(Buffer.from(content, "base64")).toString("utf8") : content,
    );
    const search = searchFor(secrets);
    for (const place of [userData, text, ...clear]) assert.deepEqual(search.text("user data", place), []);
    assert.ok(userData.length < 16_384, `${userData.length} bytes`);
  });

  if (userData === "") return;
  await context.test("both boot, and up comes to both", async (inner) => {
    const began = performance.now();
    const [cloud, plain] = await Promise.all([boot("cloud", userData), boot("plain", bare(key.publicKey))]);
    inner.diagnostic(`both booted in ${Math.round((performance.now() - began) / 1000)} s`);
    for (const machine of [cloud, plain]) {
      const { text } = await machine.run("cloud-init status --long");
      if (!/status: done/.test(text))
        assert.fail(`${text}\n${await machine.good("tail -n 40 /var/log/cloud-init-output.log")}`);
      // The same login as an operator has it.
      assert.equal((await machine.ssh("sudo -n true")).code, 0);
    }
    assert.equal((await cloud.run("ls -A /opt/openclaw/releases /etc/openclaw/secrets | grep -v :")).stdout.trim(), "");
    const server = ({ address4, hostKey }: Machine): Sections => ({ host: address4, hostKey });
    write("cloud", {}, { mode: "cloud-init", authorizedKeys: [key.publicKey], ...server(cloud) });
    write("plain", {}, server(plain));
    const up = performance.now();
    await Promise.all(["cloud", "plain"].map((stack) => operate(stack, ["up", "--yes"])));
    inner.diagnostic(`both up in ${Math.round((performance.now() - up) / 1000)} s`);
    for (const machine of [cloud, plain]) {
      const asked = await machine.good(
        `curl -sS --cacert /etc/ssl/openclaw/chain.pem --resolve ${name}:443:127.0.0.1 https://${name}/healthz`,
      );
      assert.match(asked, /"ok":true/);
      assert.equal((await machine.run("systemctl --failed --no-legend")).stdout.trim(), "");
    }
  });

  if (machines.length < 2) return;
  await context.test("packages, users, units, rules and files are the same", async () => {
    const [cloud, plain] = machines[0]?.name === "cloud" ? machines : [...machines].reverse();
    assert.ok(cloud && plain);
    assert.deepEqual(await differencesOf(plain, cloud, own), []);
  });

  await context.test("nothing is left to do", async () => {
    assert.doesNotMatch(await operate("cloud", ["up", "--yes"]), /updated|created|replaced/);
  });
});
