// The group's JSON in its storage. The names are stored: fields are added with a default, and none is ever
// renamed. A release may read what the next one has written, so each schema ignores unknown fields [VER-3].
import * as z from "zod";
import { fromBase64, toBase64 } from "../../src/core/bytes.ts";
import {
  type ClassicState,
  isRebalancing,
  NO_CLASSIC_MEMBERS,
} from "../../src/core/group/classic-state.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import {
  fromSet,
  type PartitionKey,
  type PartitionSet,
  toSet,
} from "../../src/core/group/partition-key.ts";
import {
  type CommittedOffset,
  type GroupTopic,
  type Member,
  withPartitions,
} from "../../src/core/group/state.ts";
import { parseStored, storedPartitionCount } from "../shared/stored-json.ts";

const storedGroupTopic = z.object({
  topicId: z.string(),
  name: z.string(),
  partitions: storedPartitionCount.min(1),
  initialPartitions: storedPartitionCount.exactOptional(),
});

export function parseTopic(json: string): GroupTopic {
  return parseStored(storedGroupTopic, json, "topics.json");
}

const topicPartitions = z.array(
  z.object({ topicId: z.string(), partitions: z.array(z.int()).readonly() }),
);
const partitionSet = topicPartitions.transform((topics): PartitionSet => toSet(topics));
/** Offsets by partition. Left out if there are none. */
const offsets = z.record(z.string(), z.int()).default({});

const storedMember = z.object({
  memberId: z.string(),
  memberNumber: z.int(),
  instanceId: z.string().nullable().default(null),
  clientId: z.string().nullable().default(null),
  topics: z.array(z.string()).readonly(),
  topicPattern: z.string().nullable().default(null),
  readable: z
    .array(z.union([z.object({ exact: z.string() }), z.object({ prefix: z.string() })]))
    .readonly()
    .exactOptional(),
  sessionTimeoutMs: z.int(),
  rebalanceTimeoutMs: z.int(),
  memberEpoch: z.int(),
  state: z.enum(["STABLE", "UNREVOKED_PARTITIONS", "UNRELEASED_PARTITIONS"]),
  assigned: partitionSet,
  revoking: partitionSet,
  /** Epochs, each with the partitions that the member has held since then. */
  assignmentEpochs: z.array(z.tuple([z.int(), topicPartitions])).default([]),
  delivered: offsets,
  refusedAcks: offsets,
  revokeDeadlineMs: z.int().nullable().default(null),
  polls: z.boolean().default(false),
  heartbeats: z.boolean().default(false),
  silentSinceMs: z.int().nullable().default(null),
});

export function formatMember(member: Member): string {
  const { assignmentEpochs, delivered, refusedAcks, ...rest } = member;
  const byEpoch = Map.groupBy(assignmentEpochs, ([, epoch]) => epoch);
  return JSON.stringify({
    ...rest,
    assigned: fromSet(member.assigned),
    revoking: fromSet(member.revoking),
    assignmentEpochs: Array.from(byEpoch, ([epoch, entries]) => [
      epoch,
      fromSet(new Set(entries.map(([key]) => key))),
    ]),
    ...(delivered.size === 0 ? {} : { delivered: Object.fromEntries(delivered) }),
    ...(refusedAcks.size === 0 ? {} : { refusedAcks: Object.fromEntries(refusedAcks) }),
  } satisfies z.input<typeof storedMember>);
}

/** Parses a member. A STABLE member is at the group's epoch, whatever its row says. */
export function parseMember(json: string, assignmentEpoch: number): Member {
  const stored = parseStored(storedMember, json, "members.json");
  const epochs = stored.assignmentEpochs.flatMap(([epoch, topics]) =>
    [...toSet(topics)].map((key): [PartitionKey, number] => [key, epoch]),
  );
  const memberEpoch = stored.state === "STABLE" ? assignmentEpoch : stored.memberEpoch;
  const member = {
    ...stored,
    memberEpoch,
    assignmentEpochs: new Map(epochs),
    delivered: toOffsets(stored.delivered),
    refusedAcks: toOffsets(stored.refusedAcks),
  };
  return withPartitions(member, stored, memberEpoch);
}

