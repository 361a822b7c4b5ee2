/** Waiting in a test for what comes by itself: looked for again and again, up to a deadline. */
import { setTimeout as pause } from "node:timers/promises";

/** A look that throws is no yes; the last one's error is the cause. */
export async function eventually(what: string, isSo: () => Promise<boolean>, timeoutMs = 90_000): Promise<void> {
  for (const until = Date.now() + timeoutMs; ; await pause(200)) {
    let more = {};
    try {
      if (await isSo()) return;
    } catch (cause) {
      more = { cause };
    }
    if (Date.now() > until) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`, more);
  }
}
