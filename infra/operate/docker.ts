/** `status` and `logs` of a stack on a Docker host: its containers, asked of the daemon. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { connectDocker, type Docker } from "../components/docker/client.ts";
import { endpointOf } from "../components/docker/endpoint.ts";
import { withoutHeaders } from "../components/docker/helper.ts";
import { readDockerStack } from "../doctor/docker-subject.ts";
import { logOptions } from "./log-options.ts";
import { OperatorError } from "./operator-error.ts";
import type { Workplace } from "./workplace.ts";

const containersSchema = z.array(
  z.object({
    Id: z.string(),
    Names: z.array(z.string()),
    Image: z.string(),
    Labels: z.record(z.string(), z.string()),
    State: z.string(),
    Status: z.string(),
  }),
);
type Container = z.output<typeof containersSchema>[number];

const serviceOf = ({ Labels }: Container): string => Labels["com.docker.compose.service"] ?? "";

async function withContainers<T>(workplace: Workplace, use: (docker: Docker, found: Container[]) => Promise<T>): Promise<T> {
  const stack = readDockerStack(workplace.stackFile);
  if (!stack)
    throw new OperatorError(`${workplace.stackFile} is not right: npm run preview -- -s ${workplace.stack} says what`);
  const docker = connectDocker(endpointOf(stack.docker));
  try {
    const filters = JSON.stringify({ label: [`openclaw-stack.project=${stack.docker.project}`] });
    const query = { all: true, filters };
    const found = await docker.json({ method: "GET", path: "/containers/json", query }, containersSchema);
    return await use(
      docker,
      found.toSorted((a, b) => (serviceOf(a) < serviceOf(b) ? -1 : 1)),
    );
  } catch (error) {
    if (error instanceof OperatorError || !(error instanceof Error)) throw error;
    throw new OperatorError(`${error.message}. See: npm run doctor -- -s ${workplace.stack}`);
  } finally {
    docker.close();
  }
}

export async function dockerStatus(workplace: Workplace, args: string[]): Promise<number> {
  const containers = await withContainers(workplace, (_docker, found) => Promise.resolve(found));
  const good = containers.length > 0 && containers.every(({ Status }) => Status.startsWith("Up") && !/unhealthy/.test(Status));
  if (args.includes("--json")) {
    const list = containers.map((found) => ({
      service: serviceOf(found),
      container: found.Names[0]?.replace(/^\//, ""),
      image: found.Image,
      state: found.State,
      status: found.Status,
    }));
    console.log(JSON.stringify({ stack: workplace.stack, ready: good, containers: list }, null, 2));
    return good ? 0 : 1;
  }
  if (containers.length === 0) {
    console.log(`Stack ${workplace.stack}: is not deployed. Deploy it: npm run up -- -s ${workplace.stack}`);
    return 1;
  }
  console.log(`Stack ${workplace.stack}: ${good ? "all containers run" : "not all containers run"}`);
  for (const found of containers) {
    console.log(
      `  ${serviceOf(found).padEnd(12)} ${found.Status.padEnd(26)} ${found.Names[0]?.replace(/^\//, "")}  ${found.Image}`,
    );
  }
  if (!good) console.log(`See: npm run logs -- -s ${workplace.stack} SERVICE`);
  return good ? 0 : 1;
}

/** `logs [SERVICE] [-f] [-n lines]`: of the gateways where no service is named. */
export async function dockerLogs(workplace: Workplace, args: string[]): Promise<number> {
  const { service, count, follow } = logOptions(args);
  return withContainers(workplace, async (docker, found) => {
    const wanted = found.filter((one) => (service ? serviceOf(one) === service : serviceOf(one).startsWith("gateway-")));
    if (wanted.length === 0) {
      const known = found.map(serviceOf).join(", ");
      throw new OperatorError(
        service && known ? `there is no service ${service}; services: ${known}` : "nothing is deployed: run `npm run up` first",
      );
    }
    await Promise.all(wanted.map((one) => showLog(docker, one, { count, follow, several: wanted.length > 1 })));
    return 0;
  });
}

async function showLog(
  docker: Docker,
  container: Container,
  { count, follow, several }: { count: number; follow: boolean; several: boolean },
): Promise<void> {
  const path = `/containers/${container.Id}/logs`;
  const prefix = several ? `${serviceOf(container)} | ` : "";
  // What follows is asked for every second: one short call after the other works through any kind of connection.
  let since = "";
  for (let tail: number | "all" = count; ; tail = "all") {
    const until = (Date.now() / 1000).toFixed(3);
    const query = { stdout: true, stderr: true, tail, until, ...(since ? { since } : {}) };
    const text = withoutHeaders(await docker.bytes({ method: "GET", path, query }));
    for (const line of text.split("\n")) if (line !== "") console.log(`${prefix}${line}`);
    if (!follow) return;
    since = until;
    await sleep(1000);
  }
}
