/** What `doctor` says of a server, each thing made wrong on a real one; and `up`, which ends with the same words before anything changes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertFindings } from "../support/doctor-findings.ts";
import { type LocalClone, makeClone } from "../support/local-clone.ts";
import { type Machine, startMachine, whyNoMachine } from "../support/machine.ts";
import { makeKey } from "../support/sshd.ts";
import { type Sections, stateOf, writeSections } from "../support/stack-file.ts";

const stack = "server";
const why = whyNoMachine();
if (why !== undefined) assert.notEqual(process.env.CI, "true", `this test must run in CI: ${why}`);

let machine: Machine;
let clone: LocalClone;

function write(vm: Sections = {}, more: Sections = {}): void {
  const { address4: host, hostKey, user } = machine;
  writeSections(join(clone.directory, `stacks/Pulumi.${stack}.yaml`), {
    target: "vm",
    vm: { host, hostKey, user, identity: { file: machine.key.file }, connectTimeoutSeconds: 60, ...vm },
    demo: { enabled: true },
    proxy: { names: [host] },
    ...more,
  });
}

async function doctor(): Promise<{ code: number; text: string }> {
  return clone.operate(["doctor", "-s", stack]);
}

/** The lines of the checks that found something, each with the pattern of its message; no other one is an error. */
async function finds(expected: { [check: string]: RegExp }): Promise<string> {
  return assertFindings(await doctor(), expected);
}

/** `up` says it and ends; on the server and in the stack's state nothing differs from before. */
async function refusesUp(pattern: RegExp): Promise<void> {
  await machine.markPristine();
  const state = stateOf(clone.home);
  const { code, text } = await clone.operate(["up", "--yes", "-s", stack]);
  assert.notEqual(code, 0, text);
  assert.match(text, pattern);
  assert.deepEqual(await machine.changedFiles(), []);
  assert.ok(Object.keys(state).length > 0);
  assert.deepEqual(stateOf(clone.home), state);
}

/** Covers a file of the server with another one until `uncover`, as a mount can. */
async function cover(path: string, content: string): Promise<void> {
  const other = `/run/covers/${path.replaceAll("/", "_")}`;
  const { code, text } = await machine.run(
    `mkdir -p /run/covers; cat >${other}; chmod 755 ${other}; mount --bind ${other} ${path}`,
    {
      input: content,
    },
  );
  assert.equal(code, 0, text);
}

const uncover = (...paths: string[]): Promise<string> => machine.good(paths.map((path) => `umount ${path}`).join(" && "));

before(async () => {
  if (why !== undefined) return;
  clone = makeClone("doctor-vm");
  machine = await startMachine("doctor", { login: "sudo" });
  // sudo notes its first use in the user's home.
  await machine.ssh("sudo -n true");
});
after(async () => {
  await machine?.stop();
  await clone?.remove();
});

test("a server that is looked at", { skip: why, timeout: 900_000 }, async (context) => {
  const began = await clone.operate(["stack", "init", stack]);
  assert.equal(began.code, 0, began.text);

  await context.test("all is well", async () => {
    write();
    const { code, text } = await doctor();
    assert.equal(code, 0, text);
    for (const check of [
      "settings",
      "SSH",
      "host key",
      "sudo",
      "system and architecture",
      "disk",
      "memory",
      "ports",
      "DNS names",
      "clock",
    ]) {
      assert.match(text, new RegExp(`^(ok|warning) +${check}`, "m"));
    }
  });

  await context.test("another host key", async () => {
    write({ hostKey: makeKey(clone.base, "other").publicKey.split(" ").slice(0, 2).join(" ") });
    const pattern = /shows another key than the stack file's \(ssh-ed25519\).*change the hostKey/;
    const text = await finds({ "host key": pattern });
    assert.match(text, /^- +sudo: not looked at$/m);
    assert.match(text, /^- +disk: not looked at$/m);
    await refusesUp(pattern);
  });

  await context.test("nobody answers, and nobody is let in", async () => {
    write({ port: 2 });
    const text = await finds({ SSH: /:2 cannot be reached \(ECONNREFUSED\); see whether .*vm\.host and vm\.port are right/ });
    assert.match(text, /^- +host key: not looked at$/m);
    write({ identity: { file: makeKey(clone.base, "stranger").file } });
    const login = await finds({ SSH: /does not let admin in: put the key of vm\.identity into/ });
    assert.match(login, /^ok +host key$/m);
  });

  await context.test("sudo that asks for a password", async () => {
    write();
    await cover("/etc/sudoers.d/admin", "admin ALL=(ALL) ALL\n");
    await machine.good("chmod 440 /etc/sudoers.d/admin");
    const pattern = /admin@\S+ may not use sudo without a password; as root on the server: echo/;
    await finds({ sudo: pattern });
    await refusesUp(pattern);
    await uncover("/etc/sudoers.d/admin");
  });

  await context.test("too old, too small, too full, taken, unknown and late: all is said at once", async () => {
    write({}, { proxy: { names: ["nowhere.invalid"], tls: { mode: "acme", acme: { email: "ops@example.test" } } } });
    await cover("/usr/lib/os-release", 'ID=debian\nVERSION_ID="11"\n');
    await cover("/proc/meminfo", "MemTotal:        2004000 kB\nMemFree:          400000 kB\nMemAvailable:    1500000 kB\n");
    await cover("/usr/bin/date", "#!/bin/sh\necho 1000000000\n");
    await machine.good(
      [
        "mkdir -p /opt && mount -t tmpfs -o size=200m tmpfs /opt",
        "systemd-run --quiet --unit=taken systemd-socket-activate --listen=80 --listen=18789 /bin/true",
      ].join(" && "),
    );
    await machine.good(
      "for i in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn 'sport = :80' | grep -q . && exit 0; sleep 0.5; done; exit 1",
    );
    await finds({
      "system and architecture": /the server runs debian 11; Debian 12 and 13, Ubuntu 22\.04 and 24\.04 are supported/,
      memory:
        /the server has 1464 MB of free memory, and 2048 MB are needed; stop other programs there, or take a larger server/,
      disk: /only \d+ MB are free in the server's \/opt, and 1024 MB are needed; remove something there, or make the disk larger/,
      ports: /port 80 of the server is taken by systemd-socket-; stop it on the server .*proxy\.ports/,
      "DNS names": /the name nowhere\.invalid leads nowhere; no certificate can be had for it; make a record for it/,
      clock: /the server's clock is \d+ s behind this machine's; set one of them right/,
    });
    await uncover("/usr/lib/os-release", "/proc/meminfo", "/usr/bin/date");
    await refusesUp(/port 18789 of the server is taken by .*gateway\.port/);
    await refusesUp(/only \d+ MB are free in the server's \/opt/);
    await uncover("/opt");
    await refusesUp(/^error: port 80 of the server is taken/m);
    await machine.good("systemctl stop taken");
    await refusesUp(/^error: the name nowhere\.invalid leads nowhere/m);
    await cover("/usr/bin/dpkg", "#!/bin/sh\necho riscv64\n");
    write();
    await finds({ "system and architecture": /the server's architecture is riscv64; amd64 and arm64 are supported/ });
    await uncover("/usr/bin/dpkg");
  });

  await context.test("a stack file that is not right", async () => {
    write({ fierwall: "ufw" }, { gateway: { port: 99_999 } });
    const text = await finds({ settings: /(vm\.fierwall|gateway\.port): .+/ });
    assert.match(text, /vm\.fierwall: .*firewall/);
    assert.match(text, /^- +SSH: not looked at$/m);
    await refusesUp(/openclaw-stack:gateway\.port: /);
  });
});
