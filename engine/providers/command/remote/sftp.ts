/** The file operations that a copy needs, over one SFTP session. All fail when the session or the connection ends. */
import { posix } from "node:path";
import type { Client, SFTPWrapper } from "ssh2";
import { messageOf, NotConnected, SessionRefused, sftpError } from "./errors.ts";

export interface RemoteFiles {
  /** Undefined where there is nothing. */
  stat(path: string): Promise<{ isDirectory: boolean } | undefined>;
  makeFolder(path: string): Promise<void>;
  /** With all that are missing above it. */
  makeFolders(path: string): Promise<void>;
  /** Makes or empties the file; a new one gets the server's usual mode (0666 without its umask), an old one keeps its own. */
  create(path: string): Promise<RemoteFile>;
  close(): void;
}

export interface RemoteFile {
  /** Several may be under way at once. At most `chunkBytes` each. */
  write(bytes: Buffer, position: number): Promise<void>;
  close(): Promise<void>;
}

export const chunkBytes = 32 * 1024;

/** Throws SessionRefused and NotConnected; later failures are plain errors. An abort makes what is under way fail. */
export async function openSftp(client: Client, signal: AbortSignal): Promise<RemoteFiles> {
  const sftp = await start(client);
  let lost: (reason: Error) => void = () => {};
  const ended = new Promise<never>((_resolve, reject) => {
    lost = reject;
  });
  ended.catch(() => {});
  const gone = () => lost(new Error("connection lost"));
  const stop = () => lost(new Error("context canceled"));
  sftp.on("close", gone);
  sftp.on("error", () => {});
  client.once("close", gone);
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();

  const ask = <T>(send: (done: (error?: Error | null, answer?: T) => void) => void): Promise<T | undefined> => {
    const answered = new Promise<T | undefined>((resolve, reject) => {
      send((error, answer) => (error ? reject(error) : resolve(answer)));
    });
    return Promise.race([answered, ended]);
  };
  const stat: RemoteFiles["stat"] = async (path) => {
    try {
      const found = await ask<{ isDirectory(): boolean }>((done) => sftp.stat(path, done));
      return found && { isDirectory: found.isDirectory() };
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === 2) return undefined;
      throw new Error(`failed to stat remote path ${path}: ${sftpError(error)}`, { cause: error });
    }
  };
  const makeFolder = async (path: string) => {
    await ask<void>((done) => sftp.mkdir(path, done));
  };
  const makeFolders = async (path: string): Promise<void> => {
    const found = await stat(path);
    if (found?.isDirectory) return;
    if (found) throw new Error(`mkdir ${path}: not a directory`);
    const parent = posix.dirname(path);
    if (parent !== path) await makeFolders(parent);
    try {
      await makeFolder(path);
    } catch (error) {
      // Another copy may have made it meanwhile.
      if (!(await stat(path))?.isDirectory) throw error;
    }
  };
  return {
    stat,
    makeFolder,
    makeFolders,
    async create(path) {
      const handle = await ask<Buffer>((done) => sftp.open(path, "w", done));
      if (!handle) throw new Error(`no handle for ${path}`);
      return {
        async write(bytes, position) {
          await ask<void>((done) => sftp.write(handle, bytes, 0, bytes.length, position, done));
        },
        async close() {
          await ask<void>((done) => sftp.close(handle, done));
        },
      };
    },
    close() {
      signal.removeEventListener("abort", stop);
      client.off("close", gone);
      sftp.off("close", gone);
      sftp.end();
    },
  };
}

function start(client: Client): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new NotConnected("ssh: connection lost"));
    client.once("close", gone);
    try {
      client.sftp((error, sftp) => {
        client.off("close", gone);
        if (!error) return resolve(sftp);
        const refused = "reason" in error && error.reason !== "";
        if (!refused) return reject(new Error(`ssh: subsystem request failed: ${messageOf(error)}`, { cause: error }));
        const reason = messageOf(error).replace(/^\(SSH\) Channel open failure: /, "");
        reject(new SessionRefused(`ssh: rejected: connect failed (${reason})`));
      });
    } catch {
      // The library throws where the socket is gone.
      gone();
    }
  });
}
