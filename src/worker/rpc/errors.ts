// Prepares errors for another Worker.
import { BrokerError } from "../../core/errors.ts";
import { brokerError } from "../../core/platform-errors.ts";

/** Runs the action. The platform may carry only an error's message, so the message includes the error's name. */
export async function overRpc<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw rpcError(error);
  }
}

/** Returns the error for the other Worker. */
export function rpcError(error: unknown): unknown {
  const known = brokerError(error);
  if (known.code === "UNKNOWN_SERVER_ERROR" && known !== error) return error;
  const { code, message, data, retriable } = known;
  const told = new BrokerError(code, `${code}: ${message}`, { data, retriable });
  told.name = "Error"; // Between two wrangler processes, any other name would be put before the message.
  return told;
}
