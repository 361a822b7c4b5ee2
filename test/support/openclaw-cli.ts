/** The real OpenClaw CLI, installed once into the user's cache: what it accepts is what our users' tools accept. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const version = "2026.9.6";
const folder = join(homedir(), `.cache/openclaw-stack/openclaw-${version}`);

/** The path of its entry file. About 650 MB and one to two minutes on the first call; throws with npm's last lines where it cannot be had. */
export function openclawCli(): string {
  const entry = join(folder, "node_modules/openclaw/openclaw.mjs");
  if (existsSync(join(folder, "complete")) && existsSync(entry)) return entry;
  console.error(`installing openclaw@${version} into ${folder}, once: about 650 MB, one to two minutes`);
  const building = `${folder}.building-${process.pid}`;
  rmSync(building, { recursive: true, force: true });
  mkdirSync(building, { recursive: true });
  writeFileSync(join(building, "package.json"), "{}");
  const args = [
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--prefix",
    building,
    `openclaw@${version}`,
  ];
  const result = spawnSync("npm", args, { cwd: building, encoding: "utf8", timeout: 600_000 });
  if (result.status !== 0) {
    rmSync(building, { recursive: true, force: true });
    throw new Error(`npm could not install openclaw@${version}: ${result.error?.message ?? result.stderr.slice(-2000)}`);
  }
  // What npm left undone without the package's scripts is done by its first start, which writes into the package.
  const first = spawnSync(process.execPath, [join(building, "node_modules/openclaw/openclaw.mjs"), "--version"], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: building },
    timeout: 120_000,
  });
  if (first.status !== 0) {
    rmSync(building, { recursive: true, force: true });
    throw new Error(`openclaw@${version} does not start: ${first.error?.message ?? first.stderr.slice(-2000)}`);
  }
  writeFileSync(join(building, "complete"), "");
  rmSync(folder, { recursive: true, force: true });
  renameSync(building, folder);
  return entry;
}
