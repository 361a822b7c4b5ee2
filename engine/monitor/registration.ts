/** RegisterResource: a request becomes a goal for the sink, its result an answer for the program. */
import type { Metadata } from "@grpc/grpc-js";
import aliasProto, { type Alias as WireAlias } from "@pulumi/pulumi/proto/alias_pb.js";
import resourceProto, {
  type RegisterResourceRequest,
  type TransformResourceOptions,
} from "@pulumi/pulumi/proto/resource_pb.js";
import { withHashes } from "../assets.ts";
import { containsUnknowns } from "../properties.ts";
import type { Urn } from "../resource.ts";
import type { Goal } from "../source.ts";
import { outputDependencies, type PropertyMap, plainOutput, rewrite, withoutOutputs } from "../values.ts";
import { decodeStruct, decodeValue } from "../wire.ts";
import { encodeAnswer } from "./answers.ts";
import type { MonitorContext } from "./context.ts";
import { describePlugin, internal, pluginOf } from "./default-providers.ts";
import type { ProviderMap } from "./inheritance.ts";
import {
  checkReference,
  checkTypeToken,
  checkUrn,
  decodeAlias,
  decodeHooks,
  decodeTimeouts,
  invalid,
  isProviderType,
  optionalUrn,
  packageOf,
  RequestError,
} from "./requests.ts";
import { addDependencies, upgradeToOutputs } from "./transforms.ts";

type Dependencies = { [property: string]: Urn[] };

export async function registerResource(context: MonitorContext, request: RegisterResourceRequest, metadata: Metadata) {
  refuseUnsupported(request);
  const parent = optionalUrn(request.getParent(), "parent URN");
  const settled = context.tracker.begin(parent);
  try {
    const { goal, providers } = await decodeGoal(context, request, parent, metadata);
    const result = await context.sink.registerResource(goal);
    if (result.result !== "success" && !request.getSupportsresultreporting()) {
      throw new RequestError("resource registration failed", 13);
    }
    context.inheritance.remember(result.urn, goal, providers);
    context.transforms.remember(result.urn, parent, request.getTransformsList());
    context.tracker.settle(result.urn, parent, goal.custom, Boolean(result.id));
    // A component's outputs may refer to resources that are not registered yet: they are set by RegisterResourceOutputs.
    let outputs: PropertyMap = goal.custom ? result.outputs : {};
    if (!request.getSupportspartialvalues()) outputs = onlyKnown(outputs);
    const response = new resourceProto.RegisterResourceResponse();
    response.setUrn(result.urn);
    response.setId(result.id ?? "");
    response.setObject(encodeAnswer(outputs, request));
    if (result.result === "fail") response.setResult(resourceProto.Result.FAIL);
    if (result.result === "skip") response.setResult(skipped);
    if (result.unknown) response.setUnknown(true);
    return response;
  } finally {
    settled();
  }
}

/** Result.SKIP of the protocol, which the SDK's generated code does not name. */
const skipped: number = 2;

function refuseUnsupported(request: RegisterResourceRequest): void {
  const what = `${request.getType()} "${request.getName()}"`;
  const refused = (field: string, reason: string) =>
    new RequestError(
      `${what}: ${reason} (${field}) is not supported by the embedded engine; use the Pulumi CLI for this program`,
      12,
    );
  if (request.getStateMigrationsList().length > 0) {
    throw new RequestError("state migrations are not supported by this deployment", 9);
  }
  if (request.getRemote()) throw refused("remote", "a component that a plug-in builds");
  if (request.getPackageref()) throw refused("packageRef", "a parameterized package");
  if (request.getSnippetid()) throw refused("snippetId", "a snippet");
  if (request.getParentstacktracehandle()) throw refused("parentStackTraceHandle", "a call from inside a plug-in");
  if (request.getEnvvarmappingsMap().getLength() > 0 && !isProviderType(request.getType())) {
    throw invalid("envVarMappings can only be used with provider resources");
  }
}

