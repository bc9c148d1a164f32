// Describes a group's history in sentences. Entries of one rebalance are shown together: its causes, and the
// partitions that moved because of it.
import type { HistoryInfo, TopicAssignment } from "../core/group-info.ts";
import { countText } from "./format.ts";

export interface Episode {
  /** The time of its first entry. It serves as the key, because the history grows at its end. */
  readonly atMs: number;
  /** The cause and the effect. */
  readonly title: string;
  readonly isRebalance: boolean;
  /** The group's new epoch, if it was a rebalance. */
  readonly epoch: number | null;
  /** The events, one by one. */
  readonly steps: readonly Step[];
}

export interface Step {
  readonly atMs: number;
  readonly text: string;
}

/** Returns the episodes of a group, newest first. `history` is oldest first, as in the API. */
export function episodesOf(history: readonly HistoryInfo[]): Episode[] {
  const episodes: HistoryInfo[][] = [];
  for (const [i, entry] of history.entries()) {
    const current = episodes.at(-1);
    if (current !== undefined && belongs(entry, current, history.slice(i))) current.push(entry);
    else episodes.push([entry]);
  }
  return episodes.map(episodeOf).reverse();
}

/** The events of members that move to their targets. */
const MOVES: ReadonlySet<HistoryInfo["type"]> = new Set(["revoking", "revoked", "assigned"]);

/** True if the entry belongs to the episode: the same operation, or a move that a rebalance led to. */
function belongs(
  entry: HistoryInfo,
  current: readonly HistoryInfo[],
  onward: readonly HistoryInfo[],
): boolean {
  const hasRebalanced = current.some(({ type }) => type === "rebalanced");
  if (MOVES.has(entry.type)) return hasRebalanced || current.every(({ type }) => MOVES.has(type));
  if (hasRebalanced) return false;
  const last = current.at(-1);
  if (last === undefined || MOVES.has(last.type)) return false;
  if (entry.type === "rebalanced") return true;
  // Entries of one operation have the same time. Causes come before the rebalance that they lead to.
  const isCause = onward.some(
    ({ type, atMs }) => type === "rebalanced" && atMs === current[0]?.atMs,
  );
  return isCause && entry.atMs === current[0]?.atMs;
}

function episodeOf(entries: readonly HistoryInfo[]): Episode {
  const rebalance = entries.find(({ type }) => type === "rebalanced");
  const causes = entries.filter(({ type }) => type !== "rebalanced" && !MOVES.has(type));
  const [first] = entries;
  const atMs = first?.atMs ?? 0;
  const steps = entries.map((entry) => ({ atMs: entry.atMs, text: sentenceOf(entry) }));
  if (rebalance === undefined) {
    const moved = movedIn(entries);
    const title =
      causes.length > 0 || moved === 0
        ? entries.map(sentenceOf).join(" ")
        : `${countText(moved, "partition")} moved.`;
    return {
      atMs,
      title,
      isRebalance: false,
      epoch: null,
      steps: entries.length > 1 ? steps : [],
    };
  }
  const why =
    causes.length > 0
      ? causes.slice(0, MAX_CAUSES).map(sentenceOf).join(" ")
      : `The group was rebalanced: ${rebalance.reason ?? "the reason is not known"}.`;
  const more = causes.length > MAX_CAUSES ? ` ${causes.length - MAX_CAUSES} more causes.` : "";
  return {
    atMs,
    title: `${why}${more} ${movedText(movedIn(entries), rebalance.epoch === 0)}`,
    isRebalance: true,
    epoch: rebalance.newEpoch ?? null,
    steps,
  };
}

/** The most causes that a title names. A thousand members may leave at once. */
const MAX_CAUSES = 3;

function movedIn(entries: readonly HistoryInfo[]): number {
  return entries
    .filter(({ type }) => type === "assigned")
    .reduce((sum, { partitionCount = 0 }) => sum + partitionCount, 0);
}

