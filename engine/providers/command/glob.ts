/** Globs as gobwas/glob reads them with "/" as separator: `*`, `**`, `?`, `[abc]`, `[!a-z]`, `{a,b}`, and `\` before any. */
import { ProviderError } from "../provider.ts";

export function globMatcher(glob: string): (path: string) => boolean {
  const pattern = new RegExp(`^${translate(glob)}$`, "su");
  return (path) => pattern.test(path);
}

function translate(glob: string): string {
  let out = "";
  let depth = 0;
  for (let i = 0; i < glob.length; i++) {
    const character = glob[i] ?? "";
    if (character === "*") {
      const double = glob[i + 1] === "*";
      if (double) while (glob[i + 1] === "*") i++;
      out += double ? ".*" : "[^/]*";
    } else if (character === "?") out += "[^/]";
    else if (character === "\\") {
      i++;
      out += literal(glob[i] ?? "\\");
    } else if (character === "{") {
      depth++;
      out += "(?:";
    } else if (character === "}" && depth > 0) {
      depth--;
      out += ")";
    } else if (character === "," && depth > 0) out += "|";
    else if (character === "[") {
      const [whole = "", not = "", members = ""] = /^\[(!?)((?:\\.|[^\]\\])+)\]/.exec(glob.slice(i)) ?? [];
      if (whole === "") throw new ProviderError("failed", `the glob ${JSON.stringify(glob)} has a "[" without its "]"`);
      const range = /^([^\\])-([^\\])$/u.exec(members);
      const inside = range
        ? `${literal(range[1] ?? "")}-${literal(range[2] ?? "")}`
        : [...members.replace(/\\(.)/gu, "$1")].map(literal).join("");
      out += `[${not ? "^" : ""}${inside}]`;
      i += whole.length - 1;
    } else out += literal(character);
  }
  // One that is not closed ends with the glob, as in gobwas/glob.
  out += ")".repeat(depth);
  return out;
}

function literal(character: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(character) ? `\\${character}` : character;
}
