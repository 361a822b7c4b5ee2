/**
 * Every field of the requests of ResourceMonitor has a behaviour or a named refusal (the methods: monitor-methods.test.ts). The
 * fields are those of the installed SDK: one that a newer SDK brings fails this test until somebody decides what it means.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import aliasProto from "@pulumi/pulumi/proto/alias_pb.js";
import callbackProto from "@pulumi/pulumi/proto/callback_pb.js";
import resourceProto from "@pulumi/pulumi/proto/resource_pb.js";
import sourceProto from "@pulumi/pulumi/proto/source_pb.js";
import type { Goal, InvokeGoal, ReadGoal } from "../../engine/source.ts";
import { type PropertyMap, secret, signatureKey, signatures, unknown } from "../../engine/values.ts";
import { decodeStruct, encodeStruct, encodeValue } from "../../engine/wire.ts";
import { createMonitorClient, type MonitorClient } from "../support/monitor-client.ts";

const stackUrn = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev";
const otherUrn = "urn:pulumi:dev::demo::random:index/randomId:RandomId::other";
const provider = "urn:pulumi:dev::demo::pulumi:providers:random::mine::an-id";
const resourceReference = (urn: string, id = "an-id"): PropertyMap => ({ [signatureKey]: signatures.resource, urn, id });
const bytes = { [signatureKey]: signatures.byteString, value: "/w==" };

let monitor: MonitorClient;
before(async () => {
  const outputs: PropertyMap = { hidden: secret("s"), reference: resourceReference(otherUrn, "other-id") };
  const outputsOf = ({ name }: Goal): PropertyMap => {
    if (name === "bytes") return { raw: bytes };
    return name === "partial" ? { known: 1, half: [unknown] } : outputs;
  };
  const answer = ({ args }: InvokeGoal): PropertyMap => (args.bytes ? { raw: bytes } : outputs);
  monitor = await createMonitorClient({}, { outputsOf, answer });
});
after(() => monitor.close());

type Fields<Request> = { [field: string]: Probe<Request> };

/** Sets a field so that `see` holds; without it `see` must not hold. */
interface Probe<Request> {
  set(request: Request): void;
  see(seen: Seen): boolean;
}

interface Seen {
  goal?: Goal;
  read?: ReadGoal;
  invoke?: InvokeGoal;
  outputs: PropertyMap;
  provider?: Goal;
  response?: object;
  error: string;
}

const refused = (field: string) => (seen: Seen) => seen.error.includes(`(${field}) is not supported by the embedded engine`);

const position = new sourceProto.SourcePosition();
position.setUri("file:///project/infra/index.ts");
position.setLine(3);
position.setColumn(7);
const place = "project:///infra/index.ts#3,7";
const trace = new sourceProto.StackTrace();
const frame = new sourceProto.StackFrame();
frame.setPc(position);
trace.addFrames(frame);

