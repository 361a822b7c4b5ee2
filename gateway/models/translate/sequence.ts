// Puts tool calls that came at the same time one after the other, for APIs whose answers are items in a row.
import { isJson, parseJson } from "./json.ts";
import type { AnswerEvent, StreamWriter } from "./neutral.ts";
import { mixed } from "./stream-error.ts";

interface Waiting {
  readonly index: number;
  readonly events: AnswerEvent[];
}

/** A call is over when its arguments are whole, or when something else is said; until then the next ones wait. */
export function inSequence(writer: StreamWriter): StreamWriter {
  let open: number | undefined;
  let said = "";
  let waiting: Waiting[] = [];
  const over = new Set<number>();

  /** Writes what waits, up to a call that is not whole yet; all of it at the end. */
  function goOn(all: boolean): string {
    let out = "";
    while (waiting.length > 0 && (all || isWhole(said))) {
      const [next, ...rest] = waiting;
      waiting = rest;
      if (open !== undefined) over.add(open);
      open = next?.index;
      said = "";
      for (const event of next?.events ?? []) out += write(event);
    }
    return out;
  }

  function write(event: AnswerEvent): string {
    if (event.type === "arguments") said += event.text;
    return writer.write(event);
  }

  return {
    write(event) {
      if (event.type === "call") {
        if (open === undefined) {
          open = event.index;
          said = "";
          return write(event);
        }
        waiting.push({ index: event.index, events: [event] });
        return goOn(false);
      }
      if (event.type === "arguments") {
        if (event.index === open) return write(event) + goOn(false);
        const later = waiting.find(({ index }) => index === event.index);
        if (!later || over.has(event.index)) throw mixed();
        later.events.push(event);
        return "";
      }
      if (event.type === "finish" || event.type === "usage") return writer.write(event);
      const out = goOn(true);
      if (open !== undefined) over.add(open);
      open = undefined;
      return out + writer.write(event);
    },
    end: () => goOn(true) + writer.end(),
  };
}

const isWhole = (text: string): boolean => text !== "" && isJson(parseJson(text));
