// /v1/topics/:topic/records and …/partitions/:partition/…: produce,
// read, look up offsets. Raw batches are in batches.ts.
import { Hono } from "hono";
import * as z from "zod";
import { BrokerError, unwrap } from "../../core/errors.ts";
import {
  ANSWER_RESULT_BYTES,
  DEFAULT_FETCH_BYTES,
  DEFAULT_FETCH_RECORDS,
  MAX_FETCH_BYTES,
  MAX_FETCH_RECORDS,
  MAX_RECORDS_PER_REQUEST,
  MAX_REQUEST_BYTES,
  MAX_WAIT_MS,
} from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { toJsonRecord } from "../../protocol/json-record.ts";
import { atLine } from "../../protocol/line-errors.ts";
import { queryInteger } from "../../protocol/parse.ts";
import { stillGood, waitWithin } from "../access/authenticate.ts";
import { isRefused, refusalOf } from "../edge/append.ts";
import { fetchRecords, recordBytes } from "../edge/fetch.ts";
import { Invocation } from "../edge/invocation.ts";
import { atPartition, topicMetadata, topicWithPartition } from "../edge/metadata.ts";
import { listOffset, type OffsetSpec } from "../edge/offsets.ts";
import { deleteRecords } from "../edge/partition-use.ts";
import { outcomeOf, produce, type RecordRefused, type RecordResult } from "../edge/produce.ts";
import { type AnswerRoom, listAnswer, withAnswerRoom } from "./answer.ts";
import { IncomingBody } from "./body.ts";
import { type Ahead, BodyLines } from "./body-lines.ts";
import { produceLines, readLines } from "./bulk.ts";
import { assertNoIdempotencyKey, idempotencyKeyOf } from "./idempotency-key.ts";
import { whileRoom } from "./in-progress.ts";
import { acceptsLines, contentType, lineResponse, NDJSON, numbersOf } from "./lines.ts";
import { partitionParameter, query, timestampParameter, topicParameter } from "./parameters.ts";
import { PROBLEM_TYPE, problemOf } from "./problem.ts";
import { readRecords, recordsOfLines } from "./record-body.ts";

const offsetSchema = queryInteger(0, Number.MAX_SAFE_INTEGER);
export const produceQuery = z.strictObject({
  expectedOffset: offsetSchema
    .optional()
    .describe("Append only if the first record gets this offset"),
});
export const fetchQuery = z.strictObject({
  offset: offsetSchema
    .optional()
    .describe("The first offset to read; the start of the log by default"),
  maxRecords: queryInteger(1, MAX_FETCH_RECORDS)
    .default(DEFAULT_FETCH_RECORDS)
    .describe(`The most records, ${DEFAULT_FETCH_RECORDS} by default`),
  maxBytes: queryInteger(1, MAX_FETCH_BYTES)
    .default(DEFAULT_FETCH_BYTES)
    .describe(
      `The most stored bytes to read, and up to one batch more; ${DEFAULT_FETCH_BYTES} by default`,
    ),
  waitMs: queryInteger(0, MAX_WAIT_MS)
    .default(0)
    .describe("How long to wait if there are no records, in milliseconds"),
});
const bulkProduceQuery = z.strictObject({});
const bulkQuery = z.strictObject({
  offset: offsetSchema.optional(),
  maxRecords: queryInteger(1, Number.MAX_SAFE_INTEGER).default(Number.MAX_SAFE_INTEGER),
});
export const offsetsQuery = z.strictObject({
  at: z
    .string()
    .default("latest")
    .describe("earliest, latest, max-timestamp, milliseconds since 1970 or an ISO time"),
});
export const deleteQuery = z.strictObject({
  before: offsetSchema.describe("The first offset to keep"),
});

