/** A network of a test's own: a bridge of this machine, on which machines and network namespaces have addresses of both kinds. */

export interface Network {
  /** The bridge's name here. */
  readonly bridge: string;
  /** This machine's addresses on it; servers of a test listen there. */
  readonly address4: string;
  readonly address6: string;
  /** Its next free pair of addresses, with the lengths of their prefixes. */
  take(): { address4: string; address6: string };
  /** A namespace with a wire to the bridge: another host, without files of its own. */
  addHost(): NetworkHost;
  /** With all hosts; machines must have stopped. */
  remove(): void;
}

export interface NetworkHost {
  /** Its name for `ip netns`. */
  readonly name: string;
  readonly address4: string;
  readonly address6: string;
  /** To be put before a command that shall run in there: ["ip", "netns", "exec", name]. */
  readonly prefix: readonly string[];
}

export function makeNetwork(): Network {
  throw new Error("no network yet");
}
