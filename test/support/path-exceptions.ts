/** Paths that a search leaves out. */

/** A path and all below it, or what matches. */
export type Exceptions = readonly (string | RegExp)[];

export function isExcepted(path: string, except: Exceptions): boolean {
  return except.some((rule) => (typeof rule === "string" ? path === rule || path.startsWith(`${rule}/`) : rule.test(path)));
}
