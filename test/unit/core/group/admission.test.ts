// Permissions in a group, for members of every kind: a table without gaps.
import { describe, expect, test } from "vitest";
import { codeOfFailure } from "../../../../src/calls/kafka-replies.ts";
import { ERRORS, type Failure, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import {
  forgetRule,
  validateCommit,
  whyNotFetch,
  whyNotJoin,
  whyNotJoinClassic,
  whyNotUnused,
} from "../../../../src/core/group/admission.ts";
import { resolveGroupConfig } from "../../../../src/core/group/config.ts";
import type {
  ClassicJoin,
  ClassicToken,
  JoinRequest,
} from "../../../../src/core/group/requests.ts";
import type { GroupState } from "../../../../src/core/group/state.ts";
import { GroupScenario, REBALANCE_MS, SESSION_MS } from "../../../support/group-scenario.ts";
import { TestedClassic } from "../../../support/tested-classic.ts";

const { NONE } = KAFKA_ERRORS;

/** A subscription: version 0, the topic "t", no user data. */
const SUBSCRIPTION = new Uint8Array([0, 0, 0, 0, 0, 1, 0, 1, 0x74, 255, 255, 255, 255]);

const CLASSIC_JOIN: ClassicJoin = {
  memberId: "",
  newMemberId: "c",
  instanceId: null,
  clientId: "",
  clientHost: "/",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 1_000,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: SUBSCRIPTION }],
  mustKnowId: false,
  canSkipAssignment: false,
};

const JOIN: JoinRequest = {
  memberId: "newcomer",
  memberEpoch: 0,
  instanceId: null,
  clientId: null,
  topics: ["t"],
  topicPattern: null,
  sessionTimeoutMs: SESSION_MS,
  rebalanceTimeoutMs: REBALANCE_MS,
  owned: new Set(),
  polls: false,
  heartbeats: false,
};

function classicGroup(join: Partial<ClassicJoin>): TestedClassic {
  const classic = new TestedClassic(null, 0);
  classic.join({ ...CLASSIC_JOIN, ...join }, 10, 0, () => {});
  return classic;
}

function native(act: (group: GroupScenario) => void): GroupState {
  const group = new GroupScenario({ t: 2 });
  act(group);
  return group.state;
}

function classic(join: Partial<ClassicJoin>): GroupState {
  return classicGroup(join).machine.state;
}

/** The role in which a commit counts, or why it does not. */
function committerOf(state: GroupState, token: ClassicToken) {
  const committer = validateCommit(state, token);
  if (!committer.ok) return { kind: "refused", errorCode: codeOfFailure(committer) };
  if (committer.kind === "native") expect(committer.member.memberId).toBe(token.memberId);
  return { kind: committer.kind };
}

/** Returns why the committed offsets of a topic that the group has read may not be forgotten. */
function whyNotForgetTopic(state: GroupState, name: string): Failure | null {
  const topics = new Map([[name, { name, topicId: name, partitions: 2 }]]);
  return forgetRule({ ...state, topics })(name);
}

function offsetFetchErrorCode(
  state: GroupState,
  member: { readonly memberId: string; readonly memberEpoch: number },
): number {
  const refused = whyNotFetch(state, member);
  return refused === null ? NONE : codeOfFailure(refused);
}

const GROUPS = {
  nobody: native(() => {}),
  "members that left": native((group) => {
    group.join("n");
    group.leave("n");
  }),
  "a native member": native((group) => group.join("n")),
  "a native member that lost its connection": native((group) => {
    group.join("n");
    group.disconnect("n");
  }),
  "a member that polls": native((group) => group.join("n", { polls: true })),
  "a Kafka consumer": native((group) => group.join("n", { heartbeats: true })),
  "a classic member": classic({}),
  "a classic id that was given out": classic({ mustKnowId: true }),
  "a member of another protocol": classic({ protocolType: "connect" }),
} satisfies Record<string, GroupState>;

type Kind = keyof typeof GROUPS;

const MANUAL = { memberId: "", instanceId: null, generation: -1 };
const UNKNOWN = ERRORS.UNKNOWN_MEMBER_ID.code;

