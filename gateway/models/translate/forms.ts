// The table of forms: each API that can be translated, as clients speak it and as upstreams do.
import type { ClientApi } from "../provider.ts";
import { readChatAnswer, readChatStream, writeChatAnswer, writeChatStream } from "./chat-answer.ts";
import { readChatAsked, writeChatAsked } from "./chat-request.ts";
import { readCompletionsAsked, writeCompletionsAnswer, writeCompletionsStream } from "./completions.ts";
import { readMessagesAnswer, readMessagesStream, writeMessagesAnswer, writeMessagesStream } from "./messages-answer.ts";
import { readMessagesAsked, writeMessagesAsked } from "./messages-request.ts";
import type { ClientForm, UpstreamForm } from "./neutral.ts";
import { readResponsesAnswer, readResponsesStream } from "./responses-read.ts";
import { readResponsesAsked, writeResponsesAsked } from "./responses-request.ts";
import { writeResponsesAnswer, writeResponsesStream } from "./responses-write.ts";
import { inSequence } from "./sequence.ts";
import { streamEnds } from "./stream-ends.ts";

export const clientForms = {
  "chat-completions": { readAsked: readChatAsked, writeAnswer: writeChatAnswer, writeStream: writeChatStream },
  messages: {
    names: {
      stop: "stop_sequences",
      response_format: "output_config.format",
      parallel_tool_calls: "tool_choice.disable_parallel_tool_use",
      reasoning_effort: "thinking",
    },
    readAsked: readMessagesAsked,
    writeAnswer: writeMessagesAnswer,
    writeStream: (meta) => inSequence(writeMessagesStream(meta)),
  },
  responses: {
    names: {
      response_format: "text.format",
      verbosity: "text.verbosity",
      max_tokens: "max_output_tokens",
      reasoning_effort: "reasoning.effort",
      messages: "input",
    },
    readAsked: readResponsesAsked,
    writeAnswer: writeResponsesAnswer,
    writeStream: (meta) => inSequence(writeResponsesStream(meta)),
  },
  completions: { readAsked: readCompletionsAsked, writeAnswer: writeCompletionsAnswer, writeStream: writeCompletionsStream },
} as const satisfies { readonly [api in ClientApi]?: ClientForm };

export const chatUpstream: UpstreamForm = {
  framing: "sse",
  ends: streamEnds.chat,
  writeAsked: writeChatAsked,
  readAnswer: readChatAnswer,
  readStream: readChatStream,
};

export const messagesUpstream: UpstreamForm = {
  framing: "sse",
  ends: streamEnds.messages,
  writeAsked: writeMessagesAsked,
  readAnswer: readMessagesAnswer,
  readStream: readMessagesStream,
};

export const responsesUpstream: UpstreamForm = {
  framing: "sse",
  ends: streamEnds.responses,
  writeAsked: writeResponsesAsked,
  readAnswer: readResponsesAnswer,
  readStream: readResponsesStream,
};

const ends: { readonly [api in ClientApi]?: RegExp } = {
  messages: streamEnds.messages,
  responses: streamEnds.responses,
  speech: streamEnds.audio,
  transcriptions: streamEnds.audio,
  translations: streamEnds.audio,
};

/** How a stream ends that passes as bytes. */
export const endOf = (api: ClientApi): RegExp => ends[api] ?? streamEnds.chat;
