/** How resources are called in what the user reads. */
import { parseUrn, type Urn } from "../resource.ts";

/** `random:index/randomId:RandomId` as `random:index:RandomId` (tokens.Type.DisplayName). */
export function typeName(type: string): string {
  const [pkg, module, name, ...more] = type.split(":");
  if (!pkg || !module || !name || more.length > 0) return type;
  const slash = module.lastIndexOf("/");
  const expected = name.charAt(0).toLowerCase() + name.slice(1);
  return slash >= 0 && module.slice(slash + 1) === expected ? `${pkg}:${module.slice(0, slash)}:${name}` : type;
}

/** Type and name of a resource; without a URN, of the stack itself. */
export function resourceName(urn: Urn, project: string, stack: string): { type: string; name: string } {
  if (urn === "") return { type: "pulumi:pulumi:Stack", name: `${project}-${stack}` };
  const { type, name } = parseUrn(urn);
  return { type: typeName(type), name: printable(name) };
}

/** A name may hold what would break a terminal or a line. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.charCodeAt(0);
    return character === "\n" ? "\\n" : character === "\t" ? "\\t" : `\\x${code.toString(16).padStart(2, "0")}`;
  });
}
