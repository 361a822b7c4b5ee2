/** The images that tests of the docker target use: loaded under any tag in seconds, and each does what its name says. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startDocker, type TestDocker, whyNoDocker } from "../support/docker.ts";
import { provideImages } from "../support/docker-images.ts";
import { makeNetwork } from "../support/network.ts";
import { whyNoContainer } from "../support/nspawn.ts";
import { type Outcome, runCommand } from "../support/outcome.ts";

async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 30_000; !(await isSo()); await pause(50)) assert.ok(Date.now() < until, "not within 30 s");
}

const refusal = whyNoDocker() ?? whyNoContainer();
if (refusal) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);

describe("images for tests", { skip: refusal ?? false }, () => {
  let docker: TestDocker;
  before(async () => {
    docker = await startDocker(["--live-restore"]);
    await provideImages(docker, {
      "debian:12-slim": "base",
      "nginx:1.28": "nginx",
      "nginx:other": "nginx",
      "redis:7.4": "redis",
      "haproxy:3.0": "haproxy",
      "certbot/certbot:v5.1.0": "certbot",
      "caddy:2": "caddy",
    });
  });
  after(() => docker?.close());

  const cli = (...args: string[]): Promise<Outcome> => runCommand(["docker", "-H", docker.host, ...args]);

  const says: { image: string; command: string[]; what: RegExp }[] = [
    {
      image: "debian:12-slim",
      command: ["sh", "-c", ". /etc/os-release; echo $ID $VERSION_ID; ls /etc/ssl/certs"],
      what: /^debian 12\n.*ca-cert/s,
    },
    {
      image: "debian:12-slim",
      command: ["sh", "-c", "ls /lib/systemd/systemd; stat -c %a /tmp"],
      what: /^(?=.*No such file).*1777/s,
    },
    { image: "nginx:1.28", command: ["nginx", "-t"], what: /test is successful/ },
    { image: "nginx:other", command: ["id", "nginx"], what: /uid=101\(nginx\) gid=101/ },
    {
      image: "redis:7.4",
      command: ["sh", "-c", "redis-server --version; redis-cli --version; stat -c %u:%g /data"],
      what: /v=7.*999:1000/s,
    },
    { image: "haproxy:3.0", command: ["sh", "-c", "id -u; haproxy -v"], what: /^99\nHAProxy version/ },
    { image: "certbot/certbot:v5.1.0", command: ["--version"], what: /certbot \d/ },
    { image: "caddy:2", command: ["caddy", "version"], what: /2\./ },
  ];
  for (const { image, command, what } of says) {
    test(`${image}: ${command.join(" ")}`, async () => {
      const { text } = await cli("run", "--rm", "--network", "none", image, ...command);
      assert.match(text, what);
    });
  }

  test("a small image is built upon the base by the classic builder", async () => {
    const build = ["build", "-q", "-t", "own:1", "--network", "none", "-"];
    const input = "FROM debian:12-slim\nRUN useradd -u 1000 openclaw\nUSER 1000\nCMD id -un\n";
    const { code, text } = await runCommand(["docker", "-H", docker.host, ...build], {
      input,
      env: { ...process.env, DOCKER_BUILDKIT: "0" },
    });
    assert.equal(code, 0, text);
    assert.equal((await cli("run", "--rm", "own:1")).text, "openclaw\n");
  });

  test("containers and their connections outlive the daemon's restart", { timeout: 180_000 }, async () => {
    const network = makeNetwork();
    const host = network.addHost();
    const name = "redis-restart";
    try {
      const published = ["-p", `${network.address4}:6379:6379`];
      assert.equal(
        (await cli("run", "-d", "--name", name, ...published, "redis:7.4", "redis-server", "--protected-mode", "no")).code,
        0,
      );
      const started = (await cli("inspect", "-f", "{{.State.StartedAt}} {{.State.Pid}}", name)).text;
      await eventually(async () => (await cli("exec", name, "redis-cli", "ping")).text.includes("PONG"));
      // Asks on one connection until it has been told to stop; what it hears is the ledger.
      const ask = `exec 3<>/dev/tcp/${network.address4}/6379 || exit 1
        while [ ! -e ${docker.folder}/stop ]; do printf 'PING\\r\\n' >&3; read -t 5 -u 3 line || exit 2
        touch ${docker.folder}/begun; sleep 0.05; done; echo "$line"`;
      const client = runCommand([...host.prefix, "bash", "-c", ask]);
      await eventually(async () => existsSync(`${docker.folder}/begun`));
      await docker.restart();
      await writeFile(`${docker.folder}/stop`, "");
      assert.match((await client).text, /^\+PONG/);
      assert.equal((await cli("inspect", "-f", "{{.State.StartedAt}} {{.State.Pid}}", name)).text, started);
    } finally {
      await cli("rm", "-f", name);
      network.remove();
    }
  });
});
