// Checks what every group object stores (DESIGN invariants 4, 5 and 7). No partition has two owners, epochs and committed
// offsets do not go back, and only the owner at its epoch commits. It reads the object's tables and the message being
// handled, after each step that wrote something.
import { readAssignment } from "../../src/core/group/classic-assignment.ts";
import type { History, Place } from "./history.ts";
import type { SimulatedObject } from "./object.ts";
import type { Endpoint, Frame } from "./sockets.ts";

interface StoredMember {
  readonly memberId: string;
  readonly clientId: string | null;
  readonly instanceId: string | null;
  readonly memberNumber: number;
  readonly memberEpoch: number;
  readonly heartbeats?: boolean;
  readonly assigned: readonly { topicId: string; partitions: readonly number[] }[];
  readonly revoking: readonly { topicId: string; partitions: readonly number[] }[];
}

/** The stored state of a classic group's members. */
interface StoredClassic {
  readonly generation: number;
  readonly isRebalancing: boolean;
  readonly members: readonly {
    readonly memberId: string;
    readonly assignment: { readonly base64: string };
  }[];
}

interface Snapshot {
  readonly classic: StoredClassic | null;
  readonly incarnation: number;
  readonly groupEpoch: number;
  readonly members: ReadonlyMap<string, StoredMember>;
  /** Partition → member id. */
  readonly owners: ReadonlyMap<string, string>;
  readonly offsets: ReadonlyMap<string, number>;
}

/** The owner of a partition, and the epoch of that member at which it became so. */
interface Tenure {
  readonly memberId: string;
  readonly sinceEpoch: number;
}

interface CommitMessage {
  readonly type: string;
  readonly memberEpoch: number;
  readonly offsets: readonly { topicId: string; partition: number; isRewind?: boolean }[];
}

const NOTHING: Snapshot = {
  classic: null,
  incarnation: 0,
  groupEpoch: 0,
  members: new Map(),
  owners: new Map(),
  offsets: new Map(),
};

export class GroupChecker {
  readonly #history: History;
  readonly #snapshots = new Map<string, Snapshot>();
  /** By group and partition. */
  readonly #tenures = new Map<string, Map<string, Tenure>>();
  /** The member that joined last over a socket. */
  readonly #memberIds = new Map<number, string>();

  constructor(history: History) {
    this.#history = history;
  }

  /** The group's committed offset, or null. */
  committed(group: SimulatedObject, { topic, partition }: Place): number | null {
    const { topics, offsets } = readTables(group);
    const topicId = topics.get(topic);
    return topicId === undefined ? null : (offsets.get(`${topicId}:${partition}`) ?? null);
  }

  received(endpoint: Endpoint, frame: Frame): void {
    if (frame.type !== "data" || typeof frame.data !== "string" || !frame.data.startsWith("{"))
      return;
    const message = JSON.parse(frame.data) as { type: string; memberId: string };
    if (message.type === "join") this.#memberIds.set(endpoint.id, message.memberId);
  }

  /** After a crash only durable data counts. */
  crashed(object: SimulatedObject): void {
    this.#snapshots.set(object.name, this.#read(object));
    this.#tenures.delete(object.name);
  }

