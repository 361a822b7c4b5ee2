// Reads secrets from where the config says they are, keeps them in memory, and follows their files.
import { execFile } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { promisify } from "node:util";
import { GatewayError, messageOf, systemCode } from "../errors.ts";
import { type Fault, isPlain, type Path } from "./faults.ts";
import type { SecretInput, SecretProvider, SecretRef } from "./fields.ts";
import { type Environment, expandHome } from "./places.ts";
import { createRedaction } from "./redaction.ts";
import { isSecretKey } from "./secret-keys.ts";

export interface Secrets {
  /** The present value. Throws GatewayError `secret_unreadable` for a reference that was never read. */
  reveal(input: SecretInput): string;
  /** Files that hold secrets: a change of one of them calls for `refresh`. */
  files(): readonly string[];
  /** Reads all again. A reference that cannot be read now keeps its value; the faults say which. True when a value changed. */
  refresh(): Promise<{ changed: boolean; faults: readonly Fault[] }>;
  /** Replaces every known secret in a text by [secret]. */
  redact(text: string): string;
}

interface Options {
  readonly providers: Readonly<Record<string, SecretProvider>>;
  readonly env: Environment;
  readonly home: string;
  /** Relative paths start here: the config file's folder. */
  readonly folder: string;
}

interface Use {
  readonly ref: SecretRef;
  readonly path: Path;
}

const run = promisify(execFile);

export async function createSecrets(
  config: unknown,
  options: Options,
): Promise<{ secrets: Secrets; faults: readonly Fault[] }> {
  const uses: Use[] = [];
  const literals = new Set<string>();
  collect(config, [], uses, literals);
  const values = new Map<string, string>();
  /** Made when a text is looked at, for each line of the log asks. */
  let redaction: ((text: string) => string) | undefined;

  const refresh = async () => {
    const faults: Fault[] = [];
    let changed = false;
    for (const { ref, path } of uses) {
      try {
        const value = await readSecret(ref, options);
        changed ||= values.get(keyOf(ref)) !== value;
        values.set(keyOf(ref), value);
        redaction = undefined;
      } catch (error) {
        faults.push({ path, problem: messageOf(error), fix: fixOf(error) });
      }
    }
    return { changed, faults };
  };
  const { faults } = await refresh();

  const secrets: Secrets = {
    reveal(input) {
      if (typeof input === "string") return input;
      const value = values.get(keyOf(input));
      if (value === undefined)
        throw new GatewayError("secret_unreadable", `the secret ${input.id} of ${input.provider} could not be read`);
      return value;
    },
    files: () => [
      ...new Set(
        uses.flatMap(({ ref }) => {
          const provider = options.providers[ref.provider];
          return provider?.source === "file" ? [pathOf(provider.path, options)] : [];
        }),
      ),
    ],
    refresh,
    redact(text) {
      redaction ??= createRedaction([...values.values(), ...literals]);
      return redaction(text);
    },
  };
  return { secrets, faults };
}

const keyOf = (ref: SecretRef): string => `${ref.source}\0${ref.provider}\0${ref.id}`;

/** References are recognised by their shape; plain texts in a secret's place are remembered for redaction. */
function collect(node: unknown, path: Path, uses: Use[], literals: Set<string>): void {
  if (Array.isArray(node)) for (const [index, item] of node.entries()) collect(item, [...path, index], uses, literals);
  if (!isPlain(node)) return;
  if (isRef(node)) {
    uses.push({ ref: node, path });
    return;
  }
  for (const [key, value] of Object.entries(node)) {
    if (typeof value === "string" && isSecretKey(key)) literals.add(value);
    else collect(value, [...path, key], uses, literals);
  }
}

function isRef(node: object): node is SecretRef {
  return (
    "source" in node && "provider" in node && "id" in node && typeof node.provider === "string" && typeof node.id === "string"
  );
}

class SecretProblem extends Error {
  readonly fix: string;
  constructor(problem: string, fix: string) {
    super(problem);
    this.fix = fix;
  }
}

const fixOf = (error: unknown): string => (error instanceof SecretProblem ? error.fix : "Check secrets.providers.");
const pathOf = (path: string, options: Options): string => resolve(options.folder, expandHome(path, options.home));

