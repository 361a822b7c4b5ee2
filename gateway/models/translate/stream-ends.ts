// How a stream says that it is whole, by API: a proxy that lost the upstream ends its answer cleanly too.

/** Looked for in the last bytes of a stream. Quotes inside of texts are escaped, so what a model says cannot look like these. */
export const streamEnds = {
  /** Chat and text completions: https://platform.openai.com/docs/api-reference/chat/streaming */
  chat: /^data: ?\[DONE\]|"finish_reason":\s*"/m,
  /** The last event may be longer than what is looked at: its usage is at its end. */
  responses: /"type":\s*"response\.(?:completed|failed|incomplete)"|"usage":\s*\{/,
  /** https://docs.anthropic.com/en/docs/build-with-claude/streaming */
  messages: /"type":\s*"message_stop"/,
  /** https://platform.openai.com/docs/api-reference/audio */
  audio: /"type":\s*"(?:speech\.audio|transcript\.text)\.done"|^data: ?\[DONE\]/m,
} as const;
