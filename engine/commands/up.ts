/** `up`: creates or updates the resources of a stack. */
import { type Operation, runOperation } from "./operation.ts";

export function up(operation: Omit<Operation, "kind" | "previewOnly">): Promise<number> {
  return runOperation({ ...operation, kind: "update", previewOnly: false });
}
