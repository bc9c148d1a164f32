// The lesson as a state machine: what has happened so far, from the events of its members and from the broker's
// answers about its groups. Nothing here reads the time or sends anything.
import type { GroupInfo } from "../../core/group-info.ts";
import type { PartitionPosition } from "../../member/places.ts";
import { PARTITIONS } from "./cities.ts";

export const GROUPS = ["billing", "audit"] as const;
export type GroupName = (typeof GROUPS)[number];

export interface LogRecord {
  readonly offset: number;
  readonly key: string;
}

export interface Log {
  /** The offset of the next record. */
  readonly end: number;
  /** The newest records, oldest first. */
  readonly newest: readonly LogRecord[];
}

/** A consumer in this page. */
export interface Member {
  readonly memberId: string;
  readonly number: number;
  readonly group: GroupName;
  /** The partitions that it has, according to the SDK. */
  readonly partitions: readonly number[];
  readonly handled: number;
  /** The last record that it received. */
  readonly last: string;
  /** The time when its session began to run out. Null while it is heard from. */
  readonly silentSinceMs: number | null;
  /** The error that ended it. */
  readonly failure: string | null;
}

export interface GroupState {
  /** The broker's last answer about the group. Null before it exists. */
  readonly info: GroupInfo | null;
  /** For each partition, the offset after the last record that a member has processed. */
  readonly next: readonly number[];
}

/** A partition that moves from a member of the first group that died or left to another member. */
export interface Handover {
  readonly from: string;
  readonly partition: number;
  /** The time when it was closed, or last heard from. */
  readonly sinceMs: number;
  /** The offset after the last record that the member had processed. */
  readonly handledTo: number;
  /** True once the broker has reported, after the member fell silent, that it still has the partition. */
  readonly isKept: boolean;
  /** The offset at which another member continued. */
  readonly taken: { readonly by: string; readonly offset: number; readonly atMs: number } | null;
}

export interface Lesson {
  /** The name of the topic. Null before it exists. */
  readonly topic: string | null;
  readonly logs: readonly Log[];
  readonly sent: number;
  /** The places of the records that the reader has sent by hand. */
  readonly own: readonly { readonly partition: number; readonly offset: number }[];
  readonly members: readonly Member[];
  readonly groups: Readonly<Record<GroupName, GroupState>>;
  /** True once a member has given up partitions because another one joined. */
  readonly hasRevoked: boolean;
  readonly death: Handover | null;
  readonly farewell: Handover | null;
  readonly isSlow: boolean;
  readonly mostLag: number;
  /** The offsets to which the second group was reset, and those of these records that were delivered again. */
  readonly rewind: {
    readonly to: ReadonlyMap<number, number>;
    readonly again: ReadonlySet<number>;
    /** The lowest committed offset of the first group at that time, which must not go back. */
    readonly billing: readonly number[];
  } | null;
}

export type LessonEvent =
  | { readonly type: "created"; readonly topic: string }
  | {
      readonly type: "sent";
      readonly partition: number;
      readonly record: LogRecord;
      readonly isOwn: boolean;
    }
  | {
      readonly type: "joined";
      readonly memberId: string;
      readonly number: number;
      readonly group: GroupName;
    }
  | {
      readonly type: "assigned";
      readonly memberId: string;
      readonly positions: readonly PartitionPosition[];
      readonly atMs: number;
    }
  | {
      readonly type: "revoked" | "lost";
      readonly memberId: string;
      readonly partitions: readonly number[];
    }
  | {
      readonly type: "handled";
      readonly memberId: string;
      readonly partition: number;
      readonly record: LogRecord;
    }
  | { readonly type: "unplugged"; readonly memberId: string; readonly lastHeardMs: number }
  | { readonly type: "closing"; readonly memberId: string; readonly atMs: number }
  | { readonly type: "ended"; readonly memberId: string; readonly failure: string | null }
  | {
      readonly type: "told";
      readonly group: GroupName;
      readonly info: GroupInfo;
      readonly atMs: number;
    }
  | { readonly type: "paced"; readonly isSlow: boolean }
  | { readonly type: "rewound"; readonly to: ReadonlyMap<number, number> };

const NO_GROUP: GroupState = { info: null, next: Array(PARTITIONS).fill(0) };
/** The number of records of a log that are kept: as many as the widest picture shows. */
const NEWEST = 24;

