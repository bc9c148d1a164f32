/** Returns the total size of all pieces. */
export function sizeOf(pieces: readonly Uint8Array[]): number {
  let size = 0;
  for (const piece of pieces) size += piece.length;
  return size;
}

/** Joins the pieces in order. A single piece is returned itself, not copied. */
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

/** True if both contain the same bytes, or both are null. */
export function equalBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Encodes base64. Node before 25 and older browsers lack a built-in encoder, so there is a fallback. */
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
 * Frees the memory of a buffer at once instead of at the next garbage collection: it may be megabytes. Nothing else may
 * use a part of the buffer. Its bytes are gone afterward.
 */
export function discardBytes(bytes: Uint8Array): void {
  (bytes.buffer as ArrayBuffer).transfer(0);
}
