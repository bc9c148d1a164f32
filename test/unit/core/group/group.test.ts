// The group as one state machine: its response to each request, whatever members it has, and its requests to the cluster.
// Also when it wants to be woken.
import { describe, expect, test } from "vitest";
import { BrokerError } from "../../../../src/core/errors.ts";
import { describeGroup } from "../../../../src/core/group/describe.ts";
import { Group } from "../../../../src/core/group/group.ts";
import type {
  ClassicJoin,
  GroupRequest,
  JoinRequest,
  OperationName,
} from "../../../../src/core/group/requests.ts";
import { emptyGroup, type GroupEvent, type GroupTopic } from "../../../../src/core/group/state.ts";
import { sightOf } from "../../../support/sight.ts";

const NOW_MS = 1_000_000;
const SESSION_MS = 20_000;
const REBALANCE_MS = 60_000;
const DAY_MS = 24 * 3_600_000;

const T: GroupTopic = { topicId: "t-id", name: "t", partitions: 2 };
const U: GroupTopic = { topicId: "u-id", name: "u", partitions: 1 };

/** A group, and its members' presence. */
class Rig {
  readonly heardMs = new Map<string, number>();
  readonly connected = new Set<string>();
  readonly group = new Group(
    emptyGroup("g"),
    sightOf(
      (memberId) => this.heardMs.get(memberId) ?? 0,
      (memberId) => this.connected.has(memberId),
    ),
  );
  nowMs = NOW_MS;
  #ticket = 0;

  handle(request: GroupRequest) {
    const ticket = ++this.#ticket;
    const handled = this.group.handle(request, ticket, this.nowMs);
    for (const event of handled.events) {
      if (event.type === "heard") this.heardMs.set(event.memberId, this.nowMs);
      if (event.type === "unheard") this.heardMs.delete(event.memberId);
    }
    return { ...handled, own: handled.replies.find(({ to }) => to === ticket)?.answer };
  }

  /** A native member joins over a socket. */
  join(memberId: string, more: Partial<JoinRequest> = {}, found: readonly GroupTopic[] = [T]) {
    this.heardMs.set(memberId, this.nowMs);
    this.connected.add(memberId);
    const join = { ...JOIN, memberId, ...more };
    return this.handle({ type: "join", ...join, found, newIncarnation: 1 });
  }

  joinClassic(more: Partial<ClassicJoin> = {}) {
    const join = { ...CLASSIC_JOIN, ...more };
    return this.handle({ type: "joinClassic", ...join, newIncarnation: 1 });
  }
}

const JOIN: JoinRequest = {
  ...{ memberId: "n", memberEpoch: 0, instanceId: null, clientId: null, topics: ["t"] },
  ...{ topicPattern: null, sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: REBALANCE_MS },
  ...{ owned: new Set(), polls: false, heartbeats: false },
};

const CLASSIC_JOIN: ClassicJoin = {
  ...{ memberId: "", newMemberId: "c", instanceId: null, clientId: "", clientHost: "/" },
  ...{ sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: REBALANCE_MS, protocolType: "consumer" },
  protocols: [{ name: "range", metadata: new Uint8Array() }],
  ...{ mustKnowId: false, canSkipAssignment: false },
};

const SYNC = { memberId: "c", instanceId: null, generation: 1 };
const BEAT = {
  ...{ memberEpoch: 0, instanceId: null, clientId: null, rebalanceTimeoutMs: REBALANCE_MS },
  ...{ topics: ["t"], topicPattern: null, owned: new Set<never>() },
};

/** The kinds of groups: without members, with the native member "n", with the classic member "c", which leads. */
const GROUPS = {
  "no group": () => new Rig(),
  "an empty group": () => {
    const rig = new Rig();
    rig.handle({ type: "alterConfig", changes: { "group.max.size": 9 }, newIncarnation: 1 });
    return rig;
  },
  "a native group": () => {
    const rig = new Rig();
    rig.join("n");
    return rig;
  },
  "a classic group": () => {
    const rig = new Rig();
    rig.joinClassic();
    const terms = { protocolType: null, protocolName: null, assignments: [] };
    rig.handle({ type: "syncClassic", ...SYNC, ...terms });
    expect(rig.group.state.classic.phase).toBe("STABLE");
    return rig;
  },
} as const;
type Kind = keyof typeof GROUPS;
const KINDS = Object.keys(GROUPS) as Kind[];

