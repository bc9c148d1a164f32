// Members' requests are bounded, on every interface, and cost no more than they must.
import { describe, expect, test } from "vitest";
import type { NamePattern } from "../../../../src/core/access/grants.ts";
import { forgetRule, whyNotClassicFit } from "../../../../src/core/group/admission.ts";
import { topicsAssignedBy } from "../../../../src/core/group/classic-assignment.ts";
import {
  type ClassicMember,
  NO_CLASSIC_MEMBERS,
} from "../../../../src/core/group/classic-state.ts";
import { Group } from "../../../../src/core/group/group.ts";
import type { ClassicJoin, GroupRequest } from "../../../../src/core/group/requests.ts";
import {
  emptyGroup,
  type GroupState,
  type Member,
  subscriberTest,
} from "../../../../src/core/group/state.ts";
import {
  MAX_CLASSIC_GROUP_BYTES,
  MAX_CLASSIC_MEMBER_BYTES,
  MAX_CLASSIC_PROTOCOLS,
  MAX_CLIENT_ID_LENGTH,
  MAX_MEMBER_ID_LENGTH,
  MAX_MEMBERS_PER_GROUP,
  MAX_TOPICS_PER_KAFKA_MEMBER,
} from "../../../../src/core/limits.ts";
import { sightOf } from "../../../support/sight.ts";

const JOIN = {
  ...{ memberId: "m", memberEpoch: 0, instanceId: null, clientId: null, topics: ["t"] },
  ...{ topicPattern: null, sessionTimeoutMs: 20_000, rebalanceTimeoutMs: 20_000 },
  ...{ owned: new Set<never>(), polls: false, heartbeats: false },
};
const CLASSIC: ClassicJoin = {
  ...{ memberId: "", newMemberId: "c", instanceId: null, clientId: "", clientHost: "/" },
  ...{ sessionTimeoutMs: 20_000, rebalanceTimeoutMs: 20_000, protocolType: "consumer" },
  protocols: [{ name: "range", metadata: new Uint8Array() }],
  ...{ mustKnowId: false, canSkipAssignment: false },
};
const SYNC = {
  ...{ memberId: "c", instanceId: null, generation: 1, protocolType: null, protocolName: null },
  assignments: [],
};

/** A request of each kind that a member makes, with one part of it replaced. */
const REQUESTS: Record<string, (part: object) => GroupRequest> = {
  join: (part) => ({ type: "join", ...JOIN, ...part }),
  poll: (part) => ({ type: "poll", ...JOIN, polls: true, acks: [], ...part }),
  heartbeat: (part) => ({ type: "heartbeat", ...JOIN, owned: null, ...part }),
  joinClassic: (part) => ({ type: "joinClassic", ...CLASSIC, ...part }),
  syncClassic: (part) => ({ type: "syncClassic", ...SYNC, ...part }),
  leaveClassic: (part) => ({ type: "leaveClassic", members: [], ...part }),
};

const NATIVE = ["join", "poll", "heartbeat"];
const JOINS = [...NATIVE, "joinClassic"];
const list = (length: number) => Array.from({ length }, (_, i) => `t${i}`);
const named = (length: number, bytes = 0) =>
  list(length).map((name) => ({ name, metadata: new Uint8Array(bytes) }));
const assigned = (length: number, bytes = 0) =>
  list(length).map((memberId) => ({ memberId, assignment: new Uint8Array(bytes) }));

