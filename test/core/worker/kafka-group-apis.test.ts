// Kafka's requests to groups, each by itself, and the addresses of the nodes that coordinate them.
import { describe, expect, test, vi } from "vitest";
import { BrokerError, ERRORS, KAFKA_ERRORS } from "../../../src/core/errors.ts";
import type { Env } from "../../../src/env.ts";
import { nodesOf } from "../../../src/kafka/addresses.ts";
import { joinGroup, leaveGroup } from "../../../src/kafka/apis/classic-groups.ts";
import { listGroups } from "../../../src/kafka/apis/groups.ts";
import { Nodes } from "../../../src/kafka/nodes.ts";
import { ask, brokerOf, freshQuietIsolate } from "./kafka-bench.ts";

freshQuietIsolate();

describe("groups", () => {
  test.each([
    ["all", [], [], ["classic", "native", "lost"]],
    ["of a state", ["STABLE"], [], ["classic"]],
    ["of a type", [], ["Consumer"], ["native"]],
    ["of both", ["Empty"], ["classic"], []],
  ])("[KFK-14] [FIL-6] ListGroups lists %s", async (_, statesFilter, typesFilter, expected) => {
    const known: Record<string, object | null> = {
      classic: { protocolType: "consumer", groupState: "Stable", groupType: "classic" },
      native: { protocolType: "consumer", groupState: "Empty", groupType: "consumer" },
      gone: null,
    };
    const env = {
      CLUSTER: { getByName: () => ({ groups: async () => [...Object.keys(known), "lost"] }) },
      GROUP: {
        getByName: (id: string) => ({
          summary: async () => {
            if (id === "lost") throw new BrokerError("KAFKA_STORAGE_ERROR", "it cannot be read");
            return known[id];
          },
        }),
      },
    } as unknown as Env;
    const { groups } = await ask<{ groups: { groupId: string }[] }>(listGroups, env, {
      statesFilter,
      typesFilter,
    });
    expect(groups.map(({ groupId }) => groupId)).toEqual(expected);
  });

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
    [8, { rebalanceTimeoutMs: 0 }, { rebalanceTimeoutMs: 0, canSkipAssignment: false }, null],
    [
      9,
      { groupInstanceId: "i" },
      { mustKnowId: true, canSkipAssignment: true, instanceId: "i" },
      null,
    ],
  ])(
    "[CLS-1] [CLS-5] JoinGroup %i asks the group for what its version has",
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

  test("[CLS-4] [CLS-12] LeaveGroup tells of each member, in old versions of the one", async () => {
    const leaveClassic = vi.fn(async (members: readonly object[]) =>
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
    expect(leaveClassic.mock.calls[1]).toEqual([[{ memberId: "x", instanceId: null }]]);
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

  test("[KFK-6] are the broker's own where none are stated", () => {
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
  ])("[KFK-6] are refused: %s", (advertise) => {
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

  test.each(["2", "-1", "x", "1x", ""])("[KFK-6] a node that is none is refused: %j", (node) => {
    expect(() => of(`/kafka?advertise=a:1,b:2&node=${node}`)).toThrow(
      "must be a whole number from 0 to 1",
    );
  });
});
