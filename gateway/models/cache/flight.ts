// One call that several requests share: each reads the recorded answer at its own pace, and the call ends when all have left.
import { GatewayError } from "../../errors.ts";
import { AnswerHeaders } from "../answer-headers.ts";
import type { CallRecord } from "../call.ts";
import type { RestartableSink } from "../failover.ts";
import type { CallHandle } from "../provider.ts";
import type { Route } from "../router.ts";
import type { ModelWork, Serve } from "../work.ts";

interface Options {
  /** A longer answer is not recorded, and nobody joins any more. */
  readonly maxAnswerBytes: number;
  /** What the call goes on to. */
  readonly serve: Serve;
  /** Before anybody is told; `answer` is undefined when it was not recorded whole. */
  onEnd(end: FlightEnd): void;
}

export interface FlightEnd {
  readonly answer: { readonly contentType: string; readonly body: Buffer } | undefined;
  readonly error: GatewayError | undefined;
  readonly route: Route | undefined;
  /** Of the upstream that answered. */
  readonly record: CallRecord | undefined;
}

export interface Flight {
  /** Undefined: too late, the beginning of the answer is gone. */
  join(work: ModelWork, sink: RestartableSink): CallHandle | undefined;
}

interface Member {
  readonly work: ModelWork;
  readonly sink: RestartableSink;
  readonly begunMs: number;
  firstByteMs: number | undefined;
  /** Number of the chunk that it is given next. */
  next: number;
  sentBytes: number;
  paused: boolean;
  headed: boolean;
}

/**
 * The first to ask and still there has the call on its books; the others' records are marked as not bought for them.
 * A reader that falls this far behind a faster one is let go, so that it neither holds the others back nor fills the memory.
 */
const maxLagBytes = 1024 * 1024;

