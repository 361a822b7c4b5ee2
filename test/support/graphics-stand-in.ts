/** What stands for graphics processors and a model server on them where there are none. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tarArchive } from "../../engine/providers/docker/tar.ts";
import { pathOf } from "./debian-packages.ts";

const vllmProgram = "#!/bin/sh\nwhile :; do sleep 600 & wait $!; done\n";

/** By this Docker believes in graphics processors: a folder with NVIDIA's hook. */
export function graphics(folder: string): string {
  const programs = join(folder, "programs");
  mkdirSync(programs);
  writeFileSync(join(programs, "nvidia-container-runtime-hook"), "#!/bin/sh\nexit 0\n");
  chmodSync(join(programs, "nvidia-container-runtime-hook"), 0o755);
  return programs;
}

/** All files of an image whose model server only waits. */
export async function vllmLayer(): Promise<Buffer> {
  const busybox = readFileSync(pathOf("busybox"));
  const modified = new Date(0);
  const links = ["sh", "cat", "sleep"].map((command) => ({
    name: `bin/${command}`,
    mode: 0o777,
    modified,
    link: "/bin/busybox",
  }));
  const files = [
    ...["bin", "tmp"].map((path) => ({ name: path, mode: 0o755, modified, folder: true })),
    { name: "bin/busybox", mode: 0o755, modified, content: busybox },
    ...links,
    { name: "bin/vllm", mode: 0o755, modified, content: Buffer.from(vllmProgram) },
  ];
  const pieces: Buffer[] = [];
  for await (const piece of tarArchive(files)) pieces.push(piece);
  return Buffer.concat(pieces);
}
