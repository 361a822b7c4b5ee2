/** A real ACME server with an authority of its own, and the DNS that it asks; it validates against the addresses that a test gives. */

export interface PebbleOptions {
  /** Where it listens: an address of a bridge, so that containers and machines reach it. */
  address?: string;
  /** The ports at which it looks for answers to challenges. */
  httpPort?: number;
  tlsPort?: number;
  /** How long its certificates are good. */
  certificateSeconds?: number;
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
  /** The management API of the DNS, for hooks of an ACME client: http://… */
  readonly dnsApiUrl: string;
  log(): string;
  stop(): Promise<void>;
}

/** Why there is none here, in words; undefined where there is one. Builds it from its Go module on the first call: up to a minute. */
export function whyNoPebble(): string | undefined {
  return "not yet";
}

export async function startPebble(_options: PebbleOptions = {}): Promise<Pebble> {
  throw new Error("no ACME server yet");
}
