/**
 * Puts files into a volume or a folder of a Docker host, for a Command resource:
 * `volume-files.ts <task as JSON> put|remove`, contents by stdin: a text for one file, or a JSON object of names and contents.
 * Readers see each file's old content or the new one; contents never show.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { endpointSchema } from "./client.ts";
import { runTask } from "./command-program.ts";
import { runHelper } from "./helper.ts";
import { awaitReload, findRunning } from "./reload.ts";

export const volumeTaskSchema = z.strictObject({
  endpoint: endpointSchema,
  /** Volume, or absolute path on the host. */
  place: z.string(),
  /** In the place; "" is the place itself. */
  folder: z.string(),
  /** Files that are not named any more are removed. */
  only: z.boolean(),
  /** The one file that stdin is; without it stdin is JSON. */
  file: z.string().optional(),
  owner: z.int(),
  /** Of files; folders are entered by whoever may read these. */
  mode: z.int(),
  /** A proxy that reads these files: it is waited for until it serves by them. */
  reader: z.strictObject({ project: z.string(), service: z.string() }).optional(),
  /** Left out: the gateway's own image. */
  image: z.string().optional(),
});
export type VolumeTask = z.output<typeof volumeTaskSchema>;

/** Runs in the helper. Renaming is atomic; what a run that was cut off left is cleared away. */
const script = `
const fs = require("fs"), path = require("path");
const { folder, only, owner, mode, names, incoming, remove } = JSON.parse(process.env.TASK);
const target = path.join("/place", folder), from = path.join("/place", incoming);
const walk = (at, below = "") => !fs.existsSync(at) ? [] : fs.readdirSync(at, { withFileTypes: true }).flatMap((entry) =>
  entry.name.startsWith(".incoming-") ? [] : entry.isDirectory() ? walk(path.join(at, entry.name), path.join(below, entry.name)) : [path.join(below, entry.name)]);
const own = (file, bits) => { fs.chownSync(file, owner, owner); fs.chmodSync(file, bits); };
if (remove) {
  for (const name of names) fs.rmSync(path.join(target, name), { force: true });
  if (folder !== "" && walk(target).length === 0) fs.rmSync(target, { recursive: true, force: true });
} else {
  for (const name of ["", ...names]) {
    const parts = path.join(folder, name === "" ? "." : path.dirname(name)).split("/").filter((part) => part && part !== ".");
    for (let depth = 1; depth <= parts.length; depth++) {
      const at = path.join("/place", ...parts.slice(0, depth));
      if (!fs.existsSync(at)) fs.mkdirSync(at);
      own(at, 0o700 | (mode & 0o044 ? 0o055 : 0));
    }
  }
  if (owner !== 0) own("/place", 0o755);
  const same = (a, b) => fs.existsSync(b) && fs.readFileSync(a).equals(fs.readFileSync(b));
  const stays = names.every((name) => same(path.join(from, name), path.join(target, name)));
  console.log(stays && (!only || walk(target).length === names.length) ? "same" : "changed");
  for (const name of names) {
    own(path.join(from, name), mode);
    fs.renameSync(path.join(from, name), path.join(target, name));
  }
  if (only) for (const name of walk(target)) if (!names.includes(name)) fs.rmSync(path.join(target, name));
}
clear();
`;

function readContents({ file }: VolumeTask): { [name: string]: string } {
  const text = readFileSync(0, "utf8");
  if (file !== undefined) return { [file]: text };
  return z.record(z.string().regex(/^[\w.-]+(\/[\w.-]+)*$/), z.string()).parse(JSON.parse(text));
}

await runTask(import.meta.main, volumeTaskSchema, async (docker, task, command) => {
  if (command !== "put" && command !== "remove") throw new Error("usage: volume-files.ts <task> put|remove");
  const contents = readContents(task);
  const { place, image, folder, only, owner, mode, reader } = task;
  const names = Object.keys(contents);
  const before = reader && command === "put" ? await findRunning(docker, reader.project, reader.service) : undefined;
  const said = await runHelper(docker, {
    place,
    image,
    script,
    task: { folder, only, owner, mode, names, remove: command === "remove" },
    files: command === "put" ? names.map((name) => ({ name, content: contents[name] ?? "", mode: 0o600 })) : [],
    incoming: `.incoming-${randomBytes(6).toString("hex")}`,
  });
  if (before && said === "changed") await awaitReload(docker, before);
  // Whoever depends on these files sees that they changed, without seeing anything of them.
  if (command === "put") console.log(`revision ${randomBytes(4).toString("hex")}`);
});
