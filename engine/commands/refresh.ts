/** `refresh`: takes over into the state what the resources have become. */
import { type Operation, runOperation } from "./operation.ts";

export function refresh(operation: Omit<Operation, "kind" | "previewOnly">): Promise<number> {
  return runOperation({ ...operation, kind: "refresh", previewOnly: operation.args.has("preview-only") });
}
