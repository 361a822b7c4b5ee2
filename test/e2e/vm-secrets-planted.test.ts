/**
 * A stack on a server with every kind of secret: none of them is anywhere in clear but in the files of those who need it, user data
 * included; and from elsewhere only SSH and the ports 80 and 443 answer.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeAuthority } from "../support/certificates.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { makeNetwork, type Network } from "../support/network.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";
import { askedStatus, passphraseFileIn, stopwatch, toldOnce } from "../support/planted-answers.ts";
import { plantSecrets, searchFor } from "../support/planted-secrets.ts";
import {
  encrypted,
  gatewaySecrets,
  gatewaySections,
  type RefusingServer,
  stackSecret,
  startRefusing,
} from "../support/planted-stack.ts";
import { scanPorts } from "../support/port-scan.ts";
import { watchProcesses } from "../support/process-watch.ts";
import { type Sections, writeSections } from "../support/stack-file.ts";

const skip = whyNoMachine();
if (skip) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${skip}`);

const stack = "planted";
const name = "ai.example.test";

/** On the server: root's files, what systemd hands on to a service and to nobody else, and Redis's own file in memory. */
const homes = [
  "/etc/openclaw/secrets",
  "/etc/ssl/openclaw/key.pem",
  "/run/credentials/openclaw-gateway.service",
  "/run/credentials/openclaw-redis.service",
  "/run/openclaw-redis/password.conf",
];