  written(object: SimulatedObject): void {
    const before = this.#snapshots.get(object.name) ?? NOTHING;
    const after = this.#read(object);
    this.#snapshots.set(object.name, after);
    const names = new Set(Array.from(after.members.values(), ({ instanceId }) => instanceId));
    for (const [memberId, { clientId, instanceId }] of before.members) {
      if (after.members.has(memberId)) continue;
      const isReplaced = instanceId !== null && names.has(instanceId);
      this.#history.removed(object.name, clientId, isReplaced);
    }
    for (const [memberId, { clientId }] of after.members)
      if (!before.members.has(memberId)) this.#history.joined(object.name, clientId);
    const tenures =
      before.incarnation === after.incarnation ? this.#tenures.get(object.name) : null;
    this.#tenures.set(object.name, tenuresOf(before, after, tenures ?? new Map()));
    if (before.incarnation !== after.incarnation) {
      if (after.incarnation !== 0 && after.incarnation <= before.incarnation)
        this.#find(
          object,
          `its incarnation went from ${before.incarnation} to ${after.incarnation}`,
        );
      return;
    }
    if ((after.classic?.generation ?? 0) < (before.classic?.generation ?? 0))
      this.#find(
        object,
        `its generation went from ${before.classic?.generation} to ${after.classic?.generation}`,
      );
    if (after.members.size > 0 && (after.classic?.members.length ?? 0) > 0)
      this.#find(object, "it has members of both kinds");
    if (after.groupEpoch < before.groupEpoch)
      this.#find(object, `its epoch went from ${before.groupEpoch} to ${after.groupEpoch}`);
    for (const [memberId, member] of after.members) {
      const known = before.members.get(memberId);
      if (known?.memberNumber === member.memberNumber && member.memberEpoch < known.memberEpoch)
        this.#find(
          object,
          `${memberId} went from epoch ${known.memberEpoch} to ${member.memberEpoch}`,
        );
    }
    this.#checkOffsets(object, before, after, tenures ?? new Map());
  }

  #checkOffsets(
    object: SimulatedObject,
    before: Snapshot,
    after: Snapshot,
    tenures: ReadonlyMap<string, Tenure>,
  ): void {
    for (const key of before.offsets.keys()) {
      if (after.offsets.has(key)) continue;
      if (isCommit(object.cause)) this.#find(object, `${key} was forgotten by ${object.cause}`);
      if (object.cause === "call deleteOffsets" && before.owners.has(key))
        this.#find(object, `${key} was forgotten, and ${before.owners.get(key)} reads it`);
    }
    for (const [key, offset] of after.offsets) {
      const was = before.offsets.get(key);
      if (was === offset || object.cause.startsWith("call resetOffsets")) continue;
      const at = `${key} was committed from ${was ?? "nothing"} to ${offset}`;
      const called = /^call commitOffsets (.*)$/s.exec(object.cause);
      if (called !== null) {
        this.#checkCall(object, at, key, JSON.parse(called[1] ?? "")[0], before, tenures.get(key));
        continue;
      }
      const parsed = /^message of (\d+): (\{.*\})$/s.exec(object.cause);
      const message = parsed === null ? null : (JSON.parse(parsed[2] ?? "") as CommitMessage);
      if (message?.type !== "commit") {
        this.#find(object, `${at} by ${object.cause}`);
        continue;
      }
      const memberId = this.#memberIds.get(Number(parsed?.[1])) ?? "nobody";
      const member = before.members.get(memberId);
      if (before.owners.get(key) !== memberId)
        this.#find(object, `${at} by ${memberId}, but the owner is ${before.owners.get(key)}`);
      if (member?.memberEpoch !== message.memberEpoch)
        this.#find(
          object,
          `${at} at epoch ${message.memberEpoch} by ${memberId}, who is at ${member?.memberEpoch}`,
        );
      const own = message.offsets.find(
        ({ topicId, partition }) => `${topicId}:${partition}` === key,
      );
      if (was !== undefined && offset < was && own?.isRewind !== true)
        this.#find(object, `${at}, which nobody sought`);
    }
  }

  /** A commit by a call: by nobody if nobody reads, or by the partition's owner at an epoch at which it owned it. */
  #checkCall(
    object: SimulatedObject,
    at: string,
    key: string,
    { memberId, generation }: { readonly memberId: string; readonly generation: number },
    before: Snapshot,
    tenure: Tenure | undefined,
  ): void {
    const { classic } = before;
    if (classic !== null && classic.members.length > 0) {
      // A member that joins during a rebalance is stored when it is done.
      if (!classic.isRebalancing && classic.members.every((each) => each.memberId !== memberId))
        this.#find(object, `${at} by ${memberId}, who is no classic member`);
      else if (generation !== classic.generation)
        this.#find(object, `${at} in generation ${generation}, which is ${classic.generation}`);
      return;
    }
    if (before.members.size === 0) {
      this.#history.moved(object.name);
      return;
    }
    const member = before.members.get(memberId);
    if (before.owners.get(key) !== memberId || member?.heartbeats !== true)
      this.#find(object, `${at} by ${memberId}, but the owner is ${before.owners.get(key)}`);
    else if (generation > member.memberEpoch)
      this.#find(object, `${at} at epoch ${generation} by ${memberId}, at ${member.memberEpoch}`);
    else if (tenure?.memberId === memberId && generation < tenure.sinceEpoch)
      this.#find(
        object,
        `${at} at epoch ${generation} by ${memberId}, whose it is from ${tenure.sinceEpoch} on`,
      );
  }

  #read(object: SimulatedObject): Snapshot {
    const { incarnation, groupEpoch, members, offsets, classic } = readTables(object);
    const owners = new Map<string, string>();
    if (classic?.isRebalancing === false) this.#checkParts(object, classic);
    for (const { memberId, assigned, revoking } of members.values()) {
      for (const { topicId, partitions } of [...assigned, ...revoking]) {
        for (const partition of partitions) {
          const key = `${topicId}:${partition}`;
          const other = owners.get(key);
          if (other !== undefined) this.#find(object, `${key} is ${other}'s and ${memberId}'s`);
          owners.set(key, memberId);
        }
      }
    }
    return { classic, incarnation, groupEpoch, members, owners, offsets };
  }

  /** In one generation of a classic group no partition belongs to two members. */
  #checkParts(object: SimulatedObject, { generation, members }: StoredClassic): void {
    const readers = new Map<string, string>();
    for (const { memberId, assignment } of members) {
      for (const { topic, partitions } of readAssignment(
        Buffer.from(assignment.base64, "base64"),
      )) {
        for (const partition of partitions) {
          const key = `${topic}/${partition}`;
          const other = readers.get(key);
          if (other !== undefined)
            this.#find(
              object,
              `${key} is ${other}'s and ${memberId}'s in generation ${generation}`,
            );
          readers.set(key, memberId);
        }
      }
    }
  }

  #find(object: SimulatedObject, finding: string): void {
    this.#history.find(`group ${object.name}: ${finding}`);
  }
}

