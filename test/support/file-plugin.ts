/** Puts a small provider, written in TypeScript with Pulumi's SDK, under a plug-in folder: its resources are real files. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const source = `
import * as fs from "node:fs";
import * as grpc from "@grpc/grpc-js";
import * as provider from "@pulumi/pulumi/provider";

const { LogRequest, LogSeverity } = require("@pulumi/pulumi/proto/engine_pb.js");
const { EngineClient } = require("@pulumi/pulumi/proto/engine_grpc_pb.js");
const engine = new EngineClient(process.argv[2], grpc.credentials.createInsecure());

function log(urn: string, message: string): Promise<void> {
  const request = new LogRequest();
  request.setUrn(urn);
  request.setMessage(message);
  request.setSeverity(LogSeverity.INFO);
  return new Promise((resolve, reject) => engine.log(request, (error: Error | null) => (error ? reject(error) : resolve())));
}

class Files implements provider.Provider {
  readonly version = "1.2.3";
  async check(urn: string, olds: any, news: any): Promise<provider.CheckResult> {
    const failures = typeof news.path === "string" ? [] : [{ property: "path", reason: "must be a string" }];
    return { inputs: news, failures };
  }
  async diff(id: string, urn: string, olds: any, news: any): Promise<provider.DiffResult> {
    const replaces = olds.path === news.path ? [] : ["path"];
    return { changes: replaces.length > 0 || olds.content !== news.content, replaces };
  }
  async create(urn: string, inputs: any): Promise<provider.CreateResult> {
    await log(urn, "writing " + inputs.path);
    if (inputs.content === "crash") {
      console.error("out of paper");
      process.exit(9);
    }
    // Nobody can interrupt it: the engine's Cancel is answered, but heeded by no one.
    if (inputs.content === "wait") {
      fs.writeFileSync(inputs.path + ".waits", "");
      while (!fs.existsSync(inputs.path + ".go")) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (inputs.content === "fail") throw new Error("the disk is full");
    fs.writeFileSync(inputs.path, inputs.content);
    return { id: inputs.path, outs: { ...inputs, size: inputs.content.length, pid: process.pid, project: process.env.PULUMI_PROJECT ?? "" } };
  }
  async update(id: string, urn: string, olds: any, news: any): Promise<provider.UpdateResult> {
    fs.writeFileSync(news.path, news.content);
    return { outs: { ...news, size: news.content.length, pid: process.pid } };
  }
  async delete(id: string): Promise<void> {
    fs.rmSync(id);
  }
  async invoke(token: string, args: any): Promise<provider.InvokeResult> {
    return { outputs: { text: fs.readFileSync(args.path, "utf8") } };
  }
}

provider.main(new Files(), process.argv.slice(2));
`;

/** Returns the plug-in's folder. `home` is what PULUMI_HOME is to be. */
export function placeFilePlugin(home: string): string {
  const directory = join(home, "plugins", "resource-files-v1.2.3");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "PulumiPlugin.yaml"), "runtime: nodejs\n");
  writeFileSync(join(directory, "package.json"), JSON.stringify({ name: "files", version: "1.2.3", main: "index.ts" }));
  writeFileSync(join(directory, "index.ts"), source);
  symlinkSync(join(import.meta.dirname, "../../node_modules"), join(directory, "node_modules"));
  return directory;
}
