// The workloads of ARCHITECTURE.md, and the lines of its table.

import type { Kind } from "../../src/core/metrics/prices.ts";
import { type Bill, billOf } from "./bill.ts";
import type { Counts } from "./counts.ts";
import { parseWorkload } from "./workload.ts";

/** The subject of a line of the table: a file, and the fields set beside it. */
interface Documented {
  readonly what: string;
  readonly file: string;
  readonly set?: Readonly<Record<string, number | boolean>>;
}

export const DOCUMENTED: readonly Documented[] = [
  { what: "event bus", file: "event-bus" },
  { what: "event bus, 100 ms of linger", file: "event-bus", set: { lingerMs: 100 } },
  { what: "event bus, 200 ms of linger", file: "event-bus", set: { lingerMs: 200 } },
  {
    what: "event bus, 100 ms of linger, kept for a day",
    file: "event-bus",
    set: { lingerMs: 100, retentionDays: 1 },
  },
  {
    what: "event bus, batches of one partition, 68 partitions",
    file: "event-bus",
    set: { isKeyed: false, partitions: 68 },
  },
  { what: "devices", file: "devices" },
  { what: "devices, 100 ms of linger", file: "devices", set: { lingerMs: 100 } },
  { what: "devices, durable after 5 ms and not 30", file: "devices", set: { commitMs: 5 } },
  { what: "quiet tenants", file: "quiet-tenants" },
  { what: "tenants of a record a minute", file: "tenants-of-a-record-a-minute" },
];

export const HEAD =
  "| workload | rows | requests | duration | stored | Worker | CPU | logs | **total** | K2 | Queues |";

/** Returns the line of the table for a bill. A star marks a total that does not fit. */
export function lineOf(what: string, bill: Bill): string {
  const whole = (dollars: number) => Math.round(dollars).toLocaleString("en");
  const cost = (...kinds: Kind[]) =>
    whole(kinds.reduce((sum, kind) => sum + bill.items[kind].dollars, 0));
  const cells = [
    what,
    cost("rowsWritten", "rowsRead"),
    ...(
      ["objectRequests", "duration", "stored", "workerRequests", "workerCpu", "logs"] as const
    ).map((kind) => cost(kind)),
    `**${whole(bill.total)}**${bill.unfit.length > 0 ? " *" : ""}`,
    ...[bill.k2, bill.queues].map((other) => (other.isPossible ? whole(other.dollars) : "–")),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Returns the lines, each with its bill. `textOf` reads a file of the project. */
export function documentedBills(
  textOf: (path: string) => string,
  counts: Counts,
  logSampling: number,
): { what: string; bill: Bill; line: string }[] {
  return DOCUMENTED.map(({ what, file, set }) => {
    const json = JSON.parse(textOf(`test/cost/workloads/${file}.json`)) as object;
    const bill = billOf(parseWorkload({ ...json, ...set }, logSampling), counts);
    return { what, bill, line: lineOf(what, bill) };
  });
}
