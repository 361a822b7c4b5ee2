/** Searches everything that a deployment leaves behind for secrets that a test planted: in clear however quoted, in base64, in hex, packed by gzip. */
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import type { Machine } from "./machine.ts";
import { createNeedles } from "./needles.ts";
import { readIfThere } from "./outcome.ts";
import { type Exceptions, isExcepted } from "./path-exceptions.ts";
import { type DockerPlaces, searchDocker } from "./planted-secrets-docker.ts";
import { createFileSearch } from "./planted-secrets-files.ts";
import { searchMachine } from "./planted-secrets-machine.ts";
import type { Program } from "./process-watch.ts";
import { type Form, formsOf } from "./secret-forms.ts";

export interface Finding {
  /** The secret's name, never its value. */
  readonly secret: string;
  /** "file /etc/x", "process 12 (nginx) environ", "layer of nginx:1: etc/x", "container web inspect", "journal". */
  readonly place: string;
  readonly form: Form;
}

/** All that shells, JSON, YAML, URLs, units, patterns and nginx write in another way, of what an HTTP header may hold. */
const letters = ["\"'", "\\$x", "%2F%n", "$(`)", "&<+/>", "${", "\\\\n\\u00e9", "#;{|}", "=,:@~", "!*?[^]"];

/** Fit for headers. The keys are names. */
export function plantSecrets(count = 20): { [name: string]: string } {
  const names = Array.from({ length: count }, (_, index) => `planted-${String(index + 1).padStart(2, "0")}`);
  const special = (index: number): string => letters[index % letters.length] ?? "";
  return Object.fromEntries(names.map((name, index) => [name, `${plantedWord()}${special(index)}${plantedWord()}`]));
}

/** By this a secret is found: nothing quotes or escapes it. */
export const plantedWord = (): string => randomBytes(9).toString("hex");

export interface SecretSearch {
  /** Any text or bytes: previews, outputs, state; also what gzip made of it. */
  text(place: string, content: string | Buffer): Finding[];
  /** All files under folders, their names, and where links lead; `except` are paths where a secret may be: a path and all below it, or what matches. */
  files(folders: readonly string[], except?: Exceptions): Finding[];
  /** Arguments and environments of all processes that are seen from here, those in containers and machines included; `except` matches "process 12 (name) environ" and what follows. */
  processes(except?: Exceptions): Finding[];
  /** The same of what a watch saw starting. */
  programs(programs: readonly Program[], except?: Exceptions): Finding[];
  /** Of a daemon: what it says of its objects, and all that it keeps on its disk: layers, histories, logs, containers' files, volumes. */
  docker(daemon: DockerPlaces, except?: Exceptions): Promise<Finding[]>;
  /** Of a machine: its journal, its units' properties, and its files, but for `except`; arguments and environments. */
  machine(machine: Machine, except?: Exceptions): Promise<Finding[]>;
}

export function searchFor(secrets: { readonly [name: string]: string }): SecretSearch {
  const wanted = Object.entries(secrets).flatMap(([secret, value]) => formsOf(value).map((form) => ({ secret, ...form })));
  const needles = createNeedles(wanted.map(({ needle }) => needle));
  const { text, files } = createFileSearch(needles, (seen, place) => {
    const found = new Map<string, Finding>();
    for (const number of seen) {
      const { secret = "", form = "clear" } = wanted[number] ?? {};
      found.set(`${secret} ${form}`, { secret, place, form });
    }
    return [...found.values()];
  });

  function processes(except: Exceptions = []): Finding[] {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
    return programs(
      pids.map((pid) => ({
        pid: Number(pid),
        name: readIfThere(`/proc/${pid}/comm`).trim(),
        cmdline: readIfThere(`/proc/${pid}/cmdline`),
        environ: readIfThere(`/proc/${pid}/environ`),
      })),
      except,
    );
  }

  function programs(started: readonly Program[], except: Exceptions = []): Finding[] {
    return started.flatMap((program) =>
      (["cmdline", "environ"] as const).flatMap((what) => {
        const place = `process ${program.pid} (${program.name}) ${what}`;
        return isExcepted(`${place} ${program[what]}`, except) ? [] : text(place, program[what]);
      }),
    );
  }

  return {
    text,
    files,
    processes,
    programs,
    docker: (daemon, except = []) => searchDocker(daemon, { text, files }, except),
    machine: (machine, except = []) => searchMachine(machine, { text, files }, except),
  };
}
