// The visible part of a group, for a caller that may describe it. It leaves out the topics that the caller may
// not describe [ACL-6].
import { isAllowed, topicResource } from "../../core/access/grants.ts";
import type { GroupDescription } from "../../core/group/describe.ts";
import type { HistoryEntry } from "../../core/group/history.ts";
import type { TopicAssignment } from "../../core/group-info.ts";
import type { Env } from "../../env.ts";
import { callerIn, seesTopic } from "./authorize.ts";
import { outside, outsideText, outsideTopic } from "./namespace.ts";

/** True if the caller may describe every topic, whatever its name. */
function isEverythingVisible(env: Env): boolean {
  return callerIn(env).grants.some(
    (grant) =>
      "topics" in grant &&
      "prefix" in grant.topics &&
      grant.topics.prefix === "" &&
      isAllowed({ grants: [grant] }, "DESCRIBE", topicResource("")),
  );
}

/** Returns the group without the topics that the caller may not describe, with names as the caller writes them. */
export function visibleGroup(env: Env, group: GroupDescription): GroupDescription {
  if (isEverythingVisible(env)) return group;
  return {
    ...group,
    groupId: outside(env, group.groupId),
    members: group.members.map(({ revoking, ...member }) => ({
      ...member,
      assignment: visibleTopics(env, member.assignment),
      ...(revoking === undefined ? {} : { revoking: visibleTopics(env, revoking) }),
      target: visibleTopics(env, member.target),
    })),
    offsets: visibleTopics(env, group.offsets),
  };
}

/** Leaves out entries about topics that the caller may not describe, and reasons that may name several topics. */
export function visibleHistory<Entry extends HistoryEntry>(
  env: Env,
  entries: readonly Entry[],
): Entry[] {
  if (isEverythingVisible(env)) return [...entries];
  return entries
    .filter(({ topic }) => topic === undefined || seesTopic(env, topic))
    .map(({ reason, partitions, topic, ...entry }) => ({
      ...entry,
      ...(topic === undefined ? {} : { topic: outside(env, topic) }),
      ...(reason === undefined || NAMES_TOPICS.has(entry.type)
        ? {}
        : { reason: outsideText(env, reason) }),
      ...(partitions === undefined ? {} : { partitions: visibleTopics(env, partitions) }),
    })) as unknown as Entry[];
}

/** The entries whose reason may name topics. */
const NAMES_TOPICS: ReadonlySet<string> = new Set(["subscribed", "rebalanced"]);

function visibleTopics<Item extends { readonly topic: string } | TopicAssignment>(
  env: Env,
  items: readonly Item[],
): Item[] {
  return items.filter(({ topic }) => seesTopic(env, topic)).map((item) => outsideTopic(env, item));
}