function toOffsets(stored: Readonly<Record<string, number>>): Map<PartitionKey, number> {
  return new Map(Object.entries(stored) as [PartitionKey, number][]);
}

export function formatTarget(partitions: PartitionSet): string {
  return JSON.stringify(fromSet(partitions));
}

export function parseTarget(json: string): PartitionSet {
  return parseStored(partitionSet, json, "targets.json");
}

/**
 * A committed offset: offset, time of the commit, metadata if there is any, leader epoch if there is one. Null
 * if it was deleted. The next release may append more elements.
 */
const storedPosition = z
  .tuple([z.int(), z.int(), z.string().optional(), z.int().nullable().optional()])
  .rest(z.unknown())
  .nullable();
export type StoredPosition = readonly (number | string | null)[] | null;

export const storedPositions = z
  .record(z.string(), storedPosition)
  .transform((stored) =>
    Object.entries(stored).map(([key, position]): [PartitionKey, CommittedOffset | null] => [
      key as PartitionKey,
      position === null ? null : toPosition(position),
    ]),
  );

function toPosition([offset, committedAtMs, metadata = "", leaderEpoch = null]: NonNullable<
  z.output<typeof storedPosition>
>): CommittedOffset {
  const epoch = leaderEpoch === null ? {} : { leaderEpoch };
  return { offset, metadata, ...epoch, committedAtMs };
}

export function formatPosition({
  offset,
  committedAtMs,
  metadata,
  leaderEpoch,
}: CommittedOffset): StoredPosition {
  if (leaderEpoch !== undefined) return [offset, committedAtMs, metadata, leaderEpoch];
  return metadata === "" ? [offset, committedAtMs] : [offset, committedAtMs, metadata];
}

/** An entry may have a type that only the next release knows. It is shown as it is. */
const storedHistory = z.array(z.looseObject({ type: z.string(), epoch: z.int() }));

export function parseHistory(json: string): HistoryEntry[] {
  return parseStored(storedHistory, json, "history.entries") as unknown as HistoryEntry[];
}

const bytes = z.object({ base64: z.base64() }).transform(({ base64 }) => fromBase64(base64));

const storedClassic = z.object({
  generation: z.int(),
  protocolType: z.string().nullable(),
  protocolName: z.string().nullable(),
  leaderId: z.string().nullable(),
  members: z.array(
    z.object({
      memberId: z.string(),
      instanceId: z.string().nullable(),
      clientId: z.string(),
      clientHost: z.string(),
      sessionTimeoutMs: z.int(),
      rebalanceTimeoutMs: z.int(),
      protocols: z.array(z.object({ name: z.string(), metadata: bytes })),
      assignment: bytes,
      silentSinceMs: z.int().nullable().default(null),
    }),
  ),
  isRebalancing: z.boolean().default(false),
  goneTopics: z.array(z.string()).exactOptional(),
});

/** Formats what has to outlive a restart. A rebalance starts over then, so only its existence is stored. */
export function formatClassic(state: ClassicState): string {
  const { generation, protocolType, protocolName, leaderId, members, goneTopics } = state;
  const stored = {
    generation,
    protocolType,
    protocolName,
    leaderId,
    members: [...members.values()],
    isRebalancing: isRebalancing(state),
    ...(goneTopics.size === 0 ? {} : { goneTopics: [...goneTopics] }),
  };
  return JSON.stringify(stored, (_key, value) =>
    value instanceof Uint8Array ? { base64: toBase64(value) } : value,
  );
}

export function parseClassic(json: string): ClassicState {
  const stored = parseStored(storedClassic, json, "classic.json");
  const { generation, protocolType, protocolName, leaderId, goneTopics } = stored;
  const members = new Map(stored.members.map((member) => [member.memberId, member]));
  const settled = members.size === 0 ? "EMPTY" : "STABLE";
  return {
    ...NO_CLASSIC_MEMBERS,
    phase: stored.isRebalancing ? "PREPARING" : settled,
    ...{ generation, protocolType, protocolName, leaderId, members },
    goneTopics: new Set(goneTopics),
  };
}
