/** Makes, reads and deletes volumes. */
import type { PropertyMap } from "../../values.ts";
import { atLeastVersion, DaemonError } from "./api.ts";
import { labelList, labelMap, object, string, texts } from "./fields.ts";
import { volumeFields } from "./other-fields.ts";
import type { DockerType } from "./resource.ts";
import { poll, UserError } from "./resource.ts";

export const volumeType: DockerType = {
  ...volumeFields,
  async create({ plan, daemon, signal }) {
    if (plan.cluster !== null) {
      const version = await daemon.version(signal);
      if (!atLeastVersion(version, "1.42")) {
        throw new UserError(
          `You have supplied a 'cluster' block for your docker_volume resource. This is supported starting with client version '1.42', but you have ${version}`,
        );
      }
    }
    const body = {
      Name: string(plan.name),
      Driver: string(plan.driver) || undefined,
      DriverOpts: plan.driverOpts === null ? undefined : texts(plan.driverOpts),
      Labels: labelMap(plan.labels),
      ...(plan.cluster === null ? {} : { ClusterVolumeSpec: clusterSpec(object(plan.cluster)) }),
    };
    const made = await daemon
      .json({ method: "POST", path: "/volumes/create", body }, signal)
      .catch(UserError.after("Unable to create volume"));
    return { id: string(made.Name) };
  },
  async read({ id, daemon, signal }) {
    try {
      const volume = await daemon.json({ method: "GET", path: `/volumes/${encodeURIComponent(id)}` }, signal);
      return {
        id,
        said: {
          name: string(volume.Name),
          labels: labelList(volume.Labels),
          driver: string(volume.Driver),
          driverOpts: texts(volume.Options),
          mountpoint: string(volume.Mountpoint),
        },
      };
    } catch (error) {
      if (error instanceof DaemonError && error.status === 404) return undefined;
      return UserError.after("Unable to inspect volume")(error);
    }
  },
  async update({ id, plan, daemon, signal }) {
    if (plan.cluster === null) return;
    const path = `/volumes/${encodeURIComponent(id)}`;
    const cluster = object((await daemon.json({ method: "GET", path }, signal)).ClusterVolume);
    if (Object.keys(cluster).length === 0) throw new UserError("Can only update cluster volumes");
    const spec: PropertyMap = { ...object(cluster.Spec), Availability: string(object(plan.cluster).availability) };
    const version = Number(object(cluster.Version).Index);
    await daemon
      .json({ method: "PUT", path, query: { version }, body: { Spec: spec } }, signal)
      .catch(UserError.after("Unable to update the cluster volume"));
  },
  async delete({ id, daemon, signal }) {
    // A container that was just deleted may hold it for a moment.
    await poll(30_000, signal, `volume ${id} is still in use`, async () => {
      try {
        await daemon.json({ method: "DELETE", path: `/volumes/${encodeURIComponent(id)}`, query: { force: 1 } }, signal);
        return true;
      } catch (error) {
        if (error instanceof DaemonError && error.message.includes("volume is in use")) return false;
        throw error;
      }
    });
  },
};

function clusterSpec(cluster: PropertyMap): PropertyMap {
  const topology = (text: string) =>
    text === "" ? [] : [{ Segments: Object.fromEntries(text.split(",").map((part) => part.split("=", 2))) }];
  return {
    Group: string(cluster.group),
    Availability: string(cluster.availability),
    AccessMode: {
      Scope: string(cluster.scope),
      Sharing: string(cluster.sharing),
      ...(cluster.type === "mount" ? { MountVolume: {} } : { BlockVolume: {} }),
    },
    CapacityRange: { RequiredBytes: bytesOf(string(cluster.requiredBytes)), LimitBytes: bytesOf(string(cluster.limitBytes)) },
    AccessibilityRequirements: {
      Requisite: topology(string(cluster.topologyRequired)),
      Preferred: topology(string(cluster.topologyPreferred)),
    },
  };
}

/** A size as Docker's command line takes it: 10g, 512MB, 1024. */
function bytesOf(text: string): number {
  if (text === "") return 0;
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$/i.exec(text) ?? [];
  if (amount === undefined) throw new UserError(`Invalid value for a number of bytes: invalid size: '${text}'`);
  return Math.floor(Number(amount) * 1024 ** ["", "k", "m", "g", "t", "p"].indexOf(unit.toLowerCase()));
}
