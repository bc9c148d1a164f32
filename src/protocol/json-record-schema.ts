// The schemas of records in requests. The SDK does not use them, because it includes no library.
import * as z from "zod";
import {
  MAX_HEADERS_PER_RECORD,
  MAX_PARTITIONS_PER_TOPIC,
  MAX_RECORD_JSON_VALUES,
  MAX_RECORDS_PER_REQUEST,
  MAX_TIMESTAMP_MS,
} from "../core/limits.ts";
import { BROKEN_TEXT, type JsonHeaders } from "./json-record.ts";
import { keepRecordText, keepRecordTexts } from "./json-text.ts";
import { countJsonValues, integer, parseShaped } from "./parse.ts";

/** True if the text has a UTF-8 form. */
function isUnicode(text: string): boolean {
  return text.isWellFormed();
}

const base64 = z.base64("must be base64");
const headerValue = z.union(
  [z.string().refine(isUnicode, BROKEN_TEXT), z.null(), z.strictObject({ base64 })],
  "must be a string, null, {base64} or a list of these",
);

/** Headers, checked and passed on unchanged. A copy would lose a header named `__proto__`. */
const headers = z.custom<JsonHeaders>().superRefine((value, context) => {
  const complain = (message: string, ...path: PropertyKey[]) =>
    context.addIssue({ code: "custom", path, message });
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    complain("must be an object");
    return;
  }
  const entries = Object.entries(value);
  const count = entries.reduce(
    (sum, [, given]) => sum + (Array.isArray(given) ? given.length : 1),
    0,
  );
  // This check comes first, because every header could cause an error.
  if (count > MAX_HEADERS_PER_RECORD) {
    complain(`has ${count} headers, the bound is ${MAX_HEADERS_PER_RECORD}`);
    return;
  }
  for (const [name, given] of entries) {
    if (!isUnicode(name)) complain(BROKEN_TEXT, name);
    const values = Array.isArray(given) ? given : [given];
    for (const [index, each] of values.entries()) {
      const path = Array.isArray(given) ? [name, index] : [name];
      const issue = headerValue.safeParse(each).error?.issues[0];
      if (issue !== undefined) complain(issue.message, ...path, ...issue.path);
    }
  }
});

const jsonRecord = z
  .strictObject({
    key: z.unknown().optional(),
    keyBase64: base64.optional(),
    value: z.unknown().optional(),
    valueBase64: base64.optional(),
    headers: headers.optional(),
    partition: integer(0, MAX_PARTITIONS_PER_TOPIC - 1).optional(),
    /**
     * Milliseconds since the epoch. The default is the time of arrival. Kafka's clients send -1 for none, or even lower
     * numbers.
     */
    timestamp: integer(-MAX_TIMESTAMP_MS, MAX_TIMESTAMP_MS).optional(),
  })
  .superRefine((record, context) => {
    const complain = (field: string, message: string) =>
      context.addIssue({ code: "custom", path: [field], message });
    if (record.value === undefined && record.valueBase64 === undefined) {
      complain("value", "is required (null for a tombstone), or valueBase64");
    }
    for (const plain of ["value", "key"] as const) {
      const encoded = `${plain}Base64` as const;
      if (record[plain] !== undefined && record[encoded] !== undefined) {
        complain(encoded, `conflicts with ${plain}`);
      }
      const text = record[plain];
      if (typeof text === "string" && !isUnicode(text)) complain(plain, BROKEN_TEXT);
    }
  });

const TOO_MANY = `must have at most ${MAX_RECORDS_PER_REQUEST} records`;

/** The records of one produce request. They are counted first. If there are too many, none is checked. */
export const recordList = z.preprocess(
  (value, context) => {
    if (Array.isArray(value) && value.length > MAX_RECORDS_PER_REQUEST)
      context.addIssue({ code: "custom", message: TOO_MANY });
    return value;
  },
  z.array(jsonRecord).min(1, "must have at least 1 record").max(MAX_RECORDS_PER_REQUEST, TOO_MANY),
);

/** Called with the number of JSON values in a text before they are created. */
type Admit = (values: number) => void;

/**
 * Parses `{"records": […]}`. Keys and values that are not strings become their bytes, exactly as sent [PRD-6].
 * @throws BrokerError INVALID_REQUEST, and errors of `admit`
 */
export function parseRecordsJson(text: string, what: string, admit?: Admit): unknown {
  const body = parseBounded(text, what, admit);
  keepRecordTexts(text, body);
  return body;
}

/** Parses one record in the same way. */
export function parseRecordJson(text: string, what: string, admit?: Admit): unknown {
  const record = parseBounded(text, what, admit);
  keepRecordText(text, record);
  return record;
}

function parseBounded(text: string, what: string, admit: Admit = () => {}): unknown {
  admit(countJsonValues(text, what, MAX_RECORD_JSON_VALUES));
  return parseShaped(text, what);
}
