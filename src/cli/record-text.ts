// A record as a line for people: its value, or the fields that --print names.
import { InvalidArgumentError } from "commander";
import { toBase64 } from "../core/bytes.ts";
import type { ConsumerRecord, TopicPartition } from "../sdk/index.ts";

export const PRINTED_FIELDS = [
  "key",
  "value",
  "headers",
  "timestamp",
  "topic",
  "partition",
  "offset",
] as const;
export type PrintedField = (typeof PRINTED_FIELDS)[number];

const TAB = "\t";

export interface LineFormat {
  /** The fields in the order in which they are printed. */
  readonly fields: readonly PrintedField[];
  /** Stands between a key and the value after it. Other fields are separated by a tab. */
  readonly keySeparator: string;
}

export const VALUE_ONLY: LineFormat = { fields: ["value"], keySeparator: TAB };

/** Parses the value of --print. */
export function parseFields(text: string): PrintedField[] {
  const fields = text.split(",").map((field) => field.trim());
  const isField = (field: string): field is PrintedField =>
    (PRINTED_FIELDS as readonly string[]).includes(field);
  if (fields.every(isField) && new Set(fields).size === fields.length) return fields;
  throw new InvalidArgumentError(
    `It must be some of ${PRINTED_FIELDS.join(", ")}, each once, with commas between them.`,
  );
}

/** Parses a separator. `\t` is a tab, which is hard to type. */
export function parseSeparator(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must not be empty.");
  return text.replaceAll("\\t", TAB);
}

const NULL = Buffer.from("null");
const NEWLINE = Buffer.from("\n");

/** Returns the record's line. Keys and values are written as the bytes that they are. */
export function lineOf(
  record: ConsumerRecord,
  place: TopicPartition,
  { fields, keySeparator }: LineFormat,
): Uint8Array {
  const pieces = fields.flatMap((field, index) => {
    const isPair = fields[index - 1] === "key" && field === "value";
    const separator = index === 0 ? "" : isPair ? keySeparator : TAB;
    return [Buffer.from(separator), bytesOf(field, record, place)];
  });
  return Buffer.concat([...pieces, NEWLINE]);
}

function bytesOf(field: PrintedField, record: ConsumerRecord, place: TopicPartition): Uint8Array {
  switch (field) {
    case "key":
    case "value":
      return record[field] ?? NULL;
    case "headers":
      return Buffer.from(headersText(record.headers));
    case "timestamp":
      return Buffer.from(timeText(record.timestamp));
    case "offset":
      return Buffer.from(String(record.offset));
    default:
      return Buffer.from(String(place[field]));
  }
}

/** Returns `name=value` pairs with commas between them, as kafka-console-consumer prints them. */
function headersText(headers: ConsumerRecord["headers"]): string {
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  return headers
    .map(({ key, value }) => {
      if (value === null) return `${key}=null`;
      try {
        return `${key}=${utf8.decode(value)}`;
      } catch {
        return `${key}=base64:${toBase64(value)}`;
      }
    })
    .join(",");
}

const MAX_TIME_MS = 8.64e15;

/** Writes a time as ISO 8601, or as milliseconds if it is too far away for that. */
export function timeText(ms: number): string {
  return Math.abs(ms) <= MAX_TIME_MS ? new Date(ms).toISOString() : String(ms);
}
