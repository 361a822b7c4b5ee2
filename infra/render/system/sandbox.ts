/** What a service of ours may see and do: as little as systemd can arrange. Kept at 1.5 or less by `systemd-analyze security`. */
import type { Machine } from "./machine.ts";

export interface SandboxOptions {
  /** Programs that make code while they run, as Node does, need memory that is written and executed. */
  makesCode: boolean;
  /** Devices that it needs, `char-nvidia` say; none: it sees only /dev/null and the like. */
  devices?: string[];
  /** Names of folders in /var/lib and /run: made for it, and written by it. */
  stateDirectory?: string;
  runtimeDirectory?: string;
  /** `any`: the whole network; loopback: this machine alone. */
  network: "any" | "loopback";
  /** Programs that compile for a device: they pin threads, lock memory, run compilers, and look at the whole machine. */
  compilesForDevices?: boolean;
}

export function hardening({ paths }: Machine): string[] {
  return sandbox({
    makesCode: true,
    stateDirectory: paths.state.replace(/^\/var\/lib\//, ""),
    runtimeDirectory: "openclaw",
    network: "any",
  });
}

export function sandbox(options: SandboxOptions): string[] {
  const { makesCode, devices = [], stateDirectory, runtimeDirectory, network, compilesForDevices = false } = options;
  return [
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "UMask=0077",
    "# The file system is read-only, but for these folders.",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    ...(stateDirectory ? [`StateDirectory=${stateDirectory}`, "StateDirectoryMode=0700"] : []),
    ...(runtimeDirectory
      ? [`RuntimeDirectory=${runtimeDirectory}`, "RuntimeDirectoryMode=0700", "RuntimeDirectoryPreserve=yes"]
      : []),
    "PrivateTmp=yes",
    "PrivateMounts=yes",
    ...(compilesForDevices
      ? []
      : ["# Nothing that it could write is ever executed.", "NoExecPaths=/", "ExecPaths=/usr /opt -/lib -/lib64 -/bin"]),
    ...(devices.length > 0
      ? ["DevicePolicy=closed", ...devices.map((device) => `DeviceAllow=${device} rw`)]
      : ["PrivateDevices=yes", "DevicePolicy=closed"]),
    ...(devices.length > 0 ? [] : ["PrivateUsers=yes"]),
    "PrivateIPC=yes",
    "ProtectProc=invisible",
    ...(compilesForDevices ? [] : ["ProcSubset=pid"]),
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "KeyringMode=private",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    ...(makesCode
      ? ["# Its engine compiles what it runs: MemoryDenyWriteExecute would end it."]
      : ["MemoryDenyWriteExecute=yes"]),
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    `SystemCallFilter=~@privileged${compilesForDevices ? "" : " @resources"}`,
    "SystemCallErrorNumber=EPERM",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    ...(network === "loopback"
      ? ["IPAddressDeny=any", "IPAddressAllow=localhost"]
      : [
          "# Providers may be anywhere, and some clouds have their name server at a link-local address: nothing is denied by address.",
        ]),
  ];
}
