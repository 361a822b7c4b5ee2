// Whether a whole answer is the last word: not a failure inside a 200, and not one that is still being made.
import * as z from "zod";

/** Lines of a stream begin with the field; what a model says is inside JSON, where line ends are escaped. */
const failedEvent =
  /^(?:event: ?error|data: ?\{"(?:type":"error"|error":)|event: ?response\.failed)|"type": ?"response\.failed"/m;

const answerSchema = z.looseObject({ error: z.unknown(), status: z.unknown() }).partial();
const unfinished: readonly unknown[] = ["failed", "queued", "in_progress", "cancelled"];

export function isFinal(body: Buffer, stream: boolean): boolean {
  const text = body.toString("utf8");
  if (stream) return !failedEvent.test(text);
  try {
    const { error, status } = answerSchema.parse(JSON.parse(text));
    return (error === undefined || error === null) && !unfinished.includes(status);
  } catch {
    return false;
  }
}
