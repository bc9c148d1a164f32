// History for Cloudflare's Analytics Engine, if the deployment has the binding ANALYTICS. Each report becomes a
// data point. The platform keeps the points for three months, samples them, and answers SQL queries; docs/metrics.md
// shows how. So they are for charts and top lists, not for bills.
import type { Told } from "../../src/core/metrics/metrics-state.ts";
import type { Sight } from "../../src/core/metrics/sights.ts";
import type { Env } from "../../src/env.ts";

/** The most bytes in an index. The platform samples by it. */
const MAX_INDEX_BYTES = 96;

/**
 * The counters of a point, in the order of its doubles. The order never changes, because queries name doubles
 * by their place.
 */
export const ANALYTICS_DOUBLES = [
  "appendedRecords",
  "appendedBytes",
  "deliveredBytes",
  "rowsWritten",
  "rowsRead",
  "requests",
  "messages",
  "awakeMs",
  "commits",
  "rebalances",
] as const;

/**
 * [MET-16] Writes what an object has counted since its last report. Blobs: the kind of object, and its topic or
 * group.
 */
export function writePoint(dataset: Env["ANALYTICS"], { sight, added }: Told): void {
  if (dataset === undefined) return;
  const doubles = ANALYTICS_DOUBLES.map((name) => added[name] ?? 0);
  if (doubles.every((count) => count === 0)) return;
  const name = nameOf(sight);
  dataset.writeDataPoint({ indexes: [cut(name)], blobs: [sight.kind, name], doubles });
}

function nameOf(sight: Sight): string {
  switch (sight.kind) {
    case "partition":
    case "relay":
      return sight.topic;
    case "group":
      return sight.groupId;
    case "overhead":
      return sight.name;
    default:
      return sight.kind;
  }
}

function cut(name: string): string {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length <= MAX_INDEX_BYTES) return name;
  // A character that is cut in two becomes U+FFFD, of three bytes.
  return new TextDecoder().decode(bytes.subarray(0, MAX_INDEX_BYTES - 3));
}
