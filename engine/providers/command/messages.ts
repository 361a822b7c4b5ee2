/** Texts of the command provider with secrets taken out. */

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
