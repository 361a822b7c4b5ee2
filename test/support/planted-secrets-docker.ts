/** Where a Docker daemon could show a secret: what it says of its objects, and everything that it keeps on its disk. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Daemon } from "../../engine/providers/docker/api.ts";
import type { Exceptions } from "./path-exceptions.ts";
import type { Finding, SecretSearch } from "./planted-secrets.ts";

export interface DockerPlaces {
  readonly daemon: Daemon;
  /** Of its data, its run-time files and its log. */
  readonly folder: string;
}

const containers = z.array(z.object({ Id: z.string(), Names: z.array(z.string()) }));
const images = z.array(z.object({ Id: z.string(), RepoTags: z.array(z.string()).nullable() }));
const named = z.object({ Name: z.string() });
const layers = z.object({ GraphDriver: z.object({ Data: z.record(z.string(), z.string()).nullable() }) });

/**
 * Its disk holds each layer once, unpacked, those included that no image names any more, and what containers wrote; configurations,
 * histories and logs as well. `except`: paths below its folder.
 */
export async function searchDocker(
  { daemon, folder }: DockerPlaces,
  { text, files }: Pick<SecretSearch, "text" | "files">,
  except: Exceptions,
): Promise<Finding[]> {
  const ask = (path: string, query = {}): Promise<Buffer> =>
    daemon.bytes({ method: "GET", path, query }, AbortSignal.timeout(60_000));
  const found: Finding[] = [];
  const add = async (place: string, path: string, query = {}): Promise<string> => {
    const bytes = await ask(path, query);
    found.push(...text(place, bytes));
    return bytes.toString("utf8");
  };
  // Who a layer belongs to, by its folder.
  const owners = new Map<string, string>();
  const own = (inspected: string, name: string): void => {
    const { UpperDir = "", LowerDir = "" } = layers.parse(JSON.parse(inspected)).GraphDriver.Data ?? {};
    for (const path of `${UpperDir}:${LowerDir}`.split(":")) owners.set(path, owners.get(path) ?? name);
  };
  for (const { Id, RepoTags } of images.parse(JSON.parse(await add("images", "/images/json", { all: true })))) {
    const name = RepoTags?.[0] ?? Id.slice(7, 19);
    own(await add(`image ${name} inspect`, `/images/${Id}/json`), `image ${name}`);
    await add(`image ${name} history`, `/images/${Id}/history`);
  }
  for (const { Id, Names } of containers.parse(JSON.parse(await add("containers", "/containers/json", { all: true })))) {
    const name = Names[0]?.slice(1) ?? Id;
    own(await add(`container ${name} inspect`, `/containers/${Id}/json`), `container ${name}`);
    await add(`container ${name} logs`, `/containers/${Id}/logs`, { stdout: true, stderr: true });
    await add(`container ${name} changes`, `/containers/${Id}/changes`);
  }
  const { Volumes } = z.object({ Volumes: z.array(named).nullable() }).parse(JSON.parse(await add("volumes", "/volumes")));
  for (const { Name } of Volumes ?? []) await add(`volume ${Name} inspect`, `/volumes/${Name}`);
  for (const { Name } of z.array(named).parse(JSON.parse(await add("networks", "/networks"))))
    await add(`network ${Name} inspect`, `/networks/${Name}`);
  const now = Math.floor(Date.now() / 1000);
  await add("events", "/events", { since: now - 86_400, until: now });

  const overlay = join(folder, "data/overlay2");
  if (!existsSync(overlay)) throw new Error(`the daemon keeps its layers elsewhere than in ${overlay}`);
  // What containers see is made of layers: these are looked at once, where they lie.
  const mounted = readdirSync(overlay).map((layer) => join(overlay, layer, "merged"));
  const below = files([folder], [...mounted, join(folder, "exec"), ...except]);
  return [...found, ...below.map((finding) => ({ ...finding, place: describe(finding.place, folder, owners) }))];
}

/** "layer of nginx:1: etc/x" in place of a path of numbers. */
function describe(place: string, folder: string, owners: ReadonlyMap<string, string>): string {
  const [, path = "", rest = ""] = /^(?:file|names in) (.*\/overlay2\/[^/]+\/diff)(?:\/(.*))?$/.exec(place) ?? [];
  if (path === "") return place.replace(`${folder}/`, "");
  return `layer of ${owners.get(path) ?? "nothing any more"}: ${rest}`;
}
