/** Whether two servers that were made in different ways are the same: packages, users, units, rules, ports and files. */
import { compareSystems } from "./file-comparison.ts";
import type { Machine } from "./machine.ts";

/** Paths that may differ, and why. */
export type Own = readonly (readonly [pattern: RegExp, why: string])[];

/** What differs between any two servers of the same image, or is each one's own. */
export const ownOfEach: Own = [
  [
    /^\/etc\/(hostname|hosts|machine-id|ssh\/ssh_host_.*|systemd\/network\/10-wire\.network)$/,
    "its name, its keys, its address",
  ],
  [/^\/etc\/ssl\/openclaw\/(chain|key)\.pem$/, "made on each server"],
  [/^\/opt\/openclaw\/releases\/[^/]+\/\.complete$/, "when it was unpacked"],
  [/^\/var\/lib\/openclaw-host\/(installation|salt|secrets)$/, "the installation's name, and a sum of its secrets"],
  [/^\/var\/lib\/openclaw-host\/folders$/, "one list in another order, which is compared beside this"],
  [/^\/var\/lib\/(openclaw\/.*|openclaw-redis\/.*|fail2ban\/fail2ban\.sqlite3)$/, "data of what runs"],
  [
    /^\/var\/cache\/(apt|ldconfig)\/|^\/var\/log\/(apt\/|alternatives|dpkg|fail2ban|unattended|nginx\/|openclaw\/)/,
    "when packages came, and logs",
  ],
];

const questions = [
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own
  "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n'",
  "apt-mark showmanual",
  "getent passwd; getent group",
  "systemctl list-unit-files --no-legend | sort",
  "systemctl list-units --all --no-legend --plain --type=service,socket,timer,path | grep -v 'session-\\|user@\\|user-runtime\\| not-found ' | sed 's/  */ /g' | sort",
  "nft -s list ruleset",
  "sysctl -a 2>/dev/null | grep -E '^net.core|^net.ipv4.tcp_|port_range'",
  "ss -Hltn | sed 's/  */ /g' | sort",
  "fail2ban-client status",
  // The folder of releases goes with them, whoever made it first.
  "for list in folders packages users; do sort -u /var/lib/openclaw-host/$list; done | grep -v /opt/openclaw/releases",
  // How often something was put back is left out.
  "cut -d ' ' -f 2- /var/lib/openclaw-host/wanted-packages; sed -s 5d /var/lib/openclaw-host/files/*",
];

/** Each in words; `own`: beside what differs between any two. */
export async function differencesOf(one: Machine, other: Machine, own: Own): Promise<string[]> {
  const differing: string[] = [];
  for (const question of questions) {
    const [mine, theirs] = await Promise.all([one, other].map(async (machine) => (await machine.good(question)).split("\n")));
    const only = (here: string[] = [], there: string[] = []): string[] => here.filter((line) => !there.includes(line));
    differing.push(
      ...only(mine, theirs).map((line) => `only on ${one.name}: ${line}`),
      ...only(theirs, mine).map((line) => `only on ${other.name}: ${line}`),
    );
  }
  const all = [...ownOfEach, ...own];
  const files = compareSystems(one.files, other.files).filter(({ path }) => !all.some(([pattern]) => pattern.test(path)));
  return [...differing, ...files.map(({ path, change, what }) => `${change} ${path} ${what.join()}`.trim())];
}
