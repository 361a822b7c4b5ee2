// Gives back what starting up left behind: parsed sources and young objects, some 10 MB that V8 would keep while idle.
import { flushCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Long enough after the start that nobody waits for the first answers, which this pause would hold up. */
const afterMs = 1000;

/** A process that needs less than this share of a processor has nothing to do. */
const quietShare = 0.02;

/** Once, and only when there was nothing to do for a while: after an update the requests are there from the first moment. */
export function trimAfterStart(isIdle: () => boolean): void {
  let used = process.cpuUsage();
  let since = performance.now();
  const attempt = (): void => {
    const { user, system } = process.cpuUsage(used);
    const share = (user + system) / 1000 / (performance.now() - since);
    used = process.cpuUsage();
    since = performance.now();
    if (share > quietShare || !isIdle()) {
      setTimeout(attempt, 5 * afterMs).unref();
      return;
    }
    // Node would write it at the exit only: who is killed would start as slowly as the first time.
    flushCompileCache();
    // The flag makes the function; a context of its own keeps it from everybody else.
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("gc");
    setFlagsFromString("--no-expose-gc");
    if (typeof collect === "function") collect({ type: "major", execution: "sync", flavor: "last-resort" });
  };
  setTimeout(attempt, afterMs).unref();
}
