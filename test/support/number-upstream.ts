/** A model server whose streams are numbered, and an echo of WebSockets, in a process of its own, at any address of this machine. */

export interface NumberUpstream {
  /** http://ADDRESS:PORT/v1 for model "numbers": "call" answers at once; streams say " 0", " 1", … slowly. */
  readonly baseUrl: string;
  readonly port: number;
  readonly pid: number;
  /** What it answered so far. */
  served(): Promise<{ calls: number; streams: number; streamsCut: number; sockets: number }>;
  close(): Promise<void>;
}

/** `address`: of a bridge, so that containers and machines reach it; "::" for all. An upgrade on any path is an echo. */
export async function startNumberUpstream(_options: { address?: string; port?: number } = {}): Promise<NumberUpstream> {
  throw new Error("no model server yet");
}
