// The picture of a group: partitions on the left, members on the right, and an edge from each partition to its
// present or next owner. This file decides what is drawn and where; ui/group-drawing.tsx draws it.
import type {
  GroupInfo,
  GroupOffsetInfo,
  MemberInfo,
  TopicAssignment,
} from "../core/group-info.ts";

/**
 * - keeps: the member has the partition, and will keep it.
 * - gives up: the member has it, or was asked to give it up and has not yet, and another member will have it.
 * - gets: the member will have it, once no other member has it.
 */
export type EdgeKind = "keeps" | "gives up" | "gets";

export interface PartitionNode {
  readonly topic: string;
  readonly partition: number;
  readonly offset: GroupOffsetInfo | null;
  /** The member that has it now, if there is one. */
  readonly owner: MemberInfo | null;
  /** The member that was asked to give it up and has not yet. It may still be processing records. */
  readonly holder: MemberInfo | null;
  /** The member that will have it, if that is another one. */
  readonly next: MemberInfo | null;
  readonly y: number;
}

export interface MemberNode {
  readonly member: MemberInfo;
  readonly count: number;
  readonly isIdle: boolean;
  readonly y: number;
  readonly edges: readonly Edge[];
}

export interface Edge {
  readonly kind: EdgeKind;
  /** The partition, as topic/partition. */
  readonly place: string;
  readonly fromY: number;
  readonly toY: number;
}

export interface Picture {
  readonly partitions: readonly PartitionNode[];
  readonly members: readonly MemberNode[];
  readonly height: number;
  /** The numbers of partitions and members that do not fit the picture. The tables list them. */
  readonly hiddenPartitions: number;
  readonly hiddenMembers: number;
}

export const MAX_DRAWN = 48;
const ROW = 30;
const MEMBER_ROW = 46;

/** Returns the partitions of a group with their present and next owners, by topic and number. */
export function partitionsOf(group: GroupInfo): Omit<PartitionNode, "y">[] {
  const nodes = new Map<
    string,
    { topic: string; partition: number; offset: GroupOffsetInfo | null }
  >();
  const note = (topic: string, partition: number, offset: GroupOffsetInfo | null) => {
    const key = `${topic}/${partition}`;
    if (offset !== null || !nodes.has(key)) nodes.set(key, { topic, partition, offset });
  };
  for (const offset of group.offsets) note(offset.topic, offset.partition, offset);
  for (const { topic, partition } of group.unreadable ?? []) note(topic, partition, null);
  const owners = new Map<string, MemberInfo>();
  const targets = new Map<string, MemberInfo>();
  const holders = new Map<string, MemberInfo>();
  for (const member of group.members) {
    each(member.assignment, (topic, partition) => {
      note(topic, partition, null);
      owners.set(`${topic}/${partition}`, member);
    });
    each(member.revoking ?? [], (topic, partition) => {
      note(topic, partition, null);
      holders.set(`${topic}/${partition}`, member);
    });
    each(member.target, (topic, partition) => {
      note(topic, partition, null);
      targets.set(`${topic}/${partition}`, member);
    });
  }
  return [...nodes]
    .map(([key, node]) => {
      const owner = owners.get(key) ?? null;
      const target = targets.get(key) ?? null;
      const holder = owner === null ? (holders.get(key) ?? null) : null;
      return { ...node, owner, holder, next: target === owner ? null : target };
    })
    .sort((a, b) => compare(a.topic, b.topic) || a.partition - b.partition);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function each(
  assignment: readonly TopicAssignment[],
  visit: (topic: string, partition: number) => void,
): void {
  for (const { topic, partitions } of assignment)
    for (const partition of partitions) visit(topic, partition);
}

/** Returns the picture of a group. Members are placed beside their partitions, so that few edges cross. */
export function pictureOf(group: GroupInfo): Picture {
  const all = partitionsOf(group);
  const drawn = all.slice(0, MAX_DRAWN);
  const places = new Map<MemberInfo, number[]>();
  for (const [row, { owner, holder, next }] of drawn.entries())
    for (const member of [owner, holder, next])
      if (member !== null) places.set(member, [...(places.get(member) ?? []), row]);
  const middle = (member: MemberInfo) => {
    const rows = places.get(member);
    return rows === undefined
      ? Number.POSITIVE_INFINITY
      : rows.reduce((sum, row) => sum + row, 0) / rows.length;
  };
  const counts = new Map(group.members.map((member) => [member, countOf(member.assignment)]));
  const ordered = group.members
    .toSorted((a, b) => middle(a) - middle(b) || compare(a.memberId, b.memberId))
    .slice(0, MAX_DRAWN);
  const height = Math.max(drawn.length * ROW, ordered.length * MEMBER_ROW, MEMBER_ROW);
  const partitions = drawn.map((node, i) => ({ ...node, y: centre(i, drawn.length, height) }));
  const members = ordered.map((member, i): MemberNode => {
    const y = centre(i, ordered.length, height);
    const edges = partitions.flatMap((node): Edge[] => {
      const { owner, holder, next, y: fromY } = node;
      const edge = (kind: EdgeKind): Edge[] => {
        return [{ kind, place: `${node.topic}/${node.partition}`, fromY, toY: y }];
      };
      if (owner === member) return edge(next === null ? "keeps" : "gives up");
      if (holder === member) return edge("gives up");
      return next === member ? edge("gets") : [];
    });
    const count = counts.get(member) ?? 0;
    const isIdle = count === 0 && countOf(member.target) === 0;
    return { member, count, isIdle, y, edges };
  });
  return {
    partitions,
    members,
    height,
    hiddenPartitions: all.length - drawn.length,
    hiddenMembers: group.members.length - ordered.length,
  };
}

/** The middle of a row, if the rows share the height evenly. */
function centre(row: number, rows: number, height: number): number {
  return ((row + 0.5) * height) / rows;
}

export function countOf(assignment: readonly TopicAssignment[]): number {
  return assignment.reduce((sum, { partitions }) => sum + partitions.length, 0);
}
