/** Failures of sockets, SSH and SFTP in the words of the Go libraries that the official provider is made of. */
import { quote } from "../../../go-quote.ts";

/** The server would open no further session on this connection: another one may have to end first. */
export class SessionRefused extends Error {}

/** The connection was gone before anything was asked of it. */
export class NotConnected extends Error {}

const socketTexts: { [code: string]: string } = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "connection timed out",
  EACCES: "permission denied",
  ENOENT: "no such file or directory",
  EPIPE: "broken pipe",
};

export function dialError(error: unknown, host: string, port: number): string {
  const code = codeOf(error);
  if (code === "ENOTFOUND") return `dial tcp: lookup ${host}: no such host`;
  if (code === "EAI_AGAIN") return `dial tcp: lookup ${host}: server misbehaving`;
  const text = socketTexts[code];
  return `dial tcp ${address(host, port)}: ${text ? `connect: ${text}` : messageOf(error)}`;
}

export function agentError(error: unknown, path: string): string {
  return `dial unix ${path}: connect: ${socketTexts[codeOf(error)] ?? messageOf(error)}`;
}

export function address(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** While keys are exchanged and the user is authenticated. */
export function handshakeError(error: Error, state: { hostKeyRefused: boolean; tried: string[] }): string {
  const level = "level" in error ? error.level : undefined;
  if (state.hostKeyRefused) return "ssh: handshake failed: ssh: host key mismatch";
  if (level === "client-authentication") return authError(state.tried);
  const text = socketTexts[codeOf(error)];
  return `ssh: handshake failed: ${text ? `read: ${text}` : messageOf(error)}`;
}

export function authError(tried: string[]): string {
  const methods = ["none", ...new Set(tried)].join(" ");
  return `ssh: handshake failed: ssh: unable to authenticate, attempted methods [${methods}], no supported methods remain`;
}

const sftpNames: { [code: number]: string } = {
  1: "EOF",
  4: "FAILURE",
  5: "BAD_MESSAGE",
  6: "NO_CONNECTION",
  7: "CONNECTION_LOST",
  8: "OP_UNSUPPORTED",
};

export function sftpError(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === 2) return "file does not exist";
  if (code === 3) return "permission denied";
  const name = typeof code === "number" ? sftpNames[code] : undefined;
  if (name) return `sftp: ${quote(messageOf(error))} (SSH_FX_${name})`;
  return messageOf(error) === "No response from server" ? "connection lost" : messageOf(error);
}

/** Failures to open and read files of this machine. */
export function fileError(error: unknown, operation: string, path: string): string {
  const texts: { [code: string]: string } = {
    ENOENT: "no such file or directory",
    EACCES: "permission denied",
    EISDIR: "is a directory",
    ENOTDIR: "not a directory",
    ELOOP: "too many levels of symbolic links",
  };
  return `${operation} ${path}: ${texts[codeOf(error)] ?? messageOf(error)}`;
}

function codeOf(error: unknown): string {
  // A name with several addresses fails with all their errors.
  const one = error instanceof AggregateError ? error.errors[0] : error;
  return one instanceof Error && "code" in one && typeof one.code === "string" ? one.code : "";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
