/** A real ACME server with an authority of its own, and the DNS that it asks; it validates against the addresses that a test gives. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { makeAuthority } from "./certificates.ts";
import { freePort } from "./free-port.ts";
import { goProgram } from "./go-programs.ts";
import { killed } from "./killed.ts";
import { readIfThere } from "./outcome.ts";

const module_ = "github.com/letsencrypt/pebble/v2";
const version = "v2.10.1";

export interface PebbleOptions {
  /** Where it listens: an address of a bridge, so that containers and machines reach it. */
  address?: string;
  /** The ports at which it looks for answers to challenges. */
  httpPort?: number;
  tlsPort?: number;
  /** How long its certificates are good. */
  certificateSeconds?: number;
  /** Only who has this account may ask: its id and its key, base64url. */
  externalAccount?: { kid: string; hmacKey: string };
  /** ADDRESS:PORT of a DNS to ask instead of its own, to which addresses and records are then told in vain. */
  nameServer?: string;
}

export interface Pebble {
  /** https://…/dir */
  readonly directoryUrl: string;
  /** The authority of its own HTTPS, to be trusted by ACME clients. */
  readonly caFile: string;
  /** The root of the certificates that it issues; new at each start. */
  issuerCa(): Promise<string>;
  /** What a name resolves to, for it; an empty list is a name that is not there. */
  setAddresses(name: string, addresses: readonly string[]): Promise<void>;
  /** The TXT record that a DNS challenge asks for: name as "_acme-challenge.example.test". */
  setTxt(name: string, value: string): Promise<void>;
  clearTxt(name: string): Promise<void>;
  /** The management of the DNS, for hooks of an ACME client: POST /set-txt, /clear-txt with { host: "name.", value }. */
  readonly dnsApiUrl: string;
  log(): string;
  stop(): Promise<void>;
}

/** Why there is none here, in words; undefined where there is one. Builds it from its Go module on the first call: up to a minute. */
export function whyNoPebble(): string | undefined {
  try {
    for (const name of ["pebble", "pebble-challtestsrv"]) goProgram(module_, version, `cmd/${name}`);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export async function startPebble(options: PebbleOptions = {}): Promise<Pebble> {
  const { address = "127.0.0.1", httpPort = 80, tlsPort = 443, certificateSeconds = 7_776_000, externalAccount } = options;
  const folder = mkdtempSync(join(tmpdir(), "pebble-"));
  const authority = makeAuthority(folder);
  const own = authority.issue("pebble", [address, "127.0.0.1", "localhost", "pebble"]);
  const [port, management, dns, dnsApi] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const configFile = join(folder, "config.json");
  const profile = { description: "as asked for", validityPeriod: certificateSeconds };
  const pebble = {
    listenAddress: `${address}:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: own.certPath,
    privateKey: own.keyPath,
    httpPort,
    tlsPort,
    ocspResponderURL: "",
    externalAccountBindingRequired: externalAccount !== undefined,
    externalAccountMACKeys: externalAccount ? { [externalAccount.kid]: externalAccount.hmacKey } : {},
    // It would say when in one of two forms at random, and Caddy 2.6 reads only one of them.
    retryAfter: { authz: 0, order: 0 },
    profiles: { default: profile },
  };
  writeFileSync(configFile, JSON.stringify({ pebble }));
  const logFile = join(folder, "log");
  writeFileSync(logFile, "");

  const children: ChildProcess[] = [];
  function launch(name: string, args: string[]): void {
    const program = goProgram(module_, version, `cmd/${name}`);
    // Every nonce is good, and nobody waits for show: what is tested is not the client's patience.
    const env = { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "0", PEBBLE_AUTHZREUSE: "0" };
    const script = `exec "$0" "$@" >>"$LOG" 2>&1`;
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "sh", "-c", script, program, ...args], {
      stdio: "ignore",
      env: { ...env, LOG: logFile },
    });
    children.push(child);
  }
  async function stop(): Promise<void> {
    for (const child of children.splice(0)) await killed(child);
    rmSync(folder, { recursive: true, force: true });
  }

  const dnsApiUrl = `http://127.0.0.1:${dnsApi}`;
  async function tellDns(what: string, body: object): Promise<void> {
    const response = await fetch(`${dnsApiUrl}/${what}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`the DNS of the ACME server refuses ${what}: ${response.status}`);
  }
  const get = (url: string): Promise<string> => getTrusting(url, authority.ca);

  // Without an address of its own a name is not there: what is not set fails.
  launch("pebble-challtestsrv", [
    ...["-management", `127.0.0.1:${dnsApi}`, "-dnsserver", `127.0.0.1:${dns}`, "-defaultIPv4", "", "-defaultIPv6", ""],
    ...["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""],
  ]);
  launch("pebble", ["-config", configFile, "-dnsserver", options.nameServer ?? `127.0.0.1:${dns}`]);
  const directoryUrl = `https://${address}:${port}/dir`;
  for (const until = Date.now() + 60_000; ; ) {
    try {
      await get(directoryUrl);
      await tellDns("clear-a", { host: "nobody." });
      break;
    } catch (error) {
      if (Date.now() > until || children.some((child) => child.exitCode !== null)) {
        const said = readIfThere(logFile).slice(-3000);
        await stop();
        throw new Error(`the ACME server did not start:\n${said}`, { cause: error });
      }
      await pause(50);
    }
  }
  return {
    directoryUrl,
    caFile: authority.caPath,
    dnsApiUrl,
    issuerCa: () => get(`https://127.0.0.1:${management}/roots/0`),
    async setAddresses(name, addresses) {
      const host = `${name}.`;
      for (const [kind, of] of [
        ["a", addresses.filter((one) => !one.includes(":"))],
        ["aaaa", addresses.filter((one) => one.includes(":"))],
      ] as const) {
        await tellDns(`clear-${kind}`, { host });
        if (of.length > 0) await tellDns(`add-${kind}`, { host, addresses: of });
      }
    },
    setTxt: (name, value) => tellDns("set-txt", { host: `${name}.`, value }),
    clearTxt: (name) => tellDns("clear-txt", { host: `${name}.` }),
    log: () => readFileSync(logFile, "utf8"),
    stop,
  };
}

function getTrusting(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "user-agent": "test" };
    const sent = request(url, { ca, headers, agent: false, timeout: 5000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`status ${response.statusCode}`)),
      );
      response.on("error", reject);
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer in 5 s")));
    sent.on("error", reject);
    sent.end();
  });
}
