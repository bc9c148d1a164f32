// POST /v1/recovery: takes one object back to an earlier time, if the platform keeps earlier states.
import { Hono } from "hono";
import * as z from "zod";
import type { Env } from "../../env.ts";
import { integer } from "../../protocol/parse.ts";
import { type RecoverTo, recover } from "../edge/recovery.ts";
import { withJson } from "./in-progress.ts";
import { groupParameter, timestampParameter, topicParameter } from "./parameters.ts";

const TO_RULE = "must be milliseconds or an ISO time; give it, or a bookmark";
const MAX_BOOKMARK_CHARS = 200;

export const recoverySchema = z
  .strictObject({
    target: z.discriminatedUnion("type", [
      z.strictObject({
        type: z.literal("partition"),
        topic: z.string(),
        partition: integer(0, 2 ** 31 - 1),
      }),
      z.strictObject({ type: z.literal("group"), group: z.string() }),
      z.strictObject({ type: z.literal("cluster") }),
    ]),
    to: z
      .union([z.string(), z.number()])
      .optional()
      .describe("Milliseconds since 1970 or an ISO time, within the last 30 days"),
    bookmark: z
      .string()
      .min(1)
      .max(MAX_BOOKMARK_CHARS)
      .optional()
      .describe("A bookmark of an earlier answer, instead of `to`"),
    dryRun: z.boolean().default(false).describe("True only reports what would be lost"),
  })
  .transform(({ target, to, bookmark, dryRun }, context) => {
    const toMs = to === undefined ? null : timestampParameter(String(to));
    if ((toMs === null) === (bookmark === undefined)) {
      context.addIssue({ code: "custom", path: ["to"], message: TO_RULE });
      return z.NEVER;
    }
    const point: RecoverTo = bookmark === undefined ? { toMs: toMs as number } : { bookmark };
    return { target, point, dryRun };
  });

export const recovery = new Hono<{ Bindings: Env }>().post("/", (context) =>
  withJson(context.req.raw, recoverySchema, async ({ target, point, dryRun }) => {
    const { env } = context;
    const named =
      target.type === "partition"
        ? { ...target, topic: topicParameter(env, target.topic) }
        : target.type === "group"
          ? { ...target, group: groupParameter(env, target.group) }
          : target;
    return context.json(await recover(env, named, point, dryRun));
  }),
);
