/** `destroy`: deletes all resources of a stack. */
import { type Operation, runOperation } from "./operation.ts";

export function destroy(operation: Omit<Operation, "kind" | "previewOnly">): Promise<number> {
  return runOperation({ ...operation, kind: "destroy", previewOnly: operation.args.has("preview-only") });
}
