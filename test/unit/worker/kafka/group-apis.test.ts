// Kafka's requests to groups, one by one, and the addresses of the nodes that coordinate them.

import { describe, expect, test, vi } from "vitest";
import { ANYBODY } from "../../../../src/core/access/caller.ts";
import { BrokerError, ERRORS, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import type { Env } from "../../../../src/env.ts";
import { nodesOf } from "../../../../src/worker/kafka/addresses.ts";
import { consumerGroupDescribe } from "../../../../src/worker/kafka/apis/consumer-group-describe.ts";
import { consumerGroupHeartbeat } from "../../../../src/worker/kafka/apis/consumer-group-heartbeat.ts";
import { heartbeat } from "../../../../src/worker/kafka/apis/heartbeat.ts";
import { joinGroup } from "../../../../src/worker/kafka/apis/join-group.ts";
import { leaveGroup } from "../../../../src/worker/kafka/apis/leave-group.ts";
import { listGroups } from "../../../../src/worker/kafka/apis/list-groups.ts";
import { syncGroup } from "../../../../src/worker/kafka/apis/sync-group.ts";
import { KafkaGroup } from "../../../../src/worker/kafka/kafka-group.ts";
import { Nodes } from "../../../../src/worker/kafka/nodes.ts";
import { ask, brokerOf, freshQuietIsolate } from "./kafka-bench.ts";

freshQuietIsolate();

describe("groups", () => {
  test.each([
    ["all", [], [], ["classic", "lost", "native"]],
    ["of a state", ["STABLE"], [], ["classic"]],
    ["of a type", [], ["Consumer"], ["native"]],
    ["of both", ["Empty"], ["classic"], []],
  ])("[KFK-14] [FIL-6] ListGroups lists %s", async (_, statesFilter, typesFilter, expected) => {
    const { env } = listing();
    expect(await listed(env, { statesFilter, typesFilter })).toEqual(expected);
  });

  test("[KFK-34] ListGroups asks the groups that have reported nothing yet, once, and no others", async () => {
    const { env, asked } = listing();
    await listed(env);
    expect(asked).toEqual(["gone", "lost", "native"]);
    expect(await listed(env)).toEqual(["classic", "lost", "native"]);
    expect(asked.slice(3)).toEqual(["gone", "lost"]);
  });

  test("[KFK-34] ListGroups lists a group that has reported even if it cannot be read now", async () => {
    const { env, told } = listing();
    told.set("lost", { protocolType: "consumer", groupState: "Stable", groupType: "consumer" });
    expect(await listed(env, { statesFilter: ["Stable"] })).toEqual(["classic", "lost"]);
  });

  /** A cluster that knows the state of `classic`, and has heard nothing of the others. */
  function listing() {
    const native = { protocolType: "consumer", groupState: "Empty", groupType: "consumer" };
    const told = new Map<string, object>([
      ["classic", { protocolType: "consumer", groupState: "Stable", groupType: "classic" }],
    ]);
    const asked: string[] = [];
    const cluster = {
      groupPage: async ({ after }: { after: string }) => ({
        groups: ["classic", "gone", "lost", "native"]
          .filter((groupId) => groupId > after)
          .map((groupId) => ({ groupId, summary: told.get(groupId) ?? null })),
      }),
      summarizeGroup: async ({ groupId, summary }: { groupId: string; summary: object }) => {
        told.set(groupId, summary);
      },
    };
    const group = (id: string) => ({
      summary: async () => {
        asked.push(id);
        if (id === "lost") throw new BrokerError("KAFKA_STORAGE_ERROR", "it cannot be read");
        return id === "native" ? native : null;
      },
    });
    const env = {
      CLUSTER: { getByName: () => cluster },
      GROUP: { getByName: group },
      caller: ANYBODY,
    } as unknown as Env;
    return { env, told, asked };
  }

  async function listed(
    env: Env,
    { statesFilter = [] as string[], typesFilter = [] as string[] } = {},
  ): Promise<string[]> {
    const request = { statesFilter, typesFilter };
    const { groups } = await ask<{ groups: { groupId: string }[] }>(listGroups, env, request);
    return groups.map(({ groupId }) => groupId);
  }

  const joining = {
    groupId: "g",
    memberId: "",
    groupInstanceId: null,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array([1]) }],
  };
  const joined = {
    errorCode: 0,
    generation: 3,
    protocolType: "consumer",
    protocolName: null,
    leaderId: "m",
    skipAssignment: false,
    memberId: "m",
    members: [{ memberId: "m", instanceId: "i", metadata: new Uint8Array([1]) }],
  };

  test.each([
    [3, {}, { mustKnowId: false, canSkipAssignment: false, rebalanceTimeoutMs: 60_000 }, ""],
    [4, {}, { mustKnowId: true, canSkipAssignment: false }, ""],
    [6, { rebalanceTimeoutMs: -1 }, { rebalanceTimeoutMs: 10_000 }, ""],
    [7, {}, { mustKnowId: true, canSkipAssignment: false }, null],
    [8, { rebalanceTimeoutMs: 0 }, { rebalanceTimeoutMs: 0, canSkipAssignment: false }, null],
    [
      9,
      { groupInstanceId: "i" },
      { mustKnowId: true, canSkipAssignment: true, instanceId: "i" },
      null,
    ],
  ])(
    "[CLS-1] [CLS-5] JoinGroup %i requests from the group what its version has",
    async (version, own, expected, noName) => {
      const joinClassic = vi.fn(async (_request: { newMemberId: string }) => joined);
      const env = brokerOf({}, { group: { joinClassic } });
      const answer = await ask(joinGroup, env, { ...joining, ...own }, { version });
      const [[request]] = joinClassic.mock.calls as unknown as [[{ newMemberId: string }]];
      expect(request).toMatchObject({
        clientId: "c",
        clientHost: "/h",
        sessionTimeoutMs: 10_000,
        ...expected,
      });
      expect(request.newMemberId).toMatch("groupInstanceId" in own ? /^i-/ : /^c-/);
      expect(answer).toMatchObject({
        errorCode: 0,
        generationId: 3,
        leader: "m",
        memberId: "m",
        protocolName: noName,
        members: [{ memberId: "m", groupInstanceId: "i" }],
      });
    },
  );

  test.each([
    ["is another node's", "g", KAFKA_ERRORS.NOT_COORDINATOR, undefined],
    ["has no name", "", ERRORS.INVALID_GROUP_ID.code, undefined],
    [
      "does not answer",
      "g",
      ERRORS.COORDINATOR_NOT_AVAILABLE.code,
      new Error("Network connection lost"),
    ],
    [
      "is damaged",
      "g",
      ERRORS.KAFKA_STORAGE_ERROR.code,
      new Error("database disk image is malformed"),
    ],
  ])(
    "[KFK-6] [ERR-2] a group that %s is not joined, and its members are told so",
    async (what, groupId, errorCode, error) => {
      const joinClassic = vi.fn(async () => Promise.reject(error));
      const env = brokerOf({}, { group: { joinClassic } });
      const two = [1, 2].map((port) => ({ host: "h", port }));
      const coordinator = new Nodes(two, null).coordinatorOf(groupId).nodeId;
      const nodes = new Nodes(two, what === "is another node's" ? 1 - coordinator : coordinator);
      const answer = await ask(joinGroup, env, { ...joining, groupId, memberId: "m" }, { nodes });
      expect(answer).toMatchObject({ errorCode, memberId: "m", protocolName: null });
      expect(joinClassic).toHaveBeenCalledTimes(error === undefined ? 0 : 1);
    },
  );

  test("[CLS-4] [CLS-12] LeaveGroup answers for each member, in old versions for the one", async () => {
    const leaveClassic = vi.fn(async ({ members }: { members: readonly object[] }) =>
      members.map((_, i) => (i === 0 ? 0 : 25)),
    );
    const env = brokerOf({}, { group: { leaveClassic } });
    const members = [
      { memberId: "a", groupInstanceId: null },
      { memberId: "", groupInstanceId: "i" },
    ];
    expect(
      await ask(leaveGroup, env, { groupId: "g", memberId: "x", members }, { version: 3 }),
    ).toMatchObject({
      errorCode: 0,
      members: [
        { memberId: "a", errorCode: 0 },
        { groupInstanceId: "i", errorCode: 25 },
      ],
    });
    leaveClassic.mockResolvedValueOnce([25]);
    const old = await ask(
      leaveGroup,
      env,
      { groupId: "g", memberId: "x", members: [] },
      { version: 2 },
    );
    expect(old).toMatchObject({ errorCode: 25 });
    expect(leaveClassic.mock.calls[1]).toEqual([
      { members: [{ memberId: "x", instanceId: null }] },
    ]);
  });
});

