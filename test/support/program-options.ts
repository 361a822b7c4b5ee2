/** Options of a deployment for tests that run a real program; a folder with the SDK to write programs into. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeploymentOptions } from "../../engine/deployment.ts";
import { deploymentOptions } from "./deployment-options.ts";

export interface ProgramFolder {
  root: string;
  /** Writes a program and returns the options that run it. */
  write(source: string, more?: Partial<DeploymentOptions>): Promise<DeploymentOptions>;
  remove(): Promise<void>;
}

export async function createProgramFolder(): Promise<ProgramFolder> {
  const root = await mkdtemp(join(tmpdir(), "program-"));
  await symlink(join(import.meta.dirname, "../../node_modules"), join(root, "node_modules"));
  await writeFile(join(root, "package.json"), '{"type":"module"}');
  let programs = 0;
  return {
    root,
    async write(source, more = {}) {
      const programDirectory = join(root, `program-${programs++}`);
      await mkdir(programDirectory);
      await writeFile(join(programDirectory, "index.ts"), source);
      return deploymentOptions({
        rootDirectory: root,
        programDirectory,
        entryPoint: "index.ts",
        runtimeOptions: { typescript: false },
        ...more,
      });
    },
    remove: () => rm(root, { recursive: true }),
  };
}
