// rivulet costs: what topics and groups cost.
import { Option } from "commander";
import { OWNER_KINDS, type OwnerKind } from "../../core/metrics/cost-ledger.ts";
import { COSTS_PATH } from "../../protocol/paths.ts";
import { whole } from "../answer.ts";
import type { Command } from "../command.ts";
import { type GlobalOptions, print, UsageError } from "../context.ts";
import { dollarsText } from "../figures.ts";
import { httpOf } from "../http.ts";
import { positiveNumber } from "../options.ts";
import { plain } from "../plain.ts";
import { type Cell, table } from "../table.ts";

interface Dollars {
  readonly perHour: number;
  readonly today: number;
  readonly month: number;
  readonly projected: number;
}

interface Line extends Dollars {
  readonly kind: OwnerKind;
  readonly name: string;
}

interface Costs {
  readonly pricesOf: string;
  readonly lines: readonly Line[];
  readonly total: Dollars;
}

interface CostsOptions {
  readonly kind?: OwnerKind;
  readonly topic?: string;
  readonly group?: string;
  readonly limit: number;
}

export function addCosts(program: Command): void {
  program
    .command("costs")
    .summary("show what topics and groups cost")
    .description(
      "Shows in dollars what each topic and group costs: in an hour at the rate of the last five minutes, today, this " +
        "month, and for the whole month at that rate. Days and months are those of UTC. What belongs to neither is " +
        "overhead, and the parts add up to the total. Prices are Cloudflare's, without what a plan includes. On a machine " +
        "of your own it is what the same would cost there. It takes DESCRIBE on the cluster, and wakes no partition.",
    )
    .addOption(
      new Option("--kind <kind>", "only lines of this kind (default: all)").choices(OWNER_KINDS),
    )
    .option("-t, --topic <topic>", "only this topic")
    .option("-g, --group <group>", "only this group")
    .option("-n, --limit <count>", "show so many lines, the dearest first", positiveNumber, 20)
    .seeAlso("topics list", "groups list", "alerts", "keys create")
    .examples(
      "rivulet costs --kind topic",
      "rivulet costs --topic orders",
      "rivulet --json costs | jq .total.projected",
    )
    .action(async (options: CostsOptions, command: Command) => {
      const global = command.optsWithGlobals<GlobalOptions>();
      const path = `${COSTS_PATH}?${queryOf(options)}`;
      const costs = await httpOf(global).request<Costs>("GET", path);
      const answer = whole(costs, "pricesOf", "lines", "total");
      const lines = answer.lines.slice(0, options.limit);
      print(global, { ...answer, lines }, () => costsText(answer, options));
    });
}

/** One line more than is shown tells that there are more. @throws UsageError */
function queryOf({ kind, topic, group, limit }: CostsOptions): URLSearchParams {
  const named = [topic, group].filter((name) => name !== undefined);
  if (named.length > 1 || (named.length > 0 && kind !== undefined))
    throw new UsageError("give --kind, --topic or --group, not several");
  const [name] = named;
  const only = topic !== undefined ? "topic" : group !== undefined ? "group" : kind;
  return new URLSearchParams({
    limit: String(limit + 1),
    ...(only === undefined ? {} : { kind: only }),
    ...(name === undefined ? {} : { name }),
  });
}

function costsText({ pricesOf, lines, total }: Costs, { limit }: CostsOptions): string {
  const rows = lines
    .slice(0, limit)
    .map((line): Cell[] => [line.kind, line.name, ...figuresOf(line)]);
  const more: Cell[][] =
    lines.length > limit ? [["…", "more with --limit", null, null, null, null]] : [];
  const all: Cell[] = ["total", "of everything", ...figuresOf(total)];
  return [
    table(["KIND", "NAME", "AN HOUR", "TODAY", "THIS MONTH", "PROJECTED"], [...rows, ...more, all]),
    "",
    plain(`Dollars at Cloudflare's prices of ${pricesOf}, without what a plan includes.`),
  ].join("\n");
}

function figuresOf({ perHour, today, month, projected }: Dollars): Cell[] {
  return [perHour, today, month, projected].map((dollars) => ({ figure: dollarsText(dollars) }));
}
