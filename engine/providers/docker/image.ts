/** RemoteImage: pulls or builds an image, and removes it. */
import { createWriteStream } from "node:fs";
import { resolve } from "node:path";
import type { PropertyMap } from "../../values.ts";
import { DaemonError } from "./api.ts";
import { buildContext } from "./build-context.ts";
import { boolean, isZero, maps, number, object, string, strings, texts } from "./fields.ts";
import { errorIn, findImage, localImage, pathOf, repoDigest } from "./images.ts";
import { builderOnly, imageFields } from "./other-fields.ts";
import { allLogins } from "./registry-logins.ts";
import { type DockerType, UserError, type Work } from "./resource.ts";

export const imageType: DockerType = {
  ...imageFields,
  async create(work) {
    const { plan } = work;
    const name = string(plan.name);
    if (plan.build !== null) {
      await build(work, object(plan.build), name).catch(UserError.after("Error running legacy build"));
    }
    const image = await findImage(work, name, string(plan.platform)).catch(
      UserError.after("Unable to read Docker image into resource"),
    );
    return { id: string(image.Id) + name };
  },
  async read(work) {
    const name = string(work.plan.name);
    const image = await localImage(work, name);
    if (!image) return undefined;
    const imageId = string(image.Id);
    return { id: imageId + name, said: { imageId, repoDigest: repoDigest(name, image) } };
  },
  async update(work) {
    await findImage(work, string(work.plan.name), string(work.plan.platform)).catch(
      UserError.after("Unable to read Docker image into resource"),
    );
    return true;
  },
  async delete(work) {
    const { plan, daemon, signal } = work;
    if (boolean(plan.keepLocally)) return;
    const name = string(plan.name);
    if (name === "") throw new UserError("Unable to remove Docker image: empty image name is not allowed");
    if (!(await localImage(work, name))) return;
    await daemon
      .bytes(
        { method: "DELETE", path: `/images/${pathOf(name)}`, query: { force: boolean(plan.forceRemove) ? 1 : undefined } },
        signal,
      )
      .catch((error: unknown) => {
        // Two resources of one image may be deleted at the same time.
        if (error instanceof DaemonError && error.status === 404) return;
        UserError.after("Unable to remove Docker image")(error);
      });
  },
  refused(inputs) {
    const given = object(inputs.build);
    const refused: { [path: string]: string } = {};
    for (const name of builderOnly) {
      if (isZero(given[name])) continue;
      refused[`build.${name}`] =
        `the embedded docker provider builds with the daemon's own builder, which has no '${name}'; ` +
        "leave it out, or install the plug-in: pulumi plugin install resource docker 5.2.0";
    }
    return refused;
  },
  hidden(state) {
    const given = object(state.build);
    const passwords = maps(given.authConfigs).flatMap((entry) => [
      string(entry.password),
      string(entry.auth),
      string(entry.identityToken),
      string(entry.registryToken),
    ]);
    return [...passwords, ...Object.values(texts(given.buildArgs))];
  },
};

async function build(work: Work, given: PropertyMap, name: string): Promise<void> {
  const { daemon, logins, programDirectory, signal, log, urn } = work;
  const remote = string(given.remoteContext);
  const context = remote
    ? undefined
    : await buildContext(resolve(programDirectory, string(given.context)), string(given.dockerfile));
  const query = new Map<string, string | number | boolean | undefined>(Object.entries(buildQuery(given)));
  query.set("dockerfile", context?.dockerfile ?? string(given.dockerfile));
  if (remote) query.set("remote", remote);
  const tags = [name, ...strings(given.tags)].map((tag) => `t=${encodeURIComponent(tag)}`).join("&");
  const hosts = strings(given.extraHosts).map((host) => `&extrahosts=${encodeURIComponent(host)}`);
  const path = `/build?${tags}${hosts.join("")}&${new URLSearchParams([...query].flatMap(pair))}`;
  const file = string(given.buildLogFile);
  const record = file ? createWriteStream(resolve(programDirectory, file)) : undefined;
  let said = "";
  try {
    const headers = allLogins(logins, maps(given.authConfigs));
    const call = { method: "POST" as const, path, headers, ...(context ? { body: context.tar } : {}) };
    for await (const message of daemon.messages(call, signal)) {
      const text = string(message.stream) || errorIn(message) || "";
      said = (said + text).slice(-8000);
      record?.write(text);
      const line = text.trim();
      if (line && errorIn(message) === undefined) log({ severity: "info", message: line, urn, ephemeral: true });
      if (errorIn(message) !== undefined) throw new UserError(`unable to build image\n\n${said.trim()}`);
    }
  } finally {
    record?.end();
  }
}

function pair([key, value]: [string, string | number | boolean | undefined]): [string, string][] {
  return value === undefined || value === "" ? [] : [[key, String(value)]];
}

function buildQuery(given: PropertyMap): { [name: string]: string | number | boolean | undefined } {
  const json = (value: object) => (Object.keys(value).length > 0 ? JSON.stringify(value) : undefined);
  const ulimits = maps(given.ulimits).map(({ name, hard, soft }) => ({
    Name: string(name),
    Hard: number(hard),
    Soft: number(soft),
  }));
  return {
    q: boolean(given.suppressOutput) || undefined,
    nocache: boolean(given.noCache) || undefined,
    rm: boolean(given.remove) ? 1 : 0,
    forcerm: boolean(given.forceRemove) || undefined,
    pull: boolean(given.pullParent) || undefined,
    isolation: string(given.isolation),
    cpusetcpus: string(given.cpuSetCpus),
    cpusetmems: string(given.cpuSetMems),
    cpushares: number(given.cpuShares) || undefined,
    cpuquota: number(given.cpuQuota) || undefined,
    cpuperiod: number(given.cpuPeriod) || undefined,
    memory: number(given.memory) || undefined,
    memswap: number(given.memorySwap) || undefined,
    cgroupparent: string(given.cgroupParent),
    networkmode: string(given.networkMode),
    shmsize: number(given.shmSize) || undefined,
    ulimits: json(ulimits),
    buildargs: json(texts(given.buildArgs)),
    labels: json({ ...texts(given.label), ...texts(given.labels) }),
    squash: boolean(given.squash) || undefined,
    cachefrom: json(strings(given.cacheFroms)),
    securityopt: json(strings(given.securityOpts)),
    target: string(given.target),
    platform: string(given.platform),
    buildid: string(given.buildId),
  };
}
