// /v1/keys: API keys. /v1/tokens: tokens for browsers. /v1/me: the caller.
import { Hono } from "hono";
import * as z from "zod";
import { type Caller, namespaceOf } from "../../core/access/caller.ts";
import { type Grant, ROLES, type Role } from "../../core/access/grants.ts";
import { grantsOutside } from "../../core/access/namespace.ts";
import type { ShownKey } from "../../core/access/stored-key.ts";
import { BrokerError } from "../../core/errors.ts";
import {
  DEFAULT_TOKEN_TTL_MS,
  MAX_TIMESTAMP_MS,
  MAX_TOKEN_TTL_MS,
  MIN_TOKEN_TTL_MS,
} from "../../core/limits.ts";
import { clusterStub, type Env } from "../../env.ts";
import { grantsSchema, principalSchema, roleSchema } from "../../protocol/grants.ts";
import { integer } from "../../protocol/parse.ts";
import { groupList, topicList } from "../../protocol/plain-consumer.ts";
import { namespaceSchema, quotaSchema } from "../../protocol/tenancy.ts";
import { alterKey, createKey, deleteKey } from "../access/keys.ts";
import { createToken } from "../access/tokens.ts";
import { callerIn } from "../edge/authorize.ts";
import { boundOf } from "../edge/quotas.ts";
import { closeSockets } from "../edge/revocation.ts";
import { listAnswer } from "./answer.ts";
import { withJson } from "./in-progress.ts";
import { query, timestampParameter } from "./parameters.ts";

const EXPIRY_RULE = "must be milliseconds since 1970 or an ISO time, later than now";
const expiry = z
  .union([integer(0, MAX_TIMESTAMP_MS), z.string()], EXPIRY_RULE)
  .transform((value, context) => {
    const ms = typeof value === "number" ? value : timestampParameter(value);
    if (ms !== null && ms > Date.now()) return ms;
    context.addIssue({ code: "custom", message: EXPIRY_RULE });
    return z.NEVER;
  });

const EXPIRY = "Milliseconds since 1970 or an ISO time; null for no expiry";
const RIGHTS_RULE = "give grants, or a role, and not both";
const rights = {
  grants: grantsSchema.optional().describe("The rights, instead of a role"),
  role: roleSchema.optional().describe("A set of rights, instead of grants"),
};

/** Returns the grants in the body, listed or by a role. Undefined if there are none. */
function grantsIn(body: { grants?: Grant[] | undefined; role?: Role | undefined }) {
  if (body.grants !== undefined && body.role !== undefined)
    throw new BrokerError("INVALID_REQUEST", `role: ${RIGHTS_RULE}`);
  return body.role === undefined ? body.grants : ROLES[body.role];
}

export const createKeySchema = z.strictObject({
  principal: principalSchema,
  ...rights,
  expiresAt: expiry.nullish().describe(EXPIRY),
  namespace: namespaceSchema.optional(),
  quota: quotaSchema.optional(),
});
/** The namespace of a key cannot change: its sockets and its tenant's names are in it. */
export const alterKeySchema = z.strictObject({
  ...rights,
  expiresAt: expiry.nullish().describe(EXPIRY),
  quota: quotaSchema.nullish(),
});
export const createTokenSchema = z.strictObject({
  ...rights,
  ttlMs: integer(MIN_TOKEN_TTL_MS, MAX_TOKEN_TTL_MS)
    .default(DEFAULT_TOKEN_TTL_MS)
    .describe("The lifetime in milliseconds, at most that of the caller's credential"),
  subject: principalSchema
    .optional()
    .describe("The principal of the bearer; the caller's by default"),
  quota: quotaSchema.optional(),
});

/**
 * [ACL-8] The topics and groups whose sockets of this key are closed at once. Other sockets are closed within 5
 * minutes.
 */
export const deleteKeyQuery = z.strictObject({
  now: topicList
    .optional()
    .describe(
      "Topics whose sockets of this key are closed at once; the others are closed within 5 minutes",
    ),
  nowGroups: groupList.optional().describe("Groups whose sockets of this key are closed at once"),
});

export const keys = new Hono<{ Bindings: Env }>()
  .post("/", (context) =>
    withJson(context.req.raw, createKeySchema, async (body) => {
      const grants = grantsIn(body);
      if (grants === undefined) throw new BrokerError("INVALID_REQUEST", `grants: ${RIGHTS_RULE}`);
      const { principal, expiresAt = null, namespace, quota } = body;
      const made = { principal, grants, expiresAtMs: expiresAt, namespace, quota };
      const { text, secret, key } = await createKey(context.env, made);
      return context.json({ ...keyJson(key), key: text, secret }, 201, NO_STORE);
    }),
  )
  .get("/", async (context) => {
    const items = await clusterStub(context.env).apiKeys();
    return listAnswer({ field: "keys", items, toJson: keyJson });
  })
  .patch("/:id", (context) =>
    withJson(context.req.raw, alterKeySchema, async (body) => {
      const { expiresAt: expiresAtMs, quota } = body;
      const change = { grants: grantsIn(body), expiresAtMs, quota };
      return context.json(keyJson(await alterKey(context.env, context.req.param("id"), change)));
    }),
  )
  .delete("/:id", async (context) => {
    const id = context.req.param("id");
    const { now = [], nowGroups = [] } = query(context.req.raw, deleteKeyQuery);
    await deleteKey(context.env, id);
    await closeSockets(context.env, id, { topics: now, groups: nowGroups });
    return context.body(null, 204);
  });

export const tokens = new Hono<{ Bindings: Env }>().post("/", (context) =>
  withJson(context.req.raw, createTokenSchema, async (body) => {
    const grants = grantsIn(body);
    const { ttlMs, subject, quota } = body;
    const wanted = { grants, ttlMs, subject, quota };
    const { token, expiresAtMs } = await createToken(context.env, wanted);
    return context.json({ token, expiresAt: isoTime(expiresAtMs) }, 200, NO_STORE);
  }),
);

export const me = new Hono<{ Bindings: Env }>().get("/", (context) =>
  context.json(callerJson(callerIn(context.env))),
);

/** An answer that carries a secret must not be cached on its way. */
const NO_STORE = { "cache-control": "no-store" };

function callerJson(caller: Caller) {
  const { principal, grants, expiresAtMs, keyId, namespace } = caller;
  const quota = boundOf(caller);
  return {
    principal,
    grants: grantsOutside(grants, namespaceOf(caller)),
    ...(namespace === undefined ? {} : { namespace }),
    ...(quota === undefined ? {} : { quota }),
    ...(keyId === null ? {} : { keyId }),
    ...(expiresAtMs === null ? {} : { expiresAt: isoTime(expiresAtMs) }),
  };
}

const DAY_MS = 86_400_000;

function keyJson(key: ShownKey) {
  const { id, principal, grants, createdAtMs, expiresAtMs, lastUsedDay, namespace, quota } = key;
  return {
    id,
    principal,
    grants,
    ...(namespace === undefined ? {} : { namespace }),
    ...(quota === undefined ? {} : { quota }),
    createdAt: isoTime(createdAtMs),
    expiresAt: expiresAtMs === null ? null : isoTime(expiresAtMs),
    lastUsed: lastUsedDay === null ? null : isoTime(lastUsedDay * DAY_MS).slice(0, 10),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
