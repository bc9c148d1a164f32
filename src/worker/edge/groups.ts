// Reading a group does not create it [FIL-1]. A call to an object creates the object and its file. So code that
// only reads asks the cluster's list first, which has every existing group [GRP-13]. Calls that may create a
// group go straight to its object.

import { groupResource, type Room, roomsFor } from "../../core/access/grants.ts";
import type { Operation } from "../../core/access/operations.ts";
import type { ConfigOverrides } from "../../core/config-table.ts";
import { isWithin } from "../../core/elapsed.ts";
import { type Failure, type Result, unwrap } from "../../core/errors.ts";
import { unknownGroup } from "../../core/group/admission.ts";
import { compareText } from "../../core/group/assignor/compare-text.ts";
import {
  changeGroupConfig,
  DEAD_LETTER_TOPIC,
  type GroupConfig,
  groupConfigByKey,
  resolveGroupConfig,
} from "../../core/group/config.ts";
import type { GroupSummary } from "../../core/group/describe.ts";
import type { NamedOffset } from "../../core/group/requests.ts";
import { GROUP_KNOWN_MS, METADATA_CACHE_GROUPS } from "../../core/limits.ts";
import { regionSet } from "../../core/placement.ts";
import { clusterStub, type Env, type GroupStub, groupStub } from "../../env.ts";
import { noteChange } from "./audit.ts";
import { assertMayUseTopic, callerIn, seesGroup } from "./authorize.ts";
import { forgetOldest, isolate } from "./isolate.ts";
import { noteInMetrics } from "./metrics.ts";
import { inside, outside } from "./namespace.ts";
import { type AskPage, everyItem, type Page, pageOf } from "./pages.ts";

export type Group = GroupStub;

/** Returns the result of `look`, or GROUP_ID_NOT_FOUND if there is no such group. */
export async function lookAtGroup<R extends { readonly ok: true } | Failure>(
  env: Env,
  groupId: string,
  look: (group: Group) => Promise<R>,
): Promise<R | Failure> {
  if (!(await groupExists(env, groupId))) return unknownGroup(groupId);
  const found = await look(groupStub(env, groupId));
  if (!found.ok && found.error === "GROUP_ID_NOT_FOUND") forgetGroup(groupId);
  return found;
}

/**
 * Changes a group's config, and creates the group if it does not exist. [PLC-3] Invalid changes, and removing
 * config values that are not set, create no group.
 */
export async function alterGroupConfig(
  env: Env,
  groupId: string,
  requested: Readonly<Record<string, unknown>>,
): Promise<Result<{ overrides: ConfigOverrides; config: GroupConfig }>> {
  const changes = withDeadLettersInside(env, requested);
  if (!(await groupExists(env, groupId))) {
    const changed = changeGroupConfig({}, changes);
    if (!changed.ok) return changed;
    const isSet = Object.keys(changed.overrides).length > 0 || Object.keys(changes).length === 0;
    if (!isSet) return { ok: true, overrides: {}, config: resolveGroupConfig({}) };
  }
  const region = regionSet(changes) ?? undefined;
  const rooms = groupRooms(env, "ALTER_CONFIGS", groupId);
  const altered = await groupStub(env, groupId, region).alterConfig({ changes, ...rooms });
  if (altered.ok && altered.isChanged !== false)
    noteChange(env, "alterGroup", groupResource(groupId), JSON.stringify(changes));
  return altered;
}

/**
 * [DLQ-3] Returns the changes with the name of the dead-letter topic as it is in the whole deployment. The broker will write
 * there, and create it, so the caller must be allowed to.
 */
function withDeadLettersInside(
  env: Env,
  changes: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const topic = changes[DEAD_LETTER_TOPIC];
  if (typeof topic !== "string" || topic === "") return changes;
  const name = inside(env, topic);
  for (const operation of ["WRITE", "CREATE"] as const) assertMayUseTopic(env, operation, name);
  return { ...changes, [DEAD_LETTER_TOPIC]: name };
}