/** A response in short: the error, the outcomes, "ok", or that others are waited for. */
function told(rig: Rig, request: GroupRequest): string {
  let answer: unknown;
  try {
    answer = rig.handle(request).own;
  } catch (error) {
    if (error instanceof BrokerError) return `throws ${error.code}`;
    throw error;
  }
  if (answer === undefined) return "waits";
  const { ok, error, outcomes, rejected, own } = answer as {
    ok: boolean;
    error?: string;
    outcomes?: readonly unknown[];
    rejected?: readonly { error?: string; code?: string }[];
    own?: ReadonlySet<string>;
  };
  if (!ok) return String(error);
  if (outcomes !== undefined) return `ok ${outcomes.map((outcome) => outcome ?? "done").join()}`;
  if (rejected !== undefined && rejected.length > 0)
    return `ok ${rejected.map(({ error, code }) => error ?? code).join()}`;
  return own === undefined ? "ok" : `ok ${[...own].join() || "none"}`;
}

const NAMED = [{ topic: "t", partition: 0, offset: 5, metadata: "" }];
const byHand = { memberId: "", instanceId: null, generation: -1 };

/** Each row: the request, and the response of each kind of group. */
const TABLE: [string, GroupRequest, Record<Kind, string>][] = [];
const add = (name: string, request: GroupRequest, ...answers: [string, string, string, string]) => {
  const entries = KINDS.map((kind, i) => [kind, answers[i]]);
  TABLE.push([name, request, Object.fromEntries(entries) as Record<Kind, string>]);
};
const found = { found: [T], newIncarnation: 1 };

