// The tab with the cost of one topic or group.
import type { BudgetUse } from "../../core/metrics/budgets.ts";
import type { Spent } from "../../core/metrics/cost-ledger.ts";
import type { Elsewhere } from "../../core/metrics/elsewhere.ts";
import { ALERTS_PATH, COSTS_PATH } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { bytesText, dollarsText, numberText } from "../format.ts";
import { useLoad } from "../load.ts";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface Line {
  readonly perHour: number;
  readonly today: number;
  readonly month: number;
  readonly projected: number;
  readonly usedToday: Spent;
  readonly usedThisMonth: Spent;
  readonly elsewhere: Elsewhere;
}

interface Answer {
  readonly pricesOf: string;
  readonly lines: readonly Line[];
}

/** One kind of usage. */
interface Row {
  readonly what: string;
  readonly count: (used: Spent) => string;
}

const ROWS: readonly Row[] = [
  { what: "Rows written", count: ({ usage }) => numberText(usage.rowsWritten) },
  { what: "Rows read", count: ({ usage }) => numberText(usage.rowsRead) },
  { what: "Requests to objects", count: ({ usage }) => numberText(usage.requests) },
  { what: "Messages on sockets", count: ({ usage }) => numberText(usage.messages) },
  {
    what: "Seconds awake (estimate)",
    count: ({ usage }) => numberText(Math.round(usage.awakeMs / 1_000)),
  },
  {
    what: "Stored, in GB-hours",
    count: ({ byteSeconds }) => (byteSeconds / 3.6e12).toPrecision(3),
  },
  { what: "Records in", count: ({ recordsIn }) => numberText(recordsIn) },
  { what: "Bytes in", count: ({ bytesIn }) => bytesText(bytesIn) },
  { what: "Bytes out", count: ({ bytesOut }) => bytesText(bytesOut) },
];

export function OwnCosts({ kind, name }: { kind: "topic" | "group"; name: string }) {
  const query = new URLSearchParams({ kind, name });
  const loading = useLoad(
    (aborted) => get<Answer>(`${COSTS_PATH}?${query}`, aborted),
    [kind, name],
  );
  return (
    <Loaded what="the costs" loading={loading}>
      {({ pricesOf, lines: [line] }) =>
        line === undefined ? (
          <Empty>No usage has been reported this month.</Empty>
        ) : (
          <>
            <dl class="facts">
              <Fact title="Per hour now" dollars={line.perHour} />
              <Fact title="Today" dollars={line.today} />
              <Fact title="This month" dollars={line.month} />
              <Fact title="Projected month" dollars={line.projected} />
              {kind === "topic" && <Fact title="On K2, this month" dollars={line.elsewhere.k2} />}
              {kind === "topic" && (
                <Fact title="On Queues, this month" dollars={line.elsewhere.queues} />
              )}
            </dl>
            <p class="muted">
              At Cloudflare's prices of {pricesOf}. Amounts included in a plan are not deducted. On
              a machine of your own, this is what the same usage would cost on Cloudflare.
            </p>
            {kind === "topic" && <Budget name={name} />}
            <Table
              caption="Usage by kind"
              columns={columnsOf(line)}
              rows={kind === "topic" ? ROWS : ROWS.filter(({ what }) => !/ (in|out)$/.test(what))}
              keyOf={({ what }) => what}
            />
          </>
        )
      }
    </Loaded>
  );
}

function Fact({ title, dollars }: { title: string; dollars: number }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        <strong>{dollarsText(dollars)}</strong>
      </dd>
    </div>
  );
}

function columnsOf({ usedToday, usedThisMonth }: Line): readonly Column<Row>[] {
  return [
    { title: "Kind", cell: ({ what }) => what },
    { title: "Today", isNumber: true, cell: ({ count }) => count(usedToday) },
    { title: "This month", isNumber: true, cell: ({ count }) => count(usedThisMonth) },
  ];
}

/** The used part of the topic's budget. Shows nothing for a topic without a reported budget. */
function Budget({ name }: { name: string }) {
  const { data } = useLoad(
    (aborted) => get<{ budgets: readonly BudgetUse[] }>(ALERTS_PATH, aborted),
    [],
  );
  const own = data?.budgets.find((each) => each.kind === "topic" && each.name === name);
  if (own === undefined) return null;
  const { dollarsPerDay, percent } = own;
  return (
    <p class={percent >= 100 ? "note danger" : ""}>
      It has used {numberText(Math.round(percent))} % of its budget of {dollarsText(dollarsPerDay)}{" "}
      for today{percent >= 100 && ", and accepts no more until midnight UTC"}.
    </p>
  );
}
