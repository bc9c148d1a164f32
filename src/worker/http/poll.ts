// POST /v1/groups/:group/poll: group membership for clients that cannot hold a connection.
import { Hono } from "hono";
import { errorOf } from "../../core/errors.ts";
import { whyNotTopicPattern } from "../../core/group/topic-pattern.ts";
import type { Env } from "../../env.ts";
import { toJsonRecord } from "../../protocol/json-record.ts";
import { parse, parseJson } from "../../protocol/parse.ts";
import { pollSchema } from "../../protocol/poll.ts";
import { stillGood, waitWithin } from "../access/authenticate.ts";
import { assertMayUseTopic } from "../edge/authorize.ts";
import { insidePattern, outside, outsideRefusal } from "../edge/namespace.ts";
import { leave, type PollResult, poll } from "../edge/poll.ts";
import { readText } from "./body.ts";
import { groupParameter, topicParameter } from "./parameters.ts";

export const polls = new Hono<{ Bindings: Env }>().post("/:group/poll", async (context) => {
  const groupId = groupParameter(context.env, context.req.param("group"));
  const body = parse(pollSchema, parseJson(await readText(context.req.raw), "the body"));
  const { env } = context;
  const topics = body.topics.map((topic) => topicParameter(env, topic));
  const ack = body.ack.map((each) => ({ ...each, topic: topicParameter(env, each.topic) }));
  for (const topic of [...topics, ...ack.map((each) => each.topic)])
    assertMayUseTopic(env, "READ", topic);
  const topicPattern = body.pattern === undefined ? null : insidePattern(env, body.pattern);
  const invalid = whyNotTopicPattern(topicPattern, "pattern");
  if (invalid !== null) throw errorOf(invalid);
  const { clientId = null } = body;
  const result = body.leave
    ? await leave(env, groupId, { ...body, ack })
    : await poll(env, groupId, {
        ...body,
        waitMs: waitWithin(env, body.waitMs),
        topics,
        ack,
        clientId,
        topicPattern,
      });
  await stillGood(env);
  return context.json(pollJson(env, result));
});

function pollJson(env: Env, result: PollResult) {
  const { assignment, records } = result;
  const missing = result.missing.map((topic) => outside(env, topic));
  const rejected = result.rejected.map((each) => outsideRefusal(env, each));
  const unreadable = result.unreadable.map((each) => outsideRefusal(env, each));
  const byTopic = Map.groupBy(assignment, ({ topic }) => outside(env, topic));
  return {
    assignment: Array.from(byTopic, ([topic, places]) => ({
      topic,
      partitions: places.map(({ partition }) => partition),
    })),
    records: records.map(({ topic, partition, record }) => ({
      topic: outside(env, topic),
      partition,
      ...toJsonRecord(record),
    })),
    ...(rejected.length === 0 ? {} : { rejected }),
    ...(missing.length === 0 ? {} : { missing }),
    ...(unreadable.length === 0 ? {} : { unreadable }),
  };
}
