// The group's JSON in its storage. The names are on disk: fields are added with a default, and none is ever renamed. A
// release may meet what the next one has written, so each schema ignores fields that it does not know [VER-3].
import * as z from "zod";
import { fromBase64, toBase64 } from "../../src/core/bytes.ts";
import type { ClassicState } from "../../src/core/group/classic.ts";
import type { HistoryEntry } from "../../src/core/group/history.ts";
import {
  fromSet,
  type PartitionKey,
  type PartitionSet,
  toSet,
} from "../../src/core/group/partition-key.ts";
import { type Member, withPartitions } from "../../src/core/group/state.ts";
import { parseStored, storedPartitionCount } from "../shared/stored-json.ts";

export const storedGroupTopic = z.object({
  topicId: z.string(),
  name: z.string(),
  partitions: storedPartitionCount.min(1),
  initialPartitions: storedPartitionCount.exactOptional(),
});

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

export function parseMember(json: string): Member {
  const stored = parseStored(storedMember, json, "members.json");
  const epochs = stored.assignmentEpochs.flatMap(([epoch, topics]) =>
    [...toSet(topics)].map((key): [PartitionKey, number] => [key, epoch]),
  );
  const member = {
    ...stored,
    assignmentEpochs: new Map(epochs),
    delivered: toOffsets(stored.delivered),
    refusedAcks: toOffsets(stored.refusedAcks),
  };
  return withPartitions(member, stored, stored.memberEpoch);
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

/** An entry's type may be one that only the next release knows. It is shown as it is. */
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

export function formatClassic(state: ClassicState): string {
  return JSON.stringify(state, (_key, value) =>
    value instanceof Uint8Array ? { base64: toBase64(value) } : value,
  );
}

export function parseClassic(json: string): ClassicState {
  return parseStored(storedClassic, json, "classic.json");
}
