// A record as typed into a form: its errors, and the record to send.
import { fromBase64, toBase64 } from "../core/bytes.ts";
import { partitionForKey } from "../core/partitioner.ts";
import type { JsonHeader, JsonRecordInput } from "../protocol/json-record.ts";
import { type Bytes, headersOf, keyBytes, type PlacedRecord, valueBytes } from "./record-bytes.ts";

/** The way in which a text becomes bytes. JSON is sent as typed, once it is known to be valid. */
export type Format = "text" | "json" | "base64" | "null";

export interface BytesDraft {
  readonly format: Format;
  readonly text: string;
}

export interface HeaderDraft {
  readonly name: string;
  readonly value: BytesDraft;
}

export interface Draft {
  /** An empty text means no key. An empty key is empty base64. */
  readonly key: BytesDraft;
  readonly value: BytesDraft;
  readonly headers: readonly HeaderDraft[];
  /** The number of a partition as typed, or null to use the key. */
  readonly partition: string | null;
}

/** The errors, by part of the form. */
export type Problems = Readonly<Record<string, string>>;

export const NEW_HEADER: HeaderDraft = { name: "", value: { format: "text", text: "" } };

const NEW_DRAFT: Draft = {
  key: { format: "text", text: "" },
  value: { format: "text", text: "" },
  headers: [],
  partition: null,
};

// A field of one line cannot contain these. A field of several lines would turn a carriage return into a line
// feed.
const NOT_IN_A_LINE = /[\r\n]/;
const NOT_IN_LINES = /\r/;

/** Returns a draft that produces the same bytes in the same partition, or an empty one. */
export function draftOf(record: PlacedRecord | null): Draft {
  if (record === null) return NEW_DRAFT;
  const key = keyBytes(record);
  const value = bytesDraft(valueBytes(record), NOT_IN_LINES);
  return {
    key:
      key.text === null && key.base64 === null
        ? NEW_DRAFT.key
        : key.text === ""
          ? { format: "base64", text: "" }
          : bytesDraft(key, NOT_IN_A_LINE),
    value: value.format === "text" && isJson(value.text) ? { ...value, format: "json" } : value,
    headers: headersOf(record).map(({ name, bytes }) => ({
      name,
      value: bytesDraft(bytes, NOT_IN_A_LINE),
    })),
    partition: String(record.partition),
  };
}

function bytesDraft({ text, base64 }: Bytes, unfit: RegExp): BytesDraft {
  if (base64 !== null) return { format: "base64", text: base64 };
  if (text === null) return { format: "null", text: "" };
  return unfit.test(text)
    ? { format: "base64", text: toBase64(new TextEncoder().encode(text)) }
    : { format: "text", text };
}

/** Returns the errors of a draft. It may be sent if there are none. */
export function problemsOf(draft: Draft, partitions: number): Problems {
  const problems: Record<string, string> = {};
  const note = (part: string, problem: string | null) => {
    if (problem !== null) problems[part] = problem;
  };
  note("key", bytesProblem(draft.key));
  note("value", bytesProblem(draft.value));
  for (const [i, { value }] of draft.headers.entries()) note(`header ${i}`, bytesProblem(value));
  const { partition } = draft;
  if (partition !== null && !(/^\d+$/.test(partition) && Number(partition) < partitions))
    note("partition", `The topic has partitions 0 to ${partitions - 1}.`);
  return problems;
}

function bytesProblem({ format, text }: BytesDraft): string | null {
  if (format === "json" && !isJson(text)) return jsonProblem(text);
  if (format === "base64" && bytesOf({ format, text }) === null) return "This is not base64.";
  return null;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function jsonProblem(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `This is not JSON: ${(error as Error).message}`;
  }
}

/** Returns the bytes, or null if there are none. */
function bytesOf({ format, text }: BytesDraft): Uint8Array | null {
  if (format === "null") return null;
  if (format !== "base64") return new TextEncoder().encode(text);
  try {
    return fromBase64(text.trim());
  } catch {
    return null;
  }
}

function hasKey({ key }: Draft): boolean {
  return key.format === "base64" || (key.format === "text" && key.text !== "");
}

/** Returns the partition to which Kafka's clients send the key, or null without a key. */
export function keyPartition(draft: Draft, partitions: number): number | null {
  const bytes = hasKey(draft) ? bytesOf(draft.key) : null;
  return bytes === null ? null : partitionForKey(bytes, partitions);
}

/** Returns the record for a draft without errors. */
export function recordOf(draft: Draft): JsonRecordInput {
  const { headers, partition } = draft;
  const values = new Map<string, JsonHeader[]>();
  for (const { name, value } of headers) {
    const before = values.get(name) ?? [];
    const { text, base64 } = encoded(value);
    values.set(name, [...before, base64 === null ? text : { base64 }]);
  }
  const key = hasKey(draft) ? encoded(draft.key) : { text: null, base64: null };
  const value = encoded(draft.value);
  return {
    ...(key.base64 === null ? { key: key.text } : { keyBase64: key.base64 }),
    ...(value.base64 === null ? { value: value.text } : { valueBase64: value.base64 }),
    // fromEntries also accepts a header named __proto__.
    headers: Object.fromEntries(values),
    ...(partition === null ? {} : { partition: Number(partition) }),
  };
}

/** Base64 is sent in the only form that the broker accepts: padded, and without white space. */
function encoded(draft: BytesDraft): Bytes {
  if (draft.format === "null") return { text: null, base64: null };
  if (draft.format !== "base64") return { text: draft.text, base64: null };
  return { text: null, base64: toBase64(bytesOf(draft) ?? new Uint8Array()) };
}

/** Returns the part of the form that the broker's error is about, or null if there is none. */
export function partOfRefusal(code: string, detail: string): string | null {
  if (code === "MESSAGE_TOO_LARGE" || code === "RECORD_LIST_TOO_LARGE") return "value";
  const part = /^records\[0\]\.(key|value|headers|partition)/.exec(detail)?.[1];
  return part ?? null;
}