type Register = InstanceType<typeof resourceProto.RegisterResourceRequest>;
const registerFields: Fields<Register> = {
  type: {
    set: (r) => r.setType("random:index/randomPet:RandomPet"),
    see: (s) => s.goal?.type === "random:index/randomPet:RandomPet",
  },
  name: { set: (r) => r.setName("renamed"), see: (s) => s.goal?.name === "renamed" },
  parent: { set: (r) => r.setParent(stackUrn), see: (s) => s.goal?.parent === stackUrn },
  custom: { set: (r) => r.setCustom(false), see: (s) => s.goal?.custom === false },
  object: { set: (r) => r.setObject(encodeStruct({ a: 1 })), see: (s) => s.goal?.properties.a === 1 },
  protect: { set: (r) => r.setProtect(false), see: (s) => s.goal?.protect === false },
  dependenciesList: { set: (r) => r.setDependenciesList([otherUrn]), see: (s) => s.goal?.dependencies[0] === otherUrn },
  provider: { set: (r) => r.setProvider(provider), see: (s) => s.goal?.provider === provider },
  propertydependenciesMap: {
    set(r) {
      const entry = new resourceProto.RegisterResourceRequest.PropertyDependencies();
      entry.setUrnsList([otherUrn]);
      r.getPropertydependenciesMap().set("a", entry);
    },
    see: (s) => s.goal?.propertyDependencies.a?.[0] === otherUrn,
  },
  deletebeforereplace: { set: (r) => r.setDeletebeforereplace(true), see: (s) => s.goal?.deleteBeforeReplace === true },
  version: { set: (r) => r.setVersion("1.2.3"), see: (s) => s.provider?.name === "default_1_2_3" },
  ignorechangesList: { set: (r) => r.setIgnorechangesList(["a"]), see: (s) => s.goal?.ignoreChanges[0] === "a" },
  acceptsecrets: { set: (r) => r.setAcceptsecrets(true), see: (s) => typeof s.outputs.hidden === "object" },
  additionalsecretoutputsList: {
    set: (r) => r.setAdditionalsecretoutputsList(["a"]),
    see: (s) => s.goal?.additionalSecretOutputs[0] === "a",
  },
  aliasurnsList: { set: (r) => r.setAliasurnsList([otherUrn]), see: (s) => s.goal?.aliases[0]?.urn === otherUrn },
  importid: { set: (r) => r.setImportid("id"), see: (s) => s.goal?.importId === "id" },
  customtimeouts: {
    set: (r) => r.setCustomtimeouts(timeouts("create", "1m")),
    see: (s) => s.goal?.customTimeouts?.create === 60,
  },
  deletebeforereplacedefined: {
    set: (r) => r.setDeletebeforereplacedefined(true),
    see: (s) => s.goal?.deleteBeforeReplace === false,
  },
  supportspartialvalues: {
    set(r) {
      r.setName("partial");
      r.setSupportspartialvalues(true);
    },
    see: (s) => Array.isArray(s.outputs.half),
  },
  remote: { set: (r) => r.setRemote(true), see: refused("remote") },
  acceptresources: { set: (r) => r.setAcceptresources(true), see: (s) => typeof s.outputs.reference === "object" },
  providersMap: { set: (r) => void r.getProvidersMap().set("random", provider), see: (s) => s.goal?.provider === provider },
  replaceonchangesList: { set: (r) => r.setReplaceonchangesList(["a"]), see: (s) => s.goal?.replaceOnChanges[0] === "a" },
  plugindownloadurl: {
    set: (r) => r.setPlugindownloadurl("https://example.com/x/"),
    see: (s) => JSON.stringify(s.provider?.properties ?? {}).includes('"pluginDownloadURL":"https://example.com/x"'),
  },
  pluginchecksumsMap: {
    set(r) {
      r.setVersion("9.9.9");
      r.getPluginchecksumsMap().set("linux-amd64", new Uint8Array([1, 255]));
    },
    see: (s) => JSON.stringify(s.provider?.properties ?? {}).includes('"pluginChecksums":{"linux-amd64":"01ff"}'),
  },
  retainondelete: { set: (r) => r.setRetainondelete(false), see: (s) => s.goal?.retainOnDelete === false },
  aliasesList: { set: (r) => r.setAliasesList([alias("name")]), see: (s) => s.goal?.aliases[0]?.name === "of-alias" },
  deletedwith: { set: (r) => r.setDeletedwith(otherUrn), see: (s) => s.goal?.deletedWith === otherUrn },
  replaceWithList: { set: (r) => r.setReplaceWithList([otherUrn]), see: (s) => s.goal?.replaceWith[0] === otherUrn },
  replacementTrigger: {
    set: (r) => r.setReplacementTrigger(encodeValue("t")),
    see: (s) => s.goal?.replacementTrigger === "t",
  },
  aliasspecs: {
    // Without it the Node SDK's "no parent" means its contrary.
    set(r) {
      r.setAliasspecs(true);
      r.setAliasesList([alias("noparent")]);
    },
    see: (s) => s.goal?.aliases[0]?.noParent === true,
  },
  sourceposition: { set: (r) => r.setSourceposition(position), see: (s) => s.goal?.sourcePosition === place },
  stacktrace: { set: (r) => r.setStacktrace(trace), see: (s) => s.goal?.stackTrace?.[0]?.sourcePosition === place },
  parentstacktracehandle: { set: (r) => r.setParentstacktracehandle("h"), see: refused("parentStackTraceHandle") },
  transformsList: {
    set: (r) => r.setTransformsList([new callbackProto.Callback().setTarget("127.0.0.1:1").setToken("t")]),
    see: (s) => s.error.includes("invoke transform"),
  },
  supportsresultreporting: {
    set(r) {
      r.setName("fails");
      r.setSupportsresultreporting(true);
    },
    see: (s) =>
      s.response instanceof resourceProto.RegisterResourceResponse && s.response.getResult() === resourceProto.Result.FAIL,
  },
  packageref: { set: (r) => r.setPackageref("p"), see: refused("packageRef") },
  hooks: { set: (r) => r.setHooks(hooks("BeforeCreate")), see: (s) => s.goal?.hooks?.beforeCreate?.[0] === "h" },
  hidediffsList: { set: (r) => r.setHidediffsList(["a"]), see: (s) => s.goal?.hideDiff[0] === "a" },
  envvarmappingsMap: {
    set: (r) => void r.getEnvvarmappingsMap().set("NEW", "OLD"),
    see: (s) => s.error.includes("envVarMappings can only be used with provider resources"),
  },
  snippetid: { set: (r) => r.setSnippetid("s"), see: refused("snippetId") },
  acceptsByteString: {
    set(r) {
      r.setName("bytes");
      r.setAcceptsByteString(true);
    },
    see: (s) => typeof s.outputs.raw === "object",
  },
  stateMigrationsList: {
    set: (r) => r.setStateMigrationsList([new callbackProto.Callback()]),
    see: (s) => s.error.includes("state migrations are not supported"),
  },
};

