/**
 * The engine is killed, and separately the connection to the daemon is cut, wherever an update of the target `docker` can be
 * disturbed: the updates that follow end in what an undisturbed one makes.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type CuttingProxy, startCuttingProxy } from "../support/cutting-proxy.ts";
import { bridgeAddress, startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { type DockerStackTest, makeDockerStack } from "../support/docker-stack.ts";
import { dockerTree } from "../support/docker-tree.ts";
import { createInterruptedUps, type InterruptedUps } from "../support/interrupted-up.ts";

const skip = whyNoDocker() ?? false;
/** The key of the certificate is another one each time; the gateway writes into its data. */
const otherEachTime = /-(tls|data-1)$/;

describe("updates of a Docker host that are disturbed", { skip, timeout: 1_500_000 }, () => {
  let docker: TestDocker;
  let proxy: CuttingProxy;
  let stack: DockerStackTest;
  let ups: InterruptedUps;
  let undisturbed: string[];
  let state: string[];

  before(async () => {
    docker = await startDocker();
    await provideImages(docker, { "nginx:1.28": "nginx", "debian:12-slim": "base" });
    proxy = await startCuttingProxy(join(docker.folder, "proxy.sock"), docker.host.slice("unix://".length));
    const address = bridgeAddress(docker.bridge);
    stack = await makeDockerStack(docker, address);
    stack.settings({
      docker: { host: proxy.host, addresses: [address], directory: stack.directory, volumes: { keep: false } },
      models: { providers: { none: { baseUrl: `http://${address}:1/v1`, models: ["none"] } } },
    });
    await stack.secret("gatewayToken", "a-token-that-stays-the-same-0123456789");
    await stack.secret("apiKey-none", "a-key-that-stays-the-same");
    await stack.run(["up", "--yes", "--skip-preview"]);
    ups = createInterruptedUps(stack.clone, "dock");
    undisturbed = await dockerTree(docker, otherEachTime);
    state = ups.state().resources;
    await stack.run(["destroy", "--yes", "--skip-preview"]);
  });

  after(async () => {
    await proxy?.close();
    await docker?.close();
    await stack?.clone.remove();
  });

  test("killed and cut at every boundary of every operation, and in the middle of what is copied", async (context) => {
    const killed: string[] = [];
    const cut: string[] = [];
    for (let run = 0; ; run++) {
      proxy.arm();
      const { outcome, boundaries } = await ups.killedUp();
      const cuts = proxy.arm();
      killed.push(...boundaries);
      cut.push(...cuts);
      if (outcome.code === 0) {
        context.diagnostic(
          `${run} updates that were disturbed: ${killed.length} boundaries killed at, ${cut.length} requests cut`,
        );
        break;
      }
      assert.ok(boundaries.length + cuts.length > 0, `${outcome.text}\nbroke off by itself: ${proxy.broken().join(", ")}`);
    }
    proxy.disarm();
    // Each of the stack's own resources was begun, and was made, once more than it is there.
    const own = state.filter((urn) => /::(docker|command|random):/.test(urn.replace(/^.*\$/, "::")));
    for (const kind of ["made", "creating"])
      assert.equal(new Set(killed.filter((line) => line.startsWith(`${kind} `))).size, own.length, killed.join("\n"));
    for (const wanted of [
      /^POST \/build: (not sent|half sent|answer lost)$/,
      /\/archive: (half sent|answer lost)$/,
      /^POST \/networks\/create openclaw-(edge|internal): (not sent|answer lost)$/,
      /^POST \/volumes\/create openclaw-data-1: (not sent|answer lost)$/,
      /^POST \/containers\/create openclaw-(nginx|gateway-1)-\w+: (not sent|answer lost)$/,
      /^POST \/networks\/openclaw-internal\/connect: answer lost$/,
      /^POST \/containers\/openclaw-(nginx|gateway-1)-\w+\/start: answer lost$/,
    ])
      assert.ok(
        cut.some((kind) => wanted.test(kind)),
        `${wanted} is not in:\n${cut.join("\n")}`,
      );
    const now = ups.state();
    assert.deepEqual(now.resources, state);
    // What a command did on the user's own machine stays on record until a refresh, as the official CLI has it.
    assert.deepEqual(
      now.pending.filter((urn) => !urn.includes("command:local:Command::")),
      [],
    );
    assert.deepEqual(await dockerTree(docker, otherEachTime), undisturbed);
    const { text } = await ups.up();
    assert.match(text, /^ {4}\d+ unchanged$/m);
    assert.doesNotMatch(text, /created|updated|replaced|deleted/);
  });
});
