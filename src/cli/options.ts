// Parsers of option values, and options that several commands have.
import { InvalidArgumentError } from "commander";
import { hasDay } from "../core/iso-time.ts";
import { UsageError } from "./context.ts";

export function parseWholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

export function positiveNumber(text: string): number {
  const number = parseWholeNumber(text);
  if (number < 1) throw new InvalidArgumentError("It must be at least 1.");
  return number;
}

/** Parses a time that the broker will read. It only rejects a day that does not exist. */
export function parseDay(text: string): string {
  if (!hasDay(text)) throw new InvalidArgumentError("There is no such day.");
  return text;
}

export interface ConfigChange {
  readonly config?: Record<string, string>;
  readonly unset?: Record<string, null>;
}

/** Returns the change as the broker takes it, or null if nothing changes. */
export function changeOf({ config, unset }: ConfigChange): Record<string, string | null> | null {
  const both = Object.keys(config ?? {}).find((key) => Object.hasOwn(unset ?? {}, key));
  if (both !== undefined)
    throw new UsageError(`${both} is both set and unset: give --config or --unset for it`);
  const change = { ...config, ...unset };
  return Object.keys(change).length === 0 ? null : change;
}

export function collectKey(key: string, previous: Record<string, null> = {}): Record<string, null> {
  return { ...previous, [key]: null };
}

export function collectConfig(
  text: string,
  previous: Record<string, string>,
): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("It must be KEY=VALUE.");
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
}
