// /v1/topics/:topic/partitions/:partition/batches and /v1/producers: for clients that
// encode their record batches themselves, as the SDK does.
import { Hono } from "hono";
import * as z from "zod";
import { unwrap } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { queryInteger } from "../../protocol/parse.ts";
import { assertMayProduceSomewhere } from "../edge/authorize.ts";
import { appendBatches } from "../edge/batches.ts";
import { newProducerId } from "../edge/producer-pool.ts";
import { readBytes } from "./body.ts";
import { whileRoom } from "./in-progress.ts";
import { partitionParameter, query, topicParameter } from "./parameters.ts";

export const batchesQuery = z.strictObject({
  expectedOffset: queryInteger(0, Number.MAX_SAFE_INTEGER).optional(),
});

export const batches = new Hono<{ Bindings: Env }>().post(
  "/:topic/partitions/:partition/batches",
  (context) =>
    whileRoom(async (work) => {
      const topic = topicParameter(context.env, context.req.param("topic"));
      const partition = partitionParameter(context.req.param("partition"));
      const { expectedOffset = null } = query(context.req.raw, batchesQuery);
      const bytes = await readBytes(context.req.raw);
      // The records examined are views into the bytes, or into the unfolded bytes of one batch.
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
