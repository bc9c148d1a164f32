// Path and query parameters.
import * as z from "zod";
import { whyNotGroupId, whyNotTopicName } from "../../core/cluster/topics.ts";
import { BrokerError, errorOf } from "../../core/errors.ts";
import { isoTimeMs } from "../../core/iso-time.ts";
import { MAX_GROUP_ID_LENGTH, MAX_LIST_PAGE } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { parse, queryInteger } from "../../protocol/parse.ts";
import { HEADER_PREFIX } from "../../protocol/record-filter.ts";
import { inside } from "../edge/namespace.ts";

/** Returns a valid topic name, in the namespace of the caller. Throws INVALID_TOPIC_EXCEPTION otherwise. */
export function topicParameter(env: Env, text: string): string {
  const name = inside(env, text);
  const invalid = whyNotTopicName(name);
  if (invalid !== null) throw errorOf(invalid);
  return name;
}

/** Returns a valid group id, in the namespace of the caller. Throws INVALID_GROUP_ID otherwise. */
export function groupParameter(env: Env, text: string): string {
  const groupId = inside(env, text);
  const invalid = whyNotGroupId(groupId);
  if (invalid !== null) throw errorOf(invalid);
  return groupId;
}

const partitionPath = z.object({ partition: queryInteger(0, 2 ** 31 - 1) });

export function partitionParameter(text: string): number {
  return parse(partitionPath, { partition: text }).partition;
}

/**
 * Parses the query by the schema. `header.NAME=value` becomes an entry of `header`, by the whole name, because
 * a header may be called __proto__. Parameters that the schema does not name are refused as typos.
 */
export function query<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
): z.output<Schema> {
  const values: Record<string, unknown> = {};
  const headers: Record<string, unknown> = {};
  for (const [name, value] of new URL(request.url).searchParams) {
    // The SDK sends a token with every socket and stream, because browsers and proxies may set no header there.
    if (name === "access_token") continue;
    if (!name.startsWith(HEADER_PREFIX)) setOnce(values, name, name, value);
    else {
      setOnce(headers, name, name, value);
      values.header = headers;
    }
  }
  return parse(schema, values);
}

function setOnce(
  values: Record<string, unknown>,
  key: string,
  parameter: string,
  value: unknown,
): void {
  if (Object.hasOwn(values, key))
    throw new BrokerError("INVALID_REQUEST", `${parameter}: appears more than once in the query`);
  Object.defineProperty(values, key, { value, enumerable: true, configurable: true });
}

/** [CLU-6] A page of a list, or all of it without `limit`. */
export const listQuery = z
  .strictObject({
    after: z
      .string()
      .max(MAX_GROUP_ID_LENGTH)
      .default("")
      .describe("The `next` of the previous page; needs `limit`"),
    limit: queryInteger(1, MAX_LIST_PAGE)
      .optional()
      .describe("The length of a page; the whole list by default"),
  })
  .refine(({ after, limit }) => limit !== undefined || after === "", {
    path: ["after"],
    error: "needs limit, the length of the page",
  });

/** Parses a point in time: milliseconds since the epoch, or ISO 8601, in UTC if it names no zone. Null for anything else. */
export function timestampParameter(text: string): number | null {
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  return isoTimeMs(text);
}
