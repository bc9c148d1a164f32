// The lag of a group over time: a line, a description in words, and a table of the numbers.
import { useId } from "preact/hooks";
import type { LagPoint } from "../../core/metrics/lag-trends.ts";
import { countText, durationText, numberText, timeText } from "../format.ts";
import { trendText } from "../group-flow.ts";
import { ageText } from "../lag.ts";
import { type Column, Table } from "./table.tsx";

const WIDTH = 600;
const HEIGHT = 120;
const TOP = 6;
const BOTTOM = 18;

const COLUMNS: readonly Column<LagPoint>[] = [
  { title: "Time", cell: ({ atMs }) => <span class="data">{timeText(atMs)}</span> },
  { title: "Lag in records", isNumber: true, cell: ({ lag }) => numberText(lag) },
  { title: "Oldest unread", isNumber: true, cell: ({ oldestUnreadMs }) => ageText(oldestUnreadMs) },
];

/** Draws nothing until there are two points. */
export function Trend({ points }: { points: readonly LagPoint[] }) {
  const id = useId();
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || points.length < 2) return null;
  const lengthMs = Math.max(1, last.atMs - first.atMs);
  const most = Math.max(1, ...points.map(({ lag }) => lag));
  const x = (atMs: number) => ((atMs - first.atMs) / lengthMs) * WIDTH;
  const y = (lag: number) => HEIGHT - BOTTOM - (lag / most) * (HEIGHT - TOP - BOTTOM);
  const line = points
    .map(({ atMs, lag }) => `${x(atMs).toFixed(1)},${y(lag).toFixed(1)}`)
    .join(" ");
  return (
    <figure class="trend">
      <svg role="img" aria-labelledby={id} viewBox={`0 0 ${WIDTH} ${HEIGHT}`}>
        <title id={id}>{trendText(points)}</title>
        <line x1="0" x2={WIDTH} y1={y(0)} y2={y(0)} />
        <polyline points={line} />
        <text x="0" y={HEIGHT - 4}>
          {durationText(lengthMs)} ago
        </text>
        <text x={WIDTH} y={HEIGHT - 4} text-anchor="end">
          now
        </text>
        <text x="4" y={TOP + 10}>
          {countText(most, "record")}
        </text>
      </svg>
      <figcaption>
        {trendText(points)}
        <details>
          <summary>The numbers</summary>
          <Table
            caption="The lag over time"
            isCaptionHidden
            columns={COLUMNS}
            rows={points.toReversed()}
            keyOf={({ atMs }) => String(atMs)}
          />
        </details>
      </figcaption>
    </figure>
  );
}
