// A lesson as its members and its broker would report it.
import {
  BEGINNING,
  type GroupName,
  type Lesson,
  type LessonEvent,
  replay,
} from "../../../../src/console/learn/state.ts";
import type { GroupInfo } from "../../../../src/core/group-info.ts";

export const TOPIC = "learn-1";

/** Returns the lesson after these events. */
export function replayed(events: readonly LessonEvent[], from: Lesson = BEGINNING): Lesson {
  return events.reduce(replay, from);
}

export function joined(
  memberId: string,
  number: number,
  group: GroupName = "billing",
): LessonEvent {
  return { type: "joined", memberId, number, group };
}

/** The member gets partitions, at an offset. */
export function assigned(
  memberId: string,
  partitions: readonly number[],
  offset = 0,
  atMs = 0,
): LessonEvent {
  const positions = partitions.map((partition) => ({ topic: TOPIC, partition, offset }));
  return { type: "assigned", memberId, positions, atMs };
}

export function sent(partition: number, offset: number, key = "Cairo", isOwn = false): LessonEvent {
  return { type: "sent", partition, record: { offset, key }, isOwn };
}

export function handled(
  memberId: string,
  partition: number,
  offset: number,
  key = "Cairo",
): LessonEvent {
  return { type: "handled", memberId, partition, record: { offset, key } };
}

/** The broker reports who owns what, and the committed offset of each partition, with its lag. */
export function told(
  owners: Readonly<Record<string, readonly number[]>>,
  positions: readonly (number | null)[] = [null, null, null, null],
  { group = "billing", lag = 0, atMs = 0 }: { group?: GroupName; lag?: number; atMs?: number } = {},
): LessonEvent {
  const info: GroupInfo = {
    groupId: `${TOPIC}-${group}`,
    state: "STABLE",
    epoch: 1,
    assignor: "uniform",
    members: Object.entries(owners).map(([memberId, partitions]) => {
      const assignment = partitions.length === 0 ? [] : [{ topic: TOPIC, partitions }];
      return {
        memberId,
        memberEpoch: 1,
        state: "STABLE",
        connected: true,
        assignment,
        target: assignment,
      };
    }),
    offsets: positions.map((committedOffset, partition) => ({
      topic: TOPIC,
      partition,
      committedOffset,
      logEndOffset: (committedOffset ?? 0) + lag,
      lag: committedOffset === null ? null : lag,
      oldestUnreadMs: null,
    })),
  };
  return { type: "told", group, info, atMs };
}
