/** gRPC errors of plug-ins as ProviderErrors, with the details that Pulumi packs into them. */
import { type ServiceError, status } from "@grpc/grpc-js";
import errorsProto from "@pulumi/pulumi/proto/errors_pb.js";
import providerProto from "@pulumi/pulumi/proto/provider_pb.js";
import statusProto from "@pulumi/pulumi/proto/status_pb.js";
import { type CheckFailure, ProviderError } from "./providers/provider.ts";
import { decodeStruct } from "./wire.ts";

export function decodeServiceError(error: ServiceError): ProviderError {
  const details = decodeDetails(error);
  const text = error.details || error.message;
  const message = details.cause ? `${text}: ${details.cause}` : text;
  if (details.partial) {
    return new ProviderError("partial", reasonsText(details.partial.reasons), { partial: details.partial, cause: error });
  }
  if (details.failures) return new ProviderError("invalid", message, { failures: details.failures, cause: error });
  switch (error.code) {
    case status.UNIMPLEMENTED:
      return new ProviderError("unimplemented", message, { cause: error });
    case status.CANCELLED:
      return new ProviderError("cancelled", message, { cause: error });
    case status.UNAVAILABLE:
      return new ProviderError("unavailable", message, { cause: error });
    default:
      return new ProviderError("failed", message, { cause: error });
  }
}

interface Details {
  cause?: string;
  failures?: CheckFailure[];
  partial?: NonNullable<ProviderError["partial"]>;
}

function decodeDetails(error: ServiceError): Details {
  const result: Details = {};
  const packed = error.metadata?.get("grpc-status-details-bin")[0];
  if (packed === undefined || typeof packed === "string") return result;
  for (const any of statusProto.Status.deserializeBinary(packed).getDetailsList()) {
    const bytes = any.getValue_asU8();
    switch (any.getTypeName()) {
      case "pulumirpc.ErrorCause":
        result.cause = errorsProto.ErrorCause.deserializeBinary(bytes).getMessage();
        break;
      case "pulumirpc.InputPropertiesError":
        result.failures = errorsProto.InputPropertiesError.deserializeBinary(bytes)
          .getErrorsList()
          .map((failure) => ({ property: failure.getPropertyPath(), reason: failure.getReason() }));
        break;
      case "pulumirpc.ErrorResourceInitFailed":
        result.partial = decodeInitFailed(providerProto.ErrorResourceInitFailed.deserializeBinary(bytes));
        break;
      case "pulumirpc.ConfigureErrorMissingKeys":
        result.cause = missingKeys(providerProto.ConfigureErrorMissingKeys.deserializeBinary(bytes));
        break;
      default:
    }
  }
  return result;
}

function decodeInitFailed(failed: InstanceType<typeof providerProto.ErrorResourceInitFailed>): NonNullable<Details["partial"]> {
  const partial: NonNullable<Details["partial"]> = { id: failed.getId(), reasons: failed.getReasonsList() };
  if (failed.hasProperties()) partial.properties = decodeStruct(failed.getProperties());
  if (failed.hasInputs()) partial.inputs = decodeStruct(failed.getInputs());
  if (failed.getRefreshBeforeUpdate()) partial.refreshBeforeUpdate = true;
  return partial;
}

function missingKeys(missing: InstanceType<typeof providerProto.ConfigureErrorMissingKeys>): string {
  const lines = missing.getMissingkeysList().map((key) => {
    const description = key.getDescription();
    return `Missing required configuration key '${key.getName()}'${description ? `: ${description}` : ""}`;
  });
  return lines.join("\n");
}

/** As Go's multierror prints a list. */
export function reasonsText(reasons: string[]): string {
  if (reasons.length === 0) return "resource init failed";
  const count = reasons.length === 1 ? "1 error" : `${reasons.length} errors`;
  return `${count} occurred:\n${reasons.map((reason) => `\t* ${reason}\n`).join("")}\n`;
}
