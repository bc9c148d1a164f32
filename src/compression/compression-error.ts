import type { ErrorName } from "../core/errors.ts";

/**
 * An error in compressing or decompressing. The caller turns it into a BrokerError. These files are loaded on demand,
 * and if one shared the SDK's errors, the bundler would move them out of the SDK's main file.
 */
export class CompressionError extends Error {
  readonly code: ErrorName;

  constructor(code: ErrorName, detail: string) {
    super(detail);
    this.code = code;
  }
}