/** Starts the call for `first` at once; throws what the layers behind throw. */
export function createFlight(first: ModelWork, firstSink: RestartableSink, options: Options): [Flight, CallHandle] {
  const members = new Set<Member>();
  const { maxAnswerBytes } = options;
  /** Headers that the layers behind add to the answer. */
  const answerHeaders = new AnswerHeaders();
  /** The answer from chunk number `base` on. */
  const chunks: Buffer[] = [];
  let base = 0;
  let bytes = 0;
  let recording = true;
  let head: [string, number | undefined] | undefined;
  let routed: [Route, number, GatewayError | undefined] | undefined;
  let record: CallRecord | undefined;
  let call: CallHandle | undefined;
  let ended = false;
  let over = false;

  const payer = (): Member | undefined => members.values().next().value;

  function admit(work: ModelWork, sink: RestartableSink): [Member, CallHandle] {
    const member: Member = {
      work,
      sink,
      begunMs: performance.now(),
      firstByteMs: undefined,
      next: base,
      sentBytes: 0,
      paused: false,
      headed: false,
    };
    members.add(member);
    return [member, { abort: () => leave(member), resume: () => resume(member) }];
  }

  function resume(member: Member): void {
    if (!members.has(member)) return;
    member.paused = false;
    pump(member);
    if (!over && !allPaused()) call?.resume();
  }

  function leave(member: Member): void {
    if (!members.has(member)) return;
    if (members.size > 1 || over) {
      members.delete(member);
      if (!over) tellBooks(member, "cancelled");
      trim();
      if (!over && !allPaused()) call?.resume();
      return;
    }
    over = true;
    // Its record comes while it still is the payer.
    call?.abort();
    members.delete(member);
    chunks.length = 0;
    options.onEnd({ answer: undefined, error: undefined, route: routed?.[0], record: undefined });
  }

  function tellBooks({ work, begunMs, firstByteMs }: Member, outcome: CallRecord["outcome"]): void {
    const bought = outcome === "ok" ? record : undefined;
    work.recorder.onRecord(routed?.[0] ?? work.route, {
      outcome,
      durationMs: performance.now() - begunMs,
      firstByteMs: firstByteMs === undefined ? undefined : firstByteMs - begunMs,
      usage: bought?.usage,
      estimated: bought?.estimated ?? false,
      cost: 0,
      cached: true,
    });
  }

  function tellRoute({ work }: Member): void {
    work.answerHeaders.assign(answerHeaders);
    if (routed) work.onRoute(...routed);
  }

  /** Gives a member what it has not yet had, while it takes it. */
  function pump(member: Member): void {
    if (head && !member.headed) {
      member.headed = true;
      tellRoute(member);
      member.sink.head(...head);
    }
    while (!member.paused && members.has(member)) {
      const chunk = chunks[member.next - base];
      if (!chunk) break;
      member.firstByteMs ??= performance.now();
      member.next += 1;
      member.sentBytes += chunk.length;
      if (!member.sink.data(chunk)) member.paused = true;
    }
    if (!ended || member.next - base < chunks.length || !members.has(member)) return;
    members.delete(member);
    member.sink.end();
  }

  function allPaused(): boolean {
    for (const member of members) if (!member.paused) return false;
    return true;
  }

  /** Who is far behind a faster one is let go. */
  function dropLaggards(): void {
    for (const member of members) {
      if (!member.paused || bytes - member.sentBytes <= maxLagBytes || allPaused()) continue;
      members.delete(member);
      tellBooks(member, "slow_reader");
      member.sink.fail(new GatewayError("slow_reader", "The answer was read too slowly to share it with others."));
    }
  }

  /** Once the answer is too long to be kept, only what somebody still waits for stays. */
  function trim(): void {
    if (recording) return;
    let least = base + chunks.length;
    for (const member of members) least = Math.min(least, member.next);
    chunks.splice(0, least - base);
    base = least;
  }

  const sink: RestartableSink = {
    head(type, length) {
      head = [type, length];
      for (const member of [...members]) pump(member);
    },
    data(chunk) {
      if (over) return true;
      bytes += chunk.length;
      if (recording && bytes > maxAnswerBytes) recording = false;
      // Copied: a piece of the network's buffer would keep all of it.
      chunks.push(Buffer.from(chunk));
      for (const member of [...members]) pump(member);
      dropLaggards();
      trim();
      return !allPaused();
    },
    restart() {
      for (const member of members) if (!member.sink.restart()) return false;
      for (const member of members) Object.assign(member, { next: 0, sentBytes: 0, headed: false, paused: false });
      chunks.length = 0;
      base = 0;
      bytes = 0;
      recording = true;
      head = undefined;
      return true;
    },
    end() {
      if (over) return;
      over = true;
      ended = true;
      const body = recording ? Buffer.concat(chunks) : undefined;
      options.onEnd({
        answer: body && head ? { contentType: head[0], body } : undefined,
        error: undefined,
        route: routed?.[0],
        record,
      });
      const paying = payer();
      for (const member of [...members]) {
        if (member !== paying) tellBooks(member, "ok");
        pump(member);
      }
    },
    fail(error) {
      if (over) return;
      over = true;
      options.onEnd({ answer: undefined, error, route: routed?.[0], record });
      routed = [routed?.[0] ?? first.route, routed?.[1] ?? 0, error];
      const paying = payer();
      for (const member of [...members]) {
        if (member !== paying) tellBooks(member, error.code);
        members.delete(member);
        tellRoute(member);
        member.sink.fail(error);
      }
      chunks.length = 0;
    },
  };

  const shared: ModelWork = {
    ...first,
    answerHeaders,
    onRoute(...told) {
      routed = [told[0], told[1], told[2]];
    },
    recorder: {
      onRecord(route, told) {
        if (told.outcome === "ok") record = told;
        (payer()?.work ?? first).recorder.onRecord(route, told);
      },
    },
  };
  const [, handle] = admit(first, firstSink);
  call = options.serve(shared, sink);
  const flight: Flight = {
    join(work, joining) {
      if (!recording || over || base > 0) return undefined;
      const [member, joined] = admit(work, joining);
      // Its own layers are not through yet: it is given the beginning when they are.
      queueMicrotask(() => {
        if (members.has(member)) pump(member);
      });
      return joined;
    },
  };
  return [flight, handle];
}

/** What is kept of a record beside the answer. */
export function usageOf(record: CallRecord | undefined): Pick<CallRecord, "usage" | "estimated"> {
  return { usage: record?.usage, estimated: record?.estimated ?? false };
}
