/** The engine is killed at every boundary of an update of the target `docker`: those that follow end in what an undisturbed one makes. */
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { after, before, describe, test } from "node:test";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { type DockerStackTest, makeDockerStack } from "../support/docker-stack.ts";
import { dockerTree } from "../support/docker-tree.ts";
import { createInterruptedUps, type InterruptedUps } from "../support/interrupted-up.ts";

const skip = whyNoDocker() ?? false;
/** The key of the certificate is another one each time; the gateway writes into its data. */
const otherEachTime = /-(tls|data-1)$/;

describe("updates of a Docker host that are disturbed", { skip, timeout: 1_500_000 }, () => {
  let docker: TestDocker;
  let stack: DockerStackTest;
  let ups: InterruptedUps;
  let undisturbed: string[];
  let state: string[];

  before(async () => {
    docker = await startDocker();
    await provideImages(docker, { "nginx:1.28": "nginx", "debian:12-slim": "base" });
    const address = networkInterfaces()[docker.bridge]?.find(({ family }) => family === "IPv4")?.address ?? "";
    stack = await makeDockerStack(docker, address);
    stack.settings({
      docker: { host: docker.host, addresses: [address], directory: stack.directory, volumes: { keep: false } },
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
    await docker?.close();
    await stack?.clone.remove();
  });

  async function isAsUndisturbed(): Promise<void> {
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
  }

  test("killed at every boundary of every operation", async (context) => {
    const all: string[] = [];
    for (let run = 1; ; run++) {
      const { outcome, boundaries } = await ups.killedUp();
      all.push(...boundaries);
      if (outcome.code === 0) {
        context.diagnostic(`${all.length} boundaries in ${run - 1} updates that were killed`);
        break;
      }
      assert.ok(boundaries.length > 0, outcome.text);
    }
    // Each of the stack's own resources was begun, and was made, once more than it is there.
    const made = state.filter((urn) => /::(docker|command|random):/.test(urn.replace(/^.*\$/, "::"))).length;
    assert.equal(new Set(all.filter((line) => line.startsWith("made "))).size, made, all.join("\n"));
    assert.equal(new Set(all.filter((line) => line.startsWith("creating "))).size, made, all.join("\n"));
    await isAsUndisturbed();
  });
});
