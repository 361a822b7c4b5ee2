// What the primary and its workers say to each other: typed calls and notes over an IPC channel, each checked at arrival.
import * as z from "zod";
import { messageOf } from "../errors.ts";

/** A question with one answer. Declare it once, beside the part that uses it, with `defineCall`. */
export interface CallKind<Request, Answer> {
  readonly name: string;
  readonly request: z.ZodType<Request>;
  readonly answer: z.ZodType<Answer>;
}

/** Something that is told without an answer. */
export interface NoteKind<Payload> {
  readonly name: string;
  readonly payload: z.ZodType<Payload>;
}

export function defineCall<Request, Answer>(
  name: string,
  request: z.ZodType<Request>,
  answer: z.ZodType<Answer>,
): CallKind<Request, Answer> {
  return { name, request, answer };
}

export function defineNote<Payload>(name: string, payload: z.ZodType<Payload>): NoteKind<Payload> {
  return { name, payload };
}

/** One end of the channel between the primary and one worker; both ends are alike. */
export interface Link {
  readonly closed: boolean;
  /** Rejects with a LinkError: the other end is gone, does not answer in time, or could not do it. */
  call<Request, Answer>(kind: CallKind<Request, Answer>, request: Request, timeoutMs?: number): Promise<Answer>;
  /** Who answers calls of this kind from the other end. */
  answer<Request, Answer>(kind: CallKind<Request, Answer>, handler: (request: Request) => Answer | Promise<Answer>): void;
  /** Lost without a word where the other end is gone. */
  tell<Payload>(kind: NoteKind<Payload>, payload: Payload): void;
  on<Payload>(kind: NoteKind<Payload>, handler: (payload: Payload) => void): void;
  /** Once, when the other end is gone. */
  onClose(handler: () => void): void;
}

export class LinkError extends Error {
  readonly reason: "closed" | "timeout" | "failed";

  constructor(reason: LinkError["reason"], message: string) {
    super(message);
    this.name = "LinkError";
    this.reason = reason;
  }
}

/** What carries the messages: a child process, the channel to the parent, or a pair in a test. */
export interface Carrier {
  /** False where the message could not be handed over. */
  send(message: object): boolean;
  onMessage(handler: (message: unknown) => void): void;
  onClose(handler: () => void): void;
}

const defaultTimeoutMs = 5000;

const envelopeSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("call"), id: z.int(), name: z.string(), body: z.unknown() }),
  z.object({ type: z.literal("answer"), id: z.int(), body: z.unknown() }),
  z.object({ type: z.literal("failure"), id: z.int(), message: z.string() }),
  z.object({ type: z.literal("note"), name: z.string(), body: z.unknown() }),
]);
type Envelope = z.output<typeof envelopeSchema>;

export function createLink(carrier: Carrier): Link {
  const answers = new Map<string, (body: unknown) => Promise<unknown>>();
  const notes = new Map<string, ((body: unknown) => void)[]>();
  const waiting = new Map<number, { done: (body: unknown) => void; failed: (error: LinkError) => void }>();
  const whenClosed: (() => void)[] = [];
  let closed = false;
  let lastId = 0;

  const send = (message: Envelope): boolean => !closed && carrier.send(message);

  async function reply(id: number, name: string, body: unknown): Promise<void> {
    try {
      const handler = answers.get(name);
      if (!handler) throw new Error(`nobody answers ${name}`);
      send({ type: "answer", id, body: await handler(body) });
    } catch (error) {
      send({ type: "failure", id, message: messageOf(error) });
    }
  }

  carrier.onMessage((raw) => {
    const parsed = envelopeSchema.safeParse(raw);
    if (!parsed.success) return;
    const message = parsed.data;
    if (message.type === "call") void reply(message.id, message.name, message.body);
    else if (message.type === "note") for (const handler of notes.get(message.name) ?? []) handler(message.body);
    else {
      const call = waiting.get(message.id);
      if (message.type === "answer") call?.done(message.body);
      else call?.failed(new LinkError("failed", message.message));
    }
  });
  carrier.onClose(() => {
    if (closed) return;
    closed = true;
    for (const call of [...waiting.values()]) call.failed(new LinkError("closed", "the other process is gone"));
    for (const handler of whenClosed.splice(0)) handler();
  });

  return {
    get closed() {
      return closed;
    },
    call(kind, request, timeoutMs = defaultTimeoutMs) {
      return new Promise((resolve, reject) => {
        lastId += 1;
        const id = lastId;
        const settle = (act: () => void): void => {
          clearTimeout(timer);
          waiting.delete(id);
          act();
        };
        const failed = (error: LinkError): void => settle(() => reject(error));
        const timer = setTimeout(
          () => failed(new LinkError("timeout", `no answer to ${kind.name} within ${timeoutMs} ms`)),
          timeoutMs,
        );
        waiting.set(id, {
          failed,
          done(body) {
            const parsed = kind.answer.safeParse(body);
            if (parsed.success) settle(() => resolve(parsed.data));
            else failed(new LinkError("failed", `the answer to ${kind.name} has another shape`));
          },
        });
        if (!send({ type: "call", id, name: kind.name, body: request }))
          failed(new LinkError("closed", "the other process is gone"));
      });
    },
    answer(kind, handler) {
      answers.set(kind.name, async (body) => {
        const parsed = kind.request.safeParse(body);
        if (!parsed.success) throw new Error(`${kind.name} has another shape`);
        return handler(parsed.data);
      });
    },
    tell(kind, payload) {
      send({ type: "note", name: kind.name, body: payload });
    },
    on(kind, handler) {
      const list = notes.get(kind.name) ?? [];
      notes.set(kind.name, list);
      list.push((body) => {
        const parsed = kind.payload.safeParse(body);
        if (parsed.success) handler(parsed.data);
      });
    },
    onClose(handler) {
      if (closed) handler();
      else whenClosed.push(handler);
    },
  };
}

