// Errors in the shape of the API that was called: OpenAI's, or Anthropic's under /v1/messages.
import type { GatewayError } from "../errors.ts";

export interface ErrorShape {
  body(error: GatewayError): Buffer;
  /** The event that ends a stream which cannot go on. */
  event(error: GatewayError): string;
}

export const openaiErrors: ErrorShape = {
  body: (error) => error.bytes(),
  event: (error) => `data: ${JSON.stringify(error)}\n\n`,
};

/** https://docs.anthropic.com/en/api/errors */
const anthropicTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

function anthropicError(error: GatewayError): string {
  const type = anthropicTypes[error.status] ?? (error.status < 500 ? "invalid_request_error" : "api_error");
  const message = error.param === null ? error.message : `${error.param}: ${error.message}`;
  return JSON.stringify({ type: "error", error: { type, message, code: error.code } });
}

export const anthropicErrors: ErrorShape = {
  body: (error) => error.body ?? Buffer.from(anthropicError(error)),
  event: (error) => `event: error\ndata: ${anthropicError(error)}\n\n`,
};

export function errorShapeOf(url: string): ErrorShape {
  return /^\/v1\/messages(?:[/?]|$)/.test(url) ? anthropicErrors : openaiErrors;
}
