/** The containers of a Docker host and its compose.yaml, as text beside their settings; and what all of them have in common. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { listensOn } from "../../infra/doctor/docker-ports.ts";
import { certbotShape } from "../../infra/render/docker/certbot.ts";
import { renderCompose } from "../../infra/render/docker/compose.ts";
import { type ContainerShape, containerHash } from "../../infra/render/docker/container.ts";
import * as shapes from "../../infra/render/docker/containers.ts";
import { containerNetworks, settingsForContainers, startRevision } from "../../infra/render/docker/gateway-config.ts";
import { ollamaShape, vllmShape } from "../../infra/render/docker/model-servers.ts";
import { parseSettings } from "../../infra/settings.ts";
import { dockerSettings } from "../../infra/settings-docker.ts";
import { proxySettings } from "../../infra/settings-proxy.ts";
import { assertGolden } from "../support/golden-file.ts";

const folder = join(import.meta.dirname, "golden/docker");
const caseSchema = z.object({ docker: dockerSettings.prefault({}), proxy: proxySettings.prefault({}) });

function containersOf(text: string): { project: string; containers: ContainerShape[] } {
  const { docker, proxy } = caseSchema.parse(JSON.parse(text));
  const input: shapes.ContainersInput = {
    docker,
    proxy,
    gatewayPort: 18789,
    gatewayImage: "openclaw-gateway:0123456789ab",
    gatewayRevision: "01234567",
    reachesHost: true,
    drainMs: 35_000,
    redis: shapes.needsRedis(docker, { written: {} }),
    vllmKey: true,
  };
  const containers = [
    ...(input.redis ? [shapes.redisShape(input)] : []),
    ...[vllmShape(input), ollamaShape(input)].filter((shape) => shape !== undefined),
    ...shapes.gatewayShapes(input),
    ...(docker.balancer === "haproxy" ? [shapes.haproxyShape(input)] : []),
    shapes.nginxShape(input),
    ...(proxy.tls.mode === "acme" ? [certbotShape(input)] : []),
    shapes.toolsShape(input),
  ];
  return { project: docker.project, containers };
}

for (const file of globSync("*.settings.json", { cwd: folder }).sort()) {
  const name = basename(file, ".settings.json");
  test(`compose.yaml of ${name}`, () => {
    const { project, containers } = containersOf(readFileSync(join(folder, file), "utf8"));
    const volumes = [...new Set(containers.flatMap((shape) => shape.volumes.map(({ from }) => from)))];
    const networks = ["edge", "internal"];
    assertGolden(join(folder, `${name}.compose.yaml`), renderCompose({ project, networks, volumes, containers }));
    for (const shape of containers) {
      assert.ok(shape.limits.memoryMb !== undefined || shape.gpus !== undefined || shape.service === "ollama", shape.service);
      assert.ok(shape.service === "nginx" || shape.ports === undefined, `${shape.service} publishes a port`);
      assert.equal(shape.capabilities, undefined, `${shape.service} has a capability`);
    }
  });
}

test("a container has another name where something of it is another, and only then", () => {
  const [one, same, other] = ["{}", "{}", '{"docker":{"limits":{"gateway":{"memory":"3g"}}}}'].map((text) =>
    containersOf(text).containers.map(containerHash),
  );
  assert.deepEqual(one, same);
  assert.notEqual(one?.[0], other?.[0]);
  assert.equal(one?.[1], other?.[1], "nginx stays when the gateway changes");
});

test("names of images: mirror, registry, digest", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const cases: [Parameters<typeof shapes.imageName>[0], string | undefined, string][] = [
    [{ name: "nginx:1.28" }, undefined, "nginx:1.28"],
    [{ name: "nginx:1.28" }, "mirror.test/hub", "mirror.test/hub/library/nginx:1.28"],
    [{ name: "certbot/certbot:v5" }, "mirror.test:5000", "mirror.test:5000/certbot/certbot:v5"],
    [{ name: "ghcr.io/a/b:1" }, "mirror.test", "ghcr.io/a/b:1"],
    [{ name: "localhost/a:1" }, "mirror.test", "localhost/a:1"],
    [{ name: "registry.test:5000/a:1", digest }, undefined, `registry.test:5000/a@${digest}`],
  ];
  for (const [image, mirror, expected] of cases) assert.equal(shapes.imageName(image, mirror), expected);
});

test("gateways in containers: proxies are trusted, Redis is theirs, and a revision is of what only a start reads", () => {
  const raw = { demo: { value: '{"enabled":true}', secret: false }, target: { value: "docker", secret: false } };
  const { settings } = parseSettings(raw, ["docker"]);
  assert.ok(settings);
  const { written, gateway } = settingsForContainers(settings, true);
  assert.equal(gateway.bind, "lan");
  assert.deepEqual(written.cluster, {
    redisUrl: "redis://redis:6379/0",
    redisPassword: { source: "file", provider: "stack", id: "redis-password" },
  });
  const trusted = ({ gateway }: typeof written): unknown =>
    z.object({ trustedProxies: z.array(z.string()) }).parse(gateway).trustedProxies;
  const own = { ...settings, written: { ...settings.written, gateway: { trustedProxies: ["203.0.113.7"] } } };
  assert.deepEqual(trusted(settingsForContainers(own, true).written), [...containerNetworks, "203.0.113.7"]);
  assert.deepEqual(trusted(written), containerNetworks);
  const config = { gateway: { port: 1, auth: { mode: "token" } }, logging: { level: "info" } };
  assert.equal(startRevision(config), startRevision({ ...config, logging: { level: "debug" } }));
  assert.equal(startRevision(config), startRevision({ ...config, gateway: { port: 1, auth: { mode: "none" } } }));
  assert.notEqual(startRevision(config), startRevision({ ...config, gateway: { port: 2, auth: { mode: "token" } } }));
});

test("settings of the target that contradict each other", () => {
  const faultsOf = (sections: { [section: string]: unknown }) =>
    parseSettings(
      Object.fromEntries(
        Object.entries({ target: "docker", demo: { enabled: true }, ...sections }).map(([key, value]) => [
          key,
          { value: typeof value === "string" ? value : JSON.stringify(value), secret: false },
        ]),
      ),
      ["docker"],
    ).faults.map(({ path }) => path);
  assert.deepEqual(faultsOf({}), []);
  assert.deepEqual(faultsOf({ docker: { host: "ssh://me@host" } }), ["docker.hostKey"]);
  assert.deepEqual(faultsOf({ docker: { host: "tcp://host:2376" } }), ["docker.certificates"]);
  assert.deepEqual(faultsOf({ docker: { gatways: 2 } }), ["docker.gatways"]);
  assert.deepEqual(faultsOf({ gateway: { bind: "loopback" } }), ["gateway.bind"]);
  assert.deepEqual(faultsOf({ proxy: { server: "caddy" } }), ["proxy.server"]);
});

test("who listens on a port, by the kernel's table", () => {
  const tables = [
    "  sl  local_address rem_address   st",
    "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000",
    "   1: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000",
    "   2: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000",
  ].join("\n");
  assert.equal(listensOn(tables, 80, ["192.0.2.1"]), true);
  assert.equal(listensOn(tables, 443, ["192.0.2.1"]), false);
  assert.equal(listensOn(tables, 443, ["127.0.0.1"]), true);
  assert.equal(listensOn(tables, 443, ["0.0.0.0"]), true);
  assert.equal(listensOn(tables, 8080, ["0.0.0.0"]), false, "a connection is no listener");
});