describe("a group that does not exist", () => {
  const UNKNOWN_MEMBER = ERRORS.UNKNOWN_MEMBER_ID.code;
  const token = { memberId: "m", instanceId: null, generation: 3 };
  const beat = { memberId: "m", instanceId: null, clientId: null, rebalanceTimeoutMs: 1 };
  const beating = { ...beat, topics: null, topicPattern: null, owned: null };
  const sync = { ...token, protocolType: null, protocolName: null, assignments: [] };
  const leaving = [1, 2].map((number) => ({ memberId: `m${number}`, instanceId: null }));
  const gone = { ok: false, error: "UNKNOWN_MEMBER_ID" };

  test.each([
    ["heartbeat", [{ ...beating, memberEpoch: 1 }], gone],
    ["heartbeat", [{ ...beating, memberEpoch: -1 }], gone],
    ["commitOffsets", [{ token, offsets: [] }], { errorCode: UNKNOWN_MEMBER, errorCodes: [] }],
    ["syncClassic", [sync], { errorCode: UNKNOWN_MEMBER }],
    ["heartbeatClassic", [token], UNKNOWN_MEMBER],
    ["leaveClassic", [{ members: leaving }], [UNKNOWN_MEMBER, UNKNOWN_MEMBER]],
    ["committedOffsets", [{ member: null }], { offsets: [] }],
    ["deletePositions", [{ positions: [] }], ERRORS.GROUP_ID_NOT_FOUND.code],
    ["describeClassic", [], { groupState: "Dead", members: [] }],
    ["describeConsumers", [], { ok: false, error: "GROUP_ID_NOT_FOUND" }],
    ["destroy", [], { ok: false, error: "GROUP_ID_NOT_FOUND" }],
  ] as [keyof KafkaGroup, unknown[], object | number][])(
    "[FIL-1] is not asked, and its response is that of an empty one: %s %#",
    async (method, args, expected) => {
      const called = vi.fn(async () => "asked");
      for (const exists of [false, true]) {
        const cluster = { hasGroup: async () => exists };
        const env = brokerOf({}, { cluster, group: { [method]: called } });
        const call = new KafkaGroup(env, exists ? "g" : "none")[method] as (
          ...args: unknown[]
        ) => Promise<unknown>;
        const answer = await call.apply(new KafkaGroup(env, exists ? "g" : "none"), args);
        if (exists) expect(answer).toBe("asked");
        else if (typeof expected === "number") expect(answer).toBe(expected);
        else expect(answer).toMatchObject(expected);
        expect(called).toHaveBeenCalledTimes(exists ? 1 : 0);
      }
    },
  );

  test.each([
    ["a join", "joinClassic", [{}]],
    ["a heartbeat of epoch 0", "heartbeat", [{ ...beating, memberEpoch: 0 }]],
    ["a commit by hand", "commitOffsets", [{ token: { ...token, generation: -1 }, offsets: [] }]],
  ] as [string, "joinClassic", [never]][])(
    "[FIL-1] is created by %s, about which the cluster is not asked",
    async (_, method, args) => {
      const called = vi.fn(async () => "made");
      const hasGroup = vi.fn(async () => false);
      const env = brokerOf({}, { cluster: { hasGroup }, group: { [method]: called } });
      expect(await new KafkaGroup(env, "none")[method](...args)).toBe("made");
      expect(hasGroup).not.toHaveBeenCalled();
    },
  );

  test("[FIL-1] is looked for again once it was deleted", async () => {
    const exists = vi.fn(async () => true);
    const group = { destroy: async () => ({ ok: true }), heartbeatClassic: async () => 0 };
    const calls = new KafkaGroup(brokerOf({}, { cluster: { hasGroup: exists }, group }), "g");
    expect(await calls.destroy()).toEqual({ ok: true });
    exists.mockResolvedValue(false);
    expect(await calls.heartbeatClassic(token)).toBe(UNKNOWN_MEMBER);
  });
});