type Read = InstanceType<typeof resourceProto.ReadResourceRequest>;
const readFields: Fields<Read> = {
  id: { set: (r) => r.setId("another"), see: (s) => s.read?.id === "another" },
  type: {
    set: (r) => r.setType("random:index/randomPet:RandomPet"),
    see: (s) => s.read?.type === "random:index/randomPet:RandomPet",
  },
  name: { set: (r) => r.setName("renamed"), see: (s) => s.read?.name === "renamed" },
  parent: { set: (r) => r.setParent(stackUrn), see: (s) => s.read?.parent === stackUrn },
  properties: { set: (r) => r.setProperties(encodeStruct({ a: 1 })), see: (s) => s.read?.properties.a === 1 },
  dependenciesList: { set: (r) => r.setDependenciesList([otherUrn]), see: (s) => s.read?.dependencies[0] === otherUrn },
  provider: { set: (r) => r.setProvider(provider), see: (s) => s.read?.provider === provider },
  version: { set: (r) => r.setVersion("2.2.3"), see: (s) => s.provider?.name === "default_2_2_3" },
  acceptsecrets: {
    set(r) {
      r.setProperties(encodeStruct({ hidden: secret("s") }));
      r.setAcceptsecrets(true);
    },
    see: (s) => typeof s.outputs.hidden === "object",
  },
  additionalsecretoutputsList: {
    set: (r) => r.setAdditionalsecretoutputsList(["a"]),
    see: (s) => s.read?.additionalSecretOutputs[0] === "a",
  },
  acceptresources: {
    set(r) {
      r.setProperties(encodeStruct({ reference: resourceReference(otherUrn) }));
      r.setAcceptresources(true);
    },
    see: (s) => typeof s.outputs.reference === "object",
  },
  plugindownloadurl: {
    set: (r) => r.setPlugindownloadurl("https://example.com/read"),
    see: (s) => JSON.stringify(s.provider?.properties ?? {}).includes("https://example.com/read"),
  },
  pluginchecksumsMap: {
    set(r) {
      r.setVersion("8.9.9");
      r.getPluginchecksumsMap().set("linux-amd64", new Uint8Array([1, 255]));
    },
    see: (s) => JSON.stringify(s.provider?.properties ?? {}).includes('"linux-amd64":"01ff"'),
  },
  sourceposition: { set: (r) => r.setSourceposition(position), see: (s) => s.read?.sourcePosition === place },
  stacktrace: { set: (r) => r.setStacktrace(trace), see: (s) => s.read?.stackTrace?.[0]?.sourcePosition === place },
  parentstacktracehandle: { set: (r) => r.setParentstacktracehandle("h"), see: refused("parentStackTraceHandle") },
  packageref: { set: (r) => r.setPackageref("p"), see: refused("packageRef") },
  acceptsByteString: {
    set(r) {
      r.setProperties(encodeStruct({ raw: bytes }));
      r.setAcceptsByteString(true);
    },
    see: (s) => typeof s.outputs.raw === "object",
  },
};

