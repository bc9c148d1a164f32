// When a group wakes by itself, why, and what that costs: the table in group-alarm.ts, line by line.
import { beforeEach, describe, expect, test, vi } from "vitest";
import { GroupAlarm } from "../../../../durable-objects/group/group-alarm.ts";
import { GroupStore } from "../../../../durable-objects/group/group-store.ts";
import { DEFAULT_SESSION_TIMEOUT_MS, SAFETY_ALARM_MS } from "../../../../src/core/limits.ts";
import { heartbeatIntervalMs } from "../../../../src/protocol/heartbeat.ts";
import { fakeSocket, type TestedSocket } from "../../../support/fake-socket.ts";
import {
  BY_HAND,
  beat,
  KafkaMembersRig,
  offset,
  standingDate,
} from "../../../support/kafka-members-rig.ts";

standingDate();

const SESSION_MS = 20_000;
const REBALANCE_MS = 60_000;
const TOPIC = { name: "t", topicId: "t", partitions: 3 };
const DAY_MS = 24 * 3_600_000;
/** The time that a silent member has from when somebody notices. */
const GRACE_MS = heartbeatIntervalMs(SESSION_MS) + 1_000;

/** A group with its alarm, as group-object.ts puts them together. */
class Rig extends KafkaMembersRig {
  alarmMs: number | null = null;
  sets = 0;
  aborts = 0;
  readonly ctx = {
    storage: {
      getAlarm: async () => this.alarmMs,
      setAlarm: async (atMs: number) => {
        this.sets++;
        this.alarmMs = atMs;
      },
      sync: async () => {},
    },
    waitUntil: () => {},
    abort: () => void this.aborts++,
  } as unknown as ConstructorParameters<typeof GroupAlarm>[0];
  alarm = new GroupAlarm(this.ctx, this.presence, this.clock, this.ctx.storage);
  /** The members' own sockets, and the watches. */
  readonly own = new Map<string, TestedSocket>();
  readonly watches = new Map<string, TestedSocket>();
  /** The number of times that an alarm has checked all members. */
  looks = 0;

  override evict(): void {
    super.evict();
    this.alarm = new GroupAlarm(this.ctx, this.presence, this.clock, this.ctx.storage);
    this.keeper.wake();
  }

  /** Reports the events, and sets the alarm. */
  async announce(): Promise<void> {
    await this.alarm.schedule(this.store, this.keeper.group, this.keeper.takeUntold());
  }

  /** A member joins over a socket, or in another way. */
  async join(memberId: string, more: { isPolling?: boolean; sessionTimeoutMs?: number } = {}) {
    const { isPolling = false, sessionTimeoutMs = SESSION_MS } = more;
    const request = {
      ...{ memberId, memberEpoch: 0, instanceId: null, clientId: null },
      ...{ topics: ["t"], topicPattern: null, sessionTimeoutMs },
      ...{ rebalanceTimeoutMs: REBALANCE_MS, owned: new Set<never>(), polls: isPolling },
    };
    const found = this.topics.filter(({ name }) => name === "t");
    const joined = this.keeper.handle({
      ...{ type: "join", ...request, heartbeats: false, found, newIncarnation: 1 },
    });
    if (!joined.ok) throw new Error(joined.detail);
    if (!isPolling) this.connect(memberId);
    await this.announce();
  }

  connect(memberId: string): void {
    const member = this.state.members.get(memberId);
    if (member === undefined) throw new Error(`${memberId} is no member`);
    const socket = fakeSocket();
    this.sockets.acceptWebSocket(socket);
    this.presence.connect(socket, member, this.clock.now());
    this.own.set(memberId, socket);
  }

  /** All members give up what they were told to. */
  async settle(): Promise<void> {
    for (;;) {
      const owing = this.state.members.values().find(({ revoking }) => revoking.size > 0);
      if (owing === undefined) return await this.announce();
      const { memberId, revoking: partitions } = owing;
      this.keeper.handle({ type: "revoked", memberId, partitions });
    }
  }

