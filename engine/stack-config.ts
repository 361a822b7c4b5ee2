/** The stack's settings file, `Pulumi.<stack>.yaml`: read with positions, changed in place so that comments and layout stay. */
import { realpath, stat } from "node:fs/promises";
import { Document, isMap, isScalar, isSeq, type Node, type Pair, Scalar, YAMLMap } from "yaml";
import { type ConfigMap, type ConfigValue, isObject, isSecure, parseConfigKey } from "./config-values.ts";
import { EngineError } from "./errors.ts";
import { explainErrno, writeDurably } from "./files.ts";
import { type Project, stackConfigFile } from "./project.ts";
import { childOf, closest, describeNode, readYamlFile, type YamlFile } from "./yaml-file.ts";

export interface StackConfig {
  readonly file: string;
  /** False until it is saved for the first time. */
  readonly exists: boolean;
  /** `encryptionsalt`; undefined where the stack has no secrets yet. */
  readonly encryptionSalt: string | undefined;
  /** Keys with namespace; secrets as `{ secure: <ciphertext> }`. Change through `set` and `remove` only. */
  readonly values: ReadonlyMap<string, ConfigValue>;
  /** `file:line:column` of a key, for error texts. */
  at(key: string): string;
  set(key: string, value: ConfigValue): void;
  remove(key: string): void;
  setEncryptionSalt(salt: string): void;
  /** Writes the file; nothing is written where nothing was changed. */
  save(): Promise<void>;
}

const knownKeys = ["secretsprovider", "encryptedkey", "encryptionsalt", "environment", "config"];

/** `configFile` overrides the path that the project gives. A file that is not there is an empty one. */
export async function loadStackConfig(project: Project, stack: string, configFile?: string): Promise<StackConfig> {
  const file = configFile ?? stackConfigFile(project, stack);
  const yaml = await readYamlFile(file);
  if (yaml) checkTopLevel(yaml);
  return createStackConfig(project.name, file, yaml);
}

function checkTopLevel(yaml: YamlFile): void {
  for (const pair of yaml.root?.items ?? []) {
    const key = isScalar(pair.key) ? String(pair.key.value) : "";
    const meant = knownKeys.includes(key) ? undefined : closest(key, knownKeys);
    if (meant) yaml.fail(pair.key, `unknown setting '${key}'; did you mean '${meant}'?`);
    if (key === "environment" && !isNothing(pair.value)) {
      yaml.fail(pair.key, "'environment' (Pulumi ESC) needs Pulumi Cloud and is not offered by the embedded engine; remove it");
    }
  }
  const provider = childOf(yaml.root, "secretsprovider");
  const name = isScalar(provider) ? provider.value : undefined;
  if (provider && !isNothing(provider) && name !== "" && name !== "passphrase" && name !== "default") {
    yaml.fail(
      provider,
      `the secrets provider '${String(name).replace(/\?.*$/s, "")}' is not offered by the embedded engine, only 'passphrase'; use the Pulumi CLI, or move the stack with \`pulumi stack change-secrets-provider passphrase\``,
    );
  }
  const salt = childOf(yaml.root, "encryptionsalt");
  if (salt && !isNothing(salt) && !(isScalar(salt) && typeof salt.value === "string")) {
    yaml.fail(salt, `'encryptionsalt' must be text, found ${describeNode(salt)}`);
  }
  const config = childOf(yaml.root, "config");
  if (config && !isMap(config) && !isNothing(config))
    yaml.fail(config, `'config' must be a map of settings, found ${describeNode(config)}`);
}

function isNothing(node: unknown): boolean {
  return node === undefined || node === null || (isScalar(node) && node.value === null);
}

function createStackConfig(project: string, file: string, yaml: YamlFile | undefined): StackConfig {
  const document: Document = yaml?.document ?? new Document(new YAMLMap());
  const original = yaml ? document.toString(layoutOf(yaml)) : "";
  const values: ConfigMap = new Map();
  const written = new Map<string, Pair>();
  const config = childOf(yaml?.root, "config");
  if (yaml && isMap(config)) {
    for (const pair of config.items) {
      const key = fullKey(yaml, project, pair);
      if (written.has(key))
        yaml.fail(pair.key, `this key is there twice, as '${key}' and without the project's name; remove one of them`);
      written.set(key, pair);
      const value = readValue(pair.value, (node, message) => yaml.fail(node, message));
      // As the CLI: a top-level `null` is an empty text.
      values.set(key, value ?? "");
    }
  }
  const saltNode = childOf(yaml?.root, "encryptionsalt");
  let encryptionSalt =
    isScalar(saltNode) && typeof saltNode.value === "string" && saltNode.value !== "" ? saltNode.value : undefined;

  return {
    file,
    exists: yaml !== undefined,
    get encryptionSalt() {
      return encryptionSalt;
    },
    values,
    at(key) {
      const pair = written.get(key);
      return yaml && pair ? yaml.at(pair.key) : file;
    },
    set(key, value) {
      const map = sectionOf(document);
      const pair = map.items.find((item) => keyOf(project, item) === key);
      if (pair) pair.value = updated(document, pair.value, value);
      else insertSorted(map, document.createPair(key, value));
      values.set(key, value);
    },
    remove(key) {
      const map = sectionOf(document);
      map.items = map.items.filter((item) => keyOf(project, item) !== key);
      values.delete(key);
      if (map.items.length === 0) document.delete("config");
    },
    setEncryptionSalt(salt) {
      encryptionSalt = salt;
      if (document.has("encryptionsalt")) document.set("encryptionsalt", salt);
      else topOf(document).items.unshift(document.createPair("encryptionsalt", salt));
    },
    async save() {
      const text = topOf(document).items.length === 0 && !yaml ? "" : document.toString(layoutOf(yaml));
      if (yaml && text === original) return;
      try {
        // A link stays a link, and the file keeps its mode.
        const target = yaml ? await realpath(file) : file;
        const mode = yaml ? (await stat(target)).mode & 0o777 : 0o644;
        await writeDurably(target, yaml?.crlf ? text.replaceAll("\n", "\r\n") : text, mode);
      } catch (error) {
        throw new EngineError(`could not write '${file}': ${explainErrno(error)}`, { cause: error });
      }
    },
  };
}

