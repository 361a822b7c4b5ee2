/** Units for a model server that is installed on the server: vLLM, Ollama. Both are reached on loopback alone. */
import { dirname } from "node:path";
import { type Machine, mebibyte, type OllamaFacts, type SystemFile, systemFile, type VllmFacts } from "./machine.ts";
import { sandbox } from "./sandbox.ts";

export const vllmService = "openclaw-vllm.service";
export const ollamaService = "openclaw-ollama.service";

const gpuDevices = ["char-nvidia", "char-nvidia-uvm", "char-nvidia-caps", "char-drm"];
/** Between its processes go whole tensors. */
const wantedSharedBytes = 16 * 1024 * mebibyte;

export function renderModelServers(machine: Machine): SystemFile[] {
  return [...(machine.vllm ? [vllmUnit(machine, machine.vllm)] : []), ...(machine.ollama ? [ollamaUnit(machine.ollama)] : [])];
}

function vllmUnit(machine: Machine, vllm: VllmFacts): SystemFile {
  const { paths } = machine;
  const address = `http://127.0.0.1:${vllm.port}`;
  const flags = [
    "--host=127.0.0.1",
    `--port=${vllm.port}`,
    `--tensor-parallel-size=${vllm.gpus}`,
    "--gpu-memory-utilization=0.90",
    "--max-num-seqs=128",
    // Less than TimeoutStopSec, so that it ends by itself.
    "--shutdown-timeout=60",
    "--disable-access-log-for-endpoints=/health,/metrics",
    ...vllm.arguments,
  ];
  const secret = (file: string | undefined): string[] => (file ? [`LoadCredential=${file}:${paths.etc}/secrets/${file}`] : []);
  const environment = {
    HF_HOME: "/var/lib/openclaw-vllm/huggingface",
    VLLM_WORKER_MULTIPROC_METHOD: "spawn",
    VLLM_NO_USAGE_STATS: "1",
    // A path: Hugging Face's library reads the token from the file itself.
    ...(vllm.hfTokenFile ? { HF_TOKEN_PATH: `/run/credentials/${vllmService}/${vllm.hfTokenFile}` } : {}),
  };
  const command = [vllm.binary, "serve", vllm.model, ...flags].map(word).join(" ");
  const shared = Math.min(wantedSharedBytes, Math.floor(machine.memoryBytes / 2 / mebibyte) * mebibyte);
  const lines = [
    "[Unit]",
    "Description=Model server of OpenClaw: vLLM",
    "After=network-online.target",
    "Wants=network-online.target",
    "StartLimitIntervalSec=3600",
    "StartLimitBurst=10",
    "",
    "[Service]",
    "Type=exec",
    vllm.apiKeyFile
      ? [
          "# It knows no file for its key. The variable is set in its own process, and is in no unit and no list of arguments.",
          `ExecStart=/bin/sh -c 'VLLM_API_KEY=$$(cat "$$CREDENTIALS_DIRECTORY/${vllm.apiKeyFile}"); export VLLM_API_KEY; exec "$$@"' sh ${command}`,
        ]
      : `ExecStart=${command}`,
    "# A large model is loaded for many minutes; until then the unit is activating, and nothing waits for it.",
    `ExecStartPost=/bin/sh -c 'until curl -fsS -o /dev/null ${address}/health 2>/dev/null; do sleep 2; done'`,
    "TimeoutStartSec=45min",
    "TimeoutStopSec=90",
    "KillMode=mixed",
    "Restart=always",
    "RestartSec=10",
    "User=openclaw-vllm",
    "Group=openclaw-vllm",
    ...assignments(environment),
    ...secret(vllm.apiKeyFile),
    ...secret(vllm.hfTokenFile),
    "SyslogIdentifier=openclaw-vllm",
    "LimitNOFILE=65536",
    "LimitMEMLOCK=infinity",
    "LimitCORE=0",
    "# Should memory run out, it is this one that goes.",
    "OOMScoreAdjust=500",
    `TemporaryFileSystem=/dev/shm:size=${shared},mode=1777`,
    "",
    ...sandbox({
      makesCode: true,
      stateDirectory: "openclaw-vllm",
      network: "any",
      devices: gpuDevices,
      compilesForDevices: true,
    }),
    ...homes(vllm.binary),
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
  return unitFile(vllmService, lines);
}

function ollamaUnit(ollama: OllamaFacts): SystemFile {
  const lines = [
    "[Unit]",
    "Description=Model server of OpenClaw: Ollama",
    "After=network-online.target",
    "Wants=network-online.target",
    "",
    "[Service]",
    "Type=exec",
    `ExecStart=${ollama.binary} serve`,
    "TimeoutStopSec=60",
    "Restart=always",
    "RestartSec=5",
    "User=openclaw-ollama",
    "Group=openclaw-ollama",
    ...assignments({
      OLLAMA_HOST: `127.0.0.1:${ollama.port}`,
      OLLAMA_MODELS: "/var/lib/openclaw-ollama/models",
      HOME: "/var/lib/openclaw-ollama",
    }),
    "SyslogIdentifier=openclaw-ollama",
    "LimitNOFILE=65536",
    "LimitCORE=0",
    "OOMScoreAdjust=500",
    "",
    ...sandbox({
      makesCode: true,
      stateDirectory: "openclaw-ollama",
      network: "any",
      devices: gpuDevices,
      compilesForDevices: true,
    }),
    ...homes(ollama.binary),
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
  return unitFile(ollamaService, lines);
}

/** A program that somebody installed in a home folder is seen; nothing else there is, and nothing can be written. */
function homes(binary: string): string[] {
  if (!/^\/(home|root)\//.test(binary)) return [];
  const folder = dirname(dirname(binary));
  return ["# It lies in a home folder.", "ProtectHome=tmpfs", `BindReadOnlyPaths=${folder}`];
}

function unitFile(name: string, lines: (string | string[])[]): SystemFile {
  return systemFile(`/etc/systemd/system/${name}`, lines, {
    // A model that loads for minutes must not hold up the rest.
    reload: ["systemctl daemon-reload", `systemctl enable ${name}`, `systemctl restart --no-block ${name}`],
    remove: [`systemctl disable --now ${name}`],
  });
}

const assignments = (values: { [name: string]: string }): string[] =>
  Object.entries(values).map(([name, value]) => `Environment=${word(`${name}=${value}`)}`);

/** One word of a command line in a unit: `%` and `$` are doubled, and quotes put where they are needed. */
function word(text: string): string {
  const plain = text.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replace(/[\\"]/g, "\\$&")}"`;
}
