/** Images for a load on target `docker`: nginx as new as the official image's, and gateways that echo WebSockets. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageContext } from "../../infra/release/index.ts";
import { installPrograms } from "./debian-packages.ts";
import type { TestDocker } from "./docker.ts";
import { newerDebian, whyNoNewerDebian } from "./newer-debian.ts";
import { runCommand } from "./outcome.ts";

const libraries = ["libc6", "libcrypt1", "libpcre2-8-0", "libssl3t64", "zlib1g", "libzstd1", "libgcc-s1"];
const place = "/opt/newer-nginx";

/**
 * Tags an image whose nginx is of the Debian after the next one, with the libraries that it needs beside it.
 * @param base an image with nginx, of which everything else stays
 * @returns why it could not be made; undefined where it was
 */
export async function provideNewNginx(docker: TestDocker, base: string, tag: string): Promise<string | undefined> {
  const missing = whyNoNewerDebian() ?? installPrograms({ patchelf: "patchelf" });
  if (missing || process.arch !== "x64") return missing ?? "it is made for x64 only";
  const packages = newerDebian("nginx", ["nginx", ...libraries], "forky");
  const folder = mkdtempSync(join(tmpdir(), "new-nginx-"));
  try {
    for (const path of ["usr/lib", "usr/sbin/nginx"]) cpSync(join(packages, path), join(folder, path), { recursive: true });
    const lib = `${place}/usr/lib/x86_64-linux-gnu`;
    // RPATH, for the libraries of libraries too.
    const where = ["--set-interpreter", `${lib}/ld-linux-x86-64.so.2`, "--force-rpath", "--set-rpath", lib];
    const patched = await runCommand(["patchelf", ...where, join(folder, "usr/sbin/nginx")]);
    if (patched.code !== 0) return patched.text;
    const lines = [`FROM ${base}`, `COPY usr ${place}/usr`, "COPY usr/sbin/nginx /usr/sbin/nginx"];
    writeFileSync(join(folder, "Dockerfile"), `${lines.join("\n")}\n`);
    await build(docker, folder, ["-t", tag]);
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The gateway's own image under each tag, with an echo of WebSockets in the gateway's process. */
export async function provideEchoGateways(docker: TestDocker, baseImage: string, tags: readonly string[]): Promise<void> {
  const context = imageContext({ baseImage });
  const args = Object.entries(context.buildArguments).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]);
  await build(docker, context.directory, [...args, "-t", "gateway-itself:test"]);
  const folder = mkdtempSync(join(tmpdir(), "echo-gateway-"));
  try {
    mkdirSync(join(folder, "echo"));
    for (const file of ["echo-gateway-hook.ts", "websocket-frames.ts"]) {
      cpSync(join(import.meta.dirname, file), join(folder, "echo", file));
    }
    writeFileSync(join(folder, "echo/package.json"), '{"type":"module"}\n');
    const node = [
      "/opt/openclaw/bin/node",
      "--disable-warning=ExperimentalWarning",
      "--import",
      "/opt/echo/echo-gateway-hook.ts",
    ];
    for (const tag of tags) {
      const lines = [
        "FROM gateway-itself:test",
        "COPY echo /opt/echo",
        `LABEL variant=${tag}`,
        `ENTRYPOINT ${JSON.stringify([...node, "/opt/openclaw/gateway/main.js"])}`,
      ];
      writeFileSync(join(folder, "Dockerfile"), `${lines.join("\n")}\n`);
      await build(docker, folder, ["-t", tag]);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function build(docker: TestDocker, folder: string, args: readonly string[]): Promise<void> {
  const env = { ...process.env, DOCKER_BUILDKIT: "0" };
  const { code, text } = await runCommand(["docker", "-H", docker.host, "build", ...args, folder], { env });
  if (code !== 0) throw new Error(`an image could not be built:\n${text.slice(-3000)}`);
}
