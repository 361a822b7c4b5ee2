/**
 * A stack on a Docker host with every kind of secret: none of them is anywhere in clear but in the files of those who need it,
 * and from elsewhere only the ports 80 and 443 answer. The host is a network namespace of its own.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeAuthority } from "../support/certificates.ts";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { graphics, vllmLayer } from "../support/graphics-stand-in.ts";
import { operateKnowing } from "../support/known-names.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { makeNetwork, type Network, type NetworkHost } from "../support/network.ts";
import { type NumberUpstream, startNumberUpstream } from "../support/number-upstream.ts";
import { runCommand } from "../support/outcome.ts";
import { type Pebble, startPebble, whyNoPebble } from "../support/pebble.ts";
import { askedStatus, passphraseFileIn, stopwatch, toldOnce } from "../support/planted-answers.ts";
import { type Finding, plantSecrets, searchFor } from "../support/planted-secrets.ts";
import {
  accountKey,
  encrypted,
  gatewaySecrets,
  gatewaySections,
  type RefusingServer,
  stackSecret,
  startRefusing,
} from "../support/planted-stack.ts";
import { fromContainer, scanPorts } from "../support/port-scan.ts";
import { type PrivateRegistry, startPrivateRegistry } from "../support/private-registry.ts";
import { watchProcesses } from "../support/process-watch.ts";
import { type Sections, writeSections } from "../support/stack-file.ts";

const skip = whyNoDocker({ nsenter: "util-linux", python3: "python3", openssl: "openssl" }) ?? whyNoPebble();
if (skip) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${skip}`);

const stack = "planted";
const name = "ai.example.test";

describe("a stack full of secrets on a Docker host", { skip: skip ?? false, timeout: 600_000 }, () => {
  let folder = "";
  let network: Network;
  let host: NetworkHost;
  let docker: TestDocker;
  let upstream: NumberUpstream;
  let refusing: RefusingServer;
  let registry: PrivateRegistry;
  let pebble: Pebble;
  let clone: LocalClone;
  const secrets: { [key: string]: string } = {};
  const printed: string[] = [];
  let isUp = false;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "planted-docker-"));
    const client = makeAuthority(folder).issue("client", ["client.test"]);
    const [registryPassword = "", vllmKey = "", tokenOfModels = "", dns = ""] = Object.values(plantSecrets(4));
    Object.assign(secrets, gatewaySecrets(client.key), {
      "apiKey-vllm": vllmKey,
      "secret-registry": registryPassword,
      "secret-hugging-face": tokenOfModels,
      "secret-account": accountKey(),
      // As certbot's plug-ins have it, of several lines, and not ASCII only.
      "secret-dns": `# für ünser "DNS"\ndns_cloudflare_api_token = ${dns}`,
    });
    network = makeNetwork();
    host = network.addHost();
    // Refusals are told at once, so that a scan takes seconds.
    for (const limit of ["net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])
      execFileSync("nsenter", [`--net=/run/netns/${host.name}`, "sysctl", "-q", "-w", limit]);
    docker = await startDocker(
      ["--insecure-registry", "10.0.0.0/8", "--add-runtime", "nvidia=runc"],
      [graphics(folder)],
      host.name,
    );
    await provideImages(docker, {
      "nginx:1.28": "nginx",
      "redis:7.4": "redis",
      "certbot/certbot:v5.1.0": "certbot",
      "debian:12-slim": "base",
    });
    const address = network.address4;
    upstream = await startNumberUpstream({ address });
    refusing = await startRefusing(address);
    registry = await startPrivateRegistry({
      address,
      username: "puller",
      password: registryPassword,
      layer: await vllmLayer(),
    });
    const externalAccount = { kid: "account-1", hmacKey: secrets["secret-account"] ?? "" };
    pebble = await startPebble({ address, externalAccount });
    await pebble.setAddresses(name, [host.address4]);
    clone = makeClone(stack);
    await operate(["stack", "init", stack]);
    const hidden = await encrypted(stackFile(), passphraseFile(), secrets);
    writeSections(stackFile(), { ...sections(client.cert), ...hidden });
  });

  after(async () => {
    await docker?.close();
    await upstream?.close();
    await refusing?.close();
    await registry?.close();
    await pebble?.stop();
    network?.remove();
    await clone?.remove();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const stackFile = (): string => join(clone.directory, `stacks/Pulumi.${stack}.yaml`);

  function sections(clientCertificate: string): Sections {
    const acme = {
      directory: pebble.directoryUrl,
      caFile: pebble.caFile,
      externalAccount: { kid: "account-1", hmacKey: stackSecret("account") },
      dns: { provider: "cloudflare", credentials: stackSecret("dns") },
    };
    const { models, ...gateway } = gatewaySections({
      numbers: upstream.baseUrl,
      refusing: refusing.baseUrl,
      clientCertificate,
    });
    return {
      ...gateway,
      models: {
        ...models,
        providers: { ...models.providers, vllm: { baseUrl: "http://vllm:8000/v1", models: ["some/model"] } },
      },
      target: "docker",
      docker: {
        host: docker.host,
        addresses: ["0.0.0.0", "::"],
        directory: join(clone.base, "compose"),
        redis: { enabled: true },
        // What any machine that runs this can give.
        limits: Object.fromEntries(["gateway", "nginx", "certbot", "redis"].map((service) => [service, { files: 8192 }])),
        registries: [{ address: registry.address, username: "puller", password: stackSecret("registry") }],
        vllm: {
          image: { name: `${registry.address}/team/vllm:1` },
          model: "some/model",
          gpus: 1,
          huggingFaceToken: stackSecret("hugging-face"),
        },
      },
      proxy: { names: [name], tls: { mode: "acme", acme } },
    };
  }

  async function operate(args: string[], input?: string): Promise<string> {
    const outcome =
      args[0] === "up"
        ? await operateKnowing(clone, { [name]: host.address4 }, [...args, "-s", stack])
        : await clone.operate([...args, "-s", stack], input === undefined ? {} : { input });
    printed.push(outcome.text);
    assert.equal(outcome.code, 0, `${args.join(" ")}\n${outcome.text}`);
    return outcome.text;
  }

  const volume = (of: string, file: string): string => join(docker.folder, `data/volumes/openclaw-${of}/_data`, file);

  test("no secret is anywhere but in the files of those who need it", async (t) => {
    const watch = await watchProcesses();
    t.after(watch.stop);
    const up = stopwatch();
    await operate(["up", "--yes", "--diff"]);
    console.log(`up: ${up()}`);
    isUp = true;
    assert.ok(registry.asked.allowed > 0 && registry.asked.refused > 0, "the registry's login was used");
    // What is used is not only stored.
    assert.equal(await ask("token-app", "numbers"), 200);
    for (const model of ["refused", "of-headers", "of-auth", "of-tls"]) assert.notEqual(await ask("gatewayToken", model), 200);
    assert.equal(await ask("", "numbers", `?token=${encodeURIComponent(secrets["token-ops"] ?? "")}`), 401);
    for (const command of [["logs", "-n", "500"], ["stack", "export"], ["stack", "output"], ["config"], ["refresh", "--yes"]])
      await operate(command);
    // A secret that changes shows in no difference.
    secrets["apiKey-refusing"] = Object.values(plantSecrets(1))[0] ?? "";
    await operate(["config", "set", "--secret", "apiKey-refusing"], secrets["apiKey-refusing"]);
    await operate(["preview", "--diff"]);
    await operate(["up", "--yes", "--diff"]);
    const programs = await watch.stop();

    // What was made on the way.
    const redis = readFileSync(volume("redis-config", "password.conf"), "utf8");
    secrets["redis-password"] = /requirepass (\S+)/.exec(redis)?.[1] ?? assert.fail("no password");
    secrets["certificate-key"] = readFileSync(volume("tls", "privkey.pem"), "utf8");
    secrets["stack-passphrase"] = readFileSync(passphraseFile(), "utf8").trim();
    assert.ok(Object.keys(secrets).length >= 20, Object.keys(secrets).join());

    const searching = stopwatch();
    const search = searchFor(secrets);
    const found = [
      ...(await search.docker(docker, [...homes().map(({ path }) => path)])),
      ...search.files([clone.home, clone.base, folder], [passphraseFile(), join(clone.directory, "node_modules"), ...given()]),
      ...search.processes(),
      ...search.programs(programs),
      ...printed.flatMap((text, index) => search.text(`what command ${index} printed`, text)),
    ];
    console.log(`${programs.length} programs were started; searched in ${searching()}`);
    const elsewhere = found.filter((finding) => !isGivenToVllm(finding));
    assert.deepEqual(toldOnce(elsewhere), []);
    assert.match(readFileSync(join(clone.base, "compose/compose.yaml"), "utf8"), /gateway-1/);
  });

  test("the search finds what is there: each secret in its own place", () => {
    const search = searchFor(secrets);
    const found = new Set(homes().flatMap(({ path }) => search.files([path]).map(({ secret }) => secret)));
    // The registry's login is used by the engine alone, and the passphrase lies with the operator.
    const elsewhere = ["secret-registry", "stack-passphrase"];
    assert.deepEqual(
      Object.keys(secrets).filter((key) => !found.has(key)),
      elsewhere,
    );
    assert.equal(search.files([passphraseFile()])[0]?.secret, "stack-passphrase");
  });

  test("where they are, only their reader may read them", () => {
    const modes = new Set(["400", "440", "600", "640"]);
    for (const { path, owner } of homes()) {
      const files = filesBelow(path);
      assert.ok(files.length > 0, `nothing in ${path}`);
      for (const file of files) {
        const { mode, uid } = lstatSync(file);
        assert.ok(modes.has((mode & 0o777).toString(8)), `${file}: ${(mode & 0o777).toString(8)}`);
        assert.equal(uid, owner, file);
      }
    }
    assert.equal(lstatSync(passphraseFile()).mode & 0o077, 0);
  });

  /** Where secrets live: the reader's own files, in volumes that nobody else has. */
  function homes(): { path: string; owner: number }[] {
    return [
      { path: volume("secrets", ""), owner: 1000 },
      { path: volume("redis-config", "password.conf"), owner: 1000 },
      // Its image runs as root.
      { path: volume("vllm-secrets", ""), owner: 0 },
      { path: volume("certbot-config", "cli.ini"), owner: 1000 },
      { path: volume("certbot-config", "dns-credentials"), owner: 1000 },
      { path: volume("tls", "privkey.pem"), owner: 1000 },
      { path: volume("certbot", "config/archive/openclaw/privkey1.pem"), owner: 1000 },
      { path: volume("certbot", "config/keys"), owner: 1000 },
    ];
  }

  /** The test's own. */
  const given = (): string[] => [join(folder, "client.key"), join(folder, "ca.key")];
  const passphraseFile = (): string => passphraseFileIn(clone.home);

  for (const [family, from] of [
    ["address4", "another host"],
    ["address6", "another host"],
    ["address4", "another container"],
    ["address6", "another container"],
  ] as const) {
    test(`seen from ${from} by its ${family}, only 80 and 443 answer`, { timeout: 200_000 }, async () => {
      assert.ok(isUp, "the stack is not up");
      const prefix = from === "another host" ? network.addHost().prefix : fromContainer(await stranger());
      const scanning = stopwatch();
      const found = await scanPorts(host[family], { prefix });
      console.log(`scanned in ${scanning()}`);
      assert.deepEqual(found, { tcp: [80, 443], tcpSilent: 0, udp: [], udpSilent: [] });
    });
  }

  test("containers themselves cannot be reached from outside of their networks", { timeout: 200_000 }, async () => {
    const tcpPorts = [22, 80, 443, 6379, 8000, 8080, 8081, 8443, 9090, 18_789, 18_790];
    const containers: { Names: string[]; NetworkSettings: { Networks: { [name: string]: { IPAddress: string } } } }[] =
      JSON.parse(
        (await docker.daemon.bytes({ method: "GET", path: "/containers/json" }, AbortSignal.timeout(30_000))).toString("utf8"),
      );
    const pid = await stranger();
    const own = containers.filter(({ Names }) => Names[0]?.startsWith("/openclaw-"));
    assert.ok(own.length >= 4, own.map(({ Names }) => Names[0]).join());
    for (const { Names, NetworkSettings } of own) {
      for (const { IPAddress } of Object.values(NetworkSettings.Networks)) {
        const found = await scanPorts(IPAddress, { prefix: fromContainer(pid), tcpPorts, udpPorts: [53, 6379] });
        assert.deepEqual(found.tcp, [], `${Names[0]} at ${IPAddress}`);
        assert.deepEqual(found.udp, [], `${Names[0]} at ${IPAddress}`);
      }
    }
  });

  test("the scan finds a port that is open", async () => {
    const server = ["nsenter", `--net=/run/netns/${host.name}`, "python3", "-m", "http.server", "--bind", "::", "4711"];
    const running = runCommand(["timeout", "20", ...server]);
    const pid = await stranger();
    for (const prefix of [network.addHost().prefix, fromContainer(pid)]) {
      for (const address of [host.address4, host.address6]) {
        for (const until = Date.now() + 15_000; ; ) {
          const { tcp } = await scanPorts(address, { prefix, tcpPorts: [80, 443, 4711], udpPorts: [] });
          if (tcp.includes(4711)) break;
          assert.ok(Date.now() < until, `${address}: ${tcp.join()}`);
        }
      }
    }
    await running;
  });

  /** A container of somebody else's, with addresses of both kinds: its process here. */
  let strangerPid = 0;
  async function stranger(): Promise<number> {
    if (strangerPid > 0) return strangerPid;
    const cli = async (...args: string[]): Promise<string> => {
      const { code, stdout, text } = await runCommand(["docker", "-H", docker.host, ...args]);
      assert.equal(code, 0, text);
      return stdout.trim();
    };
    await cli("network", "create", "--ipv6", "--subnet", "fd00:beef::/64", "foreign");
    const id = await cli("run", "-d", "--network", "foreign", "debian:12-slim", "sleep", "600");
    strangerPid = Number(await cli("inspect", "-f", "{{.State.Pid}}", id));
    return strangerPid;
  }

  const ask = (key: string, model: string, query?: string): Promise<number> =>
    askedStatus({ address: host.address4, name }, secrets[key] ?? "", model, query);
});

/** vLLM takes its own two from the environment alone: they are in that of its process, which root alone may read, and in nobody else's. */
function isGivenToVllm({ secret, place }: Finding): boolean {
  return (
    /^process \d+ \((vllm|sh|sleep|cat|busybox|exe)\) environ$/.test(place) &&
    /^(apiKey-vllm|secret-hugging-face)$/.test(secret)
  );
}

function filesBelow(path: string): string[] {
  if (lstatSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .map((file) => join(path, file))
    .filter((file) => lstatSync(file).isFile());
}
