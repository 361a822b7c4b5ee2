/** Addresses that are not connected to: metadata and link-local ones in every spelling, by name, and when a name changes its mind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GatewayError } from "../../gateway/errors.ts";
import { checkHost, guardedLookup, type Reach, type Resolve, refusal } from "../../gateway/models/destination.ts";

const metadata = [
  "169.254.169.254",
  "169.254.170.2",
  "100.100.100.200",
  "192.0.0.192",
  "fe80::1",
  "fe80::1%eth0",
  "fd00:ec2::254",
  "::ffff:169.254.169.254",
  "::ffff:a9fe:a9fe",
  "0:0:0:0:0:ffff:a9fe:a9fe",
  "64:ff9b::a9fe:a9fe",
  "64:ff9b:1::1",
  "2002:a9fe:a9fe::1",
  "::a9fe:a9fe",
];
const onSite = [
  "127.0.0.1",
  "10.1.2.3",
  "172.31.0.1",
  "192.168.1.1",
  "100.64.0.1",
  "0.0.0.0",
  "::1",
  "::",
  "fd12::1",
  "::ffff:10.0.0.1",
];
const global = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"];

test("addresses by reach", () => {
  const refused = (reach: Reach, addresses: readonly string[]) => addresses.filter((one) => refusal(one, reach) !== undefined);
  assert.deepEqual(refused("any", [...metadata, ...onSite, ...global]), []);
  assert.deepEqual(refused("private", metadata), metadata);
  assert.deepEqual(refused("private", [...onSite, ...global]), []);
  assert.deepEqual(refused("public", [...metadata, ...onSite]), [...metadata, ...onSite]);
  assert.deepEqual(refused("public", global), []);
});

test("an address in brackets is judged like one without", () => {
  assert.throws(() => checkHost("[::ffff:a9fe:a9fe]", "private"), GatewayError);
  checkHost("[::1]", "private");
  checkHost("metadata.example", "private");
});

test("a name leads only to the addresses that may be connected to", async () => {
  const mixed: Resolve = (_name, _options, callback) =>
    callback(null, [
      { address: "169.254.169.254", family: 4 },
      { address: "127.0.0.1", family: 4 },
    ]);
  assert.deepEqual(await look(mixed, true), [{ address: "127.0.0.1", family: 4 }]);
  assert.equal(await look(mixed, false), "127.0.0.1");
});

test("a name that changes its address between two looks is judged at each of them", async () => {
  let looks = 0;
  const rebinding: Resolve = (_name, _options, callback) => {
    looks += 1;
    callback(null, [{ address: looks === 1 ? "127.0.0.1" : "169.254.169.254", family: 4 }]);
  };
  assert.equal(await look(rebinding, false), "127.0.0.1");
  await assert.rejects(look(rebinding, false), { code: "destination_refused" });
});

function look(resolve: Resolve, all: boolean): Promise<unknown> {
  return new Promise((done, failed) => {
    guardedLookup("private", resolve)("models.example", { all }, (error, found) => (error ? failed(error) : done(found)));
  });
}