/** If no partition had an owner before, none moves. */
function movedText(moved: number, isFirst: boolean): string {
  if (moved === 0) return "No partition moved.";
  const verb = isFirst ? (moved === 1 ? "was assigned" : "were assigned") : "moved";
  return `${countText(moved, "partition")} ${verb}.`;
}

const REMOVED: Readonly<Record<string, string>> = {
  left: "it left",
  "session timeout": "its session timed out",
  "rebalance timeout": "it did not give up its partitions in time",
  replaced: "a new member with its instance id replaced it",
};

/** Returns an entry as a sentence. */
export function sentenceOf(entry: HistoryInfo): string {
  const who = calledOf(entry);
  const { reason, topic, partitionCount = 0 } = entry;
  const which = `${countText(partitionCount, "partition")}${namesOf(entry)}`;
  switch (entry.type) {
    case "joined":
      return `${who} joined.`;
    case "disconnected":
      return `${who} lost its connection; its session timeout is running.`;
    case "resumed":
      return `${who} reconnected in time.`;
    case "subscribed":
      return reason === undefined || reason === ""
        ? `${who} ended all its subscriptions.`
        : `${who} subscribed to ${reason}.`;
    case "removed":
      return `${who} was removed: ${REMOVED[reason ?? ""] ?? reason ?? "the reason is not known"}.`;
    case "topic changed":
      return topicText(topic ?? "", reason ?? "");
    case "topic removed":
      return `Topic ${topic ?? ""} was deleted.`;
    case "rebalanced":
      return `The group was rebalanced, to epoch ${entry.newEpoch ?? "?"}: ${reason ?? ""}.`;
    case "revoking":
      return `${who} was asked to give up ${which}.`;
    case "revoked":
      return `${who} gave up ${which}.`;
    case "assigned":
      return `${who} was assigned ${which}.`;
    case "offsets reset":
      return `The committed offsets of ${which} were reset.`;
    case "offsets deleted":
      return `The committed offsets in topic ${topic ?? ""} were deleted.`;
    case "offsets expired":
      return `The committed offsets in topic ${topic ?? ""} expired.`;
    case "config changed":
      return reason === undefined || reason === ""
        ? "The group's config was reset to the defaults."
        : `The group's config was changed: ${reason}.`;
    default:
      return `${String(entry.type)}.`; // A later release wrote it.
  }
}

/** Returns a sentence about a change of a topic. The reason reads `partitions: unknown → 6`. */
function topicText(topic: string, reason: string): string {
  const [, before, after] = /^partitions: (\w+) → (\d+)$/.exec(reason) ?? [];
  if (after === undefined) return `Topic ${topic} was changed: ${reason}.`;
  const has = `Topic ${topic} has ${countText(Number(after), "partition")}`;
  return before === "unknown" ? `${has}.` : `${has} now, after ${before}.`;
}

/** The name by which people know a member. */
export function calledOf(member: {
  readonly memberId?: string;
  readonly instanceId?: string;
  readonly clientId?: string;
}): string {
  return member.instanceId ?? member.clientId ?? member.memberId ?? "A member";
}

/** The most topics and partitions of an entry that are named. */
const MAX_NAMED = 12;

function namesOf({ partitions = [], partitionCount = 0 }: HistoryInfo): string {
  if (partitions.length === 0) return "";
  const named = partitions.slice(0, MAX_NAMED).map(assignmentText).join("; ");
  const total = partitions.reduce((sum, each) => sum + each.partitions.length, 0);
  const isCut = total < partitionCount || partitions.length > MAX_NAMED;
  return ` (${named}${isCut ? ", and others" : ""})`;
}

/** "orders 0–3, 7". */
export function assignmentText({ topic, partitions }: TopicAssignment): string {
  return `${topic} ${rangesText(partitions)}`;
}

/** "0–3, 7": runs of three or more are written as a range. */
export function rangesText(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else runs.push([number, number]);
  }
  return runs
    .map(([from, to]) =>
      from === to ? `${from}` : to === from + 1 ? `${from}, ${to}` : `${from}–${to}`,
    )
    .join(", ");
}
