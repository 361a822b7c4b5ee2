/** The Engine service (pulumirpc.Engine): logs of the program and of plug-ins. */
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineProto, { type LogRequest } from "@pulumi/pulumi/proto/engine_pb.js";
import emptyProto from "google-protobuf/google/protobuf/empty_pb.js";
import type { ProviderLog } from "../providers/provider.ts";
import { localChannelOptions } from "../wire.ts";
import { RequestError } from "./requests.ts";

export interface EngineLog extends ProviderLog {
  /** Groups the lines of one output; absent where each message stands alone. */
  streamId?: number;
}

export interface EngineServer {
  /** host:port */
  address: string;
  close(): void;
}

/** The CLI whose behaviour the embedded engine has; programs may require a range of versions. */
const pulumiVersion = "3.260.0";

/** A server of its own for plug-ins, which get its address as their first argument. */
export async function startEngineServer(log: (entry: EngineLog) => void): Promise<EngineServer> {
  const server = new Server(localChannelOptions);
  addEngineService(server, log);
  return { address: await listen(server), close: () => server.forceShutdown() };
}

export function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(`127.0.0.1:${port}`);
    });
  });
}

/** Wraps an async function as a gRPC handler. */
export function unary<Request, Response>(
  handle: (request: Request, call: ServerUnaryCall<Request, Response>) => Promise<Response>,
) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
    handle(call.request, call).then(
      (response) => callback(null, response),
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        callback({ code: error instanceof RequestError ? error.code : 2, details: message });
      },
    );
  };
}

const severities = ["debug", "info", "warning", "error"] as const;

export function addEngineService(server: Server, log: (entry: EngineLog) => void): void {
  let rootResource = "";
  const empty = new emptyProto.Empty();
  server.addService(engineGrpc.EngineService, {
    log: unary<LogRequest, typeof empty>(async (request) => {
      const severity = severities[request.getSeverity()] ?? "info";
      // Debug messages of the SDK hold every output in clear: they go nowhere.
      if (severity !== "debug") log(decodeLog(request, severity));
      return empty;
    }),
    getRootResource: unary(async () => {
      const response = new engineProto.GetRootResourceResponse();
      response.setUrn(rootResource);
      return response;
    }),
    setRootResource: unary<InstanceType<typeof engineProto.SetRootResourceRequest>, unknown>(async (request) => {
      rootResource = request.getUrn();
      return new engineProto.SetRootResourceResponse();
    }),
    startDebugging: unary(async () => {
      throw new RequestError("attaching a debugger is not supported by the embedded engine; use the Pulumi CLI", 12);
    }),
    requirePulumiVersion: unary<InstanceType<typeof engineProto.RequirePulumiVersionRequest>, unknown>(async (request) => {
      const range = request.getPulumiVersionRange();
      if (!satisfies(pulumiVersion, range)) {
        throw new RequestError(`Pulumi CLI version ${pulumiVersion} does not satisfy the version range "${range}"`, 9);
      }
      return new engineProto.RequirePulumiVersionResponse();
    }),
  });
}

function decodeLog(request: LogRequest, severity: EngineLog["severity"]): EngineLog {
  const entry: EngineLog = { severity, message: request.getMessage() };
  if (request.getUrn()) entry.urn = request.getUrn();
  if (request.getEphemeral()) entry.ephemeral = true;
  if (request.getStreamid()) entry.streamId = request.getStreamid();
  return entry;
}

/** A version against a range as github.com/blang/semver reads it: comparators that must all hold, alternatives after `||`. */
export function satisfies(version: string, range: string): boolean {
  return range.split("||").some((alternative) => {
    const comparators = alternative
      .trim()
      .replace(/([<>=!]+)\s+/g, "$1")
      .split(/\s+/);
    return comparators.every((comparator) => holds(version, comparator));
  });
}

function holds(version: string, comparator: string): boolean {
  const [, operator = "", wanted = ""] = /^([<>=!]*)v?(\d+\.\d+\.\d+)(?:[-+].*)?$/.exec(comparator) ?? [];
  if (wanted === "")
    throw new RequestError(`the version range "${comparator}" cannot be read; write it as ">=3.100.0 <4.0.0"`, 3);
  const order = compareVersions(version, wanted);
  switch (operator) {
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case "!":
    case "!=":
      return order !== 0;
    default:
      return order === 0;
  }
}

function compareVersions(left: string, right: string): number {
  const [a, b] = [left, right].map((version) => version.split(".").map(Number));
  for (let index = 0; index < 3; index++) {
    const difference = (a?.[index] ?? 0) - (b?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