async function decodeGoal(
  context: MonitorContext,
  request: RegisterResourceRequest,
  parent: Urn | undefined,
  metadata: Metadata,
): Promise<{ goal: Goal; providers: ProviderMap }> {
  const type = request.getType();
  const custom = request.getCustom();
  if (custom) checkTypeToken(type);
  context.inheritance.apply(request, parent);
  let properties = await withHashes(decodeStruct(request.getObject()), context.options.programDirectory);
  let dependencies = request.getDependenciesList().map((urn) => checkUrn(urn, "dependency URN"));
  let propertyDependencies = decodePropertyDependencies(request, properties, dependencies);
  const own = request.getTransformsList();
  let options = requestOptions(context, request, parent, metadata);
  if (context.transforms.needed(parent, own)) {
    properties = upgradeToOutputs(properties);
    if (own.length > 0) properties = addDependencies(properties, propertyDependencies);
    const resource = { type, name: request.getName(), custom, parent };
    ({ properties, options } = await context.transforms.run(resource, own, { properties, options }));
  }
  if (own.length > 0) ({ dependencies, propertyDependencies } = dependenciesOf(properties, options));
  else addOutputDependencies(properties, propertyDependencies);
  properties = withoutOutputs(properties);

  const provider = custom && !isProviderType(type) ? await resolveProvider(context, type, options) : undefined;
  if (isProviderType(type)) properties = describeProvider(properties, options, request);

  const goal: Goal = {
    type,
    name: request.getName(),
    custom,
    properties,
    dependencies,
    propertyDependencies,
    ignoreChanges: options.getIgnoreChangesList(),
    replaceOnChanges: options.getReplaceOnChangesList(),
    hideDiff: options.getHideDiffList(),
    additionalSecretOutputs: options.getAdditionalSecretOutputsList(),
    aliases: options.getAliasesList().map(decodeAlias),
    replaceWith: options.getReplaceWithList(),
  };
  addOptional(context, goal, request, options, parent, provider);
  return { goal, providers: context.inheritance.providersOf(custom, parent, options) };
}

function addOptional(
  context: MonitorContext,
  goal: Goal,
  request: RegisterResourceRequest,
  options: TransformResourceOptions,
  parent: Urn | undefined,
  provider: string | undefined,
): void {
  if (parent) goal.parent = parent;
  if (provider) goal.provider = provider;
  if (options.hasProtect()) goal.protect = options.getProtect();
  if (options.hasRetainOnDelete()) goal.retainOnDelete = options.getRetainOnDelete();
  if (options.hasDeleteBeforeReplace()) goal.deleteBeforeReplace = options.getDeleteBeforeReplace();
  if (options.getImport()) goal.importId = options.getImport();
  const customTimeouts = decodeTimeouts(options.getCustomTimeouts());
  if (customTimeouts) goal.customTimeouts = customTimeouts;
  const deletedWith = optionalUrn(options.getDeletedWith(), "DeletedWith URN");
  if (deletedWith) goal.deletedWith = deletedWith;
  const trigger = options.getReplacementTrigger();
  const triggerValue = trigger && rewrite(decodeValue(trigger), plainOutput);
  if (triggerValue !== undefined && triggerValue !== null) goal.replacementTrigger = triggerValue;
  const hooks = decodeHooks(options.getHooks());
  if (hooks) goal.hooks = hooks;
  Object.assign(goal, context.positions.decode(request));
}

function decodePropertyDependencies(request: RegisterResourceRequest, properties: PropertyMap, all: Urn[]): Dependencies {
  const map = request.getPropertydependenciesMap();
  const result: Dependencies = {};
  // Old SDKs do not say which property depends on what: then each depends on all.
  if (map.getLength() === 0) for (const key of Object.keys(properties)) result[key] = [...all];
  map.forEach((entry, key) => {
    result[key] = entry.getUrnsList().map((urn) => checkUrn(urn, `dependency on property ${key} URN`));
  });
  return result;
}

/** Dependencies that output values carry, added to what the request lists. */
function addOutputDependencies(properties: PropertyMap, dependencies: Dependencies): void {
  for (const key of Object.keys(properties)) {
    const known = dependencies[key] ?? [];
    const found = outputDependencies(properties[key], new Set(known));
    dependencies[key] = found.size > known.length ? [...found] : known;
  }
}

/** After a resource's own transforms the output values hold all that is known of dependencies. */
function dependenciesOf(properties: PropertyMap, options: TransformResourceOptions) {
  const all = new Set(options.getDependsOnList().map((urn) => checkUrn(urn, "dependency URN")));
  const propertyDependencies: Dependencies = {};
  for (const key of Object.keys(properties)) {
    const found = [...outputDependencies(properties[key])];
    propertyDependencies[key] = found;
    for (const urn of found) all.add(urn);
  }
  return { dependencies: [...all], propertyDependencies };
}

