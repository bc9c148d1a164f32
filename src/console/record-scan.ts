// Reads records of a topic's partitions, backward from the newest or forward from an offset or a time, until
// enough match a filter.
import { partitionForKey } from "../core/partitioner.ts";
import type { JsonHeader, JsonRecord } from "../protocol/json-record.ts";
import { partitionPath } from "../protocol/paths.ts";
import { get } from "./api.ts";
import type { PlacedRecord } from "./record-bytes.ts";

export type From =
  | { readonly type: "newest" }
  | { readonly type: "oldest" }
  | { readonly type: "offset"; readonly offset: number }
  | { readonly type: "time"; readonly timestamp: number };

export interface Filter {
  readonly key: string;
  readonly headerName: string;
  readonly headerValue: string;
  readonly text: string;
}

export const NO_FILTER: Filter = { key: "", headerName: "", headerValue: "", text: "" };

export interface Progress {
  readonly found: readonly PlacedRecord[];
  /** The number of offsets that were searched, and of those to search. */
  readonly looked: number;
  readonly total: number;
  /** True if there is nothing left to search. */
  readonly isDone: boolean;
}

interface Fetched {
  readonly records: readonly JsonRecord[];
  readonly nextOffset: number;
}

/** A part of a partition that is still to be read: from `start` to `end`, exclusive. */
interface Part {
  readonly partition: number;
  start: number;
  end: number;
}

/** The number of offsets that are read at a time, if the newest come first. */
const WINDOW = 100;
const SEARCH_WINDOW = 1_000;

/**
 * A search through the records of some partitions. `more` continues where the last one ended. With `newest` it
 * goes backward from the ends, in turn through the partitions; otherwise forward from its start.
 */
export class Scan {
  readonly #topic: string;
  readonly #partitions: readonly number[];
  readonly #from: From;
  readonly #filter: Filter;
  #parts: Part[] | null = null;
  #total = 0;
  #looked = 0;
  #found: PlacedRecord[] = [];
  #turn = 0;

  constructor(topic: string, partitions: readonly number[], from: From, filter: Filter) {
    this.#topic = topic;
    this.#partitions = partitions;
    this.#from = from;
    this.#filter = filter;
  }

  /** Continues until `count` more are found. `onProgress` is called after each read. @throws the signal's reason */
  async more(
    count: number,
    aborted: AbortSignal,
    onProgress: (progress: Progress) => void,
  ): Promise<void> {
    this.#parts ??= await this.#partsToRead(aborted);
    const parts = this.#parts;
    const enough = this.#found.length + count;
    onProgress(this.#progress());
    while (this.#found.length < enough) {
      const left = parts.filter(({ start, end }) => start < end);
      const part = left[this.#turn % Math.max(1, left.length)];
      if (part === undefined) break;
      const wanted = Math.ceil((enough - this.#found.length) / left.length);
      if (this.#from.type === "newest") await this.#readBack(part, wanted, aborted);
      else await this.#readOn(part, wanted, aborted);
      this.#turn++;
      onProgress(this.#progress());
    }
    onProgress(this.#progress());
  }

  #progress(): Progress {
    const direction = this.#from.type === "newest" ? -1 : 1;
    const found = this.#found.toSorted(
      (a, b) =>
        direction * (a.timestamp - b.timestamp || a.offset - b.offset || a.partition - b.partition),
    );
    const isDone = this.#parts?.every(({ start, end }) => start >= end) ?? false;
    return { found, looked: this.#looked, total: this.#total, isDone };
  }

  /** Asks each partition for its bounds, and for the start. */
  async #partsToRead(aborted: AbortSignal): Promise<Part[]> {
    const parts: Part[] = [];
    for (const partition of this.#partitions) {
      const path = partitionPath(this.#topic, partition);
      const state = await get<{ logStartOffset: number; highWatermark: number }>(
        `${path}/state`,
        aborted,
      );
      const { logStartOffset, highWatermark: end } = state;
      let start = logStartOffset;
      if (this.#from.type === "offset") start = Math.max(start, this.#from.offset);
      if (this.#from.type === "time") {
        const at = `${path}/offsets?at=${this.#from.timestamp}`;
        start = Math.max(start, (await get<{ offset: number }>(at, aborted)).offset);
      }
      parts.push({ partition, start, end });
      this.#total += Math.max(0, end - start);
    }
    return parts;
  }

  #window(wanted: number): number {
    const isSearch = Object.values(this.#filter).some((text) => text !== "");
    return isSearch ? SEARCH_WINDOW : Math.min(WINDOW, wanted);
  }

  async #readOn(part: Part, wanted: number, aborted: AbortSignal): Promise<void> {
    const { start, end } = part;
    const { records, nextOffset } = await this.#fetch(
      part.partition,
      start,
      this.#window(wanted),
      aborted,
    );
    this.#keep(part.partition, records, end);
    // An answer without records would be requested again forever.
    part.start = Math.max(nextOffset, start + 1);
    this.#looked += Math.min(part.start, end) - start;
  }

  async #readBack(part: Part, wanted: number, aborted: AbortSignal): Promise<void> {
    const { start, end } = part;
    const from = Math.max(start, end - this.#window(wanted));
    for (let at = from; at < end; ) {
      const { records, nextOffset } = await this.#fetch(part.partition, at, end - at, aborted);
      this.#keep(part.partition, records, end);
      at = Math.max(nextOffset, at + 1);
    }
    part.end = from;
    this.#looked += end - from;
  }

  #keep(partition: number, records: readonly JsonRecord[], end: number): void {
    for (const record of records)
      if (record.offset < end && isFit(record, this.#filter))
        this.#found.push({ ...record, partition });
  }

  #fetch(partition: number, offset: number, max: number, aborted: AbortSignal): Promise<Fetched> {
    const path = partitionPath(this.#topic, partition);
    return get<Fetched>(`${path}/records?offset=${offset}&maxRecords=${max}`, aborted);
  }
}

/** True if the record matches the filter. Text is searched for in key, value and headers, ignoring case. */
export function isFit(record: JsonRecord, filter: Filter): boolean {
  const { key, headerName, headerValue, text } = filter;
  if (key !== "" && record.key !== key) return false;
  if (headerName !== "") {
    const has = Object.hasOwn(record.headers, headerName);
    const values = valuesOf(record.headers[headerName]);
    if (!has || (headerValue !== "" && !values.includes(headerValue))) return false;
  }
  if (text === "") return true;
  const wanted = text.toLowerCase();
  const places = [
    record.key,
    record.value,
    ...Object.entries(record.headers).flatMap(([name, value]) => [name, ...valuesOf(value)]),
  ];
  return places.some((place) => place?.toLowerCase().includes(wanted));
}

function valuesOf(header: JsonHeader | readonly JsonHeader[] | undefined): (string | null)[] {
  const values = header === undefined ? [] : Array.isArray(header) ? header : [header];
  return values.map((value) => (typeof value === "object" && value !== null ? null : value));
}

/** The only partition to which Kafka's clients send records with this key. */
export function partitionOfKey(key: string, partitions: number): number {
  return partitionForKey(new TextEncoder().encode(key), partitions);
}
