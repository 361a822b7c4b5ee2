// Runs the official openai client of PyPI against a gateway: installed once, at a pinned version, into a folder of its own.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const version = "3.54.0";
const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "openclaw-stack", `openai-pypi-${version}`);

/** What to put into PYTHONPATH. Fails with what is missing on this machine. */
export async function pythonOpenai(): Promise<string> {
  if (existsSync(join(folder, "openai"))) return folder;
  await run("python3", ["-m", "pip", "--version"]).catch((error: unknown) => {
    throw new Error("this test needs python3 with pip: on Debian, apt-get install python3 python3-pip", { cause: error });
  });
  // Two test runs at once install next to each other; the first one to be done wins.
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  const options = ["--quiet", "--disable-pip-version-check", "--no-input", "--target", fresh];
  try {
    await run("python3", ["-m", "pip", "install", ...options, `openai==${version}`], { timeout: 300_000 });
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw new Error(`this test needs openai ${version} of PyPI, and pip could not install it`, { cause: error });
  }
  try {
    renameSync(fresh, folder);
  } catch {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** Runs a program; its printed JSON. The key is in the environment, not in the arguments. */
export async function runPython(program: string, args: readonly string[], env: Record<string, string>): Promise<unknown> {
  const path = await pythonOpenai();
  const { stdout } = await run("python3", ["-c", program, ...args], {
    env: { PATH: process.env.PATH, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: "1", ...env },
    timeout: 120_000,
    maxBuffer: 16 * 1024 * 1024,
  });
  return JSON.parse(stdout);
}
