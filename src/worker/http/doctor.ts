// /v1/doctor and …/partitions/:partition/state: the data that `rivulet doctor` compares, and its repairs.
import { Hono } from "hono";
import * as z from "zod";
import type { InspectedTask, InspectedTopic } from "../../calls/cluster-calls.ts";
import { MAX_INSPECTED_TASKS, MAX_INSPECTED_TOPICS } from "../../core/limits.ts";
import { clusterStub, type Env } from "../../env.ts";
import { integer, queryInteger } from "../../protocol/parse.ts";
import { destroyOrphan, inspectPartition, relistGroup } from "../edge/doctor.ts";
import { listAnswer } from "./answer.ts";
import { withJson } from "./in-progress.ts";
import { groupParameter, partitionParameter, query, topicParameter } from "./parameters.ts";

export const inspectTopicsQuery = z.strictObject({
  after: z.string().optional().describe("Only topics after this name"),
  limit: queryInteger(1, MAX_INSPECTED_TOPICS)
    .default(MAX_INSPECTED_TOPICS)
    .describe("The most topics"),
});
export const relistSchema = z.strictObject({ groupId: z.string() });
export const orphanSchema = z.strictObject({
  topicId: z.uuid("must be the id of a topic"),
  partition: integer(0, 2 ** 31 - 1),
});

export const doctor = new Hono<{ Bindings: Env }>()
  .get("/topics", async ({ env, req }) => {
    const { after = null, limit } = query(req.raw, inspectTopicsQuery);
    const { topics: items } = await clusterStub(env).inspectTopics({ after, limit });
    return listAnswer({ field: "topics", items, toJson: (each: InspectedTopic) => each });
  })
  .get("/tasks", async ({ env }) => {
    const { tasks: items } = await clusterStub(env).inspectTasks({ limit: MAX_INSPECTED_TASKS });
    return listAnswer({ field: "tasks", items, toJson: (each: InspectedTask) => each });
  })
  .post("/groups", (context) =>
    withJson(context.req.raw, relistSchema, async ({ groupId }) => {
      await relistGroup(context.env, groupParameter(context.env, groupId));
      return context.body(null, 204);
    }),
  )
  .post("/orphans", (context) =>
    withJson(context.req.raw, orphanSchema, async ({ topicId, partition }) => {
      await destroyOrphan(context.env, topicId, partition);
      return context.body(null, 204);
    }),
  );

export const partitionStates = new Hono<{ Bindings: Env }>().get(
  "/:topic/partitions/:partition/state",
  async ({ env, req, json }) => {
    const topic = topicParameter(env, req.param("topic"));
    const partition = partitionParameter(req.param("partition"));
    return json(await inspectPartition(env, topic, partition));
  },
);
