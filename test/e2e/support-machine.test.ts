/** The servers that other tests deploy to: they boot, are reached, install, restart, tell what changed, and leave nothing behind. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { makeNetwork, type Network } from "../support/network.ts";
import { runCommand } from "../support/outcome.ts";

const refusal = whyNoMachine();
if (refusal) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${refusal}`);

describe("a machine for tests", { skip: refusal ?? false }, () => {
  let network: Network;
  let root: Machine;
  let sudo: Machine;

  before(async () => {
    network = makeNetwork();
    [root, sudo] = await Promise.all([
      startMachine("first", { network }),
      startMachine("second", {
        network,
        login: "sudo with password",
        sshPort: 2222,
        prepare: (files) => writeFileSync(join(files, "etc/prepared"), "yes\n"),
      }),
    ]);
  });
  after(async () => {
    await Promise.all([root?.stop(), sudo?.stop()]);
    network?.remove();
  });

  test("it has booted in full, with no unit failed", async () => {
    assert.equal((await root.good("systemctl is-system-running")).trim(), "running");
    assert.equal((await root.good("hostname")).trim(), "first");
    assert.notEqual(await root.good("cat /etc/machine-id"), await sudo.good("cat /etc/machine-id"));
  });

  test("root logs in by key, and only with the right host key", async () => {
    assert.equal((await root.ssh("id -u")).text, "0\n");
    const known = readFileSync(root.knownHostsFile, "utf8");
    writeFileSync(root.knownHostsFile, known.replaceAll(root.hostKey, sudo.hostKey));
    const { code, text } = await root.ssh("id -u");
    writeFileSync(root.knownHostsFile, known);
    assert.equal(code, 255);
    assert.match(text, /Host key verification failed/);
  });

  test("another user logs in at another port, and has root's rights with the password alone", async () => {
    assert.equal((await sudo.ssh("id -un; cat /etc/prepared")).text, "admin\nyes\n");
    assert.notEqual((await sudo.ssh("sudo -n id -u")).code, 0);
    assert.equal((await sudo.ssh(`echo '${sudo.password}' | sudo -S -p '' id -u`)).text, "0\n");
  });

  test("machines see each other and this one over both kinds of addresses; the internet is not there", async () => {
    for (const to of [sudo.address4, sudo.address6, network.address4, network.address6]) {
      const { code, text } = await root.run([
        "bash",
        "-c",
        `exec 3<>/dev/tcp/${to}/${to.includes(network.address4) ? 1 : 2222}`,
      ]);
      if (to === network.address4 || to === network.address6) assert.match(text, /refused/);
      else assert.equal(code, 0, text);
    }
    assert.match((await root.run("curl -sS --max-time 5 http://deb.debian.org/")).text, /Could not resolve/);
    const host = network.addHost();
    const { text } = await runCommand([
      ...host.prefix,
      "bash",
      "-c",
      `read -t 5 line <>/dev/tcp/${root.address6}/22; echo $line`,
    ]);
    assert.match(text, /^SSH-2\.0/);
  });

  test("what changed is told by contents, kinds, modes and owners", async () => {
    await root.markPristine();
    assert.deepEqual(await root.changedFiles(), []);
    await root.good(`
      echo new > /etc/added; echo more >> /etc/issue; rm /etc/issue.net
      chmod 600 /etc/debian_version; chown daemon /etc/profile
      # Nothing comes of these: the same again, a time, something that is undone, what any Debian writes.
      cp /etc/bash.bashrc /tmp/same; cat /tmp/same > /etc/bash.bashrc; touch /etc/passwd
      chmod 600 /etc/group; chmod 644 /etc/group; echo x > /var/log/journal-x; rm /var/log/journal-x; echo x >> /var/log/wtmp
      # A folder that is made anew without what was in it.
      rm -r /etc/skel; mkdir /etc/skel; echo mine > /etc/skel/.profile`);
    assert.deepEqual(await root.changedFiles(), [
      { path: "/etc/added", change: "added", what: [] },
      { path: "/etc/debian_version", change: "changed", what: ["mode"] },
      { path: "/etc/issue", change: "changed", what: ["content"] },
      { path: "/etc/issue.net", change: "removed", what: [] },
      { path: "/etc/profile", change: "changed", what: ["owner"] },
      { path: "/etc/skel/.bash_logout", change: "removed", what: [] },
      { path: "/etc/skel/.bashrc", change: "removed", what: [] },
      { path: "/etc/skel/.profile", change: "changed", what: ["content"] },
    ]);
    await root.markPristine();
    assert.deepEqual(await root.changedFiles(), []);
    // With all, the logs of logins and the journal are there too.
    await root.good("echo y >> /var/log/wtmp");
    assert.deepEqual(
      (await root.changedFiles({ all: true })).filter(({ path }) => path.endsWith("wtmp")).map(({ change }) => change),
      ["changed"],
    );
  });

  test("Debian's packages are installed from its own repository, services start, and a restart keeps them", {
    timeout: 180_000,
  }, async () => {
    await root.good("apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install nginx nftables");
    const page = (): Promise<number> => fetch(`http://[${root.address6}]/`).then((response) => response.status);
    assert.equal(await page(), 200);
    await root.good("nft add table inet test && nft list tables | grep test && sysctl -w net.core.somaxconn=65535");
    const boot = await root.good("cat /proc/sys/kernel/random/boot_id");
    await root.reboot();
    assert.notEqual(await root.good("cat /proc/sys/kernel/random/boot_id"), boot);
    assert.equal(await page(), 200);
    assert.equal((await root.ssh("id -u")).text, "0\n");
    await root.powerOff();
    await assert.rejects(page());
    await assert.rejects(root.run("true"), /first is off/);
    await root.boot();
    assert.equal(await page(), 200);
    assert.ok((await root.changedFiles()).some(({ path }) => path === "/etc/nginx/nginx.conf"));
  });

  test("a hardened service starts, with credentials and a filter of system calls", async () => {
    const properties = [
      ...["DynamicUser=yes", "ProtectSystem=strict", "PrivateTmp=yes", "PrivateDevices=yes", "NoNewPrivileges=yes"],
      ...["MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service", "SetCredential=token:secret"],
    ].map((property) => `--property=${property}`);
    const { code, text } = await root.run([
      ...["systemd-run", "--quiet", "--pipe", "--wait", "--collect", ...properties],
      ...["sh", "-c", "cat $CREDENTIALS_DIRECTORY/token; touch /etc/x"],
    ]);
    assert.match(text, /^secrettouch: cannot touch '\/etc\/x': Read-only file system/);
    assert.notEqual(code, 0);
  });

  test("nothing is left of one that is stopped", async () => {
    const leader = sudo.leader();
    await sudo.stop();
    assert.ok(!existsSync(`/proc/${leader}`));
    assert.ok(!existsSync(dirname(sudo.knownHostsFile)));
    assert.ok(!readFileSync("/proc/self/mounts", "utf8").includes(dirname(sudo.knownHostsFile)));
    await root.stop();
    network.remove();
    assert.ok(!execFileSync("ip", ["link"], { encoding: "utf8" }).includes(network.bridge));
  });
});