  /** Time passes up to the alarm, or this long. Those in `alive` answer pings all the time. */
  async ring(alive: readonly string[] = [], afterMs?: number): Promise<void> {
    const atMs = afterMs === undefined ? this.alarmMs : Date.now() + afterMs;
    if (atMs === null) throw new Error("no alarm is set");
    vi.setSystemTime(Math.max(atMs, Date.now()));
    this.hear(...alive);
    this.alarmMs = null;
    this.alarm.forget();
    const nowMs = this.clock.now();
    if (this.alarm.isDue(this.store, nowMs)) {
      this.looks++;
      expect(this.alarm.wasSetForward(this.keeper.group, atMs, nowMs)).toBe(false);
      this.keeper.handle({ type: "expire" });
      this.alarm.settle(this.store, this.keeper.group);
    }
    await this.announce();
  }

  /** They answer a ping now. */
  hear(...memberIds: readonly string[]): void {
    for (const memberId of memberIds) {
      const socket = this.own.get(memberId) ?? this.watches.get(memberId);
      if (socket !== undefined) this.sockets.alive.set(socket, new Date());
    }
  }

  override watch(memberId: string): TestedSocket {
    const socket = super.watch(memberId);
    this.watches.set(memberId, socket);
    return socket;
  }

  async lostSocket(memberId: string): Promise<void> {
    const socket = this.own.get(memberId);
    this.own.delete(memberId);
    if (socket !== undefined) this.lose(socket);
    await this.announce();
  }

  get memberIds(): string[] {
    return [...this.state.members.keys()].sort();
  }

  /** The time until the alarm. Null if none is set. */
  get inMs(): number | null {
    return this.alarmMs === null ? null : this.alarmMs - Date.now();
  }

  /** The stored deadline. */
  get deadlineMs(): number | null {
    return new GroupStore(this.storage, "g").deadline().atMs;
  }

  /** The rows that these statements wrote, alarms apart. */
  writes(since: number): string[] {
    return this.storage.queries
      .slice(since)
      .filter((query) => /^(INSERT|DELETE|UPDATE)/.test(query));
  }
}

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});

/** A group of connected members in which all is settled, with only the safety alarm. */
async function quiet(...memberIds: string[]): Promise<void> {
  for (const memberId of memberIds) await rig.join(memberId);
  await rig.settle();
  while ((rig.inMs ?? 0) < SAFETY_ALARM_MS) await rig.ring(memberIds);
  rig.looks = 0;
}

