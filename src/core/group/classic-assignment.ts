// Reads the subscriptions and assignments of classic consumers: Kafka's ConsumerProtocolSubscription and
// ConsumerProtocolAssignment. Members of other kinds (Kafka Connect's workers) send something else, which is ignored.
import { concatBytes } from "../bytes.ts";
import type { TopicAssignment } from "../group-info.ts";
import { MAX_CLASSIC_MEMBER_BYTES, MAX_TOPICS_PER_KAFKA_MEMBER } from "../limits.ts";
import type { ClassicState } from "./classic-state.ts";
import type { ClassicSync } from "./requests.ts";

/** A text that is not UTF-8 is no name, and the bytes are then something else. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads the topics of a subscription. Empty if the bytes are not a consumer's subscription. */
export function readSubscription(bytes: Uint8Array): string[] {
  return readAll(bytes, (reader) => reader.text());
}

/** Reads the partitions of an assignment. Empty if the bytes are not a consumer's assignment. */
export function readAssignment(bytes: Uint8Array): TopicAssignment[] {
  return readAll(bytes, (reader) => {
    const topic = reader.text();
    const partitions = Array.from({ length: reader.count() }, () => reader.int32());
    return { topic, partitions };
  });
}

/**
 * Returns the subscription with other names for its topics. Bytes that are none come back as they are, or can be renamed
 * back, since whoever renames them finds the same names again.
 */
export function renameSubscribed(
  bytes: Uint8Array,
  rename: (name: string) => string,
  admit: (names: number) => void = () => {},
): Uint8Array {
  return renameIn(bytes, rename, admit, () => {});
}

/** Does the same with an assignment. */
export function renameAssigned(
  bytes: Uint8Array,
  rename: (name: string) => string,
  admit: (names: number) => void = () => {},
): Uint8Array {
  return renameIn(bytes, rename, admit, (reader) => {
    for (let left = reader.count(); left > 0; left--) reader.int32();
  });
}

/**
 * Renames the topics of the first list. `skip` reads what follows each name there, and `admit` is called with their number
 * before anything is made of them. It may throw.
 */
function renameIn(
  bytes: Uint8Array,
  rename: (name: string) => string,
  admit: (names: number) => void,
  skip: (reader: Reader) => void,
): Uint8Array {
  // A group refuses what is larger, and has not been asked yet.
  if (bytes.length > MAX_CLASSIC_MEMBER_BYTES) return bytes;
  const reader = new Reader(bytes);
  const pieces: Uint8Array[] = [];
  let keptTo = 0;
  try {
    const count = reader.count();
    if (count > MAX_TOPICS_PER_KAFKA_MEMBER) return bytes;
    admit(count);
    for (let left = count; left > 0; left--) {
      const from = reader.position;
      const name = new TextEncoder().encode(rename(reader.text()));
      if (name.length > MAX_TEXT_BYTES) return bytes;
      pieces.push(bytes.subarray(keptTo, from), Uint8Array.of(name.length >> 8, name.length), name);
      keptTo = reader.position;
      skip(reader);
    }
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    return bytes; // They are something else, or end too early.
  }
  return concatBytes([...pieces, bytes.subarray(keptTo)]);
}

/** The length of a text is an int16. */
const MAX_TEXT_BYTES = 32_767;

/** Returns the topics that the leader's sync assigns to members. Nobody else assigns. */
export function topicsAssignedBy(
  { leaderId, members }: ClassicState,
  { memberId, assignments }: Pick<ClassicSync, "memberId" | "assignments">,
): string[] {
  if (memberId !== leaderId) return [];
  const assigned = assignments.filter((each) => members.has(each.memberId));
  return assigned.flatMap(({ assignment }) => readAssignment(assignment)).map(({ topic }) => topic);
}

/** Reads the list at the start of both formats. It follows a version, and every version has it. */
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

  /** Reads a count of elements that take at least two bytes each. */
  count(): number {
    const count = this.int32();
    if (count < 0 || count * 2 > this.#bytes.length) throw new RangeError(`${count} elements`);
    return count;
  }

  text(): string {
    const length = this.#view.getInt16(this.#position);
    const start = this.#position + 2;
    this.#position = start + length;
    if (length < 0 || this.#position > this.#bytes.length) throw new RangeError(`${length} bytes`);
    return UTF8.decode(this.#bytes.subarray(start, this.#position));
  }
}
