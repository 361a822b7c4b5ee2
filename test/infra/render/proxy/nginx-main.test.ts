/** The main file of a server's nginx, as it is rendered; nginx itself reads it in the test of the target vm. */
import { join } from "node:path";
import { test } from "node:test";
import { renderNginxMain } from "../../../../infra/render/proxy/nginx-main.ts";
import { assertGolden } from "../../../support/golden-file.ts";

test("nginx.conf of Debian and Ubuntu, with room for streams", () => {
  const [text = ""] = Object.values(renderNginxMain());
  assertGolden(join(import.meta.dirname, "golden/main-of-debian.conf"), text);
});
