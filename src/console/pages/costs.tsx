// The cost of each topic and group, at Cloudflare's prices, from the counts of its objects.
import type { Elsewhere } from "../../core/metrics/elsewhere.ts";
import { COSTS_PATH } from "../../protocol/paths.ts";
import { get } from "../api.ts";
import { dollarsText, numberText } from "../format.ts";
import { useLoad } from "../load.ts";
import { paths } from "../router.ts";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";

interface Rates {
  readonly perHour: number;
  readonly today: number;
  readonly month: number;
  readonly projected: number;
}

interface Line extends Rates {
  readonly kind: "topic" | "group" | "overhead";
  readonly name: string;
  readonly usedThisMonth: {
    readonly usage: { readonly rowsWritten: number; readonly requests: number };
  };
  readonly elsewhere: Elsewhere;
}

interface Costs {
  readonly pricesOf: string;
  readonly total: Rates;
  readonly elsewhere: Elsewhere;
  readonly lines: readonly Line[];
}

const RATES: readonly Column<Rates>[] = [
  { title: "Per hour now", isNumber: true, cell: ({ perHour }) => dollarsText(perHour) },
  { title: "Today", isNumber: true, cell: ({ today }) => dollarsText(today) },
  { title: "This month", isNumber: true, cell: ({ month }) => dollarsText(month) },
  { title: "Projected month", isNumber: true, cell: ({ projected }) => dollarsText(projected) },
];

const COLUMNS: readonly Column<Line>[] = [
  { title: "Name", cell: Name },
  { title: "Kind", cell: ({ kind }) => kind },
  ...RATES,
  {
    title: "Rows written",
    isNumber: true,
    cell: ({ usedThisMonth }) => numberText(usedThisMonth.usage.rowsWritten),
  },
  {
    title: "Requests",
    isNumber: true,
    cell: ({ usedThisMonth }) => numberText(usedThisMonth.usage.requests),
  },
  { title: "On K2", isNumber: true, cell: (line) => elsewhereText(line, "k2") },
  { title: "On Queues", isNumber: true, cell: (line) => elsewhereText(line, "queues") },
];

/** A group carries no records there; they count at their topic. */
function elsewhereText({ kind, elsewhere }: Line, where: keyof Elsewhere): string {
  return kind === "topic" ? dollarsText(elsewhere[where]) : "–";
}

function Name({ kind, name }: Line) {
  if (kind === "overhead") return name;
  const href = kind === "topic" ? paths.topic(name) : paths.group(name);
  return (
    <a href={href} class="data">
      {name}
    </a>
  );
}

export function CostsPage() {
  const loading = useLoad((aborted) => get<Costs>(COSTS_PATH, aborted), []);
  return (
    <>
      <h1>Costs</h1>
      <Loaded what="the costs" loading={loading}>
        {({ pricesOf, total, elsewhere, lines }) => (
          <>
            <p>
              Dollars at Cloudflare's prices of {pricesOf}, for the usage that objects have counted.
              Amounts included in a plan are not deducted. On a machine of your own, this is what
              the same usage would cost on Cloudflare. Usage that belongs to no topic or group is
              overhead.
            </p>
            <Table
              caption="Total cost"
              columns={[{ title: "What", cell: () => "Total" }, ...RATES]}
              rows={[total]}
              keyOf={() => "total"}
            />
            <p>
              This month's records would have cost {dollarsText(elsewhere.k2)} on K2, which has no
              keys, partitions or groups, and {dollarsText(elsewhere.queues)} on Queues, which keep
              no records after they are read.
            </p>
            {lines.length === 0 ? (
              <Empty>No usage has been reported yet.</Empty>
            ) : (
              <Table
                caption="Topics, groups and overhead, this month's most expensive first"
                columns={COLUMNS}
                rows={lines}
                keyOf={({ kind, name }) => `${kind} ${name}`}
              />
            )}
          </>
        )}
      </Loaded>
    </>
  );
}
