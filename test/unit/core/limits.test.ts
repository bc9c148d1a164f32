// The bounds themselves: they match the documents, and related ones fit together.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as limits from "../../../src/core/limits.ts";

const MIB = 1024 ** 2;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const textOf = (name: string) =>
  readFileSync(new URL(`../../../${name}`, import.meta.url), "utf8").replace(/\s+/g, " ");

test.each(Object.entries(limits))("[BND-20] %s is a positive whole number", (_, bound) => {
  expect(Number.isSafeInteger(bound)).toBe(true);
  expect(bound).toBeGreaterThan(0);
});

/** Each `{}` is a bound, in its unit. */
test.each<[string, string, ...[number, number][]]>([
  [
    "docs/limits.md",
    "| Request body | {} MiB, {} records;",
    [limits.MAX_REQUEST_BYTES, MIB],
    [limits.MAX_RECORDS_PER_REQUEST, 1],
  ],
  ["docs/limits.md", "(`max.message.bytes`) | {} bytes |", [limits.MAX_MESSAGE_BYTES, 1]],
  ["docs/limits.md", "| Records of a partition | {} GB |", [limits.MAX_PARTITION_BYTES, 1e9]],
  ["docs/limits.md", "| Partitions of a topic | {} |", [limits.MAX_PARTITIONS_PER_TOPIC, 1]],
  ["docs/limits.md", "| Members of a group | {} |", [limits.MAX_MEMBERS_PER_GROUP, 1]],
  ["docs/limits.md", "| Committed offsets of a commit | {} |", [limits.MAX_OFFSETS_PER_COMMIT, 1]],
  [
    "docs/limits.md",
    "| Session timeout | {} s to {} min, {} s by default |",
    [limits.MIN_SESSION_TIMEOUT_MS, SECOND],
    [limits.MAX_SESSION_TIMEOUT_MS, MINUTE],
    [limits.DEFAULT_SESSION_TIMEOUT_MS, SECOND],
  ],
  [
    "docs/limits.md",
    "| Readers of a partition | {} sockets at the partition, and {} readers behind relays: those without a group, beyond {},",
    [limits.MAX_READERS_PER_PARTITION, 1],
    [limits.MAX_RELAYS_PER_PARTITION * limits.MAX_READERS_PER_RELAY, 1],
    [limits.MAX_DIRECT_READERS, 1],
  ],
  [
    "SPEC.md",
    "A partition serves {} readers without a group itself",
    [limits.MAX_DIRECT_READERS, 1],
  ],
  ["SPEC.md", "up to {} MiB", [limits.RELAY_PUSH_BYTES, MIB]],
  [
    "docs/limits.md",
    "| {} MiB; {} MiB of them unanswered on a connection; requests and answers in flight, {} MiB on all",
    [limits.MAX_KAFKA_REQUEST_BYTES, MIB],
    [limits.MAX_KAFKA_QUEUED_BYTES, MIB],
    [limits.MAX_KAFKA_IN_FLIGHT_BYTES, MIB],
  ],
  ["docs/limits.md", "one answer {} MiB |", [limits.MAX_KAFKA_ANSWER_BYTES, MIB]],
  ["docs/limits.md", "Kafka connections of an isolate | {},", [limits.MAX_KAFKA_CONNECTIONS, 1]],
  ["docs/limits.md", "remembered for {} hours |", [limits.IDEMPOTENCY_KEY_TTL_MS, 60 * MINUTE]],
  [
    "PROTOCOL.md",
    "| `maxRecords` | {} | at most {} | | `maxBytes` | {} MiB | at most {} MiB",
    [limits.DEFAULT_FETCH_RECORDS, 1],
    [limits.MAX_FETCH_RECORDS, 1],
    [limits.DEFAULT_FETCH_BYTES, MIB],
    [limits.MAX_FETCH_BYTES, MIB],
  ],
  [
    "PROTOCOL.md",
    "| bodies that arrive in one Worker | {} MiB |",
    [limits.MAX_REQUEST_BYTES_IN_PROGRESS, MIB],
  ],
  [
    "PROTOCOL.md",
    "| unread responses of one Worker | {} MiB |",
    [limits.MAX_ANSWER_BYTES_IN_PROGRESS, MIB],
  ],
  [
    "PROTOCOL.md",
    "| unread records of a plain WebSocket | {} MiB |",
    [limits.MAX_PLAIN_UNSENT_BYTES, MIB],
  ],
  [
    "PROTOCOL.md",
    "whose client sends more requests | {} MiB; for a plain one, {} MiB besides records |",
    [limits.MAX_SOCKET_UNREAD_BYTES, MIB],
    [limits.MAX_PLAIN_UNREAD_REPLY_BYTES, MIB],
  ],
  ["PROTOCOL.md", "LogAppendTime). At most {} MiB together", [limits.MAX_APPEND_BYTES, MIB]],
  ["PROTOCOL.md", "One response decompresses about {} MiB", [limits.MAX_DECODED_FETCH_BYTES, MIB]],
  ["SPEC.md", "holds at most {} MiB of decompressed", [limits.MAX_SESSION_IN_HAND_BYTES, MIB]],
])("[BND-20] %s has the bound in effect: %s", (document, phrase, ...bounds) => {
  const shown = bounds.map(([bound, unit]) => (bound / unit).toLocaleString("en-US"));
  expect(textOf(document)).toContain(phrase.replaceAll("{}", () => shown.shift() ?? "nothing"));
  expect(shown).toEqual([]);
});

