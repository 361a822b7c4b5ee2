/** A container's outputs, from what the daemon tells about it. */
import type { PropertyMap, Value } from "../../values.ts";
import { boolean, isZero, items, labelList, maps, number, object, string, strings, texts } from "./fields.ts";

const mebi = 1024 * 1024;

/** `state` decides what is looked at: some settings are only compared where the program gives them. */
export function containerState(found: PropertyMap, state: PropertyMap): PropertyMap {
  const [config, host, network, run] = [found.Config, found.HostConfig, found.NetworkSettings, found.State].map(object);
  if (!config || !host || !network || !run) return {};
  const running = boolean(run.Running);
  const given = (name: string) => !isZero(state[name]);
  const swap = number(host.MemorySwap);
  const log = object(host.LogConfig);
  const restart = object(host.RestartPolicy);
  const health = config.Healthcheck ?? null;
  return {
    bridge: string(network.Bridge),
    ...((running || boolean(state.mustRun)) && given("ports") ? { ports: ports(object(network.Ports)) } : {}),
    networkDatas: networks(object(network.Networks)),
    ...(running ? {} : { exitCode: number(run.ExitCode), ...(boolean(state.mustRun) ? { mustRun: false } : {}) }),
    name: string(found.Name).replace(/^\/+/, ""),
    rm: boolean(host.AutoRemove),
    readOnly: boolean(host.ReadonlyRootfs),
    image: string(state.image).startsWith("sha256:") ? string(found.Image) : string(config.Image),
    hostname: string(config.Hostname),
    domainname: string(config.Domainname),
    command: items(config.Cmd),
    entrypoints: items(config.Entrypoint),
    user: string(config.User),
    dns: items(host.Dns),
    dnsOpts: items(host.DnsOptions),
    dnsSearches: items(host.DnsSearch),
    securityOpts: items(host.SecurityOpt),
    publishAllPorts: boolean(host.PublishAllPorts),
    restart: string(restart.Name),
    maxRetryCount: number(restart.MaximumRetryCount),
    init: boolean(host.Init),
    workingDir: string(config.WorkingDir),
    ...(items(host.CapAdd).length + items(host.CapDrop).length > 0
      ? { capabilities: { adds: capabilities(host.CapAdd, state, "adds"), drops: capabilities(host.CapDrop, state, "drops") } }
      : {}),
    runtime: string(host.Runtime),
    platform: string(found.Platform),
    mounts: maps(host.Mounts).map(mount),
    tmpfs: texts(host.Tmpfs),
    hosts: strings(host.ExtraHosts).map((entry) => {
      const at = entry.indexOf(":");
      return { host: entry.slice(0, at), ip: entry.slice(at + 1) };
    }),
    ...(given("ulimits")
      ? { ulimits: maps(host.Ulimits).map(({ Name, Soft, Hard }) => ({ name: Name ?? "", soft: Soft ?? 0, hard: Hard ?? 0 })) }
      : {}),
    privileged: boolean(host.Privileged),
    ...(given("devices") ? { devices: devices(maps(host.Devices), maps(state.devices)) } : {}),
    deviceReadBps: throttles(host.BlkioDeviceReadBps),
    deviceReadIops: throttles(host.BlkioDeviceReadIOps),
    deviceWriteBps: throttles(host.BlkioDeviceWriteBps),
    deviceWriteIops: throttles(host.BlkioDeviceWriteIOps),
    ...deviceRequests(maps(host.DeviceRequests), state),
    memory: Math.trunc(number(host.Memory) / mebi),
    memoryReservation: Math.trunc(number(host.MemoryReservation) / mebi),
    memorySwap: swap > 0 ? Math.trunc(swap / mebi) : swap,
    shmSize: Math.trunc(number(host.ShmSize) / mebi),
    ...(number(host.NanoCpus) > 0 ? { cpus: String(number(host.NanoCpus) / 1e9) } : {}),
    cpuShares: number(host.CpuShares),
    cpuSet: string(host.CpusetCpus),
    logDriver: string(log.Type),
    logOpts: given("logOpts") ? texts(log.Config) : {},
    storageOpts: texts(host.StorageOpt),
    networkMode: networkMode(string(host.NetworkMode), string(state.networkMode)),
    ...(given("pidMode") ? { pidMode: string(host.PidMode) } : {}),
    usernsMode: string(host.UsernsMode),
    ...(health === null ? {} : { healthcheck: healthcheck(object(health)) }),
    sysctls: texts(host.Sysctls),
    ipcMode: string(host.IpcMode),
    groupAdds: items(host.GroupAdd),
    tty: boolean(config.Tty),
    stdinOpen: boolean(config.OpenStdin),
    stopSignal: string(config.StopSignal),
    stopTimeout: number(config.StopTimeout),
  };
}

/** Engines say "default" for what newer ones call "bridge". */
function networkMode(said: string, wanted: string): string {
  return said === "default" && wanted === "bridge" ? "bridge" : said;
}

