/** A connection to a Docker daemon through the system's `ssh`; the host must show the key that the settings name. */
import { spawn } from "node:child_process";
import { Duplex } from "node:stream";

/** ssh takes the first value that it is given for an option: these cannot be switched off by what follows. */
const strict = ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-T"];

export function sshArguments(url: URL, options: readonly string[], command: readonly string[]): string[] {
  if (url.hostname === "" || url.hostname.startsWith("-") || url.username.startsWith("-")) {
    throw new Error("docker.host: ssh:// needs the name of a host, as in ssh://user@name");
  }
  return [
    ...strict,
    ...options,
    ...(url.username ? ["-l", decodeURIComponent(url.username)] : []),
    ...(url.port ? ["-p", url.port] : []),
    "--",
    url.hostname.replace(/^\[|\]$/g, ""),
    ...command,
  ];
}

export function sshConnection(url: URL, options: readonly string[]): Duplex {
  const socket = url.pathname.length > 1 ? ["--host", `unix://${url.pathname}`] : [];
  const args = sshArguments(url, options, ["docker", ...socket, "system", "dial-stdio"]);
  const child = spawn("ssh", args, { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2000);
  });
  const connection = new Duplex({
    read: () => void child.stdout.resume(),
    write: (chunk: Buffer, _encoding, done) => void child.stdin.write(chunk, () => done()),
    final: (done) => void child.stdin.end(done),
    destroy(error, done) {
      child.kill();
      done(error);
    },
  });
  child.stdin.on("error", () => {});
  child.stdout.on("data", (chunk: Buffer) => {
    if (!connection.push(chunk)) child.stdout.pause();
  });
  child.on("error", (error) => connection.destroy(new Error(`the program ssh could not be started: ${error.message}`)));
  child.on("close", (code) => {
    if (code === 0 || connection.destroyed) connection.push(null);
    else connection.destroy(new Error(`ssh to ${url.hostname} ended with ${code}: ${said.trim() || "it said nothing"}`));
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
