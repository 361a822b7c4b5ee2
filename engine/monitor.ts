/**
 * What the running program talks to: Pulumi's ResourceMonitor and Engine services on one loopback port, with the program
 * itself started against them.
 */
import { Server } from "@grpc/grpc-js";
import type { Callback } from "@pulumi/pulumi/proto/callback_pb.js";
import resourceGrpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resourceProto, {
  type ReadResourceRequest,
  type RegisterErrorHookRequest,
  type RegisterResourceHookRequest,
  type RegisterResourceOutputsRequest,
  type RegisterResourceRequest,
  type ResourceInvokeRequest,
  type SupportsFeatureRequest,
} from "@pulumi/pulumi/proto/resource_pb.js";
import emptyProto, { type Empty } from "google-protobuf/google/protobuf/empty_pb.js";
import { withHashes } from "./assets.ts";
import type { DeploymentOptions } from "./deployment.ts";
import { createCallbacks } from "./monitor/callbacks.ts";
import type { MonitorContext } from "./monitor/context.ts";
import { createDefaultProviders } from "./monitor/default-providers.ts";
import { addEngineService, type EngineLog, listen, unary } from "./monitor/engine-service.ts";
import { createHooks } from "./monitor/hooks.ts";
import { createInheritance } from "./monitor/inheritance.ts";
import { createPositions } from "./monitor/positions.ts";
import { invoke, readResource } from "./monitor/reads.ts";
import { registerResource } from "./monitor/registration.ts";
import { checkUrn, RequestError } from "./monitor/requests.ts";
import { createTracker } from "./monitor/tracker.ts";
import { createTransforms } from "./monitor/transforms.ts";
import type { ProgramOutcome, Source, SourceDeps, StartSource } from "./source.ts";
import { withoutOutputs } from "./values.ts";
import { decodeStruct, localChannelOptions } from "./wire.ts";

/** Ids of SupportsFeature, and the same as numbers of the enum ResourceMonitorFeature (secrets 0 … invokeParent 15). */
const featureIds = [
  "secrets",
  "resourceReferences",
  "outputValues",
  "aliasSpecs",
  "replacementTrigger",
  "deletedWith",
  "replaceWith",
  "transforms",
  "invokeTransforms",
  "parameterization",
  "resourceHooks",
  "errorHooks",
  "sendsOptionsToHooks",
];
const featureNumbers = Array.from({ length: 16 }, (_, number) => number);

/** The program's exit code for "failed, and the user was told why" (nodeJSProcessExitedAfterLoggingUserActionableMessage). */
const exitedAfterMessage = 32;

export const startSource: StartSource = async (options, deps) => {
  const callbacks = createCallbacks();
  const context: MonitorContext = {
    options,
    sink: deps.sink,
    hooks: createHooks(callbacks, options.dryRun, deps.emit),
    inheritance: createInheritance(),
    positions: createPositions(options.rootDirectory),
    providers: createDefaultProviders(options, deps.sink),
    tracker: createTracker(),
    transforms: createTransforms(callbacks, options.programDirectory),
  };
  const state: ProgramState = { loggedErrors: 0, signalled: false, outOfMemory: false };
  const signal = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();

  const server = new Server(localChannelOptions);
  addEngineService(server, (entry) => {
    if (entry.severity === "error") state.loggedErrors++;
    emitLog(deps, entry);
  });
  addMonitorService(server, context, async () => {
    if (state.signalled) throw new RequestError("Already waiting for shutdown");
    state.signalled = true;
    signal.resolve();
    await release.promise;
  });
  const address = await listen(server);

  const close = () => {
    callbacks.close();
    server.forceShutdown();
  };
  let program: ReturnType<SourceDeps["runProgram"]>;
  try {
    program = deps.runProgram({
      monitorAddress: address,
      engineAddress: address,
      options,
      onOutput(_stream, message) {
        if (message.includes("<--- Last few GCs --->")) state.outOfMemory = true;
        deps.emit({ kind: "stdout", message });
      },
    });
  } catch (error) {
    close();
    throw error;
  }
  const ended = program.exited.then((exit) => judge(exit, state));
  // Whoever waits for it gets the error; nobody may.
  ended.catch(() => undefined);
  const atSignal: Promise<ProgramOutcome> = signal.promise.then(() => ({ ok: state.loggedErrors === 0 }));

  const source: Source = {
    hooks: context.hooks,
    registered: Promise.race([atSignal, ended]),
    async finish() {
      release.resolve();
      try {
        return await ended;
      } finally {
        close();
      }
    },
    async cancel() {
      await program.kill();
      close();
    },
  };
  return source;
};

interface ProgramState {
  loggedErrors: number;
  /** It asked to wait for the end: no registrations come after that. */
  signalled: boolean;
  outOfMemory: boolean;
}