type Invoke = InstanceType<typeof resourceProto.ResourceInvokeRequest>;
const invokeFields: Fields<Invoke> = {
  tok: { set: (r) => r.setTok("random:index/other:other"), see: (s) => s.invoke?.tok === "random:index/other:other" },
  args: { set: (r) => r.setArgs(encodeStruct({ a: 1 })), see: (s) => s.invoke?.args.a === 1 },
  provider: { set: (r) => r.setProvider(provider), see: (s) => s.invoke?.provider === provider },
  version: { set: (r) => r.setVersion("3.2.3"), see: (s) => s.provider?.name === "default_3_2_3" },
  acceptresources: { set: (r) => r.setAcceptresources(true), see: (s) => typeof s.outputs.reference === "object" },
  plugindownloadurl: {
    set: (r) => r.setPlugindownloadurl("https://example.com/invoke"),
    see: (s) => JSON.stringify(s.provider?.properties ?? {}).includes("https://example.com/invoke"),
  },
  pluginchecksumsMap: {
    set(r) {
      r.setVersion("7.9.9");
      r.getPluginchecksumsMap().set("linux-amd64", new Uint8Array([1, 255]));
    },
    see: (s) => JSON.stringify(s.provider?.properties ?? {}).includes('"linux-amd64":"01ff"'),
  },
  // For error messages of plug-ins that call back only; a function has no place in the state.
  sourceposition: { set: (r) => r.setSourceposition(position), see: (s) => s.error === "" },
  stacktrace: { set: (r) => r.setStacktrace(trace), see: (s) => s.error === "" },
  parentstacktracehandle: { set: (r) => r.setParentstacktracehandle("h"), see: refused("parentStackTraceHandle") },
  packageref: { set: (r) => r.setPackageref("p"), see: refused("packageRef") },
  acceptsByteString: {
    set(r) {
      r.setArgs(encodeStruct({ bytes: true }));
      r.setAcceptsByteString(true);
    },
    see: (s) => typeof s.outputs.raw === "object",
  },
  dependsonList: { set: (r) => r.setDependsonList(["not a URN"]), see: (s) => s.error.includes("invalid dependsOn URN") },
  parent: { set: (r) => r.setParent("not a URN"), see: (s) => s.error.includes("invalid parent URN") },
  // The answer may then hold output values; the CLI that this engine follows answers without, which the SDK takes too.
  acceptOutputValues: { set: (r) => r.setAcceptOutputValues(true), see: (s) => s.error === "" },
};

/** These change nothing by themselves: their probes hold with and without them. */
const withoutEffect = new Set(["Invoke.sourceposition", "Invoke.stacktrace", "Invoke.acceptOutputValues"]);

function newRegister(): Register {
  const request = new resourceProto.RegisterResourceRequest();
  request.setType("random:index/randomId:RandomId");
  request.setName("x");
  request.setCustom(true);
  return request;
}

function newRead(): Read {
  const request = new resourceProto.ReadResourceRequest();
  request.setType("random:index/randomId:RandomId");
  request.setName("x");
  request.setId("id");
  return request;
}

function newInvoke(): Invoke {
  const request = new resourceProto.ResourceInvokeRequest();
  request.setTok("random:index/function:function");
  return request;
}

