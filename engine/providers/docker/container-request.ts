/** The daemon's request for a container, made from the plan of one. */
import type { PropertyMap, Value } from "../../values.ts";
import { durationNanoseconds } from "./check.ts";
import { boolean, items, labelMap, maps, number, object, string, strings, texts } from "./fields.ts";
import { UserError } from "./resource.ts";

const mebi = 1024 * 1024;
/** Left out of JSON where the daemon is to decide. */
const some = <T extends object>(value: T): T | undefined => (Object.keys(value).length > 0 ? value : undefined);
const listOf = (value: Value | undefined): string[] | undefined => some(strings(value));
const mapOf = (value: Value | undefined) => some(texts(value));

export function containerRequest(plan: PropertyMap, version: (wanted: string) => boolean): object {
  const command = strings(plan.command);
  if (command.includes("")) throw new UserError("values for command may not be empty");
  const ports = maps(plan.ports).map((port) => ({ port, key: `${number(port.internal)}/${string(port.protocol)}` }));
  const volumes = volumeParts(maps(plan.volumes));
  return {
    Image: string(plan.image),
    Hostname: string(plan.hostname),
    Domainname: string(plan.domainname),
    Tty: boolean(plan.tty),
    OpenStdin: boolean(plan.stdinOpen),
    StopSignal: string(plan.stopSignal) || undefined,
    StopTimeout: number(plan.stopTimeout) || undefined,
    Env: listOf(plan.envs),
    Cmd: some(command),
    Entrypoint: listOf(plan.entrypoints),
    User: string(plan.user),
    WorkingDir: string(plan.workingDir),
    Labels: some(labelMap(plan.labels)),
    ExposedPorts: some(Object.fromEntries(ports.map(({ key }) => [key, {}]))),
    Volumes: some(volumes.paths),
    Healthcheck: plan.healthcheck === null ? undefined : healthcheck(object(plan.healthcheck)),
    HostConfig: {
      ...hostConfig(plan, version),
      Binds: some(volumes.binds),
      VolumesFrom: some(volumes.from),
      PortBindings: some(portBindings(ports)),
    },
  };
}

function hostConfig(plan: PropertyMap, version: (wanted: string) => boolean): object {
  const security = strings(plan.securityOpts);
  const unconfined = security.includes("systempaths=unconfined");
  const capabilities = object(plan.capabilities);
  return {
    Privileged: boolean(plan.privileged),
    PublishAllPorts: boolean(plan.publishAllPorts),
    RestartPolicy: restartPolicy(plan),
    Runtime: string(plan.runtime) || undefined,
    Mounts: maps(plan.mounts).map((mount) => mountRequest(mount, version)),
    AutoRemove: boolean(plan.rm),
    ReadonlyRootfs: boolean(plan.readOnly),
    LogConfig: { Type: string(plan.logDriver), Config: mapOf(plan.logOpts) },
    Tmpfs: mapOf(plan.tmpfs),
    ExtraHosts: some(maps(plan.hosts).map(({ host, ip }) => `${string(host)}:${string(ip)}`)),
    Ulimits: some(
      maps(plan.ulimits).map(({ name, soft, hard }) => ({ Name: string(name), Soft: number(soft), Hard: number(hard) })),
    ),
    CapAdd: listOf(capabilities.adds),
    CapDrop: listOf(capabilities.drops),
    Devices: some(maps(plan.devices).map(device)),
    DeviceRequests: some(plan.gpus ? [gpuRequest(string(plan.gpus))] : maps(plan.deviceRequests).map(deviceRequest)),
    Dns: listOf(plan.dns),
    DnsOptions: listOf(plan.dnsOpts),
    DnsSearch: listOf(plan.dnsSearches),
    SecurityOpt: some(security.filter((option) => option !== "systempaths=unconfined")),
    ...(unconfined ? { MaskedPaths: [], ReadonlyPaths: [] } : {}),
    ...resourceLimits(plan),
    ...cpuTime(plan),
    ShmSize: number(plan.shmSize) * mebi || undefined,
    NetworkMode: string(plan.networkMode),
    UsernsMode: string(plan.usernsMode),
    PidMode: string(plan.pidMode),
    Sysctls: mapOf(plan.sysctls),
    IpcMode: string(plan.ipcMode) || undefined,
    GroupAdd: listOf(plan.groupAdds),
    CgroupnsMode: cgroupNamespace(string(plan.cgroupnsMode)),
    CgroupParent: string(plan.cgroupParent),
    Init: boolean(plan.init),
    StorageOpt: mapOf(plan.storageOpts),
  };
}