describe("deadline", () => {
  test("[GRP-6] a member whose connection is lost has its session timeout, and is then removed", async () => {
    await quiet("a", "b");
    await rig.lostSocket("b");
    expect(rig.inMs).toBe(SESSION_MS);
    expect(rig.deadlineMs).toBe(rig.alarmMs);
    await rig.ring(["a"]);
    expect(rig.memberIds).toEqual(["a"]);
    expect(rig.deadlineMs).toBe(null);
  });

  test("[POL-1] a polling member has a session from each poll on", async () => {
    await rig.join("p", { isPolling: true });
    expect(rig.inMs).toBe(SESSION_MS);
    vi.setSystemTime(Date.now() + SESSION_MS - 1);
    await rig.join("p", { isPolling: true });
    await rig.ring();
    expect([rig.memberIds, rig.inMs]).toEqual([["p"], SESSION_MS - 1]);
    await rig.ring();
    expect(rig.memberIds).toEqual([]);
  });

  test("[GRP-7] a member that owes partitions has its session timeout if it is silent, otherwise its rebalance timeout", async () => {
    for (const [alive, left] of [
      [["a", "b"], ["b"]],
      [["b"], ["b"]],
    ] as const) {
      rig = new Rig();
      await quiet("a");
      await rig.join("b");
      expect(rig.state.members.get("a")?.state).toBe("UNREVOKED_PARTITIONS");
      const startMs = Date.now();
      while (rig.memberIds.length > 1) await rig.ring(alive);
      expect(rig.memberIds).toEqual(left);
      expect(Date.now() - startMs).toBe(alive.length === 2 ? REBALANCE_MS : SESSION_MS);
    }
  });

  test("[CLS-3] a rebalance of classic members continues when it has waited long enough", async () => {
    const { memberId } = await rig.settledClassic({
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 5_000,
    });
    rig.joinAtOnce({ sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 5_000 });
    await rig.announce();
    expect(rig.inMs).toBe(5_000);
    await rig.ring();
    expect(rig.classic.members.has(memberId)).toBe(false);
    expect(rig.classic.phase).toBe("COMPLETING");
  });

  test("[OFF-10] an empty group's committed offsets expire, and then the group", async () => {
    await rig.kafka.commitOffsets(BY_HAND, [offset("t")]);
    await rig.announce();
    expect(rig.inMs).toBe(rig.keeper.group.config.offsetsRetentionMinutes * 60_000);
    await rig.ring();
    expect(rig.state.offsets.size).toBe(0);
    expect(rig.keeper.group.isDead(Date.now())).toBe(true);
  });

  test("[OFF-10] the group that the last member leaves expires from then on", async () => {
    await quiet("a");
    rig.keeper.handle({ type: "leave", memberId: "a" });
    await rig.lostSocket("a");
    expect(rig.deadlineMs).toBe(
      Date.now() + rig.keeper.group.config.offsetsRetentionMinutes * 60_000,
    );
  });

  test.each(["commit", "reset"])(
    "[OFF-10] the offsets that a %s sets in an empty group that had none expire too",
    async (how) => {
      rig.alterConfig({ "group.max.size": 9 });
      await rig.announce();
      expect(rig.alarmMs).toBe(null);
      rig.evict();
      if (how === "commit") await rig.kafka.commitOffsets(BY_HAND, [offset("t")]);
      else {
        const position = { topic: "t", topicId: "t", partition: 0, offset: 3 };
        await rig.server.serve({ type: "resetOffsets", offsets: [position] });
      }
      expect(rig.state.offsets.size).toBe(1);
      await rig.announce();
      expect(rig.inMs).toBe(rig.keeper.group.config.offsetsRetentionMinutes * 60_000);
      await rig.ring();
      expect([rig.state.offsets.size, rig.alarmMs]).toEqual([0, null]);
    },
  );

  test("[GRP-7] is stored, so after an eviction an alarm for something else checks nobody", async () => {
    await quiet("a", "b");
    await rig.lostSocket("b");
    rig.evict();
    await rig.announce();
    expect(rig.inMs).toBe(SESSION_MS);
    await rig.ring(["a"], SESSION_MS - 1);
    expect([rig.looks, rig.memberIds, rig.inMs]).toEqual([0, ["a", "b"], 1]);
    await rig.ring(["a"]);
    expect([rig.looks, rig.memberIds]).toEqual([1, ["a"]]);
  });

  test("[VER-6] that has passed, written by the previous release, is checked within a session, and earlier if an alarm is set", async () => {
    for (const setMs of [null, 3_000]) {
      rig = new Rig();
      await rig.join("p", { isPolling: true });
      rig.storage.sql.exec("INSERT OR REPLACE INTO deadline VALUES (1, 0, 0)");
      rig.alarmMs = setMs === null ? null : Date.now() + setMs;
      rig.evict();
      await rig.announce();
      expect(rig.inMs).toBe(setMs ?? DEFAULT_SESSION_TIMEOUT_MS);
      await rig.ring();
      expect(rig.looks).toBe(1);
      expect(rig.memberIds).toEqual(setMs === null ? [] : ["p"]);
      expect(rig.deadlineMs).toBe(setMs === null ? rig.alarmMs : Date.now() - setMs + SESSION_MS);
    }
  });
});

