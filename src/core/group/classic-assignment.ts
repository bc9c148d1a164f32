// What a classic consumer was assigned: Kafka's ConsumerProtocolAssignment, for people. Members of other kinds
// (Kafka Connect's workers) assign something else, which is not shown.
import type { TopicAssignment } from "./describe.ts";

const UTF8 = new TextDecoder();

/** Nothing of what is no consumer's assignment. */
export function readAssignment(bytes: Uint8Array): TopicAssignment[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let position = 2; // The version; all have what follows.
  try {
    const topics: TopicAssignment[] = [];
    const count = view.getInt32(position);
    position += 4;
    for (let i = 0; i < count; i++) {
      const length = view.getInt16(position);
      position += 2;
      const topic = UTF8.decode(bytes.subarray(position, position + length));
      position += length;
      const size = view.getInt32(position);
      position += 4;
      const partitions: number[] = [];
      for (let j = 0; j < size; j++, position += 4) partitions.push(view.getInt32(position));
      topics.push({ topic, partitions });
    }
    return topics;
  } catch {
    return []; // It ends before it should.
  }
}