export function restartPolicy(plan: PropertyMap): object {
  return { Name: string(plan.restart), MaximumRetryCount: number(plan.maxRetryCount) };
}

/** The limits that can also be changed while the container runs. */
export function resourceLimits(plan: PropertyMap): object {
  const swap = number(plan.memorySwap);
  return {
    CpuShares: number(plan.cpuShares),
    CpusetCpus: string(plan.cpuSet),
    Memory: number(plan.memory) * mebi,
    MemoryReservation: number(plan.memoryReservation) * mebi,
    MemorySwap: swap > 0 ? swap * mebi : swap,
    BlkioDeviceReadBps: throttles(plan.deviceReadBps),
    BlkioDeviceReadIOps: throttles(plan.deviceReadIops),
    BlkioDeviceWriteBps: throttles(plan.deviceWriteBps),
    BlkioDeviceWriteIOps: throttles(plan.deviceWriteIops),
  };
}

function throttles(value: Value | undefined): object | undefined {
  return some(maps(value).map(({ path, rate }) => ({ Path: string(path), Rate: number(rate) })));
}

function cpuTime(plan: PropertyMap): object {
  const cpus = string(plan.cpus);
  if (cpus === "") return { CpuPeriod: number(plan.cpuPeriod), CpuQuota: number(plan.cpuQuota) };
  if (!/^\d*\.?\d+$/.test(cpus)) throw new UserError(`Error setting cpus: ${cpus} is not a number of processors`);
  const nano = Math.round(Number(cpus) * 1e9);
  if (Math.abs(nano - Number(cpus) * 1e9) > 1e-3) throw new UserError("Error setting cpus: value is too precise");
  return { NanoCpus: nano };
}

function cgroupNamespace(mode: string): string | undefined {
  if (mode === "") return undefined;
  if (mode === "private" || mode === "host") return mode;
  throw new UserError("cgroupns_mode: invalid CGROUP mode, must be either 'private', 'host' or empty");
}

function healthcheck(check: PropertyMap): object {
  const duration = (value: Value | undefined) => durationNanoseconds(string(value)) ?? 0;
  return {
    Test: strings(check.tests),
    Interval: duration(check.interval),
    Timeout: duration(check.timeout),
    StartPeriod: duration(check.startPeriod),
    // Engines before 25 do not know it.
    StartInterval: duration(check.startInterval) || undefined,
    Retries: number(check.retries),
  };
}

function portBindings(ports: { port: PropertyMap; key: string }[]): { [key: string]: object[] } {
  const bindings: { [key: string]: object[] } = {};
  for (const { port, key } of ports) {
    bindings[key] ??= [];
    bindings[key].push({ HostIp: string(port.ip), HostPort: number(port.external) ? String(number(port.external)) : "" });
  }
  return bindings;
}

function volumeParts(volumes: PropertyMap[]): { paths: { [path: string]: object }; binds: string[]; from: string[] } {
  const paths: { [path: string]: object } = {};
  const binds: string[] = [];
  const from: string[] = [];
  for (const volume of volumes) {
    const [container, path] = [string(volume.fromContainer), string(volume.containerPath)];
    const source = string(volume.hostPath) || string(volume.volumeName);
    if (container === "" && path === "") {
      throw new UserError("Unable to parse volumes: volume entry without container path or source container");
    }
    if (container !== "" && path !== "") {
      throw new UserError("Unable to parse volumes: both a container and a path specified in a volume entry");
    }
    if (container !== "") from.push(container);
    else {
      paths[path] = {};
      const label = string(volume.selinuxRelabel);
      if (source !== "") binds.push(`${source}:${path}:${boolean(volume.readOnly) ? "ro" : "rw"}${label ? `,${label}` : ""}`);
    }
  }
  return { paths, binds, from };
}