/** No names, and those of a possible former member: Java's consumer keeps its id when it unsubscribes. */
const STRANGERS = [
  { memberId: "", instanceId: null },
  { memberId: "stranger", instanceId: null },
  { memberId: "stranger", instanceId: "its own" },
  { memberId: "", instanceId: "its own" },
];

/**
 * The responses to each: to joins, to setting all offsets or deleting the group, to forgetting a topic, to a commit without
 * a member.
 */
const TABLE: Record<
  Kind,
  [native: string, classic: string, unused: string, forget: string, manual: string | number]
> = {
  nobody: ["ok", "ok", "ok", "ok", "manual"],
  "members that left": ["ok", "ok", "ok", "ok", "manual"],
  "a native member": ["ok", "refused", "NON_EMPTY_GROUP", "GROUP_SUBSCRIBED_TO_TOPIC", UNKNOWN],
  "a native member that lost its connection": [
    "ok",
    "refused",
    "NON_EMPTY_GROUP",
    "GROUP_SUBSCRIBED_TO_TOPIC",
    UNKNOWN,
  ],
  "a member that polls": ["ok", "refused", "NON_EMPTY_GROUP", "GROUP_SUBSCRIBED_TO_TOPIC", UNKNOWN],
  "a Kafka consumer": ["ok", "refused", "NON_EMPTY_GROUP", "GROUP_SUBSCRIBED_TO_TOPIC", UNKNOWN],
  "a classic member": [
    "NON_EMPTY_GROUP",
    "ok",
    "NON_EMPTY_GROUP",
    "GROUP_SUBSCRIBED_TO_TOPIC",
    UNKNOWN,
  ],
  "a classic id that was given out": ["ok", "ok", "ok", "ok", "manual"],
  "a member of another protocol": [
    "NON_EMPTY_GROUP",
    "ok",
    "NON_EMPTY_GROUP",
    "NON_EMPTY_GROUP",
    UNKNOWN,
  ],
};

describe.each(Object.entries(TABLE))(
  "a group with %s",
  (kind, [join, joinClassic, unused, forget, manual]) => {
    const group = GROUPS[kind as Kind];

    test("[GRP-14] [CLS-10] tells native and classic newcomers alike whether they may join", () => {
      const config = resolveGroupConfig({});
      expect(whyNotJoin(group, config, JOIN)?.error ?? "ok").toBe(join);
      const refused = whyNotJoinClassic(group, config, CLASSIC_JOIN);
      expect(refused === null ? NONE : codeOfFailure(refused)).toBe(
        joinClassic === "ok" ? NONE : KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL,
      );
    });

    test("[GRP-8] refuses a live member's instance id to another, and gives that of a silent or polling one", () => {
      const holder = [...group.members.values()][0];
      if (holder === undefined) return expect(kind).not.toMatch(/native|polls|Kafka/);
      const state = { ...group, members: new Map([["n", { ...holder, instanceId: "i" }]]) };
      const refused = whyNotJoin(state, resolveGroupConfig({}), { ...JOIN, instanceId: "i" });
      const isGone = holder.polls || holder.silentSinceMs !== null;
      expect(refused?.error ?? "ok").toBe(isGone ? "ok" : "UNRELEASED_INSTANCE_ID");
    });

    test("[GRP-14] is reset and deleted only if nobody is in it, and forgets no topic that is read", () => {
      expect(whyNotUnused(group)?.error ?? "ok").toBe(unused);
      expect(whyNotForgetTopic(group, "t")?.error ?? "ok").toBe(forget);
      const other = forget === "NON_EMPTY_GROUP" ? forget : "ok";
      expect(whyNotForgetTopic(group, "another")?.error ?? "ok").toBe(other);
    });

    test.each(STRANGERS)(
      "[CLS-6] [GRP-14] accepts a commit of %j without a generation only if it has no member",
      (stranger) => {
        for (const generation of [-99_999, -2, -1]) {
          const committer = committerOf(group, { ...stranger, generation });
          if (manual === "manual") expect(committer).toEqual({ kind: "manual" });
          else expect(committer).toEqual({ kind: "refused", errorCode: manual });
        }
      },
    );

    test.each(STRANGERS)(
      "[CLS-6] [GRP-14] never accepts a commit of %j at a generation",
      (stranger) => {
        for (const generation of [0, 1, 7])
          expect(committerOf(group, { ...stranger, generation })).toEqual({
            kind: "refused",
            errorCode: UNKNOWN,
          });
      },
    );
  },
);