async function readSecret(ref: SecretRef, options: Options): Promise<string> {
  const provider = options.providers[ref.provider];
  if (!provider) {
    if (ref.source === "env") return fromEnvironment(ref, undefined, options.env);
    throw new SecretProblem(
      `refers to secrets.providers.${ref.provider}, which does not exist`,
      `Declare it, or use one of: ${Object.keys(options.providers).join(", ") || "(none yet)"}.`,
    );
  }
  if (provider.source !== ref.source) {
    throw new SecretProblem(
      `says source ${ref.source}, but secrets.providers.${ref.provider} is of source ${provider.source}`,
      `Write source: "${provider.source}".`,
    );
  }
  if (provider.source === "env") return fromEnvironment(ref, provider.allowlist, options.env);
  if (provider.source === "file") {
    const path = pathOf(provider.path, options);
    return select(readSecretFile(path, provider.maxBytes), provider.mode === "json" ? ref.id : undefined, `the file ${path}`);
  }
  return fromProgram(ref, provider, options.env);
}

function fromEnvironment(ref: SecretRef, allowlist: readonly string[] | undefined, env: Environment): string {
  if (allowlist && !allowlist.includes(ref.id)) {
    throw new SecretProblem(
      `the variable ${ref.id} is not on the allowlist of secrets.providers.${ref.provider}`,
      "Add it there.",
    );
  }
  const value = env[ref.id];
  if (!value)
    throw new SecretProblem(`the environment variable ${ref.id} is not set`, `Set ${ref.id} for the gateway's process.`);
  return value;
}

const holdsCertificatesOnly = (path: string): boolean =>
  /^(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*$/.test(readFileSync(path, "utf8"));

function readSecretFile(path: string, maxBytes: number): string {
  let text: string;
  try {
    const info = statSync(path);
    if (!info.isFile()) throw new SecretProblem(`${path} is not a file`, "Check the path.");
    const isOpen = (info.mode & 0o007) !== 0 || (info.mode & 0o020) !== 0;
    // Certificates are public: others may read them, and only must not write them.
    if (isOpen && !((info.mode & 0o022) === 0 && info.size <= maxBytes && holdsCertificatesOnly(path))) {
      throw new SecretProblem(
        `${path} can be read or written by other users (mode ${(info.mode & 0o777).toString(8)})`,
        `Make it private: chmod 600 ${path}`,
      );
    }
    if (info.size > maxBytes)
      throw new SecretProblem(`${path} is larger than ${maxBytes} bytes`, "Check the path, or raise maxBytes.");
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof SecretProblem) throw error;
    const code = systemCode(error);
    throw new SecretProblem(
      code === "ENOENT" ? `${path} does not exist` : `${path} cannot be read (${code})`,
      "Create it with the secret as its only line, mode 0600.",
    );
  }
  const value = text.replace(/\r?\n$/, "");
  if (value === "") throw new SecretProblem(`${path} is empty`, "Write the secret into it.");
  return value;
}

async function fromProgram(
  ref: SecretRef,
  provider: Extract<SecretProvider, { source: "exec" }>,
  env: Environment,
): Promise<string> {
  const { command } = provider;
  if (!isAbsolute(command))
    throw new SecretProblem(
      `the command of secrets.providers.${ref.provider} is not an absolute path`,
      "Write its whole path.",
    );
  if (provider.trustedDirs && !provider.trustedDirs.includes(dirname(command))) {
    throw new SecretProblem(`${command} is not in one of trustedDirs`, "Add its folder there.");
  }
  const passed = Object.fromEntries(
    ["PATH", "HOME", ...provider.passEnv].flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
  try {
    const { stdout } = await run(command, [...provider.args, ref.id], {
      timeout: provider.timeoutMs,
      maxBuffer: provider.maxOutputBytes,
      env: { ...passed, ...provider.env },
    });
    return select(stdout.replace(/\r?\n$/, ""), provider.jsonOnly ? ref.id : undefined, `the output of ${command}`);
  } catch (error) {
    if (error instanceof SecretProblem) throw error;
    // The program's own output may hold the secret: only how it ended is told.
    const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
    throw new SecretProblem(`${command} failed (${String(code ?? "timeout")})`, "Run it by hand to see why.");
  }
}

function select(text: string, pointer: string | undefined, what: string): string {
  if (pointer === undefined) {
    if (text === "") throw new SecretProblem(`${what} is empty`, "It must be the secret.");
    return text;
  }
  let node: unknown;
  try {
    node = JSON.parse(text);
  } catch {
    throw new SecretProblem(`${what} is not JSON`, 'For a file that is the secret itself set mode: "singleValue".');
  }
  for (const part of pointer.split("/").filter((part) => part !== "")) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    node = isPlain(node) && Object.hasOwn(node, key) ? node[key] : undefined;
  }
  if (typeof node !== "string" || node === "")
    throw new SecretProblem(
      `${what} holds no text at ${pointer}`,
      "Check the id: a JSON pointer such as /providers/openai/apiKey.",
    );
  return node;
}
