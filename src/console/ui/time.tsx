// A point in time: how long ago it was, with the time itself as a tooltip.
import { now } from "../clock.ts";
import { relativeText, timeText } from "../format.ts";

export function Time({ ms }: { ms: number }) {
  const text = timeText(ms);
  if (!text.includes("T")) return <span class="data">{text}</span>;
  return (
    <time dateTime={text} title={text}>
      {relativeText(ms, Math.max(now.value, ms))}
    </time>
  );
}
