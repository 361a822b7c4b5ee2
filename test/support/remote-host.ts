/** A remote host for the command provider: a real sshd on loopback, and resources as the engine would make them there. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import type { Provider, ProviderLog } from "../../engine/providers/provider.ts";
import { type PropertyMap, signatureKey, signatures } from "../../engine/values.ts";
import { type KeyPair, makeKey, type Sshd, startSshd } from "./sshd.ts";

export const never = new AbortController().signal;
export const urns = {
  command: "urn:pulumi:dev::p::command:remote:Command::x",
  copy: "urn:pulumi:dev::p::command:remote:CopyToRemote::x",
  file: "urn:pulumi:dev::p::command:remote:CopyFile::x",
};

interface MakeOptions {
  by?: Provider;
  signal?: AbortSignal;
  timeout?: number;
}

export interface RemoteHost {
  readonly folder: string;
  /** What `provider` logged. */
  readonly logs: ProviderLog[];
  /** These three from `start` on. */
  readonly key: KeyPair;
  readonly sshd: Sshd;
  readonly provider: Provider;
  start(): Promise<void>;
  stop(): Promise<void>;
  newProvider(log?: (entry: ProviderLog) => void): Provider;
  connection(more?: PropertyMap): PropertyMap;
  /** A life as the engine makes it: Check first, then Create with what it gave back. */
  make(urn: string, inputs: PropertyMap, options?: MakeOptions): Promise<PropertyMap>;
  run(inputs: PropertyMap, options?: MakeOptions): Promise<PropertyMap>;
  copy(source: PropertyMap, remotePath: string, options?: MakeOptions): Promise<PropertyMap>;
}

/** For one suite: its folder is there at once, the rest after `start`. */
export function remoteHost(): RemoteHost {
  const folder = mkdtempSync(join(tmpdir(), "engine-remote-"));
  const guardian = createGuardian();
  const logs: ProviderLog[] = [];
  let begun: { key: KeyPair; sshd: Sshd; provider: Provider } | undefined;
  const started = () => begun ?? assert.fail("the host has not started");
  const host: RemoteHost = {
    folder,
    logs,
    get key() {
      return started().key;
    },
    get sshd() {
      return started().sshd;
    },
    get provider() {
      return started().provider;
    },
    async start() {
      const key = makeKey(folder, "key");
      const config = ["AcceptEnv ACCEPTED_* PULUMI_COMMAND_STDOUT"];
      begun = { key, sshd: await startSshd({ authorizedKeys: [key.publicKey], config }), provider: host.newProvider() };
    },
    async stop() {
      await begun?.provider.close();
      guardian.close();
      await begun?.sshd.stop();
      rmSync(folder, { recursive: true });
    },
    newProvider: (log = (entry) => logs.push(entry)) => createCommandProvider({ programDirectory: folder, guardian, log }),
    connection(more = {}) {
      const { sshd, key } = started();
      const { port, user, hostKey } = sshd;
      return { host: "127.0.0.1", port, user, hostKey, privateKey: key.privateKey, dialErrorLimit: 0, ...more };
    },
    async make(urn, inputs, { by = host.provider, signal = never, timeout } = {}) {
      const given = { connection: host.connection(), ...inputs };
      const { inputs: properties, failures } = await by.check({ urn, news: given });
      assert.deepEqual(failures ?? [], []);
      return (await by.create({ urn, properties, ...(timeout ? { timeout } : {}) }, signal)).properties ?? {};
    },
    run: (inputs, options) => host.make(urns.command, inputs, options),
    copy: (source, remotePath, options) => host.make(urns.copy, { source, remotePath }, options),
  };
  return host;
}

export function asset(content: PropertyMap): PropertyMap {
  return { [signatureKey]: signatures.asset, hash: randomBytes(8).toString("hex"), ...content };
}

export function archive(content: PropertyMap): PropertyMap {
  return { [signatureKey]: signatures.archive, hash: randomBytes(8).toString("hex"), ...content };
}

export async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < end, "it did not happen in 20 s");
    await pause(20);
  }
}