describe("watches", () => {
  /** A Kafka consumer, and a connection that watches for it. */
  async function watched(memberId: string): Promise<void> {
    await rig.kafka.heartbeat(beat(memberId));
    rig.watch(memberId);
    await rig.announce();
  }

  test("[KFK-20] a watched member must be reported alive once in its session timeout, or is removed", async () => {
    await watched("k");
    for (let i = 0; i < 5; i++) {
      expect(rig.inMs).toBe(DEFAULT_SESSION_TIMEOUT_MS);
      await rig.ring(["k"]);
      expect(rig.memberIds).toEqual(["k"]);
    }
    await rig.ring();
    expect(rig.memberIds).toEqual([]);
  });

  test("[KFK-20] while it is, the alarm reads no rows and writes none", async () => {
    await watched("k");
    await rig.ring(["k"]); // That of its join, which was by a call.
    rig.looks = 0;
    const { length } = rig.storage.queries;
    const { sets } = rig;
    for (let i = 0; i < 10; i++) await rig.ring(["k"]);
    expect([rig.looks, rig.storage.queries.length, rig.sets - sets]).toEqual([0, length, 10]);
  });

  test("[CLS-3] so is a classic member", async () => {
    const { memberId } = await rig.settledClassic();
    rig.watch(memberId);
    await rig.announce();
    for (let i = 0; i < 3; i++) {
      expect(rig.inMs).toBe(10_000);
      await rig.ring([memberId]);
    }
    expect(rig.classic.members.has(memberId)).toBe(true);
    await rig.ring();
    expect(rig.classic.members.has(memberId)).toBe(false);
  });
});

describe("moved", () => {
  test("[GRP-7] members that got partitions must be heard from within a session timeout", async () => {
    await quiet("a");
    await rig.join("b");
    await rig.settle();
    await rig.ring(["a", "b"], 1_000);
    // "b" has got its part, and dies at once. Only the alarm would notice.
    while (rig.memberIds.length > 1 && (rig.inMs ?? 0) < SAFETY_ALARM_MS) await rig.ring(["a"]);
    expect(rig.memberIds).toEqual(["a"]);
  });

  test("[GRP-7] one that dies at once is removed even if an alarm for something else rings before, in another life", async () => {
    await quiet("a");
    await rig.join("b");
    await rig.settle();
    rig.evict();
    await rig.ring(["a", "b"], 1_000); // It was the last sign of life of "b".
    expect(rig.inMs).toBe(SESSION_MS - 1_000);
    const startMs = Date.now();
    while (rig.memberIds.length > 1 && (rig.inMs ?? 0) < SAFETY_ALARM_MS) await rig.ring(["a"]);
    expect(rig.memberIds).toEqual(["a"]);
    expect(Date.now() - startMs).toBe(SESSION_MS);
  });

  test("[GRP-7] members that join within a second share an alarm", async () => {
    const joinAll = async (stepMs: number) => {
      rig = new Rig();
      const memberIds = ["a", "b", "c"];
      for (const memberId of memberIds) {
        await rig.join(memberId);
        await rig.settle();
        vi.setSystemTime(Date.now() + stepMs);
      }
      let rings = 0;
      for (; (rig.inMs ?? 0) < SAFETY_ALARM_MS; rings++) await rig.ring(memberIds);
      return rings;
    };
    // Another rings before it, for what they owed each other.
    expect([await joinAll(1), await joinAll(500)]).toEqual([2, 2]);
    expect(await joinAll(1_001)).toBe(3);
  });

  test("[GRP-7] one that beats is not checked forever", async () => {
    await quiet("a");
    await rig.join("b");
    await rig.settle();
    let rings = 0;
    for (; (rig.inMs ?? 0) < SAFETY_ALARM_MS; rings++) await rig.ring(["a", "b"]);
    expect(rings).toBeLessThanOrEqual(2);
    expect(rig.memberIds).toEqual(["a", "b"]);
  });

  test("[GRP-7] a member that is heard from needs no more alarms, and none of them reads members", async () => {
    await quiet("a"); // Its first alarm has checked the members, because nothing was known of them.
    rig.keeper.handle({ type: "changeTopic", name: "t", topic: { ...TOPIC, partitions: 9 } });
    await rig.announce();
    expect(rig.inMs).toBe(SESSION_MS + 1_000);
    await rig.ring(["a"]);
    expect([rig.inMs, rig.looks, rig.deadlineMs]).toEqual([SAFETY_ALARM_MS, 0, null]);
  });

  test("[GRP-7] a new epoch that gives a member nothing new sets no alarm for it", async () => {
    await quiet("a");
    const { alarmMs } = rig;
    // It joins for a topic that nobody else reads, over a socket with the longest session.
    const request = {
      ...{ memberId: "b", memberEpoch: 0, instanceId: null, clientId: null },
      ...{ topics: ["u"], topicPattern: null, sessionTimeoutMs: 40_000 },
      ...{ rebalanceTimeoutMs: REBALANCE_MS, owned: new Set<never>(), polls: false },
    };
    const found = rig.topics.filter(({ name }) => name === "u");
    rig.keeper.handle({ type: "join", ...request, heartbeats: false, found });
    rig.connect("b");
    await rig.announce();
    expect(rig.state.members.get("a")?.memberEpoch).toBe(rig.state.groupEpoch);
    expect(alarmMs).not.toBe(null);
    expect(rig.inMs).toBe(41_000);
  });
});

