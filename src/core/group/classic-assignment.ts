// Reads the subscriptions and assignments of classic consumers: Kafka's ConsumerProtocolSubscription and
// ConsumerProtocolAssignment. Other kinds of members (Kafka Connect's workers) send other bytes, which are ignored.
import { isReadable } from "../access/grants.ts";
import { sizeOf } from "../bytes.ts";
import { type Failure, fail, type Result } from "../errors.ts";
import type { TopicAssignment } from "../group-info.ts";
import { MAX_CLASSIC_GROUP_BYTES, MAX_CLASSIC_MEMBER_BYTES } from "../limits.ts";
import type { ClassicState } from "./classic-state.ts";
import type { ClassicSync } from "./requests.ts";

/** Text that is not UTF-8 is not a name, so the bytes have another format. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads the topics of a consumer's subscription. Empty if the bytes are not one. */
export function readSubscription(bytes: Uint8Array): string[] {
  return readAll(bytes, (reader) => reader.text());
}

/** Reads the partitions of a consumer's assignment. Empty if the bytes are not one. */
export function readAssignment(bytes: Uint8Array): TopicAssignment[] {
  return readAll(bytes, (reader) => {
    const topic = reader.text();
    const partitions = Array.from({ length: reader.count() }, () => reader.int32());
    return { topic, partitions };
  });
}

/**
 * [TEN-2] Returns copies of the subscriptions, with the prefix of a namespace in front of each topic name.
 * INVALID_REQUEST: the result would exceed `maxBytes` in total, or a name would be too long.
 */
export function subscriptionsInside(
  namespace: string,
  pieces: readonly Uint8Array[],
  maxBytes = MAX_CLASSIC_MEMBER_BYTES,
): Result<{ pieces: Uint8Array[] }> {
  return allInside(ENCODER.encode(namespace), pieces, skipNothing, maxBytes);
}

/** Does the same for assignments. */
export function assignmentsInside(
  namespace: string,
  pieces: readonly Uint8Array[],
  maxBytes = MAX_CLASSIC_GROUP_BYTES,
): Result<{ pieces: Uint8Array[] }> {
  return allInside(ENCODER.encode(namespace), pieces, skipPartitions, maxBytes);
}

/**
 * [TEN-2] Returns the subscription as callers in a namespace see it: without the prefix, and without topics that lack
 * it. Those come from members that see the whole deployment.
 */
export function subscriptionOutside(namespace: string, bytes: Uint8Array): Uint8Array {
  return outsideOf(ENCODER.encode(namespace), bytes, skipNothing);
}

/** Does the same for an assignment. */
export function assignmentOutside(namespace: string, bytes: Uint8Array): Uint8Array {
  return outsideOf(ENCODER.encode(namespace), bytes, skipPartitions);
}

// Names are translated as bytes, never as strings: there may be hundreds of thousands. Bytes that are not a list stay
// unchanged. Neither direction finds names in them, and neither does the group. A list stays a list, with other names,
// so the translation can be reversed.

const ENCODER = new TextEncoder();
/** The length field of a text is an int16. */
const MAX_TEXT_BYTES = 32_767;
const LENGTH_BYTES = 2;
/** The version and the number of elements. */
const HEAD_BYTES = 6;
const DOT = 0x2e;

/** Reads the bytes that follow a name in a list. */
type Skip = (reader: Reader) => void;
const skipNothing: Skip = () => {};
const skipPartitions: Skip = (reader) => reader.skip(4 * reader.count());

function allInside(
  prefix: Uint8Array,
  pieces: readonly Uint8Array[],
  skip: Skip,
  maxBytes: number,
): Result<{ pieces: Uint8Array[] }> {
  // Checked before anything is read or allocated.
  if (sizeOf(pieces) > maxBytes) return tooMuch(maxBytes);
  const sizes: number[] = [];
  let size = 0;
  for (const bytes of pieces) {
    const inside = sizeInside(prefix, bytes, skip);
    if (inside === null)
      return fail("INVALID_REQUEST", "a topic's name is too long for the namespace");
    sizes.push(inside);
    size += inside;
    if (size > maxBytes) return tooMuch(maxBytes);
  }
  const inside = pieces.map((bytes, i) => insideOf(prefix, bytes, sizes[i] as number, skip));
  return { ok: true, pieces: inside };
}

function tooMuch(maxBytes: number): Failure {
  return fail(
    "INVALID_REQUEST",
    `the subscriptions or assignments of members have more than ${maxBytes} bytes`,
  );
}

/** Returns the number of bytes with the prefix. Null if a name would be too long. */
function sizeInside(prefix: Uint8Array, bytes: Uint8Array, skip: Skip): number | null {
  let size = bytes.length;
  let isTooLong = false;
  const isList = eachName(bytes, skip, (from, to) => {
    if (isNoName(bytes, from, to)) return;
    size += prefix.length;
    if (to - from + prefix.length > MAX_TEXT_BYTES) isTooLong = true;
  });
  if (!isList) return bytes.length;
  return isTooLong ? null : size;
}

