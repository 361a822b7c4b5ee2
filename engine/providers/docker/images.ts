/** Finds images at the daemon, and gets them from their registry where they are not there. */
import type { PropertyMap } from "../../values.ts";
import { DaemonError } from "./api.ts";
import { object, string, strings } from "./fields.ts";
import { authHeader, registryOf } from "./registry-logins.ts";
import { UserError, type Work } from "./resource.ts";

type Place = Pick<Work, "daemon" | "logins" | "signal" | "log" | "urn">;

/** The image of that name or id; undefined where the daemon does not have it. */
export async function localImage({ daemon, signal }: Place, name: string): Promise<PropertyMap | undefined> {
  try {
    return await daemon.json({ method: "GET", path: `/images/${pathOf(name)}/json` }, signal);
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404) return undefined;
    return UserError.after(`unable to inspect image ${name}`)(error);
  }
}

/** Slashes are part of the path; everything else that a URL would take for something is not. */
export function pathOf(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}

export async function findImage(place: Place, name: string, platform: string): Promise<PropertyMap> {
  if (name === "") throw new UserError("empty image name is not allowed");
  const found = await localImage(place, name);
  if (found) return found;
  await pull(place, name, platform).catch(UserError.after(`unable to pull image ${name}: error pulling image ${name}`));
  const pulled = await localImage(place, name);
  if (!pulled) throw new UserError(`unable to find or pull image ${name}`);
  return pulled;
}

async function pull({ daemon, logins, signal, log, urn }: Place, name: string, platform: string): Promise<void> {
  const headers = authHeader(logins.byHost.get(registryOf(name)));
  const query = { ...nameAndTag(name), platform: platform || undefined };
  for await (const message of daemon.messages({ method: "POST", path: "/images/create", query, headers }, signal)) {
    if (typeof message.error === "string") throw new UserError(message.error);
    const status = string(message.status);
    const part = string(message.id);
    if (status) log({ severity: "info", message: part ? `${part}: ${status}` : status, urn, ephemeral: true });
  }
}

/** A digest goes where a tag would; without either it is `latest`. */
function nameAndTag(name: string): { fromImage: string; tag?: string } {
  const at = name.indexOf("@");
  const bare = at < 0 ? name : name.slice(0, at);
  const colon = bare.indexOf(":", bare.lastIndexOf("/") + 1);
  const repository = colon < 0 ? bare : bare.slice(0, colon);
  if (at >= 0) return { fromImage: repository, tag: name.slice(at + 1) };
  return { fromImage: repository, tag: colon < 0 ? "latest" : bare.slice(colon + 1) };
}

/** The digest under which the registry of this name knows the image; empty where none does. */
export function repoDigest(name: string, image: PropertyMap): string {
  const digests = strings(image.RepoDigests);
  const { fromImage } = nameAndTag(name);
  const short = fromImage.replace(/^(?:docker\.io|index\.docker\.io)\//, "").replace(/^library\//, "");
  const own = digests.find((digest) => digest.slice(0, digest.indexOf("@")) === short);
  return own ?? digests[0] ?? "";
}

/** The end of a build or pull that failed says why in its own field. */
export function errorIn(message: PropertyMap): string | undefined {
  return string(message.error) || string(object(message.errorDetail).message) || undefined;
}