function mountRequest(mount: PropertyMap, version: (wanted: string) => boolean): object {
  const type = string(mount.type);
  const [bind, volume, tmpfs] = [mount.bindOptions, mount.volumeOptions, mount.tmpfsOptions].map((part) => part ?? null);
  return {
    Type: type,
    Target: string(mount.target),
    Source: string(mount.source),
    ReadOnly: boolean(mount.readOnly),
    ...(type === "bind" && bind !== null ? { BindOptions: { Propagation: string(object(bind).propagation) } } : {}),
    ...(type === "volume" && volume !== null ? { VolumeOptions: volumeOptions(object(volume), version) } : {}),
    ...(type === "tmpfs" && tmpfs !== null
      ? { TmpfsOptions: { SizeBytes: number(object(tmpfs).sizeBytes), Mode: number(object(tmpfs).mode) } }
      : {}),
  };
}

function volumeOptions(options: PropertyMap, version: (wanted: string) => boolean): object {
  const subpath = string(options.subpath);
  if (subpath !== "" && !version("1.45")) {
    throw new UserError("Setting VolumeOptions.Subpath requires docker version 1.45 or higher");
  }
  return {
    NoCopy: boolean(options.noCopy),
    Labels: labelMap(options.labels),
    DriverConfig: some({
      ...(string(options.driverName) ? { Name: string(options.driverName) } : {}),
      ...(mapOf(options.driverOptions) ? { Options: mapOf(options.driverOptions) } : {}),
    }),
    Subpath: subpath || undefined,
  };
}

function device({ hostPath, containerPath, permissions }: PropertyMap): object {
  return {
    PathOnHost: string(hostPath),
    PathInContainer: string(containerPath) || string(hostPath),
    CgroupPermissions: string(permissions),
  };
}

function deviceRequest(request: PropertyMap): object {
  return {
    Driver: string(request.driver),
    Count: number(request.count),
    DeviceIDs: listOf(request.deviceIds),
    Capabilities: items(request.capabilities).length > 0 ? [strings(request.capabilities)] : undefined,
    Options: mapOf(request.options),
  };
}

/** As `docker run --gpus`: all, a number, or key=value pairs with commas between them. */
export function gpuRequest(value: string): object {
  const text = value.trim().replace(/^(["'])(.*)\1$/, "$2");
  const request: { Driver: string; Count: number; DeviceIDs?: string[]; Capabilities: string[][]; Options?: object } = {
    Driver: "",
    Count: 0,
    Capabilities: [["gpu"]],
  };
  const count = (amount: string): number => {
    if (amount === "all") return -1;
    if (!/^-?\d+$/.test(amount))
      throw new UserError(`Error setting gpus: invalid count (${amount}): value must be "all" or a number`);
    return Number(amount);
  };
  let counted = false;
  for (const part of csvFields(text)) {
    const at = part.indexOf("=");
    const [key, content] = at < 0 ? ["count", part] : [part.slice(0, at), part.slice(at + 1)];
    if (key === "count") request.Count = count(content);
    else if (key === "device") request.DeviceIDs = content.split(",");
    else if (key === "driver") request.Driver = content;
    else if (key === "capabilities") request.Capabilities = [[...content.split(","), "gpu"]];
    else if (key === "options") {
      request.Options = Object.fromEntries(content.split(",").map((option) => option.split("=", 2)));
    } else throw new UserError(`Error setting gpus: unexpected key '${key}' in '${part}'`);
    counted ||= key === "count" || key === "device";
  }
  if (!counted) request.Count = 1;
  return request;
}

/** Fields between commas, quoted where they hold commas themselves. Without quotes `device=0,1` is one field too. */
function csvFields(text: string): string[] {
  const fields: string[] = [];
  for (const [, quoted, bare] of text.matchAll(/"([^"]*)"|([^,]+)/g)) {
    const field = (quoted ?? bare ?? "").trim();
    const last = fields.length - 1;
    if (quoted === undefined && last >= 0 && !field.includes("=") && fields[last]?.startsWith("device=")) {
      fields[last] += `,${field}`;
    } else fields.push(field);
  }
  return fields;
}
