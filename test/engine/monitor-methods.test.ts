/** Every method of ResourceMonitor and Engine has a behaviour or a named refusal; read from the installed SDK, so a newer one fails here. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import callbackProto from "@pulumi/pulumi/proto/callback_pb.js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineProto from "@pulumi/pulumi/proto/engine_pb.js";
import resourceGrpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resourceProto from "@pulumi/pulumi/proto/resource_pb.js";
import emptyProto from "google-protobuf/google/protobuf/empty_pb.js";
import { secret } from "../../engine/values.ts";
import { encodeStruct } from "../../engine/wire.ts";
import { createMonitorClient, type MonitorClient } from "../support/monitor-client.ts";

const stackUrn = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev";
const otherUrn = "urn:pulumi:dev::demo::random:index/randomId:RandomId::other";

let monitor: MonitorClient;
before(async () => {
  monitor = await createMonitorClient();
});
after(() => monitor.close());

/** What each method does; the three with tables of their own are in monitor-table.test.ts. */
const methods: { [name: string]: (() => Promise<void>) | undefined } = {
  "monitor.registerResource": undefined,
  "monitor.readResource": undefined,
  "monitor.invoke": undefined,
  "monitor.getDeploymentInfo": async () => {
    const info = await monitor.call("monitor", "getDeploymentInfo", empty());
    assert.ok(info instanceof resourceProto.DeploymentInfo);
    assert.deepEqual(info.toObject(), {
      project: "demo",
      stack: "dev",
      organization: "organization",
      configMap: [],
      configsecretkeysList: [],
      dryrun: false,
      parallel: 8,
      supportedfeaturesList: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    });
  },
  "monitor.supportsFeature": async () => {
    const ask = async (id: string) => {
      const request = new resourceProto.SupportsFeatureRequest();
      request.setId(id);
      const response = await monitor.call("monitor", "supportsFeature", request);
      return response instanceof resourceProto.SupportsFeatureResponse && response.getHassupport();
    };
    assert.deepEqual([await ask("secrets"), await ask("errorHooks"), await ask("telepathy")], [true, true, false]);
  },
  "monitor.call": () => isRefused("call", new resourceProto.ResourceCallRequest(), /ResourceMonitor\.Call\) is not supported/),
  "monitor.existsResource": () =>
    isRefused(
      "existsResource",
      new resourceProto.ExistsResourceRequest(),
      /ResourceMonitor\.ExistsResource\) is not supported/,
    ),
  "monitor.registerPackage": () =>
    isRefused(
      "registerPackage",
      new resourceProto.RegisterPackageRequest(),
      /ResourceMonitor\.RegisterPackage\) is not supported/,
    ),
  "monitor.registerResourceOutputs": async () => {
    const request = new resourceProto.RegisterResourceOutputsRequest();
    assert.deepEqual(Object.keys(request.toObject()), ["urn", "outputs"]);
    request.setUrn(stackUrn);
    request.setOutputs(encodeStruct({ a: secret(1) }));
    await monitor.call("monitor", "registerResourceOutputs", request);
    assert.deepEqual(monitor.sink.outputs.get(stackUrn), { a: secret(1) });
  },
  "monitor.registerStackTransform": () =>
    isRefused("registerStackTransform", new callbackProto.Callback(), /target must be specified/),
  "monitor.registerStackInvokeTransform": () =>
    isRefused("registerStackInvokeTransform", new callbackProto.Callback(), /target must be specified/),
  "monitor.registerResourceHook": async () => {
    const request = new resourceProto.RegisterResourceHookRequest();
    assert.deepEqual(Object.keys(request.toObject()), ["name", "callback", "onDryRun", "ignoreErrors"]);
    request.setName("hook");
    await isRefused("registerResourceHook", request, /the hook "hook" has no callback target/);
    request.setCallback(new callbackProto.Callback().setTarget("127.0.0.1:1"));
    await monitor.call("monitor", "registerResourceHook", request);
    await isRefused("registerResourceHook", request, /resource hook already registered for name "hook"/);
  },
  "monitor.registerErrorHook": async () => {
    const request = new resourceProto.RegisterErrorHookRequest();
    assert.deepEqual(Object.keys(request.toObject()), ["name", "callback"]);
    request.setCallback(new callbackProto.Callback().setTarget("127.0.0.1:1"));
    await isRefused("registerErrorHook", request, /name cannot be empty/);
  },
  "monitor.signalAndWaitForShutdown": async () => {
    const waiting = monitor.call("monitor", "signalAndWaitForShutdown", empty());
    assert.deepEqual(await monitor.source.registered, { ok: true });
    await isRefused("signalAndWaitForShutdown", empty(), /Already waiting/);
    const finished = monitor.source.finish();
    await waiting;
    monitor.exit(0);
    assert.deepEqual(await finished, { ok: true, exitCode: 0 });
  },
  "engine.log": async () => {
    const request = new engineProto.LogRequest();
    assert.deepEqual(Object.keys(request.toObject()), ["severity", "message", "urn", "streamid", "ephemeral"]);
    request.setMessage("secret in a debug message");
    await monitor.call("engine", "log", request);
    request.setSeverity(engineProto.LogSeverity.WARNING);
    request.setMessage("careful");
    request.setUrn(otherUrn);
    request.setStreamid(4);
    request.setEphemeral(true);
    await monitor.call("engine", "log", request);
    assert.deepEqual(monitor.events, [
      { kind: "diagnostic", severity: "warning", message: "careful", urn: otherUrn, streamId: 4, ephemeral: true },
    ]);
  },
  "engine.setRootResource": async () => {
    const request = new engineProto.SetRootResourceRequest();
    request.setUrn(stackUrn);
    await monitor.call("engine", "setRootResource", request);
  },
  "engine.getRootResource": async () => {
    const response = await monitor.call("engine", "getRootResource", new engineProto.GetRootResourceRequest());
    assert.ok(response instanceof engineProto.GetRootResourceResponse);
    assert.equal(response.getUrn(), stackUrn);
  },
  "engine.startDebugging": async () => {
    const asked = monitor.call("engine", "startDebugging", new engineProto.StartDebuggingRequest());
    await assert.rejects(asked, /attaching a debugger is not supported/);
  },
  "engine.requirePulumiVersion": async () => {
    const ask = (range: string) => {
      const request = new engineProto.RequirePulumiVersionRequest();
      request.setPulumiVersionRange(range);
      return monitor.call("engine", "requirePulumiVersion", request);
    };
    for (const range of [">=3.100.0 <4.0.0", "<1.0.0 || >= 3.0.0", "3.260.0", "!3.1.0"]) await ask(range);
    await assert.rejects(ask(">3.260.0"), /3\.260\.0 does not satisfy the version range ">3\.260\.0"/);
    await assert.rejects(ask("latest"), /the version range "latest" cannot be read/);
  },
};

async function isRefused(method: string, request: object, reason: RegExp): Promise<void> {
  await assert.rejects(monitor.call("monitor", method, request), reason);
}

function empty(): object {
  return new emptyProto.Empty();
}

test("the table has every method of both services, and no other", () => {
  const names = [
    ...Object.keys(resourceGrpc.ResourceMonitorService).map((name) => `monitor.${name}`),
    ...Object.keys(engineGrpc.EngineService).map((name) => `engine.${name}`),
  ];
  assert.deepEqual(names.sort(), Object.keys(methods).sort());
});

// The wait for the end is the monitor's last answer.
const order = Object.keys(methods).sort(
  (left, right) => Number(left.endsWith("Shutdown")) - Number(right.endsWith("Shutdown")),
);
for (const name of order) {
  const check = methods[name];
  if (check) test(name, check);
}