describe("a stack full of secrets on a server", { skip: skip ?? false, timeout: 900_000 }, () => {
  let network: Network;
  let machine: Machine;
  let upstream: NumberUpstream;
  let refusing: RefusingServer;
  let clone: LocalClone;
  const secrets: { [key: string]: string } = {};
  const printed: string[] = [];
  let isUp = false;
  let shared: Sections = {};

  before(async () => {
    network = makeNetwork();
    const address = network.address4;
    upstream = await startNumberUpstream({ address });
    refusing = await startRefusing(address);
    machine = await startMachine("planted", { network, login: "sudo" });
    clone = makeClone(stack);
    const authority = makeAuthority(clone.base);
    const client = authority.issue("client", ["client.test"]);
    const server = authority.issue("server", [name]);
    Object.assign(secrets, gatewaySecrets(client.key), {
      "secret-server-key": server.key,
      "secret-ssh-key": readFileSync(machine.key.file, "utf8"),
      "apiKey-ollama": Object.values(plantSecrets(1))[0] ?? "",
    });
    const { models, ...gateway } = gatewaySections({
      numbers: upstream.baseUrl,
      refusing: refusing.baseUrl,
      clientCertificate: client.cert,
    });
    const ollama = { baseUrl: `${refusing.baseUrl}/ollama`, models: ["other"] };
    shared = {
      ...gateway,
      models: { ...models, providers: { ...models.providers, ollama } },
      target: "vm",
      proxy: { names: [name], tls: { mode: "files", files: { certificate: server.cert, key: stackSecret("server-key") } } },
    };
    await operate(stack, ["stack", "init", stack]);
    const hidden = await encrypted(stackFile(stack), passphraseFile(), secrets);
    writeSections(stackFile(stack), { ...shared, ...hidden, vm: login() });
  });

  after(async () => {
    await machine?.stop();
    await upstream?.close();
    await refusing?.close();
    network?.remove();
    await clone?.remove();
  });

  const stackFile = (of: string): string => join(clone.directory, `stacks/Pulumi.${of}.yaml`);
  const login = (): object => ({
    host: machine.address4,
    port: machine.sshPort,
    user: machine.user,
    hostKey: machine.hostKey,
    identity: stackSecret("ssh-key"),
    unattendedUpgrades: false,
    redis: true,
  });

  async function operate(of: string, args: string[], input?: string): Promise<string> {
    const outcome = await clone.operate([...args, "-s", of], input === undefined ? {} : { input });
    printed.push(outcome.text);
    assert.equal(outcome.code, 0, `${args.join(" ")}\n${outcome.text}`);
    return outcome.text;
  }

  test("no secret is anywhere but in the files of those who need it", async (t) => {
    const watch = await watchProcesses();
    t.after(watch.stop);
    const up = stopwatch();
    await operate(stack, ["up", "--yes", "--diff"]);
    console.log(`up: ${up()}`);
    isUp = true;
    assert.equal(await ask("token-app", "numbers"), 200);
    for (const model of ["refused", "of-headers", "of-auth", "of-tls"]) assert.notEqual(await ask("gatewayToken", model), 200);
    assert.equal(await ask("", "numbers", `?token=${encodeURIComponent(secrets["token-ops"] ?? "")}`), 401);
    // A secret that changes shows in no difference.
    secrets["apiKey-refusing"] = Object.values(plantSecrets(1))[0] ?? "";
    await operate(stack, ["config", "set", "--secret", "apiKey-refusing"], secrets["apiKey-refusing"]);
    await operate(stack, ["preview", "--diff"]);
    await operate(stack, ["up", "--yes", "--diff"]);
    for (const command of [["stack", "export"], ["stack", "output"], ["config"], ["refresh", "--yes"]])
      await operate(stack, command);
    await operate(stack, ["releases", "list"]);
    assert.match(await operate(stack, ["status"]), /all services run on .*\n[\s\S]* openclaw-gateway\.service +active$/m);
    assert.match((await clone.operate(["stop", "-s", stack])).text, /not run on this machine: use systemctl stop/);
    assert.match(await operate(stack, ["logs", "-n", "1000"]), /^\{"/m);
    assert.match(await operate(stack, ["logs", "-n", "50", "ssh"]), /^Accepted publickey for /m);
    await operateCloudInit();
    const programs = await watch.stop();

    // What was made on the way.
    secrets["redis-password"] = (await machine.good("cat /etc/openclaw/secrets/redis-password")).trim();
    secrets["stack-passphrase"] = readFileSync(passphraseFile(), "utf8").trim();
    secrets["host-key"] = readFileSync(machine.file("/etc/ssh/ssh_host_ed25519_key"), "utf8");

    const searching = stopwatch();
    const search = searchFor(secrets);
    const found = [
      ...(await search.machine(machine, [...homes, "/etc/ssh/ssh_host_ed25519_key"])),
      ...search.files([clone.base], [passphraseFile(), join(clone.directory, "node_modules"), /\/(server|client|ca)\.key$/]),
      ...search.processes(),
      ...search.programs(programs),
      ...printed.flatMap((text, index) => search.text(`what command ${index} printed`, text)),
    ];
    console.log(`${programs.length} programs were started; searched in ${searching()}`);
    assert.deepEqual(toldOnce(found), []);
  });

  /** The same stack before its server is there: what it renders for the first boot. */
  async function operateCloudInit(): Promise<void> {
    const key = machine.key.publicKey.split(" ").slice(0, 2).join(" ");
    await operate("cloud", ["stack", "init", "cloud"]);
    const { "secret-ssh-key": _way, ...others } = secrets;
    const hidden = await encrypted(stackFile("cloud"), passphraseFile(), others);
    const vm = { mode: "cloud-init", authorizedKeys: [key], redis: true };
    writeSections(stackFile("cloud"), { ...shared, ...hidden, vm });
    await operate("cloud", ["up", "--yes"]);
    assert.match(await operate("cloud", ["stack", "output", "userData"]), /#cloud-config/);
  }

  test("the search finds what is there: each secret in its own place, which nobody else may read", async () => {
    const there: { [secret: string]: string } = {};
    const search = searchFor(secrets);
    for (const home of homes) {
      const text = (await machine.good(["sh", "-c", `find ${home} -type f -exec cat {} +`])).toString();
      for (const { secret } of search.text(home, text)) there[secret] = home;
    }
    // The operator's: the way to the server, and what encrypts the stack.
    const elsewhere = ["secret-ssh-key", "stack-passphrase", "host-key"];
    assert.deepEqual(
      Object.keys(secrets).filter((secret) => there[secret] === undefined),
      elsewhere,
    );
    assert.equal(search.files([passphraseFile()])[0]?.secret, "stack-passphrase");
    const modes = await machine.good(["sh", "-c", `find ${homes.join(" ")} -type f -printf '%m %u %p\\n'`]);
    assert.ok(modes.trim().split("\n").length > 15, modes);
    for (const line of modes.trim().split("\n")) assert.match(line, /^[46][04]0 (root|openclaw|redis) /);
    for (const user of ["nobody", "www-data"]) {
      const readable = await machine.run(
        `setpriv --reuid=${user} --regid=nogroup --clear-groups find ${homes.join(" ")} -type f -readable`,
      );
      assert.equal(readable.stdout, "", user);
    }
  });

  test("seen from another host, only SSH, 80 and 443 answer", { timeout: 300_000 }, async () => {
    assert.ok(isUp, "the stack is not up");
    const { prefix } = network.addHost();
    const scanning = stopwatch();
    const scans = await Promise.all([machine.address4, machine.address6].map((address) => scanPorts(address, { prefix })));
    console.log(`scanned in ${scanning()}`);
    for (const { tcp, udp } of scans)
      assert.deepEqual({ tcp, udp }, { tcp: [machine.sshPort, 80, 443].sort((a, b) => a - b), udp: [] });
    // What a firewall swallows could still listen: without it, too, nothing else would answer.
    const listening = (await machine.good("ss -Hltun"))
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
    const open = listening.filter((words) => !/^(127\.|\[::1\]|\[::ffff:127)/.test(words[4] ?? ""));
    assert.deepEqual([...new Set(open.map((words) => `${words[0]} ${words[4]?.split(":").at(-1)}`))].sort(), [
      "tcp 22",
      "tcp 443",
      "tcp 80",
    ]);
  });

  test("the scan finds a port that is open", async () => {
    const { prefix } = network.addHost();
    await machine.good(
      "nft insert rule inet filter input accept 2>/dev/null; systemctl stop openclaw-firewall nftables 2>/dev/null; nft flush ruleset",
    );
    await machine.good("systemd-run --unit=open-port python3 -m http.server --bind :: 4711");
    for (const address of [machine.address4, machine.address6]) {
      for (const until = Date.now() + 30_000; ; ) {
        const { tcp } = await scanPorts(address, { prefix, tcpPorts: [443, 4711], udpPorts: [] });
        if (tcp.includes(4711)) break;
        assert.ok(Date.now() < until, `${address}: ${tcp.join()}`);
      }
    }
  });

  const passphraseFile = (): string => passphraseFileIn(clone.home);

  const ask = (key: string, model: string, query?: string): Promise<number> =>
    askedStatus({ address: machine.address4, name }, secrets[key] ?? "", model, query);
});
