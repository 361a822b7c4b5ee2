// What spans need of OpenTelemetry, loaded when tracing is on. A module of its own: of a package that is loaded by its name a bundle keeps no names.
export { createTraceState, DiagLogLevel, diag, ROOT_CONTEXT, SpanStatusCode, trace } from "@opentelemetry/api";
export { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
export { resourceFromAttributes } from "@opentelemetry/resources";
export { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
