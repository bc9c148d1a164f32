// The calls of Kafka clients to a group, except for its offsets, over a cluster whose responses the test makes. The tests
// show what is decided before it is asked, and what again afterward.
import { describe, expect, test, vi } from "vitest";
import type { HeartbeatRequest } from "../../../../src/calls/group-calls.ts";
import { ERRORS, type ErrorName, fail, KAFKA_ERRORS, unwrap } from "../../../../src/core/errors.ts";
import { heartbeatIntervalOf } from "../../../../src/core/group/heartbeat.ts";
import { MAX_TOPICS_PER_MEMBER } from "../../../../src/core/limits.ts";
import {
  BY_HAND,
  beat,
  KafkaMembersRig,
  LOST,
  OUT_OF_REACH,
  offset,
  standingDate,
} from "../../../support/kafka-members-rig.ts";

standingDate();

const { NONE } = KAFKA_ERRORS;
const codeOf = (name: ErrorName) => ERRORS[name].code;

/** A heartbeat without news. */
const quietBeat = (memberId: string, memberEpoch: number, more: Partial<HeartbeatRequest> = {}) =>
  beat(memberId, { memberEpoch, rebalanceTimeoutMs: -1, topics: null, owned: null, ...more });

const ALL_OF_T = [{ topicId: "t", partitions: [0, 1, 2] }];

