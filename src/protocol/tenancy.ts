// The namespace and the quota of a key or a token, in the form that clients write. They occur in the bodies of /v1/keys
// and /v1/tokens, in a claim of tokens, and in the props of a service binding.
import * as z from "zod";
import type { Maker } from "../core/access/caller.ts";
import { NAMESPACE, NAMESPACE_RULE } from "../core/access/namespace.ts";
import type { Quota } from "../core/access/quota.ts";
import {
  MAX_BUDGET_DOLLARS,
  MAX_NAMESPACE_CHARS,
  MAX_PRINCIPAL_CHARS,
  MAX_QUOTA,
  MIN_QUOTA_BYTE_RATE,
} from "../core/limits.ts";
import { integer } from "./parse.ts";

/** [TEN-1] The prefix of a tenant's names. */
export const namespaceSchema = z
  .string(NAMESPACE_RULE)
  .max(MAX_NAMESPACE_CHARS, NAMESPACE_RULE)
  .regex(NAMESPACE, NAMESPACE_RULE);

const bound = integer(1, MAX_QUOTA).optional();
/** A partition stays awake while somebody waits for bytes, so a higher minimum keeps waits short. */
const byteRate = integer(MIN_QUOTA_BYTE_RATE, MAX_QUOTA).optional();

const BUDGET_RULE = `must be dollars above 0, up to ${MAX_BUDGET_DOLLARS}`;

/** [QUO-1] Absent fields set no bound. */
export const quotaSchema: z.ZodType<Quota> = z.strictObject({
  producerByteRate: byteRate,
  consumerByteRate: byteRate,
  requestRate: bound,
  connections: bound,
  dollarsPerDay: z
    .number(BUDGET_RULE)
    .positive(BUDGET_RULE)
    .max(MAX_BUDGET_DOLLARS, BUDGET_RULE)
    .optional(),
});

/** The maker of a token, as stored in the token. */
export const makerSchema: z.ZodType<Maker> = z.strictObject({
  principal: z.string().max(MAX_PRINCIPAL_CHARS + "User:".length),
  keyId: z.string().max(MAX_PRINCIPAL_CHARS).optional(),
  quota: quotaSchema.optional(),
});
