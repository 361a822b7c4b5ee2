/** Resource hooks: functions in the program that run before or after a step, and error hooks that may ask for another try. */
import type { Callback } from "@pulumi/pulumi/proto/callback_pb.js";
import resourceProto from "@pulumi/pulumi/proto/resource_pb.js";
import type { EmitEvent } from "../events.ts";
import type { HookCall, HookRunner } from "../source.ts";
import { encodeOptionalStruct } from "../wire.ts";
import type { Callbacks } from "./callbacks.ts";
import { hookOptions } from "./hook-options.ts";
import { RequestError } from "./requests.ts";

interface Hook {
  callback: Callback;
  onDryRun: boolean;
  ignoreErrors: boolean;
}

export interface Hooks extends HookRunner {
  register(name: string, hook: Hook): void;
  registerError(name: string, callback: Callback): void;
}

const phases = { before: "before hook", after: "after hook" } as const;

export function createHooks(callbacks: Callbacks, dryRun: boolean, emit: EmitEvent): Hooks {
  const hooks = new Map<string, Hook>();
  const errorHooks = new Map<string, Callback>();

  function checkName(name: string): void {
    if (name === "") throw new RequestError("resource hook name cannot be empty");
    if (hooks.has(name) || errorHooks.has(name)) {
      throw new RequestError(`resource hook already registered for name "${name}"`);
    }
  }

  return {
    register(name, hook) {
      checkName(name);
      hooks.set(name, hook);
    },
    registerError(name, callback) {
      checkName(name);
      errorHooks.set(name, callback);
    },
    async run(type, names, call) {
      for (const name of names) {
        const hook = hooks.get(name);
        if (!hook) throw new RequestError(`hook "${name}" was not registered`);
        if (dryRun && !hook.onDryRun) continue;
        const failure = await invokeHook(callbacks, hook.callback, call);
        if (failure === undefined) continue;
        if (hook.ignoreErrors) {
          const message = `${hookTypeName(type)} hook "${name}" failed: ${failure}`;
          emit({ kind: "diagnostic", severity: "warning", message, urn: call.urn });
        } else
          throw new RequestError(`${type.startsWith("before") ? phases.before : phases.after} "${name}" failed: ${failure}`);
      }
    },
    async runError(names, call, failedOperation, errors) {
      let retry = false;
      for (const name of names) {
        const callback = errorHooks.get(name);
        if (!callback) throw new RequestError(`error hook "${name}" was not registered`);
        const request = new resourceProto.ErrorHookRequest();
        fillCommon(request, call);
        request.setFailedOperation(failedOperation);
        request.setErrorsList(errors);
        const bytes = await callbacks.invoke(callback, request.serializeBinary()).catch((error: unknown) => {
          throw new RequestError(`error hook "${name}" failed: ${messageOf(error)}`);
        });
        const response = resourceProto.ErrorHookResponse.deserializeBinary(bytes);
        if (response.getError()) throw new RequestError(`error hook "${name}" failed: ${response.getError()}`);
        retry = retry || response.getRetry();
      }
      return retry;
    },
  };
}

/** The hook's error text; undefined where it went well. */
async function invokeHook(callbacks: Callbacks, callback: Callback, call: HookCall): Promise<string | undefined> {
  const request = new resourceProto.ResourceHookRequest();
  fillCommon(request, call);
  request.setNewOutputs(encodeOptionalStruct(call.newOutputs));
  try {
    const bytes = await callbacks.invoke(callback, request.serializeBinary());
    return resourceProto.ResourceHookResponse.deserializeBinary(bytes).getError() || undefined;
  } catch (error) {
    return messageOf(error);
  }
}

type HookRequest = InstanceType<typeof resourceProto.ResourceHookRequest> | InstanceType<typeof resourceProto.ErrorHookRequest>;

function fillCommon(request: HookRequest, call: HookCall): void {
  request.setUrn(call.urn);
  request.setId(call.id ?? "");
  request.setName(call.name);
  request.setType(call.type);
  request.setNewInputs(encodeOptionalStruct(call.newInputs));
  request.setOldInputs(encodeOptionalStruct(call.oldInputs));
  request.setOldOutputs(encodeOptionalStruct(call.oldOutputs));
  if (call.newState) request.setNewOptions(hookOptions(call.newState));
  if (call.oldState) request.setOldOptions(hookOptions(call.oldState));
}

/** "beforeCreate" is "BeforeCreate" in the CLI's texts. */
function hookTypeName(type: string): string {
  return `${type.slice(0, 1).toUpperCase()}${type.slice(1)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
