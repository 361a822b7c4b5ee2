/** A short-lived container that works on files where only the daemon can: in a volume, or in a folder of the host. */
import { readFileSync, readlinkSync } from "node:fs";
import { z } from "zod";
import type { Docker } from "./client.ts";
import { type TarFile, tarOf } from "./tar.ts";

export interface HelperOptions {
  /** A volume's name, or an absolute path on the host. */
  place: string;
  /** An image that holds Node; left out: the newest gateway's image on the host. */
  image?: string;
  /** JavaScript; it finds the place at /place, what it is told in the environment variable TASK, and may call `clear()`. */
  script: string;
  task: object;
  /** Put into /place/<incoming> before the script runs: their contents are in no argument and no environment. */
  files?: readonly TarFile[];
  incoming?: string;
  /** Names in the place to be cleared as well. */
  left?: readonly string[];
}

const imageTitle = "org.opencontainers.image.title=openclaw-gateway";
const workLabel = "openclaw-stack.helper";
/**
 * The process that made it, and what is in the place until it has cleared it: its own, and what it took over from those before it.
 * When that process is gone, both are leftovers.
 */
const processLabel = "openclaw-stack.helper.process";
const incomingLabel = "openclaw-stack.helper.incoming";
const node = "/opt/openclaw/bin/node";

const leftoverSeconds = 900;

/** Before each script: an error is one line, and `clear` removes what came in, and what a run that was cut off left. */
const beginning = `
process.on("uncaughtException", (error) => {
  console.log(error.message);
  try { clear(); } finally { process.exit(1); }
});
const clear = () => {
  const fs = require("fs");
  const { incoming, dead } = JSON.parse(process.env.TASK);
  for (const name of fs.readdirSync("/place")) {
    const file = "/place/" + name;
    // Another one may be at work on the same place.
    const old = name.startsWith(".incoming-") && fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs < Date.now() - ${leftoverSeconds} * 1000;
    if (name === incoming || dead.includes(name) || old) fs.rmSync(file, { recursive: true, force: true });
  }
};
`;

const made = z.object({ Id: z.string() });
const ended = z.object({ StatusCode: z.int() });

/** Resolves with what the script printed. @throws with what it printed, where it failed */
export async function runHelper(docker: Docker, options: HelperOptions): Promise<string> {
  const { place, script, task, files = [], incoming = ".incoming" } = options;
  const old = await leftovers(docker, place);
  const dead = [...new Set([...(options.left ?? []), ...old.flatMap(({ incoming: names }) => names)])];
  const body = {
    Image: options.image ?? (await gatewayImage(docker)),
    Entrypoint: [node, "-e", `${beginning}{${script}}`],
    Cmd: [],
    Env: [`TASK=${JSON.stringify({ ...task, incoming, dead })}`],
    User: "0:0",
    Healthcheck: { Test: ["NONE"] },
    Labels: { [workLabel]: place, [processLabel]: processName(process.pid), [incomingLabel]: [incoming, ...dead].join() },
    HostConfig: {
      Binds: [`${place}:/place`],
      NetworkMode: "none",
      CapDrop: ["ALL"],
      CapAdd: ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
      SecurityOpt: ["no-new-privileges"],
      LogConfig: { Type: "json-file", Config: {} },
    },
  };
  const { Id: id } = await docker.json({ method: "POST", path: "/containers/create", body }, made);
  // Only now: what they left is known to this one, should it be cut off as well.
  for (const { id: oldId } of old) await remove(docker, oldId);
  let isClear = files.length === 0;
  try {
    if (files.length > 0) {
      const archive = tarOf(incoming, files);
      await docker.bytes({ method: "PUT", path: `/containers/${id}/archive`, query: { path: "/place" }, body: archive });
    }
    await docker.bytes({ method: "POST", path: `/containers/${id}/start` });
    const { StatusCode: code } = await docker.json({ method: "POST", path: `/containers/${id}/wait` }, ended);
    isClear = true;
    const query = { stdout: true, stderr: true };
    const said = withoutHeaders(await docker.bytes({ method: "GET", path: `/containers/${id}/logs`, query })).trim();
    if (code !== 0) throw new Error(said || `the helper container ended with ${code}`);
    return said;
  } catch (error) {
    const again = { place, image: options.image, script: "clear();", task: {}, left: [incoming, ...dead] };
    if (!isClear) await runHelper(docker, again).catch(() => {});
    throw error;
  } finally {
    await remove(docker, id);
  }
}

async function remove(docker: Docker, id: string): Promise<void> {
  await docker.bytes({ method: "DELETE", path: `/containers/${id}`, query: { force: true, v: true } }).catch(() => {});
}

const listed = z.array(made.extend({ Created: z.number(), State: z.string(), Labels: z.record(z.string(), z.string()) }));

/** Containers of runs that were cut off, with the names of what is left in the place because of them. */
async function leftovers(docker: Docker, place: string): Promise<{ id: string; incoming: string[] }[]> {
  const query = { all: true, filters: JSON.stringify({ label: [`${workLabel}=${place}`] }) };
  const all = await docker.json({ method: "GET", path: "/containers/json", query }, listed);
  return all.flatMap(({ Id: id, Created, State, Labels }) => {
    const isLeft = isGone(Labels[processLabel] ?? "");
    // Another one, from elsewhere, may be at work on the same place.
    if (!isLeft && (State === "running" || Date.now() / 1000 - Created < leftoverSeconds)) return [];
    return [{ id, incoming: isLeft ? (Labels[incomingLabel] ?? "").split(",").filter(Boolean) : [] }];
  });
}

/** A process of this machine, told apart from others that have its number later; "" where the system does not say. */
function processName(pid: number): string {
  try {
    // Numbers of processes are a container's own.
    const boot = `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
    // After the program's name, which may hold anything: the 20th field is when it was started.
    const started = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ")[19] ?? "";
    return `${boot} ${pid} ${started}`;
  } catch {
    return "";
  }
}

/** It was started on this machine, since it was switched on, and runs no more. */
function isGone(name: string): boolean {
  const [boot, space, pid] = name.split(" ");
  const [ownBoot, ownSpace] = processName(process.pid).split(" ");
  return boot !== "" && boot === ownBoot && space === ownSpace && processName(Number(pid)) !== name;
}

async function gatewayImage(docker: Docker): Promise<string> {
  const filters = JSON.stringify({ label: [imageTitle] });
  const images = await docker.json(
    { method: "GET", path: "/images/json", query: { filters } },
    z.array(z.object({ Id: z.string(), Created: z.number() })),
  );
  const newest = images.toSorted((a, b) => b.Created - a.Created)[0];
  if (!newest) throw new Error("the gateway's image is not on the host: run `npm run up` again, it is built first");
  return newest.Id;
}

/** Each piece of a container's output has a header of eight bytes, the last four its length. */
export function withoutHeaders(output: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= output.length; ) {
    const end = at + 8 + output.readUInt32BE(at + 4);
    pieces.push(output.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(pieces).toString("utf8");
}
