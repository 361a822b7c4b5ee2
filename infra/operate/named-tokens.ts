/** `npm run token -- create | list | rotate | revoke`: entries in the stack file, values among its secrets, put in force at once. */
import { randomInt } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMap, isSeq } from "yaml";
import {
  describeToken,
  readTokenOptions,
  timeOf,
  tokenOptionsHelp,
  tokenSchema,
  tokenTable,
} from "../../gateway/config/schema.ts";
import { askEngine } from "./engine.ts";
import { OperatorError } from "./operator-error.ts";
import { prepareStack } from "./prepare.ts";
import { parseStackFile, type StackFile } from "./stack-file.ts";
import { findWorkplace, isDeployedHere, projectName, type Workplace } from "./workplace.ts";

export const tokenHelp = `npm run -s token [-- --header]                      print the gateway's own token
npm run -s token -- create ID [options]            make a named token; it is printed this once
npm run -s token -- list [--json]                  named tokens, without their values
npm run -s token -- rotate ID [--overlap 7d]       a new value; the old one is let in for so long too
npm run -s token -- revoke ID                      refuse it from now on

All of them: --stack NAME, and --no-up to leave it to \`npm run up\` to put the change in force.
Options of create:
${tokenOptionsHelp}`;

export const namedTokens: { [command: string]: (args: string[]) => Promise<number> } = { create, list, rotate, revoke };

/** Names without characters that a shell or a URL would change. */
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const tokensPath = ["config", `${projectName}:tokens`];

async function create(args: string[]): Promise<number> {
  const { workplace, words, applies } = readArguments(args);
  const read = readTokenOptions(words);
  if (typeof read === "string") throw new OperatorError(read);
  const [unknown] = read.rest;
  if (unknown !== undefined) throw new OperatorError(`${unknown} is not known here.\n\n${tokenHelp}`);
  await prepareStack(workplace);
  const file = readFile(workplace);
  const { entry } = read;
  if (indexOf(file, entry.id) >= 0) {
    throw new OperatorError(
      `there is a token ${entry.id} already: revoke it first, or \`npm run token -- rotate ${entry.id}\``,
    );
  }
  if (isSeq(file.document.getIn(tokensPath))) file.document.addIn(tokensPath, file.document.createNode(entry));
  else file.document.setIn(tokensPath, file.document.createNode([entry]));
  const value = randomToken();
  // The secret first: an entry without one would be a fault of the stack file.
  await setSecret(workplace, `token-${entry.id}`, value);
  save(workplace, file);
  await apply(workplace, applies, `The token ${entry.id} is made`);
  console.error("It is shown this once:");
  process.stdout.write(`${value}\n`);
  return 0;
}

async function list(args: string[]): Promise<number> {
  const { workplace, words } = readArguments(args);
  const file = existsSync(workplace.stackFile) ? readFile(workplace) : undefined;
  const lines = (file ? entriesOf(file) : []).flatMap((entry) => {
    // The value is elsewhere; in its place stands something that the schema takes.
    const token = tokenSchema.safeParse({
      ...entry,
      token: "-",
      ...(isObject(entry.previous) ? { previous: { ...entry.previous, token: "-" } } : {}),
    });
    if (!token.success)
      throw new OperatorError(`${workplace.stackFile}: the token ${String(entry.id)} is wrong; see \`npm run preview\``);
    return [describeToken(token.data)];
  });
  if (words.includes("--json")) console.log(JSON.stringify(lines, null, 2));
  else console.log(lines.length > 0 ? tokenTable(lines) : "There are no named tokens. Make one: npm run -s token -- create ci");
  return 0;
}

async function rotate(args: string[]): Promise<number> {
  const { workplace, words, applies } = readArguments(args);
  const [id = "", ...rest] = words;
  const overlap = rest[0] === "--overlap" ? rest[1] : rest[0]?.startsWith("--overlap=") ? rest[0].slice(10) : "7d";
  if (overlap === undefined || !/^\d{1,6}[smhd]$/.test(overlap))
    throw new OperatorError("--overlap is a time such as 30m, 12h or 7d.");
  const file = readFile(workplace);
  const index = indexOf(file, id);
  if (index < 0) throw unknownToken(file, id);
  const old = await askEngine(workplace, ["config", "get", `token-${id}`, "--stack", workplace.stack]);
  if (old.code !== 0) throw new OperatorError(`the secret token-${id} cannot be read:\n${(old.stderr || old.stdout).trim()}`);
  const expiresAt = timeOf(overlap, Date.now());
  file.document.setIn([...tokensPath, index, "previous"], file.document.createNode({ expiresAt }));
  const value = randomToken();
  await setSecret(workplace, `previousToken-${id}`, old.stdout.trim());
  await setSecret(workplace, `token-${id}`, value);
  save(workplace, file);
  await apply(workplace, applies, `The token ${id} has a new value; the old one is let in until ${expiresAt}`);
  console.error("It is shown this once:");
  process.stdout.write(`${value}\n`);
  return 0;
}

