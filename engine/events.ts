/**
 * What a deployment tells the outside while it runs; the display, the JSON documents and the history are made from it.
 * Shapes follow the CLI's engine events (sdk/go/common/apitype/events.go).
 */
import type { PropertyDiff } from "./providers/provider.ts";
import type { ResourceState, Urn } from "./resource.ts";

export type StepOp =
  | "same"
  | "create"
  | "update"
  | "delete"
  | "replace"
  | "create-replacement"
  | "delete-replaced"
  | "read"
  | "read-replacement"
  | "read-discard"
  | "discard-replaced"
  | "remove-pending-replace"
  | "refresh"
  | "import"
  | "import-replacement";

export interface StepMetadata {
  op: StepOp;
  urn: Urn;
  type: string;
  /** Values in clear, secrets tagged: whoever prints them masks. */
  old?: ResourceState;
  new?: ResourceState;
  /** Top-level keys that force a replacement, as the provider named them. */
  keys?: string[];
  /** Changed top-level keys. */
  diffs?: string[];
  detailedDiff?: { [path: string]: PropertyDiff };
  /** False for the physical halves of a replacement (create-replacement, delete-replaced). */
  logical: boolean;
  provider?: string;
}

export type EngineEvent =
  | { kind: "prelude"; config: { [key: string]: string } }
  /** A step begins. `planning` in previews. */
  | { kind: "resource-pre"; step: StepMetadata; planning: boolean; internal?: boolean }
  | { kind: "resource-outputs"; step: StepMetadata; planning: boolean; internal?: boolean }
  | { kind: "resource-failed"; step: StepMetadata; error: string }
  /** `ephemeral` is status text of a running operation, not kept. `streamId` groups lines of one output. */
  | {
      kind: "diagnostic";
      severity: "debug" | "info" | "info#err" | "warning" | "error";
      message: string;
      urn?: Urn;
      ephemeral?: boolean;
      streamId?: number;
    }
  /** What the program wrote to its own stdout or stderr, line by line. */
  | { kind: "stdout"; message: string; color?: boolean }
  | {
      kind: "summary";
      isPreview: boolean;
      durationSeconds: number;
      /** Count per op, e.g. { create: 3, same: 2 }. */
      changes: { [op in StepOp]?: number };
      maybeCorrupt: boolean;
    }
  | { kind: "cancel" };

export type EmitEvent = (event: EngineEvent) => void;
