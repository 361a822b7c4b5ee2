/** Talks to the gateway's supervisor through its command line. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { z } from "zod";
import { pinnedNode } from "../node.ts";
import { root } from "../places.ts";
import type { Workplace } from "./workplace.ts";

const GatewayStatus = z.object({
  phase: z.enum(["starting", "ready", "waiting", "failed", "stopping", "stopped", "absent"]),
  supervisorPid: z.int().optional(),
  gatewayPid: z.int().optional(),
  gatewayStartedAt: z.string().optional(),
  crashes: z.int().optional(),
  lastExit: z.string().optional(),
  host: z.string().optional(),
  port: z.int().optional(),
  release: z.string().optional(),
});
export type GatewayStatus = z.infer<typeof GatewayStatus>;

export interface ControlResult {
  code: number;
  output: string;
}

export function control(workplace: Workplace, command: "start" | "stop" | "status"): Promise<ControlResult> {
  const script = join(root, "gateway/process/supervisor-control.ts");
  const child = spawn(pinnedNode(), ["--disable-warning=ExperimentalWarning", script, workplace.places.directory, command], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 255, output: output.trim() }));
  });
}

export async function gatewayStatus(workplace: Workplace): Promise<GatewayStatus> {
  const { code, output } = await control(workplace, "status");
  return code === 0 ? GatewayStatus.parse(JSON.parse(output)) : { phase: "absent" };
}
