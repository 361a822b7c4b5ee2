/** remote.Command, remote.CopyToRemote and remote.CopyFile. The SSH library is loaded when the first of them connects. */
import { isArchive, isMap, type PropertyMap, type Value } from "../../../values.ts";
import { type CheckResponse, ProviderError, type ReadRequest, type ReadResponse } from "../../provider.ts";
import {
  bare,
  checkedInputs,
  checkInputs,
  copyFileInputs,
  copyToRemoteInputs,
  type Kind,
  missingInputs,
  remoteCommandInputs,
} from "../inputs.ts";
import { commandKind, newId, type ResourceKind } from "../kind.ts";
import { copyPlainFile, copySource } from "./copy.ts";
import { createConnectionPool } from "./pool.ts";
import { type RemoteDeps, runRemote } from "./run.ts";
import { checkConnection, readConnection } from "./settings.ts";
import { openSftp, type RemoteFiles } from "./sftp.ts";

export interface RemoteKinds {
  kinds: { [token: string]: ResourceKind };
  close(): void;
}

export function createRemoteKinds(deps: RemoteDeps): RemoteKinds {
  const pool = createConnectionPool();
  const { programDirectory } = deps;

  const copying = async (
    inputs: PropertyMap,
    urn: string,
    signal: AbortSignal,
    copy: (files: RemoteFiles) => Promise<void>,
  ): Promise<void> => {
    const settings = readConnection(inputs.connection ?? null);
    const onRetry = (message: string) => deps.log({ severity: "info", message, urn, ephemeral: true });
    await pool.withSession(settings, { signal, onRetry }, async (client) => {
      const files = await openSftp(client, signal);
      try {
        await copy(files);
      } catch (error) {
        if (signal.aborted && error instanceof Error) {
          throw new ProviderError("cancelled", error.message, { cause: error });
        }
        throw error;
      } finally {
        files.close();
      }
    });
  };
  const copyToRemote = (inputs: PropertyMap, urn: string, signal: AbortSignal) =>
    copying(inputs, urn, signal, (files) =>
      copySource(files, bare(inputs.source ?? null), text(inputs.remotePath), programDirectory),
    );

  return {
    kinds: {
      "command:remote:Command": commandKind({
        inputNames: Object.keys(remoteCommandInputs),
        check: (news) => checkRemote(remoteCommandInputs, ["connection"], news, "remote.CommandInputs"),
        read,
        run: (run, signal) => runRemote(run, deps, pool, signal),
      }),
      "command:remote:CopyToRemote": {
        inputNames: Object.keys(copyToRemoteInputs),
        check(news) {
          const checked = checkRemote(copyToRemoteInputs, ["connection", "remotePath"], news, "remote.CopyToRemoteInputs");
          if ((news.source ?? null) !== null) return checked;
          const missing = { property: "asset", reason: "either asset or archive must be set" };
          return { inputs: news, failures: [...(checked.failures ?? []), missing] };
        },
        async create({ properties = {}, preview, urn }, signal) {
          if (preview) return { properties };
          await copyToRemote(properties, urn, signal);
          return { id: newId(), properties };
        },
        read,
        async update({ olds = {}, news = {}, preview, urn }, signal) {
          const isCopied = hashOf(olds) === hashOf(news) && bare(olds.remotePath ?? null) === bare(news.remotePath ?? null);
          if (!preview && !isCopied) await copyToRemote(news, urn, signal);
          return { properties: news };
        },
        // What was copied stays there, as with the official provider.
        async delete() {},
      },
      "command:remote:CopyFile": {
        inputNames: Object.keys(copyFileInputs),
        immutable: true,
        check: (news) => checkRemote(copyFileInputs, ["connection", "localPath", "remotePath"], news, "remote.CopyFileInputs"),
        async create({ properties = {}, preview, urn }, signal) {
          if (preview) return { properties };
          await copying(properties, urn, signal, (files) =>
            copyPlainFile(files, text(properties.localPath), text(properties.remotePath), programDirectory),
          );
          return { id: newId(), properties };
        },
        read,
        async update({ urn }) {
          throw new ProviderError("unimplemented", `Update is not implemented for ${urn}`);
        },
        async delete() {},
      },
    },
    close: pool.close,
  };
}

function checkRemote(kinds: { [name: string]: Kind }, required: string[], news: PropertyMap, owner: string): CheckResponse {
  const { connection: given = null, ...others } = news;
  const { connection, failures } = checkConnection(given);
  const all = [...checkInputs(kinds, news, owner), ...missingInputs(required, news, owner), ...failures];
  if (all.length > 0) return { inputs: news, failures: all };
  return { inputs: { connection, ...checkedInputs(others) } };
}

/** There is nothing to ask the host: what a command did and whether a file is still there is not known to the provider. */
async function read(request: ReadRequest): Promise<ReadResponse> {
  return {
    id: request.id,
    properties: withMembers(request.properties ?? {}),
    inputs: withMembers(request.inputs ?? {}),
  };
}

/** The engine sends archives as hashes; the answer must have members or a path to be an archive again. */
function withMembers(state: PropertyMap): PropertyMap {
  const { source } = state;
  if (!isArchive(source) || source.path !== undefined || source.uri !== undefined) return state;
  return { ...state, source: { assets: {}, ...source } };
}

function hashOf(properties: PropertyMap): Value {
  const source = bare(properties.source ?? null);
  return isMap(source) ? (source.hash ?? null) : null;
}

function text(value: Value | undefined): string {
  const plain = bare(value ?? null);
  return typeof plain === "string" ? plain : "";
}
