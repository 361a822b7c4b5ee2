/** One container of the stack as a resource: bounded, without rights, replaced by a new one beside it. */
import * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";
import { logOptions } from "../../render/docker/compose.ts";
import { type ComposeLabels, type ContainerShape, composeLabels, containerName } from "../../render/docker/container.ts";

export interface ContainerArgs {
  shape: ContainerShape;
  labels: ComposeLabels;
  /** The image as it is made; its name is in the shape. */
  image: docker.RemoteImage;
}

export function createContainer(
  { shape, labels, image }: ContainerArgs,
  { parent, provider, dependsOn = [] }: { parent: pulumi.Resource; provider: docker.Provider; dependsOn?: pulumi.Resource[] },
): docker.Container {
  const { project } = labels;
  const name = containerName(project, shape);
  const { limits, health } = shape;
  return new docker.Container(
    shape.service,
    {
      name,
      image: shape.image,
      hostname: shape.service,
      entrypoints: shape.entrypoint,
      command: shape.command,
      user: shape.user,
      envs: Object.entries(shape.environment ?? {}).map(([key, value]) => `${key}=${value}`),
      networksAdvanced: shape.networks.map((network) => ({ name: `${project}-${network}`, aliases: [shape.service, name] })),
      ports: shape.ports?.map(({ address, external, internal }) => ({ ip: address, external, internal })),
      volumes: shape.volumes.map(({ from, path, readOnly }) => ({
        ...(from.startsWith("/") ? { hostPath: from } : { volumeName: `${project}-${from}` }),
        containerPath: path,
        readOnly,
      })),
      tmpfs: shape.tmpfs,
      hosts: shape.reachesHost ? [{ host: "host.docker.internal", ip: "host-gateway" }] : undefined,
      readOnly: shape.readOnlyRoot,
      capabilities: { drops: ["ALL"], adds: shape.capabilities },
      securityOpts: ["no-new-privileges:true"],
      memory: limits.memoryMb,
      // Without it as much swap again could be used.
      memorySwap: limits.memoryMb,
      cpus: limits.cpus === undefined ? undefined : String(limits.cpus),
      // Daemons differ in what they give: some 1024, which is soon used up by streams.
      ulimits: limits.files === undefined ? undefined : [{ name: "nofile", soft: limits.files, hard: limits.files }],
      shmSize: shape.shmMb,
      ...gpuRequest(shape.gpus),
      healthcheck: {
        tests: health.test,
        interval: duration(health.intervalSeconds),
        timeout: duration(health.timeoutSeconds),
        retries: health.retries,
        startPeriod: duration(health.startPeriodSeconds),
      },
      wait: shape.readySeconds > 0,
      waitTimeout: shape.readySeconds > 0 ? shape.readySeconds : undefined,
      restart: "unless-stopped",
      stopSignal: shape.stopSignal,
      stopTimeout: shape.stopSeconds,
      destroyGraceSeconds: shape.stopSeconds,
      labels: Object.entries(composeLabels(labels, shape)).map(([label, value]) => ({ label, value })),
      logDriver: "json-file",
      logOpts: logOptions(shape),
    },
    // Docker's provider would remove the old one first; the names differ, so the new one can come up beside it.
    { parent, provider, dependsOn: [image, ...dependsOn], deleteBeforeReplace: shape.ports !== undefined },
  );
}

/** As the provider reads it back from the daemon: otherwise each preview would show a difference. */
function duration(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds % 60}s`;
}

function gpuRequest(gpus: ContainerShape["gpus"]): Pick<docker.ContainerArgs, "deviceRequests"> {
  if (gpus === undefined) return {};
  const which = Array.isArray(gpus) ? { deviceIds: gpus } : { count: gpus === "all" ? -1 : gpus };
  return { deviceRequests: [{ driver: "nvidia", ...which, capabilities: ["gpu"] }] };
}