describe("heartbeats (KIP-848)", () => {
  test("[KCG-1] the assignment comes with the join, then only when it has changed", async () => {
    const rig = new KafkaMembersRig();
    const answers = async (heartbeat: HeartbeatRequest) =>
      unwrap(await rig.kafka.heartbeat(heartbeat));
    expect(await answers(beat("m"))).toMatchObject({ memberEpoch: 1, assignment: ALL_OF_T });
    expect(await answers(quietBeat("m", 1))).toMatchObject({ memberEpoch: 1, assignment: null });
    expect(await answers(quietBeat("m", 1, { owned: ALL_OF_T }))).toMatchObject({
      assignment: null,
    });
    const some = [{ topicId: "t", partitions: [0] }];
    expect(await answers(quietBeat("m", 1, { owned: some })), "owns less").toMatchObject({
      assignment: ALL_OF_T,
    });
    const full = beat("m", { memberEpoch: 1, owned: ALL_OF_T });
    expect(await answers(full), "asks in full").toMatchObject({ assignment: ALL_OF_T });
    for (const partial of [{ rebalanceTimeoutMs: 0 }, { rebalanceTimeoutMs: -1 }, { owned: null }])
      expect(await answers({ ...full, ...partial })).toMatchObject({ assignment: null });
    expect(await answers({ ...full, topics: null })).toMatchObject({ assignment: null });
    const byPattern = { ...full, topics: null, topicPattern: "t" };
    for (let i = 0; i < 2; i++)
      expect(await answers(byPattern)).toMatchObject({ assignment: ALL_OF_T });
    expect(await answers(beat("m", { owned: null })), "joins").toMatchObject({
      assignment: ALL_OF_T,
    });
  });

  test("[KCG-1] a member that gets a new epoch gets its assignment too, even if unchanged", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m", { topics: ["u"] }));
    await rig.kafka.heartbeat(beat("n")); // It raises the epoch, and takes nothing.
    const told = unwrap(await rig.kafka.heartbeat(quietBeat("m", 1)));
    expect(told).toMatchObject({
      memberEpoch: 2,
      assignment: [{ topicId: "u", partitions: [0, 1] }],
    });
    expect(unwrap(await rig.kafka.heartbeat(quietBeat("m", 2))).assignment).toBe(null);
  });

  test("[KCG-1] after an eviction each gets its assignment once more", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m"));
    rig.evict();
    expect(unwrap(await rig.kafka.heartbeat(quietBeat("m", 1))).assignment).toEqual(ALL_OF_T);
    expect(unwrap(await rig.kafka.heartbeat(quietBeat("m", 1))).assignment).toBe(null);
  });

  test("[KCG-1] one that was removed and joins again gets its assignment, even if unchanged", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m"));
    rig.leaveNative("m");
    expect(rig.kafka.isHeard("m")).toBe(false);
    expect(unwrap(await rig.kafka.heartbeat(beat("m"))).assignment).toEqual(ALL_OF_T);
  });

  test("[KCG-2] a leave is answered with its epoch, and the member no longer counts as heard", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m", { instanceId: "i" }));
    expect(rig.kafka.isHeard("m")).toBe(true);
    const away = quietBeat("m", -2, { instanceId: "i" });
    expect(await rig.kafka.heartbeat(away)).toEqual({
      ok: true,
      memberEpoch: -2,
      heartbeatIntervalMs: 0,
      assignment: null,
    });
    expect(rig.kafka.isHeard("m")).toBe(false);
    expect(rig.state.members.get("m")?.silentSinceMs).not.toBe(null);
    await rig.kafka.heartbeat(quietBeat("m", -1));
    expect(rig.state.members.size).toBe(0);
  });

  test("[KCG-1] a fenced member no longer counts as heard, so its session ends", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m"));
    expect(await rig.kafka.heartbeat(quietBeat("m", 9))).toMatchObject({
      error: "FENCED_MEMBER_EPOCH",
    });
    expect(rig.kafka.isHeard("m")).toBe(false);
  });

  test("[GRP-13] a heartbeat of a stranger leaves no group behind", async () => {
    const rig = new KafkaMembersRig();
    expect(await rig.kafka.heartbeat(quietBeat("m", -1))).toMatchObject({
      error: "UNKNOWN_MEMBER_ID",
    });
    expect(rig.steps).toEqual(["told"]); // Nothing was listed, so nothing must be unlisted.
    expect(rig.asked).toEqual([]);
    await rig.kafka.heartbeat(beat("m"));
    expect(rig.steps).toEqual(["told", "stored", "told"]);
  });

  test.each([
    {
      what: "an invalid pattern",
      more: { topicPattern: "(" },
      error: "INVALID_REGULAR_EXPRESSION",
    },
    { what: "classic members", more: {}, error: "NON_EMPTY_GROUP" },
  ])("[PAT-2] [GRP-14] with $what a join is refused before the cluster is asked", async (row) => {
    const rig = new KafkaMembersRig();
    if (row.error === "NON_EMPTY_GROUP") await rig.settledClassic();
    rig.asked.length = 0;
    expect(await rig.kafka.heartbeat(beat("m", row.more))).toMatchObject({ error: row.error });
    expect(rig.asked).toEqual([]);
  });

  test("[GRP-14] a classic member that joins meanwhile refuses it, and so does an unreachable cluster", async () => {
    const rig = new KafkaMembersRig();
    rig.refusal = OUT_OF_REACH;
    expect(await rig.kafka.heartbeat(beat("m"))).toEqual(OUT_OF_REACH);
    rig.refusal = null;
    rig.meanwhile = () => rig.joinAtOnce();
    expect(await rig.kafka.heartbeat(beat("m"))).toMatchObject({ error: "NON_EMPTY_GROUP" });
    expect(rig.state.members.size).toBe(0);
  });

  test.each([
    { sessionTimeoutMs: 45_000, heartbeats: true, intervalMs: 5_000 },
    { sessionTimeoutMs: 8_000, heartbeats: true, intervalMs: 2_666 },
    { sessionTimeoutMs: 45_000, heartbeats: false, intervalMs: 5_000 },
  ])(
    "[GCF-5] three heartbeats fit into $sessionTimeoutMs ms, and the group's interval is the most",
    (row) => {
      const rig = new KafkaMembersRig();
      expect(heartbeatIntervalOf(row, rig.keeper.group.config)).toBe(row.intervalMs);
    },
  );

  test("[GCF-5] a group's longer interval holds for Kafka consumers up to a third of their session", () => {
    const rig = new KafkaMembersRig();
    rig.alterConfig({ "consumer.heartbeat.interval.ms": 15_000 });
    const of = (sessionTimeoutMs: number) =>
      heartbeatIntervalOf({ sessionTimeoutMs, heartbeats: true }, rig.keeper.group.config);
    expect([of(45_000), of(44_999), of(60_000)]).toEqual([15_000, 14_999, 15_000]);
  });
});

