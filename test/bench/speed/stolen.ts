// Processor time that the host of a virtual machine gave to others, from /proc/stat (proc(5): field 8 of "cpu", in ticks of 10 ms).
import { readFileSync } from "node:fs";

/** Seconds of all processors together; 0 where there is no host. */
export function stolenSeconds(): number {
  const [first = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  return Number(first.split(/\s+/)[8] ?? 0) / 100;
}
