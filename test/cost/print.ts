// The bill as text.

import { type Kind, PRICES, SECONDS_PER_MONTH } from "../../src/core/metrics/prices.ts";
import type { Bill, Other } from "./bill.ts";
import { type Line, requestsOf, show } from "./rates.ts";
import type { Workload } from "./workload.ts";

export function printed(workload: Workload, bill: Bill): string {
  return [
    `${workload.name}: ${dollars(bill.total)} a month\n`,
    table(
      ["", "a month", "included", "$"],
      [
        ...(Object.keys(PRICES) as Kind[]).map((kind) => {
          const { count, dollars: cost } = bill.items[kind];
          const { what, unit, included } = PRICES[kind];
          return [what, `${show(count)} ${unit}`, show(included), cost.toFixed(2)];
        }),
        ["plan", "", "", bill.plan.toFixed(2)],
        ["total", "", "", bill.total.toFixed(2)],
      ],
    ),
    ...bill.unfit.map(
      (reason) => `Does not fit: ${reason}. The bill is that of the workload as it is.\n`,
    ),
    "Where it comes from, per second:\n",
    table(
      ["", "rows written", "object requests", "awake", "$ of rows and requests", ""],
      bill.lines.map((line) => [
        line.what,
        show(line.rowsWritten ?? 0),
        show(requestsOf(line)),
        show(line.awake ?? 0),
        ((SECONDS_PER_MONTH / 1e6) * ((line.rowsWritten ?? 0) + 0.15 * requestsOf(line))).toFixed(
          2,
        ),
        line.arithmetic,
      ]),
    ),
    "Beside it:\n",
    table(
      ["", "$", ""],
      [
        ["Rivulet", bill.total.toFixed(2), bill.unfit.length > 0 ? "does not fit, see above" : ""],
        otherRow("K2", bill.k2),
        otherRow("Queues", bill.queues),
      ],
    ),
    `${assumptions(workload, bill)}\n`,
  ].join("\n");
}

function otherRow(name: string, { dollars: cost, arithmetic, notes }: Other): string[] {
  return [name, cost.toFixed(2), [arithmetic, ...notes].join("; ")];
}

function assumptions(workload: Workload, bill: Bill): string {
  const { commitMs, handlerMs, isolates, reconnectsPerMonth, logSampling } = workload;
  return [
    `${workload.isClosed ? "Closed, with API keys" : "Open to everybody"}. Assumed: a month of ${SECONDS_PER_MONTH / 86_400} days; requests at random; a write is durable after ${commitMs} ms, and other`,
    `work of an object takes ${handlerMs} ms; ${isolates} isolates; sockets break ${reconnectsPerMonth} times a month; records are not folded.`,
    `Objects are billed while they work or wait, and not while they could sleep. Logs of ${100 * logSampling} % of the invocations; of all`,
    `they would cost ${dollars(bill.logsOfAll)}. K2 and Queues are their own prices, without a Worker before them.`,
  ].join("\n");
}

function dollars(value: number): string {
  return `$${value.toFixed(2)}`;
}

/** Columns aligned, numbers to the right, the last one as it is. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => {
        if (i === 0) return cell.padEnd(widths[i] ?? 0);
        return i === 1 || head[i] !== "" ? cell.padStart(widths[i] ?? 0) : cell;
      })
      .join("  ")
      .trimEnd();
  return `${[head, ...rows].map(line).join("\n")}\n`;
}

/** The bill for a program to read. Lines also have their cost in a month. */
export function asJson(workload: Workload, bill: Bill): object {
  const monthly = ({ what, arithmetic, object, ...rates }: Line) => ({
    ...{ what, arithmetic, object, perSecond: rates },
  });
  return { workload, ...bill, lines: bill.lines.map(monthly) };
}
