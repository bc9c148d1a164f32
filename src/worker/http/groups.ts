// /v1/groups: list, describe with lag, reset, delete.
import { Hono } from "hono";
import * as z from "zod";
import { groupResource } from "../../core/access/grants.ts";
import { durationMs } from "../../core/duration.ts";
import { unwrap } from "../../core/errors.ts";
import type { GroupDescription } from "../../core/group/describe.ts";
import type { NamedOffset } from "../../core/group/requests.ts";
import {
  ANSWER_ITEM_BYTES,
  DEFAULT_HISTORY_ENTRIES,
  MAX_HISTORY_ENTRIES,
  MAX_OFFSETS_PER_COMMIT,
  MAX_TOPICS_PER_MEMBER,
} from "../../core/limits.ts";
import type { Env } from "../../env.ts";
import { integer, queryInteger } from "../../protocol/parse.ts";
import { topicList } from "../../protocol/plain-consumer.ts";
import { noteChange } from "../edge/audit.ts";
import { assertMayUseTopic, seesGroup, seesTopic } from "../edge/authorize.ts";
import {
  alterGroupConfig,
  committedOffsets,
  deleteGroup,
  groupPage,
  type ListedGroup,
  listGroups,
  lookAtGroup,
  shownConfig,
} from "../edge/groups.ts";
import { lagInMetrics, withToldEnds } from "../edge/metrics.ts";
import { inside, outside, outsideTopic } from "../edge/namespace.ts";
import {
  groupOffsets,
  type PlannedReset,
  type ResetRequest,
  resetGroup,
  withStarts,
} from "../edge/offsets.ts";
import type { Page } from "../edge/pages.ts";
import { visibleGroup, visibleHistory } from "../edge/visible.ts";
import { listAnswer, withAnswerRoom } from "./answer.ts";
import { withJson } from "./in-progress.ts";
import { groupParameter, listQuery, query, timestampParameter } from "./parameters.ts";
import { configSchema } from "./topics.ts";

const DURATION_RULE = "must be milliseconds or an ISO 8601 duration like P1DT12H";
const anyInteger = integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const anyOffset = integer(0, Number.MAX_SAFE_INTEGER);
const timestamp = z
  .union([anyInteger, z.string()], "must be milliseconds or an ISO time")
  .transform((value, context) => {
    const ms = typeof value === "number" ? value : timestampParameter(value);
    if (ms !== null) return ms;
    context.addIssue({ code: "custom", message: "must be milliseconds or an ISO time" });
    return z.NEVER;
  });
/** A length of time: milliseconds, or ISO 8601 in days, hours, minutes and seconds (P1DT2H). */
const duration = z.union([anyOffset, z.string()], DURATION_RULE).transform((value, context) => {
  const ms = typeof value === "number" ? value : durationMs(value);
  if (ms !== null) return ms;
  context.addIssue({ code: "custom", message: DURATION_RULE });
  return z.NEVER;
});
const TO_RULE =
  'must be "earliest", "latest", "current", {offset}, {timestamp}, {duration} or {shiftBy}';
const PLAN_RULE = `must name 1 to ${MAX_OFFSETS_PER_COMMIT} partitions`;
const plan = z
  .array(
    z.strictObject({ topic: z.string(), partition: integer(0, 2 ** 31 - 1), offset: anyOffset }),
  )
  .min(1, PLAN_RULE)
  .max(MAX_OFFSETS_PER_COMMIT, PLAN_RULE)
  .superRefine((entries, context) => {
    const seen = new Set<string>();
    for (const [index, { topic, partition }] of entries.entries()) {
      const name = `${topic}/${partition}`;
      if (seen.has(name)) {
        const message = `partition ${partition} of topic ${topic} is already in the plan`;
        context.addIssue({ code: "custom", path: [index], message });
      }
      seen.add(name);
    }
  });