export const BEGINNING: Lesson = {
  topic: null,
  logs: Array(PARTITIONS).fill({ end: 0, newest: [] }),
  sent: 0,
  own: [],
  members: [],
  groups: { billing: NO_GROUP, audit: NO_GROUP },
  hasRevoked: false,
  death: null,
  farewell: null,
  isSlow: false,
  mostLag: 0,
  rewind: null,
};

/** Returns the lesson after an event. */
export function replay(lesson: Lesson, event: LessonEvent): Lesson {
  switch (event.type) {
    case "created":
      return { ...lesson, topic: event.topic };
    case "sent":
      return sent(lesson, event.partition, event.record, event.isOwn);
    case "joined": {
      const { memberId, number, group } = event;
      const member = {
        memberId,
        number,
        group,
        partitions: [],
        handled: 0,
        last: "",
        silentSinceMs: null,
        failure: null,
      };
      return { ...lesson, members: [...lesson.members, member] };
    }
    case "assigned":
      return assigned(lesson, event.memberId, event.positions, event.atMs);
    case "revoked":
    case "lost":
      return {
        ...withMember(lesson, event.memberId, ({ partitions }) => ({
          partitions: partitions.filter((each) => !event.partitions.includes(each)),
        })),
        hasRevoked: lesson.hasRevoked || event.type === "revoked",
      };
    case "handled":
      return handled(lesson, event.memberId, event.partition, event.record);
    case "unplugged": {
      const { memberId, lastHeardMs } = event;
      const silent = withMember(lesson, memberId, () => ({ silentSinceMs: lastHeardMs }));
      return { ...silent, death: handoverOf(lesson, memberId, lastHeardMs) };
    }
    case "closing":
      return { ...lesson, farewell: handoverOf(lesson, event.memberId, event.atMs) };
    case "ended": {
      const { memberId, failure } = event;
      if (failure !== null)
        return withMember(lesson, memberId, () => ({ failure, partitions: [] }));
      return { ...lesson, members: lesson.members.filter((each) => each.memberId !== memberId) };
    }
    case "told":
      return withInfo(lesson, event.group, event.info, event.atMs);
    case "paced":
      return { ...lesson, isSlow: event.isSlow };
    case "rewound": {
      const { audit, billing } = lesson.groups;
      const again = new Set<number>();
      const next = audit.next.map((offset, partition) => event.to.get(partition) ?? offset);
      return {
        ...lesson,
        groups: { billing, audit: { ...audit, next } },
        rewind: {
          to: event.to,
          again,
          billing: positionsOf(lesson, "billing").map((each) => each ?? 0),
        },
      };
    }
  }
}

function sent(lesson: Lesson, partition: number, record: LogRecord, isOwn: boolean): Lesson {
  const logs = lesson.logs.map((log, i) => {
    if (i !== partition) return log;
    // Answers may overtake each other.
    const newest = [...log.newest, record].sort((a, b) => a.offset - b.offset).slice(-NEWEST);
    return { end: Math.max(log.end, record.offset + 1), newest };
  });
  const own = isOwn ? [...lesson.own, { partition, offset: record.offset }] : lesson.own;
  return { ...lesson, logs, own, sent: lesson.sent + 1 };
}

function assigned(
  lesson: Lesson,
  memberId: string,
  positions: readonly PartitionPosition[],
  atMs: number,
): Lesson {
  const taken = (handover: Handover | null): Handover | null => {
    const place = positions.find(({ partition }) => partition === handover?.partition);
    const isOther =
      handover !== null &&
      handover.taken === null &&
      handover.from !== memberId &&
      memberOf(lesson, memberId)?.group === "billing";
    if (place === undefined || !isOther) return handover;
    return { ...handover, taken: { by: memberId, offset: place.offset, atMs } };
  };
  const had = withMember(lesson, memberId, ({ partitions }) => ({
    partitions: [
      ...new Set([...partitions, ...positions.map(({ partition }) => partition)]),
    ].sort(),
  }));
  return { ...had, death: taken(lesson.death), farewell: taken(lesson.farewell) };
}

