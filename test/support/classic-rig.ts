// A classic group and its members' requests, with the responses as they come.
import assert from "node:assert/strict";
import type { JoinedReply, SyncedReply } from "../../src/calls/kafka-replies.ts";
import { KAFKA_ERRORS } from "../../src/core/errors.ts";
import type { ClassicState } from "../../src/core/group/classic-state.ts";
import type { ClassicJoin, ClassicSync } from "../../src/core/group/requests.ts";
import { TestedClassic } from "./tested-classic.ts";

export const utf8 = (text: string) => new TextEncoder().encode(text);
export const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

export class ClassicRig {
  group = new TestedClassic(null, 0);
  nowMs = 0;
  maxSize = 100;
  #ids = 0;
  #stored: ClassicState | null = null;

  /** Undefined until it is answered. */
  join(memberId: string, more: Partial<ClassicJoin> = {}) {
    const told: { joined?: JoinedReply } = {};
    const request: ClassicJoin = {
      memberId,
      newMemberId: `m${++this.#ids}`,
      instanceId: null,
      clientId: "c",
      clientHost: "/",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: utf8("meta") }],
      mustKnowId: true,
      canSkipAssignment: true,
      ...more,
    };
    const joined = this.group.join(request, this.maxSize, this.nowMs, (later) => {
      told.joined = later;
    });
    if (joined !== null) told.joined = joined;
    return told;
  }

  /** With the id that it gets first. */
  newcomer(more: Partial<ClassicJoin> = {}) {
    const { joined } = this.join("", more);
    assert.equal(joined?.errorCode, KAFKA_ERRORS.MEMBER_ID_REQUIRED);
    const id = joined?.memberId ?? "";
    return { id, told: this.join(id, more) };
  }

  sync(
    memberId: string,
    generation: number,
    assignments: Record<string, string> = {},
    more: Partial<ClassicSync> = {},
  ) {
    const told: { synced?: SyncedReply } = {};
    const request: ClassicSync = {
      memberId,
      instanceId: null,
      generation,
      protocolType: "consumer",
      protocolName: "range",
      assignments: Object.entries(assignments).map(([id, value]) => ({
        memberId: id,
        assignment: utf8(value),
      })),
      ...more,
    };
    const synced = this.group.sync(request, this.nowMs, (later) => {
      told.synced = later;
    });
    if (synced !== null) told.synced = synced;
    return told;
  }

  beat(memberId: string, generation: number, instanceId: string | null = null): number {
    return this.group.heartbeat({ memberId, instanceId, generation }, this.nowMs);
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.group.expire(this.nowMs);
  }

  /** Two members, stable: a leads. */
  two(more: Partial<ClassicJoin> = {}) {
    const a = this.newcomer(more);
    this.sync(a.id, 1, { [a.id]: "all" });
    const b = this.newcomer(more);
    assert.equal(this.beat(a.id, 1), KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
    const again = this.join(a.id, more);
    this.sync(b.id, 2);
    this.sync(a.id, 2, { [a.id]: "half", [b.id]: "rest" });
    assert.equal(again.joined?.leaderId, a.id);
    assert.equal(this.group.phase, "STABLE");
    return { a: a.id, b: b.id };
  }

  get ids(): string[] {
    return [...this.group.members.keys()];
  }

  /** The object is evicted and wakes with its stored data. */
  evict(): void {
    this.#stored = this.group.takeState() ?? this.#stored;
    this.group = new TestedClassic(structuredClone(this.#stored), this.nowMs);
  }
}
