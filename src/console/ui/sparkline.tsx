// A small line of numbers over time. Its numbers are told in its label, because a picture alone tells nothing to whoever
// does not see it.
import { numberText } from "../format.ts";

const WIDTH = 120;
const HEIGHT = 24;

export function Sparkline({ label, values }: { label: string; values: readonly number[] }) {
  if (values.length < 2) return null;
  const most = Math.max(...values, 1);
  const points = values
    .map((value, i) => {
      const x = (i / (values.length - 1)) * WIDTH;
      const y = HEIGHT - 1 - (value / most) * (HEIGHT - 2);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
  const text = `${label}: from ${numberText(values[0] ?? 0)} to ${numberText(values.at(-1) ?? 0)}, at most ${numberText(Math.max(...values))}`;
  return (
    <svg class="sparkline" role="img" aria-label={text} viewBox={`0 0 ${WIDTH} ${HEIGHT}`}>
      <title>{text}</title>
      <polyline points={points} />
    </svg>
  );
}
