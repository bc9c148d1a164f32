// Encodes the messages of classic consumers to each other (Kafka's ConsumerProtocol). The coordinator passes them on.

const UTF8 = new TextEncoder();
const int16 = (value: number) => [(value >> 8) & 255, value & 255];
const int32 = (value: number) => [...int16(value >>> 16), ...int16(value & 65_535)];
const text = (value: string) => {
  const bytes = UTF8.encode(value);
  return [...int16(bytes.length), ...bytes];
};

/** Kafka's ConsumerProtocolSubscription, version 0. */
export function consumerSubscription(...topics: readonly string[]): Uint8Array {
  return new Uint8Array([
    ...int16(0),
    ...int32(topics.length),
    ...topics.flatMap(text),
    ...int32(-1),
  ]);
}

/** Kafka's ConsumerProtocolAssignment, version 0. */
export function consumerAssignment(read: Readonly<Record<string, readonly number[]>>): Uint8Array {
  const topics = Object.entries(read);
  return new Uint8Array([
    ...int16(0),
    ...int32(topics.length),
    ...topics.flatMap(([topic, partitions]) => [
      ...text(topic),
      ...int32(partitions.length),
      ...partitions.flatMap(int32),
    ]),
    ...int32(-1),
  ]);
}
