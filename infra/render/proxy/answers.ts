/** Pure: what a proxy answers by itself, in OpenAI's shape, and the paths that it keeps to itself. */

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Worth another try after so many seconds. */
  readonly retryAfterSeconds?: number;
}

/** Metrics and the list of model servers: they tell outsiders what runs here. Matched without regard to case. */
export const closedPaths: readonly string[] = ["/metrics", "/api/diagnostics/prometheus", "/readyz/models"];

/** By status, of nginx, Caddy and HAProxy together. Texts hold no quote, backslash or dollar: each program reads these otherwise. */
export function answers(maxBodyBytes: number): Answer[] {
  const answer = (status: number, type: string, code: string, message: string, retryAfterSeconds?: number): Answer => ({
    status,
    body: JSON.stringify({ error: { message, type, code, param: null } }),
    retryAfterSeconds,
  });
  const invalid = "invalid_request_error";
  return [
    answer(400, invalid, "invalid_request", "The request could not be read."),
    answer(403, "permission_error", "address_refused", "This is not served to your address."),
    answer(404, invalid, "not_found", "There is nothing at this address."),
    answer(405, invalid, "method_not_allowed", "This method is not served."),
    answer(408, invalid, "request_timeout", "The request was not sent in time."),
    answer(413, invalid, "body_too_large", `The request is larger than ${maxBodyBytes} bytes, the most that is taken here.`),
    answer(414, invalid, "invalid_request", "The address of the request is too long."),
    answer(429, "rate_limit_error", "rate_limit_exceeded", "Too many requests of your address run at the same time.", 1),
    answer(431, invalid, "invalid_request", "The headers of the request are too long."),
    answer(500, "api_error", "internal", "The server in front of the gateway failed."),
    answer(502, "api_error", "gateway_unreachable", "The gateway did not answer. The request may be sent again.", 1),
    answer(503, "api_error", "gateway_unavailable", "No gateway is ready. The request may be sent again.", 1),
    answer(504, "api_error", "gateway_timeout", "The gateway did not answer in time.", 1),
  ];
}

/** Header names come from settings and are written into configurations: anything else than a name is refused. */
export function headerName(name: string): string {
  if (!/^[A-Za-z0-9-]+$/.test(name)) throw new Error("a header's name has letters, digits and - only");
  return name;
}
