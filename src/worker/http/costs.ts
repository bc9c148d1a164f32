// /v1/costs: what each topic and group costs, from what its objects have told.
import { Hono } from "hono";
import type { CostLine } from "../../core/metrics/cost-ledger.ts";
import { dollarsElsewhere } from "../../core/metrics/elsewhere.ts";
import { PRICES_OF } from "../../core/metrics/prices.ts";
import { type Env, metricsStub } from "../../env.ts";
import { listAnswer } from "./answer.ts";

/** [MTR-1] The lines add up to the total. */
export const costs = new Hono<{ Bindings: Env }>().get("/", async ({ env }) => {
  const { nowMs, lines } = await metricsStub(env).costs();
  const sum = (dollars: (line: CostLine) => number) =>
    lines.reduce((total, line) => total + dollars(line), 0);
  return listAnswer({
    field: "lines",
    items: lines,
    toJson: (line: CostLine) => ({
      ...{ kind: line.kind, name: line.name, perHour: line.perHour },
      ...{ today: line.dollarsToday, month: line.dollarsThisMonth },
      ...{ projected: line.dollarsProjected },
      ...{ usedToday: line.today, usedThisMonth: line.month },
      elsewhere: dollarsElsewhere(line.month),
    }),
    rest: {
      ...{ pricesOf: PRICES_OF, atMs: nowMs },
      total: {
        perHour: sum(({ perHour }) => perHour),
        today: sum(({ dollarsToday }) => dollarsToday),
        month: sum(({ dollarsThisMonth }) => dollarsThisMonth),
        projected: sum(({ dollarsProjected }) => dollarsProjected),
      },
      elsewhere: {
        k2: sum(({ month }) => dollarsElsewhere(month).k2),
        queues: sum(({ month }) => dollarsElsewhere(month).queues),
      },
    },
  });
});