/** Each bound, with its requests, the largest accepted value, and the smallest rejected one. */
const BOUNDS: readonly [what: string, by: readonly string[], most: object, more: object][] = [
  ...(
    [
      ["memberId", MAX_MEMBER_ID_LENGTH],
      ["instanceId", MAX_CLIENT_ID_LENGTH],
      ["clientId", MAX_CLIENT_ID_LENGTH],
    ] as const
  ).flatMap(([field, bound]): (typeof BOUNDS)[number][] => [
    [
      `the length of ${field}`,
      JOINS,
      { [field]: "x".repeat(bound) },
      { [field]: "x".repeat(bound + 1) },
    ],
    [`half a pair in ${field}`, JOINS, { [field]: "\ud83d\ude00" }, { [field]: "\ud83d" }],
    [
      `the other half in ${field}`,
      JOINS,
      { [field]: field === "clientId" ? "a" : "\u0000" },
      { [field]: "a\ude00" },
    ],
  ]),
  [
    "the number of topics",
    NATIVE,
    { topics: list(MAX_TOPICS_PER_KAFKA_MEMBER) },
    { topics: list(MAX_TOPICS_PER_KAFKA_MEMBER + 1) },
  ],
  [
    "the number of protocols",
    ["joinClassic"],
    { protocols: named(MAX_CLASSIC_PROTOCOLS) },
    { protocols: named(MAX_CLASSIC_PROTOCOLS + 1) },
  ],
  [
    "the name of a protocol",
    ["joinClassic"],
    { protocols: [{ name: "x".repeat(MAX_CLIENT_ID_LENGTH), metadata: new Uint8Array() }] },
    { protocols: [{ name: "x".repeat(MAX_CLIENT_ID_LENGTH + 1), metadata: new Uint8Array() }] },
  ],
  [
    "the metadata",
    ["joinClassic"],
    { protocols: named(2, MAX_CLASSIC_MEMBER_BYTES / 2) },
    { protocols: named(2, MAX_CLASSIC_MEMBER_BYTES / 2 + 1) },
  ],
  [
    "the number of assignments",
    ["syncClassic"],
    { assignments: assigned(MAX_MEMBERS_PER_GROUP) },
    { assignments: assigned(MAX_MEMBERS_PER_GROUP + 1) },
  ],
  [
    "the assignments",
    ["syncClassic"],
    { assignments: assigned(2, MAX_CLASSIC_GROUP_BYTES / 2) },
    { assignments: assigned(2, MAX_CLASSIC_GROUP_BYTES / 2 + 1) },
  ],
  [
    "the members that leave",
    ["leaveClassic"],
    { members: list(MAX_MEMBERS_PER_GROUP).map((memberId) => ({ memberId, instanceId: null })) },
    {
      members: list(MAX_MEMBERS_PER_GROUP + 1).map((memberId) => ({ memberId, instanceId: null })),
    },
  ],
];

const group = () =>
  new Group(
    emptyGroup("g"),
    sightOf(
      () => 0,
      () => false,
    ),
  );

describe.each(BOUNDS.flatMap(([what, by, ...parts]) => by.map((kind) => ({ what, kind, parts }))))(
  "$what of a $kind",
  ({ kind, parts: [most, more] }) => {
    const whyNot = (part: object) =>
      group().whyNot((REQUESTS[kind] as (typeof REQUESTS)[string])(part));

    test("[BND-21] is accepted up to its bound, and rejected beyond it", () => {
      expect(whyNot(most)?.error).not.toBe("INVALID_REQUEST");
      expect(whyNot(more)?.error).toBe("INVALID_REQUEST");
    });
  },
);

const member = (memberId: string, more: Partial<ClassicMember> = {}): [string, ClassicMember] => [
  memberId,
  {
    ...{ memberId, instanceId: null, clientId: "", clientHost: "/" },
    ...{ sessionTimeoutMs: 20_000, rebalanceTimeoutMs: 20_000, protocols: CLASSIC.protocols },
    ...{ assignment: new Uint8Array(), silentSinceMs: null, ...more },
  },
];

test("[BND-21] a classic group holds a bounded amount of its members' metadata", () => {
  const protocols = [{ name: "range", metadata: new Uint8Array(MAX_CLASSIC_GROUP_BYTES - 10) }];
  const members = new Map([member("a", { protocols })]);
  const state = { ...NO_CLASSIC_MEMBERS, protocolType: "consumer", members };
  const joinWith = (bytes: number, memberId = "") =>
    whyNotClassicFit(state, {
      ...CLASSIC,
      ...{ memberId, protocols: [{ name: "range", metadata: new Uint8Array(bytes) }] },
    });
  expect(joinWith(10)).toBe(null);
  expect(joinWith(11)?.error).toBe("GROUP_MAX_SIZE_REACHED");
  expect(joinWith(11, "a")).toBe(null); // Its own earlier one does not count.
});

