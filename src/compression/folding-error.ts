import type { ErrorName } from "../core/errors.ts";

/**
 * What cannot be folded or unfolded. Whoever calls makes a BrokerError of it: these files are loaded when they are needed,
 * and one that shares the SDK's errors would cut them out of its bundle.
 */
export class FoldingError extends Error {
  readonly code: ErrorName;

  constructor(code: ErrorName, detail: string) {
    super(detail);
    this.code = code;
  }
}
