// The parts of a record that was read: its key, its value and its headers, each as text if it is UTF-8.
import type { JsonRecord } from "../protocol/json-record.ts";

/** A record with its place. */
export interface PlacedRecord extends JsonRecord {
  readonly partition: number;
}

/** `text` is null for a null. `base64` is set if the bytes are not UTF-8. */
export interface Bytes {
  readonly text: string | null;
  readonly base64: string | null;
}

export interface Header {
  readonly name: string;
  readonly bytes: Bytes;
}

export function keyBytes({ key, keyBase64 }: JsonRecord): Bytes {
  return { text: key ?? null, base64: keyBase64 ?? null };
}

export function valueBytes({ value, valueBase64 }: JsonRecord): Bytes {
  return { text: value ?? null, base64: valueBase64 ?? null };
}

/** Returns the headers in order. A name may occur more than once. */
export function headersOf({ headers }: JsonRecord): Header[] {
  return Object.entries(headers).flatMap(([name, given]) => {
    const values = Array.isArray(given) ? given : [given];
    return values.map((value) => ({
      name,
      bytes:
        typeof value === "object" && value !== null
          ? { text: null, base64: value.base64 }
          : { text: value, base64: null },
    }));
  });
}
