/** Updates that do not come to their end: the engine is killed at each new boundary, or its connection is cut. */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { LocalClone } from "./local-clone.ts";
import { type Outcome, runCommand } from "./outcome.ts";

const dieAtBoundary = join(import.meta.dirname, "die-at-boundary.ts");

export interface InterruptedUps {
  /** One update by the engine itself. */
  up(): Promise<Outcome>;
  /** One that is killed at the first boundary where none was before, with what these were; none: it went through. */
  killedUp(onStart?: (pid: number) => void): Promise<{ outcome: Outcome; boundaries: string[] }>;
  /** What the state holds: resources with their plain inputs, by URN; operations that never ended. */
  state(): { resources: string[]; pending: string[] };
}

const resource = z.object({ urn: z.string(), delete: z.boolean().optional(), initErrors: z.array(z.string()).optional() });
const checkpoint = z.object({
  checkpoint: z.object({
    latest: z.object({
      resources: z.array(resource).default([]),
      pending_operations: z.array(z.object({ resource, type: z.string() })).default([]),
    }),
  }),
});

/** Of a stack that the operator's command has made; `known`: boundaries at which nothing is killed. */
export function createInterruptedUps(clone: LocalClone, stack: string, known: string[] = []): InterruptedUps {
  const state = globSync(join(clone.home, ".local/share/openclaw-stack/*/state"))[0] ?? "";
  const ledger = join(clone.base, `boundaries-${stack}`);
  writeFileSync(ledger, known.map((boundary) => `${boundary}\n`).join(""));
  const lines = (): string[] => readFileSync(ledger, "utf8").split("\n").filter(Boolean);

  function up(more: string[] = [], env: NodeJS.ProcessEnv = {}, onStart?: (pid: number) => void): Promise<Outcome> {
    const node = [process.execPath, "--disable-warning=ExperimentalWarning", "--max-semi-space-size=4", ...more];
    const args = ["up", "--yes", "--skip-preview", "--stack", stack];
    return runCommand([...node, join(clone.directory, "engine/main.ts"), ...args], {
      cwd: clone.directory,
      onStart,
      env: {
        ...clone.environment,
        PULUMI_STACK: stack,
        PULUMI_BACKEND_URL: `file://${state}`,
        PULUMI_CONFIG_PASSPHRASE_FILE: join(dirname(state), "passphrase"),
        ...env,
      },
    });
  }

  return {
    up: () => up(),
    async killedUp(onStart) {
      const before = lines().length;
      const outcome = await up(["--import", dieAtBoundary], { BOUNDARY_LEDGER: ledger }, onStart);
      return { outcome, boundaries: lines().slice(before) };
    },
    state() {
      const file = join(state, `.pulumi/stacks/openclaw-stack/${stack}.json`);
      const { latest } = checkpoint.parse(JSON.parse(readFileSync(file, "utf8"))).checkpoint;
      const told = latest.resources.map(
        ({ urn, delete: old, initErrors }) => `${urn}${old ? " (old)" : ""}${initErrors ? ` ${initErrors.join(", ")}` : ""}`,
      );
      return {
        resources: told.sort(),
        pending: latest.pending_operations.map(({ resource, type }) => `${type} ${resource.urn}`),
      };
    },
  };
}
