/** A certificate authority of the test's own, and certificates from it, made by openssl in a folder that the caller removes. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  readonly certPath: string;
  readonly keyPath: string;
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  readonly ca: string;
  readonly caPath: string;
  /** `names` are DNS names and addresses. */
  issue(id: string, names: readonly string[]): Certificate;
}

export function makeAuthority(folder: string): Authority {
  const openssl = (...args: string[]): void => {
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const caPath = join(folder, "ca.pem");
  openssl("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority");
  return {
    ca: readFileSync(caPath, "utf8"),
    caPath,
    issue(id, names) {
      const certPath = join(folder, `${id}.pem`);
      const keyPath = join(folder, `${id}.key`);
      const alternatives = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(",");
      writeFileSync(join(folder, `${id}.ext`), `subjectAltName=${alternatives}\n`);
      openssl("req", ...newKey, "-keyout", keyPath, "-out", `${id}.csr`, "-subj", `/CN=${id}`);
      const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", `${id}.ext`];
      openssl("x509", "-req", "-in", `${id}.csr`, ...signing, "-out", certPath);
      return { certPath, keyPath, cert: readFileSync(certPath, "utf8"), key: readFileSync(keyPath, "utf8") };
    },
  };
}
