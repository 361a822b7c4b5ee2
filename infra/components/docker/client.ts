/** Talks to a Docker daemon's HTTP interface: over its socket, over TLS, or through the system's ssh. */
import { readFileSync } from "node:fs";
import { Agent, type IncomingMessage, request as plainRequest, type RequestOptions } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { sshConnection } from "./ssh.ts";

/** Everything that says how a daemon is reached; nothing of it is a secret. */
export const endpointSchema = z.strictObject({
  host: z.string(),
  /** Arguments of ssh, for ssh://. */
  sshOptions: z.array(z.string()).default([]),
  /** The folder of ca.pem, cert.pem and key.pem, for tcp://. */
  certificates: z.string().optional(),
});
export type Endpoint = z.output<typeof endpointSchema>;

export interface Call {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  query?: { [name: string]: string | number | boolean };
  /** An object is sent as JSON, bytes as a tar archive. */
  body?: object | Buffer;
}

export class DockerError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.name = "DockerError";
    this.status = status;
  }
}

export interface Docker {
  /** The raw answer. @throws DockerError where the daemon refuses */
  bytes(call: Call): Promise<Buffer>;
  json<T>(call: Call, schema: z.ZodType<T>): Promise<T>;
  close(): void;
}

/** Docker 20.10: what every daemon that is let in speaks. */
const apiVersion = "v1.41";
const connectTimeoutMs = 30_000;

export function connectDocker(endpoint: Endpoint): Docker {
  const { request, options, agent } = reach(endpoint);

  function send({ method, path, query = {}, body }: Call): Promise<IncomingMessage> {
    const words = new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]));
    const content = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const headers = {
      "content-length": content?.length ?? 0,
      ...(content ? { "content-type": Buffer.isBuffer(body) ? "application/x-tar" : "application/json" } : {}),
    };
    return new Promise((resolve, reject) => {
      const sent = request(
        { ...options, agent, method, path: `/${apiVersion}${path}${words.size > 0 ? `?${words}` : ""}`, headers },
        resolve,
      );
      const timer = setTimeout(() => sent.destroy(new Error(`no answer in ${connectTimeoutMs / 1000} s`)), connectTimeoutMs);
      sent.on("response", () => clearTimeout(timer));
      // Waiting for a container may take longer than any connection; what was connected is not timed.
      sent.on("socket", (socket) => {
        if (socket.connecting) socket.once("connect", () => clearTimeout(timer));
        else clearTimeout(timer);
      });
      sent.on("error", (error) => {
        clearTimeout(timer);
        reject(new Error(`the Docker daemon at ${endpoint.host} cannot be reached: ${error.message}`, { cause: error }));
      });
      sent.end(content);
    });
  }

  async function bytes(call: Call): Promise<Buffer> {
    const response = await send(call);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw new DockerError(status, messageOf(body.toString("utf8")));
    return body;
  }

  return {
    bytes,
    async json(call, schema) {
      return schema.parse(JSON.parse((await bytes(call)).toString("utf8")));
    },
    close: () => agent.destroy(),
  };
}

function messageOf(body: string): string {
  try {
    return z.object({ message: z.string() }).parse(JSON.parse(body)).message.trim();
  } catch {
    return body.trim().slice(0, 500);
  }
}

interface Reach {
  request: typeof plainRequest;
  options: RequestOptions;
  agent: Agent;
}

function reach({ host, sshOptions, certificates }: Endpoint): Reach {
  const url = new URL(host);
  if (url.protocol === "unix:") {
    return { request: plainRequest, options: { socketPath: url.pathname, host: "docker" }, agent: new Agent() };
  }
  if (url.protocol === "ssh:") {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = () => sshConnection(url, sshOptions);
    return { request: plainRequest, options: { host: "docker" }, agent };
  }
  if (!certificates) throw new Error("docker.certificates is missing: a daemon is not talked to over TCP without TLS");
  const file = (name: string): Buffer => readFileSync(join(certificates.replace(/^~(?=\/)/, homedir()), name));
  const tls = { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") };
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const options = { host: hostname, port: url.port || 2376, ...tls };
  return { request: tlsRequest, options, agent: new TlsAgent() };
}
