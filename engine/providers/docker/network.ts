/** Makes, reads and deletes networks. */
import type { PropertyMap } from "../../values.ts";
import { DaemonError } from "./api.ts";
import { boolean, labelList, labelMap, maps, object, string, texts } from "./fields.ts";
import { networkFields } from "./other-fields.ts";
import { type DockerType, poll, UserError, wasLeft } from "./resource.ts";

export const networkType: DockerType = {
  ...networkFields,
  async create({ plan, daemon, signal }) {
    const body = {
      Name: string(plan.name),
      CheckDuplicate: true,
      Labels: labelMap(plan.labels),
      Driver: string(plan.driver) || undefined,
      Options: plan.options === null ? undefined : texts(plan.options),
      Internal: boolean(plan.internal),
      Attachable: boolean(plan.attachable),
      Ingress: boolean(plan.ingress),
      ...(boolean(plan.ipv6) ? { EnableIPv6: true } : {}),
      IPAM: {
        Driver: string(plan.ipamDriver),
        Options: plan.ipamOptions === null ? undefined : texts(plan.ipamOptions),
        Config: maps(plan.ipamConfigs).map(ipamConfig),
      },
    };
    const made = await daemon
      .json({ method: "POST", path: "/networks/create", body }, signal)
      .catch(UserError.after("Unable to create network"));
    return { id: string(made.Id) };
  },
  async read({ id, daemon, signal }) {
    const network = await inspect({ id, daemon, signal });
    if (!network) return undefined;
    const ipam = object(network.IPAM);
    return {
      id,
      said: {
        name: string(network.Name),
        labels: labelList(network.Labels),
        driver: string(network.Driver),
        internal: boolean(network.Internal),
        attachable: boolean(network.Attachable),
        ingress: boolean(network.Ingress),
        ipv6: boolean(network.EnableIPv6),
        ipamDriver: string(ipam.Driver),
        ipamOptions: texts(ipam.Options),
        scope: string(network.Scope),
        options: texts(network.Options),
        ipamConfigs: maps(ipam.Config).map((config) => ({
          subnet: string(config.Subnet),
          ipRange: string(config.IPRange),
          gateway: string(config.Gateway),
          auxAddress: texts(config.AuxiliaryAddresses),
        })),
      },
    };
  },
  async undoCreate(work) {
    const name = string(work.plan.name);
    if (name === "") return;
    const found = await inspect({ ...work, id: name });
    if (!found) return;
    const id = string(found.Id);
    if (wasLeft({ name: string(found.Name), id, labels: found.Labels }, work)) await networkType.delete({ ...work, id });
  },
  async delete({ id, daemon, signal }) {
    // A container that was just deleted may be attached to it for a moment.
    await poll(30_000, signal, `network ${id} has active endpoints`, async () => {
      if (!(await inspect({ id, daemon, signal }))) return true;
      try {
        await daemon.json({ method: "DELETE", path: `/networks/${encodeURIComponent(id)}` }, signal);
        return true;
      } catch (error) {
        if (error instanceof DaemonError && error.message.includes("has active endpoints")) return false;
        throw error;
      }
    });
  },
};

async function inspect({
  id,
  daemon,
  signal,
}: Pick<Parameters<DockerType["delete"]>[0], "id" | "daemon" | "signal">): Promise<PropertyMap | undefined> {
  try {
    return await daemon.json({ method: "GET", path: `/networks/${encodeURIComponent(id)}` }, signal);
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404) return undefined;
    throw error;
  }
}

function ipamConfig(config: PropertyMap): object {
  return {
    Subnet: string(config.subnet) || undefined,
    IPRange: string(config.ipRange) || undefined,
    Gateway: string(config.gateway) || undefined,
    AuxiliaryAddresses: config.auxAddress === null ? undefined : texts(config.auxAddress),
  };
}
