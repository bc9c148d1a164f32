// Estimates the memory that an answer takes. Lazy arrays take little memory until they are written [BND-16].

/** An array that makes its items one by one, each time it is written. */
export class Lazily<T> implements Iterable<T> {
  readonly length: number;
  /** The number of bytes that the source of the items takes. */
  readonly weight: number;
  readonly #at: (index: number) => T;

  constructor(length: number, at: (index: number) => T, weight = 0) {
    this.length = length;
    this.#at = at;
    this.weight = weight;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.length; i++) yield this.#at(i);
  }
}

const VALUE_BYTES = 8;
const OBJECT_BYTES = 32;

/** Estimates the memory in bytes that a value of an answer takes. */
export function weightOf(value: unknown): number {
  if (typeof value === "string") return OBJECT_BYTES + value.length;
  if (typeof value !== "object" || value === null) return VALUE_BYTES;
  if (value instanceof Uint8Array) return OBJECT_BYTES + value.length;
  if (value instanceof Lazily) return OBJECT_BYTES + value.weight;
  let bytes = OBJECT_BYTES;
  const parts: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
  for (const part of parts) bytes += VALUE_BYTES + weightOf(part);
  return bytes;
}
