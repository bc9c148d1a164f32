// Records of every kind, and how they are compared.
import type { Client, Header, Read, Sent } from "./client.ts";

const AT_MS = 1_700_000_000_000;

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

const KEYS = [null, Buffer.from("key"), Buffer.from("schlüssel"), EVERY_BYTE];
const VALUES = [
  Buffer.from("value"),
  null,
  EVERY_BYTE,
  Buffer.alloc(0),
  Buffer.from("two\nlines, and = signs 漢字"),
  Buffer.alloc(100_000, EVERY_BYTE),
];
const HEADERS: readonly (readonly Header[])[] = [
  [],
  [["trace", Buffer.from("t-1")]],
  [
    ["many", Buffer.from("first")],
    ["many", Buffer.from("zweitens: ü")],
    ["empty", Buffer.alloc(0)],
    ["null", null],
  ],
];

/** Every combination of the above that the client can send; kcat sends none that has neither key nor value. */
export function everyKind(partitions: number, { sendsNullHeaders }: Client): Sent[] {
  const sendable = HEADERS.map((headers) =>
    headers.filter(([, value]) => value !== null || sendsNullHeaders),
  );
  const combinations = sendable.flatMap((headers) =>
    KEYS.flatMap((key) => VALUES.map((value) => ({ key, value, headers }))),
  );
  return combinations
    .filter(({ key, value }) => key !== null || (value !== null && value.length > 0))
    .map((record, i) => ({ ...record, partition: i % partitions, timestamp: AT_MS + i }));
}

/** This many small ones, to partition after partition. */
export function numbered(from: number, to: number, partitions: number): Sent[] {
  return Array.from({ length: to - from }, (_, i) => ({
    partition: i % partitions,
    key: null,
    value: Buffer.from(String(from + i)),
    headers: [],
    timestamp: AT_MS + from + i,
  }));
}

/** Without their offsets, which their sender does not know, in no order. */
export function contents(records: readonly Sent[], withTime: boolean): string[] {
  return records.map((record) => shown(record, withTime)).sort();
}

/** With their offsets, in the order of partitions and offsets. */
export function places(records: readonly Read[]): string[] {
  return records
    .toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
    .map((record) => `${record.partition}/${record.offset} ${shown(record, true)}`);
}

function shown({ partition, key, value, headers, timestamp }: Sent, withTime: boolean): string {
  const hex = (bytes: Buffer | null) => bytes?.toString("hex") ?? null;
  const named = headers.map(([name, value]) => [name, hex(value)]);
  const fields = [partition, hex(key), hex(value), named, ...(withTime ? [timestamp] : [])];
  return JSON.stringify(fields);
}
