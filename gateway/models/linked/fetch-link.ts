// Fetches what an address leads to, as a data URL: each step of the way is judged by the address that is really connected to.
import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";
import type { RemoteContent } from "../../config/remote-content.ts";
import { GatewayError } from "../../errors.ts";
import { checkHost, guardedLookup, type Reach, type Resolve } from "../destination.ts";
import type { Link } from "./find.ts";

export const linkReach = ({ allowPrivateNetwork }: RemoteContent): Reach => (allowPrivateNetwork ? "private" : "public");

const maxRedirects = 3;

/** What may still be fetched for a request: its addresses together must not fill the memory. */
export interface Room {
  bytes: number;
}

/** Rejects with a GatewayError that names the field. */
export async function fetchLink(
  link: Link,
  settings: RemoteContent,
  signal: AbortSignal,
  resolve?: Resolve,
  room: Room = { bytes: settings.maxBytes },
): Promise<string> {
  let url = new URL(link.url);
  for (let steps = 0; ; steps += 1) {
    const response = await open(link, url, settings, signal, resolve);
    const { statusCode: status = 0, headers } = response;
    const { location } = headers;
    if (status >= 300 && status < 400 && location !== undefined) {
      response.destroy();
      if (steps === maxRedirects) throw refuse(link, `leads through more than ${maxRedirects} redirects`);
      if (!URL.canParse(location, url.href)) throw refuse(link, "leads to a redirect that is no address");
      url = new URL(location, url);
      if (!/^https?:$/.test(url.protocol)) throw refuse(link, `leads to an address of ${url.protocol}`);
      continue;
    }
    if (status !== 200) {
      response.destroy();
      throw refuse(link, `was answered with ${status}`);
    }
    const type = (headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
    if (link.isImage && !/^image\/[\w.+-]+$/.test(type)) {
      response.destroy();
      throw refuse(link, `is ${type === "" ? "of no said type" : type}, not an image`);
    }
    const bytes = await readAll(link, response, room, settings.maxBytes);
    return `data:${/^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : "application/octet-stream"};base64,${bytes.toString("base64")}`;
  }
}

function open(
  link: Link,
  url: URL,
  settings: RemoteContent,
  signal: AbortSignal,
  resolve: Resolve | undefined,
): Promise<IncomingMessage> {
  const reach = linkReach(settings);
  return new Promise((done, failed) => {
    const fail = (error: Error): void =>
      failed(error instanceof GatewayError ? refuse(link, error.message) : refuse(link, "cannot be fetched", error));
    try {
      checkHost(url.hostname, reach);
      const send = url.protocol === "https:" ? requestSecure : requestPlain;
      // A connection of its own: one that is kept was judged for another name.
      send(url, {
        agent: false,
        signal,
        lookup: guardedLookup(reach, resolve),
        headers: { accept: link.isImage ? "image/*" : "*/*" },
      })
        .on("error", fail)
        .on("response", done)
        .end();
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

async function readAll(link: Link, response: IncomingMessage, room: Room, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) continue;
      room.bytes -= chunk.length;
      if (room.bytes < 0)
        throw refuse(link, `is larger than ${maxBytes} bytes, alone or with the others (remoteContent.maxBytes)`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof GatewayError ? error : refuse(link, "broke off in the middle", error);
  }
  return Buffer.concat(chunks);
}

/** The address is the client's own: it may be named. */
export const refuse = ({ field }: Link, why: string, cause?: unknown): GatewayError =>
  new GatewayError("invalid_request", `The address in ${field} ${why}.`, { param: field, cause });
