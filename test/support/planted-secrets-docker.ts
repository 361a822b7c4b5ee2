/** Where a Docker daemon could show a secret: what it says of its objects, logs, and the files of all layers of all images. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "./outcome.ts";
import type { Finding } from "./planted-secrets.ts";

type SearchText = (place: string, content: string | Buffer) => Finding[];

export async function searchDocker(host: string, text: SearchText): Promise<Finding[]> {
  const docker = async (...args: string[]): Promise<string> => {
    const { code, text } = await runCommand(["docker", "-H", host, ...args]);
    if (code !== 0) throw new Error(`docker ${args.join(" ")} ended with ${code}: ${text.slice(-500)}`);
    return text;
  };
  const lines = async (...args: string[]): Promise<string[]> => (await docker(...args)).split("\n").filter(Boolean);
  const found: Finding[] = [];
  const add = async (place: string, ...args: string[]): Promise<void> => void found.push(...text(place, await docker(...args)));

  for (const name of await lines("ps", "--all", "--format", "{{.Names}}")) {
    await add(`container ${name} inspect`, "inspect", name);
    await add(`container ${name} logs`, "logs", name);
    await add(`container ${name} diff`, "diff", name);
  }
  for (const name of await lines("volume", "ls", "--quiet")) await add(`volume ${name} inspect`, "volume", "inspect", name);
  for (const name of await lines("network", "ls", "--format", "{{.Name}}"))
    await add(`network ${name} inspect`, "network", "inspect", name);
  await add("events", "events", "--since", "24h", "--until", "0s");
  const images = new Set(await lines("image", "ls", "--all", "--quiet"));
  for (const id of images) {
    await add(`image ${id} inspect`, "image", "inspect", id);
    await add(`image ${id} history`, "image", "history", "--no-trunc", id);
  }
  const folder = mkdtempSync(join(tmpdir(), "image-layers-"));
  try {
    const archive = join(folder, "images.tar");
    if (images.size > 0) {
      await docker("save", "--output", archive, ...images);
      execFileSync("tar", ["-C", folder, "-xf", archive]);
      for (const path of execFileSync("find", [folder, "-type", "f", "!", "-name", "images.tar"], { encoding: "utf8" }).split(
        "\n",
      )) {
        if (path) found.push(...searchSaved(path, folder, text));
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return found;
}

/** A layer's files one by one, for what is packed in them; anything else as it is. */
function searchSaved(path: string, folder: string, text: SearchText): Finding[] {
  const name = path.slice(folder.length + 1);
  const whole = execFileSync("cat", [path], { maxBuffer: 1024 ** 3 });
  const inClear = text(`image file ${name}`, whole);
  if (!name.endsWith("layer.tar")) return inClear;
  const packed = execFileSync("tar", ["-tf", path], { encoding: "utf8", maxBuffer: 1024 ** 3 }).split("\n");
  return [
    ...inClear.map((finding) => ({ ...finding, place: `${finding.place}: ${nameOfFirst(path, packed, finding, text)}` })),
    ...packed
      .filter((file) => file.endsWith(".gz") || file.endsWith(".tgz"))
      .flatMap((file) =>
        text(`image file ${name}: ${file}`, execFileSync("tar", ["-xOf", path, file], { maxBuffer: 1024 ** 3 })),
      ),
  ];
}

function nameOfFirst(path: string, files: readonly string[], { secret }: Finding, text: SearchText): string {
  const holds = (file: string): boolean =>
    text("", execFileSync("tar", ["-xOf", path, file], { maxBuffer: 1024 ** 3 })).some((finding) => finding.secret === secret);
  // Few layers hold any secret: that this is slow matters to nobody.
  return files.find((file) => file && !file.endsWith("/") && holds(file)) ?? "names or attributes";
}
