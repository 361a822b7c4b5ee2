/** Makes, reads, changes and deletes containers. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isMap, type PropertyMap, type Value } from "../../values.ts";
import { atLeastVersion, type Call, DaemonError } from "./api.ts";
import { containerFields } from "./container-fields.ts";
import { containerRequest, resourceLimits, restartPolicy } from "./container-request.ts";
import { containerState } from "./container-state.ts";
import { boolean, maps, number, object, sameValue, string, strings } from "./fields.ts";
import { findImage } from "./images.ts";
import { absent, type DockerType, UserError, type Work, type WorkOn, wasLeft } from "./resource.ts";
import { tarArchive } from "./tar.ts";

/** What can be changed while a container runs. */
const live = [
  "restart",
  "maxRetryCount",
  "cpuShares",
  "memory",
  "memoryReservation",
  "cpuSet",
  "memorySwap",
  "deviceReadBps",
  "deviceReadIops",
  "deviceWriteBps",
  "deviceWriteIops",
];

export const containerType: DockerType = {
  ...containerFields,
  async create(work) {
    const { plan, daemon, signal } = work;
    const image = string(plan.image);
    await findImage(work, image, "").catch(UserError.after(`Unable to create container with image ${image}`));
    const files = await Promise.all(maps(plan.uploads).map((upload) => uploadOf(upload, work.programDirectory)));
    const version = await daemon.version(signal);
    const body = containerRequest(plan, (wanted) => atLeastVersion(version, wanted));
    const platform = string(plan.platform) || undefined;
    const query = { name: string(plan.name), platform };
    const made = await daemon
      .json({ method: "POST", path: "/containers/create", query, body }, signal)
      .catch(UserError.after("Unable to create container"));
    const id = string(made.Id);
    work.made(id);
    await attachNetworks({ ...work, id });
    for (const file of files) {
      await daemon
        .bytes({ method: "PUT", path: `/containers/${id}/archive`, query: { path: "/" }, body: tarArchive([file]) }, signal)
        .catch(UserError.after("Unable to upload volume content"));
    }
    if (boolean(plan.start)) {
      await daemon
        .bytes({ method: "POST", path: `/containers/${id}/start` }, signal)
        .catch(UserError.after("Unable to start container"));
      if (boolean(plan.wait)) await waitHealthy({ ...work, id });
    }
    return { id, said: boolean(plan.attach) ? await waitExit({ ...work, id }) : {} };
  },
  async read({ id, plan, daemon, signal }) {
    try {
      const found = await daemon.json(at(id, "GET", "/json"), signal);
      // Names and short ids are found too; the state's own id is always whole.
      return { id: string(found.Id), said: containerState(found, plan) };
    } catch (error) {
      if (error instanceof DaemonError && error.status === 404) return undefined;
      throw error;
    }
  },
  async update({ id, old, plan, daemon, signal }) {
    const starts = old.mustRun === false && boolean(plan.mustRun) && boolean(plan.start);
    if (starts) {
      await daemon.bytes(at(id, "POST", "/start"), signal).catch(UserError.after("Unable to start container"));
    }
    if (live.every((name) => sameValue(old[name], plan[name]))) return;
    const body = { ...resourceLimits(plan), RestartPolicy: restartPolicy(plan) };
    await daemon.json({ ...at(id, "POST", "/update"), body }, signal).catch(UserError.after("Unable to update a container"));
  },
  async delete({ id, plan, daemon, signal }) {
    const gone = (error: unknown) => error instanceof DaemonError && error.message.includes("No such container");
    const ending = (error: unknown) => gone(error) || (error instanceof Error && /is already in progress/.test(error.message));
    if (!boolean(plan.attach)) {
      const seconds = Math.max(number(plan.destroyGraceSeconds), 0);
      await daemon.bytes({ ...at(id, "POST", "/stop"), query: { t: seconds } }, signal).catch((error: unknown) => {
        if (!gone(error)) UserError.after(`Error stopping container ${id}`)(error);
      });
    }
    // The end of a removal that runs already can be waited for only before it is done.
    await daemon
      .bytes({ ...at(id, "DELETE", ""), query: { v: boolean(plan.removeVolumes), force: true } }, signal)
      .catch((error: unknown) => {
        if (!ending(error)) UserError.after(`Error deleting container ${id}`)(error);
      });
    const condition = boolean(plan.rm) ? "removed" : "not-running";
    await daemon.json({ ...at(id, "POST", "/wait"), query: { condition } }, signal).catch((error: unknown) => {
      if (!ending(error)) UserError.after(`Error waiting for container removal '${id}'`)(error);
    });
  },
  async undoCreate(work) {
    const name = string(work.plan.name);
    if (name === "") return;
    const found = await work.daemon.json(at(name, "GET", "/json"), work.signal).catch(absent);
    if (!found) return;
    const id = string(found.Id);
    // Docker puts a slash before it.
    const there = { name: string(found.Name).slice(1), id, labels: object(found.Config).Labels };
    if (wasLeft(there, work)) await containerType.delete({ ...work, id });
  },
  refused(inputs) {
    const refused: { [path: string]: string } = {};
    for (const [index, upload] of maps(inputs.uploads).entries()) {
      const given = ["content", "contentBase64", "source"].filter((name) => (upload[name] ?? "") !== "");
      if (given.length > 1) {
        refused[`uploads[${index}]`] = "only one of 'content', 'content_base64', or 'source' can be set";
      }
    }
    return refused;
  },
  hidden(state) {
    const uploads = maps(state.uploads).flatMap(({ content, contentBase64 }) => [string(content), string(contentBase64)]);
    const values = strings(state.envs).map((env) => env.slice(env.indexOf("=") + 1));
    return [...uploads, ...values];
  },
};