/** The request's options in the form that transforms get and return. */
function requestOptions(
  context: MonitorContext,
  request: RegisterResourceRequest,
  parent: Urn | undefined,
  metadata: Metadata,
) {
  const options = new resourceProto.TransformResourceOptions();
  options.setImport(request.getImportid());
  options.setDependsOnList(request.getDependenciesList());
  if (request.hasProtect()) options.setProtect(request.getProtect() ?? false);
  options.setIgnoreChangesList(request.getIgnorechangesList());
  options.setReplaceOnChangesList(request.getReplaceonchangesList());
  options.setReplacementTrigger(request.getReplacementTrigger());
  options.setVersion(request.getVersion());
  options.setAliasesList(requestAliases(request, metadata));
  const provider = request.getProvider();
  const pkg = packageOf(request.getType());
  options.setProvider(
    request.getCustom() ? context.inheritance.resolve(provider, request.getProvidersMap(), parent, pkg) : provider,
  );
  request.getProvidersMap().forEach((reference, name) => {
    options.getProvidersMap().set(name, reference);
  });
  options.setHideDiffList(request.getHidediffsList());
  options.setCustomTimeouts(request.getCustomtimeouts());
  options.setPluginDownloadUrl(request.getPlugindownloadurl());
  if (request.hasRetainondelete()) options.setRetainOnDelete(request.getRetainondelete() ?? false);
  options.setDeletedWith(request.getDeletedwith());
  options.setReplaceWithList(request.getReplaceWithList());
  if (request.getDeletebeforereplacedefined() || request.getDeletebeforereplace()) {
    options.setDeleteBeforeReplace(request.getDeletebeforereplace());
  }
  options.setAdditionalSecretOutputsList(request.getAdditionalsecretoutputsList());
  request.getPluginchecksumsMap().forEach((checksum, platform) => {
    options.getPluginChecksumsMap().set(platform, checksum);
  });
  options.setHooks(request.getHooks());
  return options;
}

function requestAliases(request: RegisterResourceRequest, metadata: Metadata): WireAlias[] {
  const byUrn = request.getAliasurnsList().map((urn) => {
    const alias = new aliasProto.Alias();
    alias.setUrn(urn);
    return alias;
  });
  const specs = request.getAliasesList();
  return [...byUrn, ...(request.getAliasspecs() || !isFromNode(metadata) ? specs : specs.map(correctAlias))];
}

function isFromNode(metadata: Metadata): boolean {
  const runtime = metadata.get("pulumi-runtime");
  if (runtime.length > 0) return runtime.length === 1 && runtime[0] === "nodejs";
  return String(metadata.get("user-agent")[0] ?? "").startsWith("grpc-node-js/");
}

/** Node SDKs that do not say `aliasSpecs` send "no parent" and "the same parent" the wrong way round. */
function correctAlias(alias: WireAlias): WireAlias {
  const spec = alias.getSpec();
  if (spec?.getParenturn() !== "") return alias;
  if (spec.getNoparent()) spec.clearNoparent();
  else spec.setNoparent(true);
  return alias;
}

async function resolveProvider(context: MonitorContext, type: string, options: TransformResourceOptions): Promise<string> {
  const explicit = options.getProvider();
  if (explicit) return checkReference(explicit);
  const pkg = packageOf(type);
  return await context.providers.resolve({ pkg, ...pluginOf(options) }, pkg, type);
}

/** For a provider resource: the plug-in that the options name goes into its inputs, as the CLI stores it. */
function describeProvider(
  properties: PropertyMap,
  options: TransformResourceOptions,
  request: RegisterResourceRequest,
): PropertyMap {
  const result = { ...properties };
  describePlugin(result, pluginOf(options));
  const mappings: PropertyMap = {};
  request.getEnvvarmappingsMap().forEach((to, from) => {
    mappings[from] = to;
  });
  if (Object.keys(mappings).length > 0) internal(result).envVarMappings = mappings;
  return result;
}

/** A program of before partial values takes a property with an unknown inside as one that is not there. */
function onlyKnown(outputs: PropertyMap): PropertyMap {
  return Object.fromEntries(Object.entries(outputs).filter(([, value]) => !containsUnknowns(value)));
}
