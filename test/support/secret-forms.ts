/** What of a secret is looked for: pieces that no way of quoting changes, in clear and in the usual encodings. */
import { createPrivateKey } from "node:crypto";

export type Form = "clear" | "base64" | "hex";

export interface SecretForm {
  readonly form: Form;
  readonly needle: Buffer;
}

const pieceLength = 16;

/**
 * A piece of letters and digits stands as it is in JSON, YAML, URLs, shell words, units and patterns, whatever surrounds it;
 * so its quoted forms need no list. Of a private key it is the bytes that its public key does not have.
 */
export function formsOf(secret: string): SecretForm[] {
  const isKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(secret);
  const pieces = isKey ? halves(privateBytes(secret)) : [pieceOf(secret)];
  const once = pieces.flatMap(encodings);
  const forms: SecretForm[] = [
    ...pieces.map((needle): SecretForm => ({ form: "clear", needle })),
    ...once,
    // PEM is base64 already.
    ...(isKey ? once.flatMap(({ needle }) => encodings(needle)) : []),
  ];
  const seen = new Set<string>();
  return forms.filter(({ needle }) => {
    const key = needle.toString("latin1");
    return !seen.has(key) && seen.add(key);
  });
}

function pieceOf(secret: string): Buffer {
  const runs = secret.match(/[A-Za-z0-9]+/g) ?? [];
  const longest = runs.toSorted((a, b) => b.length - a.length)[0] ?? "";
  if (longest.length < 12) throw new Error("a secret without twelve letters or digits in a row cannot be told from other text");
  return Buffer.from(longest.slice(0, pieceLength));
}

/** A piece of base64 depends on what stands before it: each of the three possible ones, without its ends. */
function encodings(bytes: Buffer): SecretForm[] {
  const pieces = [0, 1, 2].map((before) => {
    const padded = Buffer.concat([Buffer.alloc(before), bytes]);
    const whole = padded.subarray(0, padded.length - (padded.length % 3)).toString("base64");
    return whole.slice(before === 0 ? 0 : 4);
  });
  const url = (text: string): string => text.replaceAll("+", "-").replaceAll("/", "_");
  const hex = bytes.toString("hex");
  return [
    ...pieces.flatMap((piece): SecretForm[] => [
      { form: "base64", needle: Buffer.from(piece) },
      { form: "base64", needle: Buffer.from(url(piece)) },
    ]),
    { form: "hex", needle: Buffer.from(hex) },
    { form: "hex", needle: Buffer.from(hex.toUpperCase()) },
  ];
}

/** One of them is whole even where PEM begins a new line. */
function halves(bytes: Buffer): Buffer[] {
  const middle = bytes.length >> 1;
  return [bytes.subarray(0, middle), bytes.subarray(middle)];
}

/** What makes it private: d of a curve, the seed of Ed25519, the first prime's beginning of RSA. */
function privateBytes(pem: string): Buffer {
  if (pem.includes("BEGIN OPENSSH")) {
    const blob = Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ""), "base64");
    // Of Ed25519, without a passphrase: a field of 64 bytes, the seed and the public key (PROTOCOL.key of OpenSSH).
    const at = blob.lastIndexOf(Buffer.from([0, 0, 0, 0x40]));
    if (at < 0) throw new Error("of OpenSSH's own format only Ed25519 without a passphrase can be looked for");
    return blob.subarray(at + 4, at + 36);
  }
  const { d = "", p = d } = createPrivateKey(pem).export({ format: "jwk" });
  return Buffer.from(p, "base64url").subarray(0, 32);
}
