import type { ErrorName } from "../core/errors.ts";

/**
 * Thrown if bytes cannot be folded or unfolded. The caller turns it into a BrokerError. These files are loaded on
 * demand, and a file that shares the SDK's errors would cut them out of its bundle.
 */
export class CompressionError extends Error {
  readonly code: ErrorName;

  constructor(code: ErrorName, detail: string) {
    super(detail);
    this.code = code;
  }
}
