// The table of documented streams.
import type { Fixture } from "./fixture.ts";
import { chat } from "./fixtures-chat.ts";
import { messages } from "./fixtures-messages.ts";
import { ollama } from "./fixtures-ollama.ts";
import { responses } from "./fixtures-responses.ts";

export const fixtures: Fixture[] = [...chat, ...messages, ...responses, ...ollama];
