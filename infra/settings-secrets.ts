/** Settings that are secrets: each is a key of its own, encrypted in the stack file. */
import type { Fault } from "./settings-faults.ts";

/** The gateway's token and the one before it, the key of a provider, a named token and the one before it, and what settings refer to. */
export const secretKeyPattern =
  /^(gatewayToken|previousGatewayToken|(apiKey|token|previousToken|secret)-[A-Za-z0-9][A-Za-z0-9._-]*)$/;

const minTokenLength = 16;

export function secretFaults(key: string, value: string, secret: boolean): Fault[] {
  const faults: Fault[] = [];
  const again = `npm run config -- set --secret ${key}`;
  if (!secret) faults.push({ path: key, message: `is in the stack file in clear; encrypt it: ${again}` });
  // Anything may be referred to, also a key of several lines.
  if (key.startsWith("secret-")) {
    if (value === "") faults.push({ path: key, message: `is empty; set it again: ${again}` });
  } else if (!/^[\x21-\x7e]+$/.test(value)) {
    const what =
      value === "" ? "is empty" : "has spaces, line breaks or characters other than ASCII, which no HTTP header carries";
    faults.push({ path: key, message: `${what}; set it again: ${again}` });
  } else if (!key.startsWith("apiKey-") && value.length < minTokenLength) {
    faults.push({
      path: key,
      message: `is shorter than ${minTokenLength} characters, so it could be guessed; set a longer one: ${again}`,
    });
  }
  return faults;
}