async function send(method: string, request: object): Promise<Seen> {
  const { sink } = monitor;
  for (const list of [sink.goals, sink.reads, sink.invokes]) list.length = 0;
  const response = await monitor.call("monitor", method, request).catch((error: unknown) => error);
  const seen: Seen = { outputs: {}, error: response instanceof Error ? response.message : "" };
  for (const goal of sink.goals) seen[goal.type.startsWith("pulumi:providers:") ? "provider" : "goal"] = goal;
  seen.read = sink.reads[0];
  seen.invoke = sink.invokes[0];
  if (response instanceof resourceProto.RegisterResourceResponse) seen.outputs = decodeStruct(response.getObject());
  if (response instanceof resourceProto.ReadResourceResponse) seen.outputs = decodeStruct(response.getProperties());
  if (response instanceof resourceProto.ResourceInvokeResponse) seen.outputs = decodeStruct(response.getReturn());
  if (typeof response === "object" && response !== null) seen.response = response;
  return seen;
}

function probeFields<Request extends { toObject(): object }>(
  name: string,
  method: string,
  create: () => Request,
  fields: Fields<Request>,
): void {
  test(`the table of ${name} has every field of the SDK's message, and no other`, () => {
    assert.deepEqual(Object.keys(create().toObject()).sort(), Object.keys(fields).sort());
  });
  for (const [field, probe] of Object.entries(fields)) {
    test(`${name}.${field}`, async () => {
      if (!withoutEffect.has(`${name}.${field}`)) {
        assert.equal(probe.see(await send(method, create())), false, "nothing to be seen without it");
      }
      const request = create();
      probe.set(request);
      assert.equal(probe.see(await send(method, request)), true);
    });
  }
}

probeFields("RegisterResource", "registerResource", newRegister, registerFields);
probeFields("ReadResource", "readResource", newRead, readFields);
probeFields("Invoke", "invoke", newInvoke, invokeFields);

function timeouts(field: string, value: string) {
  const message = new resourceProto.RegisterResourceRequest.CustomTimeouts();
  setField(message, field, value);
  return message;
}

function hooks(type: string) {
  const message = new resourceProto.RegisterResourceRequest.ResourceHooksBinding();
  setField(message, `${type}List`, ["h"]);
  return message;
}

function alias(field: string) {
  const message = new aliasProto.Alias();
  const spec = new aliasProto.Alias.Spec();
  setField(spec, field, field === "noparent" ? true : field === "parenturn" ? otherUrn : "of-alias");
  message.setSpec(spec);
  return message;
}

function setField(message: object, field: string, value: unknown): void {
  const setter: unknown = Reflect.get(message, `set${field.slice(0, 1).toUpperCase()}${field.slice(1)}`);
  if (typeof setter !== "function") assert.fail(`no field ${field}`);
  Reflect.apply(setter, message, [value]);
}

test("every timeout, hook type and part of an alias arrives", async () => {
  const fieldsOf = (message: { toObject(): object }) => Object.keys(message.toObject());
  for (const name of fieldsOf(timeouts("create", ""))) {
    const field = name.replace("pb_", "");
    const request = newRegister();
    request.setCustomtimeouts(timeouts(field, "1.5s"));
    assert.deepEqual((await send("registerResource", request)).goal?.customTimeouts, { [field]: 1.5 });
  }
  for (const list of fieldsOf(hooks("BeforeCreate"))) {
    const type = list.replace(/List$/, "");
    const request = newRegister();
    request.setHooks(hooks(type));
    assert.deepEqual((await send("registerResource", request)).goal?.hooks, { [type]: ["h"] });
  }
  const names: { [field: string]: string } = { parenturn: "parent", noparent: "noParent" };
  for (const field of fieldsOf(new aliasProto.Alias.Spec())) {
    const request = newRegister();
    request.setAliasspecs(true);
    request.setAliasesList([alias(field)]);
    const seen = await send("registerResource", request);
    const [got = {}] = seen.goal?.aliases ?? [];
    assert.deepEqual(Object.keys(got), [names[field] ?? field]);
  }
});
