// Compares secrets. Where a comparison ends early, its time tells how far a guess is right.
const UTF8 = new TextEncoder();

/**
 * True if both are the same. The time that it takes says at most whether they are of one length, which is to be no
 * secret: compare hashes, or texts whose length everybody knows.
 */
export function isSame(a: Uint8Array | string, b: Uint8Array | string): boolean {
  const left = typeof a === "string" ? UTF8.encode(a) : a;
  const right = typeof b === "string" ? UTF8.encode(b) : b;
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let i = 0; i < left.length; i++) difference |= (left[i] as number) ^ (right[i] as number);
  return difference === 0;
}