add(
  "join",
  { type: "join", ...JOIN, memberId: "x", ...found },
  "ok",
  "ok",
  "ok",
  "NON_EMPTY_GROUP",
);
add(
  "poll",
  { type: "poll", ...JOIN, memberId: "x", polls: true, acks: [], ...found },
  "ok",
  "ok",
  "ok",
  "NON_EMPTY_GROUP",
);
add(
  "poll with an ack",
  {
    type: "poll",
    ...JOIN,
    memberId: "x",
    polls: true,
    acks: [{ topic: "t", partition: 0, offset: 3 }],
    ...found,
  },
  "ok UNKNOWN_MEMBER_ID",
  "ok UNKNOWN_MEMBER_ID",
  "ok UNKNOWN_MEMBER_ID",
  "NON_EMPTY_GROUP",
);
add(
  "deliver",
  {
    type: "deliver",
    memberId: "n",
    memberEpoch: 1,
    deliveries: [{ key: "t-id:0", beginOffset: 0, nextOffset: 2 }],
  },
  "ok none",
  "ok none",
  "ok t-id:0",
  "ok none",
);
add(
  "heartbeat that joins",
  { type: "heartbeat", ...BEAT, memberId: "x", ...found },
  "ok",
  "ok",
  "ok",
  "NON_EMPTY_GROUP",
);
add(
  "heartbeat of n",
  { type: "heartbeat", ...BEAT, memberId: "n", memberEpoch: 1 },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "NON_EMPTY_GROUP",
);
add(
  "heartbeat of c",
  { type: "heartbeat", ...BEAT, memberId: "c", memberEpoch: 1 },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "NON_EMPTY_GROUP",
);
add(
  "heartbeat that leaves",
  { type: "heartbeat", ...BEAT, memberId: "x", memberEpoch: -1 },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
);
add(
  "revoked",
  { type: "revoked", memberId: "n", partitions: new Set(["t-id:0"] as const) },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "ok",
  "UNKNOWN_MEMBER_ID",
);
add(
  "commit",
  {
    type: "commit",
    memberId: "n",
    memberEpoch: 1,
    offsets: [
      { key: "t-id:0", offset: 5, metadata: "", isRewind: false },
      { key: "u-id:0", offset: 5, metadata: "", isRewind: false },
    ],
  },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "ok FENCED_MEMBER_EPOCH",
  "UNKNOWN_MEMBER_ID",
);
add("leave", { type: "leave", memberId: "n" }, "ok", "ok", "ok", "ok");
add(
  "leavePolling",
  { type: "leavePolling", memberId: "n", acks: [] },
  "ok",
  "ok",
  "UNKNOWN_MEMBER_ID",
  "ok",
);
add(
  "joinClassic",
  { type: "joinClassic", ...CLASSIC_JOIN, newMemberId: "d", newIncarnation: 1 },
  "ok",
  "ok",
  "INCONSISTENT_GROUP_PROTOCOL",
  "waits",
);
add(
  "joinClassic that must know its id",
  { type: "joinClassic", ...CLASSIC_JOIN, newMemberId: "d", mustKnowId: true },
  "MEMBER_ID_REQUIRED",
  "MEMBER_ID_REQUIRED",
  "INCONSISTENT_GROUP_PROTOCOL",
  "MEMBER_ID_REQUIRED",
);
add(
  "syncClassic",
  { type: "syncClassic", ...SYNC, protocolType: null, protocolName: null, assignments: [] },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "ok",
);
add(
  "heartbeatClassic",
  { type: "heartbeatClassic", ...SYNC },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "ok",
);
add(
  "leaveClassic",
  {
    type: "leaveClassic",
    members: [
      { memberId: "c", instanceId: null },
      { memberId: "n", instanceId: null },
      { memberId: "", instanceId: "i" },
    ],
  },
  "ok UNKNOWN_MEMBER_ID,UNKNOWN_MEMBER_ID,UNKNOWN_MEMBER_ID",
  "ok UNKNOWN_MEMBER_ID,UNKNOWN_MEMBER_ID,UNKNOWN_MEMBER_ID",
  "ok UNKNOWN_MEMBER_ID,UNKNOWN_MEMBER_ID,UNKNOWN_MEMBER_ID",
  "ok done,UNKNOWN_MEMBER_ID,UNKNOWN_MEMBER_ID",
);
add("learnTopics", { type: "learnTopics", names: ["u"], found: [U] }, "ok", "ok", "ok", "ok");
add("lost", { type: "lost", memberId: "n" }, "ok", "ok", "ok", "ok");
add(
  "commitOffsets by hand",
  { type: "commitOffsets", token: byHand, offsets: NAMED, ...found },
  "ok done",
  "ok done",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
);
add(
  "commitOffsets of c",
  { type: "commitOffsets", token: SYNC, offsets: NAMED, ...found },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "ok done",
);
add(
  "commitOffsets of n",
  { type: "commitOffsets", token: { ...SYNC, memberId: "n" }, offsets: NAMED, ...found },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
);
add(
  "resetOffsets",
  {
    type: "resetOffsets",
    offsets: [{ topic: "t", topicId: "t-id", partition: 0, offset: 3 }],
    ...found,
  },
  "ok",
  "ok",
  "NON_EMPTY_GROUP",
  "NON_EMPTY_GROUP",
);
add(
  "deleteOffsets",
  { type: "deleteOffsets", topics: ["t"] },
  "UNKNOWN_TOPIC_OR_PARTITION",
  "UNKNOWN_TOPIC_OR_PARTITION",
  "GROUP_SUBSCRIBED_TO_TOPIC",
  "UNKNOWN_TOPIC_OR_PARTITION",
);
add(
  "deletePositions",
  { type: "deletePositions", positions: [{ topic: "t", partition: 0 }] },
  "ok UNKNOWN_TOPIC_OR_PARTITION",
  "ok UNKNOWN_TOPIC_OR_PARTITION",
  "ok GROUP_SUBSCRIBED_TO_TOPIC",
  "ok UNKNOWN_TOPIC_OR_PARTITION",
);
add(
  "alterConfig",
  { type: "alterConfig", changes: { "group.max.size": 5 }, newIncarnation: 1 },
  "ok",
  "ok",
  "ok",
  "ok",
);
add(
  "alterConfig of a wrong key",
  { type: "alterConfig", changes: { x: 5 }, newIncarnation: 1 },
  "INVALID_CONFIG",
  "INVALID_CONFIG",
  "INVALID_CONFIG",
  "INVALID_CONFIG",
);
add(
  "changeTopic",
  { type: "changeTopic", name: "t", topic: { ...T, partitions: 4 } },
  "ok",
  "ok",
  "ok",
  "ok",
);
add(
  "changeTopic that deletes",
  { type: "changeTopic", name: "t", topic: null },
  "ok",
  "ok",
  "ok",
  "ok",
);
add(
  "alterRights of nobody",
  { type: "alterRights", memberId: "nobody", readable: [] },
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
  "UNKNOWN_MEMBER_ID",
);
add(
  "restorePositions",
  { type: "restorePositions", topic: T, positions: [] },
  "ok",
  "ok",
  "ok",
  "ok",
);
add(
  "openShare",
  { type: "openShare", topics: ["t"], found: [T], newIncarnation: 1 },
  "ok",
  "ok",
  "GROUP_ID_NOT_FOUND",
  "GROUP_ID_NOT_FOUND",
);
add(
  "useShare",
  { type: "useShare", incarnation: 1, topic: T, partition: 0 },
  "GROUP_ID_NOT_FOUND",
  "GROUP_ID_NOT_FOUND",
  "GROUP_ID_NOT_FOUND",
  "GROUP_ID_NOT_FOUND",
);
add("expire", { type: "expire" }, "ok", "ok", "ok", "ok");
add("wake", { type: "wake", isAnyoneMissing: true }, "ok", "ok", "ok", "ok");
add("beginSessionsAnew", { type: "beginSessionsAnew" }, "ok", "ok", "ok", "ok");

