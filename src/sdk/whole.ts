// Checks options when they are passed. The error names the option, the value and the bound.
import { BrokerError, preview } from "../core/errors.ts";

/** Checks that a value is a whole number within the bounds. @throws BrokerError INVALID_REQUEST */
export function assertWhole(
  name: string,
  value: number,
  minimum: number,
  maximum: number = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return;
  refuse(name, value, `a whole number from ${minimum} to ${maximum}`);
}

/** Throws BrokerError INVALID_REQUEST for a wrong option. */
export function refuse(name: string, value: unknown, bound: string): never {
  const shown = typeof value === "number" ? String(value) : preview(value);
  throw new BrokerError("INVALID_REQUEST", `${name} is ${shown}, it must be ${bound}`);
}
