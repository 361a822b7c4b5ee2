// How many tokens a call took: as the upstream said, else estimated from what it delivered, by a rule that learns from the answers that do say.
import { KeptBytes } from "./kept-bytes.ts";
import type { ClientApi, ModelCall, Provider } from "./provider.ts";
import { countTokens, textRead, textWritten, writes } from "./token-count.ts";
import type { Usage } from "./usage.ts";

export interface Metered {
  readonly usage: Usage;
  /** The upstream did not say, or not to the end. */
  readonly estimated: boolean;
}

export interface Metering {
  push(chunk: Buffer): void;
  /** `whole`: the answer came to its end. Undefined where nothing was delivered: then nothing is known to be used. */
  finish(whole: boolean, reported: Usage | undefined): Metered | undefined;
}

/** Of one model: tokens that were reported, by what the rule made of the same texts. Older answers count less and less. */
interface Learned {
  answers: number;
  counted: number;
  reported: number;
  countedIn: number;
  reportedIn: number;
}

/** As long as a provider lives, so does what its models taught. */
const learned = new WeakMap<Provider, Map<string, Learned>>();

/** An answer beyond this is counted as it comes, and not kept. */
const keptBytes = 16 * 1024;
/** A longer answer that does not stream is counted by this much of it. */
const wholeBytes = 256 * 1024;
/** Longer requests are counted by this much of them. */
const readBytes = 256 * 1024;
/** Every answer teaches at first, then one of so many. */
const firstAnswers = 32;
const oneOf = 64;
/** Larger ones teach at first only: reading them costs more than all else that a call does. */
const taughtBytes = 8 * 1024;
const newline = 0x0a;
const forgetting = 0.99;
/** Until answers have said more, the rule alone has this weight, in tokens. */
const prior = 20;
/** Beyond these it is not the same text: tokens that were thought and not shown, for one. */
const plausible = { least: 0.25, most: 4 };

/** Sound is sold by what cannot be counted here. */
const uncounted: readonly ClientApi[] = ["speech", "transcriptions", "translations"];

export const createMetering = (provider: Provider, call: ModelCall): Metering => new AnswerMetering(provider, call);

class AnswerMetering implements Metering {
  readonly #provider: Provider;
  readonly #call: ModelCall;
  readonly #kept = new KeptBytes();
  #tokens = 0;
  #delivered = false;
  /** Of an answer that does not stream, beyond what is kept. */
  #unseen = 0;

  constructor(provider: Provider, call: ModelCall) {
    this.#provider = provider;
    this.#call = call;
  }

  push(chunk: Buffer): void {
    this.#delivered = true;
    const { stream } = this.#call;
    const kept = this.#kept;
    if (!stream && kept.length > wholeBytes) {
      this.#unseen += chunk.length;
      return;
    }
    kept.push(chunk);
    if (stream && kept.length > keptBytes) this.#count(true);
  }

  finish(whole: boolean, reported: Usage | undefined): Metered | undefined {
    const call = this.#call;
    const { api } = call;
    // Asking how many tokens a text has uses none.
    if (!this.#delivered || api === "count-tokens") return undefined;
    if (uncounted.includes(api)) return reported && { usage: reported, estimated: !whole };
    const model = modelOf(this.#provider, call.model);
    // Nothing written is said, too, where another API leaves out its counts and this one must name them.
    if (whole && reported && (reported.output > 0 || !writes(api))) {
      model.answers += 1;
      const isSmall = this.#kept.length + this.#unseen <= taughtBytes;
      if (model.answers <= firstAnswers || (model.answers % oneOf === 0 && isSmall)) {
        this.#count(false);
        learn(model, call.body, this.#tokens, reported);
      }
      this.#kept.clear();
      return { usage: reported, estimated: false };
    }
    this.#count(false);
    const output = Math.round(this.#tokens * ratioOf(model.reported, model.counted));
    // What a stream says at its beginning is no more than that; at its end it may have come before the cut.
    if (reported && reported.output > 0 && reported.output >= output * 0.8) return { usage: reported, estimated: !whole };
    const input = reported?.input || Math.round(tokensRead(call.body) * ratioOf(model.reportedIn, model.countedIn));
    return { usage: { ...reported, input, output }, estimated: true };
  }

  /** All that is kept; of a stream only whole lines, where `rest` allows to keep the last one. */
  #count(rest: boolean): void {
    const { api, stream } = this.#call;
    const kept = this.#kept;
    const { bytes } = kept;
    const share = 1 + this.#unseen / Math.max(1, bytes.length);
    const end = rest ? bytes.lastIndexOf(newline) + 1 : bytes.length;
    const text = bytes.toString("utf8", 0, end);
    if (end < bytes.length) kept.keepLast(bytes.length - end);
    else kept.clear();
    this.#tokens += Math.round(share * countTokens(textWritten(api, stream, text)));
  }
}

function modelOf(provider: Provider, id: string): Learned {
  let models = learned.get(provider);
  if (!models) {
    models = new Map();
    learned.set(provider, models);
  }
  let model = models.get(id);
  if (!model) {
    model = { answers: 0, counted: 0, reported: 0, countedIn: 0, reportedIn: 0 };
    // Clients may choose names freely where a provider takes any.
    if (models.size < 1000) models.set(id, model);
  }
  return model;
}

function learn(model: Learned, body: Buffer, counted: number, { input, output }: Usage): void {
  if (isPlausible(output, counted)) {
    model.counted = model.counted * forgetting + counted;
    model.reported = model.reported * forgetting + output;
  }
  if (body.length > taughtBytes && model.answers > firstAnswers) return;
  if (body.length > readBytes) return;
  const countedIn = tokensRead(body);
  if (!isPlausible(input, countedIn)) return;
  model.countedIn = model.countedIn * forgetting + countedIn;
  model.reportedIn = model.reportedIn * forgetting + input;
}

const isPlausible = (reported: number, counted: number): boolean =>
  counted >= 2 && reported >= counted * plausible.least && reported <= counted * plausible.most;

const ratioOf = (reported: number, counted: number): number => {
  // What many answers said is not watered down.
  const weight = counted > 50 * prior ? 0 : prior;
  return (reported + weight) / (counted + weight || 1);
};

function tokensRead(body: Buffer): number {
  if (body.length <= readBytes) return countTokens(textRead(body.toString("utf8")));
  const part = countTokens(textRead(body.subarray(0, readBytes).toString("utf8")));
  return Math.round((part * body.length) / readBytes);
}
