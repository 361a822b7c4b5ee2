// The table of forms: each API that can be translated, as clients speak it and as upstreams do.
import type { ClientApi } from "../provider.ts";
import { readChatAnswer, readChatStream, writeChatAnswer, writeChatStream } from "./chat-answer.ts";
import { readChatAsked, writeChatAsked } from "./chat-request.ts";
import { readMessagesAnswer, readMessagesStream, writeMessagesAnswer, writeMessagesStream } from "./messages-answer.ts";
import { readMessagesAsked, writeMessagesAsked } from "./messages-request.ts";
import type { ClientForm, UpstreamForm } from "./neutral.ts";
import { readResponsesAnswer, readResponsesStream } from "./responses-read.ts";
import { readResponsesAsked, writeResponsesAsked } from "./responses-request.ts";
import { writeResponsesAnswer, writeResponsesStream } from "./responses-write.ts";

export const clientForms: { readonly [api in ClientApi]?: ClientForm } = {
  "chat-completions": { readAsked: readChatAsked, writeAnswer: writeChatAnswer, writeStream: writeChatStream },
  messages: { readAsked: readMessagesAsked, writeAnswer: writeMessagesAnswer, writeStream: writeMessagesStream },
  responses: { readAsked: readResponsesAsked, writeAnswer: writeResponsesAnswer, writeStream: writeResponsesStream },
};

export const chatUpstream: UpstreamForm = {
  framing: "sse",
  writeAsked: writeChatAsked,
  readAnswer: readChatAnswer,
  readStream: readChatStream,
};

export const messagesUpstream: UpstreamForm = {
  framing: "sse",
  writeAsked: writeMessagesAsked,
  readAnswer: readMessagesAnswer,
  readStream: readMessagesStream,
};

export const responsesUpstream: UpstreamForm = {
  framing: "sse",
  writeAsked: writeResponsesAsked,
  readAnswer: readResponsesAnswer,
  readStream: readResponsesStream,
};
