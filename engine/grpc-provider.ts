/** A provider plug-in that runs as a process of its own, spoken to over gRPC (pulumirpc.ResourceProvider). */
import { type ClientUnaryCall, credentials, type requestCallback, type ServiceError } from "@grpc/grpc-js";
import type { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import emptyProto, { type Empty } from "google-protobuf/google/protobuf/empty_pb.js";
import { decodeServiceError } from "./provider-errors.ts";
import * as messages from "./provider-messages.ts";
import { type Provider, ProviderError } from "./providers/provider.ts";
import { localChannelOptions } from "./wire.ts";

/** How long a plug-in that was just started may take to answer its first call. */
const defaultConnectTimeoutMs = 10_000;

/**
 * Speaks to the plug-in at `address` (host:port). `onClose` ends whatever process it is; it is called once, after the
 * connection is closed.
 */
export function connectProvider(
  address: string,
  onClose: () => Promise<void> = async () => undefined,
  connectTimeoutMs = defaultConnectTimeoutMs,
): Provider {
  const client = new providerGrpc.ResourceProviderClient(address, credentials.createInsecure(), localChannelOptions);
  let closed: Promise<void> | undefined;
  const connected = waitForReady(client, connectTimeoutMs);
  // The first call reports it.
  connected.catch(() => undefined);

  type Method<Request, Response> = (request: Request, done: requestCallback<Response>) => ClientUnaryCall;
  async function call<Request, Response>(method: Method<Request, Response>, request: Request, signal?: AbortSignal) {
    await connected;
    return await new Promise<Response>((resolve, reject) => {
      const running = method.call(client, request, (error: ServiceError | null, response?: Response) => {
        signal?.removeEventListener("abort", abort);
        if (error) reject(decodeServiceError(error));
        else if (response === undefined) reject(new Error("the plug-in answered with nothing"));
        else resolve(response);
      });
      const abort = () => running.cancel();
      signal?.addEventListener("abort", abort, { once: true });
      if (signal?.aborted) abort();
    });
  }

  return {
    handshake: async (request) => messages.decodeHandshake(await call(client.handshake, messages.encodeHandshake(request))),
    async getPluginInfo() {
      const info = await call<Empty, PluginInfo>(client.getPluginInfo, new emptyProto.Empty());
      return info.getVersion() ? { version: info.getVersion() } : {};
    },
    checkConfig: async (request) => messages.decodeCheck(await call(client.checkConfig, messages.encodeCheck(request))),
    diffConfig: async (request) => messages.decodeDiff(await call(client.diffConfig, messages.encodeDiff(request))),
    configure: async (request) => messages.decodeConfigure(await call(client.configure, messages.encodeConfigure(request))),
    check: async (request) => messages.decodeCheck(await call(client.check, messages.encodeCheck(request))),
    diff: async (request) => messages.decodeDiff(await call(client.diff, messages.encodeDiff(request))),
    create: async (request, signal) => messages.decodeCreate(await call(client.create, messages.encodeCreate(request), signal)),
    read: async (request, signal) => messages.decodeRead(await call(client.read, messages.encodeRead(request), signal)),
    update: async (request, signal) => messages.decodeUpdate(await call(client.update, messages.encodeUpdate(request), signal)),
    async delete(request, signal) {
      await call(client.delete, messages.encodeDelete(request), signal);
    },
    invoke: async (request) => messages.decodeInvoke(await call(client.invoke, messages.encodeInvoke(request))),
    async cancel() {
      await call(client.cancel, new emptyProto.Empty());
    },
    close() {
      closed ??= (async () => {
        client.close();
        await onClose().catch(() => undefined);
      })();
      return closed;
    },
  };
}

/** A plug-in that was just started prints its port before it serves. */
function waitForReady(client: InstanceType<typeof providerGrpc.ResourceProviderClient>, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    client.waitForReady(Date.now() + timeoutMs, (error) => {
      if (!error) resolve();
      else reject(new ProviderError("unavailable", `the plug-in does not answer: ${error.message}`, { cause: error }));
    });
  });
}
