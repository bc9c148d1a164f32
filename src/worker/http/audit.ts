// GET /v1/audit: refused actions and changes, each with the caller.
import { Hono } from "hono";
import * as z from "zod";
import type { KeptEvent } from "../../core/access/audit.ts";
import { DEFAULT_AUDIT_EVENTS, MAX_AUDIT_ANSWER_EVENTS } from "../../core/limits.ts";
import { clusterStub, type Env } from "../../env.ts";
import { queryInteger } from "../../protocol/parse.ts";
import { listAnswer } from "./answer.ts";
import { query } from "./parameters.ts";

export const auditQuery = z.strictObject({
  limit: queryInteger(1, MAX_AUDIT_ANSWER_EVENTS)
    .default(DEFAULT_AUDIT_EVENTS)
    .describe(`The most events, ${DEFAULT_AUDIT_EVENTS} by default`),
  before: queryInteger(1, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe("Only events with a lower number"),
});

/** The memory for an event, with its texts. */
const EVENT_BYTES = 2_048;

export const audit = new Hono<{ Bindings: Env }>().get("/", async (context) => {
  const { limit, before = null } = query(context.req.raw, auditQuery);
  const { events: items } = await clusterStub(context.env).audit({ limit, before });
  const heldBytes = EVENT_BYTES * items.length;
  return listAnswer({ field: "events", items, toJson: (each: KeptEvent) => each, heldBytes });
});
