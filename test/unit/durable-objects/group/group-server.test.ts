// The handling of a request: the requests to the cluster, the early refusals, and the order of the steps.
import { describe, expect, test } from "vitest";
import { GroupServer } from "../../../../durable-objects/group/group-server.ts";
import type { Lookup } from "../../../../src/core/group/group.ts";
import type { GroupRequest } from "../../../../src/core/group/requests.ts";
import { MAX_TOPICS_PER_MEMBER } from "../../../../src/core/limits.ts";
import {
  BY_HAND,
  beat,
  KafkaMembersRig,
  OUT_OF_REACH,
  offset,
  standingDate,
} from "../../../support/kafka-members-rig.ts";

standingDate();

/** The rig with all requests to the cluster. */
class Rig extends KafkaMembersRig {
  readonly lookups: Lookup[] = [];
  newIncarnation: number | undefined;

  override async subscribe(lookup: Lookup) {
    this.lookups.push(lookup);
    const found = await super.subscribe(lookup);
    this.steps.push("listed");
    const { newIncarnation } = this;
    return found.ok && newIncarnation !== undefined ? { ...found, newIncarnation } : found;
  }

  serve<Request extends GroupRequest>(request: Request) {
    return this.server.serve(request);
  }

  /** Returns the events, and the requests to the cluster, since the last call. */
  take() {
    return { steps: this.steps.splice(0), lookups: this.lookups.splice(0) };
  }
}

const NOTHING = { steps: [], lookups: [] };

const join = (
  memberId: string,
  more: Partial<GroupRequest<"join">> = {},
): GroupRequest<"join"> => ({
  type: "join",
  memberId,
  memberEpoch: 0,
  instanceId: null,
  clientId: null,
  topics: ["t"],
  topicPattern: null,
  sessionTimeoutMs: 45_000,
  rebalanceTimeoutMs: 60_000,
  owned: new Set(),
  polls: false,
  heartbeats: false,
  ...more,
});

const poll = (
  memberId: string,
  more: Partial<GroupRequest<"join">> = {},
): GroupRequest<"poll"> => ({
  ...join(memberId, more),
  type: "poll",
  polls: true,
  acks: [],
});

