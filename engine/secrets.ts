/** Pulumi's passphrase scheme: the key from a passphrase and a salt, values encrypted with AES-256-GCM. */
import { createCipheriv, createDecipheriv, pbkdf2, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { EngineError } from "./errors.ts";
import { explainErrno } from "./files.ts";

export interface SecretsManager {
  /** `encryptionsalt` of the stack file and `secrets_providers.state.salt` of a checkpoint. */
  readonly salt: string;
  encrypt(plaintext: string): string;
  /** Throws an EngineError that holds neither the value nor the key. */
  decrypt(ciphertext: string): string;
}

/** Asks on the terminal without showing what is typed; undefined where there is no terminal. */
export type AskHidden = ((prompt: string) => Promise<string>) | undefined;
type Env = { [name: string]: string | undefined };

const deriveKey = promisify(pbkdf2);
const rounds = 1_000_000;
const derived = new Map<string, Promise<SecretsManager>>();

/**
 * The manager for an existing salt. Takes about 0.2 s of another thread: call it early, await it late.
 * The same salt is derived once in a process.
 */
export function openSecrets(
  salt: string,
  env: Env,
  options: { source?: string; ask?: AskHidden } = {},
): Promise<SecretsManager> {
  const source = options.source ?? "encryptionsalt";
  const key = `${salt}\0${env.PULUMI_CONFIG_PASSPHRASE ?? ""}\0${env.PULUMI_CONFIG_PASSPHRASE_FILE ?? ""}`;
  const known = derived.get(key);
  if (known) return known;
  const opened = unlock(salt, env, source, options.ask);
  // A caller that awaits later must not make the process fail now.
  opened.catch(() => derived.delete(key));
  derived.set(key, opened);
  return opened;
}

/** A manager with a new salt, for a stack that has none yet. */
export async function createSecrets(env: Env, ask?: AskHidden): Promise<SecretsManager> {
  const passphrase = await readPassphrase(env, ask, "Enter your passphrase to protect config/secrets", true);
  const salt = randomBytes(8);
  const key = await deriveKey(passphrase, salt, rounds, 32, "sha256");
  const state = `v1:${salt.toString("base64")}:${encryptWith(key, "pulumi")}`;
  const manager = createManager(state, key);
  derived.set(
    `${state}\0${env.PULUMI_CONFIG_PASSPHRASE ?? ""}\0${env.PULUMI_CONFIG_PASSPHRASE_FILE ?? ""}`,
    Promise.resolve(manager),
  );
  return manager;
}

async function unlock(salt: string, env: Env, source: string, ask: AskHidden): Promise<SecretsManager> {
  const [version, encodedSalt = "", ...check] = salt.split(":");
  if (version !== "v1" || check.length !== 3) {
    const what = version === "v1" ? "malformed state value" : "unknown state version";
    throw new EngineError(
      `${source}: ${what}; it must read \`v1:<salt>:v1:<nonce>:<ciphertext>\`. Restore it from a backup of the file`,
    );
  }
  if (!isBase64(encodedSalt)) throw new EngineError(`${source}: the salt is not base64; restore it from a backup of the file`);
  const passphrase = await readPassphrase(env, ask, "Enter your passphrase to unlock config/secrets", false);
  const key = await deriveKey(passphrase, Buffer.from(encodedSalt, "base64"), rounds, 32, "sha256");
  let proof: string | undefined;
  try {
    proof = decryptWith(key, check.join(":"));
  } catch {
    proof = undefined;
  }
  // The CLI's own words; it cannot know either whether the salt or the passphrase is the wrong one.
  if (proof !== "pulumi") throw new EngineError("incorrect passphrase");
  return createManager(salt, key);
}

function createManager(salt: string, key: Buffer): SecretsManager {
  return {
    salt,
    encrypt: (plaintext) => encryptWith(key, plaintext),
    decrypt: (ciphertext) => decryptWith(key, ciphertext),
  };
}

async function readPassphrase(env: Env, ask: AskHidden, prompt: string, confirm: boolean): Promise<string> {
  if (env.PULUMI_CONFIG_PASSPHRASE !== undefined) return env.PULUMI_CONFIG_PASSPHRASE;
  const file = env.PULUMI_CONFIG_PASSPHRASE_FILE;
  if (file) {
    try {
      return (await readFile(resolve(file), "utf8")).trim();
    } catch (error) {
      throw new EngineError(
        `unable to read PULUMI_CONFIG_PASSPHRASE_FILE: ${resolve(file)}: ${explainErrno(error)}; correct the path, or set PULUMI_CONFIG_PASSPHRASE`,
        {
          cause: error,
        },
      );
    }
  }
  if (!ask) {
    throw new EngineError(
      "passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment variables",
    );
  }
  const hint = "    (set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to remember)";
  const first = await ask(confirm ? prompt : `${prompt}\n${hint}`);
  if (confirm && first !== (await ask("Re-enter your passphrase to confirm")))
    throw new EngineError("passphrases do not match");
  return first;
}

function encryptWith(key: Buffer, plaintext: string): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const sealed = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `v1:${nonce.toString("base64")}:${sealed.toString("base64")}`;
}

function decryptWith(key: Buffer, ciphertext: string): string {
  const [version, encodedNonce = "", encodedSealed = "", ...more] = ciphertext.split(":");
  if (more.length > 0 || encodedSealed === "") throw new EngineError("bad value: a ciphertext reads `v1:<nonce>:<base64>`");
  if (version !== "v1") throw new EngineError("unknown value version: a ciphertext begins with `v1:`");
  if (!isBase64(encodedNonce) || !isBase64(encodedSealed)) throw new EngineError("bad value: the ciphertext is not base64");
  const nonce = Buffer.from(encodedNonce, "base64");
  const sealed = Buffer.from(encodedSealed, "base64");
  if (nonce.length !== 12 || sealed.length < 16) throw new EngineError("bad value: nonce size is incorrect");
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAuthTag(sealed.subarray(-16));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]).toString("utf8");
  } catch {
    throw new EngineError("cipher: message authentication failed");
  }
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}
