// The layer that looks at addresses of images and files in a request: refuses those that lead inside, or fetches them in the model server's place.
import { lookup } from "node:dns";
import { isIP } from "node:net";
import type { RemoteContent } from "../../config/remote-content.ts";
import { GatewayError, toGatewayError } from "../../errors.ts";
import { parseBody } from "../body.ts";
import { hostRefusal, type Resolve, refusal } from "../destination.ts";
import { isFormApi } from "../form.ts";
import type { CallHandle } from "../provider.ts";
import type { ModelWork, Serve } from "../work.ts";
import { fetchLink, linkReach, refuse } from "./fetch-link.ts";
import { findLinks, type Link, mayHoldLinks } from "./find.ts";

/** More than one request of a person ever holds; each costs a look-up or a download. */
const maxLinks = 32;

export function createLinked(next: Serve, resolve?: Resolve): Serve {
  return (work, sink) => {
    if (isFormApi(work.api) || work.words?.mayHoldLinks === false || !mayHoldLinks(work.body)) {
      work.isWordsOnly = true;
      return next(work, sink);
    }
    const settings = work.runtime.stack.remoteContent;
    const root = parseBody(work.body);
    const links = findLinks(root);
    if (links.length === 0) return next(work, sink);
    if (links.length > maxLinks)
      throw new GatewayError("invalid_request", `The request names ${links.length} addresses; ${maxLinks} are allowed.`);
    for (const link of links) judge(link, settings);
    const ready =
      settings.urls === "fetch"
        ? fetched(root, links, settings, resolve)
        : { body: lookedUp(links, settings, resolve).then(() => work.body), drop() {} };
    return later(
      ready,
      (body) => {
        work.body = body;
        return next(work, sink);
      },
      (error) => sink.fail(error),
    );
  };
}

/** What the text alone tells. */
function judge(link: Link, settings: RemoteContent): void {
  if (settings.urls === "refuse") throw refuse(link, "is not fetched here: send the bytes as a data URL (remoteContent.urls)");
  if (!URL.canParse(link.url)) throw refuse(link, "is not a valid address");
  const { hostname, username } = new URL(link.url);
  if (username !== "") throw refuse(link, "must not hold a user or password");
  const why = hostRefusal(hostname, linkReach(settings));
  if (why !== undefined) throw refuse(link, `is ${why}, which is not asked for content`);
}

/** A name that is not known here may be known to the model server, which then says so itself. */
async function lookedUp(links: readonly Link[], settings: RemoteContent, resolve: Resolve = lookup): Promise<void> {
  const names = new Map(links.map((link) => [new URL(link.url).hostname.replace(/^\[|\]$/g, ""), link]));
  await Promise.all(
    [...names].map(async ([name, link]) => {
      if (isIP(name) !== 0) return;
      const addresses = await new Promise<string[]>((done) =>
        resolve(name, { all: true }, (error, found) => done(error ? [] : found.map(({ address }) => address))),
      );
      // One is enough: which of them the model server takes is not known.
      const why = addresses.map((address) => refusal(address, linkReach(settings))).find((found) => found !== undefined);
      if (why !== undefined) throw refuse(link, `leads to ${why}, which is not asked for content`);
    }),
  );
}

function fetched(root: unknown, links: readonly Link[], settings: RemoteContent, resolve: Resolve | undefined): Pending {
  const leaving = new AbortController();
  const signal = AbortSignal.any([leaving.signal, AbortSignal.timeout(settings.timeoutMs)]);
  const room = { bytes: settings.maxBytes };
  const body = Promise.all(
    links.map(async (link) => {
      link.replace(await fetchLink(link, settings, signal, resolve, room));
    }),
  ).then(() => Buffer.from(JSON.stringify(root)));
  return { body, drop: () => leaving.abort() };
}

interface Pending {
  readonly body: Promise<ModelWork["body"]>;
  drop(): void;
}

/** A handle for work that begins once the body is there. */
function later(pending: Pending, begin: (body: Buffer) => CallHandle, fail: (error: GatewayError) => void): CallHandle {
  let handle: CallHandle | undefined;
  let left = false;
  pending.body
    .then((body) => {
      if (!left) handle = begin(body);
    })
    .catch((error: unknown) => {
      pending.drop();
      if (left) return;
      fail(toGatewayError(error));
    });
  return {
    resume: () => handle?.resume(),
    abort() {
      left = true;
      pending.drop();
      handle?.abort();
    },
  };
}
