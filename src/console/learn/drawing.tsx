// Draws the state of the lesson. It can be paused.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { numberText, shortened } from "../format.ts";
import { useWidth } from "../ui/use-width.ts";
import { flights } from "./lesson.ts";
import { Motion } from "./motion.ts";
import {
  type Bar,
  CELL,
  curveBetween,
  isBeside,
  type LogNode,
  type MemberNode,
  type Picture,
  pictureOf,
  wayTo,
} from "./picture.ts";
import type { Lesson } from "./state.ts";

const TICK_MS = 250;
const MIN_WIDTH = 290;

/** `shown` is the state when the drawing was paused, or the current one. */
export function Drawing({
  shown,
  isPaused,
  setPaused,
}: {
  shown: Lesson;
  isPaused: boolean;
  setPaused: (isPaused: boolean) => void;
}) {
  const ref = useRef<HTMLElement>(null);
  const layer = useRef<SVGGElement>(null);
  const motion = useRef<Motion | null>(null);
  const width = useWidth(ref, MIN_WIDTH);
  const now = useNow(
    !isPaused && shown.members.some(({ silentSinceMs }) => silentSinceMs !== null),
  );
  const picture = pictureOf(shown, width, now);
  const id = useId();
  useEffect(() => {
    if (layer.current === null) return;
    motion.current = new Motion(layer.current);
    flights.show = motion.current.show;
    return () => {
      flights.show = () => {};
    };
  }, []);
  useEffect(() => motion.current?.follow(picture), [picture]);
  useEffect(() => motion.current?.pause(isPaused), [isPaused]);
  return (
    <figure class="stage" ref={ref}>
      <svg
        role="img"
        aria-labelledby={`${id}t`}
        aria-describedby={`${id}w`}
        width={width}
        height={picture.height}
        viewBox={`0 0 ${width} ${picture.height}`}
      >
        <title id={`${id}t`}>The topic, its partitions and the members that read them</title>
        <Producer picture={picture} sent={shown.sent} />
        {picture.members.map((node) => (
          <Edges key={node.memberId} node={node} logs={picture.logs} />
        ))}
        {picture.logs.map((node) => (
          <Log key={node.partition} node={node} exists={shown.topic !== null} />
        ))}
        {picture.members.map((node) => (
          <Member key={node.memberId} node={node} />
        ))}
        <g ref={layer} />
      </svg>
      <figcaption>
        <div class="row">
          <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
            Pause the picture
          </button>
          {isPaused && <span>Paused. The members work on, and you will see where they are.</span>}
        </div>
        <Legend
          hasGroup={picture.members.length > 0}
          hasAudit={picture.members.some(({ group }) => group === "audit")}
        />
        <details>
          <summary>The picture in words</summary>
          <p id={`${id}w`}>{picture.words}</p>
        </details>
      </figcaption>
    </figure>
  );
}

/** The time, updated several times a second while that matters. */
function useNow(isNeeded: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!isNeeded) return;
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    setNow(Date.now());
    return () => clearInterval(timer);
  }, [isNeeded]);
  return now;
}

function Producer({ picture: { producer, logs }, sent }: { picture: Picture; sent: number }) {
  const { x, y, width, height } = producer;
  return (
    <g class="producer">
      {logs
        .filter((log) => isBeside(producer, log))
        .map((log) => (
          <path key={log.partition} class="way" d={curveBetween(...wayTo(producer, log))} />
        ))}
      <rect x={x} y={y} width={width} height={height} rx={8} />
      <text class="strong" x={x + 10} y={y + 20}>
        Producer
      </text>
      <text class="state" x={x + 10} y={y + 38}>
        {numberText(sent)} sent
      </text>
    </g>
  );
}

