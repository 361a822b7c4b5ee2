/** A monitor and engine that do nothing: each resource exists at once, with its inputs as outputs. Measures programs alone. */
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineProto from "@pulumi/pulumi/proto/engine_pb.js";
import monitorGrpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import monitorProto from "@pulumi/pulumi/proto/resource_pb.js";
import emptyProto from "google-protobuf/google/protobuf/empty_pb.js";

export interface IdleEngine {
  address: string;
  /** Resources that were registered. */
  registered(): number;
  close(): void;
}

type Handler<Request, Response> = (request: Request) => Response;

function unary<Request, Response>(handler: Handler<Request, Response>) {
  return (call: ServerUnaryCall<Request, Response>, answer: sendUnaryData<Response>): void =>
    answer(null, handler(call.request));
}

export async function startIdleEngine(): Promise<IdleEngine> {
  let registered = 0;
  const empty = unary(() => new emptyProto.Empty());
  const monitor: UntypedServiceImplementation = {
    supportsFeature: unary(() => {
      const response = new monitorProto.SupportsFeatureResponse();
      response.setHassupport(true);
      return response;
    }),
    registerResource: unary((request: InstanceType<typeof monitorProto.RegisterResourceRequest>) => {
      registered++;
      const response = new monitorProto.RegisterResourceResponse();
      response.setUrn(`urn:pulumi:dev::bench::${request.getType()}::${request.getName()}`);
      if (request.getCustom()) response.setId("id");
      response.setObject(request.getObject());
      return response;
    }),
    registerResourceOutputs: empty,
    signalAndWaitForShutdown: empty,
  };
  let root = "";
  const engine: UntypedServiceImplementation = {
    log: empty,
    getRootResource: unary(() => {
      const response = new engineProto.GetRootResourceResponse();
      response.setUrn(root);
      return response;
    }),
    setRootResource: unary((request: InstanceType<typeof engineProto.SetRootResourceRequest>) => {
      root = request.getUrn();
      return new engineProto.SetRootResourceResponse();
    }),
  };
  const server = new Server();
  server.addService(monitorGrpc.ResourceMonitorService, monitor);
  server.addService(engineGrpc.EngineService, engine);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, registered: () => registered, close: () => server.forceShutdown() };
}