export const resetSchema = z
  .strictObject({
    topics: z
      .array(z.string())
      .min(1)
      .max(MAX_TOPICS_PER_MEMBER)
      .optional()
      .describe("All topics of the group by default"),
    to: z
      .union(
        [
          z.enum(["earliest", "latest", "current"]),
          z.strictObject({ duration }).transform((to) => ({ timestamp: Date.now() - to.duration })),
          z.strictObject({ offset: anyOffset }),
          z.strictObject({ timestamp }),
          z.strictObject({ shiftBy: anyInteger }),
        ],
        TO_RULE,
      )
      .optional(),
    offsets: plan
      .optional()
      .describe("A plan with an offset for each partition, instead of `to` and `topics`"),
    dryRun: z.boolean().default(false).describe("True only reports the new offsets"),
  })
  .transform(({ topics, to, offsets, dryRun }, context): ResetRequest => {
    if (offsets === undefined && to !== undefined) return { topics, to, dryRun };
    if (offsets !== undefined && to === undefined && topics === undefined)
      return { offsets, dryRun };
    context.addIssue(
      offsets === undefined
        ? { code: "custom", path: ["to"], message: `${TO_RULE}, unless offsets is given` }
        : {
            code: "custom",
            path: ["offsets"],
            message: "must be given alone, without to and topics",
          },
    );
    return z.NEVER;
  });

export const alterGroupSchema = z.strictObject({ config: configSchema });
export const deleteOffsetsQuery = z.strictObject({
  topics: topicList.describe("Names of topics, separated by commas"),
});
export const historyQuery = z.strictObject({
  limit: queryInteger(1, MAX_HISTORY_ENTRIES)
    .default(DEFAULT_HISTORY_ENTRIES)
    .describe(`The most entries, ${DEFAULT_HISTORY_ENTRIES} by default`),
});

export const describeQuery = z.strictObject({
  lag: z
    .enum(["exact", "told"])
    .default("exact")
    .describe("exact asks the partitions; told uses their last reports and wakes none"),
});

async function offsetsInMetrics(env: Env, groupId: string, group: GroupDescription) {
  return withToldEnds(group, await lagInMetrics(env, groupId));
}

/** The memory for a history entry, including the partitions that it names. */
const HISTORY_ENTRY_BYTES = 4_096;

