/** A stack of target `docker` in a clone of its own, on a daemon of a test. */
import assert from "node:assert/strict";
import type { X509Certificate } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { askModel } from "./ask-model.ts";
import type { TestDocker } from "./docker.ts";
import { freePort } from "./free-port.ts";
import { operateKnowing } from "./known-names.ts";
import { type LocalClone, makeClone, type RunOptions } from "./local-clone.ts";
import type { Outcome } from "./outcome.ts";
import { encrypted } from "./planted-stack.ts";
import { type Sections, writeSections } from "./stack-file.ts";

export interface DockerStackTest {
  clone: LocalClone;
  /** Where nginx is reached, and the name that its certificate has. */
  url: string;
  name: string;
  ports: { http: number; https: number };
  /** Of compose.yaml. */
  directory: string;
  /** All that any command printed so far. */
  printed: string[];
  /** Sections of the stack file, without the project's name; what is given replaces, undefined removes. */
  settings(sections: Sections): void;
  secret(key: string, value: string): Promise<void>;
  /** Many at once, in the stack file itself: each command takes its second. */
  secrets(values: { [key: string]: string }): Promise<void>;
  /** @throws where the command fails */
  run(args: string[], options?: RunOptions): Promise<Outcome>;
  /** `run` where names lead to addresses; whatever comes of it. */
  attempt(args: string[], names?: { [name: string]: string }, options?: RunOptions): Promise<Outcome>;
  /** What it printed; says how long it took. @throws where it fails */
  up(what: string, names?: { [name: string]: string }, options?: RunOptions): Promise<string>;
  /** The certificate that is shown now, and the same as a file. */
  shown(): Promise<X509Certificate>;
  certificate(): Promise<string>;
  /** What the model "numbers" says. `ca`: the authority, in PEM; left out: the certificate itself. */
  ask(token: string, ca?: string): Promise<string>;
  docker(path: string, method?: "GET" | "POST" | "DELETE"): Promise<string>;
  /** Names of the containers of a service that run. */
  containers(service: string): Promise<string[]>;
}

const stack = "dock";

/** A test's own daemon may not give as many as a server's. */
const files = { files: 8192 };
const within = { gateway: files, nginx: files, certbot: files, redis: files, haproxy: files };

export async function makeDockerStack(docker: TestDocker, address: string): Promise<DockerStackTest> {
  const clone = makeClone(stack);
  const ports = { http: await freePort(), https: await freePort() };
  const name = "ai.example.test";
  const url = `https://${address}:${ports.https}`;
  const directory = join(clone.base, "compose");
  const printed: string[] = [];
  let sections: Sections = {
    target: "docker",
    docker: { host: docker.host, addresses: [address], directory },
    proxy: { names: [name], ports },
  };
  const file = join(clone.directory, `stacks/Pulumi.${stack}.yaml`);

  function settings(more: Sections): void {
    sections = { ...sections, ...more };
    write({});
  }

  function write(secrets: Sections): void {
    const { docker } = sections;
    const limited = typeof docker === "object" ? { limits: within, ...docker } : docker;
    writeSections(file, { ...sections, docker: limited, ...secrets });
  }

  async function attempt(args: string[], names?: { [name: string]: string }, options: RunOptions = {}): Promise<Outcome> {
    const line = [...args, "-s", stack];
    const outcome = await (names ? operateKnowing(clone, names, line, options) : clone.operate(line, options));
    printed.push(outcome.text);
    return outcome;
  }

  async function run(args: string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await attempt(args, undefined, options);
    assert.equal(outcome.code, 0, `${args.join(" ")}\n${outcome.text}`);
    return outcome;
  }

  async function shown(): Promise<X509Certificate> {
    const socket = connect({ host: address, port: ports.https, servername: name, rejectUnauthorized: false });
    try {
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      return socket.getPeerX509Certificate() ?? assert.fail("no certificate is shown");
    } finally {
      socket.destroy();
    }
  }

  const daemon = async (path: string, method: "GET" | "POST" | "DELETE" = "GET"): Promise<string> =>
    (await docker.daemon.bytes({ method, path }, AbortSignal.timeout(120_000))).toString("utf8");

  await run(["stack", "init", stack]);
  settings({});
  return {
    ...{ clone, url, name, ports, directory, printed, settings, run, attempt, shown, docker: daemon },
    async secret(key, value) {
      await run(["config", "set", "--secret", key], { input: value });
    },
    async secrets(values) {
      const kept = join(clone.home, ".local/share/openclaw-stack");
      const [own = ""] = readdirSync(kept);
      write(await encrypted(file, join(kept, own, "passphrase"), values));
    },
    async up(what, names, options) {
      const began = performance.now();
      const { code, text } = await attempt(["up", "--yes", "--skip-preview"], names, options);
      assert.equal(code, 0, text);
      console.log(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
      return text;
    },
    async certificate() {
      const path = join(clone.base, "ca.pem");
      writeFileSync(path, (await shown()).toString());
      return path;
    },
    async ask(token, ca) {
      return askModel({ url, name, ca: ca ?? (await shown()).toString() }, token, "numbers");
    },
    async containers(service) {
      const filters = JSON.stringify({ label: [`com.docker.compose.service=${service}`], status: ["running"] });
      const list: { Names: string[] }[] = JSON.parse(await daemon(`/containers/json?filters=${encodeURIComponent(filters)}`));
      return list.map(({ Names }) => Names[0]?.slice(1) ?? "");
    },
  };
}
