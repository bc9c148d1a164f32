// The offsets and the lag of a group for people. `groups describe` and `groups lag` share it.
import type { RefusedPlace } from "../core/group-info.ts";
import type { GroupInfo, GroupOffsetInfo } from "../sdk/index.ts";
import { whole } from "./answer.ts";
import { count, durationText } from "./figures.ts";
import { plain } from "./plain.ts";
import { table } from "./table.ts";

export interface OwnedOffset extends GroupOffsetInfo {
  /** The client, or the member if it has no client id. Null if the partition has no owner now. */
  readonly owner: string | null;
}

/** Returns the group with its lists, also those within its members. @throws ConnectionError if the answer is none */
export function wholeGroup(answer: GroupInfo): GroupInfo {
  const group = whole(answer, "groupId", "state", "members", "offsets");
  const members = group.members.map((member) => ({
    ...member,
    assignment: member.assignment ?? [],
    target: member.target ?? [],
  }));
  return { ...group, members };
}

export function offsetsOf(group: GroupInfo): OwnedOffset[] {
  const owners = new Map<string, string>();
  for (const member of group.members) {
    for (const { topic, partitions } of member.assignment) {
      for (const partition of partitions)
        owners.set(`${topic}/${partition}`, member.clientId ?? member.memberId);
    }
  }
  return group.offsets.map((row) => ({
    ...row,
    owner: owners.get(`${row.topic}/${row.partition}`) ?? null,
  }));
}

/** Sums up the lag. Null if nothing is committed anywhere. */
export function lagOf(offsets: readonly GroupOffsetInfo[]): number | null {
  const known = offsets.flatMap(({ lag }) => (lag === null ? [] : [lag]));
  return known.length === 0 ? null : known.reduce((sum, lag) => sum + lag, 0);
}

/** Writes the lag. `unreadable` is the number of partitions that do not answer. */
export function lagText(offsets: readonly GroupOffsetInfo[], unreadable = 0): string {
  const lag = lagOf(offsets);
  const unknown = offsets.filter((row) => row.lag === null).length;
  const parts = [
    ...(lag === null ? [] : [String(lag)]),
    ...(unknown === 0 ? [] : [`nothing committed in ${count(unknown, "partition")}`]),
    ...(unreadable === 0 ? [] : [`not known in ${count(unreadable, "partition")}`]),
  ];
  return parts.length === 0 ? "no committed offsets" : parts.join(", ");
}

export function unreadableText({ topic, partition, code, detail }: RefusedPlace): string {
  return plain(`${topic}/${partition} does not answer: ${code}: ${detail}`);
}

export function offsetsTable(offsets: readonly OwnedOffset[]): string {
  return table(
    ["TOPIC", "PARTITION", "COMMITTED", "LOG END", "LAG", "OLDEST UNREAD", "OWNER"],
    offsets.map((row) => [
      row.topic,
      row.partition,
      row.committedOffset,
      row.logEndOffset,
      row.lag,
      row.oldestUnreadMs === null ? null : { figure: durationText(row.oldestUnreadMs) },
      row.owner ?? "",
    ]),
  );
}