test("[GRP-15] nobody commits by Kafka's protocol for a member that joined in another way", () => {
  for (const kind of ["a native member", "a member that polls"] as const)
    for (const generation of [-1, 0, 1])
      expect(committerOf(GROUPS[kind], { ...MANUAL, memberId: "n", generation })).toEqual({
        kind: "refused",
        errorCode: UNKNOWN,
      });
});

test.each(["a Kafka consumer", "a classic member"] as const)(
  "[CLS-6] %s commits under no instance id except its own",
  (kind) => {
    const group = GROUPS[kind];
    const { generation } = kind === "a classic member" ? group.classic : { generation: 1 };
    const memberId = kind === "a classic member" ? "c" : "n";
    const token = { memberId, instanceId: null, generation };
    expect(committerOf(group, token)).not.toMatchObject({ errorCode: UNKNOWN });
    expect(committerOf(group, { ...token, instanceId: "another's" })).toEqual({
      kind: "refused",
      errorCode: UNKNOWN,
    });
  },
);

test("[CLS-6] a static member commits under its instance id, in a group of either kind", () => {
  const own = native((group) => group.join("n", { heartbeats: true, instanceId: "i" }));
  const token = { memberId: "n", instanceId: "i", generation: 1 };
  expect(committerOf(own, token)).toEqual({ kind: "native" });
  const joined = classic({ instanceId: "i" });
  const { generation } = joined.classic;
  const answer = committerOf(joined, { memberId: "c", instanceId: "i", generation });
  expect(answer).toEqual({ kind: "refused", errorCode: KAFKA_ERRORS.REBALANCE_IN_PROGRESS });
  expect(committerOf(joined, { memberId: "x", instanceId: "i", generation })).toEqual({
    kind: "refused",
    errorCode: KAFKA_ERRORS.FENCED_INSTANCE_ID,
  });
});

test("[GRP-14] a commit of a member counts as that member's, whatever its kind", () => {
  expect(
    committerOf(GROUPS["a Kafka consumer"], { ...MANUAL, memberId: "n", generation: 1 }),
  ).toEqual({ kind: "native" });
  const group = GROUPS["a classic member"];
  const { generation } = group.classic;
  const token = { ...MANUAL, memberId: "c", generation };
  expect(committerOf(group, { ...token, generation: generation - 1 })).toEqual({
    kind: "refused",
    errorCode: KAFKA_ERRORS.ILLEGAL_GENERATION,
  });
});

test("[GRP-14] committed offsets are fetched by a native member at an epoch it received, and by any classic one", () => {
  const fetch = (kind: Kind, memberId: string, memberEpoch: number) =>
    offsetFetchErrorCode(GROUPS[kind], { memberId, memberEpoch });
  expect(fetch("a native member", "n", 1)).toBe(NONE);
  for (const epoch of [-99_999, -1, 0, 2])
    expect(fetch("a native member", "n", epoch)).toBe(ERRORS.STALE_MEMBER_EPOCH.code);
  expect(fetch("a native member", "stranger", 1)).toBe(UNKNOWN);
  expect(fetch("members that left", "n", 1)).toBe(UNKNOWN);
  for (const memberEpoch of [-1, 0, 9])
    expect(fetch("a classic member", "c", memberEpoch)).toBe(NONE);
});

/**
 * The groups that no native member has created. There a member's id and epoch mean nothing to a fetch of committed offsets.
 */