describe("heartbeats", () => {
  /** The heartbeats that reach the group, each with whether its response would be given again. */
  function watched() {
    const quiet: boolean[] = [];
    const heartbeat = async (
      _group: string,
      _member: string,
      _said: string,
      beat: () => Promise<{ answer: unknown; isQuiet: boolean }>,
    ) => {
      const { answer, isQuiet } = await beat();
      quiet.push(isQuiet);
      return answer;
    };
    return { quiet, watches: { heartbeat } };
  }

  const beat = {
    groupId: "g",
    memberId: "m",
    memberEpoch: 3,
    instanceId: null,
    rebalanceTimeoutMs: 1_000,
    subscribedTopicNames: ["t"],
    subscribedTopicRegex: null,
    serverAssignor: null,
  };
  const places = (...partitions: number[]) => [{ topicId: "id", partitions }];
  const told = { ok: true, memberEpoch: 3, heartbeatIntervalMs: 5, assignment: null };

  test.each([
    ["says nothing new", {}, told, true],
    ["is told of a newer epoch", {}, { ...told, memberEpoch: 4 }, false],
    [
      "owns what it is to own",
      { topicPartitions: places(0, 1) },
      { ...told, assignment: places(1, 0) },
      true,
    ],
    [
      "is to own more",
      { topicPartitions: places(0) },
      { ...told, assignment: places(0, 1) },
      false,
    ],
    [
      "is to own less",
      { topicPartitions: places(0, 1) },
      { ...told, assignment: places(0) },
      false,
    ],
    [
      "does not say what it owns",
      { topicPartitions: null },
      { ...told, assignment: places(0) },
      false,
    ],
    [
      "owns nothing, and is to own nothing",
      { topicPartitions: null },
      { ...told, assignment: [] },
      true,
    ],
    ["is refused", {}, { ok: false, error: "UNKNOWN_MEMBER_ID", detail: "gone" }, false],
  ])("[KFK-20] of a consumer that %s", async (_, own, answer, isQuiet) => {
    const { quiet, watches } = watched();
    const env = brokerOf({}, { group: { heartbeat: async () => answer } });
    const request = { ...beat, topicPartitions: null, ...own };
    const reply = await ask(consumerGroupHeartbeat, env, request, { watches });
    expect(quiet).toEqual([isQuiet]);
    expect(reply).toMatchObject({
      errorCode: answer.ok ? 0 : ERRORS.UNKNOWN_MEMBER_ID.code,
      memberId: "m",
    });
  });

  test.each([
    [0, true],
    [KAFKA_ERRORS.REBALANCE_IN_PROGRESS, false],
  ])("[KFK-20] of a classic member that is answered %i", async (errorCode, isQuiet) => {
    const { quiet, watches } = watched();
    const env = brokerOf({}, { group: { heartbeatClassic: async () => errorCode } });
    const request = { groupId: "g", memberId: "m", groupInstanceId: null, generationId: 3 };
    expect(await ask(heartbeat, env, request, { watches })).toEqual({ errorCode });
    expect(quiet).toEqual([isQuiet]);
  });

  test.each([
    ["an epoch that is none", { memberEpoch: -3 }, 1, "memberEpoch is -3"],
    ["a leave for now, without an instance", { memberEpoch: -2 }, 1, "memberEpoch is -2"],
    ["an empty instance", { instanceId: "" }, 1, "instanceId is empty"],
    ["no member", { memberId: "" }, 1, "memberId is empty"],
    ["no member, at an epoch", { memberId: "" }, 0, "memberId is empty"],
    [
      "a join without time",
      { memberEpoch: 0, rebalanceTimeoutMs: 0 },
      1,
      "rebalanceTimeoutMs is 0",
    ],
    [
      "a join without topics",
      { memberEpoch: 0, subscribedTopicNames: null },
      1,
      "must name topics",
    ],
    [
      "a join with an empty pattern",
      { memberEpoch: 0, subscribedTopicNames: null, subscribedTopicRegex: "" },
      1,
      "must name topics",
    ],
  ])("[KCG-1] %s is refused, and its group not asked", async (_, own, version, message) => {
    const { quiet, watches } = watched();
    const request = { ...beat, topicPartitions: null, ...own };
    const reply = await ask(consumerGroupHeartbeat, brokerOf({}), request, { watches, version });
    expect(reply).toMatchObject({
      errorCode: ERRORS.INVALID_REQUEST.code,
      errorMessage: expect.stringContaining(message),
    });
    expect(quiet).toEqual([]);
  });

  test.each([
    ["an epoch of 0", { memberEpoch: 0 }, 1],
    ["a pattern", { memberEpoch: 0, subscribedTopicNames: null, subscribedTopicRegex: "t" }, 1],
    ["no id, before version 1", { memberEpoch: 0, memberId: "" }, 0],
    ["an epoch of -2, with an instance", { memberEpoch: -2, instanceId: "i" }, 1],
    ["an epoch of -1", { memberEpoch: -1 }, 1],
  ])("[KCG-1] [KCG-2] with %s its group is asked", async (_, own, version) => {
    const group = vi.fn(async (_: { memberId: string }) => told);
    const env = brokerOf({}, { group: { heartbeat: group as never } });
    const request = { ...beat, topicPartitions: null, ...own };
    const { watches } = watched();
    const reply = await ask<{ memberId: string }>(consumerGroupHeartbeat, env, request, {
      watches,
      version,
    });
    expect(reply).toMatchObject({ errorCode: 0 });
    expect(reply.memberId).not.toBe("");
    expect(group.mock.calls).toMatchObject([[{ memberId: reply.memberId }]]);
  });
});

