// Draws a group as in a textbook: its partitions on the left, its members on the right, and the ownership
// between them.
import { useId, useRef } from "preact/hooks";
import type { GroupInfo } from "../../core/group-info.ts";
import { countText, numberText, shortened } from "../format.ts";
import { type Flows, NO_FLOWS } from "../group-flow.ts";
import {
  type EdgeKind,
  type MemberNode,
  type PartitionNode,
  type Picture,
  pictureOf,
} from "../group-picture.ts";
import { calledOf } from "../history-text.ts";
import { useWidth } from "./use-width.ts";

const MIN_WIDTH = 300;
const CHAR = 7.3;
const PADDING = 8;

export function GroupDrawing({ group, flows = NO_FLOWS }: { group: GroupInfo; flows?: Flows }) {
  const ref = useRef<HTMLElement>(null);
  const width = useWidth(ref, MIN_WIDTH);
  const id = useId();
  const picture = pictureOf(group);
  const side = Math.min(270, width * 0.37);
  const { partitions, members, height } = picture;
  return (
    <figure class="group-drawing" ref={ref}>
      <svg
        role="img"
        aria-labelledby={`${id}t ${id}d`}
        width={width}
        height={height + 2}
        viewBox={`0 0 ${width} ${height + 2}`}
      >
        <title id={`${id}t`}>Who owns which partition of {group.groupId}</title>
        <desc id={`${id}d`}>{summaryOf(picture)}</desc>
        {members.map((node) => (
          <Member
            key={node.member.memberId}
            node={node}
            flows={flows}
            left={side}
            x={width - side}
            side={side}
          />
        ))}
        {partitions.map((node) => (
          <Partition key={`${node.topic}/${node.partition}`} node={node} side={side} />
        ))}
        {members.length === 0 && (
          <text class="nobody" x={width - side / 2} y={height / 2} text-anchor="middle">
            no members
          </text>
        )}
      </svg>
      <figcaption>
        <Legend />
        {(picture.hiddenPartitions > 0 || picture.hiddenMembers > 0) && (
          <p>
            Not drawn: {countText(picture.hiddenPartitions, "partition")} and{" "}
            {countText(picture.hiddenMembers, "member")}. The tables below list all.
          </p>
        )}
      </figcaption>
    </figure>
  );
}

function Partition({ node, side }: { node: PartitionNode; side: number }) {
  const { topic, partition, owner, holder, next, y } = node;
  const isFree = owner === null && holder === null;
  const lag = lagText(node, side > ROOMY);
  const room = Math.floor((side - 2 * PADDING) / CHAR);
  const isLate = (node.offset?.lag ?? 0) > 0;
  const name = shortened(topic, Math.max(4, room - lag.length - String(partition).length - 2));
  const state = isFree ? (next === null ? "no owner" : `waits for ${calledOf(next)}`) : "";
  return (
    <g class={isFree ? "partition free" : "partition"}>
      <title>
        {topic} {partition}, {lag}
        {state === "" ? "" : `, ${state}`}
      </title>
      <rect x={1} y={y - 12} width={side - 2} height={24} rx={4} />
      <text x={PADDING} y={y + 4.5}>
        {name} <tspan class="strong">{partition}</tspan>
      </text>
      <text class={isLate ? "lag late" : "lag"} x={side - PADDING} y={y + 4.5} text-anchor="end">
        {lag}
      </text>
    </g>
  );
}

/** From this width on there is room for words. */
const ROOMY = 200;

/** The lag, as space allows. "None committed" is not a lag of 0. */
function lagText({ offset }: PartitionNode, isRoomy: boolean): string {
  if (offset === null) return "?";
  if (offset.lag === null) return isRoomy ? "none committed" : "none";
  const { lag } = offset;
  if (lag < 10_000) return numberText(lag);
  return lag < 1e6 ? `${Math.round(lag / 1e3)}k` : `${(lag / 1e6).toFixed(1)}M`;
}

function Member(props: { node: MemberNode; flows: Flows; left: number; x: number; side: number }) {
  const { node, flows, left, x, side } = props;
  const { member, count, isIdle, y, edges } = node;
  const room = Math.floor((side - 2 * PADDING) / CHAR);
  const waits = edges.filter(({ kind }) => kind === "gets").length;
  const state = !member.connected
    ? "connection lost"
    : isIdle
      ? "idle"
      : waits > 0
        ? `${numberText(count)} now, ${numberText(waits)} to come`
        : countText(count, "partition");
  return (
    <g class={`member${isIdle ? " idle" : ""}${member.connected ? "" : " lost"}`}>
      <title>
        {calledOf(member)} ({member.memberId}): {state}
      </title>
      {edges.map(({ kind, fromY, toY }) => (
        <path key={`${kind} ${fromY}`} class={classOf(kind)} d={curve(left, fromY, x, toY)} />
      ))}
      {edges.map(
        ({ kind, place, fromY, toY }) =>
          kind !== "gets" &&
          flows.has(place) && (
            <path key={place} class="flow" d={curve(left, fromY, x, toY)}>
              <title>
                {place}: {numberText(Math.ceil(flows.get(place) ?? 0))} records a second
              </title>
            </path>
          ),
      )}
      <rect x={x + 1} y={y - 20} width={side - 2} height={40} rx={8} />
      <text class="strong" x={x + PADDING} y={y - 3}>
        {shortened(calledOf(member), room)}
      </text>
      <text class="state" x={x + PADDING} y={y + 13}>
        {shortened(state, room)}
      </text>
    </g>
  );
}

function curve(fromX: number, fromY: number, toX: number, toY: number): string {
  const middle = (fromX + toX) / 2;
  return `M${fromX} ${fromY} C${middle} ${fromY} ${middle} ${toY} ${toX} ${toY}`;
}

function classOf(kind: EdgeKind): string {
  return `edge ${kind.replace(" ", "-")}`;
}

const KINDS: readonly (readonly [EdgeKind, string])[] = [
  ["keeps", "owns it"],
  ["gives up", "owns it and will give it up"],
  ["gets", "gets it next"],
];

function Legend() {
  return (
    <ul class="legend">
      {KINDS.map(([kind, text]) => (
        <li key={kind}>
          <svg width="36" height="10" aria-hidden="true">
            <path class={classOf(kind)} d="M1 5 H35" />
          </svg>
          {text}
        </li>
      ))}
      <li>
        <svg width="18" height="12" aria-hidden="true" class="partition free">
          <rect x="1" y="1" width="16" height="10" rx="3" />
        </svg>
        no owner
      </li>
      <li>
        <svg width="36" height="10" aria-hidden="true">
          <path class="flow" d="M1 5 H35" />
        </svg>
        records flow
      </li>
    </ul>
  );
}

/** Describes the picture for people who cannot see it. The tables below it have the details. */
function summaryOf({ partitions, members }: Picture): string {
  const free = partitions.filter(({ owner }) => owner === null).length;
  const moving = partitions.filter(({ next }) => next !== null).length;
  const idle = members.filter(({ isIdle }) => isIdle).length;
  return [
    `${countText(partitions.length, "partition")}: ${numberText(free)} without an owner, ${numberText(moving)} moving to another member.`,
    `${countText(members.length, "member")}: ${numberText(idle)} idle.`,
    ...members
      .filter(({ isIdle }) => !isIdle)
      .map(({ member, count }) => `${calledOf(member)} has ${numberText(count)}.`),
  ].join(" ");
}
