// What a server asks of the connections that it reads itself.
import type { PlainRequest } from "./answer.ts";
import type { HeadRules } from "./request-head.ts";

export interface WireOptions extends HeadRules {
  /** Exact paths. */
  readonly isPlainPath: (url: string) => boolean;
  /** False: requests go to node:http, and answers to those that came before say that the connection is closed. */
  readonly ready: () => boolean;
  /** The head is there; the body may be on its way. */
  readonly take: (request: PlainRequest) => void;
  readonly maxBodyBytes: number;
  /** A connection is broken off, since too much was sent ahead on it. */
  readonly onFlood?: () => void;
  /** 0: no limit; so for the others. */
  readonly headersTimeoutMs: number;
  /** Of the whole request. */
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
}
