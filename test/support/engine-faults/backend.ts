/** Faults of the backend and of the choice of a stack. */
import { chmodSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stackInit, stackRemove, stackSelect } from "../../../engine/commands/stack.ts";
import type { ProjectFolder } from "../project-folder.ts";
import { append, type Fault, projectFile, put, setEnv, stateFile } from "./fault.ts";

export const backendFaults: Fault[] = [
  { name: "Pulumi Cloud as the backend", arrange: setEnv("PULUMI_BACKEND_URL", "https://api.pulumi.com") },
  { name: "a bucket as the backend", arrange: setEnv("PULUMI_BACKEND_URL", "s3://bucket?access=hidden") },
  { name: "a path as the backend", arrange: setEnv("PULUMI_BACKEND_URL", "/var/state") },
  { name: "a broken escape in the backend's URL", arrange: setEnv("PULUMI_BACKEND_URL", "file:///a%zz") },
  {
    name: "a bucket as the project's backend",
    arrange: (folder) => {
      setEnv("PULUMI_BACKEND_URL", undefined)(folder);
      append(projectFile, "backend:\n  url: gs://bucket\n")(folder);
    },
  },
  { name: "no backend at all", arrange: setEnv("PULUMI_BACKEND_URL", undefined) },
  {
    name: "credentials that are not JSON",
    arrange: (folder) => {
      setEnv("PULUMI_BACKEND_URL", undefined)(folder);
      folder.write("home/.pulumi/credentials.json", "{");
    },
  },
  {
    name: "credentials of nobody",
    arrange: (folder) => {
      setEnv("PULUMI_BACKEND_URL", undefined)(folder);
      folder.write("home/.pulumi/credentials.json", "{}");
    },
  },
  {
    name: "a state directory that is a file",
    arrange: (folder) => setEnv("PULUMI_BACKEND_URL", `file://${folder.path}/Pulumi.yaml`)(folder),
  },
  {
    name: "a state directory below a file",
    arrange: (folder) => setEnv("PULUMI_BACKEND_URL", `file://${folder.path}/Pulumi.yaml/state`)(folder),
  },
  { name: "a state store of a later version", arrange: put("state/.pulumi/meta.yaml", "version: 2\n") },
  { name: "a state store of the older layout", arrange: put("state/.pulumi/meta.yaml", "version: 0\n") },
  {
    name: "a state store of the older layout without its meta file",
    arrange: (folder) => {
      rmSync(join(folder.path, "state/.pulumi/meta.yaml"));
      folder.write("state/.pulumi/stacks/dev.json", "{}");
    },
  },
  { name: "a damaged meta file", arrange: put("state/.pulumi/meta.yaml", "{version\n") },
  { name: "zstd asked for", arrange: setEnv("PULUMI_DIY_BACKEND_ZSTD", "1") },
  { name: "a stack that is not there", arrange: () => {}, with: { stack: "prod" } },
  { name: "a selected stack that is gone", arrange: setEnv("PULUMI_STACK", "gone") },
  { name: "a stack name with a colon", arrange: () => {}, with: { stack: "a:b" } },
  { name: "a stack of another organization", arrange: () => {}, with: { stack: "acme/dev" } },
  { name: "a stack name with too many parts", arrange: () => {}, with: { stack: "organization/a/b/c" } },
  { name: "selecting nothing", arrange: () => {}, command: (context) => stackSelect(context, {}) },
  { name: "selecting what is not there", arrange: () => {}, command: (context) => stackSelect(context, { name: "prod" }) },
  { name: "a stack that is there already", arrange: () => {}, command: (context) => stackInit(context, { name: "dev" }) },
  { name: "a stack without a name", arrange: () => {}, command: (context) => stackInit(context, {}) },
  {
    name: "a cloud key for a new stack",
    arrange: () => {},
    command: (context) => stackInit(context, { name: "b", secretsProvider: "gcpkms://x" }),
  },
  { name: "removing without a yes", arrange: () => {}, command: (context) => stackRemove(context, { name: "dev" }) },
  {
    name: "damaged workspace settings",
    arrange: (folder) => {
      setEnv("PULUMI_STACK", undefined)(folder);
      damageSettings(folder);
    },
  },
  {
    name: "a state folder that cannot be written",
    arrange: (folder) => chmodSync(join(folder.path, "state/.pulumi"), 0o555),
    begins: "update",
    unprivileged: true,
  },
  {
    name: "a state file that cannot be read",
    arrange: (folder) => chmodSync(join(folder.path, stateFile), 0o000),
    unprivileged: true,
  },
];

function damageSettings(folder: ProjectFolder): void {
  // The name holds a hash of the project's path: any file of the folder would do, this is the right one.
  const { createHash } = process.getBuiltinModule("node:crypto");
  const digest = createHash("sha1").update(join(folder.path, projectFile)).digest("hex");
  folder.write(`home/.pulumi/workspaces/options-${digest}-workspace.json`, "{");
}
