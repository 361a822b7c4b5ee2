/** Calls a provider's method by its name on the wire, with the recorded shape of request and response; and how a call failed. */
import assert from "node:assert/strict";
import { z } from "zod";
import type {
  CheckRequest,
  ConfigureRequest,
  CreateRequest,
  DeleteRequest,
  DiffRequest,
  HandshakeRequest,
  InvokeRequest,
  Provider,
  ReadRequest,
  UpdateRequest,
} from "../../engine/providers/provider.ts";
import { ProviderError } from "../../engine/providers/provider.ts";
import type { PropertyMap } from "../../engine/values.ts";

/** The recordings hold exactly the contract's shapes, so that nothing but their being objects is checked. */
const shape = <T>() => z.custom<T>((value) => typeof value === "object" && value !== null);

type Call = (provider: Provider, request: PropertyMap, signal: AbortSignal) => Promise<unknown>;
const calls: { [method: string]: Call } = {
  Handshake(provider, request) {
    if (!provider.handshake) throw new ProviderError("unimplemented", "Handshake is not implemented");
    return provider.handshake(shape<HandshakeRequest>().parse(request));
  },
  GetPluginInfo: (provider) => provider.getPluginInfo(),
  CheckConfig: (provider, request) => provider.checkConfig(shape<CheckRequest>().parse(request)),
  DiffConfig: (provider, request) => provider.diffConfig(shape<DiffRequest>().parse(request)),
  Configure: (provider, request) => provider.configure(shape<ConfigureRequest>().parse(request)),
  Check: (provider, request) => provider.check(shape<CheckRequest>().parse(request)),
  Diff: (provider, request) => provider.diff(shape<DiffRequest>().parse(request)),
  Create: (provider, request, signal) => provider.create(shape<CreateRequest>().parse(request), signal),
  Read: (provider, request, signal) => provider.read(shape<ReadRequest>().parse(request), signal),
  Update: (provider, request, signal) => provider.update(shape<UpdateRequest>().parse(request), signal),
  Delete: (provider, request, signal) => provider.delete(shape<DeleteRequest>().parse(request), signal),
  Invoke: (provider, request) => provider.invoke(shape<InvokeRequest>().parse(request)),
  Cancel: (provider) => provider.cancel(),
};

export async function callProvider(
  provider: Provider,
  method: string,
  request: PropertyMap,
  signal: AbortSignal,
): Promise<PropertyMap> {
  const call = calls[method];
  if (!call) throw new Error(`the contract has no method ${method}`);
  const answer = await call(provider, request, signal);
  // As the wire would have it: without undefined values.
  return shape<PropertyMap>().parse(JSON.parse(JSON.stringify(answer ?? {})));
}

/** What a provider's failure says. */
export async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof ProviderError, String(error));
    return error.message;
  }
  return assert.fail("it did not fail");
}
