/** Each type of the docker provider on a real daemon of any version: made, found unchanged, changed, replaced, drifted, deleted. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDockerProvider } from "../../engine/providers/docker/provider.ts";
import { type DiffResponse, type Provider, ProviderError, type ProviderLog } from "../../engine/providers/provider.ts";
import { isMap, type PropertyMap, type Value } from "../../engine/values.ts";
import type { TestDocker } from "./docker.ts";
import { freePort } from "./free-port.ts";

const signal = AbortSignal.timeout(300_000);
const planted = "pl4nted-s3cret-value";

interface Made {
  id: string;
  type: string;
  inputs: PropertyMap;
  state: PropertyMap;
}

/** Runs all of it on one daemon, which is started and ended here. */
export function dockerTypes(name: string, skip: string | undefined, start: () => Promise<TestDocker>): void {
  describe(name, { skip: skip ?? false }, () => suite(start));
}

function suite(start: () => Promise<TestDocker>): void {
  let docker: TestDocker;
  let provider: Provider;
  const logged: ProviderLog[] = [];
  const folder = mkdtempSync(join(tmpdir(), "docker-types-"));

  before(async () => {
    docker = await start();
    await docker.importBase("base:1");
    provider = createDockerProvider({ programDirectory: folder, log: (entry) => logged.push(entry) });
    await provider.configure({ args: { host: docker.host } });
  });
  after(async () => {
    await provider?.close();
    await docker?.close();
    rmSync(folder, { recursive: true });
  });

  const urnOf = (type: string) => `urn:pulumi:dev::p::docker:index/${type}::x`;
  const tokenOf = (type: string) => `docker:index/${type}`;

  async function check(type: string, news: PropertyMap, olds: PropertyMap = {}): Promise<PropertyMap> {
    const answer = await provider.check({
      urn: urnOf(type),
      olds,
      news,
      type: tokenOf(type),
      name: "x",
      randomSeed: "c2VlZA==",
    });
    assert.deepEqual(answer.failures ?? [], []);
    return answer.inputs ?? {};
  }

  async function make(type: string, news: PropertyMap): Promise<Made> {
    const inputs = await check(type, news);
    const { id = "", properties = {} } = await provider.create({ urn: urnOf(type), properties: inputs }, signal);
    const made = { id, type, inputs, state: properties };
    await unchanged(made);
    return made;
  }

  async function diff(made: Made, news: PropertyMap): Promise<DiffResponse> {
    const { id, type, state, inputs } = made;
    return await provider.diff({ id, urn: urnOf(type), olds: state, news: await check(type, news, inputs), oldInputs: inputs });
  }

  /** Neither a second run nor one after a refresh finds anything to do. */
  async function unchanged(made: Made): Promise<void> {
    assert.deepEqual((await diff(made, made.inputs)).detailedDiff ?? {}, {}, "a second run");
    const read = await refresh(made);
    assert.equal(read.id, made.id);
    assert.deepEqual((await diff(read, made.inputs)).detailedDiff ?? {}, {}, "a run after a refresh");
  }

  async function refresh(made: Made): Promise<Made> {
    const { id, type, state, inputs } = made;
    const read = await provider.read({ id, urn: urnOf(type), properties: state, inputs }, signal);
    return { ...made, id: read.id ?? "", state: read.properties ?? {} };
  }

  async function update(made: Made, news: PropertyMap): Promise<Made> {
    const { id, type, state } = made;
    const inputs = await check(type, news, made.inputs);
    const { properties = {} } = await provider.update({ id, urn: urnOf(type), olds: state, news: inputs }, signal);
    return { ...made, inputs, state: properties };
  }

  async function remove(made: Made): Promise<void> {
    await provider.delete({ id: made.id, urn: urnOf(made.type), properties: made.state }, signal);
    assert.equal((await refresh(made)).id, "", "it is gone");
    await provider.delete({ id: made.id, urn: urnOf(made.type), properties: made.state }, signal);
  }

  async function refused(type: string, news: PropertyMap): Promise<ProviderError> {
    const properties = await check(type, news);
    try {
      await provider.create({ urn: urnOf(type), properties }, signal);
    } catch (error) {
      assert.ok(error instanceof ProviderError, String(error));
      assert.ok(!error.message.includes(planted), error.message);
      return error;
    }
    throw new Error("it was made");
  }

  const inspect = (path: string) => docker.daemon.json({ method: "GET", path }, signal);

  test("a volume", async () => {
    const labels = [{ label: "a", value: "1" }];
    const volume = await make("volume:Volume", { name: "data", labels });
    assert.match(String(volume.state.mountpoint), /data/);
    const changed = await diff(volume, { name: "data", labels: [{ label: "a", value: "2" }] });
    assert.deepEqual(changed.replaces, ["labels"]);
    assert.equal(changed.deleteBeforeReplace, true, "two of one name cannot be there");
    await remove(volume);

    const own = await make("volume:Volume", {});
    assert.match(own.id, /^x-[0-9a-f]{7}$/, "a name is made up");
    assert.equal((await check("volume:Volume", {}, own.inputs)).name, own.id, "and kept");
    await remove(own);
  });

  test("a network", async () => {
    const given = {
      name: "net",
      internal: true,
      ipamConfigs: [{ subnet: "10.231.7.0/24", gateway: "10.231.7.1" }],
      options: { x: "y" },
    };
    const network = await make("network:Network", given);
    assert.deepEqual(network.state.ipamConfigs, [
      { auxAddress: null, gateway: "10.231.7.1", ipRange: "", subnet: "10.231.7.0/24" },
    ]);
    assert.deepEqual((await diff(network, { ...given, internal: false })).replaces, ["internal"]);
    const { message } = await refused("network:Network", { ...given, driver: "nothing" });
    assert.match(message, /^creating urn:.*: 1 error occurred:\n\t\* Unable to create network: Error response from daemon: /);
    await remove(network);
  });

  test("a container with everything that can be said", async () => {
    const port = await freePort();
    const network = await make("network:Network", { name: "n1", ipamConfigs: [{ subnet: "10.231.8.0/24" }] });
    const volume = await make("volume:Volume", { name: "v1" });
    writeFileSync(join(folder, "from-file"), "a file\n");
    const given: PropertyMap = {
      name: "all",
      image: "base:1",
      command: ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"],
      entrypoints: ["/bin/busybox"],
      envs: ["B=2", "A=1"],
      user: "0",
      workingDir: "/tmp",
      hostname: "inside",
      readOnly: true,
      init: true,
      restart: "on-failure",
      maxRetryCount: 3,
      memory: 64,
      memorySwap: 64,
      memoryReservation: 32,
      cpuShares: 512,
      cpus: "0.5",
      shmSize: 16,
      stopTimeout: 5,
      stopSignal: "SIGKILL",
      destroyGraceSeconds: 1,
      capabilities: { adds: ["NET_BIND_SERVICE"], drops: ["ALL"] },
      securityOpts: ["no-new-privileges"],
      tmpfs: { "/run": "size=1m,mode=755" },
      mounts: [
        { target: "/mnt/v", source: "v1", type: "volume", readOnly: true },
        { target: "/mnt/t", type: "tmpfs", tmpfsOptions: { sizeBytes: 1048576, mode: 0o700 } },
      ],
      volumes: [
        { volumeName: "v1", containerPath: "/data" },
        { hostPath: folder, containerPath: "/host", readOnly: true },
      ],
      ports: [
        { internal: 8080, external: port, ip: "127.0.0.1" },
        { internal: 53, protocol: "udp", ip: "127.0.0.1" },
      ],
      hosts: [{ host: "other", ip: "10.0.0.9" }],
      dns: ["10.0.0.53"],
      dnsOpts: ["ndots:1"],
      dnsSearches: ["example.test"],
      ulimits: [{ name: "nofile", soft: 2048, hard: 4096 }],
      sysctls: { "net.ipv4.ip_unprivileged_port_start": "0" },
      logDriver: "json-file",
      logOpts: { "max-size": "50m", "max-file": "5" },
      labels: [
        { label: "com.example.a", value: "1" },
        { label: "b", value: "2" },
      ],
      networksAdvanced: [{ name: "n1", aliases: ["web", "www"], ipv4Address: "10.231.8.9" }],
      healthcheck: { tests: ["CMD", "/bin/true"], interval: "1s", timeout: "1m30s", startPeriod: "500ms", retries: 2 },
      wait: true,
      waitTimeout: 60,
      groupAdds: ["27"],
      ipcMode: "private",
      devices: [{ hostPath: "/dev/null", containerPath: "/dev/other-null" }],
      uploads: [
        { file: "/etc/secret", content: planted, permissions: "0400" },
        { file: "/bin/script", contentBase64: Buffer.from("#!/bin/sh\n").toString("base64"), executable: true },
        { file: "/etc/from-file", source: "from-file" },
      ],
    };
    // Files can be put into a root that is read-only only before it runs, which the daemon refuses.
    const writable = { ...given, readOnly: false };
    const made = await make("container:Container", writable);
    const found = await inspect(`/containers/${made.id}/json`);
    const host = isMap(found.HostConfig) ? found.HostConfig : {};
    assert.deepEqual(
      [host.Memory, host.MemorySwap, host.NanoCpus, host.CapDrop, host.ShmSize, host.LogConfig],
      [
        67108864,
        67108864,
        500_000_000,
        ["ALL"],
        16777216,
        { Type: "json-file", Config: { "max-file": "5", "max-size": "50m" } },
      ],
    );
    const state = isMap(found.State) ? found.State : {};
    assert.equal(isMap(state.Health) && state.Health.Status, "healthy");

    const more = { ...writable, memory: 96, memorySwap: 96, restart: "always", maxRetryCount: 0 };
    const change = await diff(made, more);
    assert.deepEqual(change.replaces ?? [], []);
    assert.deepEqual(change.diffs, ["maxRetryCount", "memory", "memorySwap", "restart"]);
    const updated = await update(made, more);
    await unchanged(updated);
    const after = await inspect(`/containers/${made.id}/json`);
    assert.equal(isMap(after.HostConfig) && after.HostConfig.Memory, 96 * 1024 * 1024);

    const replaced = await diff(updated, { ...more, envs: ["A=1", "B=3"], logOpts: { "max-size": "10m" } });
    assert.deepEqual([...new Set(replaced.replaces)], ["envs", "logOpts"]);
    assert.equal(replaced.deleteBeforeReplace, true);

    await docker.daemon.bytes({ method: "POST", path: `/containers/${made.id}/stop`, query: { t: 0 } }, signal);
    const stopped = await refresh(updated);
    assert.equal(stopped.state.mustRun, false, "it should run and does not");
    assert.ok(Object.keys((await diff(stopped, more)).detailedDiff ?? {}).includes("mustRun"));
    await update(stopped, more);
    const again = await inspect(`/containers/${made.id}/json`);
    assert.equal(isMap(again.State) && again.State.Running, true, "an update starts it again");
    for (const item of [updated, network, volume]) await remove(item);
  });

  test("a container that never gets healthy, one that ends, one with unknown image or GPU", async () => {
    const healthcheck = { tests: ["CMD", "/bin/nothing"], interval: "1s", retries: 1 };
    const base = { name: "sick", image: "base:1", command: ["/bin/sleep", "1000"], envs: [`TOKEN=${planted}`] };
    const error = await refused("container:Container", { ...base, healthcheck, wait: true, waitTimeout: 2 });
    assert.equal(error.code, "partial", "it is there and must not be forgotten");
    assert.match(error.partial?.reasons[0] ?? "", /container failed to be in healthy state/);
    await provider.delete(
      { id: error.partial?.id ?? "", urn: urnOf("container:Container"), properties: error.partial?.properties },
      signal,
    );

    const ended = await make("container:Container", {
      name: "once",
      image: "base:1",
      command: ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"],
      attach: true,
      logs: true,
      mustRun: false,
    });
    assert.equal(ended.state.exitCode, 3);
    assert.equal(String(ended.state.containerLogs).split("\n").sort().join(","), ",err,out");
    await remove(ended);

    assert.match(
      (await refused("container:Container", { ...base, image: "127.0.0.1:1/no:1" })).message,
      /unable to pull image/,
    );
    const gpu = await refused("container:Container", { ...base, gpus: "all" });
    assert.match(gpu.message, /could not select device driver/);
    await provider.delete(
      { id: gpu.partial?.id ?? "", urn: urnOf("container:Container"), properties: gpu.partial?.properties },
      signal,
    );
    const twice = await refused("container:Container", { ...base, networksAdvanced: [{ name: "nowhere" }] });
    assert.match(twice.message, /network.*nowhere/);
    await provider.delete(
      { id: twice.partial?.id ?? "", urn: urnOf("container:Container"), properties: twice.partial?.properties },
      signal,
    );
  });

  test("customTimeouts bound an operation; what is there by then is not forgotten", async () => {
    const urn = urnOf("container:Container");
    const given = { name: "slow", image: "base:1", command: ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"] };
    const healthcheck = { tests: ["CMD", "/bin/nothing"], interval: "1s", retries: 100 };
    const properties = await check("container:Container", { ...given, healthcheck, wait: true, destroyGraceSeconds: 30 });
    const late = /^\w+ing urn:.*: 1 error occurred:\n\t\* context deadline exceeded: it took longer than 2 s; customTimeouts/;
    let state: PropertyMap | undefined;
    let id = "";
    await assert.rejects(provider.create({ urn, properties, timeout: 2 }, signal), (error) => {
      assert.ok(error instanceof ProviderError);
      assert.match(error.message, late);
      assert.equal(error.code, "partial");
      ({ id, properties: state } = error.partial ?? assert.fail());
      return true;
    });
    const began = Date.now();
    await assert.rejects(provider.delete({ urn, id, properties: state, timeout: 2 }, signal), { message: late });
    assert.ok(Date.now() - began < 20_000, "it does not wait until the container would have been ended");
    await provider.delete({ urn, id, properties: { ...state, destroyGraceSeconds: 0 } }, signal);
  });

  test("an image that is built, with what is ignored left out", async () => {
    const context = join(folder, "context");
    mkdirSync(join(context, "kept"), { recursive: true });
    writeFileSync(
      join(context, "Dockerfile"),
      'FROM base:1\nARG WHO\nCOPY . /all\nRUN ["/bin/sh", "-c", "echo $WHO; ls /all /all/kept"]\n',
    );
    writeFileSync(join(context, ".dockerignore"), "*.log\n!kept/this.log\n");
    for (const file of ["a.txt", "b.log", "kept/this.log"]) writeFileSync(join(context, file), file);
    writeFileSync(join(context, `${"long-".repeat(30)}name`), "long");
    const given = {
      name: "made:1",
      build: { context: "context", tags: ["made:2"], buildArgs: { WHO: planted }, buildLogFile: "build.log" },
    };
    const image = await make("remoteImage:RemoteImage", given);
    assert.match(image.id, /^sha256:[0-9a-f]{64}made:1$/);
    const said = logged.map((entry) => entry.message).join("\n");
    assert.match(said, /a\.txt[\s\S]*this\.log/);
    assert.ok(!said.includes("b.log"));
    assert.ok(!said.includes(planted), "build arguments are not shown");
    assert.deepEqual((await inspect("/images/made:2/json")).Id, image.state.imageId);
    const changed = await diff(image, { ...given, triggers: { a: "1" } });
    assert.ok(changed.replaces?.includes("triggers"));
    await remove(image);

    writeFileSync(join(context, "Dockerfile"), `FROM base:1\nARG WHO\nRUN ["/bin/sh", "-c", "echo $WHO; exit 4"]\n`);
    const failed = await refused("remoteImage:RemoteImage", given);
    assert.match(failed.message, /Error running legacy build: unable to build image[\s\S]*returned a non-zero code: 4/);
  });

  test("what is wrong is refused before anything is made", async () => {
    const wrong: [string, PropertyMap, RegExp][] = [
      ["container:Container", { name: "a" }, /Missing required property 'image'/],
      ["container:Container", { image: "a", memory: -1 }, /0 or more.*'x\.memory'/],
      ["container:Container", { image: "a", uploads: [{ file: "/a", permissions: "999" }] }, /'x\.uploads\[0\]\.permissions'/],
      ["container:Container", { image: "a", healthcheck: { interval: "soon" } }, /not a duration/],
      ["container:Container", { image: "a", imagee: planted }, /unknown key.*'x\.imagee'/],
      ["container:Container", { image: "a", gpus: "all", deviceRequests: [{}] }, /conflicts with gpus/],
      [
        "remoteImage:RemoteImage",
        { name: "a", build: { context: ".", secrets: [{ id: "s" }] } },
        /'secrets'.*pulumi plugin install/,
      ],
      ["remoteImage:RemoteImage", { name: "a", pullTriggers: ["a"], build: { context: "." } }, /conflicts with pull_triggers/],
    ];
    for (const [type, news, expected] of wrong) {
      const { failures = [] } = await provider.check({ urn: urnOf(type), olds: {}, news, name: "x" });
      const text = failures.map(({ reason }) => reason).join("\n");
      assert.match(text, expected);
      assert.ok(!text.includes(planted));
    }
    const image: Promise<unknown> = provider.check({
      urn: "urn:pulumi:dev::p::docker:index/image:Image::x",
      olds: {},
      news: {},
    });
    await assert.rejects(image, /not the resource type docker:index\/image:Image.*pulumi plugin install resource docker/);
  });

  test("an import by id", async () => {
    const made = await make("container:Container", { name: "found", image: "base:1", command: ["/bin/sleep", "1000"] });
    const read = await provider.read({ id: made.id, urn: urnOf("container:Container") }, signal);
    assert.equal(read.inputs?.name, "found");
    assert.equal(read.inputs?.image, "base:1");
    const none: Value = (await provider.read({ id: "0".repeat(64), urn: urnOf("container:Container") }, signal)).id ?? null;
    assert.equal(none, null);
    await remove(made);
  });
}
