// Answers to idempotency keys that all workers keep together: in the primary's memory, with the claims of those that are being answered.
import * as z from "zod";
import type { AnswerStore } from "../models/cache/answers.ts";
import { answerText, readAnswer } from "../models/cache/shared-answers.ts";
import { defineCall, defineNote, type Hub, type Link } from "./worker-link.ts";

const keyed = { key: z.string() };
const boundsSchema = z.object({ ttlSeconds: z.number(), maxBytes: z.number(), maxEntries: z.number() });

const getCall = defineCall(
  "answers.get",
  z.object({ ...keyed, bounds: boundsSchema }),
  z.object({ answer: z.string().nullable() }),
);
const setNote = defineNote("answers.set", z.object({ ...keyed, answer: z.string(), bounds: boundsSchema }));
const claimCall = defineCall(
  "answers.claim",
  z.object({ ...keyed, holder: z.string(), ttlMs: z.number() }),
  z.object({ mine: z.boolean() }),
);
const releaseNote = defineNote("answers.release", z.object({ ...keyed, holder: z.string() }));

interface Claim {
  readonly holder: string;
  readonly worker: number;
  readonly until: number;
}

/** The primary's side. `now` gives milliseconds that never go back. */
export function serveAnswers(hub: Hub, store: AnswerStore, now: () => number = () => performance.now()): void {
  const claims = new Map<string, Claim>();
  hub.answer(getCall, async ({ key, bounds }) => {
    const answer = await store.get(key, bounds);
    return { answer: answer ? answerText(answer) : null };
  });
  hub.on(setNote, ({ key, answer: text, bounds }) => {
    const answer = readAnswer(text);
    if (answer) store.set(key, answer, bounds);
  });
  hub.answer(claimCall, ({ key, holder, ttlMs }, worker) => {
    const held = claims.get(key);
    if (held && held.holder !== holder && held.until > now()) return { mine: false };
    claims.set(key, { holder, worker, until: now() + ttlMs });
    return { mine: true };
  });
  hub.on(releaseNote, ({ key, holder }) => {
    if (claims.get(key)?.holder === holder) claims.delete(key);
  });
  hub.onGone((worker) => {
    for (const [key, claim] of claims) if (claim.worker === worker) claims.delete(key);
  });
}

/** A worker's side. With the primary gone nothing is kept, and each does its own. */
export function answersOverLink(link: Link): AnswerStore {
  const plain = ({ ttlSeconds, maxBytes, maxEntries }: z.output<typeof boundsSchema>) => ({ ttlSeconds, maxBytes, maxEntries });
  return {
    get: (key, bounds) =>
      link.call(getCall, { key, bounds: plain(bounds) }).then(
        ({ answer }) => (answer === null ? undefined : readAnswer(answer)),
        () => undefined,
      ),
    set: (key, answer, bounds) => link.tell(setNote, { key, answer: answerText(answer), bounds: plain(bounds) }),
    clear() {},
    claims: {
      claim: (key, holder, ttlMs) =>
        link.call(claimCall, { key, holder, ttlMs }).then(
          ({ mine }) => mine,
          () => true,
        ),
      release: (key, holder) => link.tell(releaseNote, { key, holder }),
    },
  };
}
