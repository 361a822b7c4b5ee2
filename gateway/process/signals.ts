// What the signals mean that end the gateway: the first one begins the drain, the second one ends it at once.
import { constants } from "node:os";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";

/** A message that says why the signal comes was sent before it, on another way: it is here after this time. */
const afterwordMs = 20;

/** `begin` runs at the first SIGTERM or SIGINT; resolves with its name. `endAtOnce` runs before the process ends at a second one. */
export async function onStop(begin: () => void, endAtOnce: () => void = () => {}): Promise<string> {
  const stopped = Promise.withResolvers<string>();
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) {
        endAtOnce();
        process.exit(128 + constants.signals[signal]);
      }
      stopping = true;
      begin();
      stopped.resolve(signal);
    });
  }
  const signal = await stopped.promise;
  await pause(afterwordMs);
  // On a busy machine the time is over before anything was read.
  await turn();
  return signal;
}
