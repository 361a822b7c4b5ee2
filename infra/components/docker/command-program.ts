/** What the programs of Command resources on a Docker host have in common: the task is their first argument, as JSON. */
import type { z } from "zod";
import { connectDocker, type Docker, type Endpoint } from "./client.ts";

/** Runs it, unless it was only imported; a failure is its message alone and exit code 1. */
export async function runTask<Task extends { endpoint: Endpoint }>(
  isMain: boolean,
  schema: z.ZodType<Task>,
  work: (docker: Docker, task: Task, command: string | undefined) => Promise<void>,
): Promise<void> {
  if (!isMain) return;
  const [text = "", command] = process.argv.slice(2);
  let docker: Docker | undefined;
  try {
    const task = schema.parse(JSON.parse(text));
    docker = connectDocker(task.endpoint);
    await work(docker, task, command);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  } finally {
    docker?.close();
  }
}
