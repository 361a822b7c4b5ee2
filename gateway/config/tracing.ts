// Settings of OpenTelemetry spans.
import * as z from "zod";
import { httpUrlSchema, secretSchema } from "./fields.ts";

export const tracingSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe("send a span of each model request, and of each upstream asked for it; never what was asked or answered"),
  endpoint: httpUrlSchema
    .default("http://127.0.0.1:4318/v1/traces")
    .describe("where spans are sent: OTLP over HTTP, with its path"),
  headers: z.record(z.string(), secretSchema).default({}).describe("headers sent with them: secret references"),
  sampleRatio: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("the part of the traces that begin here; a caller's own decision in traceparent is followed"),
  serviceName: z.string().min(1).default("openclaw-gateway").describe("service.name of the spans"),
});
export type TracingSettings = z.output<typeof tracingSchema>;
