/** A stack of target `docker` in a clone of its own, on a daemon of a test. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { stringify } from "yaml";
import type { TestDocker } from "./docker.ts";
import { freePort } from "./free-port.ts";
import { type LocalClone, makeClone } from "./local-clone.ts";
import type { Outcome } from "./outcome.ts";

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
  settings(sections: { [section: string]: unknown }): void;
  secret(key: string, value: string): Promise<void>;
  /** @throws where the command fails */
  run(args: string[]): Promise<Outcome>;
  /** The certificate that is shown now, as a file. */
  certificate(): Promise<string>;
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
  const directory = join(clone.base, "compose");
  const printed: string[] = [];
  let sections: { [section: string]: unknown } = {
    target: "docker",
    docker: { host: docker.host, addresses: [address], directory },
    proxy: { names: [name], ports },
  };
  const file = join(clone.directory, `stacks/Pulumi.${stack}.yaml`);

  function settings(more: { [section: string]: unknown }): void {
    sections = { ...sections, ...more };
    // Secrets and the salt are the engine's.
    const kept = readLines(file).filter((line) => /^encryptionsalt:/.test(line));
    const secrets = Object.fromEntries(secretEntries(file));
    const config = Object.fromEntries(
      Object.entries(sections).map(([key, value]) => [
        `openclaw-stack:${key}`,
        key === "docker" && typeof value === "object" ? { limits: within, ...value } : value,
      ]),
    );
    writeFileSync(
      file,
      `${kept.join("\n")}\n${stringify({ config: { ...config, ...secrets } }, { aliasDuplicateObjects: false })}`,
    );
  }

  async function run(args: string[], input?: string): Promise<Outcome> {
    const outcome = await clone.operate([...args, "-s", stack], input === undefined ? {} : { input });
    printed.push(outcome.text);
    assert.equal(outcome.code, 0, `${args.join(" ")}\n${outcome.text}`);
    return outcome;
  }

  const daemon = async (path: string, method: "GET" | "POST" | "DELETE" = "GET"): Promise<string> =>
    (await docker.daemon.bytes({ method, path }, AbortSignal.timeout(120_000))).toString("utf8");

  await run(["stack", "init", stack]);
  settings({});
  return {
    clone,
    url: `https://${address}:${ports.https}`,
    name,
    ports,
    directory,
    printed,
    settings,
    run,
    async secret(key, value) {
      await run(["config", "set", "--secret", key], value);
    },
    async certificate() {
      const socket = connect({ host: address, port: ports.https, servername: name, rejectUnauthorized: false });
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      const der = socket.getPeerX509Certificate()?.toString() ?? "";
      socket.destroy();
      const path = join(clone.base, "ca.pem");
      writeFileSync(path, der);
      return path;
    },
    docker: daemon,
    async containers(service) {
      const filters = JSON.stringify({ label: [`com.docker.compose.service=${service}`], status: ["running"] });
      const list: { Names: string[] }[] = JSON.parse(await daemon(`/containers/json?filters=${encodeURIComponent(filters)}`));
      return list.map(({ Names }) => Names[0]?.slice(1) ?? "");
    },
  };
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return [];
  }
}

/** `openclaw-stack:key:` with `secure:` in the next line, as the engine writes it. */
function secretEntries(file: string): [string, { secure: string }][] {
  const lines = readLines(file);
  return lines.flatMap((line, index): [string, { secure: string }][] => {
    const key = /^ {2}(openclaw-stack:[\w-]+):$/.exec(line)?.[1];
    const value = /^ {4}secure: (.+)$/.exec(lines[index + 1] ?? "")?.[1];
    return key && value ? [[key, { secure: value }]] : [];
  });
}
