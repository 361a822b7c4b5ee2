// Stack traces of a bundle name the source. Node's own way to do that costs 6 MB in a process that never fails: it looks at
// all code as it is loaded. Here a map is read when the first trace is asked for that needs it.
import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";

const maps = new Map<string, SourceMap | undefined>();

Error.prepareStackTrace = (error, sites) =>
  [Error.prototype.toString.call(error), ...sites.map((site) => `    at ${inSource(site)}`)].join("\n");

function inSource(site: NodeJS.CallSite): string {
  const text = String(site);
  const [file, line, column] = [site.getFileName(), site.getLineNumber(), site.getColumnNumber()];
  if (!file?.startsWith("file:") || line === null || column === null) return text;
  const entry = mapOf(file)?.findEntry(line - 1, column - 1);
  if (!entry || !("originalSource" in entry) || typeof entry.originalSource !== "string") return text;
  return text.replace(`${file}:${line}:${column}`, `${new URL(entry.originalSource, file).href}:${entry.originalLine + 1}`);
}

function mapOf(file: string): SourceMap | undefined {
  if (maps.has(file)) return maps.get(file);
  let map: SourceMap | undefined;
  try {
    map = new SourceMap(JSON.parse(readFileSync(new URL(`${file}.map`), "utf8")));
  } catch {
    // Code of packages has none.
  }
  maps.set(file, map);
  return map;
}
