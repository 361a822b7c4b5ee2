/** All that a stack of target `docker` needs in a test: a daemon, images on it, a model server beside it, and the stack itself. */
import { execFileSync } from "node:child_process";
import { bridgeAddress, startDocker, type TestDocker } from "./docker.ts";
import { type ImageKind, provideImages } from "./docker-images.ts";
import { type DockerStackTest, makeDockerStack } from "./docker-stack.ts";
import { makeNetwork, type NetworkHost } from "./network.ts";
import { type NumberUpstream, startNumberUpstream } from "./number-upstream.ts";

export interface DockerDeployment {
  readonly docker: TestDocker;
  readonly upstream: NumberUpstream;
  readonly stack: DockerStackTest;
  /** Where nginx is reached. */
  readonly address: string;
  /** Where containers reach servers of the test. */
  readonly outside: string;
  /** The section `docker` as it always is, with more. */
  section(more?: object): object;
  /** The section `models`: the model "numbers" of the model server. */
  readonly models: object;
  close(): Promise<void>;
}

/**
 * @param images tag -> what it is
 * @param daemon its arguments; with them it has a network namespace of its own: its rules for packets are nobody else's, clients
 * come from outside, and the host has the firewall of a server
 */
export async function startDockerDeployment(
  images: { readonly [tag: string]: ImageKind },
  daemon?: readonly string[],
): Promise<DockerDeployment> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    const network = daemon && makeNetwork();
    if (network) closers.push(network.remove);
    const host = network?.addHost();
    if (host) dropAtHost(host);
    const docker = await startDocker(daemon, [], host?.name);
    closers.push(docker.close);
    await provideImages(docker, images);
    const address = host?.address4 ?? bridgeAddress(docker.bridge);
    const outside = network?.address4 ?? address;
    const upstream = await startNumberUpstream({ address: outside });
    closers.push(upstream.close);
    const stack = await makeDockerStack(docker, address);
    closers.push(stack.clone.remove);
    return {
      ...{ docker, upstream, stack, address, outside, close },
      section: (more) => ({ host: docker.host, addresses: [address], directory: stack.directory, ...more }),
      models: { default: "numbers/numbers", providers: { numbers: { baseUrl: upstream.baseUrl, models: ["numbers"] } } },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * What is not let in is dropped, not refused. Docker's rules do not pass here; while a daemon that starts writes them anew, clients
 * find nobody instead of a closed door, and TCP asks again.
 */
function dropAtHost({ prefix }: NetworkHost): void {
  const [program = "", ...args] = prefix;
  const rules = ["-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "-P INPUT DROP"];
  for (const rule of rules) execFileSync(program, [...args, "iptables", "-w", ...rule.split(" ")]);
}
