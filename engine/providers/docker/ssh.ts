/** A connection to a Docker daemon through the system's `ssh`; the host must be a known one. */
import { spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { ProviderError } from "../provider.ts";

/** ssh takes the first value that it is given for an option, so ours cannot be switched off by what follows. */
const strict = ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-T"];

export function sshConnection(host: string, options: readonly string[]): () => Duplex {
  const url = new URL(host);
  if (url.password !== "")
    throw new ProviderError("invalid", "host: a password in an ssh:// address is not supported; use a key");
  if (url.hostname === "" || url.hostname.startsWith("-") || url.username.startsWith("-")) {
    throw new ProviderError("invalid", `host: ssh:// needs the name of a host, as in ssh://user@name`);
  }
  const socket = url.pathname.length > 1 ? ["--host", `unix://${url.pathname}`] : [];
  const args = [
    ...strict,
    ...options,
    ...(url.username ? ["-l", decodeURIComponent(url.username)] : []),
    ...(url.port ? ["-p", url.port] : []),
    "--",
    url.hostname.replace(/^\[|\]$/g, ""),
    ["docker", ...socket, "system", "dial-stdio"].map(quoted).join(" "),
  ];
  return () => dial(url.hostname, args);
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function dial(name: string, args: string[]): Duplex {
  const child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said = (said + chunk).slice(-2000);
  });
  const connection = new Duplex({
    read() {
      child.stdout.resume();
    },
    write(chunk: Buffer, _encoding, done) {
      child.stdin.write(chunk, () => done());
    },
    final(done) {
      child.stdin.end(done);
    },
    destroy(error, done) {
      child.kill();
      done(error);
    },
  });
  child.stdin.on("error", () => {});
  child.stdout.on("data", (chunk: Buffer) => {
    if (!connection.push(chunk)) child.stdout.pause();
  });
  child.on("error", (error) => {
    connection.destroy(new Error(`the program ssh could not be started: ${error.message}`));
  });
  child.on("close", (code) => {
    if (code === 0 || connection.destroyed) connection.push(null);
    else connection.destroy(new Error(`ssh to ${name} ended with ${code}: ${said.trim() || "it said nothing"}`));
  });
  // http looks at these of a socket.
  return Object.assign(connection, {
    setKeepAlive: () => connection,
    setNoDelay: () => connection,
    setTimeout: () => connection,
    ref: () => connection,
    unref: () => connection,
  });
}