export const groups = new Hono<{ Bindings: Env }>()
  .get("/", async (context) => {
    const { env } = context;
    const { after, limit } = query(context.req.raw, listQuery);
    const { items, next } =
      limit === undefined ? await everyGroup(env) : await groupPage(env, inside(env, after), limit);
    return listAnswer({
      field: "groups",
      items,
      toJson: ({ groupId }) => ({ groupId: outside(env, groupId) }),
      rest: next === null ? {} : { next: outside(env, next) },
    });
  })
  .get("/:group/lag", async (context) => {
    const { env } = context;
    const groupId = groupParameter(env, context.req.param("group"));
    const told = await lagInMetrics(env, groupId);
    const items = told?.offsets ?? [];
    return listAnswer({
      field: "offsets",
      items,
      toJson: ({ topicId: _, ...each }) => each,
      rest: {
        ...shown(env, groupId),
        ...{ toldAtMs: told?.toldMs ?? null, state: told?.state ?? null },
        ...{ members: told?.members ?? null, trend: told?.trend ?? [] },
      },
    });
  })
  .get("/:group", async (context) => {
    const { lag } = query(context.req.raw, describeQuery);
    const { group: whole } = unwrap(
      await lookAtGroup(
        context.env,
        groupParameter(context.env, context.req.param("group")),
        async (group) => await group.describe(),
      ),
    );
    const group = visibleGroup(
      context.env,
      whole.kind === "share" && lag === "exact"
        ? { ...whole, offsets: await withStarts(context.env, whole.groupId, whole.offsets) }
        : whole,
    );
    const { offsets: items, unreadable } =
      lag === "told"
        ? { offsets: await offsetsInMetrics(context.env, whole.groupId, group), unreadable: [] }
        : await groupOffsets(context.env, group);
    const { offsets: _, ...described } = group;
    const rest = unreadable.length === 0 ? described : { ...described, unreadable };
    return listAnswer({ field: "offsets", items, toJson: (each) => each, rest });
  })
  .get("/:group/config", async (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    const found = unwrap(
      await lookAtGroup(context.env, groupId, async (group) => await group.config()),
    );
    return context.json({ ...shown(context.env, groupId), ...shownConfig(context.env, found) });
  })
  .patch("/:group", (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    return withJson(context.req.raw, alterGroupSchema, async (body) => {
      const altered = unwrap(await alterGroupConfig(context.env, groupId, body.config));
      return context.json({ ...shown(context.env, groupId), ...shownConfig(context.env, altered) });
    });
  })
  .get("/:group/history", async (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    const { limit } = query(context.req.raw, historyQuery);
    const { history: whole } = unwrap(
      await lookAtGroup(context.env, groupId, async (group) => await group.history({ limit })),
    );
    const history = visibleHistory(context.env, whole);
    const heldBytes = HISTORY_ENTRY_BYTES * history.length;
    const rest = shown(context.env, groupId);
    return listAnswer({
      field: "history",
      items: history,
      toJson: (each) => each,
      rest,
      heldBytes,
    });
  })
  .get("/:group/offsets", async (context) => {
    const { env } = context;
    const groupId = groupParameter(env, context.req.param("group"));
    const all = await committedOffsets(env, groupId);
    // Deleted topics no longer have a name.
    const items = all.filter(({ topic }) => topic !== "" && seesTopic(env, topic));
    const toJson = ({ metadata, ...each }: NamedOffset) =>
      outsideTopic(env, { ...each, ...(metadata === "" ? {} : { metadata }) });
    return listAnswer({ field: "offsets", items, toJson, rest: shown(env, groupId) });
  })
  .post("/:group/offsets", (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    return withJson(context.req.raw, resetSchema, (request) =>
      withAnswerRoom(async (room) => {
        const { env } = context;
        const items = await resetGroup(env, groupId, resetInside(env, request), (partitions) =>
          room.reserve(partitions, ANSWER_ITEM_BYTES),
        );
        const rest = { ...shown(env, groupId), dryRun: request.dryRun };
        const toJson = (each: PlannedReset) => outsideTopic(env, each);
        return listAnswer({ field: "offsets", items, toJson, rest, room });
      }),
    );
  })
  .delete("/:group/offsets", async (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    const named = query(context.req.raw, deleteOffsetsQuery).topics;
    const topics = named.map((topic) => inside(context.env, topic));
    for (const topic of topics) assertMayUseTopic(context.env, "READ", topic);
    unwrap(
      await lookAtGroup(
        context.env,
        groupId,
        async (group) => await group.deleteOffsets({ topics }),
      ),
    );
    noteChange(context.env, "deleteOffsets", groupResource(groupId), topics.join(","));
    return context.body(null, 204);
  })
  .delete("/:group", async (context) => {
    const groupId = groupParameter(context.env, context.req.param("group"));
    unwrap(await deleteGroup(context.env, groupId));
    return context.body(null, 204);
  });

async function everyGroup(env: Env): Promise<Page<ListedGroup>> {
  const all = await listGroups(env);
  return { items: all.filter(({ groupId }) => seesGroup(env, groupId)), next: null };
}

function shown(env: Env, groupId: string): { groupId: string } {
  return { groupId: outside(env, groupId) };
}

/** Returns the request with topic names as they are in the whole deployment. */
function resetInside(env: Env, request: ResetRequest): ResetRequest {
  if ("offsets" in request) {
    const named = request.offsets.map((each) => ({ ...each, topic: inside(env, each.topic) }));
    return { ...request, offsets: named };
  }
  return { ...request, topics: request.topics?.map((topic) => inside(env, topic)) };
}
