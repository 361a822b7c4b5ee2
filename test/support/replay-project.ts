/** Puts a recorded program on disk as a project of its own, so that it runs as it is, beside the SDK of this repository. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordings } from "./replay-recording.ts";

export interface ReplayProject {
  root: string;
  program: string;
  remove(): void;
}

const nodeModules = join(import.meta.dirname, "../../node_modules");

export function createReplayProject(recording: string, phase: "first" | "later", kubeconfig?: string): ReplayProject {
  const root = mkdtempSync(join(tmpdir(), `replay-${recording}-`));
  const source = join(recordings, recording);
  const program = join(root, "infra");
  mkdirSync(program);
  mkdirSync(join(root, "stacks"));
  symlinkSync(nodeModules, join(root, "node_modules"));
  writeFileSync(join(root, "package.json"), '{"type":"module"}\n');
  cpSync(join(source, "Pulumi.yaml"), join(root, "Pulumi.yaml"));
  // The program of one recording reads a file by its absolute place; here it lies in the project.
  const text = readFileSync(join(source, "program.ts"), "utf8").replaceAll("/project/kubeconfig", join(root, "kubeconfig"));
  writeFileSync(join(program, "index.ts"), text);
  if (kubeconfig !== undefined) writeFileSync(join(root, "kubeconfig"), kubeconfig);
  if (existsSync(join(source, "files"))) cpSync(join(source, "files"), join(root, "files"), { recursive: true });
  if (recording === "remote" && phase === "first") {
    // `files/` is recorded as it was after the change.
    writeFileSync(join(root, "files/a.conf"), "v1\n");
    rmSync(join(root, "files/dir/y.txt"));
  }
  if (recording === "docker") {
    mkdirSync(join(root, "image"));
    cpSync(join(source, "Dockerfile"), join(root, "image/Dockerfile"));
  }
  return { root, program, remove: () => rmSync(root, { recursive: true, force: true }) };
}
