// Addresses inside of requests: images and files that a client names by URL, and somebody has to fetch.
import * as z from "zod";
import { bytesSchema, positiveMsSchema } from "./fields.ts";

export const remoteContentSchema = z.strictObject({
  urls: z
    .enum(["pass", "fetch", "refuse"])
    .default("pass")
    .describe(
      "images and files that a request names by URL. pass: the model server fetches them; addresses that lead to private networks are refused. fetch: the gateway fetches them and sends their bytes, so that no redirect and no change of a name leads elsewhere. refuse: only data URLs",
    ),
  allowPrivateNetwork: z
    .boolean()
    .default(false)
    .describe("true: they may lie in private networks; link-local and metadata addresses stay refused"),
  maxBytes: bytesSchema.default(20_971_520).describe("fetch: all of a request's together; more is refused"),
  timeoutMs: positiveMsSchema.default(10_000).describe("fetch: all of a request's together"),
});
export type RemoteContent = z.output<typeof remoteContentSchema>;
