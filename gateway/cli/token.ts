// `token create | list | revoke`: named tokens of a config file. A stack's are made with `npm run token`, since its file is rendered.
import { randomInt } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConfigError, isPlain, type Plain } from "../config/faults.ts";
import { loadConfig } from "../config/load.ts";
import { findPlaces } from "../config/places.ts";
import { pluginId } from "../config/schema.ts";
import { describeToken, readTokenOptions, type TokenEntry, tokenOptionsHelp, tokenTable } from "../config/token-entry.ts";
import { exitCodes, messageOf } from "../errors.ts";

const usage = `  node gateway/main.ts token create ID [options] [--config FILE]   make one: its secret file, its entry; it is printed this once
  node gateway/main.ts token list [--json] [--config FILE]         those that there are, without their values
  node gateway/main.ts token revoke ID [--config FILE]             refuse it from now on

A gateway that watches its config follows at once. For a stack: npm run -s token -- create ID
Options of create:
${tokenOptionsHelp}`;

/** What a user can mend. */
class Problem extends Error {}

export async function tokenCommand(args: readonly string[]): Promise<number> {
  const { path, words } = readPath(args);
  const [command, ...rest] = words;
  try {
    if (command === "create") return await create(path, rest);
    if (command === "list") return await list(path, rest.includes("--json"));
    if (command === "revoke" && rest[0] !== undefined) return await revoke(path, rest[0]);
  } catch (error) {
    if (error instanceof ConfigError) return fail(error.message, exitCodes.config);
    if (error instanceof Problem) return fail(error.message, exitCodes.usage);
    throw error;
  }
  return fail(usage, exitCodes.usage);
}

async function create(path: string, words: readonly string[]): Promise<number> {
  const read = readTokenOptions(words);
  if (typeof read === "string") throw new Problem(read);
  if (read.rest[0] !== undefined) throw new Problem(`${read.rest[0]} is not known here.\n\n${usage}`);
  const { entry } = read;
  const { config } = await loadConfig({ env: process.env, path, allowUnconfigured: true, withoutSecrets: true });
  const { tokens } = config.plugins.entries[pluginId].config;
  if (tokens.some(({ id }) => id === entry.id))
    throw new Problem(`There is a token ${entry.id} already: revoke it first, or choose another id.`);
  const provider = providerName(entry.id);
  if (config.secrets.providers[provider]) throw new Problem(`secrets.providers.${provider} exists already: choose another id.`);

  const value = randomToken();
  const file = secretFile(path, provider);
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, `${value}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw new Problem(`${file} cannot be made: ${messageOf(error)}`);
  }
  const added = withToken(entry, provider, file);
  try {
    const edited = await edit(path, (root) => {
      section(root, "secrets", "providers")[provider] = added.provider;
      const own = section(root, "plugins", "entries", pluginId, "config");
      own.tokens = [...(Array.isArray(own.tokens) ? own.tokens : []), added.entry];
    });
    process.stderr.write(
      edited
        ? `The token ${entry.id} is in ${path}; its value is in ${file}, and is shown this once:\n`
        : `${path} is not plain JSON, so it is left as it is. Add this to it:\n${JSON.stringify(
            {
              secrets: { providers: { [provider]: added.provider } },
              plugins: { entries: { [pluginId]: { config: { tokens: [added.entry] } } } },
            },
            null,
            2,
          )}\nThe value is in ${file}, and is shown this once:\n`,
    );
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
  process.stdout.write(`${value}\n`);
  return exitCodes.ok;
}

async function list(path: string, asJson: boolean): Promise<number> {
  const { config } = await loadConfig({ env: process.env, path, allowUnconfigured: true, withoutSecrets: true });
  const lines = config.plugins.entries[pluginId].config.tokens.map((token) => describeToken(token));
  const text = asJson ? JSON.stringify(lines, null, 2) : lines.length > 0 ? tokenTable(lines) : "There are no named tokens.";
  process.stdout.write(`${text}\n`);
  return exitCodes.ok;
}

async function revoke(path: string, id: string): Promise<number> {
  const { config } = await loadConfig({ env: process.env, path, allowUnconfigured: true, withoutSecrets: true });
  const { tokens } = config.plugins.entries[pluginId].config;
  if (!tokens.some((token) => token.id === id)) {
    const known = tokens.map((token) => token.id).join(", ");
    throw new Problem(`There is no token ${JSON.stringify(id)}${known === "" ? "" : `; there is ${known}`}.`);
  }
  const provider = providerName(id);
  const file = secretFile(path, provider);
  let removed = false;
  const edited = await edit(path, (root) => {
    const own = section(root, "plugins", "entries", pluginId, "config");
    const kept = Array.isArray(own.tokens) ? own.tokens.filter((entry) => !isPlain(entry) || entry.id !== id) : [];
    removed = Array.isArray(own.tokens) && kept.length < own.tokens.length;
    own.tokens = kept;
    const providers = section(root, "secrets", "providers");
    const declared = providers[provider];
    // Only what `create` made.
    if (isPlain(declared) && declared.path === file) delete providers[provider];
  });
  if (!edited || !removed)
    throw new Problem(
      `${path} cannot be changed from here (it is not plain JSON, or includes other files): remove the token ${id} by hand.`,
    );
  rmSync(file, { force: true });
  process.stdout.write(`The token ${id} is revoked.\n`);
  return exitCodes.ok;
}

/** False, and nothing done, where writing the file anew would lose something of it: comments, YAML. Checked before it is in place. */
async function edit(path: string, change: (root: Plain) => void): Promise<boolean> {
  let root: unknown;
  try {
    root = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return false;
  }
  if (!isPlain(root)) return false;
  change(root);
  const next = `${path}.${process.pid}.new`;
  try {
    writeFileSync(next, `${JSON.stringify(root, null, 2)}\n`, { mode: 0o600 });
    chmodSync(next, statSync(path).mode & 0o777);
    await loadConfig({ env: process.env, path: next, allowUnconfigured: true, withoutSecrets: true });
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error instanceof ConfigError ? error : new Problem(`${path} cannot be written: ${messageOf(error)}`);
  }
  return true;
}

/** The object at this place, made where there is none. */
function section(root: Plain, ...names: string[]): Plain {
  let node = root;
  for (const name of names) {
    const found = node[name];
    const next: Plain = isPlain(found) ? found : {};
    node[name] = next;
    node = next;
  }
  return node;
}

function withToken(entry: TokenEntry, provider: string, file: string) {
  return {
    entry: { ...entry, token: { source: "file", provider, id: "value" } },
    provider: { source: "file", path: file, mode: "singleValue" },
  };
}

/** Names of secret providers are lower case. */
const providerName = (id: string): string => `token-${id.toLowerCase().replace(/[^a-z0-9_-]/g, "-")}`.slice(0, 64);
const secretFile = (configPath: string, provider: string): string => join(dirname(configPath), "secrets", provider);

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/** 43 letters and digits are 256 bits; without other characters it pastes into any shell and URL. */
const randomToken = (): string => Array.from({ length: 43 }, () => letters[randomInt(letters.length)]).join("");

function readPath(args: readonly string[]): { path: string; words: string[] } {
  const words: string[] = [];
  let named: string | undefined;
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] ?? "";
    if (word === "--config") {
      index += 1;
      named = args[index];
    } else if (word.startsWith("--config=")) named = word.slice("--config=".length);
    else words.push(word);
  }
  return { path: findPlaces(process.env, named).configPath, words };
}

function fail(text: string, code: number): number {
  process.stderr.write(`${text}\n`);
  return code;
}