describe("suspects", () => {
  test("[GRP-17] a silent member has the time of one more heartbeat when something wakes the group", async () => {
    await quiet("a", "b");
    vi.setSystemTime(Date.now() + SESSION_MS);
    rig.hear("a");
    await rig.alarm.look();
    expect(rig.inMs).toBe(GRACE_MS);
    await rig.ring(["a"]);
    expect(rig.memberIds).toEqual(["a"]);
  });

  test("[GRP-17] one that beats in between stays, and the alarm checks nobody", async () => {
    await quiet("a", "b");
    vi.setSystemTime(Date.now() + SESSION_MS);
    await rig.alarm.look();
    await rig.ring(["a", "b"]);
    expect([rig.memberIds, rig.looks, rig.inMs]).toEqual([["a", "b"], 0, SAFETY_ALARM_MS]);
  });

  test("[GRP-17] one whose session has not ended is no suspect", async () => {
    await quiet("a");
    const { alarmMs, sets } = rig;
    vi.setSystemTime(Date.now() + SESSION_MS - 1);
    await rig.alarm.look();
    expect([rig.alarmMs, rig.sets]).toEqual([alarmMs, sets]);
  });

  test("[GRP-17] suspects are looked for once a second at most, whatever the clock shows", async () => {
    await quiet("a");
    await rig.alarm.look();
    const looked = vi.spyOn(rig.presence, "suspectDeadlineMs");
    for (const [afterMs, looks] of [
      [0, 0],
      [999, 0],
      [1, 1],
      [500, 1],
      [-2_000, 2],
    ] as const) {
      vi.setSystemTime(Date.now() + afterMs);
      await rig.alarm.look();
      expect(looked, `${afterMs} ms later`).toHaveBeenCalledTimes(looks);
    }
  });

  test("[GRP-17] the alarm is set once for a suspect, not delayed with each check", async () => {
    await quiet("a", "b");
    vi.setSystemTime(Date.now() + SESSION_MS);
    await rig.alarm.look();
    const { alarmMs, sets } = rig;
    for (let i = 0; i < 5; i++) {
      vi.setSystemTime(Date.now() + 1_000);
      rig.hear("a");
      await rig.alarm.look();
      await rig.announce();
    }
    expect([rig.alarmMs, rig.sets]).toEqual([alarmMs, sets]);
  });

  const numberOf = (memberId: string) => rig.state.members.get(memberId)?.memberNumber ?? 0;

  test("[GRP-17] one that a partition reports is removed when its session ends", async () => {
    await quiet("a", "b");
    vi.setSystemTime(Date.now() + 5_000);
    rig.hear("a", "b");
    vi.setSystemTime(Date.now() + 2_000);
    expect(await rig.alarm.suspect(numberOf("b"))).toBe(true);
    expect(rig.inMs).toBe(SESSION_MS - 2_000);
    await rig.ring(["a"]);
    expect(rig.memberIds).toEqual(["a"]);
  });

  test("[GRP-17] one whose session has already ended has the time of one more heartbeat then", async () => {
    await quiet("a", "b");
    vi.setSystemTime(Date.now() + SESSION_MS);
    expect(await rig.alarm.suspect(numberOf("b"))).toBe(true);
    expect(rig.inMs).toBe(GRACE_MS);
  });

  test("[GRP-17] the alarm ignores members without a socket, and non-members", async () => {
    await quiet("a", "b");
    await rig.join("p", { isPolling: true });
    const number = numberOf("b");
    await rig.lostSocket("b");
    const { alarmMs } = rig;
    for (const each of [number, numberOf("p"), 99])
      expect(await rig.alarm.suspect(each)).toBe(false);
    expect(rig.alarmMs).toBe(alarmMs);
  });
});

