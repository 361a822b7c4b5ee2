/** The Docker daemon answers, and is one that the stack can work with. */
import { runOnHost } from "../components/docker/run-on-host.ts";
import type { Check, Finding } from "./check.ts";
import { type DockerSubject, type HostInfo, lookAtDocker } from "./docker-subject.ts";
import { clockFindings } from "./vm-clock.ts";

type Known = DockerSubject & { info: HostInfo };

/** A check of a daemon that answers: where none does, one check says so and the others are silent. */
export function dockerCheck(name: string, find: (host: Known) => Finding[] | Promise<Finding[]>): Check {
  return {
    name,
    looked: async (subject) => (await lookAtDocker(subject))?.info !== undefined,
    async run(subject) {
      const host = await lookAtDocker(subject);
      return host?.info ? find({ ...host, info: host.info }) : [];
    },
  };
}

export const dockerReach: Check = {
  name: "Docker daemon",
  looked: async (subject) => (await lookAtDocker(subject)) !== undefined,
  async run(subject) {
    const host = await lookAtDocker(subject);
    if (!host || host.problem === undefined) return [];
    // Above its last line ssh shows a wall of signs.
    const problem = host.problem.replace(/@{20,}[\s\S]*\n/, "").replace(/\.$/, "");
    return [{ level: "error", message: `${problem}; ${reachFix(problem, host.endpoint.host)}` }];
  },
};

export function reachFix(problem: string, host: string): string {
  const group = "let your user use it: sudo usermod -aG docker USER, then log in again";
  if (/EACCES|permission denied/i.test(problem)) return host.startsWith("ssh:") ? `on the host, ${group}` : group;
  if (/host key|REMOTE HOST IDENTIFICATION/i.test(problem)) {
    return "the host shows another key than docker.hostKey; where the host was made anew, take its line from: ssh-keyscan HOST";
  }
  if (/Permission denied|publickey/i.test(problem)) return "let the key of this machine in there (~/.ssh/authorized_keys)";
  if (/ENOENT|ECONNREFUSED/.test(problem))
    return "install Docker there or start it (sudo systemctl start docker), or set docker.host";
  return "check docker.host and the network";
}

export const dockerVersion = dockerCheck("Docker version", ({ info }) => {
  const [major = 0, minor = 0] = info.ServerVersion.split(".").map(Number);
  if (info.OSType !== "linux") {
    return [
      { level: "error", message: `the daemon runs ${info.OSType} containers, and Linux ones are needed; switch it over` },
    ];
  }
  if (major > 20 || (major === 20 && minor >= 10)) return [];
  const fix = "install a newer one: https://docs.docker.com/engine/install";
  return [{ level: "error", message: `Docker is ${info.ServerVersion}, and 20.10 or newer is needed; ${fix}` }];
});

const architectures: { [name: string]: string } = {
  x86_64: "linux/amd64",
  amd64: "linux/amd64",
  aarch64: "linux/arm64",
  arm64: "linux/arm64",
};

export const dockerPlatform = dockerCheck("processor", ({ info, docker }) => {
  const platform = architectures[info.Architecture];
  if (platform === docker.platform) return [];
  if (platform) {
    const fix = `npm run config -- set --path docker.platform ${platform}`;
    return [{ level: "error", message: `the host is ${platform}, and docker.platform says ${docker.platform}; ${fix}` }];
  }
  return [{ level: "error", message: `the host's processor (${info.Architecture}) is none that the gateway is made for` }];
});

export const dockerCompose = dockerCheck("Docker Compose", async ({ endpoint }) => {
  const said = await runOnHost(endpoint, "docker compose version --short");
  if (said !== undefined && Number(/(\d+)\./.exec(said)?.[1] ?? 0) >= 2) return [];
  // By TCP nobody can tell.
  if (endpoint.host.startsWith("tcp:")) return [];
  const fix = "to look at the containers with `docker compose ps`, install the package docker-compose-plugin there";
  return [{ level: "warning", message: `the host has no Docker Compose 2; the stack does without; ${fix}` }];
});

export const dockerGpu = dockerCheck("graphics processors", ({ docker, info }) => {
  const wanted = [
    ...(docker.vllm ? ["docker.vllm"] : []),
    ...(docker.ollama?.gpus !== undefined ? ["docker.ollama.gpus"] : []),
  ];
  if (wanted.length === 0 || (info.Runtimes !== null && "nvidia" in info.Runtimes)) return [];
  const fix =
    "install nvidia-container-toolkit there, then: sudo nvidia-ctk runtime configure && sudo systemctl restart docker";
  return [{ level: "error", message: `${wanted.join(" and ")} needs Docker's nvidia runtime, and the host has none; ${fix}` }];
});

export const dockerClock = dockerCheck("clock", ({ info }) =>
  clockFindings(Date.parse(info.SystemTime) / 1000, Date.now() / 1000),
);
