/** Pure: what the agent tells of a server, as data. */

export interface ServerFacts {
  uid: number;
  os: { id: string; version: string };
  arch: string;
  /** Name of process 1. */
  init: string;
  cpus: number;
  memoryTotalMb: number;
  memoryAvailableMb: number;
  /** Free where packages and data go, and where releases go. */
  diskVarMb: number;
  diskOptMb: number;
  /** Seconds since 1970, as the server has them. */
  time: number;
  addresses: string[];
  /** Ports of the SSH server: those it listens on, and the one we came through. */
  sshPorts: number[];
  listening: { port: number; program: string }[];
  /** Of those that were asked for. */
  packages: string[];
  /** The name of the installation; undefined where nothing of ours is there, or its agent was changed. */
  installation: string | undefined;
  /** A site of somebody else's answers for unknown names already. */
  foreignDefault: boolean;
  /** Somebody changed the package's nginx.conf, or we did: how many connections a worker may have. */
  foreignNginx: { connections: number } | undefined;
  /** The Caddyfile is not the package's: somebody's, or ours. */
  foreignCaddyfile: boolean;
  /** Packages that were wanted are still there. */
  wantedPackages: { state: "ok" | "missing"; repairs: number } | undefined;
  /** What was put there, how it is now, and how often it had to be put back. */
  files: { [path: string]: { state: "ok" | "changed" | "missing" | "mode"; repairs: number } };
  secrets: { state: "ok" | "changed"; repairs: number } | undefined;
  /** When each was unpacked; `missing`: it was here. */
  releases: { [id: string]: { at: number | "missing"; repairs: number } };
  /** What runs, and what `up` brought last: another one after a rollback. */
  current: string | undefined;
  activated: string | undefined;
  units: { [unit: string]: { active: string; enabled: string } };
  unitRepairs: number;
}

export function parseFacts(text: string): ServerFacts {
  const lines = text
    .split("\n")
    .filter((line) => line.includes("="))
    .map((line): [string, string] => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1).trim()]);
  const all = (name: string): string[][] => lines.filter(([key]) => key === name).map(([, value]) => value.split(/\s+/));
  const one = (name: string): string[] => all(name)[0] ?? [];
  const number = (value: string | undefined): number => Number(value) || 0;
  const [id = "", version = ""] = one("os");
  const [memoryTotal, memoryAvailable] = one("memoryKb");
  const [diskVar, diskOpt] = one("diskKb");
  const listening = all("listen").map(([port, program = ""]) => ({ port: number(port), program }));
  // SSH_CONNECTION: the client's address and port, then the server's.
  const cameThrough = number(one("connection")[3]);
  const ssh = listening.filter(({ program }) => program === "sshd").map(({ port }) => port);
  const [secretState, secretRepairs] = one("secrets");
  const [packages, packageRepairs] = one("packages");
  return {
    uid: one("uid")[0] === undefined ? -1 : number(one("uid")[0]),
    os: { id, version },
    arch: one("arch")[0] ?? "",
    init: one("init")[0] ?? "",
    cpus: number(one("cpus")[0]),
    memoryTotalMb: Math.floor(number(memoryTotal) / 1024),
    memoryAvailableMb: Math.floor(number(memoryAvailable) / 1024),
    diskVarMb: Math.floor(number(diskVar) / 1024),
    diskOptMb: Math.floor(number(diskOpt) / 1024),
    time: number(one("time")[0]),
    addresses: one("addresses").filter(Boolean),
    sshPorts: [...new Set([...ssh, ...(cameThrough ? [cameThrough] : [])])].sort((a, b) => a - b),
    listening,
    packages: all("package").map(([name = ""]) => name),
    installation: one("installation")[0],
    foreignDefault: one("foreignDefault")[0] === "yes",
    foreignNginx: all("foreignNginx").length > 0 ? { connections: number(one("foreignNginx")[0]) } : undefined,
    foreignCaddyfile: one("foreignCaddyfile")[0] === "yes",
    wantedPackages: packages ? { state: packages === "ok" ? "ok" : "missing", repairs: number(packageRepairs) } : undefined,
    files: Object.fromEntries(
      all("file").map(([state, repairs, ...path]) => [path.join(" "), { state: fileState(state), repairs: number(repairs) }]),
    ),
    secrets: secretState ? { state: secretState === "ok" ? "ok" : "changed", repairs: number(secretRepairs) } : undefined,
    releases: Object.fromEntries(
      all("release").map(([at, repairs, release = ""]) => [
        release,
        { at: at === "missing" ? "missing" : number(at), repairs: number(repairs) },
      ]),
    ),
    current: one("current")[0],
    activated: one("activated")[0],
    units: Object.fromEntries(
      all("unit").map(([active = "", enabled = "", unit]) => [unit ?? enabled, { active, enabled: unit ? enabled : "" }]),
    ),
    unitRepairs: number(one("unitRepairs")[0]),
  };
}

function fileState(text: string | undefined): ServerFacts["files"][string]["state"] {
  return text === "ok" || text === "missing" || text === "mode" ? text : "changed";
}

export interface Drift {
  /** "/etc/x", "the secrets", "the release y", "the unit z". */
  what: string;
  how: string;
}

/** What is on the server differs from what was put there. */
export function driftOf(facts: ServerFacts): Drift[] {
  const words = { changed: "was changed by somebody else", missing: "is gone", mode: "has another owner or mode" };
  const files = Object.entries(facts.files).flatMap(([path, { state }]) =>
    state === "ok" ? [] : [{ what: path, how: words[state] }],
  );
  const secrets = facts.secrets?.state === "changed" ? [{ what: "/etc/openclaw/secrets", how: words.changed }] : [];
  const current = facts.current === undefined ? undefined : facts.releases[facts.current];
  const release = current?.at === "missing" ? [{ what: `the release ${facts.current}`, how: words.missing }] : [];
  const units = Object.entries(facts.units).flatMap(([unit, { active, enabled }]) => {
    if (active !== "active") return [{ what: `the unit ${unit}`, how: `does not run (${active || "unknown"})` }];
    return enabled === "disabled" ? [{ what: `the unit ${unit}`, how: "does not start with the server" }] : [];
  });
  if (facts.current !== undefined && facts.activated !== undefined && facts.current !== facts.activated)
    release.push({ what: `the release ${facts.activated}`, how: `was replaced by ${facts.current}` });
  const packages = facts.wantedPackages?.state === "missing" ? [{ what: "a package", how: "was removed" }] : [];
  return [...files, ...secrets, ...release, ...packages, ...units];
}

/**
 * How often something had to be put back: the server remembers it. What differs now counts once more, which makes the
 * resource's command another one, so that the engine runs it; afterwards the server gives the same number.
 */
export function repairsOf(there: { state: string; repairs: number } | undefined): string {
  return String(there ? there.repairs + (there.state === "ok" ? 0 : 1) : 0);
}