describe("safety", () => {
  test("[GRP-7] a quiet group rings every half hour, reads no row and writes none", async () => {
    await quiet("a", "b", "c");
    const { length } = rig.storage.queries;
    const { sets } = rig;
    for (let passedMs = 0; passedMs < DAY_MS; passedMs += SAFETY_ALARM_MS) {
      expect(rig.inMs).toBe(SAFETY_ALARM_MS);
      await rig.ring(["a", "b", "c"]);
    }
    expect(rig.sets - sets, "a day's").toBe(48);
    expect([rig.storage.queries.length, rig.looks]).toEqual([length, 0]);
    expect(rig.memberIds).toEqual(["a", "b", "c"]);
  });

  test("[GRP-7] a member that died unnoticed is removed then", async () => {
    await quiet("a", "b");
    await rig.ring(["a"]);
    expect(rig.memberIds).toEqual(["a"]);
  });

  test("[GRP-7] a group without members and without positions to expire never rings", async () => {
    rig.alterConfig({ "group.max.size": 9 });
    await rig.announce();
    expect([rig.alarmMs, rig.sets]).toEqual([null, 0]);
  });

  test("[GRP-7] commits of connected members set no alarm, and write their own row only", async () => {
    await quiet("a");
    const { length } = rig.storage.queries;
    const { sets } = rig;
    const memberEpoch = rig.state.members.get("a")?.memberEpoch ?? 0;
    for (let i = 1; i <= 10; i++) {
      const commit = { key: "t:0" as const, offset: i, metadata: "", isRewind: false };
      const offsets = [commit];
      expect(rig.keeper.handle({ type: "commit", memberId: "a", memberEpoch, offsets }).ok).toBe(
        true,
      );
      await rig.announce();
    }
    expect(rig.sets).toBe(sets);
    expect(rig.writes(length)).toHaveLength(10);
  });
});

describe("setting it", () => {
  test("[GRP-7] an alarm that rings early enough is left as it is, even after an eviction", async () => {
    await quiet("a", "b");
    await rig.lostSocket("b");
    const { sets, alarmMs } = rig;
    rig.evict();
    for (let i = 0; i < 3; i++) await rig.announce();
    expect([rig.sets, rig.alarmMs]).toEqual([sets, alarmMs]);
  });

  test.each([
    { lateMs: 150_000, isLost: false },
    { lateMs: 150_001, isLost: true },
  ])(
    "[CLK-4] an alarm that should have rung $lateMs ms ago is lost: $isLost. It rings now, and sessions begin again",
    async ({ lateMs, isLost }) => {
      await rig.join("p", { isPolling: true });
      vi.setSystemTime((rig.alarmMs ?? 0) + lateMs);
      rig.evict();
      await rig.announce();
      await rig.announce();
      expect([rig.inMs, rig.sets]).toEqual(isLost ? [0, 2] : [-lateMs, 1]);
      const nowMs = rig.clock.now();
      const wasSetForward = () => rig.alarm.wasSetForward(rig.keeper.group, nowMs, nowMs);
      expect(wasSetForward()).toBe(isLost);
      expect(rig.alarm.isDue(rig.store, nowMs)).toBe(true);
      rig.alarm.settle(rig.store, rig.keeper.group);
      expect(wasSetForward()).toBe(false);
    },
  );

  test("[CLK-4] an alarm is late for any member whose session may have ended in between", async () => {
    await quiet("a", "b");
    const nowMs = Date.now();
    const isLate = (lateMs: number) =>
      rig.alarm.wasSetForward(rig.keeper.group, nowMs, nowMs + lateMs);
    expect([isLate(0), isLate(999), isLate(1_000)]).toEqual([false, false, true]);
    const nobody = new Rig();
    expect(nobody.alarm.wasSetForward(nobody.keeper.group, 0, nowMs)).toBe(false);
    const other = new Rig();
    await other.settledClassic();
    expect(other.alarm.wasSetForward(other.keeper.group, nowMs, nowMs + 1_000)).toBe(true);
  });
});
