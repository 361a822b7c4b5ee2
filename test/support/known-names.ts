/** The operator's command where names lead somewhere, as in DNS: with a hosts file of its own, seen by it alone. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LocalClone, RunOptions } from "./local-clone.ts";
import type { Outcome } from "./outcome.ts";

/** @param names name -> address. Needs root: it runs in a mount namespace of its own */
export function operateKnowing(
  clone: LocalClone,
  names: { [name: string]: string },
  args: string[],
  options?: RunOptions,
): Promise<Outcome> {
  const file = join(clone.base, "hosts");
  const own = Object.entries(names).map(([name, address]) => `${address} ${name}\n`);
  writeFileSync(file, ["127.0.0.1 localhost\n", ...own].join(""));
  const inside = `mount --bind ${file} /etc/hosts && exec "$@"`;
  const program = [process.execPath, "--disable-warning=ExperimentalWarning", "infra/operate/main.ts", ...args];
  const line = ["exec", "unshare", "--mount", "sh", "-c", inside, "sh", ...program];
  return clone.shell(line.map((word) => (/^[\w./=-]+$/.test(word) ? word : `'${word}'`)).join(" "), options);
}
