// Compares secrets. A comparison that ends early would reveal by its time how much of a guess is right.
const UTF8 = new TextEncoder();

/**
 * True if both are equal. The time reveals at most whether the lengths are equal, so the length must not be secret.
 * Compare hashes, or texts of a public length.
 */
export function isSame(a: Uint8Array | string, b: Uint8Array | string): boolean {
  const left = typeof a === "string" ? UTF8.encode(a) : a;
  const right = typeof b === "string" ? UTF8.encode(b) : b;
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let i = 0; i < left.length; i++) difference |= (left[i] as number) ^ (right[i] as number);
  return difference === 0;
}
