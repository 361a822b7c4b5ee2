/** The scan of ports sees from elsewhere what listens, on every port and over both kinds of addresses, and what a firewall swallows. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { installPrograms } from "../support/debian-packages.ts";
import { makeNetwork, type Network, type NetworkHost } from "../support/network.ts";
import { runCommand } from "../support/outcome.ts";
import { scanPorts } from "../support/port-scan.ts";

const refusal =
  process.getuid?.() === 0
    ? installPrograms({ ip: "iproute2", python3: "python3", iptables: "iptables", nsenter: "util-linux" })
    : "a network of its own needs root";
if (refusal) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);

describe("a scan of ports", { skip: refusal ?? false }, () => {
  let network: Network;
  let server: NetworkHost;
  let scanner: NetworkHost;
  before(() => {
    network = makeNetwork();
    server = network.addHost();
    scanner = network.addHost();
  });
  after(() => network?.remove());

  for (const family of ["address4", "address6"] as const) {
    test(`all of TCP and usual UDP over ${family}: what listens answers, everything else refuses`, {
      timeout: 120_000,
    }, async () => {
      const address = network[family];
      // The first, the last and some in between, on this machine's end of the wire.
      const servers = [1, 40_123, 65_535].map((port) => createServer().listen(port, address));
      await Promise.all(servers.map((one) => once(one, "listening")));
      const answering = createSocket(family === "address4" ? "udp4" : "udp6", (_, from) =>
        answering.send("yes", from.port, from.address),
      );
      const silent = createSocket(family === "address4" ? "udp4" : "udp6");
      answering.bind(4789, address);
      silent.bind(51_820, address);
      await Promise.all([once(answering, "listening"), once(silent, "listening")]);
      const began = performance.now();
      const found = await scanPorts(address, { prefix: scanner.prefix, udpPorts: [9, 123, 4789, 18_789, 51_820] });
      for (const one of servers) one.close();
      answering.close();
      silent.close();
      for (const port of [1, 40_123, 65_535]) assert.ok(found.tcp.includes(port), `${port} of ${found.tcp}`);
      assert.equal(found.tcpSilent, 0);
      assert.deepEqual(found.udp, [4789]);
      assert.deepEqual(found.udpSilent, [51_820]);
      assert.ok(performance.now() - began < 60_000);
    });

    test(`nothing listens on another host over ${family}`, { timeout: 120_000 }, async () => {
      const found = await scanPorts(server[family], { prefix: scanner.prefix });
      assert.deepEqual(found, { tcp: [], tcpSilent: 0, udp: [], udpSilent: [] });
    });
  }

  test("what a firewall swallows is told apart from what refuses", { timeout: 120_000 }, async () => {
    const rule = ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "2000:2009", "-j", "DROP"];
    assert.equal((await runCommand([...server.prefix, ...rule])).code, 0);
    assert.equal(
      (await runCommand([...server.prefix, "iptables", "-A", "INPUT", "-p", "udp", "--dport", "53", "-j", "DROP"])).code,
      0,
    );
    const tcpPorts = Array.from({ length: 100 }, (_, index) => 1950 + index);
    const found = await scanPorts(server.address4, { prefix: scanner.prefix, tcpPorts, udpPorts: [53, 123] });
    assert.deepEqual(found, { tcp: [], tcpSilent: 10, udp: [], udpSilent: [53] });
  });
});
