// Reports the request counts of this isolate to the MetricsObject. It reports beside a request, at most once a
// minute. An idle isolate reports nothing [RPT-3].
import { reportSpent } from "../../budgets.ts";
import { METRICS_INTERVAL_MS } from "../../core/limits.ts";
import { type Env, metricsStub } from "../../env.ts";
import { memory } from "../../memory.ts";
import { isolate } from "./isolate.ts";

/** Reports the counts of this isolate, if it is time. `waitUntil` keeps the isolate for the call. */
export function reportRequests(env: Env): void {
  const { requests } = isolate;
  const nowMs = Date.now();
  const sinceMs = nowMs - requests.reportedMs;
  const waitUntil = env.from?.waitUntil;
  if (env.METRICS === undefined || waitUntil === undefined) return;
  if (sinceMs < METRICS_INTERVAL_MS && sinceMs >= 0) return; // The clock may be set back.
  requests.reportedMs = nowMs;
  requests.life ??= crypto.randomUUID();
  const connections = isolate.kafka.connections.size;
  const snapshot = requests.snapshot(requests.life, connections, memory.kafka.bytes);
  const reported = reportSpent((spent) =>
    metricsStub(env).report({ snapshots: [snapshot], ...(spent === null ? {} : { spent }) }),
  );
  waitUntil(reported.catch(() => {})); // The next report includes these counts.
}
