/** Texts of the command provider: Go's quoting, and output with secrets taken out. */

/** Go's %q. */
export function goQuote(text: string): string {
  const short: { [character: string]: string } = {
    "\u0007": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
  };
  let out = '"';
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (short[character]) out += short[character];
    else if (character === " " || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(character)) out += character;
    else if (code < 0x80) out += `\\x${code.toString(16).padStart(2, "0")}`;
    else out += code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  }
  return `${out}"`;
}

/**
 * Replaces secret values in a text. A command that is secret as a whole was put together from parts, of which its output
 * may hold one: each of its words is replaced too. Very short values would blot out everything and are left.
 */
export function masker(secrets: string[], secretCommands: string[]): (text: string) => string {
  const parts = new Set<string>();
  for (const value of secrets) for (const part of [value, ...value.split("\n")]) parts.add(part.trim());
  for (const value of secretCommands) for (const part of [value, ...value.split(/[\s"'`$;|&<>(){}=]+/)]) parts.add(part.trim());
  const list = [...parts].filter((part) => part.length >= 4).sort((a, b) => b.length - a.length);
  if (list.length === 0) return (text) => text;
  const pattern = new RegExp(list.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|"), "g");
  return (text) => text.replace(pattern, "[secret]");
}
