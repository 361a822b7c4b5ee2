/** An image registry of a test's own that wants a login: it holds one small image, and counts who may pull. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

export interface PrivateRegistry {
  /** Host and port, as in the names of its images. */
  readonly address: string;
  /** Requests with the right login, and without it. */
  readonly asked: { allowed: number; refused: number };
  close(): Promise<void>;
}

export interface RegistryOptions {
  /** Where it listens: of a network from which the daemon reaches it. */
  address: string;
  username: string;
  password: string;
  /** Of its one image, whatever its name: an uncompressed tar of all its files. */
  layer: Buffer;
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json";

/** By Docker's Registry HTTP API v2, of which pulling needs a few words. */
export async function startPrivateRegistry({ address, username, password, layer }: RegistryOptions): Promise<PrivateRegistry> {
  const digest = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const rootfs = { type: "layers", diff_ids: [digest(layer)] };
  const config = Buffer.from(JSON.stringify({ architecture, os: "linux", config: {}, rootfs, history: [{}] }));
  const part = (mediaType: string, bytes: Buffer) => ({ mediaType, size: bytes.length, digest: digest(bytes) });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: part("application/vnd.docker.container.image.v1+json", config),
      layers: [part("application/vnd.docker.image.rootfs.diff.tar", layer)],
    }),
  );
  const blobs = new Map([config, layer].map((bytes) => [digest(bytes), bytes]));
  const login = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  const asked = { allowed: 0, refused: 0 };

  const server = createServer((request, response) => {
    request.resume();
    const path = request.url ?? "";
    if (request.headers.authorization !== login) {
      asked.refused++;
      response.writeHead(401, { "www-authenticate": 'Basic realm="images"' }).end();
      return;
    }
    asked.allowed++;
    const isManifest = path.includes("/manifests/");
    const body = isManifest ? manifest : blobs.get(path.slice(path.lastIndexOf("/") + 1));
    if (path !== "/v2/" && !body) return void response.writeHead(404).end();
    const type = isManifest ? manifestType : "application/octet-stream";
    const content = body ?? Buffer.from("{}");
    response.writeHead(200, {
      "content-type": type,
      "content-length": content.length,
      "docker-content-digest": digest(content),
    });
    response.end(request.method === "HEAD" ? undefined : content);
  });
  server.listen(0, address);
  await once(server, "listening");
  const bound = server.address();
  const port = typeof bound === "object" && bound ? bound.port : 0;
  return {
    address: `${address}:${port}`,
    asked,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
