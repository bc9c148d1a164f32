// The dashboard for Grafana, as far as tests read it.
import { readFileSync } from "node:fs";

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

export interface DashboardQuery {
  readonly panel: string;
  readonly query: string;
  readonly legend: string;
}

export function dashboardQueries(): DashboardQuery[] {
  const { panels } = JSON.parse(readFileSync("ops/grafana/rivulet.json", "utf8"));
  return (panels as Panel[]).flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({ panel: title, query: expr, legend: legendFormat })),
  );
}
