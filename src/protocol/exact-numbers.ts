// Keeps the text of JSON numbers that JavaScript cannot hold exactly, because a JSON value is stored as its text.

export type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown;

/** Numbers that JavaScript may not hold exactly: sixteen digits or more, or a large exponent. */
const LONG_NUMBER = /\d{16}|\d[eE][+-]?\d{2}/;

/**
 * Returns a reviver for JSON.parse, or undefined if the text holds no
 * such number, because a reviver slows the parser down.
 */
export function exactNumbers(text: string): Reviver | undefined {
  return LONG_NUMBER.test(text) ? keepText : undefined;
}

const keepText: Reviver = (_key, value, context) => {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return RawJson.rawJSON(source);
};

const RawJson = JSON as unknown as { rawJSON(text: string): unknown };
