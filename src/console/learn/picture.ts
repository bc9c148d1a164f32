// The picture of the lesson: what is drawn and where. The producer sends into four logs. The members of the
// groups are to the right of them, with lines to the partitions that they own. drawing.tsx draws it, motion.ts
// moves records.
import type { GroupInfo } from "../../core/group-info.ts";
import { countText, numberText } from "../format.ts";
import { type EdgeKind, partitionsOf } from "../group-picture.ts";
import { rangesText } from "../history-text.ts";
import { GROUPS, type GroupName, type Lesson, type Member, memberOf } from "./state.ts";
import { SESSION_MS } from "./steps.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

/** A record in its log. */
export interface Cell extends Point {
  readonly offset: number;
  readonly letter: string;
  /** True if the first group has committed an offset after it. */
  readonly isRead: boolean;
  /** True if the reader has sent it by hand. */
  readonly isOwn: boolean;
}

/** A whole log in one bar, with the committed offset of a group. */
export interface Bar extends Box {
  readonly group: GroupName;
  readonly labelX: number;
  /** Null where the group has committed nothing. */
  readonly position: number | null;
  readonly markX: number;
  readonly lag: number;
}

export interface LogNode extends Box {
  readonly partition: number;
  readonly end: number;
  readonly cells: readonly Cell[];
  readonly bars: readonly Bar[];
  /** The place of the next record. */
  readonly tail: Point;
  /** The start of lines to members. */
  readonly port: Point;
}

export type MemberKind = "working" | "idle" | "silent" | "failed";

export interface MemberNode extends Box {
  readonly memberId: string;
  readonly group: GroupName;
  readonly name: string;
  readonly kind: MemberKind;
  readonly state: string;
  readonly count: string;
  readonly edges: readonly { readonly kind: EdgeKind; readonly partition: number }[];
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly producer: Box;
  readonly logs: readonly LogNode[];
  readonly members: readonly MemberNode[];
  /** The picture in words. */
  readonly words: string;
}

/** From this width on, the producer fits beside the logs. */
const ROOMY = 560;
export const CELL = 20;
const TITLE = 20;
const BAR = 18;
const GAP = 18;
const MEMBER = 62;
const BELOW = 10;

export function pictureOf(lesson: Lesson, width: number, nowMs: number): Picture {
  const isRoomy = width >= ROOMY;
  const groups = GROUPS.filter(
    (group) =>
      lesson.groups[group].info !== null || lesson.members.some((each) => each.group === group),
  );
  const left = isRoomy ? 128 : 0;
  const top = isRoomy ? 0 : 66;
  const side = isRoomy ? 178 : 108;
  const logWidth = Math.floor((width - left - side) * (isRoomy ? 0.8 : 0.84));
  const logHeight = TITLE + CELL + groups.length * BAR + GAP;
  const nodes = membersOf(lesson, nowMs, isRoomy);
  const height = Math.max(
    top + lesson.logs.length * logHeight,
    top + nodes.length * (MEMBER + BELOW),
  );
  const step = (height - top) / lesson.logs.length;
  const logs = lesson.logs.map((_, partition) =>
    logNode(lesson, partition, groups, {
      x: left,
      y: top + partition * step,
      width: logWidth,
      height: logHeight,
    }),
  );
  const memberStep = (height - top) / Math.max(1, nodes.length);
  const members = nodes.map((node, i) => ({
    ...node,
    x: width - side,
    y: top + (i + 0.5) * memberStep - MEMBER / 2,
    width: side,
    height: MEMBER,
  }));
  const producer = isRoomy
    ? { x: 1, y: height / 2 - 32, width: 92, height: 58 }
    : { x: 1, y: 1, width: logWidth - 2, height: 46 };
  return { width, height: height + 2, producer, logs, members, words: wordsOf(lesson, nodes) };
}

function logNode(
  { logs, groups, own }: Lesson,
  partition: number,
  shown: readonly GroupName[],
  box: Box,
): LogNode {
  const { end, newest } = logs[partition] ?? { end: 0, newest: [] };
  const { x, y, width } = box;
  const capacity = Math.floor(width / CELL) - 1; // One stays free for the next record.
  const committedOf = (group: GroupName) =>
    offsetIn(groups[group].info, partition)?.committedOffset ?? null;
  const billing = committedOf("billing");
  const drawn = newest.slice(-capacity);
  const cellY = y + TITLE;
  const cells = drawn.map(({ offset, key }, i) => ({
    x: x + i * CELL,
    y: cellY,
    offset,
    letter: [...key][0] ?? "",
    isRead: billing !== null && offset < billing,
    isOwn: own.some((each) => each.partition === partition && each.offset === offset),
  }));
  const bars = shown.map((group, i): Bar => {
    const position = committedOf(group);
    const barX = x + 52;
    const barWidth = Math.max(20, width - 52 - 50);
    const fraction = position === null || end === 0 ? 0 : Math.min(1, position / end);
    return {
      group,
      labelX: x,
      x: barX,
      y: cellY + CELL + i * BAR + 5,
      width: barWidth,
      height: BAR,
      position,
      markX: barX + fraction * barWidth,
      lag: position === null ? 0 : Math.max(0, end - position),
    };
  });
  return {
    ...box,
    partition,
    end,
    cells,
    bars,
    tail: { x: x + (cells.length + 0.5) * CELL, y: cellY + CELL / 2 },
    port: { x: x + width, y: cellY + CELL / 2 },
  };
}

function offsetIn(info: GroupInfo | null, partition: number) {
  return info?.offsets.find((each) => each.partition === partition);
}

type Node = Omit<MemberNode, keyof Box>;

