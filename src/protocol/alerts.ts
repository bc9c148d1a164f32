// The rule of an alert in the form that clients send: the body of PUT /v1/alerts/:alert.
import * as z from "zod";
import { ALERT_TYPES, type AlertRule, type AlertType } from "../core/alerts/alert.ts";
import { BrokerError } from "../core/errors.ts";
import {
  MAX_ALERT_MATCH_CHARS,
  MAX_ALERT_NAME_CHARS,
  MAX_ALERT_SECONDS,
  MAX_WEBHOOK_URL_CHARS,
} from "../core/limits.ts";
import { integer } from "./parse.ts";

const NAME_RULE = `must be 1 to ${MAX_ALERT_NAME_CHARS} of a-z, A-Z, 0-9, '.', '_' and '-'`;
const MATCH_RULE = `must be a name, or a prefix followed by *, of 1 to ${MAX_ALERT_MATCH_CHARS} characters`;
const WEBHOOK_RULE = `must be an http or https URL of at most ${MAX_WEBHOOK_URL_CHARS} characters, without a user name or password`;

export const alertNameSchema = z
  .string(NAME_RULE)
  .max(MAX_ALERT_NAME_CHARS, NAME_RULE)
  .regex(/^[a-zA-Z0-9._-]+$/, NAME_RULE)
  .refine((name) => name !== "." && name !== "..", NAME_RULE); // A URL cannot contain these.

export const alertSchema = z.strictObject({
  type: z.enum(ALERT_TYPES, `must be one of ${ALERT_TYPES.join(", ")}`),
  match: z
    .string(MATCH_RULE)
    .min(1, MATCH_RULE)
    .max(MAX_ALERT_MATCH_CHARS, MATCH_RULE)
    .regex(/^[^*]*\*?$/, MATCH_RULE)
    .default("*")
    .describe("A name, or a prefix followed by *"),
  threshold: z.number().optional().describe("In seconds or percent, depending on the type"),
  forSeconds: integer(0, MAX_ALERT_SECONDS)
    .default(0)
    .describe("How long the condition must hold before the alert fires"),
  webhook: z
    .string(WEBHOOK_RULE)
    .max(MAX_WEBHOOK_URL_CHARS, WEBHOOK_RULE)
    .refine(isWebhook, WEBHOOK_RULE)
    .nullable()
    .default(null)
    .describe("The URL that receives messages; null sends none"),
  newSecret: z
    .boolean()
    .default(false)
    .describe("True replaces the secret, in case others know it"),
});

/** The bounds and the default of the threshold of each type. */
const THRESHOLDS: Readonly<Record<AlertType, { most: number; byDefault?: number }>> = {
  "group-lag": { most: MAX_ALERT_SECONDS },
  "group-empty": { most: 0, byDefault: 0 },
  "partition-full": { most: 100, byDefault: 80 },
  budget: { most: 1_000, byDefault: 80 },
};

/** Returns the rule in a body. @throws BrokerError INVALID_REQUEST if its threshold is out of bounds */
export function ruleIn(name: string, body: z.output<typeof alertSchema>): AlertRule {
  const { type, match, forSeconds, webhook } = body;
  const { most, byDefault } = THRESHOLDS[type];
  const least = Math.min(1, most);
  const { threshold = byDefault } = body;
  if (threshold !== undefined && threshold >= least && threshold <= most)
    return { name, type, match, threshold, forSeconds, webhook };
  const unit = type === "group-lag" ? "seconds" : "percent";
  const bound = most === 0 ? "it takes none" : `it must be ${least} to ${most} ${unit}`;
  throw new BrokerError("INVALID_REQUEST", `threshold is ${threshold} for ${type}, ${bound}`);
}

function isWebhook(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isHttp = url?.protocol === "https:" || url?.protocol === "http:";
  return isHttp && url.username === "" && url.password === "";
}
