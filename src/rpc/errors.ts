// Errors on their way to another Worker.
import { BrokerError } from "../core/errors.ts";
import { brokerError } from "../core/platform-errors.ts";

/** The platform may carry no more of an error than its message: the name stands there too. */
export async function overRpc<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const known = brokerError(error);
    if (known.code === "UNKNOWN_SERVER_ERROR" && known !== error) throw error;
    const { code, message, data, retriable } = known;
    const told = new BrokerError(code, `${code}: ${message}`, { data, retriable });
    told.name = "Error"; // Another name goes before the message between two processes of wrangler.
    throw told;
  }
}
