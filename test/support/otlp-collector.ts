// A stand-in for an OpenTelemetry collector: takes OTLP over HTTP as JSON and hands out the spans that came.
// https://opentelemetry.io/docs/specs/otlp/#otlphttp
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { gunzipSync } from "node:zlib";
import { z } from "zod";

const valueSchema = z.union([
  z.object({ stringValue: z.string() }).transform(({ stringValue }) => stringValue),
  z.object({ intValue: z.union([z.number(), z.string()]) }).transform(({ intValue }) => Number(intValue)),
  z.object({ doubleValue: z.number() }).transform(({ doubleValue }) => doubleValue),
  z.object({ boolValue: z.boolean() }).transform(({ boolValue }) => boolValue),
]);
const attributesSchema = z
  .array(z.object({ key: z.string(), value: valueSchema }))
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, value])));
const spanSchema = z.looseObject({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  traceState: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes: attributesSchema,
  status: z.object({ code: z.number().optional(), message: z.string().optional() }),
});
const bodySchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: attributesSchema }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});
export type ReceivedSpan = z.output<typeof spanSchema>;

export interface Collector {
  readonly url: string;
  /** What came, as text: to look for what must not be there. */
  text(): string;
  readonly headers: IncomingHttpHeaders[];
  readonly resources: Record<string, unknown>[];
  spans(): readonly ReceivedSpan[];
  /** Resolves once there are so many. */
  until(count: number): Promise<readonly ReceivedSpan[]>;
  /** Answers from now on. */
  answer(status: number): void;
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const resources: Record<string, unknown>[] = [];
  const headers: IncomingHttpHeaders[] = [];
  let text = "";
  let status = 200;
  const looks = new Set<() => void>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      headers.push(request.headers);
      const bytes = Buffer.concat(chunks);
      const body = (request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes).toString("utf8");
      text += body;
      if (status === 200) {
        for (const { resource, scopeSpans } of bodySchema.parse(JSON.parse(body)).resourceSpans) {
          resources.push(resource.attributes);
          for (const scope of scopeSpans) spans.push(...scope.spans);
        }
      }
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
      for (const look of [...looks]) look();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/v1/traces`,
    text: () => text,
    headers,
    resources,
    spans: () => spans,
    until: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (spans.length < count) return;
          looks.delete(look);
          resolve(spans);
        };
        looks.add(look);
        look();
      }),
    answer(next) {
      status = next;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