describe("a request that asks the cluster", () => {
  test("[GRP-3] the cluster lists the group and names the topics, then the group stores, then all learn of it", async () => {
    const rig = new Rig();
    const joined = await rig.serve(join("m", { topics: ["t", "x"], topicPattern: "u.*" }));
    expect(joined).toMatchObject({ ok: true, member: { memberId: "m", memberEpoch: 1 } });
    expect(rig.take()).toEqual({
      steps: ["listed", "stored", "told"],
      lookups: [{ names: ["t", "x"], pattern: "u.*", mustExist: false }],
    });
    expect([...rig.state.topics.keys()]).toEqual(["t", "u"]);
  });

  test("[CLK-5] a new group has the incarnation that the cluster allows, and keeps it", async () => {
    const rig = new Rig();
    rig.newIncarnation = 77;
    await rig.serve(join("m"));
    rig.newIncarnation = 99;
    await rig.serve(join("n", { topics: ["u"] }));
    expect([rig.take().lookups.length, rig.state.incarnation]).toEqual([2, 77]);
  });

  test("[GRP-13] one that is refused before leaves no trace at the cluster, nor anywhere", async () => {
    const rig = new Rig();
    const short = { sessionTimeoutMs: 1 };
    const refusals = [
      join("m", short),
      poll("m", short),
      join("m", { memberEpoch: 3 }),
      { type: "joinClassic", ...rig.classicJoin(short) } as const,
      { type: "alterConfig", changes: { "no.such.key": 1 } } as const,
      { ...beat("m", { memberEpoch: 3 }), owned: null, type: "heartbeat" } as const,
    ];
    for (const request of refusals)
      expect(await rig.serve<GroupRequest>(request), request.type).toMatchObject({ ok: false });
    expect(rig.take()).toEqual(NOTHING);
    rig.joinNative("m");
    rig.take();
    const offsets = [{ topic: "u", topicId: "u", partition: 0, offset: 1 }];
    expect(await rig.serve({ type: "resetOffsets", offsets })).toMatchObject({
      error: "NON_EMPTY_GROUP",
    });
    const byHand = { type: "commitOffsets", token: BY_HAND, offsets: [offset("u")] } as const;
    expect(await rig.serve(byHand)).toMatchObject({ error: "UNKNOWN_MEMBER_ID" });
    expect(rig.take()).toEqual(NOTHING);
  });

  test("[GRP-13] one that is refused after listing has the group unlisted, unless it exists", async () => {
    const rig = new Rig();
    const unfit = { type: "joinClassic", ...rig.classicJoin({ protocols: [] }) } as const;
    expect(await rig.serve(unfit)).toMatchObject({ error: "INCONSISTENT_GROUP_PROTOCOL" });
    expect(rig.take().steps).toEqual(["listed", "told", "unlisted"]);
    rig.meanwhile = () => rig.joinNative("other", { instanceId: "i" });
    expect(await rig.serve(join("m", { instanceId: "i" }))).toMatchObject({
      error: "UNRELEASED_INSTANCE_ID",
    });
    expect(rig.take().steps).toEqual(["stored", "listed", "told"]);
  });

  test("[GRP-13] one that asked nothing unlists nothing, even without a group", async () => {
    const rig = new Rig();
    await rig.serve({ type: "leave", memberId: "m" });
    await rig.serve({ type: "heartbeatClassic", memberId: "m", instanceId: null, generation: 1 });
    await rig.serve({ type: "joinClassic", ...rig.classicJoin({ mustKnowId: true }) });
    expect(rig.take()).toEqual({ steps: ["told", "told", "told"], lookups: [] });
    expect(rig.exists).toBe(false);
    await rig.server.unlistUnlessMade();
    expect(rig.take().steps).toEqual(["unlisted"]);
    rig.joinNative("m");
    await rig.server.unlistUnlessMade();
    expect(rig.take().steps).toEqual(["stored"]);
  });

  test("[KFK-11] if the cluster does not answer, the request is refused with that, and nothing is done", async () => {
    const rig = new Rig();
    rig.refusal = OUT_OF_REACH;
    for (const request of [
      join("m"),
      { type: "alterConfig", changes: { "group.max.size": 9 } } as const,
      { type: "commitOffsets", token: BY_HAND, offsets: [offset("t")] } as const,
    ])
      expect(await rig.serve<GroupRequest>(request)).toEqual(OUT_OF_REACH);
    expect(rig.take().steps).toEqual(["listed", "listed", "listed"]);
    expect(rig.exists).toBe(false);
  });

  test("[ERR-1] if the storage refuses, so is the request, and nobody learns of it", async () => {
    const rig = new Rig();
    rig.storage.error = new Error("disk full");
    await expect(rig.serve(join("m"))).rejects.toMatchObject({ code: "KAFKA_STORAGE_ERROR" });
    expect(rig.take().steps).toEqual(["listed"]);
  });

  test("[CLS-1] changes by a waiting request are published before it has its response", async () => {
    const rig = new Rig();
    const { memberId } = await rig.settledClassic();
    rig.take();
    let isAnswered = false;
    const joined = rig.serve({ type: "joinClassic", ...rig.classicJoin() });
    void joined.then(() => {
      isAnswered = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([isAnswered, rig.take().steps]).toEqual([false, ["stored", "told"]]);
    await rig.serve({ type: "joinClassic", ...rig.classicJoin({ memberId }) });
    expect(await joined).toMatchObject({ ok: true, generation: 2 });
  });
});

describe("what the cluster is asked", () => {
  test("[GRP-16] nothing, for a subscription that the group knows, however the member comes", async () => {
    const rig = new Rig();
    await rig.serve(join("m", { topics: ["t", "missing"], topicPattern: "u.*" }));
    rig.take();
    await rig.serve(join("m", { topics: ["t", "missing"], topicPattern: "u.*", memberEpoch: 1 }));
    await rig.serve(join("n", { topics: ["t"] }));
    await rig.serve(join("o", { topics: ["missing"] }));
    await rig.serve(join("p", { topics: [], topicPattern: "u.*" }));
    await rig.serve(poll("q"));
    await rig.serve(poll("q"));
    await rig.serve({ ...beat("r"), owned: null, type: "heartbeat" });
    expect(rig.take().lookups).toEqual([]);
    expect([...rig.state.members.keys()].sort()).toEqual(["m", "n", "o", "p", "q", "r"]);
  });

  test("[GRP-16] the whole subscription if a topic or the pattern is new to the group", async () => {
    const rig = new Rig();
    await rig.serve(join("m", { topicPattern: "t.*" }));
    rig.take();
    const asked = async (topics: readonly string[], topicPattern: string | null) => {
      await rig.serve(join("n", { topics, topicPattern }));
      return rig.take().lookups;
    };
    const lookup = (names: readonly string[], pattern: string | null) => [
      { names, pattern, mustExist: false },
    ];
    expect(await asked(["t", "u"], null)).toEqual(lookup(["t", "u"], null));
    expect(await asked(["t"], "u.*")).toEqual(lookup(["t"], "u.*"));
    expect(await asked(["u"], "t.*"), "u is known by now").toEqual([]);
    rig.leaveNative("m");
    rig.leaveNative("n");
    expect(await asked(["t"], "t.*"), "a pattern that no member has").toEqual(lookup(["t"], "t.*"));
  });

  test("[GRP-16] a missing group, even for nothing: it is listed with the request", async () => {
    const rig = new Rig();
    await rig.serve(poll("m", { topics: [], topicPattern: null }));
    expect(rig.take().lookups).toEqual([{ names: [], pattern: null, mustExist: false }]);
  });

  test("[KCG-1] by a heartbeat, only if it joins, returns or subscribes anew", async () => {
    const rig = new Rig();
    const heartbeat = async (more: Parameters<typeof beat>[1]) => {
      const { owned: _owned, ...rest } = beat("m", more);
      await rig.serve({ ...rest, owned: null, type: "heartbeat" });
      return rig.take().lookups.map(({ names }) => names);
    };
    expect(await heartbeat({})).toEqual([["t"]]);
    expect(await heartbeat({ memberEpoch: 1, topics: null })).toEqual([]);
    expect(await heartbeat({ memberEpoch: 1, topics: ["u"] })).toEqual([["u"]]);
    expect(await heartbeat({ memberEpoch: -1, topics: ["x"] })).toEqual([]);
  });

  test("[FIL-1] names that must exist for a commit, a lookup or a reset, and only new and legal ones", async () => {
    const rig = new Rig();
    rig.joinNative("m");
    rig.leaveNative("m");
    rig.take();
    const asked = async (request: GroupRequest) => {
      await rig.serve(request);
      return rig.take().lookups;
    };
    const lookup = (...names: string[]) => [{ names, pattern: null, mustExist: true }];
    const offsets = [offset("t"), offset("x"), offset("no/name"), offset("y", 0, { offset: -1 })];
    expect(await asked({ type: "commitOffsets", token: BY_HAND, offsets })).toEqual(lookup("x"));
    expect(await asked({ type: "learnTopics", names: ["t", "y", "y", "no/name"] })).toEqual(
      lookup("y"),
    );
    const many = Array.from({ length: MAX_TOPICS_PER_MEMBER + 1 }, (_, i) => `t${i}`);
    const [learned] = await asked({ type: "learnTopics", names: many });
    expect(learned?.names).toEqual(many.slice(0, -1));
    const position = (topic: string) => ({ topic, topicId: topic, partition: 0, offset: 1 });
    const reset = { type: "resetOffsets", offsets: [position("t"), position("u")] } as const;
    expect(await asked(reset)).toEqual(lookup("u"));
    expect(await asked(reset), "it has learned it").toEqual([]);
    expect(await asked({ type: "learnTopics", names: ["t"] })).toEqual([]);
  });

  test("[CLS-10] to list the group for a config, and for a classic join that may add the first member", async () => {
    const rig = new Rig();
    const listed = [{ names: [], pattern: null, mustExist: false }];
    await rig.serve({ type: "joinClassic", ...rig.classicJoin({ mustKnowId: true }) });
    expect(rig.take().lookups).toEqual([]);
    await rig.serve({ type: "alterConfig", changes: { "group.max.size": 9 } });
    expect(rig.take().lookups).toEqual(listed);
    void rig.serve({ type: "joinClassic", ...rig.classicJoin() });
    expect(rig.take().lookups, "the group exists").toEqual([]);
    const other = new Rig();
    await other.serve({ type: "joinClassic", ...other.classicJoin() });
    expect(other.take().lookups).toEqual(listed);
  });
});

test("[GRP-3] a caller may first find out what must be known, and handle the request later", async () => {
  const rig = new Rig();
  expect(await rig.server.find(join("m"))).toMatchObject({ ok: true, found: [{ name: "t" }] });
  expect(rig.take().steps).toEqual(["listed"]);
  expect(rig.exists).toBe(false);
  rig.joinNative("m");
  expect(await rig.server.find(join("n"))).toEqual({ ok: true });
  expect(await rig.server.find(join("n", { sessionTimeoutMs: 1 }))).toMatchObject({
    error: "INVALID_SESSION_TIMEOUT",
  });
  const other = new GroupServer(rig.keeper, rig, async () => {
    throw new Error("the socket is gone");
  });
  await expect(other.serve({ type: "leave", memberId: "m" })).rejects.toThrow("the socket is gone");
  expect(rig.state.members.size).toBe(0);
});