describe("a request", () => {
  test("[GRP-3] of every kind is in the table", () => {
    const kinds: Record<OperationName, true> = {
      ...{ join: true, poll: true, deliver: true, heartbeat: true, revoked: true, commit: true },
      ...{ leave: true, leavePolling: true, joinClassic: true, syncClassic: true },
      ...{ heartbeatClassic: true, leaveClassic: true, learnTopics: true, lost: true },
      ...{ commitOffsets: true, resetOffsets: true, deleteOffsets: true, deletePositions: true },
      ...{ alterRights: true },
      ...{ alterConfig: true, changeTopic: true, expire: true, wake: true },
      ...{ restorePositions: true, beginSessionsAnew: true, openShare: true, useShare: true },
    };
    expect(new Set(TABLE.map(([, { type }]) => type))).toEqual(new Set(Object.keys(kinds)));
  });

  test.each(
    TABLE.flatMap(([name, request, answers]) =>
      KINDS.map((kind) => [name, kind, answers[kind], request] as const),
    ),
  )("[GRP-3] [CLS-6] [GRP-15] %s to %s is answered: %s", (_, kind, answer, request) => {
    expect(told(GROUPS[kind](), request)).toBe(answer);
  });

  test.each(TABLE)("[GRP-11] %s that is refused changes nothing", (_, request) => {
    for (const kind of KINDS) {
      const rig = GROUPS[kind]();
      const { own, events } = rig.handle(request);
      if ((own as { ok?: boolean } | undefined)?.ok !== false) continue;
      // Signs of life are not stored, and an issued id is remembered only in memory.
      const stored = events.filter((event) =>
        event.type === "classic"
          ? event.isStored
          : !["heard", "unheard", "told"].includes(event.type),
      );
      expect(stored, kind).toEqual([]);
    }
  });

  test("[CLK-5] only these create a group, and none does without an incarnation", () => {
    const makers = new Set(["join", "poll", "poll with an ack", "heartbeat that joins"]);
    for (const name of ["joinClassic", "commitOffsets by hand", "alterConfig", "openShare"])
      makers.add(name);
    for (const [name, request] of TABLE) {
      const rig = GROUPS["no group"]();
      rig.handle(request);
      expect(rig.group.exists, name).toBe(makers.has(name));
      if (makers.has(name)) expect(rig.group.state.incarnation).toBe(1);
      const { newIncarnation: _, ...unasked } = { newIncarnation: 0, ...request };
      const answer = told(GROUPS["no group"](), unasked as GroupRequest);
      if (makers.has(name)) expect(answer).toBe("throws COORDINATOR_NOT_AVAILABLE");
      else expect(answer).not.toContain("throws");
    }
  });

  test("[CLK-5] a group that exists keeps its incarnation, whatever the cluster says", () => {
    for (const [, request] of TABLE)
      for (const kind of ["an empty group", "a native group", "a classic group"] as const) {
        const rig = GROUPS[kind]();
        rig.handle({ ...request, newIncarnation: 7 } as GroupRequest);
        expect(rig.group.state.incarnation).toBe(1);
      }
  });
});