/** Returns a group's config by key, with names as the caller writes them. */
export function shownConfig(
  env: Env,
  { config, overrides }: { config: GroupConfig; overrides: ConfigOverrides },
): { config: Record<string, string | number>; overrides: ConfigOverrides } {
  const shown = <Values extends ConfigOverrides>(values: Values): Values => {
    const topic = values[DEAD_LETTER_TOPIC];
    if (typeof topic !== "string" || topic === "") return values;
    return { ...values, [DEAD_LETTER_TOPIC]: outside(env, topic) };
  };
  return { config: shown(groupConfigByKey(config)), overrides: shown(overrides) };
}

/**
 * [OFF-15] Returns the group's committed offsets, topic by topic and partition by partition. It asks only the
 * group, and no partition.
 * @throws GROUP_ID_NOT_FOUND
 */
export async function committedOffsets(env: Env, groupId: string): Promise<NamedOffset[]> {
  const found = await lookAtGroup(env, groupId, async (group) => {
    const summary = await group.summary();
    if (summary === null) return unknownGroup(groupId);
    const { offsets } = await group.committedOffsets({ member: null });
    // A number is an error code, which only a caller that names a member can get.
    return { ok: true as const, offsets: typeof offsets === "number" ? [] : offsets };
  });
  return unwrap(found).offsets.toSorted(
    (a, b) => compareText(a.topic, b.topic) || a.partition - b.partition,
  );
}

/**
 * [QUO-5] Returns the bounds on the number of groups that the caller's grants set, in case this creates the
 * group.
 */
export function groupRooms(
  env: Env,
  operation: Operation,
  groupId: string,
): { rooms?: readonly Room[] } {
  const rooms = roomsFor(callerIn(env), operation, groupResource(groupId));
  return rooms === undefined ? {} : { rooms };
}

/** Deletes a group without members. Returns the failure, if any. */
export async function deleteGroup(env: Env, groupId: string): Promise<Result<object>> {
  const deleted = await lookAtGroup(env, groupId, async (group) => await group.destroy());
  forgetGroup(groupId);
  if (deleted.ok) {
    noteChange(env, "deleteGroup", groupResource(groupId));
    noteInMetrics(env, (metrics) => metrics.forgetGroup({ groupId }));
  }
  return deleted;
}

/**
 * True if the group is listed. A yes holds for GROUP_KNOWN_MS, so groups in use do not ask each time. After a
 * no it asks again, because the group may be created at any moment. If the cluster is out of reach, the answer
 * is yes, because the group's object knows.
 */
export async function groupExists(env: Env, groupId: string): Promise<boolean> {
  const { groups } = isolate;
  const knownMs = groups.get(groupId);
  if (knownMs !== undefined && isWithin(knownMs, GROUP_KNOWN_MS, Date.now())) return true;
  groups.delete(groupId);
  try {
    if (!(await clusterStub(env).hasGroup({ groupId }))) return false;
  } catch {
    return true;
  }
  groups.set(groupId, Date.now());
  forgetOldest(groups, METADATA_CACHE_GROUPS);
  return true;
}

/** A group as the cluster lists it. */
export interface ListedGroup {
  readonly groupId: string;
  /** The last summary that the group reported. Null if it has reported none yet. */
  readonly summary: GroupSummary | null;
}

/** Lists all groups by id. Wakes no group. */
export async function listGroups(env: Env): Promise<ListedGroup[]> {
  return await everyItem(askGroups(env), ({ groupId }) => groupId);
}

/** [CLU-6] Returns a page of the groups that the caller may see. */
export async function groupPage(
  env: Env,
  after: string,
  limit: number,
): Promise<Page<ListedGroup>> {
  const sees = ({ groupId }: ListedGroup) => seesGroup(env, groupId);
  const idOf = ({ groupId }: ListedGroup) => groupId;
  return await pageOf(askGroups(env), idOf, sees, after, limit, inside(env, ""));
}

function askGroups(env: Env): AskPage<ListedGroup> {
  return async (after, limit) => (await clusterStub(env).groupPage({ after, limit })).groups;
}

/**
 * [KFK-34] Asks a group that has not reported a summary yet, and stores the answer in the cluster. Null if the
 * group no longer exists.
 */
export async function summaryOfGroup(env: Env, groupId: string): Promise<GroupSummary | null> {
  const summary = await groupStub(env, groupId).summary();
  if (summary !== null) await clusterStub(env).summarizeGroup({ groupId, summary });
  return summary;
}

export function forgetGroup(groupId: string): void {
  isolate.groups.delete(groupId);
}
