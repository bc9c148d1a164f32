// The content of an export in any format: a header, positions of groups, records, and an end with the number of records.
// The order is checked here: partitions and offsets increase, and the numbers of records are right.
import type { ConsumerRecord } from "../../core/record.ts";
import { countFrom, type StoredBatch } from "./stored-batches.ts";

/** The version of the file. A reader rejects versions that it does not know, and ignores fields that it does not know. */
export const EXPORT_VERSION = 1;

/** The offsets of a partition that are exported: from `start` to before `end`. */
export interface Range {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
}

export interface ExportHeader {
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: number;
  /** The config values that were set on the topic. */
  readonly config: Readonly<Record<string, string | number>>;
  /** The time at which the export began, in ISO 8601. */
  readonly exportedAt: string;
  /** The bounds of each partition at that time, in order. */
  readonly ranges: readonly Range[];
}

export interface GroupPosition {
  readonly partition: number;
  /** The committed offset: the group has processed the records before it. */
  readonly offset: number;
  readonly leaderEpoch?: number;
  readonly metadata?: string;
}

export interface GroupPositions {
  readonly group: string;
  readonly offsets: readonly GroupPosition[];
}

/** Records of one partition, in order. `batches` is set if the file holds batches. */
export interface RecordsContent {
  readonly type: "records";
  readonly partition: number;
  /** Every record before this offset is exported. */
  readonly nextOffset: number;
  /** The number of records in the file up to here. */
  readonly total: number;
  readonly records: readonly ConsumerRecord[] | null;
  readonly batches: readonly StoredBatch[] | null;
}

export type Content =
  | { readonly type: "header"; readonly header: ExportHeader }
  | { readonly type: "groups"; readonly groups: readonly GroupPositions[] }
  | RecordsContent
  | { readonly type: "end"; readonly partitions: readonly number[] };

/** A part of the file whose sum is right. */
export interface Chunk {
  readonly contents: readonly Content[];
  /** The byte after it. */
  readonly end: number;
  /** The sum, which chains this chunk to those before it. */
  readonly sum: Buffer;
}

/** Thrown for a file that is not as it was written. Everything before `goodEnd` is right. */
export class DamagedExport extends Error {
  readonly goodEnd: number;
  /** True if the file merely ends too early. */
  readonly isCut: boolean;

  constructor(message: string, goodEnd: number, isCut = false) {
    super(message);
    this.goodEnd = goodEnd;
    this.isCut = isCut;
  }
}

/** The progress of an export, as its file shows it. */
export class ExportState {
  #header: ExportHeader | null = null;
  #partition = 0;
  #nextOffset = 0;
  #counts: number[] = [];
  #total = 0;
  #isComplete = false;

  get header(): ExportHeader | null {
    return this.#header;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The partition that was exported last. */
  get partition(): number {
    return this.#partition;
  }

  /** The offset at which its export continues. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  /** The number of records of each partition. */
  get counts(): readonly number[] {
    return this.#counts;
  }

  get total(): number {
    return this.#total;
  }

  /** Notes records that were written or read. Returns a problem with them, or null. */
  add(content: Content): string | null {
    if (this.#isComplete) return "something follows the end";
    if (content.type === "header") return this.#begin(content.header);
    if (this.#header === null) return "it does not begin with a header";
    switch (content.type) {
      case "groups":
        return this.#total === 0 ? null : "positions of groups stand behind records";
      case "records":
        return this.#addRecords(content, this.#header);
      case "end":
        return this.#end(content.partitions);
    }
  }

  #begin(header: ExportHeader): string | null {
    if (this.#header !== null) return "there is a second header";
    this.#header = header;
    this.#counts = header.ranges.map(() => 0);
    this.#nextOffset = header.ranges[0]?.start ?? 0;
    return null;
  }

  #addRecords(content: RecordsContent, { ranges }: ExportHeader): string | null {
    const { partition, records, batches, nextOffset, total } = content;
    const range = ranges[partition];
    if (range === undefined) return `partition ${partition} is not in the header`;
    if (partition < this.#partition)
      return `partition ${partition} stands behind partition ${this.#partition}`;
    if (partition > this.#partition) this.#nextOffset = range.start;
    this.#partition = partition;
    const place = (offset: number) => `offset ${offset} of partition ${partition}`;
    let next = this.#nextOffset;
    for (const { offset } of records ?? []) {
      if (offset < next || offset >= range.end) return `${place(offset)} is out of its order`;
      next = offset + 1;
    }
    let count = records?.length ?? 0;
    for (const batch of batches ?? []) {
      const { header } = batch;
      const last = header.baseOffset + header.lastOffsetDelta;
      if (last < next || header.baseOffset >= range.end)
        return `${place(header.baseOffset)} is out of its order`;
      next = last + 1;
      count += countFrom(batch, range.start);
    }
    if (nextOffset < next) return `${place(nextOffset)} is said to be next, and is not`;
    this.#nextOffset = nextOffset;
    this.#counts[partition] = (this.#counts[partition] ?? 0) + count;
    this.#total += count;
    if (total !== this.#total) return `${total} records are said to be there, ${this.#total} are`;
    return null;
  }

  #end(partitions: readonly number[]): string | null {
    if (JSON.stringify(partitions) !== JSON.stringify(this.#counts))
      return `the end says that the partitions have ${partitions.join(", ")} records, they have ${this.#counts.join(", ")}`;
    this.#isComplete = true;
    return null;
  }
}