function Log({ node, exists }: { node: LogNode; exists: boolean }) {
  const { x, y, width, partition, end, cells, bars, tail } = node;
  return (
    <g class={exists ? "log" : "log absent"}>
      <text x={x} y={y + 14}>
        Partition <tspan class="strong">{partition}</tspan>
      </text>
      <text class="state" x={x + width} y={y + 14} text-anchor="end">
        {end === 0 ? "empty" : `offsets ${cells[0]?.offset ?? 0}–${end - 1}`}
      </text>
      <rect class="strip" x={x} y={tail.y - CELL / 2} width={width} height={CELL} rx={3} />
      {cells.map(({ x: cellX, y: cellY, offset, letter, isRead, isOwn }) => (
        <g key={offset} class={`cell${isRead ? " read" : ""}${isOwn ? " own" : ""}`}>
          <rect x={cellX + 1} y={cellY + 1} width={CELL - 2} height={CELL - 2} rx={3} />
          <text x={cellX + CELL / 2} y={cellY + 14.5} text-anchor="middle">
            {letter}
          </text>
        </g>
      ))}
      {bars.map((bar) => (
        <Position key={bar.group} bar={bar} />
      ))}
    </g>
  );
}

function Position({ bar }: { bar: Bar }) {
  const { group, labelX, x, y, width, position, markX, lag } = bar;
  const middle = y + 7;
  return (
    <g class={`position ${group}`}>
      <text class="state" x={labelX} y={middle + 4}>
        {group}
      </text>
      <path class="track" d={`M${x} ${middle} H${x + width}`} />
      {position !== null && (
        <>
          <path class="done" d={`M${x} ${middle} H${markX}`} />
          <path
            class="mark"
            d={
              group === "billing"
                ? `M${markX} ${middle - 6} l5 6 l-5 6 l-5 -6 z`
                : `M${markX - 5} ${middle - 5} h10 v10 h-10 z`
            }
          />
        </>
      )}
      <text
        class={lag > 9 ? "lag late" : "lag"}
        x={x + width + 50}
        y={middle + 4}
        text-anchor="end"
      >
        {position === null ? "–" : numberText(position)}
      </text>
    </g>
  );
}

function Edges({ node, logs }: { node: MemberNode; logs: readonly LogNode[] }) {
  const to = { x: node.x, y: node.y + node.height / 2 };
  return (
    <g class={node.group}>
      {node.edges.map(({ kind, partition }) => {
        const from = logs[partition]?.port;
        const isLost = node.kind === "silent";
        return from === undefined ? null : (
          <path
            key={`${kind} ${partition}`}
            class={`edge ${isLost ? "gives-up" : kind.replace(" ", "-")}`}
            d={curveBetween(from, to)}
          />
        );
      })}
    </g>
  );
}

const CLASSES = { working: "", idle: " idle", silent: " lost", failed: " lost" } as const;
const CHAR = 6.9;

function Member({ node }: { node: MemberNode }) {
  const { x, y, width, height, name, kind, state, count, group } = node;
  const room = Math.floor((width - 14) / CHAR);
  return (
    <g class={`member ${group}${CLASSES[kind]}`}>
      <rect x={x + 1} y={y} width={width - 2} height={height} rx={8} />
      <text class="strong" x={x + 9} y={y + 18}>
        {shortened(name, room)}
      </text>
      <text class={kind === "silent" ? "strong" : "state"} x={x + 9} y={y + 35}>
        {shortened(state, room)}
      </text>
      <text class="state" x={x + 9} y={y + 52}>
        {shortened(count, room)}
      </text>
    </g>
  );
}

function Legend({ hasGroup, hasAudit }: { hasGroup: boolean; hasAudit: boolean }) {
  if (!hasGroup) return null;
  return (
    <ul class="legend">
      <li>
        <svg width="20" height="20" aria-hidden="true" class="cell">
          <rect x="1" y="1" width="18" height="18" rx="3" />
        </svg>
        not yet committed by billing
      </li>
      <li>
        <svg width="20" height="20" aria-hidden="true" class="cell read">
          <rect x="1" y="1" width="18" height="18" rx="3" />
        </svg>
        committed by billing
      </li>
      <li>
        <svg width="34" height="12" aria-hidden="true" class="position billing">
          <path class="done" d="M1 6 H20" />
          <path class="mark" d="M20 0 l5 6 l-5 6 l-5 -6 z" />
        </svg>
        committed offset in the whole log
      </li>
      {hasAudit && (
        <li>
          <svg width="36" height="10" aria-hidden="true" class="audit">
            <path class="edge keeps" d="M1 5 H35" />
          </svg>
          owned in the group audit
        </li>
      )}
    </ul>
  );
}
