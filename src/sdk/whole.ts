// Checks options where they are given. The error names option, value and bound.
import { BrokerError, preview } from "../core/errors.ts";

/** Refuses a value that is not a whole number within the bounds. */
export function assertWhole(
  name: string,
  value: number,
  minimum: number,
  maximum: number = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return;
  refuse(name, value, `a whole number from ${minimum} to ${maximum}`);
}

export function refuse(name: string, value: unknown, bound: string): never {
  const shown = typeof value === "number" ? String(value) : preview(value);
  throw new BrokerError("INVALID_REQUEST", `${name} is ${shown}, it must be ${bound}`);
}
