/** What a project file declares under `config`: types, defaults and fixed values of settings, and how a value is checked. */
import { isMap, isScalar, type Node } from "yaml";
import { childOf, closest, describeNode, keyNodeOf, type YamlFile } from "./yaml-file.ts";

export interface ConfigType {
  /** string, integer, boolean, array, object. */
  type: string;
  items?: ConfigType;
}

export interface ConfigDeclaration {
  /** As written: `name` (of this project) or `namespace:name`. */
  key: string;
  type?: ConfigType;
  description?: string;
  default?: unknown;
  /** A value for another namespace (a provider's setting). */
  value?: unknown;
  secret: boolean;
}

const types = ["string", "integer", "boolean", "array", "object"];
const attributes = ["type", "description", "items", "default", "value", "secret"];

export function readConfigDeclarations(yaml: YamlFile, node: Node | undefined, project: string): ConfigDeclaration[] {
  if (node === undefined || (isScalar(node) && node.value === null)) return [];
  if (!isMap(node)) return yaml.fail(node, `'config' must be a map of declarations, found ${describeNode(node)}`);
  return node.items.map((pair) => {
    const key = isScalar(pair.key) ? String(pair.key.value) : "";
    return readDeclaration(yaml, key, pair.key, childOf(node, key), project);
  });
}

function readDeclaration(
  yaml: YamlFile,
  key: string,
  keyNode: unknown,
  node: Node | undefined,
  project: string,
): ConfigDeclaration {
  const own = !key.includes(":") || key.startsWith(`${project}:`);
  // Shorthand: `name: value` declares a default, `namespace:name: value` a fixed value.
  if (!isMap(node)) {
    const value: unknown = node?.toJS(yaml.document);
    if (value === null || value === undefined) return { key, secret: false };
    return own ? { key, default: value, secret: false } : { key, value, secret: false };
  }
  for (const pair of node.items) {
    const name = isScalar(pair.key) ? String(pair.key.value) : "";
    if (attributes.includes(name)) continue;
    const meant = closest(name, attributes);
    yaml.fail(
      pair.key,
      `unknown attribute 'config.${key}.${name}'; ${meant ? `did you mean '${meant}'?` : `there are ${attributes.join(", ")}`}`,
    );
  }
  const raw: { [key: string]: unknown } = node.toJS(yaml.document);
  const type = readType(yaml, node, `config.${key}`);
  const declared = raw.default ?? undefined;
  const value = raw.value ?? undefined;
  if (declared !== undefined && value !== undefined) {
    yaml.fail(keyNode, `project config '${key}' cannot have both a 'default' and 'value' attribute; remove one`);
  }
  if (own) {
    if (type?.type === "array" && !type.items) {
      yaml.fail(
        keyNode,
        `The configuration key '${key}' declares an array but does not specify the underlying type via the 'items' attribute`,
      );
    }
    if (type && declared !== undefined && !matchesType(type, declared)) {
      yaml.fail(
        childOf(node, "default"),
        `The default value specified for configuration key '${key}' is not of the expected type '${typeName(type)}'`,
      );
    }
  } else {
    if (type) {
      yaml.fail(
        keyNodeOf(node, "type"),
        `Configuration key '${key}' is not namespaced by the project and should not define a type; remove 'type'`,
      );
    }
    if (declared !== undefined) {
      yaml.fail(
        keyNodeOf(node, "default"),
        `Configuration key '${key}' is not namespaced by the project and should not define a default value. Did you mean to use the 'value' attribute instead of 'default'?`,
      );
    }
    if (value === undefined) {
      yaml.fail(keyNode, `Configuration key '${key}' is namespaced and must provide an attribute 'value'`);
    }
  }
  const secretNode = childOf(node, "secret");
  if (raw.secret !== undefined && raw.secret !== null && typeof raw.secret !== "boolean") {
    yaml.fail(secretNode, `'config.${key}.secret' must be true or false, found ${describeNode(secretNode)}`);
  }
  return {
    key,
    ...(type ? { type } : {}),
    ...(typeof raw.description === "string" ? { description: raw.description } : {}),
    ...(declared === undefined ? {} : { default: declared }),
    ...(value === undefined ? {} : { value }),
    secret: raw.secret === true,
  };
}

function readType(yaml: YamlFile, node: Node | undefined, path: string): ConfigType | undefined {
  if (!isMap(node)) return undefined;
  const typeNode = childOf(node, "type");
  if (typeNode === undefined) return undefined;
  const type = isScalar(typeNode) ? String(typeNode.value) : "";
  if (!types.includes(type)) {
    const meant = closest(type, types);
    yaml.fail(
      typeNode,
      `'${path}.type' is '${type}'; ${meant ? `did you mean '${meant}'? The types are` : "the types are"} ${types.join(", ")}`,
    );
  }
  const items = readType(yaml, childOf(node, "items"), `${path}.items`);
  return items ? { type, items } : { type };
}

/** `string`, `array<integer>` … as the CLI writes it. */
export function typeName(type: ConfigType): string {
  return type.items ? `array<${typeName(type.items)}>` : type.type;
}

/** The CLI's rules: text that reads as a whole number is an integer, "true" and "false" are booleans. */
export function matchesType(type: ConfigType, value: unknown): boolean {
  switch (type.type) {
    case "string":
      return typeof value === "string";
    case "integer":
      return typeof value === "number" ? Number.isInteger(value) : typeof value === "string" && /^[+-]?\d+$/.test(value);
    case "boolean":
      return typeof value === "boolean" || value === "true" || value === "false";
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default: {
      const { items } = type;
      return Array.isArray(value) && items !== undefined && value.every((item) => matchesType(items, item));
    }
  }
}