function at(id: string, method: Call["method"], path: string): Call {
  return { method, path: `/containers/${encodeURIComponent(id)}${path}` };
}

async function attachNetworks({ id, plan, daemon, signal }: WorkOn): Promise<void> {
  const networks = maps(plan.networksAdvanced);
  if (networks.length === 0) return;
  await daemon
    .bytes({ method: "POST", path: "/networks/bridge/disconnect", body: { Container: id } }, signal)
    .catch((error: unknown) => {
      const bridgeless =
        error instanceof DaemonError && /is not connected to the network bridge|network bridge not found/.test(error.message);
      if (!bridgeless) UserError.after("Unable to disconnect the default network")(error);
    });
  for (const network of networks) {
    const name = string(network.name);
    const options = strings(network.driverOpts).map((option) => option.split(/=(.*)/s, 2));
    const body = {
      Container: id,
      EndpointConfig: {
        Aliases: strings(network.aliases),
        IPAMConfig: {
          IPv4Address: string(network.ipv4Address),
          IPv6Address: string(network.ipv6Address),
          LinkLocalIPs: strings(network.linkLocalIps),
        },
        MacAddress: string(network.macAddress) || undefined,
        DriverOpts: options.length > 0 ? Object.fromEntries(options.filter((parts) => parts.length === 2)) : undefined,
        GwPriority: number(network.gwPriority) || undefined,
      },
    };
    await daemon
      .bytes({ method: "POST", path: `/networks/${encodeURIComponent(name)}/connect`, body }, signal)
      .catch(UserError.after(`Unable to connect to network '${name}'`));
  }
}

async function uploadOf(upload: PropertyMap, programDirectory: string) {
  const [content, base64, source] = [upload.content, upload.contentBase64, upload.source].map(string);
  const given = [content, base64, source].filter(Boolean).length;
  if (given === 0) {
    throw new UserError("error with upload content: one of 'content', 'content_base64', or 'source' must be set");
  }
  if (given > 1) {
    throw new UserError("error with upload content: only one of 'content', 'content_base64', or 'source' can be set");
  }
  let bytes = base64 ? Buffer.from(base64, "base64") : Buffer.from(content ?? "");
  if (source) bytes = await readFile(resolve(programDirectory, source)).catch(UserError.after("could not read file"));
  const permissions = string(upload.permissions);
  const mode = permissions ? Number.parseInt(permissions, 8) : boolean(upload.executable) ? 0o744 : 0o644;
  return { name: string(upload.file).replace(/^\/+/, ""), mode, content: bytes, modified: new Date() };
}

async function waitHealthy({ id, plan, daemon, signal }: WorkOn): Promise<void> {
  const until = Date.now() + number(plan.waitTimeout) * 1000;
  for (;;) {
    const found = await daemon.json(at(id, "GET", "/json"), signal).catch(UserError.after("error inspecting container state"));
    const status = healthOf(found.State ?? null);
    if (status === undefined) {
      throw new UserError(
        "you have supplied a 'wait' argument, but the container does not have a healthcheck defined. " +
          "Please remove the 'wait' argument or add a 'healthcheck' attribute",
      );
    }
    if (status === "healthy") return;
    if (Date.now() >= until) throw new UserError("container failed to be in healthy state");
    await pause(Math.min(250, Math.max(until - Date.now(), 1)), undefined, { signal });
  }
}

function healthOf(state: Value): string | undefined {
  const health = isMap(state) ? state.Health : undefined;
  return isMap(health) ? string(health.Status) : undefined;
}

/** `attach`: the container is done when its process is; with `logs`, what it wrote is an output. */
async function waitExit({ id, plan, daemon, signal }: Work & { id: string }): Promise<PropertyMap> {
  await daemon
    .json({ ...at(id, "POST", "/wait"), query: { condition: "not-running" } }, signal)
    .catch(UserError.after("Unable to wait container end of execution"));
  if (!boolean(plan.logs)) return {};
  const raw = await daemon
    .bytes({ ...at(id, "GET", "/logs"), query: { stdout: true, stderr: true } }, signal)
    .catch(UserError.after("unable to read container logs"));
  return { containerLogs: boolean(plan.tty) ? raw.toString("utf8") : demultiplexed(raw).toString("utf8") };
}

/** Without a terminal each piece of output has a header of eight bytes, the last four its length. */
function demultiplexed(raw: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let offset = 0; offset + 8 <= raw.length; ) {
    const end = offset + 8 + raw.readUInt32BE(offset + 4);
    pieces.push(raw.subarray(offset + 8, end));
    offset = end;
  }
  return Buffer.concat(pieces);
}