/** Newer engines write capabilities with their prefix, whatever was asked for. */
function capabilities(said: Value | undefined, state: PropertyMap, name: "adds" | "drops"): Value[] {
  const wanted = strings(object(state.capabilities)[name]);
  const bare = (text: string) => text.toUpperCase().replace(/^CAP_/, "");
  return strings(said).map((text) => wanted.find((other) => bare(other) === bare(text)) ?? text);
}

function ports(bindings: PropertyMap): Value[] {
  const inner = (key: string) => Number(key.split("/")[0]);
  return Object.keys(bindings)
    .sort((a, b) => inner(a) - inner(b))
    .flatMap((key) =>
      maps(bindings[key]).map((binding) => ({
        internal: inner(key),
        external: Number(string(binding.HostPort)),
        ip: string(binding.HostIp),
        protocol: key.split("/")[1] ?? "",
      })),
    );
}

function networks(attached: PropertyMap): Value[] {
  return Object.keys(attached)
    .sort()
    .map((name) => {
      const endpoint = object(attached[name]);
      return {
        networkName: name,
        ipAddress: string(endpoint.IPAddress),
        ipPrefixLength: number(endpoint.IPPrefixLen),
        gateway: string(endpoint.Gateway),
        globalIpv6Address: string(endpoint.GlobalIPv6Address),
        globalIpv6PrefixLength: number(endpoint.GlobalIPv6PrefixLen),
        ipv6Gateway: string(endpoint.IPv6Gateway),
        macAddress: string(endpoint.MacAddress),
      };
    });
}

function mount(found: PropertyMap): Value {
  const [bind, volume, tmpfs] = [found.BindOptions, found.VolumeOptions, found.TmpfsOptions].map((part) => part ?? null);
  const driver = object(object(volume).DriverConfig);
  return {
    target: string(found.Target),
    source: string(found.Source),
    type: string(found.Type),
    readOnly: boolean(found.ReadOnly),
    bindOptions: bind === null ? null : { propagation: string(object(bind).Propagation) },
    volumeOptions:
      volume === null
        ? null
        : {
            noCopy: boolean(object(volume).NoCopy),
            labels: labelList(object(volume).Labels),
            driverName: string(driver.Name),
            driverOptions: texts(driver.Options),
            subpath: string(object(volume).Subpath),
          },
    tmpfsOptions: tmpfs === null ? null : { sizeBytes: number(object(tmpfs).SizeBytes), mode: number(object(tmpfs).Mode) },
  };
}

/** The inner path only where the program gives one, for without it is the same as the outer. */
function devices(found: PropertyMap[], given: PropertyMap[]): Value[] {
  return found.map((device) => {
    const hostPath = string(device.PathOnHost);
    const named = given.some((other) => other.hostPath === hostPath && string(other.containerPath) !== "");
    return {
      hostPath,
      containerPath: named ? string(device.PathInContainer) : "",
      permissions: string(device.CgroupPermissions),
    };
  });
}

function throttles(found: Value | undefined): Value[] {
  return maps(found).map(({ Path, Rate }) => ({ path: string(Path), rate: number(Rate) }));
}

function deviceRequests(found: PropertyMap[], state: PropertyMap): PropertyMap {
  if (string(state.gpus) !== "") {
    const gpus = gpusOf(found);
    return gpus === undefined ? {} : { gpus };
  }
  if (isZero(state.deviceRequests)) return {};
  return {
    deviceRequests: found.map((request) => ({
      driver: string(request.Driver),
      count: number(request.Count),
      deviceIds: items(request.DeviceIDs),
      capabilities: items(items(request.Capabilities)[0]),
      options: isZero(request.Options) ? null : texts(request.Options),
    })),
  };
}

/** Undefined where `gpus` has no words for what is there: then what the program says stays. */
function gpusOf(found: PropertyMap[]): string | undefined {
  const [only, ...more] = found;
  if (!only) return "";
  if (more.length > 0) return undefined;
  const devices = strings(only.DeviceIDs);
  if (devices.length > 0) return `device=${devices.join(",")}`;
  const gpu = items(only.Capabilities).some((names) => strings(names).some((name) => name.toLowerCase() === "gpu"));
  return number(only.Count) === -1 && gpu ? "all" : undefined;
}

function healthcheck(check: PropertyMap): PropertyMap {
  return {
    tests: items(check.Test),
    interval: duration(number(check.Interval)),
    timeout: duration(number(check.Timeout)),
    startPeriod: duration(number(check.StartPeriod)),
    startInterval: duration(number(check.StartInterval)),
    retries: number(check.Retries),
  };
}

/** As Go writes a duration: 0s, 500ms, 1m30s. */
function duration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const hours = Math.floor(nanoseconds / 3600e9);
  const minutes = Math.floor((nanoseconds % 3600e9) / 60e9);
  const seconds = `${(nanoseconds % 60e9) / 1e9}s`;
  return hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
