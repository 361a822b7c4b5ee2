/** Where in the program a request comes from, in the form that checkpoints hold: `project:///path#line,column`. */
import { relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { SourcePosition, StackTrace } from "@pulumi/pulumi/proto/source_pb.js";
import type { StackFrame } from "../resource.ts";

interface Positioned {
  getSourceposition(): SourcePosition | undefined;
  getStacktrace(): StackTrace | undefined;
}

export interface Positions {
  decode(request: Positioned): { sourcePosition?: string; stackTrace?: StackFrame[] };
}

export function createPositions(rootDirectory: string): Positions {
  const root = resolve(rootDirectory);
  // A program has few files and many resources.
  const files = new Map<string, string | undefined>();

  function fileOf(uri: string): string | undefined {
    if (!files.has(uri)) files.set(uri, relativeTo(root, uri));
    return files.get(uri);
  }

  /** A position that makes no sense is left out, as the CLI does. */
  function decode(position: SourcePosition | undefined): string | undefined {
    if (!position || position.getLine() < 0 || position.getColumn() < 0) return undefined;
    const file = fileOf(position.getUri());
    if (file === undefined) return undefined;
    const column = position.getColumn() === 0 ? "" : `,${position.getColumn()}`;
    return `project:///${file}#${position.getLine()}${column}`;
  }

  return {
    decode(request) {
      const result: { sourcePosition?: string; stackTrace?: StackFrame[] } = {};
      const position = decode(request.getSourceposition());
      if (position) result.sourcePosition = position;
      const frames = request.getStacktrace()?.getFramesList();
      if (frames && frames.length > 0) {
        result.stackTrace = frames.map((frame) => {
          const sourcePosition = decode(frame.getPc());
          return sourcePosition ? { sourcePosition } : {};
        });
      }
      return result;
    },
  };
}

function relativeTo(root: string, uri: string): string | undefined {
  if (!uri.startsWith("file:///")) return undefined;
  try {
    const path = relative(root, fileURLToPath(uri)).split(sep).join("/");
    // Go's net/url escapes these too.
    return encodeURI(path).replace(/[?#!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  } catch {
    return undefined;
  }
}
