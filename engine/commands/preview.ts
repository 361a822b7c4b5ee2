/** `preview`: what an update would change. */
import { type Operation, runOperation } from "./operation.ts";

export function preview(operation: Omit<Operation, "kind" | "previewOnly">): Promise<number> {
  return runOperation({ ...operation, kind: "update", previewOnly: true });
}
