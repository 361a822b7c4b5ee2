/** Names of the gateway's units; why there are three of them is said where they are rendered. */

export const gatewayService = "openclaw-gateway.service";
export const gatewaySocket = "openclaw-gateway.socket";
/** The stand-in: runs only while the other one is replaced. */
export const standInService = "openclaw-gateway-next.service";