/** Returns the members that the broker lists and those of this page: the first group's first, by name. */
function membersOf(lesson: Lesson, nowMs: number, isRoomy: boolean): Node[] {
  return GROUPS.flatMap((group) => {
    const { info } = lesson.groups[group];
    const edges = new Map<string, { kind: EdgeKind; partition: number }[]>();
    const note = (memberId: string | undefined, kind: EdgeKind, partition: number) => {
      if (memberId !== undefined)
        edges.set(memberId, [...(edges.get(memberId) ?? []), { kind, partition }]);
    };
    for (const { partition, owner, holder, next } of info === null ? [] : partitionsOf(info)) {
      note(owner?.memberId, next === null ? "keeps" : "gives up", partition);
      note(holder?.memberId, "gives up", partition);
      note(next?.memberId, "gets", partition);
    }
    const own = lesson.members.filter((each) => each.group === group);
    const others = (info?.members ?? [])
      .filter(({ memberId }) => memberOf(lesson, memberId) === undefined)
      .filter(({ clientId }) => !clientId?.startsWith(`${group}-`)); // It has just left this page.
    return [
      ...own.map((member) => nodeOf(member, edges.get(member.memberId) ?? [], nowMs, isRoomy)),
      ...others.map(
        ({ memberId, clientId }): Node => ({
          memberId,
          group,
          name: clientId ?? "A consumer",
          kind: "working",
          state: ownsText(edges.get(memberId) ?? []),
          count: "not in this page",
          edges: edges.get(memberId) ?? [],
        }),
      ),
    ];
  });
}

function nodeOf(member: Member, edges: Node["edges"], nowMs: number, isRoomy: boolean): Node {
  const { memberId, group, number, handled, silentSinceMs, failure, last } = member;
  const role = group === "billing" ? "Consumer" : "Auditor";
  const owns = ownsText(edges);
  const count = handled === 0 ? "" : `${numberText(handled)}${isRoomy ? " handled" : ""}`;
  const about = { memberId, group, name: `${role} ${number}`, edges };
  if (failure !== null) return { ...about, kind: "failed", state: "has failed", count };
  if (silentSinceMs !== null) {
    const left = leftText(silentSinceMs + SESSION_MS - nowMs, isRoomy);
    return { ...about, kind: "silent", state: left, count: owns };
  }
  const isIdle = edges.length === 0;
  return {
    ...about,
    kind: isIdle ? "idle" : "working",
    state: isIdle ? "owns nothing" : owns,
    count: isIdle || last === "" ? count : `${count}: ${last}`,
  };
}

function ownsText(edges: Node["edges"]): string {
  const numbers = edges.filter(({ kind }) => kind !== "gets").map(({ partition }) => partition);
  return numbers.length === 0 ? "owns nothing yet" : `owns ${rangesText(numbers)}`;
}

/** Returns the rest of a session in words. The broker checks a moment after its end. */
function leftText(ms: number, isRoomy: boolean): string {
  return ms > 0 ? `silent: ${Math.ceil(ms / 1_000)} s${isRoomy ? " left" : ""}` : "time is up";
}

function wordsOf(lesson: Lesson, nodes: readonly Node[]): string {
  const { topic, logs, sent } = lesson;
  if (topic === null) return "There is no topic yet.";
  const positions = (partition: number) =>
    GROUPS.map((group) => [group, offsetIn(lesson.groups[group].info, partition)] as const)
      .filter(([, offset]) => offset !== undefined && offset.committedOffset !== null)
      .map(([group, offset]) => `, ${group} is at ${numberText(offset?.committedOffset ?? 0)}`)
      .join("");
  return [
    `The producer has sent ${countText(sent, "record")}.`,
    ...logs.map(
      ({ end, newest }, i) =>
        `Partition ${i} has ${countText(end, "record")}${end === 0 ? "" : `, the newest from ${newest.at(-1)?.key ?? "?"}`}${positions(i)}.`,
    ),
    ...nodes.map(
      ({ name, group, state, count }) =>
        `${name} of ${group}: ${[state, count].filter((each) => each !== "").join(", ")}.`,
    ),
  ].join(" ");
}

/** True if the producer is beside the logs, and not above them. */
export function isBeside(producer: Box, log: Box): boolean {
  return producer.x + producer.width < log.x;
}

/** Returns the start and the end of the way from the producer into a log. */
export function wayTo(producer: Box, log: LogNode): readonly [Point, Point] {
  const { x, y, width, height } = producer;
  return isBeside(producer, log)
    ? [
        { x: x + width, y: y + height / 2 },
        { x: log.x, y: log.tail.y },
      ]
    : [
        { x: x + width / 2, y: y + height },
        { x: log.tail.x, y: log.tail.y },
      ];
}

/** The line from a log to a member that owns it, as a path and as points on it. */
export function curveBetween(from: Point, to: Point): string {
  const middle = (from.x + to.x) / 2;
  return `M${from.x} ${from.y} C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
}

/** Returns this many points of the curve, including both ends. */
export function pointsBetween(from: Point, to: Point, count: number): Point[] {
  const middle = (from.x + to.x) / 2;
  return Array.from({ length: count }, (_, i) => {
    const t = i / (count - 1);
    const s = 1 - t;
    const at = (a: number, b: number, c: number, d: number) =>
      s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d;
    return { x: at(from.x, middle, middle, to.x), y: at(from.y, from.y, to.y, to.y) };
  });
}

/** The most records in flight at once. More would only hide each other. */
export const MAX_FLYING = 40;
const SLOWEST_MS = 900;
const FASTEST_MS = 350;

/** Returns the time that a record is in flight while this many others are, or null if the picture shows no more. */
export function paceOf(flying: number): number | null {
  if (flying >= MAX_FLYING) return null;
  return SLOWEST_MS - ((SLOWEST_MS - FASTEST_MS) * flying) / MAX_FLYING;
}
