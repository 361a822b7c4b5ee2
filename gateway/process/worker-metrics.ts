// /metrics of a gateway with workers: any worker answers, with the figures of all; the primary collects and adds them up.
import { randomUUID } from "node:crypto";
import { setImmediate as pause } from "node:timers/promises";
import * as z from "zod";
import {
  type Families,
  mergeFigures,
  onlyCounters,
  parseFigures,
  renderFigures,
  type Source,
} from "../observability/metrics-merge.ts";
import { defineCall, defineNote, type Hub, type Link } from "./worker-link.ts";

interface Figures {
  render(): Iterable<string>;
}

const wantedNote = defineNote("metrics.wanted", z.object({ scrape: z.string() }));
const partNote = defineNote("metrics.part", z.object({ scrape: z.string(), text: z.string(), last: z.boolean() }));
const collectCall = defineCall("metrics.collect", z.object({}), z.object({ scrape: z.string(), pages: z.int() }));
const pageCall = defineCall("metrics.page", z.object({ scrape: z.string(), page: z.int() }), z.string());

/** A worker that does not answer in this time is left out. */
const answerMs = 2000;
/** Small messages: reading one must not stop the streams of a worker. */
const pageBytes = 64 * 1024;
const keptScrapes = 4;

/** Answers the primary, and gives the figures of all; with the primary gone, those of this process. */
export function shareMetrics(link: Link, own: Figures): () => Promise<Figures> {
  link.on(wantedNote, ({ scrape }) => void send(scrape));
  async function send(scrape: string): Promise<void> {
    let text = "";
    for (const piece of own.render()) {
      text += piece;
      if (text.length >= pageBytes) {
        link.tell(partNote, { scrape, text, last: false });
        text = "";
      }
      await pause();
    }
    link.tell(partNote, { scrape, text, last: true });
  }
  return async () => {
    try {
      const { scrape, pages } = await link.call(collectCall, {}, answerMs * 2);
      const texts: string[] = [];
      for (let page = 0; page < pages; page += 1) texts.push(await link.call(pageCall, { scrape, page }, answerMs));
      return { render: () => texts.values() };
    } catch {
      return own;
    }
  };
}

/** The primary's side. `own`: figures that only the primary has. */
export function collectMetrics(hub: Hub, own: Figures): void {
  const scrapes = new Map<string, readonly string[]>();
  const waiting = new Map<string, { texts: Map<number, string>; expected: Set<number>; done: () => void }>();
  /** The last that was shown of each worker. */
  const last = new Map<number, Families>();
  let gone: Families = new Map();
  let running: Promise<string> | undefined;

  hub.on(partNote, ({ scrape, text, last: end }, worker) => {
    const collecting = waiting.get(scrape);
    if (!collecting) return;
    collecting.texts.set(worker, (collecting.texts.get(worker) ?? "") + text);
    if (end) arrived(collecting, worker);
  });
  hub.onGone((worker) => {
    const families = last.get(worker);
    last.delete(worker);
    if (families)
      gone = mergeFigures([
        { by: "", families: gone },
        { by: "", families: onlyCounters(families) },
      ]);
    for (const collecting of waiting.values()) {
      collecting.texts.delete(worker);
      arrived(collecting, worker);
    }
  });

  function arrived(collecting: { expected: Set<number>; done: () => void }, worker: number): void {
    collecting.expected.delete(worker);
    if (collecting.expected.size === 0) collecting.done();
  }

  async function collect(): Promise<string> {
    const scrape = randomUUID();
    const { promise, resolve } = Promise.withResolvers<void>();
    const collecting = { texts: new Map<number, string>(), expected: new Set(hub.links().keys()), done: resolve };
    waiting.set(scrape, collecting);
    const timer = setTimeout(resolve, answerMs);
    if (collecting.expected.size === 0) resolve();
    hub.tell(wantedNote, { scrape });
    await promise;
    clearTimeout(timer);
    waiting.delete(scrape);
    for (const [worker, text] of collecting.texts) if (!collecting.expected.has(worker)) last.set(worker, parseFigures(text));
    const sources: Source[] = [
      { by: "primary", families: parseFigures([...own.render()].join("")) },
      ...[...last].sort(([a], [b]) => a - b).map(([worker, families]) => ({ by: String(worker), families })),
      { by: "", families: gone },
    ];
    scrapes.set(scrape, pagesOf(renderFigures(mergeFigures(sources))));
    for (const old of [...scrapes.keys()].slice(0, -keptScrapes)) scrapes.delete(old);
    return scrape;
  }

  hub.answer(collectCall, async () => {
    // Scrapes at the same time share the collecting.
    running ??= collect().finally(() => {
      running = undefined;
    });
    const scrape = await running;
    return { scrape, pages: scrapes.get(scrape)?.length ?? 0 };
  });
  hub.answer(pageCall, ({ scrape, page }) => scrapes.get(scrape)?.[page] ?? "");
}

function pagesOf(pieces: Iterable<string>): string[] {
  const pages: string[] = [];
  let text = "";
  for (const piece of pieces) {
    // A single metric may have thousands of label sets.
    for (const line of piece.length > pageBytes ? piece.split(/(?<=\n)/) : [piece]) {
      text += line;
      if (text.length < pageBytes) continue;
      pages.push(text);
      text = "";
    }
  }
  return text === "" ? pages : [...pages, text];
}
