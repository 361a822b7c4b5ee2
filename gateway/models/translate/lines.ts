// Cuts a stream of bytes into lines and server-sent events, however it was chunked; keeps no more than the event under way.
import { StringDecoder } from "node:string_decoder";
import { GatewayError } from "../../errors.ts";

/** One event may carry an image; beyond this an upstream does not know what it does. */
const maxEventChars = 16 * 1024 * 1024;

/** `onLine` gets each line without its end; `end` gives the last one, which may have none. */
export function createLineReader(onLine: (line: string) => void) {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  const take = (text: string): void => {
    let from = 0;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", from)) {
      const line = rest + text.slice(from, at);
      rest = "";
      from = at + 1;
      onLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    }
    rest += text.slice(from);
    if (rest.length > maxEventChars) throw new GatewayError("upstream_malformed", "the provider sent an endless line");
  };
  return {
    push: (chunk: Buffer): void => take(decoder.write(chunk)),
    end(): void {
      take(decoder.end());
      if (rest !== "") onLine(rest);
      rest = "";
    },
  };
}

/** https://html.spec.whatwg.org/multipage/server-sent-events.html: comments and unknown fields are skipped, data lines are joined. */
export function createEventReader(onData: (data: string) => void) {
  let data: string[] = [];
  const flush = (): void => {
    if (data.length === 0) return;
    const text = data.join("\n");
    data = [];
    onData(text);
  };
  const lines = createLineReader((line) => {
    if (line === "") flush();
    else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
  });
  return {
    push: (chunk: Buffer): void => lines.push(chunk),
    end(): void {
      lines.end();
      flush();
    },
  };
}
