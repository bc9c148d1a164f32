// The newest records of a topic that the user follows. Records without room, and records that arrived while
// nobody looked, are skipped and counted.
import type { JsonRecord } from "../protocol/json-record.ts";
import type { PlacedRecord } from "./record-bytes.ts";
import { type Filter, isFit } from "./record-scan.ts";

export const MAX_ROWS = 500;
/** The most characters of keys, values and headers together. The newest record is kept however long it is. */
export const MAX_CHARS = 16 * 1024 * 1024;

export class TailRows {
  readonly #filter: Filter;
  /** The rows, oldest first. */
  readonly #rows: { readonly record: PlacedRecord; readonly chars: number }[] = [];
  #chars = 0;
  #passed = 0;
  /** The offset after the last record that arrived, by partition. */
  readonly #next = new Map<number, number>();

  constructor(filter: Filter) {
    this.#filter = filter;
  }

  /** The records, newest first. */
  get records(): PlacedRecord[] {
    return this.#rows.map(({ record }) => record).reverse();
  }

  get passed(): number {
    return this.#passed;
  }

  /** Notes the start of reading. Records since its last end are skipped. */
  begin(partition: number, offset: number): void {
    const next = this.#next.get(partition) ?? offset;
    this.#passed += Math.max(0, offset - next);
    this.#next.set(partition, Math.max(offset, next));
  }

  add(partition: number, records: readonly JsonRecord[]): void {
    for (const record of records) {
      this.#next.set(partition, record.offset + 1);
      if (!isFit(record, this.#filter)) continue;
      const chars = charsOf(record);
      this.#rows.push({ record: { ...record, partition }, chars });
      this.#chars += chars;
    }
    while (this.#rows.length > 1 && (this.#rows.length > MAX_ROWS || this.#chars > MAX_CHARS)) {
      this.#chars -= this.#rows.shift()?.chars ?? 0;
      this.#passed++;
    }
  }
}

function charsOf({ key, keyBase64, value, valueBase64, headers }: JsonRecord): number {
  const texts = [key, keyBase64, value, valueBase64, JSON.stringify(headers)];
  return texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
}
