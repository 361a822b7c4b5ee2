/** A fault that people meet: a change to a project that is in order, and what is run then. */

import type { CommandContext } from "../../../engine/commands/context.ts";
import type { ProjectFolder } from "../project-folder.ts";

export interface Fault {
  name: string;
  arrange(folder: ProjectFolder): void | Promise<void>;
  /** What is run; otherwise what `begins`. */
  command?: (context: CommandContext) => Promise<void>;
  begins?: "preview" | "update";
  with?: Partial<CommandContext> & { stdin?: string };
  /** Try it as a user who is not root. */
  unprivileged?: boolean;
}

export const projectFile = "Pulumi.yaml";
export const stackFile = "stacks/Pulumi.dev.yaml";
export const stateFile = "state/.pulumi/stacks/options/dev.json";

export const replaceIn = (file: string, from: string | RegExp, to: string) => (folder: ProjectFolder) => {
  const text = folder.read(file);
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`nothing to replace in ${file}`);
  folder.write(file, changed);
};
export const put = (file: string, content: string | Uint8Array) => (folder: ProjectFolder) => folder.write(file, content);
export const append = (file: string, text: string) => (folder: ProjectFolder) => folder.write(file, folder.read(file) + text);
export const setEnv = (name: string, value: string | undefined) => (folder: ProjectFolder) => {
  folder.env[name] = value;
};

export interface State {
  version: number;
  features?: string[];
  checkpoint?: { latest: Latest };
}
export interface Latest {
  manifest?: { magic: string };
  resources: { [field: string]: unknown }[];
  secrets_providers: { type: string };
  [field: string]: unknown;
}
export const changeState = (change: (state: State, latest: Latest) => void) => (folder: ProjectFolder) => {
  const state: State & { checkpoint: { latest: Latest } } = JSON.parse(folder.read(stateFile));
  change(state, state.checkpoint.latest);
  folder.write(stateFile, JSON.stringify(state));
};
