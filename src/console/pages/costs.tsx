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
  { title: "An hour, as now", isNumber: true, cell: ({ perHour }) => dollarsText(perHour) },
  { title: "Today", isNumber: true, cell: ({ today }) => dollarsText(today) },
  { title: "This month", isNumber: true, cell: ({ month }) => dollarsText(month) },
  { title: "At its end", isNumber: true, cell: ({ projected }) => dollarsText(projected) },
];

const COLUMNS: readonly Column<Line>[] = [
  { title: "What", cell: Name },
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
              Dollars at Cloudflare's prices of {pricesOf}, for what objects have counted, without
              what a plan includes. On a machine of your own it is what the same would cost there.
              Whatever belongs to no topic and no group is overhead.
            </p>
            <Table
              caption="All together"
              columns={[{ title: "What", cell: () => "Total" }, ...RATES]}
              rows={[total]}
              keyOf={() => "total"}
            />
            <p>
              The records of this month would have cost {dollarsText(elsewhere.k2)} on K2, which has
              no keys, partitions or groups, and {dollarsText(elsewhere.queues)} on Queues, which
              keep nothing that was read.
            </p>
            {lines.length === 0 ? (
              <Empty>Nothing has told what it has used yet.</Empty>
            ) : (
              <Table
                caption="Topics, groups and overhead, the dearest of this month first"
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
