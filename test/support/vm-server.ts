/** A stack of the target vm on a server that boots: deployed from a clone by the operator's commands, and asked over HTTPS. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { type Authority, makeAuthority } from "./certificates.ts";
import type { Suite } from "./debian-root.ts";
import { eventually } from "./eventually.ts";
import { type LocalClone, makeClone } from "./local-clone.ts";
import { type Machine, startMachine } from "./machine.ts";
import { makeNetwork, type Network } from "./network.ts";
import { type NumberUpstream, startNumberUpstream } from "./number-upstream.ts";
import { runCommand } from "./outcome.ts";

export interface Sections {
  [section: string]: unknown;
}

export interface VmServer {
  readonly network: Network;
  readonly upstream: NumberUpstream;
  readonly machine: Machine;
  readonly clone: LocalClone;
  readonly authority: Authority;
  /** Where the owner's own certificate lies on the server, for `tls.files`. */
  readonly ownFiles: { certificate: { path: string }; key: { path: string } };
  readonly stackFile: string;
  /** Sections beside those that never change; undefined takes one away. Secrets stay. */
  settings(more: Sections): void;
  secret(key: string, value: string): Promise<void>;
  /** An operator's command that goes well; gives what it printed. */
  operate(...args: string[]): Promise<string>;
  up(): Promise<string>;
  /** Status and body of an answer of the server, to somebody at `prefix`; 0 where there was none. */
  ask(path: string, how?: { token?: string; address?: string; prefix?: readonly string[] }): Promise<Answer>;
  /** Another certificate for the same names in the owner's files; resolves when the proxy shows it to new connections. */
  renewCertificate(): Promise<void>;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

const stack = "server";
const ownFolder = "/etc/ssl/of-the-owner";
const fileSchema = z.looseObject({ encryptionsalt: z.string(), config: z.record(z.string(), z.unknown()) });
const secretSchema = z.strictObject({ secure: z.string() });

/** @param vm beside the way there; @param keep sections beside `vm` that never change */
export async function makeVmServer(name: string, suite: Suite, vm: object, keep: Sections): Promise<VmServer> {
  const clone = makeClone(name);
  const network = makeNetwork();
  const upstream = await startNumberUpstream({ address: network.address4 });
  const machine = await startMachine(name, { network, suite, login: "sudo" });
  const authority = makeAuthority(clone.base);
  const stackFile = join(clone.directory, `stacks/Pulumi.${stack}.yaml`);
  const { host, port, user, hostKey } = { ...machine, host: machine.address4, port: machine.sshPort };
  const always: Sections = {
    target: "vm",
    vm: { host, port, user, hostKey, identity: { file: machine.key.file }, unattendedUpgrades: false, ...vm },
    models: { providers: { numbers: { baseUrl: upstream.baseUrl, models: ["numbers"] } } },
    ...keep,
  };
  let issued = 0;

  async function operate(...args: string[]): Promise<string> {
    const { code, text } = await clone.operate([...args, "-s", stack]);
    assert.equal(code, 0, `${args.join(" ")}:\n${text}`);
    return text;
  }

  /** Bytes of a new certificate, in the owner's files as certbot would put them. */
  async function writeCertificate(): Promise<string> {
    const { cert, key } = authority.issue(`own-${issued++}`, [machine.address4, machine.address6]);
    for (const [file, text] of [
      ["key.pem", key],
      ["chain.pem", cert],
    ] as const) {
      const { code, text: said } = await machine.run(
        `mkdir -p ${ownFolder} && cat >${ownFolder}/.new && chmod 644 ${ownFolder}/.new && mv ${ownFolder}/.new ${ownFolder}/${file}`,
        { input: text },
      );
      assert.equal(code, 0, said);
    }
    return cert;
  }
  await writeCertificate();
  await machine.markPristine();
  await operate("stack", "init", stack);

  const server: VmServer = {
    ...{ network, upstream, machine, clone, authority, stackFile, operate },
    ownFiles: { certificate: { path: `${ownFolder}/chain.pem` }, key: { path: `${ownFolder}/key.pem` } },
    settings(more) {
      const { encryptionsalt, config } = fileSchema.parse(parse(readFileSync(stackFile, "utf8")));
      const secrets = Object.entries(config).filter(([, value]) => secretSchema.safeParse(value).success);
      const plain = Object.entries({ ...always, ...more })
        .filter(([, value]) => value !== undefined)
        .map(([section, value]) => [`openclaw-stack:${section}`, value]);
      writeFileSync(stackFile, stringify({ encryptionsalt, config: Object.fromEntries([...plain, ...secrets]) }));
    },
    async secret(key, value) {
      const { code, text } = await clone.operate(["config", "set", "--secret", key, "-s", stack], { input: value });
      assert.equal(code, 0, text);
    },
    up: () => operate("up", "--yes", "--skip-preview"),
    async ask(path, { token, address = machine.address4, prefix = [] } = {}) {
      const url = `https://${address.includes(":") ? `[${address}]` : address}${path}`;
      const headers = token === undefined ? [] : ["--header", "@-"];
      // Somebody who is shut out waits for nobody.
      const curl = ["curl", "-sSk", "--max-time", "10", "--write-out", "\n%{http_code}", ...headers, url];
      const { stdout } = await runCommand([...prefix, ...curl], { input: `authorization: Bearer ${token}\n` });
      const lines = stdout.split("\n");
      return { status: Number(lines.pop()), body: lines.join("\n") };
    },
    async renewCertificate() {
      const cert = await writeCertificate();
      await eventually("the proxy shows the new certificate", async () => (await shown(machine.address4)) === cert.trim());
    },
    async close() {
      await machine.stop();
      await upstream.close();
      network.remove();
      await clone.remove();
    },
  };
  return server;
}

/** The certificate that a new connection is shown, as PEM. */
async function shown(host: string): Promise<string> {
  const socket = connect({ host, port: 443, rejectUnauthorized: false });
  try {
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    return socket.getPeerX509Certificate()?.toString().trim() ?? "";
  } catch {
    return "";
  } finally {
    socket.destroy();
  }
}

/** Starts a clock; what it returns gives the seconds since then, as text. */
export function stopwatch(): () => string {
  const start = performance.now();
  return () => `${((performance.now() - start) / 1000).toFixed(1)} s`;
}
