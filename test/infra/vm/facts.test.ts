/** What a server tells of itself is read right, and what differs from what was put there is named. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { driftOf, parseFacts, repairsOf } from "../../../infra/components/vm/facts.ts";
import { unsupported } from "../../../infra/components/vm/machine.ts";
import { agentLine } from "../../../infra/components/vm/server.ts";
import { clockFindings } from "../../../infra/doctor/vm-clock.ts";
import { portFindings } from "../../../infra/doctor/vm-ports.ts";
import { diskFindings, memoryFindings } from "../../../infra/doctor/vm-room.ts";
import { proxySettings } from "../../../infra/settings-proxy.ts";
import { vmSettings } from "../../../infra/settings-vm.ts";

const told = `uid=0
os=debian 12
arch=amd64
init=systemd
cpus=2
memoryKb=4194304 3145728
diskKb=20971520 10485760
time=1700000000
connection=192.0.2.1 50000 192.0.2.2 2222
addresses=192.0.2.2 2001:db8::2
installation=ab12cd34
listen=22 sshd
listen=80 apache2
listen=443 nginx
packages=ok 1
file=ok 0 /etc/a file with spaces
file=changed 2 /etc/b
file=missing 0 /etc/c
secrets=ok 3
release=1699990000 0 one
release=missing 1 two
activated=two
current=one
unit=active enabled nginx.service
unit=inactive enabled fail2ban.service
unitRepairs=4
`;

test("facts", () => {
  const facts = parseFacts(told);
  assert.deepEqual(facts.os, { id: "debian", version: "12" });
  assert.deepEqual(facts.sshPorts, [22, 2222]);
  assert.deepEqual([facts.memoryTotalMb, facts.memoryAvailableMb, facts.diskOptMb], [4096, 3072, 10240]);
  assert.deepEqual(facts.files["/etc/a file with spaces"], { state: "ok", repairs: 0 });
  assert.deepEqual(facts.releases, { one: { at: 1_699_990_000, repairs: 0 }, two: { at: "missing", repairs: 1 } });
  assert.deepEqual(facts.units["fail2ban.service"], { active: "inactive", enabled: "enabled" });
  assert.equal(unsupported(facts), undefined);
  assert.match(unsupported(parseFacts(told.replace("debian 12", "fedora 42"))) ?? "", /fedora 42; Debian 12 and 13/);
  assert.match(unsupported(parseFacts(told.replace("amd64", "riscv64"))) ?? "", /riscv64/);
  assert.match(unsupported(parseFacts(told.replace("init=systemd", "init=init"))) ?? "", /not systemd/);
});

test("drift is what differs, and counts once more until it is put back", () => {
  const facts = parseFacts(told);
  assert.deepEqual(
    driftOf(facts).map(({ what }) => what),
    ["/etc/b", "/etc/c", "the release two", "the unit fail2ban.service"],
  );
  assert.deepEqual(
    [repairsOf(facts.files["/etc/b"]), repairsOf(facts.files["/etc/a file with spaces"]), repairsOf(undefined)],
    ["3", "0", "0"],
  );
});

test("doctor's findings", () => {
  const facts = parseFacts(told);
  const subject = { facts, problem: undefined, gatewayPort: 18789, vm: vmSettings.parse({}), proxy: proxySettings.parse({}) };
  assert.match(
    portFindings(subject)
      .map(({ message }) => message)
      .join(),
    /^port 80 of the server is taken by apache2/,
  );
  const fresh = parseFacts(`${told.replace("installation=ab12cd34\n", "")}listen=18789 node\n`);
  assert.match(portFindings({ ...subject, facts: fresh })[1]?.message ?? "", /port 18789 .* by node/);
  assert.deepEqual(memoryFindings(facts), []);
  const small = parseFacts(told.replace("installation=ab12cd34\n", "").replace("3145728", "2000000"));
  assert.match(memoryFindings(small)[0]?.message ?? "", /1953 MB of free memory, and 2048 MB are needed/);
  assert.deepEqual(diskFindings(facts), []);
  assert.equal(diskFindings(parseFacts(told.replace("20971520 10485760", "20971520 900000")))[0]?.level, "error");
  assert.deepEqual(clockFindings(1000, 1010), []);
  assert.equal(clockFindings(1000, 1100)[0]?.level, "warning");
  assert.match(clockFindings(5000, 1000)[0]?.message ?? "", /4000 s ahead of/);
});

test("a command's arguments reach the agent as they are", () => {
  const line = agentLine({ sudo: "sudo -n ", installation: "ab12" }, ["put", "/etc/it's", "$HOME/x.gz", "$(reboot)"]);
  assert.equal(line, `sudo -n sh /var/lib/openclaw-host/agent ab12 put '/etc/it'\\''s' "$HOME/x.gz" '$(reboot)'`);
});