export const records = new Hono<{ Bindings: Env }>()
  .post("/:topic/records", async (context) => {
    const topic = topicParameter(context.env, context.req.param("topic"));
    const request = context.req.raw;
    const isLines = contentType(request) === NDJSON;
    if (isLines && acceptsLines(request)) {
      query(request, bulkProduceQuery);
      // Many appends are not one request that could be repeated as a whole.
      assertNoIdempotencyKey(
        request,
        "cannot be used for lines that are answered in lines; send smaller requests",
      );
      return produceInLines(topic, bodyLinesOf(context.env, request));
    }
    const { expectedOffset } = query(request, produceQuery);
    const idempotencyKey = idempotencyKeyOf(request);
    const source = isLines ? bodyLinesOf(context.env, request) : null;
    const ahead = source === null ? null : await readAhead(source);
    if (source !== null && ahead?.isAll === false) {
      if (expectedOffset === undefined && idempotencyKey === undefined)
        return produceInLines(topic, source);
      await source.body.discard();
      throw tooLongForOneAppend(ahead.lines.length);
    }
    const stored = whileRoom(async (work) => {
      const body =
        ahead === null ? await readRecords(request, work) : recordsOfLines(ahead.lines, work);
      if (body.expectedOffset !== undefined && expectedOffset !== undefined) {
        throw new BrokerError(
          "INVALID_REQUEST",
          "expectedOffset is in both the body and the query; give it once",
        );
      }
      const { records } = body;
      return withAnswerRoom(async (room) => {
        room.reserve(records.length, ANSWER_RESULT_BYTES);
        const results = await produce(context.env, topic, records, {
          expectedOffset: body.expectedOffset ?? expectedOffset,
          idempotencyKey,
          random: Math.random,
          nowMs: Date.now(),
        });
        return produceResponse(results, room);
      });
    });
    if (ahead === null) return stored;
    return stored.catch((error: unknown) => {
      throw atLine(error, numbersOf(ahead.lines));
    });
  })
  .get("/:topic/partitions/:partition/records", async (context) => {
    const { topic, partition } = place(context.env, context.req.param());
    if (acceptsLines(context.req.raw)) {
      const { offset = null, maxRecords } = query(context.req.raw, bulkQuery);
      await topicWithPartition(context.env, topic, partition);
      return lineResponse((hold) =>
        readLines(context.env, topic, partition, { offset, maxRecords, hold }),
      );
    }
    const { offset, maxRecords, maxBytes, waitMs } = query(context.req.raw, fetchQuery);
    const result = await fetchRecords(context.env, {
      topic,
      partition,
      offset: offset ?? null,
      maxRecords,
      maxBytes,
      waitMs: waitWithin(context.env, waitMs),
    });
    await stillGood(context.env);
    const { records: items, discard, ...rest } = result;
    const heldBytes = items.reduce((sum, record) => sum + recordBytes(record), 0);
    const list = { field: "records", items, toJson: toJsonRecord, rest, heldBytes };
    return listAnswer({ ...list, done: discard });
  })
  .get("/:topic/partitions/:partition/offsets", async (context) => {
    const { topic, partition } = place(context.env, context.req.param());
    const { at } = query(context.req.raw, offsetsQuery);
    const spec = offsetSpec(at);
    const listed = await atPartition(context.env, topic, partition, (topicId) =>
      listOffset(context.env, topicId, partition, spec),
    );
    return context.json(listed);
  })
  .delete("/:topic/partitions/:partition/records", async (context) => {
    const { topic, partition } = place(context.env, context.req.param());
    const { before } = query(context.req.raw, deleteQuery);
    const { logStartOffset } = await atPartition(context.env, topic, partition, async (topicId) =>
      unwrap(await deleteRecords(context.env, topicId, partition, before)),
    );
    return context.json({ logStartOffset });
  });

function place(
  env: Env,
  parameters: { topic: string; partition: string },
): { topic: string; partition: number } {
  return {
    topic: topicParameter(env, parameters.topic),
    partition: partitionParameter(parameters.partition),
  };
}

function bodyLinesOf(env: Env, request: Request): BodyLines {
  return new BodyLines(new IncomingBody(request), new Invocation(env));
}

/** Reads the lines of a body, up to the bound of one request. */
async function readAhead(source: BodyLines): Promise<Ahead> {
  try {
    const ahead = await source.readAhead(MAX_RECORDS_PER_REQUEST, MAX_REQUEST_BYTES);
    if (ahead.isAll) source.body.close();
    return ahead;
  } catch (error) {
    await source.body.discard();
    throw error;
  }
}

/** [BLK-1] [BLK-3] Stores any number of lines, and answers in lines. */
async function produceInLines(topic: string, source: BodyLines): Promise<Response> {
  const { invocation } = source;
  try {
    await topicMetadata(invocation.env, topic);
  } catch (error) {
    await source.body.discard();
    throw error;
  }
  return lineResponse(() => produceLines(invocation, topic, source));
}

/** [BLK-3] More lines than this are several appends. They cannot be conditional, or stored under one key. */
function tooLongForOneAppend(lines: number): BrokerError {
  const bounds = "with an Idempotency-Key or expectedOffset";
  if (lines > MAX_RECORDS_PER_REQUEST) {
    const detail = `the body has more than ${MAX_RECORDS_PER_REQUEST} records, the bound ${bounds}`;
    return new BrokerError("INVALID_REQUEST", detail);
  }
  const detail = `the body has more than ${MAX_REQUEST_BYTES} bytes, the bound ${bounds}`;
  return new BrokerError("MESSAGE_TOO_LARGE", detail);
}

/**
 * [PRD-4] Answers 200 if all records are stored, and 207 if some are, with errors in place of the others. If
 * none is stored, the answer is the error of the first, with all of them in `results`.
 */
function produceResponse(items: readonly RecordResult[], room: AnswerRoom): Response {
  const refused = items.filter((result): result is RecordRefused => isRefused(result));
  const list = { field: "results", items, toJson: outcomeOf, room };
  const first = refused[0];
  if (first !== undefined && refused.length === items.length) {
    const problem = problemOf(refusalOf(first));
    const { status } = problem;
    return listAnswer({ ...list, rest: problem, status, contentType: PROBLEM_TYPE });
  }
  return listAnswer({ ...list, status: first === undefined ? 200 : 207 });
}

function offsetSpec(at: string): OffsetSpec {
  if (at === "earliest" || at === "latest" || at === "max-timestamp") return at;
  const timestamp = timestampParameter(at);
  if (timestamp !== null) return { timestamp };
  throw new BrokerError(
    "INVALID_REQUEST",
    `at: must be earliest, latest, max-timestamp, milliseconds or an ISO time; got ${JSON.stringify(at)}`,
  );
}
