// /v1/share-groups: queues for clients without a connection. They acquire records and acknowledge each one.
import { Hono } from "hono";
import { attempt, errorOf, type Result } from "../../core/errors.ts";
import { formatLease } from "../../core/share/lease-id.ts";
import type { Env } from "../../env.ts";
import { toJsonRecord } from "../../protocol/json-record.ts";
import { parse, parseJson } from "../../protocol/parse.ts";
import { acknowledgeSchema, acquireSchema, redriveSchema } from "../../protocol/share-groups.ts";
import { stillGood, waitWithin } from "../access/authenticate.ts";
import { assertMayUseTopic, seesTopic } from "../edge/authorize.ts";
import { outside, outsideError, outsideText, outsideTopic } from "../edge/namespace.ts";
import { type RedriveResult, redrive } from "../edge/redrive.ts";
import {
  type AcquireResult,
  acknowledge,
  acquire,
  describeShareGroup,
  type ShareGroup,
} from "../edge/share-groups.ts";
import { readText } from "./body.ts";
import { withJson } from "./in-progress.ts";
import { groupParameter, topicParameter } from "./parameters.ts";
import { problemOf } from "./problem.ts";

export const shareGroups = new Hono<{ Bindings: Env }>()
  .get("/:group", async (context) => {
    const { env } = context;
    const group = await describeShareGroup(env, groupParameter(env, context.req.param("group")));
    return context.json(groupJson(env, group));
  })
  .post("/:group/acquire", async (context) => {
    const { env } = context;
    const groupId = groupParameter(env, context.req.param("group"));
    const body = parse(acquireSchema, parseJson(await readText(context.req.raw), "the body"));
    const topics = body.topics.map((topic) => topicParameter(env, topic));
    for (const topic of topics) assertMayUseTopic(env, "READ", topic);
    const { lockMs = null } = body;
    const waitMs = waitWithin(env, body.waitMs);
    const acquired = await acquire(env, groupId, { ...body, topics, lockMs, waitMs });
    await stillGood(env);
    return context.json(acquiredJson(env, acquired));
  })
  .post("/:group/redrive", async (context) => {
    const { env } = context;
    const groupId = groupParameter(env, context.req.param("group"));
    const text = await readText(context.req.raw);
    const { maxRecords } = parse(redriveSchema, text === "" ? {} : parseJson(text, "the body"));
    return context.json(redriveJson(env, await redrive(env, groupId, maxRecords)));
  })
  .post("/:group/acknowledge", (context) =>
    withJson(context.req.raw, acknowledgeSchema, async ({ acks }) => {
      const { env } = context;
      const groupId = groupParameter(env, context.req.param("group"));
      const results = await acknowledge(env, groupId, acks, (topic) =>
        attempt(() => {
          const name = topicParameter(env, topic);
          assertMayUseTopic(env, "READ", name);
          return { ok: true as const, topic: name };
        }),
      );
      return context.json({ results: results.map((result) => resultJson(env, result)) });
    }),
  );

function redriveJson(env: Env, { failed, ...counts }: RedriveResult) {
  return {
    ...counts,
    failed: failed.map((each) => ({ ...each, detail: outsideText(env, each.detail) })),
  };
}

function groupJson(env: Env, { groupId, state, epoch, members, shares }: ShareGroup) {
  return {
    groupId: outside(env, groupId),
    ...{ state, epoch, members },
    partitions: shares
      .filter(({ topic }) => seesTopic(env, topic))
      .map(({ acquired: inFlight, topic, partition, startOffset, ...counts }) => ({
        topic: outside(env, topic),
        ...{ partition, startOffset, inFlight, ...counts },
      })),
  };
}

function acquiredJson(env: Env, { lockMs, records }: AcquireResult) {
  return {
    lockTimeoutMs: lockMs,
    records: records.map(({ record, deliveryCount, ...lease }) => {
      const named = outsideTopic(env, lease);
      const { topic, partition } = named;
      const leaseId = formatLease(named);
      return { topic, partition, ...toJsonRecord(record), deliveryCount, leaseId };
    }),
  };
}

function resultJson(env: Env, result: Result<object>) {
  if (result.ok) return { ok: true };
  const { code, errorCode, retriable, detail } = problemOf(outsideError(env, errorOf(result)));
  return { ok: false, code, errorCode, retriable, detail };
}