describe("signs of life", () => {
  test("[KFK-20] the last call or the watch counts, whichever was later", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m"));
    const calledMs = rig.kafka.seenMs("m");
    expect(calledMs).toBeGreaterThan(0);
    rig.sockets.alive.set(rig.watch("m"), new Date(calledMs + 800));
    expect(rig.kafka.seenMs("m")).toBe(calledMs + 800);
    expect(rig.kafka.seenMs("nobody")).toBe(0);
  });

  test("[CLK-4] after the clock was set, members by call and by watch have a session from then on", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("called"));
    rig.watch("watched");
    const nowMs = rig.clock.now() + 900;
    rig.presence.beginSessionsAnew(nowMs);
    expect([rig.kafka.seenMs("called"), rig.kafka.seenMs("watched")]).toEqual([nowMs, nowMs]);
    expect(rig.kafka.isHeard("nobody")).toBe(false);
  });

  test("[KFK-20] one whose watch is lost no longer counts as heard, and its session has begun to end", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m"));
    const socket = rig.watch("m");
    vi.setSystemTime(Date.now() + 7);
    rig.lose(socket);
    expect(rig.state.members.get("m")?.silentSinceMs).toBe(Date.now());
    expect([rig.kafka.isHeard("m"), rig.kafka.seenMs("m")]).toEqual([false, 0]);
    const token = await new KafkaMembersRig().settledClassic();
    expect(token.memberId).not.toBe("");
  });

  test("[KFK-20] a classic member whose watch is lost has its session from then on", async () => {
    const rig = new KafkaMembersRig();
    const { memberId } = await rig.settledClassic();
    const socket = rig.watch(memberId);
    vi.setSystemTime(Date.now() + 7);
    rig.lose(socket);
    expect(rig.classic.members.get(memberId)?.silentSinceMs).toBe(Date.now());
  });

  test("[KFK-20] a member that has changed, or has gone, is told to ask, and nobody else", () => {
    const rig = new KafkaMembersRig();
    const sockets = ["a", "b", "c"].map((memberId) => rig.watch(memberId));
    rig.joinNative("a", { topics: ["u"] });
    rig.joinNative("b");
    for (const socket of sockets) socket.take();
    rig.leaveNative("b");
    expect(sockets.map(({ sent }) => sent.length > 0)).toEqual([true, true, false]);
  });
});

describe("joins of the classic protocol", () => {
  test.each([
    { sessionTimeoutMs: 4_999, code: codeOf("INVALID_SESSION_TIMEOUT") },
    { sessionTimeoutMs: 5_000, code: NONE },
    { sessionTimeoutMs: 20_000, code: NONE },
    { sessionTimeoutMs: 20_001, code: codeOf("INVALID_SESSION_TIMEOUT") },
  ])("[GCF-3] a session of $sessionTimeoutMs ms is answered with $code", async (row) => {
    const rig = new KafkaMembersRig();
    const bounds = {
      "consumer.min.session.timeout.ms": 5_000,
      "consumer.max.session.timeout.ms": 20_000,
    };
    // If the session of Kafka consumers lies outside, it is rejected.
    const session = { "consumer.session.timeout.ms": 10_000 };
    expect(rig.alterConfig({ ...bounds, ...session })).toMatchObject({ ok: true });
    const joined = await rig.kafka.joinClassic(rig.classicJoin(row));
    expect(joined.errorCode).toBe(row.code);
    expect(rig.classic.members.size).toBe(row.code === NONE ? 1 : 0);
  });

  test("[CLS-10] only a join that may add a member creates a group, and only if there is none", async () => {
    const rig = new KafkaMembersRig();
    const told = await rig.kafka.joinClassic(rig.classicJoin({ mustKnowId: true }));
    expect(told.errorCode).toBe(KAFKA_ERRORS.MEMBER_ID_REQUIRED);
    expect([rig.asked, rig.exists]).toEqual([[], false]);
    const joined = await rig.kafka.joinClassic(rig.classicJoin({ memberId: told.memberId }));
    expect(joined).toMatchObject({ errorCode: NONE, memberId: told.memberId });
    expect([rig.asked, rig.exists]).toEqual([[[]], true]);
    void rig.kafka.joinClassic(rig.classicJoin());
    await Promise.resolve();
    expect(rig.asked).toHaveLength(1);
    expect(rig.steps).not.toContain("unlisted");
  });

  test("[GRP-13] a refused one unlists the group that it was about to create", async () => {
    const rig = new KafkaMembersRig();
    const joined = await rig.kafka.joinClassic(rig.classicJoin({ protocols: [] }));
    expect(joined.errorCode).toBe(KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL);
    expect(rig.steps).toEqual(["told", "unlisted"]);
  });

  test("[CLS-1] native members refuse it, even those that join meanwhile", async () => {
    const rig = new KafkaMembersRig();
    rig.meanwhile = () => rig.joinNative("a");
    const code = KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL;
    const request = rig.classicJoin();
    expect(await rig.kafka.joinClassic(request)).toMatchObject({ errorCode: code });
    expect(await rig.kafka.joinClassic(rig.classicJoin())).toMatchObject({ errorCode: code });
    expect(rig.asked).toHaveLength(1);
    expect(rig.classic.members.size).toBe(0);
  });

  test("[FIL-6] an unreachable cluster may be asked again, a group that lost its data may not", async () => {
    const rig = new KafkaMembersRig();
    rig.refusal = OUT_OF_REACH;
    expect(await rig.kafka.joinClassic(rig.classicJoin({ memberId: "" }))).toMatchObject({
      errorCode: codeOf("COORDINATOR_NOT_AVAILABLE"),
    });
    rig.refusal = LOST;
    await expect(rig.kafka.joinClassic(rig.classicJoin())).rejects.toMatchObject({
      code: "KAFKA_STORAGE_ERROR",
    });
  });
});

