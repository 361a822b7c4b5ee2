/** The build context of the gateway's image: its Dockerfile and the release that it copies. */
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "../places.ts";
import { bundleGateway } from "./bundle.ts";
import { kept } from "./cache.ts";
import { nodeBinary, type ReleasePlatform } from "./node-binary.ts";
import { productVersion } from "./packages.ts";
import { writeRelease } from "./release.ts";

export interface ImageOptions {
  /** The Docker host's platform. */
  platform?: ReleasePlatform;
  /** What the image is built on; anything with glibc and libstdc++, best pinned by its digest. */
  baseImage?: string;
}

export interface ImageContext {
  directory: string;
  /** Of everything that goes into the image: fit for its name. */
  hash: string;
  /** For the build. */
  buildArguments: { [name: string]: string };
}

export const defaultBaseImage = "debian:12-slim";

export function imageContext(options: ImageOptions = {}): ImageContext {
  const { platform = "linux-x64", baseImage = defaultBaseImage } = options;
  const bundle = bundleGateway();
  const node = nodeBinary(platform);
  const directory = kept(`image-${bundle.id}-${platform}`, (made) => {
    writeRelease(join(made, "release"), bundle.directory, node.directory);
    mkdirSync(join(made, "data"));
    for (const file of ["Dockerfile", ".dockerignore"]) copyFileSync(join(root, "gateway/image", file), join(made, file));
  });
  const hash = createHash("sha256").update(`${bundle.id}\0${platform}\0${node.version}\0${baseImage}`).digest("hex");
  return {
    directory,
    hash: hash.slice(0, 12),
    buildArguments: { BASE_IMAGE: baseImage, VERSION: productVersion(), REVISION: bundle.id },
  };
}
