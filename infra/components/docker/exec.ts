/** A command in a container that runs. */
import { z } from "zod";
import type { Docker } from "./client.ts";
import { withoutHeaders } from "./helper.ts";

const made = z.object({ Id: z.string() });
const ended = z.object({ ExitCode: z.int().nullable() });

/** Resolves with its exit status and all that it printed; nothing secret may be an argument. */
export async function runInContainer(docker: Docker, id: string, command: string[]): Promise<{ code: number; text: string }> {
  const body = { AttachStdout: true, AttachStderr: true, Cmd: command };
  const { Id } = await docker.json({ method: "POST", path: `/containers/${id}/exec`, body }, made);
  const text = withoutHeaders(
    await docker.bytes({ method: "POST", path: `/exec/${Id}/start`, body: { Detach: false, Tty: false } }),
  );
  const { ExitCode } = await docker.json({ method: "GET", path: `/exec/${Id}/json` }, ended);
  return { code: ExitCode ?? 1, text };
}
