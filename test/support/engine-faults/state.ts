/** Faults of states, of what is imported, and of locks. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { stackRemove } from "../../../engine/commands/stack.ts";
import { stackHistory } from "../../../engine/commands/stack-show.ts";
import { stackImport } from "../../../engine/commands/stack-transfer.ts";
import { stateDelete, stateUnprotect } from "../../../engine/commands/state.ts";
import type { ProjectFolder } from "../project-folder.ts";
import { changeState, type Fault, put, replaceIn, stateFile } from "./fault.ts";

export const stateFaults: Fault[] = [
  { name: "a state file that is cut off", arrange: (folder) => folder.write(stateFile, folder.read(stateFile).slice(0, 9000)) },
  { name: "an empty state file", arrange: put(stateFile, "") },
  { name: "a state file that is not JSON", arrange: put(stateFile, "state") },
  { name: "a state file that is a list", arrange: put(stateFile, "[]") },
  {
    name: "a state of a later version",
    arrange: changeState((state) => {
      state.version = 9;
    }),
  },
  {
    name: "a state with unknown features",
    arrange: changeState((state) => {
      state.version = 4;
      state.features = ["replaceWith", "timeTravel"];
    }),
  },
  {
    name: "a state without a checkpoint",
    arrange: changeState((state) => {
      delete state.checkpoint;
    }),
  },
  { name: "a state of before versions", arrange: put(stateFile, '{"stack":"dev","latest":{}}') },
  {
    name: "a state without a manifest",
    arrange: changeState((_, latest) => {
      delete latest.manifest;
    }),
  },
  {
    name: "a state with a wrong magic",
    arrange: changeState((_, latest) => {
      latest.manifest = { ...latest.manifest, magic: "00" };
    }),
  },
  {
    name: "resources that are no list",
    arrange: changeState((_, latest) => {
      Object.assign(latest, { resources: {} });
    }),
  },
  {
    name: "a resource that is text",
    arrange: changeState((_, latest) => {
      Object.assign(latest, { resources: ["a"] });
    }),
  },
  {
    name: "a resource without a URN",
    arrange: changeState((_, latest) => {
      delete latest.resources[3]?.urn;
    }),
  },
  {
    name: "a resource without a type",
    arrange: changeState((_, latest) => {
      delete latest.resources[3]?.type;
    }),
  },
  {
    name: "a component with an id",
    arrange: changeState((_, latest) => {
      Object.assign(latest.resources[0] ?? {}, { id: "x" });
    }),
  },
  {
    name: "a resource whose parent is missing",
    arrange: changeState((_, latest) => {
      Object.assign(latest.resources[3] ?? {}, { parent: "urn:pulumi:dev::options::a:b:C::gone" });
    }),
  },
  {
    name: "a resource before its parent",
    arrange: changeState((_, latest) => {
      latest.resources.push(...latest.resources.splice(0, 1));
    }),
  },
  {
    name: "a resource with an unknown provider",
    arrange: changeState((_, latest) => {
      latest.resources.splice(1, 1);
    }),
  },
  {
    name: "a resource with a missing dependency",
    arrange: changeState((_, latest) => {
      Object.assign(latest.resources[3] ?? {}, { dependencies: ["urn:pulumi:dev::options::a:b:C::gone"] });
    }),
  },
  {
    name: "a resource twice",
    arrange: changeState((_, latest) => {
      latest.resources.push({ ...latest.resources[3] });
    }),
  },
  {
    name: "a pending operation of an unknown kind",
    arrange: changeState((_, latest) => {
      latest.pending_operations = [{ resource: latest.resources[0], type: "melting" }];
    }),
  },
  { name: "a damaged secret in the state", arrange: replaceIn(stateFile, /("ciphertext":"v1:[^:]+:)..../, "$1AAAA") },
  {
    name: "a secret with two values in the state",
    arrange: replaceIn(stateFile, '"ciphertext":', '"plaintext":"1","ciphertext":'),
  },
  {
    name: "a state of Pulumi Cloud's secrets",
    arrange: changeState((_, latest) => {
      latest.secrets_providers.type = "service";
    }),
  },
  {
    name: "a compressed state that is cut off",
    arrange: (folder) => {
      folder.write(`${stateFile}.gz`, gzipSync(readFileSync(join(folder.path, stateFile))).subarray(0, 900));
      rmSync(join(folder.path, stateFile));
    },
  },
  { name: "a state compressed with zstd", arrange: put(stateFile, Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0])) },
  {
    name: "a state file that is a folder",
    arrange: (folder) => {
      rmSync(join(folder.path, stateFile));
      mkdirSync(join(folder.path, stateFile));
    },
  },
  {
    name: "a history entry that is cut off",
    arrange: put("state/.pulumi/history/options/dev/dev-1.history.json", '{"kind":'),
    command: (context) => stackHistory(context, { json: true }),
  },
  {
    name: "an import that is not JSON",
    arrange: () => {},
    command: (context) => stackImport(context, {}),
    with: { stdin: "deployment" },
  },
  {
    name: "an import without a version",
    arrange: () => {},
    command: (context) => stackImport(context, {}),
    with: { stdin: '{"deployment":{}}' },
  },
  {
    name: "an import of a later version",
    arrange: () => {},
    command: (context) => stackImport(context, {}),
    with: { stdin: '{"version":7,"deployment":{}}' },
  },
  {
    name: "an import without a deployment",
    arrange: () => {},
    command: (context) => stackImport(context, {}),
    with: { stdin: '{"version":3}' },
  },
  {
    name: "an import of another stack",
    arrange: (folder) => exportOf(folder, "urn:pulumi:other::"),
    command: (context) => stackImport(context, { file: "export.json" }),
  },
  {
    name: "an import file that is not there",
    arrange: () => {},
    command: (context) => stackImport(context, { file: "none.json" }),
  },
  {
    name: "deleting what is not in the state",
    arrange: () => {},
    command: (context) => stateDelete(context, ["urn:pulumi:dev::options::random:index/randomPet:RandomPet::pets"], {}),
  },
  { name: "deleting what is no URN", arrange: () => {}, command: (context) => stateDelete(context, ["pet"], {}) },
  {
    name: "deleting what others depend on",
    arrange: () => {},
    command: (context) => stateDelete(context, ["urn:pulumi:dev::options::demo:index:Box::box"], {}),
  },
  {
    name: "unprotecting what is not in the state",
    arrange: () => {},
    command: (context) => stateUnprotect(context, ["urn:pulumi:dev::options::a:b:C::gone"], {}),
  },
];

function exportOf(folder: ProjectFolder, prefix: string): void {
  const { version, features, checkpoint } = JSON.parse(folder.read(stateFile));
  const [root] = checkpoint.latest.resources;
  const deployment = { ...checkpoint.latest, resources: [{ ...root, urn: root.urn.replace("urn:pulumi:dev::", prefix) }] };
  folder.write("export.json", JSON.stringify({ version, features, deployment }));
}

export const lockFile = "state/.pulumi/locks/organization/options/dev/0d9c2a3e-1111-4222-8333-444455556666.json";
export const lock = (content: object) =>
  put(lockFile, JSON.stringify({ username: "ann", timestamp: "2026-01-01T00:00:00.5Z", ...content }));

export const lockFaults: Fault[] = [
  { name: "a lock of another host", arrange: lock({ pid: 4711, hostname: "elsewhere" }), begins: "update" },
  {
    name: "a lock of a process that runs",
    arrange: lock({
      pid: process.pid,
      hostname: hostname(),
      username: userInfo().username,
      timestamp: new Date().toISOString(),
    }),
    begins: "update",
  },
  { name: "a lock that cannot be read", arrange: put(lockFile, "{"), begins: "update" },
  { name: "a lock without a holder", arrange: put(lockFile, "{}"), begins: "update" },
  {
    name: "a locked stack is not removed",
    arrange: lock({ pid: 4711, hostname: "elsewhere" }),
    command: (context) => stackRemove(context, { name: "dev", yes: true, force: true }),
  },
];
