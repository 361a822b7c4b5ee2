/** Calls functions that live in the program: transforms and hooks (pulumirpc.Callbacks). */
import { credentials } from "@grpc/grpc-js";
import callbackGrpc from "@pulumi/pulumi/proto/callback_grpc_pb.js";
import callbackProto, { type Callback } from "@pulumi/pulumi/proto/callback_pb.js";
import { localChannelOptions } from "../wire.ts";
import { RequestError } from "./requests.ts";

export interface Callbacks {
  /** Sends an encoded request to a callback and returns its encoded response. */
  invoke(callback: Callback, request: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

export function createCallbacks(): Callbacks {
  const clients = new Map<string, InstanceType<typeof callbackGrpc.CallbacksClient>>();

  function clientOf(target: string) {
    let client = clients.get(target);
    if (!client) {
      client = new callbackGrpc.CallbacksClient(target, credentials.createInsecure(), localChannelOptions);
      clients.set(target, client);
    }
    return client;
  }

  return {
    invoke(callback, bytes) {
      const request = new callbackProto.CallbackInvokeRequest();
      request.setToken(callback.getToken());
      request.setRequest(bytes);
      return new Promise((resolve, reject) => {
        clientOf(callback.getTarget()).invoke(request, (error, response) => {
          if (error) reject(new RequestError(error.details || error.message, error.code));
          else resolve(response.getResponse_asU8());
        });
      });
    },
    close() {
      for (const client of clients.values()) client.close();
      clients.clear();
    },
  };
}
