// /v1/costs: the cost of each topic and group, as reported by its objects.
import { Hono } from "hono";
import * as z from "zod";
import { MAX_GROUP_ID_LENGTH } from "../../core/limits.ts";
import { type CostLine, OWNER_KINDS } from "../../core/metrics/cost-ledger.ts";
import { dollarsElsewhere } from "../../core/metrics/elsewhere.ts";
import { PRICES_OF } from "../../core/metrics/prices.ts";
import { type Env, metricsStub } from "../../env.ts";
import { queryInteger } from "../../protocol/parse.ts";
import { listAnswer } from "./answer.ts";
import { query } from "./parameters.ts";

export const costsQuery = z.strictObject({
  limit: queryInteger(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe("The most lines, the most expensive first; the total covers all lines"),
  kind: z.enum(OWNER_KINDS).optional().describe("Only lines of this kind"),
  name: z.string().max(MAX_GROUP_ID_LENGTH).optional().describe("Only lines with this name"),
});

/** [MTR-1] The lines add up to the total. */
export const costs = new Hono<{ Bindings: Env }>().get("/", async ({ env, req }) => {
  const { limit, kind, name } = query(req.raw, costsQuery);
  const { nowMs, lines } = await metricsStub(env).costs();
  const sum = (dollars: (line: CostLine) => number) =>
    lines.reduce((total, line) => total + dollars(line), 0);
  const items = lines.filter(
    (line) =>
      (kind === undefined || line.kind === kind) && (name === undefined || line.name === name),
  );
  return listAnswer({
    field: "lines",
    items: items.slice(0, limit),
    toJson: (line: CostLine) => ({
      ...{ kind: line.kind, name: line.name, perHour: line.perHour },
      ...{ today: line.dollarsToday, month: line.dollarsThisMonth },
      ...{ projected: line.dollarsProjected },
      ...{ usedToday: line.today, usedThisMonth: line.month },
      ...{ elsewhere: dollarsElsewhere(line.month), rates: line.rates },
    }),
    rest: {
      ...{ pricesOf: PRICES_OF, atMs: nowMs },
      total: {
        perHour: sum(({ perHour }) => perHour),
        today: sum(({ dollarsToday }) => dollarsToday),
        month: sum(({ dollarsThisMonth }) => dollarsThisMonth),
        projected: sum(({ dollarsProjected }) => dollarsProjected),
      },
      rates: {
        recordsIn: sum(({ rates }) => rates.recordsIn),
        bytesIn: sum(({ rates }) => rates.bytesIn),
        bytesOut: sum(({ rates }) => rates.bytesOut),
      },
      elsewhere: {
        k2: sum(({ month }) => dollarsElsewhere(month).k2),
        queues: sum(({ month }) => dollarsElsewhere(month).queues),
      },
    },
  });
});
