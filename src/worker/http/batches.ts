// /v1/topics/:topic/partitions/:partition/batches and /v1/producers: for clients that encode their record
// batches themselves, as the SDK does.
import { Hono } from "hono";
import * as z from "zod";
import { unwrap } from "../../core/errors.ts";
import { DEFAULT_FETCH_BYTES, MAX_FETCH_BYTES } from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { queryInteger } from "../../protocol/parse.ts";
import { BATCH_HEADERS } from "../../protocol/stored-batches.ts";
import { assertMayProduceSomewhere } from "../edge/authorize.ts";
import { appendBatches } from "../edge/batches.ts";
import { fetchBatches } from "../edge/fetch.ts";
import { newProducerId } from "../edge/producer-pool.ts";
import { bytesAnswer } from "./answer.ts";
import { readBytes } from "./body.ts";
import { whileRoom } from "./in-progress.ts";
import { partitionParameter, query, topicParameter } from "./parameters.ts";

export const batchesQuery = z.strictObject({
  expectedOffset: queryInteger(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe("Append only if the first record gets this offset"),
});

export const fetchBatchesQuery = z.strictObject({
  offset: queryInteger(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe("The first offset to read; the start of the log by default"),
  maxBytes: queryInteger(1, MAX_FETCH_BYTES)
    .default(DEFAULT_FETCH_BYTES)
    .describe(
      `The most bytes, ${DEFAULT_FETCH_BYTES} by default; at least one batch is returned if there is one`,
    ),
});

const PATH = "/:topic/partitions/:partition/batches";

export const batches = new Hono<{ Bindings: Env }>()
  .get(PATH, async (context) => {
    const topic = topicParameter(context.env, context.req.param("topic"));
    const partition = partitionParameter(context.req.param("partition"));
    const { offset = null, maxBytes } = query(context.req.raw, fetchBatchesQuery);
    const fetched = await fetchBatches(context.env, { topic, partition, offset, maxBytes });
    return bytesAnswer(fetched.batches, {
      "content-type": "application/octet-stream",
      [BATCH_HEADERS.topicId]: fetched.topicId,
      [BATCH_HEADERS.nextOffset]: String(fetched.nextOffset),
      [BATCH_HEADERS.logStartOffset]: String(fetched.logStartOffset),
      [BATCH_HEADERS.highWatermark]: String(fetched.highWatermark),
    });
  })
  .post(PATH, (context) =>
    whileRoom(async (work) => {
      const topic = topicParameter(context.env, context.req.param("topic"));
      const partition = partitionParameter(context.req.param("partition"));
      const { expectedOffset = null } = query(context.req.raw, batchesQuery);
      const bytes = await readBytes(context.req.raw);
      // The records examined are views into the bytes, or into the decompressed bytes of one batch.
      work.add(2 * bytes.length);
      const stored = await appendBatches(context.env, topic, partition, bytes, expectedOffset);
      const { baseOffset, logAppendTimeMs } = unwrap(stored);
      return context.json({ baseOffset, ...(logAppendTimeMs === null ? {} : { logAppendTimeMs }) });
    }),
  );

export const producers = new Hono<{ Bindings: Env }>().post("/", (context) => {
  assertMayProduceSomewhere(context.env);
  return context.json({ producerId: newProducerId(), producerEpoch: 0 }, 201);
});