function handled(
  lesson: Lesson,
  memberId: string,
  partition: number,
  { offset, key }: LogRecord,
): Lesson {
  const member = memberOf(lesson, memberId);
  if (member === undefined) return lesson;
  const { group } = member;
  const state = lesson.groups[group];
  const next = state.next.map((each, i) => (i === partition ? Math.max(each, offset + 1) : each));
  const { rewind } = lesson;
  const isAgain = group === "audit" && rewind?.to.get(partition) === offset;
  return {
    ...withMember(lesson, memberId, (before) => ({ handled: before.handled + 1, last: key })),
    groups: { ...lesson.groups, [group]: { ...state, next } },
    rewind: isAgain ? { ...rewind, again: new Set([...rewind.again, partition]) } : rewind,
  };
}

function handoverOf(lesson: Lesson, memberId: string, sinceMs: number): Handover | null {
  const member = memberOf(lesson, memberId);
  const partition = member?.partitions[0];
  if (member === undefined || partition === undefined) return null;
  const handledTo = lesson.groups[member.group].next[partition] ?? 0;
  return { from: memberId, partition, sinceMs, handledTo, isKept: false, taken: null };
}

function withInfo(lesson: Lesson, group: GroupName, info: GroupInfo, atMs: number): Lesson {
  const groups = { ...lesson.groups, [group]: { ...lesson.groups[group], info } };
  const isBilling = group === "billing";
  const death = isBilling ? handoverTold(lesson, lesson.death, info, atMs) : lesson.death;
  const farewell = isBilling ? handoverTold(lesson, lesson.farewell, info, atMs) : lesson.farewell;
  const isGone = ({ memberId }: Member) =>
    isBilling && memberId === death?.from && death.taken !== null && !isListed(info, memberId);
  return {
    ...lesson,
    groups,
    members: lesson.members.filter((member) => !isGone(member)),
    death,
    farewell,
    mostLag: Math.max(lesson.mostLag, isBilling && lesson.isSlow ? lagOf(info) : 0),
  };
}

/** The successor may be a consumer elsewhere, such as in a terminal. Then only the broker reports it. */
function handoverTold(
  lesson: Lesson,
  handover: Handover | null,
  info: GroupInfo,
  atMs: number,
): Handover | null {
  if (handover === null || handover.taken !== null) return handover;
  const { from, partition } = handover;
  if (isListed(info, from)) return handover.isKept ? handover : { ...handover, isKept: true };
  const by = info.members.find(({ assignment }) =>
    assignment.some(({ partitions }) => partitions.includes(partition)),
  )?.memberId;
  if (by === undefined || memberOf(lesson, by) !== undefined) return handover;
  const offset = info.offsets.find((each) => each.partition === partition)?.committedOffset ?? 0;
  return { ...handover, taken: { by, offset, atMs } };
}

function isListed({ members }: GroupInfo, memberId: string): boolean {
  return members.some((each) => each.memberId === memberId);
}

function withMember(
  lesson: Lesson,
  memberId: string,
  change: (member: Member) => Partial<Member>,
): Lesson {
  const members = lesson.members.map((each) =>
    each.memberId === memberId ? { ...each, ...change(each) } : each,
  );
  return { ...lesson, members };
}

export function memberOf(lesson: Lesson, memberId: string): Member | undefined {
  return lesson.members.find((each) => each.memberId === memberId);
}

/** Returns the running members of a group in this page. */
export function workingIn(lesson: Lesson, group: GroupName): Member[] {
  return lesson.members.filter(
    (each) => each.group === group && each.silentSinceMs === null && each.failure === null,
  );
}

/** Returns the number of partitions that each member of a group owns, according to the broker, largest first. */
export function sharesOf({ info }: GroupState): number[] {
  return (info?.members ?? [])
    .map(({ assignment }) => assignment.reduce((sum, { partitions }) => sum + partitions.length, 0))
    .sort((a, b) => b - a);
}

/** Returns the committed offset in each partition. Null if nothing was committed. */
export function positionsOf(lesson: Lesson, group: GroupName): (number | null)[] {
  const offsets = lesson.groups[group].info?.offsets ?? [];
  return lesson.logs.map(
    (_, i) => offsets.find(({ partition }) => partition === i)?.committedOffset ?? null,
  );
}

/** Returns the number of unread records of a group, according to the broker. */
export function lagOf(info: GroupInfo | null): number {
  return info?.offsets.reduce((sum, { lag }) => sum + (lag ?? 0), 0) ?? 0;
}