test("[KFK-14] ConsumerGroupDescribe returns each member's subscription, assignment and target", async () => {
  const assignment = [{ topic: "t", partitions: [0] }];
  const member = { memberEpoch: 3, assignment, target: [{ topic: "gone", partitions: [1] }] };
  const describeConsumers = async () => ({
    ok: true,
    subscriptions: { a: { topics: ["t"], topicPattern: "t.*" } },
    group: {
      state: "STABLE",
      epoch: 4,
      assignor: "uniform",
      members: [
        { ...member, memberId: "a", instanceId: "i", clientId: "c" },
        { ...member, memberId: "polls" },
      ],
    },
  });
  const env = brokerOf({ t: 1 }, { group: { describeConsumers } });
  const request = { groupIds: ["g", "g"], includeAuthorizedOperations: false };
  const { groups } = await ask<{ groups: object[] }>(consumerGroupDescribe, env, request);
  const places = {
    memberEpoch: 3,
    assignment: { topicPartitions: [{ topicId: "id-t", topicName: "t", partitions: [0] }] },
    targetAssignment: { topicPartitions: [{ topicName: "gone", partitions: [1] }] },
  };
  expect(groups).toMatchObject([
    {
      groupId: "g",
      errorCode: 0,
      groupState: "Stable",
      groupEpoch: 4,
      assignmentEpoch: 4,
      assignorName: "uniform",
      members: [
        {
          ...places,
          memberId: "a",
          instanceId: "i",
          clientId: "c",
          subscribedTopicNames: ["t"],
          subscribedTopicRegex: "t.*",
        },
        {
          ...places,
          memberId: "polls",
          instanceId: null,
          clientId: "",
          subscribedTopicNames: [],
          subscribedTopicRegex: null,
        },
      ],
    },
  ]);
});