function fullKey(yaml: YamlFile, project: string, pair: Pair): string {
  const text = isScalar(pair.key) ? String(pair.key.value) : "";
  try {
    return parseConfigKey(project, text);
  } catch {
    return yaml.fail(pair.key, `could not parse ${text} as a configuration key; keys read \`<namespace>:<name>\``);
  }
}

function keyOf(project: string, pair: Pair): string {
  return parseConfigKey(project, isScalar(pair.key) ? String(pair.key.value) : String(pair.key));
}

function topOf(document: Document): YAMLMap {
  if (!isMap(document.contents)) document.contents = new YAMLMap();
  const { contents } = document;
  if (!isMap(contents)) throw new EngineError("the stack file's content is not a map");
  return contents;
}

function sectionOf(document: Document): YAMLMap {
  const top = topOf(document);
  const found = top.get("config");
  if (isMap(found)) return found;
  const section = new YAMLMap();
  document.set("config", section);
  return section;
}

/** New keys go where the order stays sorted if it is sorted (the CLI writes sorted files), otherwise to the end. */
function insertSorted(map: YAMLMap, pair: Pair): void {
  const name = (item: Pair): string => (isScalar(item.key) ? String(item.key.value) : "");
  const names = map.items.map(name);
  const sorted = names.every((text, index) => index === 0 || (names[index - 1] ?? "") <= text);
  const position = sorted ? names.findIndex((text) => text > name(pair)) : -1;
  if (position < 0) map.items.push(pair);
  else map.items.splice(position, 0, pair);
}

/** The node with the new value; what did not change keeps its nodes, and so its comments and style. */
function updated(document: Document, node: unknown, value: ConfigValue): Node {
  if (isMap(node) && isObject(value) && !isSecure(value)) {
    node.items = node.items.filter((item) => isScalar(item.key) && Object.hasOwn(value, String(item.key.value)));
    for (const [key, part] of Object.entries(value)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
      if (pair) pair.value = updated(document, pair.value, part);
      else insertSorted(node, document.createPair(key, part));
    }
    return node;
  }
  if (isSeq(node) && Array.isArray(value)) {
    node.items = value.map((part, index) => updated(document, node.items[index], part));
    return node;
  }
  if (isScalar(node) && !isObject(value) && !Array.isArray(value)) {
    if (node.value !== value || typeof node.value !== typeof value) {
      // The style of a number or of a bare word may not fit the new text.
      if (node.type === Scalar.PLAIN) node.type = undefined;
      node.value = value;
      node.source = undefined;
    }
    return node;
  }
  const fresh = document.createNode(value);
  if (isScalar(node) && node.comment) fresh.commentBefore = node.comment;
  return fresh;
}

function layoutOf(yaml: YamlFile | undefined): { lineWidth: 0; indent: number; indentSeq: boolean } {
  return { lineWidth: 0, indent: yaml?.indent ?? 2, indentSeq: yaml?.indentSeq ?? true };
}

/** A value as the CLI's YAML reader (yaml.v3) sees it, which differs from YAML 1.2 in old-style octals and dates. */
function readValue(node: unknown, fail: (node: unknown, message: string) => never): ConfigValue {
  if (isMap(node)) {
    const result: { [key: string]: ConfigValue } = {};
    for (const pair of node.items) {
      if (!isScalar(pair.key)) return fail(pair.key, "keys must be plain text");
      result[String(pair.key.value)] = readValue(pair.value, fail);
    }
    return result;
  }
  if (isSeq(node)) return node.items.map((item) => readValue(item, fail));
  if (!isScalar(node))
    return node === null || node === undefined ? null : fail(node, "an alias (`*name`) cannot stand here; write the value out");
  const { value, source } = node;
  if (node.type === Scalar.PLAIN && source !== undefined) {
    if (/^[-+]?0[0-7]+$/.test(source)) return Number.parseInt(source, 8);
    if (/^\d{4}-\d\d-\d\d$/.test(source)) return `${source} 00:00:00 +0000 UTC`;
  }
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  return fail(node, `${String(source ?? value)} cannot be used as a setting; put it in quotes if it is text`);
}