describe("what classic members read", () => {
  test("[CLS-8] assigned topics are learned whole; known and illegal ones are not asked for", async () => {
    const rig = new KafkaMembersRig();
    const { memberId, generation } = await rig.kafka.joinClassic(rig.classicJoin());
    const token = { memberId, instanceId: null, generation };
    await rig.syncClassic(token, { t: [0], "no/name": [0], gone: [1] });
    expect(rig.asked.slice(1)).toEqual([["t", "gone"]]);
    expect(rig.state.topics.get("t")).toMatchObject({ partitions: 3 });
    expect(rig.state.topics.size).toBe(1);
    expect(rig.steps.slice(-2)).toEqual(["stored", "told"]);
    const { generation: next } = await rig.kafka.joinClassic(rig.classicJoin({ memberId }));
    rig.asked.length = 0;
    await rig.syncClassic({ ...token, generation: next }, { t: [0, 1, 2] });
    expect(rig.asked).toEqual([]);
  });

  test("[CLS-8] no more are learned at once than a member may read, and failures are retried", async () => {
    const rig = new KafkaMembersRig();
    const { memberId, generation } = await rig.kafka.joinClassic(rig.classicJoin());
    const token = { memberId, instanceId: null, generation };
    const many = Array.from({ length: MAX_TOPICS_PER_MEMBER + 1 }, (_, i) => [`t${i}`, [0]]);
    rig.refusal = OUT_OF_REACH;
    const synced = await rig.syncClassic(token, Object.fromEntries(many));
    expect(synced.errorCode).toBe(NONE);
    expect(rig.asked.at(-1)).toHaveLength(MAX_TOPICS_PER_MEMBER);
    expect(rig.state.topics.size).toBe(0);
    rig.refusal = null;
    await rig.kafka.commitOffsets(token, [offset("t")]);
    expect([...rig.state.topics.keys()]).toEqual(["t"]);
  });
});

test("[CLS-3] a heartbeat is answered with what the member must do, and stored", async () => {
  const rig = new KafkaMembersRig();
  const token = await rig.settledClassic();
  rig.steps.length = 0;
  expect(await rig.kafka.heartbeatClassic(token)).toBe(NONE);
  expect(await rig.kafka.heartbeatClassic({ ...token, generation: 0 })).toBe(
    KAFKA_ERRORS.ILLEGAL_GENERATION,
  );
  void rig.kafka.joinClassic(rig.classicJoin());
  expect(await rig.kafka.heartbeatClassic(token)).toBe(KAFKA_ERRORS.REBALANCE_IN_PROGRESS);
  expect(rig.steps).toContain("stored");
});

describe("leaves", () => {
  test("[CLS-12] a native static member is removed by its instance id alone, and by no member id", async () => {
    const rig = new KafkaMembersRig();
    rig.joinNative("dynamic");
    rig.joinNative("static", { instanceId: "i" });
    rig.joinNative("other", { instanceId: "j" });
    const unknown = codeOf("UNKNOWN_MEMBER_ID");
    const codes = await rig.kafka.leaveClassic([
      { memberId: "dynamic", instanceId: null },
      { memberId: "static", instanceId: "i" },
      { memberId: "", instanceId: null },
      { memberId: "", instanceId: "nobody's" },
    ]);
    expect(codes).toEqual([unknown, unknown, unknown, unknown]);
    expect(rig.state.members.size).toBe(3);
    expect(await rig.kafka.leaveClassic([{ memberId: "", instanceId: "i" }])).toEqual([NONE]);
    expect([...rig.state.members.keys()]).toEqual(["dynamic", "other"]);
    expect(rig.steps.slice(-2)).toEqual(["stored", "told"]);
  });

  test("[CLS-4] a classic member is removed by its id, and the responses come in order", async () => {
    const rig = new KafkaMembersRig();
    const { memberId } = await rig.settledClassic({ instanceId: "i" });
    const codes = await rig.kafka.leaveClassic([
      { memberId: "stranger", instanceId: null },
      { memberId, instanceId: null },
    ]);
    expect(codes).toEqual([codeOf("UNKNOWN_MEMBER_ID"), NONE]);
    expect(rig.state.emptySinceMs).not.toBe(null);
  });
});

