// Filters of plain readers, by equality of the key and of headers. Filtered-out records are still read, so positions
// move past them.

import * as z from "zod";
import { equalBytes } from "../core/bytes.ts";
import { MAX_FILTER_HEADERS, MAX_FILTER_LENGTH } from "../core/limits.ts";
import type { ConsumerRecord } from "../core/record.ts";

/** The prefix of the parameters that name a header. */
export const HEADER_PREFIX = "header.";

const text = z.string().max(MAX_FILTER_LENGTH);

/** The query parameters `key=…` and `header.NAME=…`. */
export const filterParameters = {
  key: text.optional().describe("Only records with this key pass"),
  header: z
    .record(text, text)
    .refine((headers) => Object.keys(headers).length <= MAX_FILTER_HEADERS, {
      error: `names more than ${MAX_FILTER_HEADERS} headers, the bound`,
    })
    .optional()
    .describe(
      "Only records that have each of these headers with this value pass, as `header.NAME=value`",
    ),
};

export type RecordFilter = (record: ConsumerRecord) => boolean;

const UTF8 = new TextEncoder();

/** Makes a filter. Null if every record passes. */
export function recordFilter({
  key,
  header = {},
}: {
  readonly key?: string | undefined;
  readonly header?: Readonly<Record<string, string>> | undefined;
}): RecordFilter | null {
  const keyBytes = key === undefined ? null : UTF8.encode(key);
  const headers = Object.entries(header).map(([name, value]) => ({
    name: name.slice(HEADER_PREFIX.length),
    value: UTF8.encode(value),
  }));
  if (keyBytes === null && headers.length === 0) return null;
  return (record) => {
    if (keyBytes !== null && !equalBytes(record.key, keyBytes)) return false;
    return headers.every(({ name, value }) =>
      record.headers.some((each) => each.key === name && equalBytes(each.value, value)),
    );
  };
}
