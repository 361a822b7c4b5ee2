/** The table of checks, in the order in which they are shown. */
import type { Check } from "./check.ts";
import { memory } from "./memory.ts";
import { port } from "./port.ts";
import { space } from "./space.ts";
import { writable } from "./writable.ts";

export const checks: Check[] = [writable, space, memory, port];
