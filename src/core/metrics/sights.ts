// The state of an object in its last report: the part of its snapshot that is not counters.
import { MAX_METRICS_POSITIONS } from "../limits.ts";
import { isCount, labelOf } from "./counters.ts";
import type { AnySnapshot, GroupPosition } from "./snapshot.ts";

interface Stored {
  readonly storedBytes: number;
}

export interface PartitionSight extends Stored {
  readonly kind: "partition";
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly logBytes: number;
  readonly readers: number;
}

export interface RelaySight extends Stored {
  readonly kind: "relay";
  readonly topic: string;
  readonly topicId: string;
  readonly readers: number;
}

export interface GroupSight extends Stored {
  readonly kind: "group";
  readonly groupId: string;
  readonly state: string;
  readonly epoch: number;
  readonly members: number;
  readonly emptyMembers: number;
  readonly positions: readonly GroupPosition[];
}

export interface ClusterSight extends Stored {
  readonly kind: "cluster";
  readonly topics: number;
  readonly groups: number;
}

export interface WorkerSight extends Stored {
  readonly kind: "worker";
  readonly kafkaConnections: number;
  readonly inFlightBytes: number;
}

/** An object that serves the metrics, or otherwise belongs to no topic or group. */
export interface OverheadSight extends Stored {
  readonly kind: "overhead";
  readonly name: string;
}

export type Sight =
  | PartitionSight
  | RelaySight
  | GroupSight
  | ClusterSight
  | WorkerSight
  | OverheadSight;

/**
 * Returns the sight of a snapshot, or null if it lacks its identity. It may come from an object of an older release, or
 * from storage: missing numbers count as 0.
 */
export function sightOf(told: AnySnapshot | Sight): Sight | null {
  const storedBytes = countOf(told.storedBytes);
  switch (told.kind) {
    case "partition": {
      const { topic, topicId, partition } = told;
      if (!isText(topic) || !isText(topicId) || !isCount(partition)) return null;
      return {
        kind: "partition",
        storedBytes,
        topic,
        topicId,
        partition,
        logStartOffset: countOf(told.logStartOffset),
        logEndOffset: countOf(told.logEndOffset),
        logBytes: countOf(told.logBytes),
        readers: countOf(told.readers),
      };
    }
    case "relay": {
      const { topic, topicId } = told;
      if (!isText(topic) || !isText(topicId)) return null;
      return { kind: "relay", storedBytes, topic, topicId, readers: countOf(told.readers) };
    }
    case "group":
      if (!isText(told.groupId)) return null;
      return {
        kind: "group",
        storedBytes,
        groupId: told.groupId,
        state: isText(told.state) ? labelOf(told.state) : "Unknown",
        epoch: countOf(told.epoch),
        members: countOf(told.members),
        emptyMembers: countOf(told.emptyMembers),
        positions: positionsOf(told.positions),
      };
    case "cluster":
      return {
        kind: "cluster",
        storedBytes,
        topics: countOf(told.topics),
        groups: countOf(told.groups),
      };
    case "worker":
      return {
        kind: "worker",
        storedBytes,
        kafkaConnections: countOf(told.kafkaConnections),
        inFlightBytes: countOf(told.inFlightBytes),
      };
    case "overhead":
      return isText(told.name) ? { kind: "overhead", storedBytes, name: told.name } : null;
    default:
      return null;
  }
}

/** Negative offsets are not committed offsets. */
function positionsOf(told: unknown): GroupPosition[] {
  return (Array.isArray(told) ? told : [])
    .filter(isPosition)
    .slice(0, MAX_METRICS_POSITIONS)
    .map(({ topic, topicId, partition, offset }) => ({ topic, topicId, partition, offset }));
}

function isPosition(told: unknown): told is GroupPosition {
  if (typeof told !== "object" || told === null) return false;
  const { topic, topicId, partition, offset } = told as Partial<GroupPosition>;
  return isText(topic) && isText(topicId) && isCount(partition) && isCount(offset);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function countOf(value: unknown): number {
  return isCount(value) ? value : 0;
}

/** Returns the version that distinguishes a late snapshot from the newest one: see Lives. */
export function versionOf(sight: Sight): number {
  if (sight.kind === "partition") return sight.logEndOffset;
  return sight.kind === "group" ? sight.epoch : 0;
}
