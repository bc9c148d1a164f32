// GET /v1/group-lags: the lag of groups, as last reported. Reading it wakes nothing.
import { Hono } from "hono";
import * as z from "zod";
import { MAX_LISTED_LAGS, MAX_TOPIC_NAME_LENGTH } from "../../core/limits.ts";
import { GROUP_ORDERS, type GroupSummary } from "../../core/metrics/group-summaries.ts";
import { type Env, metricsStub } from "../../env.ts";
import { queryInteger } from "../../protocol/parse.ts";
import { seesGroup, seesTopic } from "../edge/authorize.ts";
import { inside, outside } from "../edge/namespace.ts";
import { listAnswer } from "./answer.ts";
import { query } from "./parameters.ts";

const DEFAULT_LIMIT = 100;
/** The longest name of a state is shorter than this. */
const MAX_STATE_CHARS = 64;

export const groupLagsQuery = z.strictObject({
  order: z
    .enum(GROUP_ORDERS)
    .default("age")
    .describe("The order of the list, the largest first; age is that of the oldest unread record"),
  state: z
    .string()
    .max(MAX_STATE_CHARS)
    .optional()
    .describe(
      "Only groups in this state; Kafka's names are accepted too, and case does not matter",
    ),
  topic: z
    .string()
    .max(MAX_TOPIC_NAME_LENGTH)
    .optional()
    .describe("Only groups with a committed offset in this topic"),
  limit: queryInteger(1, MAX_LISTED_LAGS)
    .default(DEFAULT_LIMIT)
    .describe(`The most groups, ${DEFAULT_LIMIT} by default`),
});

/** [MET-15] */
export const groupLags = new Hono<{ Bindings: Env }>().get("/", async ({ env, req }) => {
  const { order, state, topic, limit } = query(req.raw, groupLagsQuery);
  const { groups } = await metricsStub(env).groupLags({ order });
  const named = topic === undefined ? undefined : inside(env, topic);
  const items = groups
    .filter(
      (group) =>
        seesGroup(env, group.groupId) &&
        (state === undefined || group.state.toUpperCase() === state.toUpperCase()) &&
        (named === undefined || (group.topics.includes(named) && seesTopic(env, named))),
    )
    .slice(0, limit);
  return listAnswer({ field: "groups", items, toJson: (each) => summaryJson(env, each) });
});

function summaryJson(env: Env, { groupId, topics, ...rest }: GroupSummary) {
  const visible = topics.filter((topic) => seesTopic(env, topic));
  // The lag covers all topics together.
  const hidden = visible.length < topics.length ? { lag: null, oldestUnreadMs: null } : {};
  return {
    groupId: outside(env, groupId),
    topics: visible.map((topic) => outside(env, topic)),
    ...{ ...rest, ...hidden },
  };
}
