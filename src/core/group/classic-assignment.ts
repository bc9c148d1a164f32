// Reads the subscriptions and assignments of classic consumers: Kafka's ConsumerProtocolSubscription and
// ConsumerProtocolAssignment. Members of other kinds (Kafka Connect's workers) send something else, which is ignored.
import type { TopicAssignment } from "../group-info.ts";
import type { ClassicState } from "./classic-state.ts";
import type { ClassicSync } from "./requests.ts";

const UTF8 = new TextDecoder();

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
