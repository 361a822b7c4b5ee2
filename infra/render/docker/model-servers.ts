/** Pure: containers of model servers on the host's own graphics processors. */
import { megabytes } from "../../settings-docker.ts";
import type { ContainerShape } from "./container.ts";
import { type ContainersInput, imageName, places } from "./containers.ts";

/** @see https://docs.vllm.ai/en/latest/cli/serve.html */
export function vllmShape({ docker, vllmKey }: ContainersInput): ContainerShape | undefined {
  const { vllm } = docker;
  if (!vllm) return undefined;
  const args = [
    "vllm",
    "serve",
    vllm.model,
    ...["--host", "0.0.0.0", "--port", "8000"],
    ...["--tensor-parallel-size", String(vllm.tensorParallelSize)],
    ...["--gpu-memory-utilization", String(vllm.gpuMemoryUtilization)],
    ...["--max-num-seqs", String(vllm.maxNumSeqs)],
    ...(vllm.maxModelLen ? ["--max-model-len", String(vllm.maxModelLen)] : []),
    ...(vllm.servedModelName ? ["--served-model-name", vllm.servedModelName] : []),
    ...["--shutdown-timeout", "50"],
    ...["--disable-access-log-for-endpoints", "/health,/metrics"],
    ...vllm.extraArgs,
  ];
  return {
    service: "vllm",
    image: imageName(vllm.image, docker.mirror),
    // vLLM takes its secrets from the environment only; read here, they are in the process's own and not in the container's.
    entrypoint: ["/bin/sh", "-c", secretScript(vllm.huggingFaceToken !== undefined, vllmKey), "vllm"],
    command: args,
    user: "0:0",
    environment: { HF_HOME: "/models", VLLM_LOGGING_LEVEL: "INFO", VLLM_WORKER_MULTIPROC_METHOD: "spawn" },
    // Models come from outside.
    networks: ["edge", "internal"],
    volumes: [
      { from: "vllm-models", path: "/models", readOnly: false },
      { from: "vllm-secrets", path: places.service, readOnly: true },
    ],
    limits: modelLimits(vllm.limits),
    health: {
      test: ["CMD-SHELL", "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=4)\""],
      intervalSeconds: 15,
      timeoutSeconds: 5,
      retries: 4,
      startPeriodSeconds: vllm.startPeriodSeconds,
    },
    // A model may take half an hour to load: nobody waits for it, requests go elsewhere until then.
    readySeconds: 0,
    stopSeconds: 60,
    // It compiles kernels into its caches.
    readOnlyRoot: false,
    shmMb: megabytes(vllm.shmSize),
    gpus: vllm.gpus,
    logs: docker.logs,
  };
}

export const vllmSecretFiles = { token: "hugging-face-token", key: "api-key" } as const;

/** One that cannot be read ends it: a server without its key would be open. */
function secretScript(token: boolean, key: boolean): string {
  const read = (name: string, file: string) => `${name}="$(cat ${places.service}/${file})" || exit 1; export ${name}`;
  return [
    ...(token ? [read("HF_TOKEN", vllmSecretFiles.token)] : []),
    ...(key ? [read("VLLM_API_KEY", vllmSecretFiles.key)] : []),
    'exec "$@"',
  ].join("\n");
}

export function ollamaShape({ docker }: ContainersInput): ContainerShape | undefined {
  const { ollama } = docker;
  if (!ollama) return undefined;
  return {
    service: "ollama",
    image: imageName(ollama.image, docker.mirror),
    entrypoint: ["/bin/sh", "-c", pullScript, "ollama"],
    command: ollama.models,
    user: "0:0",
    environment: { OLLAMA_HOST: "0.0.0.0:11434", OLLAMA_MODELS: "/models" },
    networks: ["edge", "internal"],
    volumes: [{ from: "ollama-models", path: "/models", readOnly: false }],
    tmpfs: { "/tmp": "rw,nosuid,nodev,size=1g,mode=1777" },
    limits: modelLimits(ollama.limits),
    health: { test: ["CMD", "ollama", "list"], intervalSeconds: 5, timeoutSeconds: 10, retries: 5, startPeriodSeconds: 120 },
    readySeconds: 0,
    stopSeconds: 30,
    readOnlyRoot: false,
    gpus: ollama.gpus,
    logs: docker.logs,
  };
}

/** What is missing is fetched while it serves; a model that cannot be had is said in the log, and the others are served. */
const pullScript = `ollama serve & server=$!
trap 'kill $server' TERM INT
until ollama list >/dev/null 2>&1; do sleep 1; kill -0 $server || exit 1; done
for model in "$@"; do ollama pull "$model" || echo "the model $model could not be fetched"; done
wait $server`;

function modelLimits({ memory, cpus }: { memory?: string; cpus?: number }): ContainerShape["limits"] {
  return { memoryMb: memory === undefined ? undefined : megabytes(memory), cpus };
}
