/** Which stack is selected: kept where the Pulumi CLI keeps it, so that both agree. */
import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Backend } from "./backend.ts";
import { pulumiHome } from "./backend-location.ts";
import { EngineError } from "./errors.ts";
import { errnoOf, explainErrno, writeDurably } from "./files.ts";
import type { Project } from "./project.ts";

interface Settings {
  /** The older form, for all backends. */
  stack?: string;
  stacks: { [backendUrl: string]: string };
}

type Env = { [name: string]: string | undefined };

/** `~/.pulumi/workspaces/<project>-<sha1 of the path of Pulumi.yaml>-workspace.json`. */
function settingsPath(project: Project, env: Env): string {
  const digest = createHash("sha1").update(project.file).digest("hex");
  return join(pulumiHome(env), "workspaces", `${project.name}-${digest}-workspace.json`);
}

/** PULUMI_STACK, or what was selected for this backend; undefined where nothing was. */
export async function selectedStack(project: Project, backend: Backend, env: Env): Promise<string | undefined> {
  if (env.PULUMI_STACK) return env.PULUMI_STACK;
  const settings = await readSettings(settingsPath(project, env));
  return settings.stacks[backend.url] ?? settings.stack;
}

/** `qualified` undefined: nothing is selected any more. */
export async function selectStack(project: Project, backend: Backend, env: Env, qualified: string | undefined): Promise<void> {
  const path = settingsPath(project, env);
  const settings = await readSettings(path);
  if (qualified === undefined) {
    delete settings.stacks[backend.url];
    delete settings.stack;
  } else settings.stacks[backend.url] = qualified;
  try {
    if (settings.stack === undefined && Object.keys(settings.stacks).length === 0) {
      await rm(path, { force: true });
      return;
    }
    const content = { ...(settings.stack ? { stack: settings.stack } : {}), stacks: settings.stacks };
    await writeDurably(path, JSON.stringify(content, undefined, 4));
  } catch (error) {
    throw new EngineError(`could not write '${path}': ${explainErrno(error)}`, { cause: error });
  }
}

async function readSettings(path: string): Promise<Settings> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { stacks: {} };
    throw new EngineError(`could not read '${path}': ${explainErrno(error)}`, { cause: error });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new EngineError(
      `unable to read workspace settings: could not parse file ${path}; remove it and select the stack again`,
      { cause: error },
    );
  }
  const settings: Settings = { stacks: {} };
  if (typeof parsed !== "object" || parsed === null) return settings;
  if ("stack" in parsed && typeof parsed.stack === "string" && parsed.stack !== "") settings.stack = parsed.stack;
  if ("stacks" in parsed && typeof parsed.stacks === "object" && parsed.stacks !== null) {
    for (const [url, name] of Object.entries(parsed.stacks)) if (typeof name === "string") settings.stacks[url] = name;
  }
  return settings;
}
