// /v1/groups: list, describe with lag, reset, delete.
import { Hono } from "hono";
import * as z from "zod";
import { unwrap } from "../core/errors.ts";
import { MAX_TOPICS_PER_MEMBER } from "../core/limits.ts";
import { groupOffsets, type ResetTarget, resetGroup } from "../edge/offsets.ts";
import { clusterStub, type Env, groupStub } from "../env.ts";
import { integer, parse, parseJson } from "../protocol/parse.ts";
import { readText } from "./body.ts";
import { groupParameter, timestampParameter } from "./parameters.ts";

const anyInteger = integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const anyOffset = integer(0, Number.MAX_SAFE_INTEGER);
const timestamp = z
  .union([anyOffset, z.string()], "must be milliseconds or an ISO time")
  .transform((value, context) => {
    const ms = typeof value === "number" ? value : timestampParameter(value);
    if (ms !== null) return ms;
    context.addIssue({ code: "custom", message: "must be milliseconds or an ISO time" });
    return z.NEVER;
  });
const resetSchema = z.strictObject({
  topics: z.array(z.string()).min(1).max(MAX_TOPICS_PER_MEMBER).optional(),
  to: z.union(
    [
      z.enum(["earliest", "latest"]),
      z.strictObject({ offset: anyOffset }),
      z.strictObject({ timestamp }),
      z.strictObject({ shiftBy: anyInteger }),
    ],
    'must be "earliest", "latest", {offset}, {timestamp} or {shiftBy}',
  ),
  dryRun: z.boolean().optional(),
});

export const groups = new Hono<{ Bindings: Env }>()
  .get("/", async (context) => {
    const groupIds = await clusterStub(context.env).groups();
    return context.json({ groups: groupIds.map((groupId) => ({ groupId })) });
  })
  .get("/:group", async (context) => {
    const { group } = unwrap(
      await groupStub(context.env, groupParameter(context.req.param("group"))).describe(),
    );
    return context.json({ ...group, offsets: await groupOffsets(context.env, group) });
  })
  .post("/:group/offsets", async (context) => {
    const groupId = groupParameter(context.req.param("group"));
    const body = parse(resetSchema, parseJson(await readText(context.req.raw), "the body"));
    const dryRun = body.dryRun ?? false;
    const to: ResetTarget = body.to;
    const offsets = await resetGroup(context.env, groupId, { topics: body.topics, to, dryRun });
    return context.json({ groupId, dryRun, offsets });
  })
  .delete("/:group", async (context) => {
    unwrap(await groupStub(context.env, groupParameter(context.req.param("group"))).destroy());
    return context.body(null, 204);
  });
