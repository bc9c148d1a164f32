// GET /v1/topics/:topic/stream: a topic, or one partition of it, read without a group, as server-sent events
// or over a WebSocket.
import { Hono } from "hono";
import { assertKept } from "../../calls/socket-caller.ts";
import type { Topic } from "../../core/cluster/topics.ts";
import { BrokerError, preview } from "../../core/errors.ts";
import type { Env } from "../../env.ts";
import { EVENT_ID, type StreamOptions, streamQuery } from "../../protocol/plain-consumer.ts";
import { callerIn } from "../edge/authorize.ts";
import { topicMetadata, topicWithPartition } from "../edge/metadata.ts";
import { openConnection } from "../edge/quotas.ts";
import { EventStream } from "../session/event-stream.ts";
import { query, topicParameter } from "./parameters.ts";
import { isUpgrade, plainSession } from "./sockets.ts";

export const streams = new Hono<{ Bindings: Env }>().get("/:topic/stream", async (context) => {
  const name = topicParameter(context.env, context.req.param("topic"));
  const options = query(context.req.raw, streamQuery);
  const { partition } = options;
  const topic =
    partition === undefined
      ? await topicMetadata(context.env, name)
      : await topicWithPartition(context.env, name, partition);
  const start = startOf(topic, options, context.req.header("last-event-id") ?? null);
  const growing = partition === undefined ? topic : undefined;
  if (isUpgrade(context)) {
    const reader = { groupId: null, topics: [name], instanceId: null, clientId: null };
    return plainSession(context, { ...reader, ...start }, options, growing);
  }
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store" };
  if (context.req.raw.method === "HEAD") return new Response(null, { headers }); // [PLC-3] Nobody reads.
  assertKept(callerIn(context.env));
  const close = openConnection(callerIn(context.env));
  const stream = new EventStream(context.env, name, { ...options, ...start, growing });
  context.executionCtx.waitUntil(stream.closed.then(close));
  return new Response(stream.body, { headers });
});

/** Returns the partitions to read, and their start offsets. The id of an event overrides `from`. */
function startOf(topic: Topic, { partition, from }: StreamOptions, lastEventId: string | null) {
  if (lastEventId && !EVENT_ID.test(lastEventId))
    throw new BrokerError(
      "INVALID_REQUEST",
      `Last-Event-ID: must be the id of an event, such as 0:42,1:7; got ${preview(lastEventId)}`,
    );
  const numbers = partition === undefined ? [...Array(topic.partitions).keys()] : [partition];
  const isNumber = /^\d+$/.test(from);
  if (isNumber && partition === undefined)
    throw new BrokerError(
      "INVALID_REQUEST",
      `from: is the offset ${from}, so partition must be given`,
    );
  const positions = new Map<number, number>(
    isNumber
      ? [[partition ?? 0, Number(from)]]
      : [...positionsOf(from), ...positionsOf(lastEventId)],
  );
  const resumes = !isNumber && positions.size > 0;
  return {
    // [STR-6] A client that continues at an offset that retention has removed starts at the earliest record
    // left, and not at the end.
    from: from === "latest" && !resumes ? ("latest" as const) : ("earliest" as const),
    partitions: numbers.map((number) => {
      // [STR-6] A partition that the id does not name was added while nobody read.
      const offset = positions.get(number) ?? (resumes ? 0 : undefined);
      const place = { topic: topic.name, topicId: topic.topicId, partition: number };
      return offset === undefined ? place : { ...place, offset };
    }),
  };
}

/** Reads the positions in an event's id, such as `0:42,1:7`. There may be none, or a word instead. */
function positionsOf(id: string | null): [number, number][] {
  if (id === null || !EVENT_ID.test(id)) return [];
  return id.split(",").map((pair) => pair.split(":").map(Number) as [number, number]);
}
