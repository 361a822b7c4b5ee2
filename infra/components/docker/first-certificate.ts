/**
 * Sees to it that nginx has a certificate to begin with, for a Command resource: `first-certificate.ts <task as JSON>`.
 * A self-signed one is made where there is none, or where the one that is there is self-signed for other names.
 */
import { createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import { selfSigned } from "./certificate.ts";
import { endpointSchema } from "./client.ts";
import { runTask } from "./command-program.ts";
import { runHelper } from "./helper.ts";

export const firstCertificateSchema = z.strictObject({
  endpoint: endpointSchema,
  place: z.string(),
  names: z.array(z.string()),
  owner: z.int(),
  /** One that an authority issued stays. */
  keepIssued: z.boolean(),
  image: z.string().optional(),
});
export type FirstCertificate = z.output<typeof firstCertificateSchema>;

/** The mark says for which names ours is, and which it is: a file that somebody else put in its place is not ours. */
const script = `
const fs = require("fs"), path = require("path"), crypto = require("crypto");
const { names, owner, keepIssued, incoming } = JSON.parse(process.env.TASK);
const at = (name) => path.join("/place", name), from = path.join("/place", incoming);
const read = (name) => { try { return fs.readFileSync(at(name), "utf8"); } catch { return ""; } };
const sum = crypto.createHash("sha256").update(read("fullchain.pem")).digest("hex");
const ours = read("self-signed") === names.join(",") + " " + sum;
const stays = read("fullchain.pem") !== "" && read("privkey.pem") !== "" && (ours || (keepIssued && read("issued") !== ""));
fs.chownSync("/place", owner, owner);
if (!stays) {
  fs.rmSync(at("issued"), { force: true });
  for (const name of ["self-signed", "privkey.pem", "fullchain.pem"]) {
    fs.chownSync(path.join(from, name), owner, owner);
    fs.chmodSync(path.join(from, name), name === "privkey.pem" ? 0o400 : 0o444);
    fs.renameSync(path.join(from, name), at(name));
  }
}
clear();
`;

await runTask(import.meta.main, firstCertificateSchema, async (docker, { place, names, owner, keepIssued, image }) => {
  const { certificate, key } = selfSigned(names);
  const mark = `${names.join(",")} ${createHash("sha256").update(certificate).digest("hex")}`;
  await runHelper(docker, {
    place,
    image,
    script,
    task: { names, owner, keepIssued },
    files: [
      { name: "fullchain.pem", content: certificate, mode: 0o600 },
      { name: "privkey.pem", content: key, mode: 0o600 },
      { name: "self-signed", content: mark, mode: 0o600 },
    ],
    incoming: `.incoming-${randomBytes(6).toString("hex")}`,
  });
});