test("[BND-20] what is stored as one row fits in one", () => {
  const entries = limits.MAX_PRODUCERS_PER_PARTITION * limits.PRODUCER_WINDOW;
  expect(entries * limits.MAX_APPEND_ENTRY_BYTES).toBeLessThan(limits.MAX_ROW_BYTES);
  const appends = limits.MAX_APPENDS_PER_CHUNK * limits.MAX_APPEND_ENTRY_BYTES;
  expect(appends + limits.MAX_CHUNK_BYTES).toBeLessThan(limits.MAX_ROW_BYTES);
  expect(limits.MAX_MESSAGE_BYTES).toBeLessThanOrEqual(limits.MAX_CHUNK_BYTES);
});

test("[BND-20] a default is within its bounds, and a bound for many covers the largest of them", () => {
  const ascending = [
    [limits.DEFAULT_FETCH_BYTES, limits.MAX_FETCH_BYTES, 32 * MIB],
    [limits.DEFAULT_FETCH_RECORDS, limits.MAX_FETCH_RECORDS],
    [limits.MIN_SEGMENT_BYTES, limits.DEFAULT_SEGMENT_BYTES, limits.MAX_SEGMENT_BYTES],
    // With the largest segment added, a partition stays below its bound.
    [limits.DEFAULT_RETENTION_BYTES + limits.MAX_SEGMENT_BYTES, limits.MAX_PARTITION_BYTES],
    [limits.MAX_METADATA_BYTES, 10e9],
    [limits.HOUSEKEEPING_RETRY_MS, limits.MAX_HOUSEKEEPING_RETRY_MS],
    [limits.ALARM_RETRY_MS, limits.MAX_ALARM_RETRY_MS],
    [limits.MAX_PARTITION_BYTES, limits.MAX_BYTES_WITH_IDEMPOTENCY_KEYS, 10e9],
    [limits.DEFAULT_WINDOW_BYTES, limits.MAX_WINDOW_BYTES, limits.MAX_SOCKET_UNREAD_BYTES],
    [limits.MAX_MESSAGE_BYTES, limits.MAX_APPEND_BYTES, limits.MAX_PENDING_APPENDS_BYTES],
    [limits.MAX_APPEND_BYTES, limits.MAX_REQUEST_BYTES, limits.MAX_REQUEST_BYTES_IN_PROGRESS],
    [limits.MAX_WORK_BYTES_PER_REQUEST, limits.MAX_WORK_BYTES],
    [limits.MAX_MESSAGE_BYTES, limits.MAX_LINE_BYTES, limits.MAX_REQUEST_BYTES],
    [limits.MAX_DECOMPRESSED_BYTES, limits.MAX_DECODED_REQUEST_BYTES],
    [limits.MIN_FEED_BYTES, limits.MAX_FEED_BYTES, limits.MAX_FEEDS_BYTES],
    [limits.MAX_FEEDS_BYTES, limits.MAX_ALL_FEEDS_BYTES],
    [limits.MAX_KAFKA_REQUEST_BYTES, limits.MAX_KAFKA_QUEUED_BYTES],
    [limits.MAX_KAFKA_ANSWER_BYTES, limits.MAX_KAFKA_IN_FLIGHT_BYTES],
    [limits.DEFAULT_OFFSETS_RETENTION_MINUTES, limits.MAX_OFFSETS_RETENTION_MINUTES],
    [limits.DEFAULT_REBALANCE_TIMEOUT_MS, limits.MAX_REBALANCE_TIMEOUT_MS],
    [limits.MIN_HEARTBEAT_INTERVAL_MS, limits.MAX_HEARTBEAT_INTERVAL_MS],
  ];
  for (const bounds of ascending) expect(bounds).toEqual([...bounds].sort((a, b) => a - b));
  expect(limits.MAX_OFFSETS_RETENTION_MINUTES).toBeGreaterThanOrEqual(10 * 365 * 24 * 60);
});
