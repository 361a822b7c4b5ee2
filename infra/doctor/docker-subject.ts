/** The Docker host of a stack file, looked at once for all checks of it. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { connectDocker, type Docker, type Endpoint } from "../components/docker/client.ts";
import { endpointOf } from "../components/docker/endpoint.ts";
import { type DockerSettings, dockerSettings } from "../settings-docker.ts";
import { type ProxySettings, proxySettings } from "../settings-proxy.ts";
import type { Subject } from "./check.ts";

const fromText = (value: unknown): unknown => {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
};
/** Only what these checks need; whether the rest is right is the program's business. */
const stackFileSchema = z.object({
  config: z.object({
    "openclaw-stack:docker": z.preprocess(fromText, dockerSettings.prefault({})),
    "openclaw-stack:proxy": z.preprocess(fromText, proxySettings.prefault({})),
  }),
});

const infoSchema = z.object({
  ServerVersion: z.string(),
  MemTotal: z.number(),
  Architecture: z.string(),
  OSType: z.string(),
  SystemTime: z.string(),
  DockerRootDir: z.string(),
  Runtimes: z.record(z.string(), z.unknown()).nullable(),
});
export type HostInfo = z.output<typeof infoSchema>;

const containersSchema = z.array(
  z.object({
    Names: z.array(z.string()),
    Labels: z.record(z.string(), z.string()).nullable(),
    Ports: z.array(z.object({ PublicPort: z.int().optional(), Type: z.string() })),
  }),
);

export interface DockerSubject {
  docker: DockerSettings;
  proxy: ProxySettings;
  endpoint: Endpoint;
  /** Undefined where the daemon does not answer; then `problem` says why. */
  info: HostInfo | undefined;
  containers: z.output<typeof containersSchema>;
  problem: string | undefined;
}

const seen = new WeakMap<Subject, Promise<DockerSubject | undefined>>();

/** Undefined where the stack file is not right: the program says what is wrong with it. */
export function lookAtDocker(subject: Subject): Promise<DockerSubject | undefined> {
  const before = seen.get(subject);
  if (before) return before;
  const now = look(subject);
  seen.set(subject, now);
  return now;
}

export function readDockerStack(stackFile: string): { docker: DockerSettings; proxy: ProxySettings } | undefined {
  try {
    const config = stackFileSchema.safeParse(parse(readFileSync(stackFile, "utf8"))).data?.config;
    return config && { docker: config["openclaw-stack:docker"], proxy: config["openclaw-stack:proxy"] };
  } catch {
    return undefined;
  }
}

async function look({ stackFile }: Subject): Promise<DockerSubject | undefined> {
  const stack = readDockerStack(stackFile);
  if (!stack) return undefined;
  const { docker, proxy } = stack;
  // What is missing here is the program's business too.
  if (docker.host.startsWith("ssh://") && !docker.hostKey) return undefined;
  if (docker.host.startsWith("tcp://") && !docker.certificates) return undefined;
  const endpoint = endpointOf(docker);
  let client: Docker | undefined;
  try {
    client = connectDocker(endpoint);
    const info = await client.json({ method: "GET", path: "/info" }, infoSchema);
    const containers = await client.json({ method: "GET", path: "/containers/json" }, containersSchema);
    return { docker, proxy, endpoint, info, containers, problem: undefined };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { docker, proxy, endpoint, info: undefined, containers: [], problem };
  } finally {
    client?.close();
  }
}
