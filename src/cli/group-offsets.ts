// Shows people how far a group has read. `groups describe` and `groups lag` share it.
import type { RefusedPlace } from "../core/group-info.ts";
import type { GroupInfo, GroupOffsetInfo } from "../sdk/index.ts";
import { table } from "./table.ts";

export interface OwnedOffset extends GroupOffsetInfo {
  /** The client, or the member if it has no name. Null if nobody owns the partition now. */
  readonly owner: string | null;
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

/** `unreadable` is the number of partitions that do not answer. */
export function lagText(offsets: readonly GroupOffsetInfo[], unreadable = 0): string {
  const lag = lagOf(offsets);
  const unknown = offsets.filter((row) => row.lag === null).length;
  const parts = [
    ...(lag === null ? [] : [String(lag)]),
    ...(unknown === 0 ? [] : [`nothing committed in ${partitions(unknown)}`]),
    ...(unreadable === 0 ? [] : [`not known in ${partitions(unreadable)}`]),
  ];
  return parts.length === 0 ? "no positions" : parts.join(", ");
}

function partitions(count: number): string {
  return `${count} partition${count === 1 ? "" : "s"}`;
}

export function unreadableText({ topic, partition, code, detail }: RefusedPlace): string {
  return `${topic}/${partition} does not answer: ${code}: ${detail}`;
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
      row.oldestUnreadMs === null ? null : age(row.oldestUnreadMs),
      row.owner ?? "",
    ]),
  );
}

const AGE_UNITS = [
  { ms: 86_400_000, name: "d" },
  { ms: 3_600_000, name: "h" },
  { ms: 60_000, name: "m" },
  { ms: 1_000, name: "s" },
];

/** Writes an age in the largest unit that fits at least once, as 3s, 2m or 1h. */
function age(ms: number): string {
  const unit = AGE_UNITS.find((each) => ms >= each.ms);
  return unit === undefined ? `${ms}ms` : `${Math.floor(ms / unit.ms)}${unit.name}`;
}
