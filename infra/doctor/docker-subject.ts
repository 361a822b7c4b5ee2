/** The Docker host of a stack file, looked at once for all checks of it. */
import { z } from "zod";
import { connectDocker, type Docker, type Endpoint } from "../components/docker/client.ts";
import { endpointOf } from "../components/docker/endpoint.ts";
import { type DockerSettings, dockerSettings } from "../settings-docker.ts";
import { type ProxySettings, proxySettings } from "../settings-proxy.ts";
import type { Subject } from "./check.ts";
import { lookOnce, readSections, section } from "./stack-sections.ts";

/** Only what these checks need; whether the rest is right is the program's business. */
const sectionsSchema = z.object({
  "openclaw-stack:docker": section(dockerSettings.prefault({})),
  "openclaw-stack:proxy": section(proxySettings.prefault({})),
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

/** Undefined where the stack file is not right: the program says what is wrong with it. */
export const lookAtDocker = lookOnce(look);

export function readDockerStack(stackFile: string): { docker: DockerSettings; proxy: ProxySettings } | undefined {
  const config = readSections(stackFile, sectionsSchema);
  return config && { docker: config["openclaw-stack:docker"], proxy: config["openclaw-stack:proxy"] };
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
