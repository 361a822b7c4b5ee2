/** Programs that tests need and a bare Debian lacks: installed once, by one test at a time, without starting a service. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** @throws Error where it is not there */
export const pathOf = (program: string): string =>
  execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();

export const isOnPath = (program: string): boolean =>
  spawnSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" }).status === 0;

/** Debian asks policy-rc.d before it starts a service: 101 is no. Runlevel 1 says the same to older scripts. */
const script = `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get -q update
apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@"`;

const lock = join(tmpdir(), "openclaw-stack-apt.lock");

/** A program is on the path before its package is set up: whoever installs now may be in the middle of that. */
function waitForOthers(): void {
  if (existsSync(lock)) execFileSync("flock", ["--shared", "--wait", "600", lock, "true"], { stdio: "pipe" });
}

/** `wanted`: program -> its Debian packages, with spaces between. Why some are missing, in words; undefined when all are there now. */
export function installPrograms(wanted: { readonly [program: string]: string }): string | undefined {
  waitForOthers();
  const missing = (): string[] => Object.keys(wanted).filter((program) => !isOnPath(program));
  const programs = missing();
  if (programs.length === 0) return undefined;
  const packages = [...new Set(programs.flatMap((program) => (wanted[program] ?? program).split(" ")))];
  const what = `${programs.join(", ")} missing`;
  if (process.getuid?.() !== 0) return `${what}; installing ${packages.join(", ")} needs root`;
  if (!isOnPath("apt-get")) return `${what}, and there is no apt-get`;
  console.error(`installing ${packages.join(", ")} with apt-get, once: up to a minute`);
  // Other tests install at the same moment: apt itself would end with an error instead of waiting.
  try {
    execFileSync("flock", ["--wait", "600", lock, "sh", "-c", script, "sh", ...packages], { stdio: "pipe" });
  } catch (error) {
    return `${what}; apt-get could not install ${packages.join(", ")}: ${error instanceof Error ? error.message : String(error)}`;
  }
  const still = missing();
  return still.length > 0 ? `${still.join(", ")} missing after the installation of ${packages.join(", ")}` : undefined;
}