const OF_CLASSIC_KIND: Record<string, GroupState> = {
  "that does not exist": GROUPS.nobody,
  "with a classic member": GROUPS["a classic member"],
  "with a classic id that was given out": GROUPS["a classic id that was given out"],
  "with a member of another protocol": GROUPS["a member of another protocol"],
  "that commits by hand have made": native((group) => {
    group.coordinator.changes.occupy(false, 0);
    group.coordinator.offsets.learn([{ name: "t", topicId: "id", partitions: 1 }]);
  }),
  "whose topics have grown since": native((group) => {
    group.coordinator.changes.occupy(false, 0);
    group.coordinator.offsets.learn([{ name: "t", topicId: "id", partitions: 1 }]);
    group.coordinator.changeTopics([{ name: "t", topicId: "id", partitions: 2 }], [], 0);
  }),
  "whose topics have gone since": native((group) => {
    group.coordinator.changes.occupy(false, 0);
    group.coordinator.offsets.learn([{ name: "t", topicId: "id", partitions: 1 }]);
    group.coordinator.changeTopics([], ["t"], 0);
  }),
};

test.each(Object.entries(OF_CLASSIC_KIND))(
  "[CLS-11] a group %s returns its committed offsets whatever member is named",
  (_, group) => {
    for (const memberId of ["", "c", "stranger"])
      for (const memberEpoch of [-1, 0, 1, 9])
        expect(offsetFetchErrorCode(group, { memberId, memberEpoch })).toBe(NONE);
  },
);

test.each([
  ["a native member", 1, ""],
  ["a classic member", 1, " that use Kafka's classic protocol"],
  ["a Kafka consumer", 1, ""],
] as const)(
  "[GRP-14] a refusal says how many members %s is among, and of which kind",
  (kind, count, speaks) => {
    const group = GROUPS[kind];
    expect(whyNotUnused(group)?.detail).toBe(
      `group ${group.groupId} has ${count} member(s)${speaks}; stop them, or wait for their session timeout`,
    );
  },
);

test("[CLS-6] a classic member commits once its generation has its assignments; a Kafka consumer under no instance id or its own", () => {
  const members = classicGroup({});
  const group = members.machine.state;
  const { generation } = group.classic;
  const token = { memberId: "c", instanceId: null, generation };
  const refused = { kind: "refused", errorCode: KAFKA_ERRORS.REBALANCE_IN_PROGRESS };
  expect(committerOf(group, token)).toEqual(refused);
  members.sync({ ...token, protocolType: null, protocolName: null, assignments: [] }, 0, () => {});
  expect(committerOf(group, token)).toEqual({ kind: "classic" });
  const named = native((scenario) => scenario.join("n", { heartbeats: true, instanceId: "i" }));
  for (const instanceId of [null, "i"])
    expect(committerOf(named, { memberId: "n", instanceId, generation: 1 })).toEqual({
      kind: "native",
    });
});

test("[CLS-11] a classic group returns its committed offsets to anybody, even if native members made it once", () => {
  const mixed = native((group) => {
    group.join("n");
    group.leave("n");
  });
  const group = { ...mixed, classic: classicGroup({}).state };
  expect(offsetFetchErrorCode(group, { memberId: "x", memberEpoch: -1 })).toBe(NONE);
});

describe("a client id with control characters", () => {
  const config = resolveGroupConfig({});
  const join = { ...JOIN, clientId: "a\tb" };
  const whyNot = (state: GroupState, request: JoinRequest) =>
    whyNotJoin(state, config, request)?.error ?? "NONE";

  test("[GRP-20] is rejected from a native member, and accepted from Kafka's", () => {
    const { state } = new GroupScenario();
    expect(whyNot(state, join)).toBe("INVALID_REQUEST");
    expect(whyNot(state, { ...join, polls: true })).toBe("INVALID_REQUEST");
    expect(whyNot(state, { ...join, heartbeats: true })).toBe("NONE");
    expect(whyNot(state, { ...join, clientId: "größe 1" })).toBe("NONE");
  });

  test("[GRP-20] is kept by a member that has it, also when it comes back under a new id", () => {
    const state = native((group) => {
      group.join("old", { clientId: "a\tb", instanceId: "i", heartbeats: true });
      group.disconnect("old");
    });
    expect(whyNot(state, { ...join, memberId: "old", instanceId: "i" })).toBe("NONE");
    expect(whyNot(state, { ...join, memberId: "new", instanceId: "i" })).toBe("NONE");
    expect(whyNot(state, { ...join, memberId: "old", instanceId: "i", clientId: "\n" })).toBe(
      "INVALID_REQUEST",
    );
  });
});
