/** How the display is set up without a terminal, where a test asks for nothing in particular. */
import type { DisplayOptions } from "../../engine/display/display.ts";

export const plainOptions: DisplayOptions = {
  kind: "update",
  isPreview: true,
  project: "demo",
  stack: "dev",
  diff: false,
  json: false,
  interactive: false,
  colors: false,
  showSames: false,
  showReads: false,
  showReplacementSteps: false,
  showConfig: false,
  showSecrets: false,
  suppressOutputs: false,
  suppressProgress: true,
  fullOutput: false,
  debug: false,
};
