/** ReadResource and Invoke: the program asks for a resource that exists, or for the result of a provider's function. */
import providerProto from "@pulumi/pulumi/proto/provider_pb.js";
import resourceProto, { type ReadResourceRequest, type ResourceInvokeRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import type { ReadGoal } from "../source.ts";
import { withoutOutputs } from "../values.ts";
import { decodeStruct } from "../wire.ts";
import { encodeAnswer } from "./answers.ts";
import type { MonitorContext } from "./context.ts";
import { pluginOf } from "./default-providers.ts";
import { checkReference, checkTypeToken, checkUrn, isProviderType, optionalUrn, packageOf, RequestError } from "./requests.ts";

export async function readResource(context: MonitorContext, request: ReadResourceRequest) {
  const type = request.getType();
  checkTypeToken(type);
  refuse(`reading ${type} "${request.getName()}"`, request);
  const parent = optionalUrn(request.getParent(), "parent URN");
  const goal: ReadGoal = {
    id: request.getId(),
    type,
    name: request.getName(),
    properties: withoutOutputs(decodeStruct(request.getProperties())),
    dependencies: request.getDependenciesList().map((urn) => checkUrn(urn, "dependency")),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    ...context.positions.decode(request),
  };
  if (parent) goal.parent = parent;
  if (request.getProvider()) goal.provider = checkReference(request.getProvider());
  else if (!isProviderType(type)) {
    const pkg = packageOf(type);
    goal.provider = await context.providers.resolve({ pkg, ...pluginOfRequest(request) }, type, type);
  }
  const outcome = await context.sink.readResource(goal);
  context.tracker.settle(outcome.urn, parent, true, Boolean(outcome.id));
  const response = new resourceProto.ReadResourceResponse();
  response.setUrn(outcome.urn);
  response.setProperties(encodeAnswer(outcome.outputs, request));
  return response;
}

export async function invoke(context: MonitorContext, request: ResourceInvokeRequest) {
  const tok = request.getTok();
  refuse(`the function ${tok}`, request);
  const parent = optionalUrn(request.getParent(), "parent URN");
  const start = new resourceProto.TransformInvokeOptions();
  start.setProvider(context.inheritance.resolve(request.getProvider(), undefined, parent, packageOf(tok)));
  start.setVersion(request.getVersion());
  start.setPluginDownloadUrl(request.getPlugindownloadurl());
  request.getPluginchecksumsMap().forEach((checksum, platform) => {
    start.getPluginChecksumsMap().set(platform, checksum);
  });
  const before = { args: withoutOutputs(decodeStruct(request.getArgs())), options: start };
  const { args, options } = await context.transforms.runInvoke(tok, before);
  const explicit = options.getProvider();
  const pkg = packageOf(tok);
  const provider = explicit
    ? checkReference(explicit)
    : await context.providers.resolve({ pkg, ...pluginOf(options) }, pkg, tok);

  const response = new resourceProto.ResourceInvokeResponse();
  const dependsOn = request.getDependsonList().map((urn) => checkUrn(urn, "dependsOn URN"));
  if (dependsOn.length > 0 && (await context.tracker.hasUnresolved(dependsOn))) {
    response.setUnknown(true);
    return response;
  }
  const outcome = await context.sink.invoke({ tok, args: withoutOutputs(args), provider }).catch((error: unknown) => {
    throw new RequestError(`invocation of ${tok} returned an error: ${error instanceof Error ? error.message : String(error)}`);
  });
  if (outcome.return) {
    const accepts = tok === "pulumi:pulumi:getResource" ? keepResources(request) : invokeAccepts(request);
    response.setReturn(encodeAnswer(outcome.return, accepts));
  }
  for (const { property = "", reason = "" } of outcome.failures ?? []) {
    const failure = new providerProto.CheckFailure();
    failure.setProperty(property);
    failure.setReason(reason);
    response.addFailures(failure);
  }
  return response;
}

function invokeAccepts(request: ResourceInvokeRequest) {
  return {
    getAcceptresources: () => request.getAcceptresources(),
    getAcceptsByteString: () => request.getAcceptsByteString(),
  };
}

/** getResource answers with references, whatever an older SDK says of them. */
function keepResources(request: ResourceInvokeRequest) {
  return { ...invokeAccepts(request), getAcceptresources: () => true };
}

function pluginOfRequest(request: ReadResourceRequest) {
  return pluginOf({
    getVersion: () => request.getVersion(),
    getPluginDownloadUrl: () => request.getPlugindownloadurl(),
    getPluginChecksumsMap: () => request.getPluginchecksumsMap(),
  });
}

function refuse(what: string, request: { getPackageref(): string; getParentstacktracehandle(): string }): void {
  const refused = (field: string, reason: string) =>
    new RequestError(
      `${what}: ${reason} (${field}) is not supported by the embedded engine; use the Pulumi CLI for this program`,
      12,
    );
  if (request.getPackageref()) throw refused("packageRef", "a parameterized package");
  if (request.getParentstacktracehandle()) throw refused("parentStackTraceHandle", "a call from inside a plug-in");
}
