// Errors as upstreams write them, in any of the shapes in use.
import { GatewayError } from "../../errors.ts";
import { isJson, type Json } from "./json.ts";

/** The text of { error: { message } }, { error: "…" } or { message }. */
export function errorText(body: Json | undefined): string | undefined {
  const inner = body?.error;
  const text = typeof inner === "string" ? inner : (isJson(inner) ? inner : body)?.message;
  return typeof text === "string" && text !== "" ? text.slice(0, 2000) : undefined;
}

/** An error that came as an event of a stream. */
export function streamError(event: Json): GatewayError {
  return new GatewayError(
    "upstream_failed",
    `the provider failed in the middle of the answer: ${errorText(event) ?? "no reason"}`,
  );
}

/** Items of an answer follow one another in some APIs. */
export const mixed = (): GatewayError =>
  new GatewayError("upstream_malformed", "the provider mixed the arguments of several tool calls");
