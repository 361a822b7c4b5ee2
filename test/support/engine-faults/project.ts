/** Faults of project files. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { append, type Fault, projectFile, put, replaceIn } from "./fault.ts";

export const projectFaults: Fault[] = [
  { name: "no project file", arrange: (folder) => rmSync(join(folder.path, projectFile)) },
  {
    name: "the project file is a folder",
    arrange: (folder) => {
      rmSync(join(folder.path, projectFile));
      mkdirSync(join(folder.path, projectFile));
    },
  },
  { name: "an empty project file", arrange: put(projectFile, "") },
  {
    name: "a quote that is not closed in the project file",
    arrange: replaceIn(projectFile, "engine options", '"engine options'),
  },
  { name: "a tab in the project file", arrange: replaceIn(projectFile, "  name: nodejs", "\tname: nodejs") },
  {
    name: "a project file in UTF-16",
    arrange: (folder) => folder.write(projectFile, Buffer.from(`\uFEFF${folder.read(projectFile)}`, "utf16le")),
  },
  {
    name: "a project file in Latin-1",
    arrange: (folder) => folder.write(projectFile, Buffer.from(folder.read(projectFile).replace("engine", "größe"), "latin1")),
  },
  { name: "a NUL byte in the project file", arrange: append(projectFile, "\0") },
  { name: "a key twice in the project file", arrange: append(projectFile, "name: again\n") },
  { name: "a project file that is a list", arrange: put(projectFile, "- name: options\n") },
  { name: "two documents in the project file", arrange: append(projectFile, "---\nname: other\n") },
  { name: "no project name", arrange: replaceIn(projectFile, "name: options\n", "") },
  { name: "a project name that is a list", arrange: replaceIn(projectFile, "name: options", "name: [options]") },
  { name: "a project name with a space", arrange: replaceIn(projectFile, "name: options", "name: my options") },
  { name: "no runtime", arrange: replaceIn(projectFile, /runtime:\n.*\n.*\n.*\n/, "") },
  { name: "another runtime", arrange: replaceIn(projectFile, "name: nodejs", "name: python") },
  {
    name: "runtime options that are no map",
    arrange: replaceIn(projectFile, /options:\n {4}typescript: false/, "options: false"),
  },
  { name: "an unknown key of the runtime", arrange: replaceIn(projectFile, "  name: nodejs", "  name: nodejs\n  version: 24") },
  { name: "a misspelt key of the project file", arrange: replaceIn(projectFile, "stackConfigDir:", "stackConfigDirs:") },
  { name: "a program that is not there", arrange: replaceIn(projectFile, "infra/index.ts", "infra/main.ts") },
  { name: "a program outside the project", arrange: replaceIn(projectFile, "infra/index.ts", "../index.ts") },
  { name: "a main that is a number", arrange: replaceIn(projectFile, "infra/index.ts", "7") },
  { name: "a backend that is no map", arrange: append(projectFile, "backend: file://state\n") },
  { name: "options.refresh with an unknown value", arrange: append(projectFile, "options:\n  refresh: sometimes\n") },
  { name: "an unknown attribute of a declared setting", arrange: append(projectFile, "  size:\n    typ: integer\n") },
  { name: "an unknown type of a declared setting", arrange: append(projectFile, "  size:\n    type: number\n") },
  { name: "a default of the wrong type", arrange: replaceIn(projectFile, "default: 1", "default: many") },
  { name: "a list without the type of its items", arrange: append(projectFile, "  sizes:\n    type: array\n") },
  { name: "a setting with a default and a value", arrange: append(projectFile, "  size:\n    default: 1\n    value: 2\n") },
  { name: "a provider's setting with a type", arrange: append(projectFile, "  aws:region:\n    type: string\n") },
  { name: "a provider's setting with a default", arrange: append(projectFile, "  aws:region:\n    default: here\n") },
  { name: "a provider's setting without a value", arrange: append(projectFile, "  aws:region:\n    description: where\n") },
  { name: "a secret mark that is text", arrange: append(projectFile, "  size:\n    secret: maybe\n") },
  { name: "declared settings that are a list", arrange: replaceIn(projectFile, /config:[\s\S]*/, "config:\n  - size\n") },
  { name: "two folders for stack files", arrange: replaceIn(projectFile, /config:[\s\S]*/, "config: other\n") },
];
