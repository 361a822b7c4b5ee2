/**
 * Runs in the program's process before anything else, and makes the SDK start and register faster. What the program can
 * see stays the same: error texts and stacks, source positions, logs of every severity but debug (which the engine drops).
 */
const Module = process.getBuiltinModule("node:module");
const { closeSync, readFileSync } = process.getBuiltinModule("node:fs");

takeConfig();

/** The SDK looks for the configuration in its environment. Set here, it is not in what others see of this process's. */
function takeConfig(): void {
  const descriptor = Number(process.env.OPENCLAW_ENGINE_CONFIG);
  // Processes of the program inherit these arguments, and not that descriptor.
  delete process.env.OPENCLAW_ENGINE_CONFIG;
  if (!descriptor) return;
  process.env.PULUMI_CONFIG = readFileSync(descriptor, "utf8");
  closeSync(descriptor);
}

type Load = (request: string, parent: { filename?: string } | undefined, isMain: boolean) => unknown;
type PrepareStackTrace = (error: Error, frames: NodeJS.CallSite[]) => unknown;

/** Big packages that the SDK loads for functions that are serialized into dynamic resources only; loaded when first used. */
const lazyModules = new Map([
  ["@npmcli/arborist", /[\\/]closure[\\/]codePaths\.js$/],
  ["typescript", /[\\/]typescript-shim\.js$/],
]);

const load: Load = Reflect.get(Module, "_load");
const patched = new WeakSet<object>();

Reflect.set(
  Module,
  "_load",
  function (this: unknown, request: string, parent: { filename?: string } | undefined, isMain: boolean) {
    const now = () => Reflect.apply(load, this, [request, parent, isMain]);
    if (lazyModules.get(request)?.test(parent?.filename ?? "")) return lazy(now);
    const loaded = now();
    if (typeof loaded !== "object" || loaded === null || patched.has(loaded)) return loaded;
    if (/(^|[\\/])debuggable(\.js)?$/.test(request)) patchDebuggable(loaded);
    else if (/(^|[\\/])log([\\/]index)?(\.js)?$/.test(request)) patchLog(loaded);
    else if (request === "source-map-support/register") rememberFrames(loaded);
    return loaded;
  },
);

/** Stands for a module until one of its members is asked for. */
function lazy(now: () => unknown): object {
  const loaded: object[] = [];
  const real = (): object => {
    const first = loaded[0] ?? Object(now());
    loaded[0] = first;
    return first;
  };
  return new Proxy(
    {},
    {
      // Compiled `import *` would otherwise copy all members at once.
      get: (_target, key) => (key === "__esModule" ? true : key === "default" ? real() : Reflect.get(real(), key)),
      has: (_target, key) => Reflect.has(real(), key),
      ownKeys: () => Reflect.ownKeys(real()),
      getOwnPropertyDescriptor(_target, key) {
        const descriptor = Reflect.getOwnPropertyDescriptor(real(), key);
        return descriptor && { ...descriptor, configurable: true };
      },
    },
  );
}

/** Each promise of the SDK records a stack for the report of leaks; the report is printed without, unless it was asked for. */
function patchDebuggable(module: object): void {
  const original: unknown = Reflect.get(module, "debuggablePromise");
  if (typeof original !== "function" || process.env.PULUMI_DEBUG_PROMISE_LEAKS) return;
  patched.add(module);
  Reflect.set(module, "debuggablePromise", (...args: unknown[]) => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      return Reflect.apply(original, undefined, args);
    } finally {
      Error.stackTraceLimit = limit;
    }
  });
}

/** A debug message is a call to the engine, which would only throw it away. */
function patchLog(module: object): void {
  const isLog = ["debug", "info", "warn", "error", "hasErrors"].every(
    (name) => typeof Reflect.get(module, name) === "function",
  );
  if (!isLog) return;
  patched.add(module);
  Reflect.set(module, "debug", () => Promise.resolve());
}

/** Maps each frame of a stack to its source once: the SDK takes a stack for every resource, mostly the same one. */
function rememberFrames(module: object): void {
  const original: PrepareStackTrace | undefined = Error.prepareStackTrace;
  if (!original) return;
  patched.add(module);
  const known = new Map<string, string>();
  const nameless = Object.assign(new Error(), { name: "", message: "" });
  const separator = "\n    at ";

  /** A frame's text depends on the frame that called it, whose source map may hold the function's name. */
  function textOf(frame: NodeJS.CallSite, caller: NodeJS.CallSite | undefined): string {
    const key = caller ? `${frame}\n${caller}` : `${frame}`;
    let text = known.get(key);
    if (text === undefined) {
      const lines = String(original?.(nameless, caller ? [frame, caller] : [frame])).split(separator);
      text = lines[1] ?? String(frame);
      known.set(key, text);
    }
    return text;
  }

  Error.prepareStackTrace = (error, frames) => {
    let stack = String(original(error, []));
    for (let index = 0; index < frames.length; index++) {
      const frame = frames[index];
      if (frame) stack += separator + textOf(frame, frames[index + 1]);
    }
    return stack;
  };
}
