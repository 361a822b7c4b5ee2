/** A token for the gateway, made once and kept in the stack's state. */
import type * as pulumi from "@pulumi/pulumi";
import { RandomPassword } from "@pulumi/random";

/** 43 letters and digits are 256 bits; without other characters it pastes into any shell and URL. */
export function createGatewayToken(name: string): pulumi.Output<string> {
  return new RandomPassword(name, { length: 43, special: false }).result;
}
