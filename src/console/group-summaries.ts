// The states and lags of the groups in a list. The list itself has only names, so the metrics are asked for
// each group. A group that has not reported to them is asked itself.
import type { GroupInfo, GroupOffsetInfo } from "../core/group-info.ts";
import { groupPath } from "../protocol/paths.ts";
import { get } from "./api.ts";
import { type LagSum, lagOf } from "./lag.ts";

export interface GroupSummary {
  readonly state: GroupInfo["state"];
  readonly members: number;
  readonly lag: LagSum;
}

/** The number of groups that are asked at the same time. */
const AT_ONCE = 6;

/** Asks for each of the groups, and passes on each answer or error. @throws the signal's reason */
export async function summariesOf(
  groupIds: readonly string[],
  aborted: AbortSignal,
  onAnswer: (groupId: string, answer: GroupSummary | Error) => void,
): Promise<void> {
  await eachOf(groupIds, AT_ONCE, async (groupId) => {
    try {
      onAnswer(groupId, await summaryOf(groupId, aborted));
    } catch (error) {
      aborted.throwIfAborted();
      onAnswer(groupId, error as Error);
    }
  });
}

interface ToldGroup {
  readonly state: GroupInfo["state"] | null;
  readonly members: number | null;
  readonly offsets: readonly GroupOffsetInfo[];
}

async function summaryOf(groupId: string, aborted: AbortSignal): Promise<GroupSummary> {
  const path = groupPath(groupId);
  const told = await get<ToldGroup>(`${path}/lag`, aborted).catch(() => null);
  aborted.throwIfAborted();
  if (told?.state != null && told.members !== null)
    return { state: told.state, members: told.members, lag: lagOf(told.offsets) };
  const { state, members, offsets } = await get<GroupInfo>(path, aborted);
  return { state, members: members.length, lag: lagOf(offsets) };
}

/** Runs an action for each item, for a few at the same time. */
export async function eachOf<Item>(
  items: readonly Item[],
  atOnce: number,
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const work = async () => {
    for (const item of left) await act(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
}