function insideOf(prefix: Uint8Array, bytes: Uint8Array, size: number, skip: Skip): Uint8Array {
  if (size === bytes.length) return bytes.slice();
  const output = new Output(size);
  let keptTo = 0;
  eachName(bytes, skip, (from, to) => {
    if (isNoName(bytes, from, to)) return;
    output.add(bytes, keptTo, from - LENGTH_BYTES);
    output.addLength(to - from + prefix.length);
    output.add(prefix, 0, prefix.length);
    keptTo = from;
  });
  output.add(bytes, keptTo, bytes.length);
  return output.bytes;
}

function outsideOf(prefix: Uint8Array, bytes: Uint8Array, skip: Skip): Uint8Array {
  const output = new Output(bytes.length);
  output.add(bytes, 0, Math.min(HEAD_BYTES, bytes.length));
  let names = 0;
  let listTo = HEAD_BYTES;
  const isList = eachName(bytes, skip, (from, to, end) => {
    listTo = end;
    const isOwn = isNoName(bytes, from, to);
    if (!isOwn && !isBehind(prefix, bytes, from, to)) return;
    names++;
    const ownFrom = isOwn ? from : from + prefix.length;
    output.addLength(to - ownFrom);
    output.add(bytes, ownFrom, end);
  });
  if (!isList) return bytes;
  output.add(bytes, listTo, bytes.length);
  new DataView(output.bytes.buffer).setInt32(HEAD_BYTES - 4, names);
  return output.bytes.subarray(0, output.length);
}

/**
 * Calls `visit` for each name of the first list, with the positions where the name starts, the name ends, and its list
 * element ends. Returns false if the bytes are not a complete list.
 */
function eachName(
  bytes: Uint8Array,
  skip: Skip,
  visit: (from: number, to: number, end: number) => void,
): boolean {
  const reader = new Reader(bytes);
  try {
    for (let left = reader.count(); left > 0; left--) {
      const from = reader.position + LENGTH_BYTES;
      reader.skipText();
      const to = reader.position;
      skip(reader);
      visit(from, to, reader.position);
    }
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** True for the invalid names that stay unchanged: the empty name, "." and "..". See nameInside. */
function isNoName(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from > 2) return false;
  for (let at = from; at < to; at++) if (bytes[at] !== DOT) return false;
  return true;
}

/** True if the name has the prefix and continues after it. */
function isBehind(prefix: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from <= prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[from + i] !== prefix[i]) return false;
  return true;
}

/** Collects bytes by copying them one by one. That is faster than making views of many short pieces. */
class Output {
  readonly bytes: Uint8Array;
  length = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  addLength(length: number): void {
    this.bytes[this.length++] = length >> 8;
    this.bytes[this.length++] = length & 0xff;
  }

  add(from: Uint8Array, begin: number, end: number): void {
    for (let at = begin; at < end; at++) this.bytes[this.length++] = from[at] as number;
  }
}

/**
 * Returns the topics that the leader's sync assigns to members. Only the leader assigns. [ACL-6] Topics that the leader
 * may not read are left out. Otherwise the group's later behavior would reveal whether they exist.
 */
export function topicsAssignedBy(
  { leaderId, members }: ClassicState,
  { memberId, assignments, readable }: Pick<ClassicSync, "memberId" | "assignments" | "readable">,
): string[] {
  if (memberId !== leaderId) return [];
  const assigned = assignments.filter((each) => members.has(each.memberId));
  const named = assigned.flatMap(({ assignment }) => readAssignment(assignment));
  const names = new Set(named.map(({ topic }) => topic));
  return [...names].filter((topic) => isReadable(readable, topic));
}

/** Reads the list at the start of both formats. It follows a version number, and all versions begin with it. */
function readAll<T>(bytes: Uint8Array, read: (reader: Reader) => T): T[] {
  const reader = new Reader(bytes);
  try {
    return Array.from({ length: reader.count() }, () => read(reader));
  } catch {
    return []; // The bytes end too early.
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 2;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get position(): number {
    return this.#position;
  }

  int32(): number {
    const value = this.#view.getInt32(this.#position);
    this.#position += 4;
    return value;
  }

  /** Reads an element count. Every element takes at least two bytes. */
  count(): number {
    const count = this.int32();
    if (count < 0 || count * 2 > this.#bytes.length) throw new RangeError(`${count} elements`);
    return count;
  }

  text(): string {
    const start = this.#position + LENGTH_BYTES;
    this.skipText();
    return UTF8.decode(this.#bytes.subarray(start, this.#position));
  }

  skipText(): void {
    const length = this.#view.getInt16(this.#position);
    if (length < 0) throw new RangeError(`${length} bytes`);
    this.skip(LENGTH_BYTES + length);
  }

  skip(bytes: number): void {
    this.#position += bytes;
    if (this.#position > this.#bytes.length) throw new RangeError(`${bytes} bytes`);
  }
}