async function revoke(args: string[]): Promise<number> {
  const { workplace, words, applies } = readArguments(args);
  const [id = ""] = words;
  const file = readFile(workplace);
  const index = indexOf(file, id);
  if (index < 0) throw unknownToken(file, id);
  file.document.deleteIn([...tokensPath, index]);
  if (entriesOf(file).length === 0) file.document.deleteIn(tokensPath);
  save(workplace, file);
  for (const key of [`token-${id}`, `previousToken-${id}`]) {
    // Where there is none, there is none to remove.
    await askEngine(workplace, ["config", "rm", key, "--stack", workplace.stack]);
  }
  await apply(workplace, applies, `The token ${id} is revoked`);
  return 0;
}

function readArguments(args: string[]): { workplace: Workplace; words: string[]; applies: boolean } {
  const words: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? "";
    if (word === "-s" || word === "--stack") index++;
    else if (!/^(--stack=|-s=?.)/.test(word) && word !== "--no-up") words.push(word);
  }
  return { workplace: findWorkplace(args), words, applies: !args.includes("--no-up") };
}

/** Read anew for each change: the engine writes its secrets into the same file. */
function readFile(workplace: Workplace): StackFile {
  try {
    return parseStackFile(readFileSync(workplace.stackFile, "utf8"));
  } catch {
    throw new OperatorError(`${workplace.stackFile} cannot be read: run \`npm run up\` first`);
  }
}

/** Only the entries are taken over: what the engine wrote in the meantime stays. */
function save(workplace: Workplace, file: StackFile): void {
  const now = readFile(workplace);
  const tokens = file.document.getIn(tokensPath, true);
  if (tokens === undefined) now.document.deleteIn(tokensPath);
  else now.document.setIn(tokensPath, tokens);
  writeFileSync(workplace.stackFile, now.toString());
}

function entriesOf(file: StackFile): { [key: string]: unknown }[] {
  const config: unknown = file.document.toJS()?.config;
  const tokens: unknown = isObject(config) ? config[`${projectName}:tokens`] : undefined;
  return Array.isArray(tokens) ? tokens.filter(isObject) : [];
}

function indexOf(file: StackFile, id: string): number {
  const tokens = file.document.getIn(tokensPath);
  return isSeq(tokens) ? tokens.items.findIndex((item) => isMap(item) && item.get("id") === id) : -1;
}

function unknownToken(file: StackFile, id: string): OperatorError {
  const known = entriesOf(file).map((entry) => String(entry.id));
  const what = id === "" ? "Name the token" : `there is no token ${JSON.stringify(id)}`;
  return new OperatorError(`${what}; ${known.length > 0 ? `there is ${known.join(", ")}` : "there are none yet"}`);
}

async function setSecret(workplace: Workplace, key: string, value: string): Promise<void> {
  // By standard input: arguments are seen by everybody on the machine.
  const stored = await askEngine(workplace, ["config", "set", "--secret", key, "--stack", workplace.stack], value);
  if (stored.code !== 0) throw new OperatorError(`${key} could not be stored:\n${(stored.stderr || stored.stdout).trim()}`);
}

/** Puts it in force where the gateway runs on this machine; elsewhere a deployment is its owner's decision. */
async function apply(workplace: Workplace, wanted: boolean, what: string): Promise<void> {
  const deployed = existsSync(join(workplace.places.config, "openclaw.json"));
  if (!wanted || !deployed || !isDeployedHere(workplace)) {
    console.error(`${what}; \`npm run up\` puts it in force.`);
    return;
  }
  const done = await askEngine(workplace, ["up", "--yes", "--skip-preview", "--stack", workplace.stack]);
  if (done.code !== 0) {
    throw new OperatorError(
      `${what} in the stack file, but it could not be put in force:\n${(done.stderr || done.stdout).trim()}\nMend that, then run \`npm run up\`.`,
    );
  }
  console.error(`${what}, and in force.`);
}

/** 43 letters and digits are 256 bits. */
const randomToken = (): string => Array.from({ length: 43 }, () => letters[randomInt(letters.length)]).join("");

function isObject(value: unknown): value is { [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