describe("descriptions", () => {
  const described = (rig: KafkaMembersRig) => ({
    classic: rig.kafka.describeClassic().groupState,
    type: rig.kafka.describeClassic().protocolType,
    isConsumers: rig.kafka.describeConsumers().ok,
    summary: rig.kafka.summary(),
  });

  test("[KFK-14] a group is described in Kafka's terms, by what its members are and were", async () => {
    const rig = new KafkaMembersRig();
    expect(described(rig)).toEqual({
      classic: "Dead",
      type: "",
      isConsumers: false,
      summary: null,
    });
    await rig.kafka.commitOffsets(BY_HAND, [offset("t")]);
    const consumers = { protocolType: "consumer", groupState: "Empty", groupType: "consumer" };
    expect(described(rig)).toEqual({
      ...{ classic: "Empty", type: "consumer", isConsumers: true },
      summary: consumers,
    });
    const token = await rig.settledClassic({ protocolType: "connect" });
    const classic = { protocolType: "connect", groupState: "Stable", groupType: "classic" };
    expect(described(rig)).toEqual({
      ...{ classic: "Stable", type: "connect", isConsumers: false },
      summary: classic,
    });
    await rig.kafka.leaveClassic([token]);
    expect(described(rig)).toEqual({
      ...{ classic: "Empty", type: "consumer", isConsumers: true },
      summary: { ...classic, protocolType: "consumer", groupState: "Empty" },
    });
    rig.joinNative("m");
    expect(described(rig)).toEqual({
      ...{ classic: "Dead", type: "consumer", isConsumers: true },
      summary: { ...consumers, groupState: "Stable" },
    });
    rig.leaveNative("m");
    expect(rig.kafka.summary()).toEqual(consumers);
    await rig.settledClassic({ protocolType: "connect" });
    expect(rig.kafka.summary()).toEqual(classic);
  });

  test("[KFK-14] classic members are described with their protocol and their assignment", async () => {
    const rig = new KafkaMembersRig();
    const protocols = [
      { name: "other", metadata: new Uint8Array([9]) },
      { name: "range", metadata: new Uint8Array([1]) },
    ];
    const joined = rig.kafka.joinClassic(
      rig.classicJoin({ instanceId: "i", protocols: protocols.toReversed() }),
    );
    const { memberId, generation } = await joined;
    expect(rig.kafka.describeClassic()).toMatchObject({
      groupState: "CompletingRebalance",
      protocolData: "range",
    });
    await rig.syncClassic({ memberId, instanceId: "i", generation }, { t: [2] });
    expect(rig.kafka.describeClassic().members).toEqual([
      {
        memberId,
        groupInstanceId: "i",
        clientId: "client",
        clientHost: "/host",
        memberMetadata: new Uint8Array([1]),
        memberAssignment: rig.classic.members.get(memberId)?.assignment,
      },
    ]);
    void rig.kafka.joinClassic(rig.classicJoin({ protocols }));
    await Promise.resolve();
    const { groupState, protocolData, members } = rig.kafka.describeClassic();
    expect([groupState, protocolData]).toEqual(["PreparingRebalance", ""]);
    expect(members.map(({ memberMetadata }) => memberMetadata.length)).toEqual([0, 0]);
  });

  test("[KFK-14] consumers are described with their subscriptions", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m", { topics: ["u"], topicPattern: "t.*" }));
    expect(unwrap(rig.kafka.describeConsumers())).toMatchObject({
      group: { groupId: "g", members: [{ memberId: "m" }] },
      subscriptions: { m: { topics: ["u"], topicPattern: "t.*" } },
    });
    expect(rig.kafka.describeConsumers()).not.toEqual(fail("GROUP_ID_NOT_FOUND", ""));
  });
});