/** The primary's side: what it answers and hears is the same for every worker, also for those that come later. */
export interface Hub {
  add(worker: number, link: Link): void;
  answer<Request, Answer>(
    kind: CallKind<Request, Answer>,
    handler: (request: Request, worker: number) => Answer | Promise<Answer>,
  ): void;
  on<Payload>(kind: NoteKind<Payload>, handler: (payload: Payload, worker: number) => void): void;
  /** To all workers, or all but the one that it came from. */
  tell<Payload>(kind: NoteKind<Payload>, payload: Payload, except?: number): void;
  /** What each worker tells is passed on to the others as it is. */
  relay<Payload>(kind: NoteKind<Payload>): void;
  /** The worker whose link closed. */
  onGone(handler: (worker: number) => void): void;
  links(): ReadonlyMap<number, Link>;
}

export function createHub(): Hub {
  const links = new Map<number, Link>();
  const setups: ((worker: number, link: Link) => void)[] = [];
  const whenGone: ((worker: number) => void)[] = [];

  function setUp(each: (worker: number, link: Link) => void): void {
    setups.push(each);
    for (const [worker, link] of links) each(worker, link);
  }
  const tell: Hub["tell"] = (kind, payload, except) => {
    for (const [worker, link] of links) if (worker !== except) link.tell(kind, payload);
  };

  return {
    add(worker, link) {
      links.set(worker, link);
      for (const each of setups) each(worker, link);
      link.onClose(() => {
        if (links.get(worker) === link) links.delete(worker);
        for (const handler of whenGone) handler(worker);
      });
    },
    answer: (kind, handler) => setUp((worker, link) => link.answer(kind, (request) => handler(request, worker))),
    on: (kind, handler) => setUp((worker, link) => link.on(kind, (payload) => handler(payload, worker))),
    tell,
    relay: (kind) => setUp((worker, link) => link.on(kind, (payload) => tell(kind, payload, worker))),
    onGone(handler) {
      whenGone.push(handler);
    },
    links: () => links,
  };
}

/** Two ends in one process: for tests, and for parts that do not care where the other one is. */
export function createLinkPair(): { a: Link; b: Link; close(): void } {
  const ends = [newEnd(), newEnd()] as const;
  const carrier = (own: End, other: End): Carrier => ({
    send(message) {
      // As over a real channel: a copy, and later.
      const copy: unknown = JSON.parse(JSON.stringify(message));
      setImmediate(() => other.message?.(copy));
      return true;
    },
    onMessage(handler) {
      own.message = handler;
    },
    onClose(handler) {
      own.close = handler;
    },
  });
  const [a, b] = ends;
  return {
    a: createLink(carrier(a, b)),
    b: createLink(carrier(b, a)),
    close() {
      for (const end of ends) end.close?.();
    },
  };
}

interface End {
  message?: (message: unknown) => void;
  close?: () => void;
}

const newEnd = (): End => ({});
