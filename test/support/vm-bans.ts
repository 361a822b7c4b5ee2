/** Ten wrong tokens shut out the address that they came from, and nobody else: neither others nor the guesser's other address. */
import assert from "node:assert/strict";
import { eventually } from "./eventually.ts";
import type { VmServer } from "./vm-server.ts";

export async function bansTheGuesserOnly(server: VmServer, token: string): Promise<void> {
  const { network, machine } = server;
  const guesser = network.addHost();
  const other = network.addHost();
  for (const [address, theirs] of [
    [machine.address4, guesser.address4],
    [machine.address6, guesser.address6],
  ] as const) {
    const asks = (prefix: readonly string[], given: string): Promise<number> =>
      server.ask("/v1/models", { address, prefix, token: given }).then(({ status }) => status);
    for (let attempt = 1; attempt <= 10; attempt++) {
      assert.equal(await asks(guesser.prefix, `a-guess-number-${attempt}-of-nobody`), 401, `attempt ${attempt} is answered`);
    }
    await eventually(`${theirs} is shut out`, async () => (await asks(guesser.prefix, token)) === 0);
    assert.match(
      await machine.good("fail2ban-client status openclaw-gateway"),
      new RegExp(`Banned IP list:.*${theirs}( |\n|$)`),
    );
    assert.equal(await asks(other.prefix, token), 200, "another address is let in");
    assert.equal(await asks([], token), 200, "the load's address, too");
  }
}
