/** Searches everything that a deployment leaves behind for secrets that a test planted: clear, base64 and URL-encoded. */
import type { Machine } from "./machine.ts";

export interface Finding {
  /** The secret's name, never its value. */
  readonly secret: string;
  /** "file /etc/x", "process 12 environ", "image nginx:1 layer 3 etc/x", "inspect web", "logs web", "journal". */
  readonly place: string;
  readonly form: "clear" | "base64" | "url" | "json";
}

/** Twenty, each of a form that is found nowhere by chance; the keys are names. */
export function plantSecrets(count = 20): { [name: string]: string } {
  throw new Error(`no ${count} secrets yet`);
}

export interface SecretSearch {
  /** Any text: previews, outputs, state. */
  text(place: string, text: string | Buffer): Finding[];
  /** All files under folders, also compressed by gzip; `except` are paths where a secret may be. */
  files(folders: readonly string[], except?: readonly (string | RegExp)[]): Finding[];
  /** Arguments and environments of all processes that this machine sees, those in containers and machines included. */
  processes(): Finding[];
  /** Of a daemon: inspections of all containers, images, volumes and networks, logs, and all layers of all images. */
  docker(host: string): Promise<Finding[]>;
  /** Of a machine: its journal, files that others than root can read, or all that changed; arguments and environments. */
  machine(machine: Machine, except?: readonly (string | RegExp)[]): Promise<Finding[]>;
}

export function searchFor(_secrets: { readonly [name: string]: string }): SecretSearch {
  throw new Error("no search yet");
}
