// POST /v1/groups/:group/poll: group membership for clients that cannot hold a connection.
import { Hono } from "hono";
import { errorOf } from "../../core/errors.ts";
import { whyNotTopicPattern } from "../../core/group/topic-pattern.ts";
import type { Env } from "../../env.ts";
import { toJsonRecord } from "../../protocol/json-record.ts";
import { parse, parseJson } from "../../protocol/parse.ts";
import { pollSchema } from "../../protocol/poll.ts";
import { assertMayUseTopic } from "../edge/authorize.ts";
import { leave, type PollResult, poll } from "../edge/poll.ts";
import { readText } from "./body.ts";
import { groupParameter, topicParameter } from "./parameters.ts";

export const polls = new Hono<{ Bindings: Env }>().post("/:group/poll", async (context) => {
  const groupId = groupParameter(context.req.param("group"));
  const body = parse(pollSchema, parseJson(await readText(context.req.raw), "the body"));
  for (const topic of [...body.topics, ...body.ack.map((each) => each.topic)])
    assertMayUseTopic(context.env, "READ", topicParameter(topic));
  const { pattern = null } = body;
  const invalid = whyNotTopicPattern(pattern, "pattern");
  if (invalid !== null) throw errorOf(invalid);
  const result = body.leave
    ? await leave(context.env, groupId, body)
    : await poll(context.env, groupId, {
        ...body,
        clientId: body.clientId ?? null,
        topicPattern: pattern,
      });
  return context.json(pollJson(result));
});

function pollJson({ assignment, records, rejected, missing, unreadable }: PollResult) {
  const byTopic = Map.groupBy(assignment, ({ topic }) => topic);
  return {
    assignment: Array.from(byTopic, ([topic, places]) => ({
      topic,
      partitions: places.map(({ partition }) => partition),
    })),
    records: records.map(({ topic, partition, record }) => ({
      topic,
      partition,
      ...toJsonRecord(record),
    })),
    ...(rejected.length === 0 ? {} : { rejected }),
    ...(missing.length === 0 ? {} : { missing }),
    ...(unreadable.length === 0 ? {} : { unreadable }),
  };
}
