/** Takes what a command printed apart: the blocks at the end of each deployment, without what is generated. */
import { join } from "node:path";

export interface PrintedDeployment {
  /** `Updating (dev):` and the like. */
  title: string;
  blocks: { [name in BlockName]?: string };
}

const blockNames = ["Outputs", "Diagnostics", "Resources"] as const;
type BlockName = (typeof blockNames)[number];

const titles = /^(Previewing update|Previewing refresh|Previewing destroy|Updating|Refreshing|Destroying) \(.*\):$/;

/** Blocks keep their lines as they are, but for empty ones at their end. */
export function takeApart(text: string): PrintedDeployment[] {
  const deployments: PrintedDeployment[] = [];
  let lines: string[] | undefined;
  const close = (name: BlockName | undefined) => {
    const last = deployments.at(-1);
    if (!last || !name || !lines) return;
    last.blocks[name] = lines.join("\n").trimEnd();
  };
  let open: BlockName | undefined;
  for (const line of text.split("\n")) {
    const name = blockNames.find((candidate) => line === `${candidate}:`);
    if (titles.test(line)) {
      close(open);
      open = undefined;
      deployments.push({ title: line, blocks: {} });
    } else if (name) {
      close(open);
      open = name;
      lines = [];
    } else if (/^Duration: /.test(line)) {
      close(open);
      open = undefined;
    } else if (open) {
      lines?.push(line);
    }
  }
  close(open);
  return deployments;
}

/** Diagnostics stand in the order in which resources were first heard of, which parallel work decides. */
export function sections(diagnostics: string | undefined): string[] {
  return (diagnostics ?? "")
    .split(/\n(?= {2}\S)/)
    .map((section) => section.trimEnd())
    .sort();
}

const repository = join(import.meta.dirname, "../..");

/** Replaces what every run makes anew, and the places of the project and of the SDK. */
export function withoutGenerated(text: string, root = "/project"): string {
  return text
    .replaceAll(root, "/project")
    .replaceAll(repository, "/project")
    .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC)/g, "<time>")
    .replace(/\b\d+ (second|minute)s? ago/g, "<a while> ago")
    .replace(/\b(?!11111111)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, "<uuid>")
    .replace(/\b\S+@\S+ \(pid \d+\)/g, "<user> (pid <pid>)")
    .replace(/(invoked(?:\\n|\n\s*))[0-9a-f]{4}\b/g, "$1<hex>")
    .replace(/\b([a-z]+(?:-[a-z]+)*)[0-9a-f]{8}\b/g, "$1<id>");
}
