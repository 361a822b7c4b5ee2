/** How a server's memory is shared out: pure arithmetic. */
import { type Machine, mebibyte } from "./machine.ts";

export interface GatewayLimits {
  /** Beyond this the kernel kills. */
  memoryBytes: number;
  /** Beyond this the kernel slows down and takes back. */
  memoryHighBytes: number;
  /** Of one process. */
  heapMegabytes: number;
}

const leastBytes = 384 * mebibyte;
const mostBytesOfWorker = 4096 * mebibyte;

/**
 * Half of the server, or a quarter beside a model server, up to 4 GiB a worker. While one gateway replaces another there
 * are two of them, so it is never more than half. The heap has three quarters of it: the rest is code, stacks and buffers.
 */
export function gatewayLimits({ memoryBytes: all, gateway, vllm, ollama }: Machine): GatewayLimits {
  const share = vllm || ollama ? all / 4 : all / 2;
  const usual = Math.max(leastBytes, Math.min(share, mostBytesOfWorker * gateway.workers));
  const memoryBytes = wholeMebibytes(gateway.memoryLimitBytes ?? usual);
  // Of several workers each may need more for a while than its part.
  const ofProcess = gateway.workers === 1 ? memoryBytes : (memoryBytes / gateway.workers) * 1.25;
  return {
    memoryBytes,
    memoryHighBytes: wholeMebibytes(memoryBytes * 0.9),
    heapMegabytes: Math.max(192, Math.floor((Math.min(ofProcess, memoryBytes) * 0.75) / mebibyte)),
  };
}

const wholeMebibytes = (bytes: number): number => Math.floor(bytes / mebibyte) * mebibyte;