/** True for a step that sets committed offsets and ends none. */
function isCommit(cause: string): boolean {
  return /^(call (commitOffsets|poll|resetOffsets) |message of \d+: \{"type":"commit")/.test(cause);
}

/** Restarted if the owner, or its life, has changed. */
function tenuresOf(
  before: Snapshot,
  after: Snapshot,
  known: ReadonlyMap<string, Tenure>,
): Map<string, Tenure> {
  const tenures = new Map<string, Tenure>();
  for (const [key, memberId] of after.owners) {
    const { memberNumber = 0, memberEpoch = 0 } = after.members.get(memberId) ?? {};
    const isAsBefore =
      before.owners.get(key) === memberId &&
      before.members.get(memberId)?.memberNumber === memberNumber;
    const tenure = known.get(key);
    if (!isAsBefore) tenures.set(key, { memberId, sinceEpoch: memberEpoch });
    else if (tenure !== undefined) tenures.set(key, tenure);
  }
  return tenures;
}

function readTables({ storage: { sql } }: SimulatedObject) {
  const members = new Map<string, StoredMember>();
  const offsets = new Map<string, number>();
  const topics = new Map<string, string>();
  const tables = sql.exec("SELECT name FROM sqlite_master WHERE name = 'group_state'");
  if ([...tables].length === 0)
    return { incarnation: 0, groupEpoch: 0, members, offsets, topics, classic: null };
  const [row] = sql.exec<{ json: string }>("SELECT json FROM classic");
  const classic = row === undefined ? null : (JSON.parse(row.json) as StoredClassic);
  const [group] = sql.exec<{ incarnation: number; group_epoch: number }>(
    "SELECT incarnation, group_epoch FROM group_state",
  );
  for (const { json } of sql.exec<{ json: string }>("SELECT json FROM members")) {
    const member = JSON.parse(json) as StoredMember;
    members.set(member.memberId, member);
  }
  for (const { name, json } of sql.exec<{ name: string; json: string }>(
    "SELECT name, json FROM topics",
  ))
    topics.set(name, (JSON.parse(json) as { topicId: string }).topicId);
  for (const row of sql.exec<{ partition: string; committed_offset: number }>(
    "SELECT partition, committed_offset FROM offsets",
  ))
    offsets.set(row.partition, row.committed_offset);
  return {
    incarnation: group?.incarnation ?? 0,
    groupEpoch: group?.group_epoch ?? 0,
    members,
    offsets,
    topics,
    classic,
  };
}
