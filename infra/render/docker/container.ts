/** Pure: what a container of the stack is, in one shape from which Docker's resources and compose.yaml are made. */
import { createHash } from "node:crypto";

export interface ContainerShape {
  /** Its service in compose.yaml; the container's own name has a hash behind it. */
  service: string;
  image: string;
  entrypoint?: string[];
  command?: string[];
  /** Numbers, as in 1000:1000. */
  user: string;
  /** Never a secret: `docker inspect` shows it. */
  environment?: { [name: string]: string };
  /** Names of the stack's networks; others reach it there by its service's name, and by its own. */
  networks: string[];
  ports?: { address: string; external: number; internal: number }[];
  volumes: { from: string; path: string; readOnly: boolean }[];
  /** Path -> mount options. */
  tmpfs?: { [path: string]: string };
  limits: { memoryMb?: number; cpus?: number; pids?: number; files?: number };
  health: { test: string[]; intervalSeconds: number; timeoutSeconds: number; retries: number; startPeriodSeconds: number };
  /** How long creating it may take until it is healthy; 0: nobody waits. */
  readySeconds: number;
  /** From the stop signal to the end. */
  stopSeconds: number;
  stopSignal?: string;
  /** Of all that are dropped, these are given back. */
  capabilities?: string[];
  readOnlyRoot: boolean;
  shmMb?: number;
  gpus?: "all" | number | string[];
  /** It reaches the host by the name host.docker.internal. */
  reachesHost?: boolean;
  /** Changes where something that it reads only at its start has changed. */
  revision?: string;
  /** Only there in compose.yaml, and only when asked for. */
  profile?: string;
  logs: { maxSize: string; maxFiles: number };
}

/** The same for the same container; another one where it must be made anew. */
export function containerHash(shape: ContainerShape): string {
  return createHash("sha256").update(JSON.stringify(shape)).digest("hex").slice(0, 8);
}

export function containerName(project: string, shape: ContainerShape): string {
  return `${project}-${shape.service}-${containerHash(shape)}`;
}

export interface ComposeLabels {
  project: string;
  /** The folder of compose.yaml on the host. */
  directory: string;
}

/** By these `docker compose` knows a container as its own. */
export function composeLabels({ project, directory }: ComposeLabels, shape: ContainerShape): { [label: string]: string } {
  return {
    "com.docker.compose.config-hash": containerHash(shape),
    "com.docker.compose.container-number": "1",
    "com.docker.compose.oneoff": "False",
    "com.docker.compose.project": project,
    "com.docker.compose.project.config_files": `${directory}/compose.yaml`,
    "com.docker.compose.project.working_dir": directory,
    "com.docker.compose.service": shape.service,
    "openclaw-stack.project": project,
  };
}
