/** A real DNS server (BIND) with one zone, whose records whoever has its key may change, as providers' interfaces allow: RFC 2136. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Resolver } from "node:dns/promises";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { installPrograms } from "./debian-packages.ts";
import { freePort } from "./free-port.ts";
import { killed } from "./killed.ts";
import { readIfThere } from "./outcome.ts";

export interface NameServer {
  /** ADDRESS:PORT */
  readonly at: string;
  /** The credentials file of certbot's plug-in rfc2136, with the zone's key, and with one that opens nothing. */
  readonly credentials: string;
  readonly wrongCredentials: string;
  /** The TSIG key itself, base64. */
  readonly key: string;
  log(): string;
  stop(): Promise<void>;
}

/** Why there is none here, in words; undefined where there is one. */
export function whyNoNameServer(): string | undefined {
  return installPrograms({ named: "bind9" });
}

/** @param zone such as "example.test" */
export async function startNameServer(options: { address: string; zone: string }): Promise<NameServer> {
  const { address, zone } = options;
  const folder = mkdtempSync(join(tmpdir(), "name-server-"));
  const port = await freePort();
  const [key, wrong] = [newKey(), newKey()];
  const files = {
    "named.conf": `options {
  directory "${folder}"; pid-file none; session-keyfile none;
  listen-on port ${port} { ${address}; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; allow-transfer { none; };
};
controls { };
key "acme." { algorithm hmac-sha512; secret "${key}"; };
zone "${zone}" { type primary; file "zone"; update-policy { grant acme. zonesub TXT; }; };
`,
    zone: `$TTL 1
@ SOA ns.${zone}. nobody.${zone}. 1 60 60 60 1
@ NS ns.${zone}.
ns A ${address}
`,
    log: "",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  const logFile = join(folder, "log");
  const script = `exec named -g -n 1 -c "$1/named.conf" >>"$1/log" 2>&1`;
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "sh", "-c", script, "sh", folder], { stdio: "ignore" });
  const at = `${address}:${port}`;
  async function stop(): Promise<void> {
    await killed(child);
    rmSync(folder, { recursive: true, force: true });
  }
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([at]);
  for (const until = Date.now() + 30_000; ; ) {
    try {
      await resolver.resolveSoa(zone);
      break;
    } catch (error) {
      if (Date.now() > until || child.exitCode !== null) {
        const said = readIfThere(logFile).slice(-3000);
        await stop();
        throw new Error(`the DNS server did not start:\n${said}`, { cause: error });
      }
      await pause(50);
    }
  }
  const credentials = (secret: string): string => `dns_rfc2136_server = ${address}
dns_rfc2136_port = ${port}
dns_rfc2136_name = acme.
dns_rfc2136_secret = ${secret}
dns_rfc2136_algorithm = HMAC-SHA512
`;
  return {
    ...{ at, key, stop },
    credentials: credentials(key),
    wrongCredentials: credentials(wrong),
    log: () => readIfThere(logFile),
  };
}

const newKey = (): string => randomBytes(64).toString("base64");
