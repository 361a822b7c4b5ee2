/** Faults of stack files, secrets and settings. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { configGet, configSet } from "../../../engine/commands/config.ts";
import { append, type Fault, projectFile, put, replaceIn, setEnv, stackFile } from "./fault.ts";

export const stackFaults: Fault[] = [
  { name: "a bracket that is not closed in the stack file", arrange: replaceIn(stackFile, '"2"', "[2") },
  { name: "a tab in the stack file", arrange: replaceIn(stackFile, "    secure", "\tsecure") },
  {
    name: "a stack file in UTF-16",
    arrange: (folder) => folder.write(stackFile, Buffer.from(`\uFEFF${folder.read(stackFile)}`, "utf16le")),
  },
  { name: "a setting twice in the stack file", arrange: append(stackFile, '  options:count: "3"\n') },
  { name: "a setting twice, once without the project's name", arrange: append(stackFile, '  count: "3"\n') },
  { name: "a stack file that is text", arrange: put(stackFile, "just text\n") },
  { name: "a misspelt key of the stack file", arrange: replaceIn(stackFile, "encryptionsalt", "encryptionSalt") },
  { name: "an environment of Pulumi Cloud", arrange: append(stackFile, "environment:\n  - shared\n") },
  { name: "a cloud secrets provider", arrange: append(stackFile, "secretsprovider: awskms://alias/key?region=x&token=y\n") },
  { name: "a salt that is cut off", arrange: replaceIn(stackFile, /(encryptionsalt: v1:[^:]+).*/, "$1") },
  { name: "a salt of an unknown version", arrange: replaceIn(stackFile, "encryptionsalt: v1:", "encryptionsalt: v2:") },
  { name: "a salt that is not base64", arrange: replaceIn(stackFile, /encryptionsalt: v1:[^:]+/, "encryptionsalt: v1:*") },
  { name: "a salt that is a list", arrange: replaceIn(stackFile, /encryptionsalt: .*/, "encryptionsalt: [a]") },
  {
    name: "the salt of another stack",
    arrange: replaceIn(stackFile, /encryptionsalt: v1:[^:]+/, "encryptionsalt: v1:s85AXsAJDnQ="),
  },
  {
    name: "a secret without a salt in the file",
    arrange: replaceIn(stackFile, /encryptionsalt: .*\n/, ""),
    command: (context) => configGet(context, "planted", {}),
  },
  { name: "a wrong passphrase", arrange: setEnv("PULUMI_CONFIG_PASSPHRASE", "y") },
  { name: "no passphrase", arrange: setEnv("PULUMI_CONFIG_PASSPHRASE", undefined) },
  {
    name: "a passphrase file that is not there",
    arrange: (folder) => {
      folder.env.PULUMI_CONFIG_PASSPHRASE = undefined;
      folder.env.PULUMI_CONFIG_PASSPHRASE_FILE = join(folder.path, "passphrase");
    },
  },
  { name: "a damaged secret in the stack file", arrange: replaceIn(stackFile, /(secure: v1:[^:]+:)..../, "$1AAAA") },
  { name: "a secret of an unknown version", arrange: replaceIn(stackFile, "secure: v1:", "secure: v9:") },
  { name: "a secret that is no ciphertext", arrange: replaceIn(stackFile, /secure: .*/, "secure: in the open") },
  {
    name: "a damaged secret inside an object",
    arrange: append(stackFile, "  options:nested:\n    list:\n      - secure: v1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAA\n"),
  },
  { name: "settings that are a list", arrange: put(stackFile, "config:\n  - a\n") },
  { name: "a key with too many colons", arrange: append(stackFile, "  a:b:c: 1\n") },
  { name: "a setting of the wrong type", arrange: replaceIn(stackFile, '"2"', "many") },
  {
    name: "a list with an item of the wrong type",
    arrange: (folder) => {
      append(projectFile, "  ports:\n    type: array\n    items:\n      type: integer\n")(folder);
      append(stackFile, "  options:ports: [1, two]\n")(folder);
    },
  },
  { name: "a required setting is missing", arrange: append(projectFile, "  region:\n    type: string\n") },
  {
    name: "two required settings are missing",
    arrange: append(projectFile, "  region:\n    type: string\n  zone:\n    type: string\n"),
  },
  {
    name: "a secret setting in clear",
    arrange: (folder) => {
      append(projectFile, "  key:\n    type: string\n    secret: true\n")(folder);
      append(stackFile, "  options:key: open\n")(folder);
    },
  },
  { name: "an alias as a value", arrange: append(stackFile, "  options:a: &x 1\n  options:b: *x\n") },
  { name: "a number without end", arrange: append(stackFile, "  options:a: .inf\n") },
  {
    name: "a stack file that is a folder",
    arrange: (folder) => {
      rmSync(join(folder.path, stackFile));
      mkdirSync(join(folder.path, stackFile));
    },
  },
  {
    name: "a config path that begins with a dot",
    arrange: () => {},
    command: (context) => configSet(context, ".a", "1", { path: true }),
  },
  {
    name: "a config path with an open bracket",
    arrange: () => {},
    command: (context) => configSet(context, "a[0", "1", { path: true }),
  },
  {
    name: "a config path past the end of a list",
    arrange: append(stackFile, "  options:list: [1]\n"),
    command: (context) => configSet(context, "list[5]", "1", { path: true }),
  },
  {
    name: "a config path with a name into a list",
    arrange: append(stackFile, "  options:list: [1]\n"),
    command: (context) => configSet(context, "list.a", "1", { path: true }),
  },
  {
    name: "a config path through a text",
    arrange: append(stackFile, "  options:map: {a: x}\n"),
    command: (context) => configSet(context, "map.a.b", "1", { path: true }),
  },
  { name: "a reserved map", arrange: () => {}, command: (context) => configSet(context, "map.secure", "text", { path: true }) },
  { name: "a config key with too many colons", arrange: () => {}, command: (context) => configSet(context, "a:b:c", "1", {}) },
  {
    name: "a value that looks like a secret",
    arrange: () => {},
    command: (context) => configSet(context, "dbPassword", "xK9$2mQp8!vL", {}),
  },
  {
    name: "an integer that is none",
    arrange: () => {},
    command: (context) => configSet(context, "count", "2x", { type: "int" }),
  },
  { name: "a value that is not given", arrange: () => {}, command: (context) => configSet(context, "count", undefined, {}) },
];
