/** A monitor without a program: tests send it single requests over gRPC. */
import { credentials, type ServiceError } from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import resourceGrpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import type { DeploymentOptions } from "../../engine/deployment.ts";
import type { EngineEvent } from "../../engine/events.ts";
import { startSource } from "../../engine/monitor.ts";
import type { Source } from "../../engine/source.ts";
import { deploymentOptions } from "./deployment-options.ts";
import { createMemorySink, type MemorySink, type MemorySinkOptions } from "./memory-sink.ts";

export interface MonitorClient {
  sink: MemorySink;
  source: Source;
  events: EngineEvent[];
  /** Calls a method by its name in the service, e.g. "registerResource". */
  call(service: "monitor" | "engine", method: string, request: object): Promise<object>;
  /** The program ends with this code. */
  exit(code: number): void;
  close(): Promise<void>;
}

export async function createMonitorClient(
  more: Partial<DeploymentOptions> = {},
  sinkOptions: Partial<MemorySinkOptions> = {},
): Promise<MonitorClient> {
  const exited = Promise.withResolvers<{ code: number | null; signal: string | null }>();
  let address = "";
  const events: EngineEvent[] = [];
  const sink = createMemorySink({ stack: "dev", project: "demo", ...sinkOptions });
  const options = deploymentOptions({ rootDirectory: "/project", programDirectory: import.meta.dirname, ...more });
  const source = await startSource(options, {
    sink,
    emit: (event) => events.push(event),
    runProgram(request) {
      address = request.monitorAddress;
      return { exited: exited.promise, kill: async () => exited.resolve({ code: null, signal: "SIGTERM" }) };
    },
  });
  const clients = {
    monitor: new resourceGrpc.ResourceMonitorClient(address, credentials.createInsecure()),
    engine: new engineGrpc.EngineClient(address, credentials.createInsecure()),
  };
  return {
    sink,
    source,
    events,
    call: (service, method, request) =>
      new Promise((resolve, reject) => {
        const client = clients[service];
        const send: unknown = Reflect.get(client, method);
        if (typeof send !== "function") throw new Error(`the service has no method ${method}`);
        Reflect.apply(send, client, [
          request,
          (error: ServiceError | null, response: object) => (error ? reject(error) : resolve(response)),
        ]);
      }),
    exit: (code) => exited.resolve({ code, signal: null }),
    async close() {
      for (const client of Object.values(clients)) client.close();
      await source.cancel();
    },
  };
}