describe("what many names cost", () => {
  /** Counts the scans of the members. */
  function counted<Each>(members: ReadonlyMap<string, Each>) {
    const looks = { count: 0 };
    const values = () => {
      looks.count++;
      return members.values();
    };
    return { looks, members: Object.assign(new Map(members), { values }) };
  }

  test("[BND-21] committed offsets in any number of topics are forgotten with one look at the members", () => {
    const native = counted(
      new Map([["n", { topics: ["t0"], topicPattern: "x.*" } as unknown as Member]]),
    );
    const classic = counted(new Map([member("a")]));
    const state: GroupState = {
      ...emptyGroup("g"),
      members: native.members,
      classic: { ...NO_CLASSIC_MEMBERS, protocolType: "consumer", members: classic.members },
    };
    const whyNotForget = forgetRule(state);
    const refusals = [...list(1_000), "x1"].map((name) => whyNotForget(name)?.error);
    expect(refusals.filter((each) => each === "GROUP_SUBSCRIBED_TO_TOPIC")).toHaveLength(2);
    expect([native.looks.count, classic.looks.count]).toEqual([1, 1]);
  });

  test("[BND-21] [COST-1] the members are asked once for subscribers, and only if there is a topic", () => {
    const { looks, members } = counted(
      new Map([["n", { topics: ["t0"], topicPattern: null } as unknown as Member]]),
    );
    const hasSubscriber = subscriberTest({ ...emptyGroup("g"), members });
    expect(looks.count).toBe(0);
    expect(list(3).map(hasSubscriber)).toEqual([true, false, false]);
    expect(looks.count).toBe(1);
  });

  test("[BND-21] the protocols of a join are compared name by name, and not each with each", () => {
    let reads = 0;
    const counting = (count: number) =>
      list(count).map((name) => ({
        get name() {
          reads++;
          return name;
        },
        metadata: new Uint8Array(),
      }));
    const readsWith = (count: number) => {
      reads = 0;
      const members = new Map([member("a", { protocols: counting(count) })]);
      const state = { ...NO_CLASSIC_MEMBERS, protocolType: "consumer", members };
      const others = counting(count).map((each) => ({
        name: `x${each.name}`,
        metadata: each.metadata,
      }));
      expect(whyNotClassicFit(state, { ...CLASSIC, protocols: others })?.error).toBe(
        "INCONSISTENT_GROUP_PROTOCOL",
      );
      return reads;
    };
    expect(readsWith(1_000)).toBe(10 * readsWith(100));
  });
});

/** An assignment of version 0: partition 0 of one topic. */
function assignmentOf(topic: string): Uint8Array {
  const name = new TextEncoder().encode(topic);
  return new Uint8Array([0, 0, 0, 0, 0, 1, 0, name.length, ...name, 0, 0, 0, 1, 0, 0, 0, 0]);
}

test("[CLS-8] the group learns the topics that its leader assigns to members, and no others", () => {
  const members = new Map([member("leader"), member("other")]);
  const state = { ...NO_CLASSIC_MEMBERS, leaderId: "leader", members };
  const assignments = ["leader", "other", "stranger"].map((memberId) => ({
    memberId,
    assignment: assignmentOf(`of-${memberId}`),
  }));
  expect(topicsAssignedBy(state, { memberId: "leader", assignments })).toEqual([
    "of-leader",
    "of-other",
  ]);
  expect(topicsAssignedBy(state, { memberId: "other", assignments })).toEqual([]);
});

test("[ACL-6] the group learns no topic that its leader may not read", () => {
  const members = new Map([member("leader"), member("other")]);
  const state = { ...NO_CLASSIC_MEMBERS, leaderId: "leader", members };
  const assignments = [
    { memberId: "leader", assignment: assignmentOf("own.a") },
    { memberId: "other", assignment: assignmentOf("foreign") },
  ];
  const learned = (readable?: readonly NamePattern[]) =>
    topicsAssignedBy(state, { memberId: "leader", assignments, readable });
  expect(learned()).toEqual(["own.a", "foreign"]);
  expect(learned([{ prefix: "own." }])).toEqual(["own.a"]);
  expect(learned([{ exact: "foreign" }])).toEqual(["foreign"]);
  expect(learned([])).toEqual([]);
});