describe("SyncGroup", () => {
  const request = {
    groupId: "g",
    memberId: "m",
    groupInstanceId: null,
    generationId: 3,
    protocolType: null,
    protocolName: null,
    assignments: [{ memberId: "m", assignment: new Uint8Array([1, 2]) }],
  };

  test("[CLS-1] takes the leader's assignments to the group, and its response back", async () => {
    const answer = { errorCode: 0, assignment: new Uint8Array([3]) };
    const syncClassic = vi.fn(async () => answer);
    const env = brokerOf({}, { group: { syncClassic } });
    expect(await ask(syncGroup, env, request)).toEqual(answer);
    expect(syncClassic.mock.calls).toMatchObject([
      [{ memberId: "m", generation: 3, assignments: request.assignments }],
    ]);
  });

  test("[CLS-1] [ERR-2] reports a group that does not answer", async () => {
    const syncClassic = async () => Promise.reject(new Error("Network connection lost"));
    const env = brokerOf({}, { group: { syncClassic } });
    expect(await ask(syncGroup, env, request)).toEqual({
      errorCode: ERRORS.COORDINATOR_NOT_AVAILABLE.code,
    });
  });
});

describe("the addresses of nodes", () => {
  const of = (query: string) => nodesOf(new URL(`https://broker.test${query}`));

  test.each([
    ["/kafka", [{ nodeId: 0, host: "broker.test", port: 443 }]],
    ["/kafka?advertise=a:1", [{ nodeId: 0, host: "a", port: 1 }]],
    [
      "/kafka?advertise=a-b.c_d:65535,%20b:2%20",
      [
        { nodeId: 0, host: "a-b.c_d", port: 65_535 },
        { nodeId: 1, host: "b", port: 2 },
      ],
    ],
    ["/kafka?advertise=[::1]:9092", [{ nodeId: 0, host: "::1", port: 9_092 }]],
  ])("[KFK-6] are read: %s", (query, expected) => {
    expect(of(query).all).toEqual(expected);
  });

  test("[KFK-6] are the broker's own if none are given", () => {
    expect(nodesOf(new URL("http://h:8080/kafka")).all).toEqual([
      { nodeId: 0, host: "h", port: 8_080 },
    ]);
  });

  test.each([
    "a:0",
    "a:65536",
    "a:1x",
    "a:123456",
    "a",
    ":1",
    "a b:1",
    "[::1:9092",
    "a:1,",
    "a:-1",
    "a:1:2",
  ])("[KFK-6] are rejected: %s", (advertise) => {
    expect(() => of(`/kafka?advertise=${encodeURIComponent(advertise)}`)).toThrow(
      "advertise: must be host:port",
    );
  });

  test.each([
    ["0", true, false],
    ["1", false, true],
  ])("[KFK-6] say which node a connection goes to: %s", (node, first, second) => {
    const nodes = of(`/kafka?advertise=a:1,b:2&node=${node}`);
    const [one, two] = nodes.all as [(typeof nodes.all)[number], (typeof nodes.all)[number]];
    expect([nodes.isOwn(one), nodes.isOwn(two)]).toEqual([first, second]);
    expect(nodes.controller).toBe(one);
  });

  test.each(["2", "-1", "x", "1x", ""])("[KFK-6] an invalid node is rejected: %j", (node) => {
    expect(() => of(`/kafka?advertise=a:1,b:2&node=${node}`)).toThrow(
      "must be a whole number from 0 to 1",
    );
  });
});
