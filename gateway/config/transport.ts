// How a provider is reached: upstream's own block models.providers.<id>.request.
import * as z from "zod";
import { secretSchema } from "./fields.ts";

const tlsSchema = z.strictObject({
  ca: secretSchema
    .optional()
    .describe("certificates (PEM) that the server's certificate must lead to, in place of the public ones"),
  cert: secretSchema.optional().describe("client certificate with its chain, PEM; needs key"),
  key: secretSchema.optional().describe("its key, PEM: a secret reference"),
  passphrase: secretSchema.optional().describe("of the key"),
  serverName: z
    .string()
    .min(1)
    .optional()
    .describe("the name that the server's certificate must carry, where it is not the address"),
  insecureSkipVerify: z.boolean().optional().describe("true: any certificate is believed; who is between reads everything"),
});
export type TransportTls = z.output<typeof tlsSchema>;

const authSchema = z.union([
  z.strictObject({ mode: z.literal("provider-default").describe("as the kind of provider does it") }),
  z.strictObject({
    mode: z.literal("authorization-bearer").describe("as Authorization: Bearer"),
    token: secretSchema.describe("in place of apiKey"),
  }),
  z.strictObject({
    mode: z.literal("header").describe("in a header of its own"),
    headerName: z
      .string()
      .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "expected the name of a header")
      .describe("which one"),
    value: secretSchema.describe("in place of apiKey"),
    prefix: z.string().optional().describe("put before the value"),
  }),
]);

const proxySchema = z.union([
  z.strictObject({
    mode: z.literal("env-proxy").describe("what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say"),
    tls: tlsSchema.optional().describe("TLS to the proxy"),
  }),
  z.strictObject({
    mode: z.literal("explicit-proxy").describe("always this one"),
    url: z
      .string()
      .refine(
        (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
        "expected an address such as http://proxy.internal:3128",
      )
      .describe("its address; it is asked for a tunnel (CONNECT)"),
    tls: tlsSchema.optional().describe("TLS to the proxy"),
  }),
]);

export const transportSchema = z.strictObject({
  headers: z.record(z.string(), secretSchema).optional().describe("more headers, sent with every call"),
  auth: authSchema.optional().describe("how the key is sent"),
  proxy: proxySchema.optional().describe("the proxy on the way"),
  tls: tlsSchema.optional().describe("TLS to the server"),
  allowPrivateNetwork: z
    .boolean()
    .optional()
    .describe(
      "true: also link-local and metadata addresses may be connected to; false: public addresses only; default: all but link-local and metadata addresses",
    ),
});
export type Transport = z.output<typeof transportSchema>;
