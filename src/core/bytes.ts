/** Returns the size of all pieces together. */
export function sizeOf(pieces: readonly Uint8Array[]): number {
  let size = 0;
  for (const piece of pieces) size += piece.length;
  return size;
}

/** Joins the pieces, one after another. A single piece is returned as it is, not copied. */
export function concatBytes(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0] as Uint8Array;
  const bytes = new Uint8Array(sizeOf(pieces));
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}

/** True if both have the same bytes, or neither is there. */
export function equalBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Encodes base64. Node before 25 and older browsers lack the platform's own encoder, so a fallback is here. */
export function toBase64(bytes: Uint8Array): string {
  if ("toBase64" in bytes) return bytes.toBase64();
  let text = "";
  for (const byte of bytes as Uint8Array) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Decodes base64. @throws if the text is not base64 */
export function fromBase64(text: string): Uint8Array {
  if ("fromBase64" in Uint8Array) return Uint8Array.fromBase64(text);
  return (Uint8Array as Uint8ArrayConstructor).from(atob(text), (each) => each.charCodeAt(0));
}

/**
 * Gives the memory of a buffer back at once, instead of when somebody collects it: it may be megabytes. Nobody else may
 * have a part of the buffer. The bytes are gone.
 */
export function discardBytes(bytes: Uint8Array): void {
  (bytes.buffer as ArrayBuffer).transfer(0);
}
