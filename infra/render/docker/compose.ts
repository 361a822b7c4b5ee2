/** Pure: compose.yaml for operators: the containers that the stack made, so that `docker compose` knows them by name. */
import { stringify } from "yaml";
import { type ContainerShape, containerName } from "./container.ts";

export interface ComposeStack {
  project: string;
  networks: string[];
  volumes: string[];
  containers: ContainerShape[];
}

const head = `# Written by the stack; changes made here are lost. For looking and restarting:
#   docker compose ps | logs -f | restart SERVICE
#   docker compose --profile tools run --rm openclaw-cli --help
# Changes belong in the stack file: npm run up -- -s STACK
`;

export function renderCompose({ project, networks, volumes, containers }: ComposeStack): string {
  const external = (names: string[]) =>
    Object.fromEntries(names.map((name) => [name, { name: `${project}-${name}`, external: true }]));
  const document = {
    name: project,
    services: Object.fromEntries(containers.map((shape) => [shape.service, service(project, shape)])),
    networks: external(networks),
    volumes: external(volumes),
  };
  return `${head}${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

function service(project: string, shape: ContainerShape): object {
  const { limits, health, gpus, profile } = shape;
  return {
    image: shape.image,
    ...(profile ? { profiles: [profile] } : { container_name: containerName(project, shape) }),
    ...(shape.entrypoint ? { entrypoint: shape.entrypoint.map(escaped) } : {}),
    ...(shape.command ? { command: shape.command.map(escaped) } : {}),
    user: shape.user,
    ...(shape.environment ? { environment: mapValues(shape.environment, escaped) } : {}),
    networks: shape.networks,
    ...(shape.ports?.length
      ? { ports: shape.ports.map(({ address, external, internal }) => `${bracketed(address)}:${external}:${internal}`) }
      : {}),
    volumes: shape.volumes.map(({ from, path, readOnly }) =>
      from.startsWith("/")
        ? { type: "bind", source: from, target: path, read_only: readOnly }
        : { type: "volume", source: from, target: path, read_only: readOnly },
    ),
    ...(shape.tmpfs ? { tmpfs: Object.entries(shape.tmpfs).map(([path, options]) => `${path}:${options}`) } : {}),
    ...(shape.reachesHost ? { extra_hosts: ["host.docker.internal:host-gateway"] } : {}),
    read_only: shape.readOnlyRoot,
    cap_drop: ["ALL"],
    ...(shape.capabilities?.length ? { cap_add: shape.capabilities } : {}),
    security_opt: ["no-new-privileges:true"],
    ...(limits.memoryMb ? { mem_limit: `${limits.memoryMb}m`, memswap_limit: `${limits.memoryMb}m` } : {}),
    ...(limits.cpus ? { cpus: limits.cpus } : {}),
    ...(limits.pids ? { pids_limit: limits.pids } : {}),
    ...(limits.files ? { ulimits: { nofile: limits.files } } : {}),
    ...(shape.shmMb ? { shm_size: `${shape.shmMb}m` } : {}),
    ...(gpus ? { deploy: { resources: { reservations: { devices: [devices(gpus)] } } } } : {}),
    ...(profile
      ? {}
      : {
          healthcheck: {
            test: health.test.map(escaped),
            interval: `${health.intervalSeconds}s`,
            timeout: `${health.timeoutSeconds}s`,
            retries: health.retries,
            start_period: `${health.startPeriodSeconds}s`,
          },
          restart: "unless-stopped",
          stop_grace_period: `${shape.stopSeconds}s`,
          ...(shape.stopSignal ? { stop_signal: shape.stopSignal } : {}),
        }),
    logging: { driver: "json-file", options: logOptions(shape) },
  };
}

function devices(gpus: "all" | number | string[]): object {
  const which = Array.isArray(gpus) ? { device_ids: gpus } : { count: gpus };
  return { driver: "nvidia", ...which, capabilities: ["gpu"] };
}

export function logOptions({ logs }: ContainerShape): { [option: string]: string } {
  return { "max-file": String(logs.maxFiles), "max-size": logs.maxSize };
}

/** Compose would read a dollar as the beginning of a variable. */
const escaped = (text: string): string => text.replaceAll("$", "$$$$");

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);

function mapValues(map: { [name: string]: string }, change: (value: string) => string): { [name: string]: string } {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, change(value)]));
}
