/** Secrets that no setting of their own name holds: `secret-<name>` in the stack's configuration, and the references to them. */
import type { Fault } from "./settings-faults.ts";

/** `{ source: file, provider: stack, id: <name> }` anywhere in the settings means the stack's secret `secret-<name>`. */
const provider = "stack";
const prefix = "secret-";

interface Reference {
  path: string[];
  name: string;
}

/** Finds the references in a tree of settings. */
export function references(value: unknown, path: string[] = []): Reference[] {
  if (typeof value !== "object" || value === null) return [];
  const own = nameOf(value);
  if (own !== undefined) return [{ path, name: own }];
  return Object.entries(value).flatMap(([key, entry]) => references(entry, [...path, key]));
}

/** The tree with each reference replaced; everything else is kept. */
export function replaceReferences(value: unknown, refer: (key: string) => object): unknown {
  if (Array.isArray(value)) return value.map((entry) => replaceReferences(entry, refer));
  if (typeof value !== "object" || value === null) return value;
  const own = nameOf(value);
  if (own !== undefined) return refer(`${prefix}${own}`);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, replaceReferences(entry, refer)]));
}

function nameOf(value: object): string | undefined {
  const { source, provider: from, id }: { source?: unknown; provider?: unknown; id?: unknown } = value;
  return source === "file" && from === provider && typeof id === "string" ? id : undefined;
}

/** Where a secret would stand in clear; a text in one of these places is never meant to be read by others. */
const secretPlaces = [
  /^quotas\.[^.]+\.keys\.\d+\.apiKey$/,
  /^cluster\.redis(?:Url|Password)$/,
  /^proxy\.tls\.(?:files\.key|acme\.dns\.credentials|acme\.externalAccount\.hmacKey)$/,
  /^memory\.search\.remote\.apiKey$/,
  /^tracing\.headers\.[^.]+$/,
  /^models\.providers\.[^.]+\.request\.(?:tls\.(?:key|passphrase)|proxy\.tls\.(?:key|passphrase)|auth\.(?:token|value))$/,
  /^models\.providers\.[^.]+\.(?:request\.)?headers\.(?:authorization|x-api-key|api-key)$/i,
];

/** References that lead nowhere, secrets that nothing refers to, and secrets in clear. */
export function referenceFaults(sections: { [section: string]: unknown }, secretKeys: string[]): Fault[] {
  const used = references(sections);
  const missing = used
    .filter(({ name }) => !secretKeys.includes(`${prefix}${name}`))
    .map(({ path, name }) => ({
      path: path.join("."),
      message: `the secret itself is missing: npm run config -- set --secret ${prefix}${name}`,
    }));
  const unused = secretKeys
    .filter((key) => key.startsWith(prefix) && !used.some(({ name }) => `${prefix}${name}` === key))
    .map((key) => ({
      path: key,
      message: `nothing refers to it; write { source: file, provider: ${provider}, id: ${key.slice(prefix.length)} } where it is needed, or remove it: npm run config -- rm ${key}`,
    }));
  const clear = texts(sections, []).filter(({ path, text }) => isSecret(path, text));
  return [
    ...missing,
    ...unused,
    ...clear.map(({ path }) => {
      const name = path
        .split(".")
        .slice(-4)
        .join("-")
        .replace(/[^A-Za-z0-9-]/g, "-");
      return {
        path,
        message: `is in the stack file in clear; write { source: file, provider: ${provider}, id: ${name} } here and store it encrypted: npm run config -- set --secret ${prefix}${name}`,
      };
    }),
  ];
}

function isSecret(path: string, text: string): boolean {
  if (path === "cluster.redisUrl") return URL.canParse(text) && new URL(text).password !== "";
  return secretPlaces.some((place) => place.test(path));
}

function texts(value: unknown, path: string[]): { path: string; text: string }[] {
  if (typeof value === "string") return [{ path: path.join("."), text: value }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, entry]) => texts(entry, [...path, key]));
}
