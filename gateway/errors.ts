// Every failure of the gateway: one class, and one table that says what a client is told and whether another upstream may be tried.

interface ErrorEntry {
  /** HTTP status; 499 is logged only, since that client is gone. */
  readonly status: number;
  /** `error.type` in OpenAI's shape. */
  readonly type:
    | "invalid_request_error"
    | "authentication_error"
    | "permission_error"
    | "rate_limit_error"
    | "insufficient_quota"
    | "api_error";
  /** Close code where the failure ends a WebSocket connection. */
  readonly wsClose: number;
  /** May the same request be sent to another upstream? Only before the first byte reached the client. */
  readonly tryNext: boolean;
}

export const errorTable = {
  invalid_request: { status: 400, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  invalid_json: { status: 400, type: "invalid_request_error", wsClose: 1007, tryNext: false },
  invalid_api_key: { status: 401, type: "authentication_error", wsClose: 1008, tryNext: false },
  missing_scope: { status: 403, type: "permission_error", wsClose: 1008, tryNext: false },
  address_refused: { status: 403, type: "permission_error", wsClose: 1008, tryNext: false },
  too_many_attempts: { status: 429, type: "rate_limit_error", wsClose: 1008, tryNext: false },
  rate_limit_exceeded: { status: 429, type: "rate_limit_error", wsClose: 1013, tryNext: false },
  insufficient_quota: { status: 429, type: "insufficient_quota", wsClose: 1008, tryNext: false },
  not_found: { status: 404, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  method_not_allowed: { status: 405, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  endpoint_disabled: { status: 404, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  model_not_found: { status: 404, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  model_ambiguous: { status: 400, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  request_timeout: { status: 408, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  body_too_large: { status: 413, type: "invalid_request_error", wsClose: 1009, tryNext: false },
  unsupported_media_type: { status: 415, type: "invalid_request_error", wsClose: 1003, tryNext: false },
  idempotency_conflict: { status: 422, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  idempotency_in_progress: { status: 409, type: "invalid_request_error", wsClose: 1008, tryNext: false },
  slow_reader: { status: 503, type: "api_error", wsClose: 1013, tryNext: false },
  client_gone: { status: 499, type: "api_error", wsClose: 1001, tryNext: false },
  internal: { status: 500, type: "api_error", wsClose: 1011, tryNext: false },
  upstream_rejected: { status: 400, type: "invalid_request_error", wsClose: 1011, tryNext: false },
  upstream_auth: { status: 502, type: "api_error", wsClose: 1011, tryNext: true },
  upstream_rate_limited: { status: 429, type: "rate_limit_error", wsClose: 1013, tryNext: true },
  upstream_unreachable: { status: 502, type: "api_error", wsClose: 1011, tryNext: true },
  upstream_failed: { status: 502, type: "api_error", wsClose: 1011, tryNext: true },
  upstream_malformed: { status: 502, type: "api_error", wsClose: 1011, tryNext: true },
  upstream_cut: { status: 502, type: "api_error", wsClose: 1011, tryNext: true },
  upstream_timeout: { status: 504, type: "api_error", wsClose: 1011, tryNext: true },
  destination_refused: { status: 502, type: "api_error", wsClose: 1011, tryNext: true },
  overloaded: { status: 429, type: "rate_limit_error", wsClose: 1013, tryNext: true },
  upstream_unavailable: { status: 503, type: "api_error", wsClose: 1013, tryNext: false },
  draining: { status: 503, type: "api_error", wsClose: 1012, tryNext: false },
  config_invalid: { status: 500, type: "api_error", wsClose: 1011, tryNext: false },
  secret_unreadable: { status: 500, type: "api_error", wsClose: 1011, tryNext: false },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;
export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(errorTable, text);

interface ErrorDetails {
  /** Overrides the table's status: an upstream's own 4xx is passed on as it is. */
  readonly status?: number;
  /** The request's field that is wrong. */
  readonly param?: string;
  readonly retryAfter?: string;
  /** The same, finer: sent beside it. */
  readonly retryAfterMs?: number;
  /** An upstream's own error, already in OpenAI's shape: passed on as bytes. */
  readonly body?: Buffer;
  /** The connection had been used before and broke before a byte of the answer: the same upstream may be asked over a new one. */
  readonly stale?: boolean;
  readonly cause?: unknown;
}

/** Messages are written for the client: they hold no secret, no request content and no address of an upstream. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly param: string | null;
  readonly retryAfter: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly body: Buffer | undefined;
  readonly stale: boolean;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "GatewayError";
    this.code = code;
    this.status = details.status ?? errorTable[code].status;
    this.param = details.param ?? null;
    this.retryAfter = details.retryAfter;
    this.retryAfterMs = details.retryAfterMs;
    this.body = details.body;
    this.stale = details.stale === true;
  }

  /** OpenAI's shape. */
  toJSON() {
    return { error: { message: this.message, type: errorTable[this.code].type, code: this.code, param: this.param } };
  }

  /** What goes on the wire. */
  bytes(): Buffer {
    return this.body ?? Buffer.from(JSON.stringify(this));
  }
}

/** What is no GatewayError is the gateway's own fault. */
export function toGatewayError(error: unknown): GatewayError {
  return error instanceof GatewayError
    ? error
    : new GatewayError("internal", "The gateway failed at this request; its log says why.", { cause: error });
}

/** Exit codes of the process; docs/settings.md lists them. */
export const exitCodes = {
  ok: 0,
  usage: 64,
  cannotListen: 69,
  internal: 70,
  stateNotWritable: 73,
  config: 78,
} as const;

/** The `code` of a Node or undici error, without trusting its shape. */
export function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
