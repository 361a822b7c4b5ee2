/** All faults, in the order of the golden file. */
import { backendFaults } from "./backend.ts";
import type { Fault } from "./fault.ts";
import { projectFaults } from "./project.ts";
import { stackFaults } from "./stack.ts";
import { lockFaults, stateFaults } from "./state.ts";

export const faults: Fault[] = [...projectFaults, ...stackFaults, ...backendFaults, ...stateFaults, ...lockFaults];