const outOfMemoryHint =
  " Detected a possible out of memory error. Consider increasing the memory available to the nodejs process by setting the " +
  "`nodeargs` runtime option in Pulumi.yaml to `nodeargs: --max-old-space-size=<size>` where `<size>` is the maximum memory " +
  "in megabytes that can be allocated to nodejs.";

/** Success is: exit 0, after it waited for its end, with no error logged. Everything else must not start deletions. */
function judge(exit: { code: number | null; signal: string | null }, state: ProgramState): ProgramOutcome {
  const { code, signal } = exit;
  if (code === exitedAfterMessage) return { ok: false, exitCode: code };
  if (code !== 0) {
    const how = signal ? `was ended by ${signal}` : `exited with non-zero exit code: ${code}`;
    const hint = state.outOfMemory ? `.${outOfMemoryHint}` : "";
    return { ok: false, exitCode: code, message: `an unhandled error occurred: Program ${how}${hint}` };
  }
  if (!state.signalled) {
    return { ok: false, exitCode: code, message: "Program exited before all its resources were registered" };
  }
  return { ok: state.loggedErrors === 0, exitCode: code };
}

function emitLog(deps: SourceDeps, entry: EngineLog): void {
  deps.emit({
    kind: "diagnostic",
    severity: entry.severity,
    message: entry.message,
    ...(entry.urn ? { urn: entry.urn } : {}),
    ...(entry.ephemeral ? { ephemeral: true } : {}),
    ...(entry.streamId === undefined ? {} : { streamId: entry.streamId }),
  });
}

function addMonitorService(server: Server, context: MonitorContext, waitForShutdown: () => Promise<void>): void {
  const empty = new emptyProto.Empty();
  const refuse = (what: string) =>
    unary<unknown, unknown>(async () => {
      throw new RequestError(`${what} is not supported by the embedded engine; use the Pulumi CLI for this program`, 12);
    });
  server.addService(resourceGrpc.ResourceMonitorService, {
    getDeploymentInfo: unary<Empty, unknown>(async () => deploymentInfo(context.options)),
    supportsFeature: unary<SupportsFeatureRequest, unknown>(async (request) => {
      const response = new resourceProto.SupportsFeatureResponse();
      response.setHassupport(featureIds.includes(request.getId()));
      return response;
    }),
    invoke: unary<ResourceInvokeRequest, unknown>((request) => invoke(context, request)),
    call: refuse("calling a method of a component (ResourceMonitor.Call)"),
    readResource: unary<ReadResourceRequest, unknown>((request) => readResource(context, request)),
    existsResource: refuse("asking whether a resource exists (ResourceMonitor.ExistsResource)"),
    registerResource: unary<RegisterResourceRequest, unknown>((request, call) =>
      registerResource(context, request, call.metadata),
    ),
    registerResourceOutputs: unary<RegisterResourceOutputsRequest, unknown>(async (request) => {
      const outputs = await withHashes(decodeStruct(request.getOutputs()), context.options.programDirectory);
      await context.sink.registerOutputs(checkUrn(request.getUrn(), "resource URN"), withoutOutputs(outputs));
      return empty;
    }),
    registerStackTransform: unary<Callback, unknown>(async (request) => {
      context.transforms.registerStack(request);
      return empty;
    }),
    registerStackInvokeTransform: unary<Callback, unknown>(async (request) => {
      context.transforms.registerStackInvoke(request);
      return empty;
    }),
    registerResourceHook: unary<RegisterResourceHookRequest, unknown>(async (request) => {
      context.hooks.register(request.getName(), {
        callback: required(request.getCallback(), request.getName()),
        onDryRun: request.getOnDryRun(),
        ignoreErrors: request.getIgnoreErrors(),
      });
      return empty;
    }),
    registerErrorHook: unary<RegisterErrorHookRequest, unknown>(async (request) => {
      context.hooks.registerError(request.getName(), required(request.getCallback(), request.getName()));
      return empty;
    }),
    registerPackage: refuse("a parameterized package (ResourceMonitor.RegisterPackage)"),
    signalAndWaitForShutdown: unary<Empty, unknown>(async () => {
      await waitForShutdown();
      return empty;
    }),
  });
}

function required(callback: Callback | undefined, name: string): Callback {
  if (!callback?.getTarget()) throw new RequestError(`the hook "${name}" has no callback target`);
  return callback;
}

function deploymentInfo(options: DeploymentOptions) {
  const info = new resourceProto.DeploymentInfo();
  info.setProject(options.project);
  info.setStack(options.stack);
  info.setOrganization(options.organization);
  for (const [key, value] of Object.entries(options.config)) info.getConfigMap().set(key, value);
  info.setConfigsecretkeysList(options.configSecretKeys);
  info.setDryrun(options.dryRun);
  info.setParallel(options.parallel);
  info.setSupportedfeaturesList(featureNumbers);
  return info;
}