describe("a share group", () => {
  function shareGroup(): Rig {
    const rig = new Rig();
    const open = { type: "openShare", topics: ["t"], found: [T], newIncarnation: 1 } as const;
    expect(rig.handle(open).own).toMatchObject({ ok: true, incarnation: 1 });
    return rig;
  }

  const use = { type: "useShare", incarnation: 1, topic: T, partition: 1 } as const;

  test("[SHR-16] refuses members of other kinds, and offsets, and nothing changes", () => {
    const refused = new Set<string>();
    for (const [, request] of TABLE) {
      const rig = shareGroup();
      const { own, events } = rig.handle(request);
      if ((own as { error?: string }).error !== "GROUP_ID_NOT_FOUND") continue;
      refused.add(request.type);
      expect(events).toEqual([]);
      expect(rig.group.whyNot(request)).toMatchObject({ error: "GROUP_ID_NOT_FOUND" });
    }
    expect([...refused].sort()).toEqual([
      ...["commitOffsets", "deleteOffsets", "deletePositions", "heartbeat", "join", "joinClassic"],
      ...["poll", "resetOffsets", "syncClassic"],
    ]);
  });

  test("[SHR-17] knows the partitions that keep its deliveries, each once, and no others", () => {
    const rig = shareGroup();
    expect(rig.handle(use).events).toHaveLength(1);
    expect(rig.handle(use).events).toEqual([]);
    expect([...rig.group.state.sharePartitions]).toEqual(["t-id:1"]);
    expect(rig.handle({ ...use, incarnation: 2 }).own).toMatchObject({
      error: "GROUP_ID_NOT_FOUND",
    });
    const other = { ...use, topic: { ...T, topicId: "other" } };
    expect(rig.handle(other).own).toMatchObject({ error: "UNKNOWN_TOPIC_ID" });
    rig.handle({ type: "changeTopic", name: "t", topic: null });
    expect([...rig.group.state.sharePartitions]).toEqual([]);
  });

  test("[SHR-16] lives as long as a partition keeps its deliveries, and no longer", () => {
    const rig = shareGroup();
    rig.nowMs += 8 * DAY_MS;
    expect(rig.group.isDead(rig.nowMs)).toBe(true);
    rig.handle(use);
    expect(rig.group.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
    rig.handle({ type: "expire" });
    expect(rig.group.state.topics.has("t")).toBe(true);
    expect(rig.group.isDead(rig.nowMs)).toBe(false);
  });

  test("[SHR-16] asks the cluster about topics that it does not know, once", () => {
    const rig = shareGroup();
    const open = (...topics: string[]) => rig.group.lookupFor({ type: "openShare", topics });
    expect(open("t")).toBe(null);
    expect(open("t", "u")).toEqual({ names: ["u"], pattern: null, mustExist: true });
    expect(rig.group.lookupFor(use)).toBe(null);
    expect(rig.group.lookupFor({ ...use, topic: U })).toMatchObject({ names: ["u"] });
  });
});

describe("what a join asks of the cluster", () => {
  const V: GroupTopic = { topicId: "v-id", name: "v", partitions: 1 };

  /** A group with a member that subscribes to t, to x, which does not exist, and to a pattern; u was read earlier. */
  function known(): Rig {
    const rig = new Rig();
    rig.join("a", { topics: ["t", "x"] });
    rig.join("b", { topics: [], topicPattern: "v.*" }, [V]);
    rig.join("gone", { topics: ["u"], topicPattern: "w.*" }, [U]);
    rig.handle({ type: "leave", memberId: "gone" });
    expect([...rig.group.state.topics.keys()].sort()).toEqual(["t", "u", "v"]);
    return rig;
  }

  const asked = (rig: Rig, topics: string[], topicPattern: string | null = null, more = {}) =>
    rig.group.lookupFor({ type: "join", ...JOIN, memberId: "x", topics, topicPattern, ...more });

  /** Each row: the subscription, and true if the group knows it. */
  test.each<[string, string[], string | null, boolean]>([
    ["what another member reads", ["t"], null, true],
    ["what another member waits for", ["x"], null, true],
    ["what another's pattern has found", ["v"], null, true],
    ["what was read earlier", ["u"], null, true],
    ["some of each", ["t", "u", "v", "x"], null, true],
    ["the same name twice", ["t", "t"], null, true],
    ["the pattern of another member", [], "v.*", true],
    ["that pattern, and known names", ["t", "u"], "v.*", true],
    ["nothing", [], null, true],
    ["a topic that nobody has named", ["z"], null, false],
    ["one besides known ones", ["t", "z"], null, false],
    ["a pattern that nobody has", [], "t.*", false],
    ["the pattern of a member that has gone", [], "w.*", false],
    ["a name that the pattern of another would match", ["v2"], null, false],
    ["a known pattern, and an unknown name", ["z"], "v.*", false],
    ["an unknown pattern, and known names", ["t"], "q", false],
  ])("[GRP-16] of %s (%j, %j): the group knows it: %s", (_, topics, pattern, isKnown) => {
    const lookup = { names: topics, pattern, mustExist: false };
    for (const more of [{}, { polls: true }])
      expect(asked(known(), topics, pattern, more)).toEqual(isKnown ? null : lookup);
    const beat = {
      type: "heartbeat",
      ...BEAT,
      memberId: "k",
      topics,
      topicPattern: pattern,
    } as const;
    expect(known().group.lookupFor(beat)).toEqual(isKnown ? null : lookup);
    const empty = new Rig();
    expect(asked(empty, topics, pattern), "no group knows nothing").toEqual(lookup);
  });

  test("[GRP-16] a member that returns with what it had asks nothing, and gets all of it", () => {
    const rig = known();
    expect(asked(rig, ["t", "x"], null, { memberId: "a", memberEpoch: 1 })).toBe(null);
    const { own } = rig.join("c", { topics: ["u", "t"] }, []);
    expect(own).toMatchObject({ ok: true });
    const { members } = rig.group.state;
    const keys = [...members.values()].flatMap(({ assigned, revoking }) => [
      ...assigned,
      ...revoking,
    ]);
    expect(keys.sort()).toEqual(["t-id:0", "t-id:1", "u-id:0", "v-id:0"]);
  });

  test("[GRP-16] a deleted topic is no longer known, unless a member still names it", () => {
    const rig = known();
    for (const name of ["t", "u", "v"]) rig.handle({ type: "changeTopic", name, topic: null });
    const unknown = ["t", "u", "v"].filter((name) => asked(rig, [name]) !== null);
    expect(unknown).toEqual(["u", "v"]);
  });

  test("[GRP-16] topics learned from a commit are known, and a member's regular heartbeat asks nothing", () => {
    const rig = new Rig();
    const position = { topic: "u", partition: 0, offset: 1, metadata: "" };
    const commit = { type: "commitOffsets", token: byHand, offsets: [position] } as const;
    rig.handle({ ...commit, found: [U], newIncarnation: 1 });
    expect(asked(rig, ["u"])).toBe(null);
    rig.handle({ type: "heartbeat", ...BEAT, memberId: "k", found: [T] });
    const going = { ...BEAT, memberId: "k", memberEpoch: 1, topics: null, owned: null };
    expect(rig.group.lookupFor({ type: "heartbeat", ...going })).toBe(null);
  });
});

describe("when a group wants to be woken because of what has happened", () => {
  const member = (rig: Rig, memberId: string): GroupEvent => {
    const known = rig.group.state.members.get(memberId);
    if (known === undefined) throw new Error(`${memberId} is no member`);
    return { type: "member", member: known };
  };
  const wakeInMs = (rig: Rig, ...events: GroupEvent[]) => rig.group.deadlineAfter(events) - NOW_MS;
  const NEVER = Number.POSITIVE_INFINITY;

  /** "n" and "o" are connected, "p" polls and "s" is silent: all joined at the same time. */
  function mixed(): Rig {
    const rig = new Rig();
    rig.join("n");
    rig.join("o");
    rig.join("p", { polls: true, sessionTimeoutMs: 30_000 });
    rig.connected.delete("p");
    rig.join("s", { sessionTimeoutMs: 40_000 });
    for (;;) {
      const owing = rig.group.state.members.values().find(({ revoking }) => revoking.size > 0);
      if (owing === undefined) break;
      rig.handle({ type: "revoked", memberId: owing.memberId, partitions: owing.revoking });
    }
    rig.connected.delete("s");
    rig.handle({ type: "lost", memberId: "s" });
    return rig;
  }

  test("[GRP-7] of the changed members, those without a connection count", () => {
    const rig = mixed();
    const event = (memberId: string) => member(rig, memberId);
    expect(wakeInMs(rig)).toBe(NEVER);
    expect(wakeInMs(rig, event("n"), event("o"))).toBe(NEVER);
    expect(wakeInMs(rig, event("p"))).toBe(30_000);
    expect(wakeInMs(rig, event("s"))).toBe(40_000);
    expect(wakeInMs(rig, event("n"), event("s"), event("p"))).toBe(30_000);
    expect(rig.group.nextDeadlineMs - NOW_MS, "of all members").toBe(30_000);
  });

  test("[GRP-7] it counts a member as it is now, not as it was when it changed, nor one that has gone", () => {
    const rig = mixed();
    const events = [member(rig, "s"), member(rig, "p")];
    rig.connected.add("s");
    rig.join("s", { memberEpoch: 0, sessionTimeoutMs: 40_000 });
    rig.handle({ type: "leave", memberId: "p" });
    expect(wakeInMs(rig, ...events)).toBe(NEVER);
  });

  test("[KFK-20] a member that is no longer reported counts, and one that was heard does not change it", () => {
    const rig = mixed();
    rig.nowMs += 5_000;
    rig.heardMs.set("n", rig.nowMs);
    rig.connected.delete("n");
    expect(wakeInMs(rig, { type: "unheard", memberId: "n" })).toBe(5_000 + SESSION_MS);
    expect(wakeInMs(rig, { type: "heard", memberId: "n" })).toBe(NEVER);
    expect(wakeInMs(rig, { type: "unheard", memberId: "nobody" })).toBe(NEVER);
  });

  test("[GRP-7] a connected member that owes partitions must be heard from, and give them up in time", () => {
    for (const rebalanceTimeoutMs of [5_000, REBALANCE_MS]) {
      const rig = new Rig();
      rig.join("n", { rebalanceTimeoutMs });
      rig.join("o");
      expect(rig.group.state.members.get("n")?.revoking.size).toBe(1);
      expect(wakeInMs(rig, member(rig, "n"), member(rig, "o"))).toBe(
        Math.min(rebalanceTimeoutMs, SESSION_MS),
      );
    }
  });

  test("[OFF-10] an empty group's committed offsets count when it has become empty, and not again", () => {
    const rig = new Rig();
    rig.handle({ type: "commitOffsets", token: byHand, offsets: NAMED, ...found });
    const retentionMs = rig.group.config.offsetsRetentionMinutes * 60_000;
    expect(retentionMs).toBe(7 * DAY_MS);
    const { state } = rig.group;
    const event = (emptySinceMs: number | null): GroupEvent => ({
      ...{ type: "group", incarnation: 1, groupEpoch: 0, assignmentEpoch: 0 },
      ...{ nextMemberNumber: 1, overrides: {}, emptySinceMs },
    });
    expect(wakeInMs(rig, event(state.emptySinceMs))).toBe(retentionMs);
    expect(wakeInMs(rig, event(null))).toBe(NEVER);
    expect(wakeInMs(rig)).toBe(NEVER);
  });

  test("[CLS-3] the sessions and the rebalance of classic members always count", () => {
    const rig = GROUPS["a classic group"]();
    expect(wakeInMs(rig)).toBe(SESSION_MS);
    rig.connected.add("c");
    expect(wakeInMs(rig), "a connection reports it").toBe(NEVER);
    rig.joinClassic({ newMemberId: "d", rebalanceTimeoutMs: 7_000 });
    expect(wakeInMs(rig), "the longest of their rebalance timeouts").toBe(REBALANCE_MS);
    rig.connected.clear();
    expect(wakeInMs(rig)).toBe(SESSION_MS);
  });
});

test("[GRP-18] the epoch continues where members of the other kind have ended, and an empty group shows the newest", () => {
  const rig = new Rig();
  const epochs = [];
  const shown = () => describeGroup(rig.group.state).epoch;
  for (let round = 1; round <= 2; round++) {
    rig.join("n");
    epochs.push(shown());
    rig.handle({ type: "leave", memberId: "n" });
    epochs.push(shown());
    rig.joinClassic({ newMemberId: `c${round}` });
    epochs.push(shown());
    rig.handle({ type: "leaveClassic", members: [{ memberId: `c${round}`, instanceId: null }] });
    epochs.push(shown());
  }
  expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
  expect(new Set(epochs).size).toBe(epochs.length);
});
