/** The remote command keeps the contract of providers, on a real sshd. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createGuardian } from "../../engine/guardian.ts";
import { createCommandProvider } from "../../engine/providers/command/provider.ts";
import { secret } from "../../engine/values.ts";
import { conformance, planted, plantedSecret } from "../support/provider-conformance.ts";
import { makeKey, startSshd, whyNoSshd } from "../support/sshd.ts";

const why = whyNoSshd();
if (why) test("the remote command keeps the contract", { skip: why });
else {
  const folder = mkdtempSync(join(tmpdir(), "remote-conformance-"));
  const guardian = createGuardian();
  const key = makeKey(folder, "key");
  const { port, user, hostKey, stop } = await startSshd({ authorizedKeys: [key.publicKey] });
  after(async () => {
    guardian.close();
    await stop();
    rmSync(folder, { recursive: true });
  });
  const connection = { host: "127.0.0.1", port, user, hostKey, privateKey: key.privateKey, password: planted };
  const made = join(folder, "made");
  conformance("command", () => createCommandProvider({ programDirectory: folder, guardian, log() {} }), [
    {
      type: "command:remote:Command",
      inputs: { connection, create: `echo made | tee ${made}`, delete: `rm ${made}`, stdin: plantedSecret },
      changed: { connection, create: `echo made | tee ${made}`, delete: `rm ${made}`, stdin: "other" },
      invalid: { create: 3, creat: planted, connection: { host: 3, password: planted, hostKey: planted } },
      failing: { connection, create: secret(`echo ${planted}; exit 3`), stdin: plantedSecret },
      importable: false,
      exists: () => existsSync(made),
    },
  ]);
}
