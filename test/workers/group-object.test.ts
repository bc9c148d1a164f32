// GroupObject over its members' sockets. Every test has a twin that evicts the group in the middle. Time is moved by setting
// the clock (the object runs in this isolate) and ringing the alarm by hand.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { GroupObject } from "../../durable-objects/group/group-object.ts";
import { groupStub } from "../../src/env.ts";
import type {
  AssignmentMessage,
  CommittedMessage,
  CoordinatorMessage,
  ErrorMessage,
} from "../../src/protocol/group-socket.ts";
import {
  alarmOf,
  call,
  committedOffsets,
  createTopic,
  describeGroup,
  env,
  eventually,
  evict,
  expectStatus,
  listedGroups,
  readAs,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

const SESSION_MS = 45_000;
/** For members that must not time out. */
const LONG_SESSION_MS = 30 * 60_000;

afterEach(() => void vi.useRealTimers());

type Place = string;

function placesOf(assignment: AssignmentMessage): Place[] {
  return assignment.partitions.map(({ topicId, partition }) => `${topicId}:${partition}`).sort();
}

function partitionsOf(assignment: AssignmentMessage): number[] {
  return assignment.partitions.map(({ partition }) => partition).sort((a, b) => a - b);
}

/** The client's form of a `revoked` or `owned`. */
function byTopic(places: readonly Place[]): { topicId: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const place of places) {
    const [topicId = "", partition = ""] = place.split(":");
    topics.set(topicId, [...(topics.get(topicId) ?? []), Number(partition)]);
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
}

interface JoinOptions {
  readonly memberId?: string;
  readonly memberEpoch?: number;
  readonly owned?: readonly Place[];
  readonly instanceId?: string;
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
}

/** A group and the partitions its members consume; [GRP-1] is checked with every message that any of them gets. */
class Group {
  readonly id = unique("group");
  readonly stub = groupStub(env, this.id);
  readonly #members = new Set<Member>();

  async open(memberId: string = crypto.randomUUID()): Promise<Member> {
    const member = new Member(memberId);
    member.socket = await TestSocket.open(`/v1/groups/${this.id}/socket`, (event) => {
      if (typeof event === "object" && "type" in event && event.type === "assignment")
        member.take(event);
      this.#expectOneOwnerEach();
    });
    this.#members.add(member);
    return member;
  }

  /** Joins over a new socket and waits for the response. */
  async join(topics: readonly TopicJson[], options: JoinOptions = {}): Promise<Member> {
    const member = await this.open(options.memberId);
    member.sendJoin(topics, options);
    await member.assignment();
    return member;
  }

  /** The member no longer consumes anything: it has closed, or somebody else plays it now. */
  drop(member: Member): void {
    this.#members.delete(member);
  }

  #expectOneOwnerEach(): void {
    const seen = new Set<Place>();
    for (const { held } of this.#members) {
      for (const place of held) {
        // Not `expect`: a throw in an event listener would reach nobody.
        if (seen.has(place)) this.ownedTwice.push(place);
        seen.add(place);
      }
    }
  }

  readonly ownedTwice: Place[] = [];

  get epoch(): Promise<number> {
    return describeGroup(this.id).then(({ epoch }) => epoch);
  }

  /** True once the object has noticed that the member's connection is gone. */
  async sql(statement: string): Promise<void> {
    await runInDurableObject(this.stub, (_, { storage }) => void storage.sql.exec(statement));
  }

  async isSilent(memberId: string): Promise<boolean> {
    return runInDurableObject(this.stub, (_, { storage }) => {
      const rows = storage.sql.exec("SELECT json FROM members WHERE member_id = ?", memberId);
      const { json } = rows.one();
      return JSON.parse(String(json)).silentSinceMs !== null;
    });
  }

  async breakConnection(member: Member): Promise<void> {
    member.socket.close(4004, "the client's connection was lost");
    await eventually(() => this.isSilent(member.memberId), `${member.memberId} to be silent`);
  }

  /** Rings the alarm at this time. It must have been set, or nobody would ever be removed. */
  async alarmAt(ms: number): Promise<void> {
    vi.setSystemTime(ms);
    expect(await runDurableObjectAlarm(this.stub)).toBe(true);
  }
}

class Member {
  readonly memberId: string;
  /** Set as soon as the member is opened. */
  socket!: TestSocket<CoordinatorMessage>;
  /** The partitions that the member consumes: those it was given and has not reported as revoked. */
  readonly held = new Set<Place>();
  latest: AssignmentMessage | null = null;
  #requestId = 0;

  constructor(memberId: string) {
    this.memberId = memberId;
  }

  take(assignment: AssignmentMessage): void {
    this.latest = assignment;
    for (const place of placesOf(assignment)) this.held.add(place);
  }

  get epoch(): number {
    return this.latest?.memberEpoch ?? 0;
  }

  sendJoin(topics: readonly TopicJson[], options: JoinOptions = {}): void {
    const { memberEpoch = 0, owned = [], ...rest } = options;
    this.socket.send({
      type: "join",
      ...rest,
      memberId: this.memberId,
      memberEpoch,
      topics: topics.map(({ name }) => name),
      owned: byTopic(owned),
    });
  }

  assignment(
    isWanted: (assignment: AssignmentMessage) => boolean = () => true,
  ): Promise<AssignmentMessage> {
    return this.socket.next(
      (message): message is AssignmentMessage =>
        typeof message === "object" &&
        "type" in message &&
        message.type === "assignment" &&
        isWanted(message),
    );
  }

  error(): Promise<ErrorMessage> {
    return this.socket.next(
      (message): message is ErrorMessage =>
        typeof message === "object" && "type" in message && message.type === "error",
    );
  }

  /** Revokes everything that is not in the latest assignment. */
  letGo(): void {
    const kept = new Set(this.latest === null ? [] : placesOf(this.latest));
    const revoked = [...this.held].filter((place) => !kept.has(place));
    for (const place of revoked) this.held.delete(place);
    this.socket.send({ type: "revoked", partitions: byTopic(revoked) });
  }

  async commit(
    topic: TopicJson,
    offsets: Readonly<Record<number, number>>,
    options: { readonly memberEpoch?: number; readonly isRewind?: boolean } = {},
  ): Promise<CommittedMessage | ErrorMessage> {
    const requestId = ++this.#requestId;
    const { memberEpoch = this.epoch, ...rest } = options;
    this.socket.send({
      type: "commit",
      requestId,
      memberEpoch,
      offsets: Object.entries(offsets).map(([partition, offset]) => ({
        topicId: topic.topicId,
        partition: Number(partition),
        offset,
        ...rest,
      })),
    });
    return this.socket.next(
      (message): message is CommittedMessage | ErrorMessage =>
        typeof message === "object" && "requestId" in message && message.requestId === requestId,
    );
  }
}

/** Two members that have settled on three partitions each. */
async function settledPair(group: Group, topic: TopicJson, options: JoinOptions = {}) {
  const a = await group.join([topic], options);
  const b = await group.join([topic], { sessionTimeoutMs: LONG_SESSION_MS });
  await a.assignment((each) => each.partitions.length === 3);
  a.letGo();
  await a.assignment((each) => each.state === "STABLE");
  await b.assignment((each) => each.state === "STABLE");
  return { a, b };
}

describe("assignment", () => {
  test.each(TWINS)(
    "[GRP-1] two members split six partitions, a third makes it two each$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const a = await group.join([topic]);
      expect(a.latest).toMatchObject({ state: "STABLE", memberEpoch: 1 });
      expect(a.held.size).toBe(6);
      await interrupt(group.stub);

      const b = await group.join([topic]);
      expect(b.latest).toMatchObject({ state: "UNRELEASED_PARTITIONS", partitions: [] });
      expect((await a.assignment()).partitions).toHaveLength(3);
      await interrupt(group.stub);
      a.letGo();
      expect(await b.assignment((each) => each.state === "STABLE")).toMatchObject({
        memberEpoch: 2,
      });
      expect([a.held.size, b.held.size]).toEqual([3, 3]);

      const c = await group.join([topic]);
      for (const member of [a, b]) {
        await member.assignment((each) => each.partitions.length === 2);
        await interrupt(group.stub);
        member.letGo();
      }
      await c.assignment((each) => each.state === "STABLE");
      const all = [a, b, c].flatMap((member) => [...member.held]);
      expect([a.held.size, b.held.size, c.held.size]).toEqual([2, 2, 2]);
      expect(new Set(all).size).toBe(6);
      expect(group.ownedTwice).toEqual([]);

      const { state, members } = await describeGroup(group.id);
      expect(state).toBe("STABLE");
      expect(members.map(({ memberEpoch }) => memberEpoch)).toEqual([3, 3, 3]);
    },
  );

  test.each(TWINS)(
    "[GRP-2] a partition moves only after its owner has revoked it$when",
    async ({ interrupt }) => {
      const topic = await createTopic(4);
      const group = new Group();
      const a = await group.join([topic]);
      const b = await group.join([topic]);
      const revoking = await a.assignment((each) => each.state === "UNREVOKED_PARTITIONS");
      expect(revoking.partitions).toHaveLength(2);
      await interrupt(group.stub);
      // Meanwhile the owner sends other messages: none of them is a release.
      expect(await a.commit(topic, { 0: 1, 1: 1, 2: 1, 3: 1 })).toMatchObject({ rejected: [] });
      expect(await b.socket.untilPong()).toEqual([]);

      const moving = [...a.held].filter((place) => !placesOf(revoking).includes(place));
      const [first = "", second = ""] = moving;
      a.held.delete(first);
      a.socket.send({ type: "revoked", partitions: byTopic([first]) });
      expect(placesOf(await b.assignment())).toEqual([first]);
      await interrupt(group.stub);
      a.held.delete(second);
      a.socket.send({ type: "revoked", partitions: byTopic([second]) });
      expect(placesOf(await b.assignment())).toEqual([...moving].sort());
      expect(group.ownedTwice).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-2] partitions that the member was not told to give up stay where they are$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = new Group();
      const a = await group.join([topic]);
      const b = await group.join([topic]);
      const kept = placesOf(await a.assignment());
      await interrupt(group.stub);
      a.socket.send({ type: "revoked", partitions: byTopic(kept) });
      await a.socket.untilPong();
      await group.epoch;
      expect(await b.socket.untilPong()).toEqual([]);
      const [, description] = (await describeGroup(group.id)).members;
      expect(description?.assignment).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-3] a join raises the group epoch and returns the assignment$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const other = await createTopic(1);
      const group = new Group();
      const a = await group.join([topic]);
      expect(await group.epoch).toBe(1);
      expect(a.latest).toMatchObject({ memberId: a.memberId, memberEpoch: 1, memberNumber: 1 });
      expect(a.latest?.partitions).toEqual(
        [0, 1].map((partition) => ({
          topic: topic.name,
          topicId: topic.topicId,
          partition,
          committedOffset: null,
          signature: expect.any(String),
        })),
      );
      await interrupt(group.stub);
      const b = await group.join([other]);
      expect(await group.epoch).toBe(2);
      expect(b.latest?.partitions).toMatchObject([{ topic: other.name, partition: 0 }]);
      expect(b.latest).toMatchObject({ memberEpoch: 2, memberNumber: 2, state: "STABLE" });
      // A member that joins again with another subscription is a new target, too.
      a.sendJoin([topic, other]);
      await a.assignment((each) => each.memberEpoch === 3);
      expect(await group.epoch).toBe(3);
    },
  );

  test.each(TWINS)(
    "[GRP-9] partitions that a topic grows by are pushed to the members$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = new Group();
      const a = await group.join([topic]);
      await interrupt(group.stub, env.CLUSTER.getByName("cluster"));
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 5 });
      expect(partitionsOf(await a.assignment())).toEqual([0, 1, 2, 3, 4]);
    },
  );

  test.each(TWINS)(
    "[GRP-9] a topic that is created after the join is pushed to its subscribers$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const later = { ...topic, name: unique("later") };
      const group = new Group();
      const a = await group.join([topic, later]);
      expect(a.latest?.partitions).toHaveLength(1);
      await interrupt(group.stub, env.CLUSTER.getByName("cluster"));
      const created = await createTopic(2, {}, later.name);
      const { partitions } = await a.assignment();
      expect(partitions.filter(({ topicId }) => topicId === created.topicId)).toHaveLength(2);
    },
  );

  test.each(TWINS)(
    "[GRP-9] a deleted topic is taken from its members and forgotten$when",
    async ({ interrupt }) => {
      const [topic, doomed] = [await createTopic(1), await createTopic(2)];
      const group = new Group();
      const a = await group.join([topic, doomed]);
      await a.commit(doomed, { 0: 7 });
      await interrupt(group.stub, env.CLUSTER.getByName("cluster"));
      await expectStatus(204, "DELETE", `/v1/topics/${doomed.name}`);
      expect(await a.assignment()).toMatchObject({
        state: "UNREVOKED_PARTITIONS",
        partitions: [{ topic: topic.name }],
      });
      a.letGo();
      await a.assignment((each) => each.state === "STABLE");
      const { offsets } = await describeGroup(group.id);
      expect(offsets.map((each) => each.topic)).toEqual([topic.name]);
    },
  );

  test.each(TWINS)(
    "[GRP-9] nothing of a deleted topic stays behind, not even commits during revocation$when",
    async ({ interrupt }) => {
      const [topic, doomed] = [await createTopic(1), await createTopic(2)];
      const group = new Group();
      const a = await group.join([topic, doomed]);
      await a.commit(topic, { 0: 3 });
      await expectStatus(204, "DELETE", `/v1/topics/${doomed.name}`);
      await a.assignment((each) => each.state === "UNREVOKED_PARTITIONS");
      await interrupt(group.stub);
      await a.commit(doomed, { 0: 7, 1: 7 });
      a.letGo();
      await a.assignment((each) => each.state === "STABLE");
      const committed = await runInDurableObject(group.stub, (_, { storage }) =>
        Array.from(
          storage.sql.exec<{ partition: string }>("SELECT partition FROM offsets"),
          ({ partition }) => partition,
        ),
      );
      expect(committed).toEqual([`${topic.topicId}:0`]);
    },
  );
});

describe("resuming", () => {
  test.each(TWINS)(
    "[GRP-4] a member that reconnects continues with what it held$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      const before = { epoch: await group.epoch, held: [...a.held].sort(), latest: a.latest };
      await group.breakConnection(a);
      await interrupt(group.stub);

      group.drop(a);
      const again = await group.join([topic], {
        memberId: a.memberId,
        memberEpoch: a.epoch,
        owned: before.held,
      });
      expect([...again.held].sort()).toEqual(before.held);
      expect(again.latest).toEqual(before.latest);
      expect(await group.epoch).toBe(before.epoch);
      expect(await b.socket.untilPong()).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-4] a member that reconnects gives up what has become another's$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const a = await group.join([topic]);
      const held = [...a.held];
      await group.breakConnection(a);
      const b = await group.join([topic]);
      expect(b.held.size).toBe(0);
      await interrupt(group.stub);

      group.drop(a);
      const again = await group.open(a.memberId);
      for (const place of held) again.held.add(place); // It continued to consume while it was away.
      again.sendJoin([topic], { memberEpoch: a.epoch, owned: held });
      const assignment = await again.assignment((each) => each.state === "UNREVOKED_PARTITIONS");
      expect(assignment.partitions).toHaveLength(3);
      expect(await b.socket.untilPong()).toEqual([]);
      again.letGo();
      await b.assignment((each) => each.partitions.length === 3);
      expect(group.ownedTwice).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-4] a member that holds what is not its own is fenced and may join again$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      await group.breakConnection(a);
      await interrupt(group.stub);
      group.drop(a);

      const again = await group.open(a.memberId);
      const owned = [...a.held, ...b.held];
      again.sendJoin([topic], { memberEpoch: a.epoch, owned });
      const fenced = { code: "FENCED_MEMBER_EPOCH", errorCode: 110, retriable: false };
      expect(await again.error()).toMatchObject(fenced);
      again.sendJoin([topic], { memberEpoch: a.epoch + 1 });
      expect(await again.error()).toMatchObject(fenced);
      again.sendJoin([topic]);
      expect((await again.assignment()).partitions).toHaveLength(3);
      expect(await b.socket.untilPong()).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-4] a member unknown to the group is told to join again$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = new Group();
      const a = await group.join([topic]);
      await interrupt(group.stub);
      const stranger = await group.open();
      stranger.sendJoin([topic], { memberEpoch: 1 });
      expect(await stranger.error()).toMatchObject({ code: "UNKNOWN_MEMBER_ID", errorCode: 25 });
      expect((await describeGroup(group.id)).members).toHaveLength(1);
      expect(await a.socket.untilPong()).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-4] the older of two sockets of a member is closed with 4002$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = new Group();
      const a = await group.join([topic]);
      await interrupt(group.stub);
      const newer = await group.open(a.memberId);
      newer.sendJoin([topic], { memberEpoch: a.epoch, owned: [...a.held] });
      group.drop(a);
      expect((await newer.assignment()).partitions).toHaveLength(2);
      expect(await a.socket.closed).toMatchObject({ code: 4002 });
      // The end of the older socket says nothing about the member.
      await group.epoch;
      expect(await group.isSilent(a.memberId)).toBe(false);
      expect(await newer.commit(topic, { 0: 1 })).toMatchObject({
        type: "committed",
        rejected: [],
      });
    },
  );
});

describe("leaving", () => {
  test.each(TWINS)(
    "[GRP-5] a leave gives the partitions to the others at once$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      await interrupt(group.stub);
      group.drop(a);
      a.socket.send({ type: "leave" });
      expect(await a.socket.closed).toEqual({ code: 1000, reason: "left" });
      expect(partitionsOf(await b.assignment())).toEqual([0, 1, 2, 3, 4, 5]);
      expect((await describeGroup(group.id)).members).toHaveLength(1);
    },
  );

  test.each(
    TWINS.flatMap((twin) =>
      [1000, 1001, undefined].map((code) => ({ ...twin, code, named: code ?? "none" })),
    ),
  )(
    "[GRP-5] a clean close with code $named by a dynamic member is a leave$when",
    async ({ interrupt, code }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      await interrupt(group.stub);
      group.drop(a);
      a.socket.close(code);
      expect(partitionsOf(await b.assignment())).toEqual([0, 1, 2, 3, 4, 5]);
      expect((await describeGroup(group.id)).members).toHaveLength(1);
    },
  );

  test("[GRP-5] a clean close right after the join leaves no member behind", async () => {
    const topic = await createTopic(6);
    const group = new Group();
    const a = await group.join([topic]);
    const hasty = await group.open();
    hasty.sendJoin([topic]);
    hasty.socket.close(1000);
    await hasty.socket.closed;
    // Another join takes the same route, behind it: when that is answered, the hasty one has been handled.
    const b = await group.join([topic]);
    await eventually(async () => {
      const { members } = await describeGroup(group.id);
      return members.length === 2;
    }, "the hasty member to be gone");
    await a.assignment((each) => each.partitions.length === 3);
    a.letGo();
    await b.assignment((each) => each.partitions.length === 3);
  });

  test.each(TWINS)("[GRP-3] a socket speaks for one member only$when", async ({ interrupt }) => {
    const topic = await createTopic(2);
    const group = new Group();
    const a = await group.join([topic]);
    await interrupt(group.stub);
    a.socket.send({ type: "join", memberId: "b", memberEpoch: 0, topics: [topic.name] });
    expect(await a.socket.closed).toMatchObject({
      code: 4000,
      reason: expect.stringMatching(/^INVALID_REQUEST: memberId is b/),
    });
    expect((await describeGroup(group.id)).members).toMatchObject([{ memberId: a.memberId }]);
  });

  test.each(TWINS)(
    "[GRP-8] a clean close by a static member keeps its partitions for it$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic, { instanceId: "kiosk" });
      a.socket.close(1000);
      await eventually(() => group.isSilent(a.memberId), "the static member to be silent");
      await interrupt(group.stub);
      expect(await b.socket.untilPong()).toEqual([]);
      expect((await describeGroup(group.id)).members).toHaveLength(2);
    },
  );

  test.each(TWINS)(
    "[GRP-5] a leave by a static member gives its partitions away$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic, { instanceId: "kiosk" });
      await interrupt(group.stub);
      group.drop(a);
      a.socket.send({ type: "leave" });
      expect(partitionsOf(await b.assignment())).toEqual([0, 1, 2, 3, 4, 5]);
    },
  );

  test.each(TWINS)(
    "[GRP-8] a static member returns under another id without a rebalance$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic, { instanceId: "kiosk" });
      const epoch = await group.epoch;
      await group.breakConnection(a);
      await interrupt(group.stub);
      group.drop(a);
      const successor = await group.join([topic], { instanceId: "kiosk" });
      expect([...successor.held].sort()).toEqual([...placesOf(a.latest as AssignmentMessage)]);
      expect(successor.latest).toMatchObject({ state: "STABLE", memberEpoch: a.epoch });
      // A higher number, so that partitions tell it from the replaced one, which may still be connected.
      expect(successor.latest?.memberNumber).toBeGreaterThan(a.latest?.memberNumber ?? 0);
      expect(await group.epoch).toBe(epoch);
      expect(await b.socket.untilPong()).toEqual([]);
      const { members } = await describeGroup(group.id);
      expect(members.map(({ memberId }) => memberId)).not.toContain(a.memberId);

      const replaced = await group.open(a.memberId);
      replaced.sendJoin([topic], { memberEpoch: a.epoch, instanceId: "kiosk" });
      expect(await replaced.error()).toMatchObject({ code: "UNKNOWN_MEMBER_ID" });
    },
  );

  test.each(TWINS)(
    "[GRP-8] a second live holder of an instance id is refused$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = new Group();
      const a = await group.join([topic], { instanceId: "kiosk" });
      await interrupt(group.stub);
      const second = await group.open();
      second.sendJoin([topic], { instanceId: "kiosk" });
      expect(await second.error()).toMatchObject({
        code: "UNRELEASED_INSTANCE_ID",
        errorCode: 111,
        retriable: false,
      });
      expect(await a.socket.untilPong()).toEqual([]);
      expect((await describeGroup(group.id)).members).toMatchObject([{ memberId: a.memberId }]);
    },
  );
});

describe("time", () => {
  test.each(TWINS)(
    "[GRP-6] a broken connection keeps its partitions until the session timeout$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      vi.setSystemTime(startMs + 10_000);
      await group.breakConnection(a);
      await interrupt(group.stub);

      await group.alarmAt(startMs + 10_000 + SESSION_MS - 1);
      expect(await b.socket.untilPong()).toEqual([]);
      expect((await describeGroup(group.id)).members).toHaveLength(2);
      await interrupt(group.stub);

      group.drop(a);
      await group.alarmAt(startMs + 10_000 + SESSION_MS);
      expect(partitionsOf(await b.assignment())).toEqual([0, 1, 2, 3, 4, 5]);
      expect((await describeGroup(group.id)).members).toMatchObject([{ memberId: b.memberId }]);
    },
  );

  test.each(TWINS)(
    "[GRP-6] a broken connection that storage refused to note starts the timeout at the next alarm$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      await interrupt(group.stub);
      const log = vi.spyOn(console, "error").mockImplementation(() => {});
      onTestFinished(() => log.mockRestore());
      const isTold = () => log.mock.calls.some(([line]) => String(line).includes(group.id));
      // In the storage itself: the runtime may begin a new life of the object meanwhile, which would note what it finds.
      await group.sql(
        "CREATE TRIGGER full BEFORE INSERT ON stored_members BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
      );
      a.socket.close(4004, "the client's connection was lost");
      await eventually(async () => isTold(), "the write to be refused");
      // Nothing was stored, and the socket is gone: nobody knows when the member was last heard.
      expect(await group.isSilent(a.memberId)).toBe(false);
      // Not before: the runtime may report the socket's end once more, and that would be noted.
      await group.sql("DROP TRIGGER full");

      const notedMs = startMs + SESSION_MS;
      await group.alarmAt(notedMs);
      expect(await group.isSilent(a.memberId)).toBe(true);
      expect(await b.socket.untilPong()).toEqual([]);
      expect((await describeGroup(group.id)).members).toHaveLength(2);
      await interrupt(group.stub);

      await group.alarmAt(notedMs + SESSION_MS - 1);
      expect(await b.socket.untilPong()).toEqual([]);
      group.drop(a);
      await group.alarmAt(notedMs + SESSION_MS);
      expect(partitionsOf(await b.assignment())).toEqual([0, 1, 2, 3, 4, 5]);
      expect((await describeGroup(group.id)).members).toMatchObject([{ memberId: b.memberId }]);
    },
  );

  test.each(TWINS)(
    "[GRP-6] a member whose frame breaks the protocol keeps its partitions meanwhile$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      await interrupt(group.stub);
      a.socket.send({ type: "join", memberId: 5 });
      const { code, reason } = await a.socket.closed;
      expect(code).toBe(4000);
      expect(reason).toMatch(/^INVALID_REQUEST: .*memberId/);
      await eventually(() => group.isSilent(a.memberId), "the member to be silent");
      expect(await b.socket.untilPong()).toEqual([]);
      group.drop(a);
      const again = await group.join([topic], {
        memberId: a.memberId,
        memberEpoch: a.epoch,
        owned: [...placesOf(a.latest as AssignmentMessage)],
      });
      expect(again.held.size).toBe(3);
    },
  );

  test.each(TWINS)(
    "[GRP-7] a member that is silent for its session timeout is removed$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      await interrupt(group.stub);
      await group.alarmAt(startMs + SESSION_MS - 1);
      expect(await b.socket.untilPong()).toEqual([]);
      await interrupt(group.stub);
      group.drop(a);
      await group.alarmAt(startMs + SESSION_MS);
      expect(await a.socket.closed).toMatchObject({
        code: 4003,
        reason: expect.stringContaining("session timeout"),
      });
      expect(partitionsOf(await b.assignment())).toEqual([0, 1, 2, 3, 4, 5]);
    },
  );

  test.each([
    { event: "webSocketClose", code: 1_000 },
    { event: "webSocketClose", code: 1_006 },
    { event: "webSocketError", code: 0 },
  ] as const)(
    "[GRP-6] $event $code of a socket that its member has replaced says nothing of the member",
    async ({ event, code }) => {
      const topic = await createTopic(1);
      const group = new Group();
      const a = await group.join([topic]);
      // The socket broke while the group slept: the group heard of the member's next one first.
      const attachment = { memberId: a.memberId, joinedAtMs: 1 };
      const older = {
        deserializeAttachment: () => attachment,
        serializeAttachment: () => {},
        close: () => {},
      } as unknown as WebSocket;
      await runInDurableObject(group.stub, (object) => (object as GroupObject)[event](older, code));
      expect(await a.commit(topic, { 0: 0 })).toMatchObject({ type: "committed", rejected: [] });
      expect(await group.isSilent(a.memberId)).toBe(false);
    },
  );

  test.each(TWINS)(
    "[CLK-4] an alarm that rings earlier than it must is left as it is$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = new Group();
      await group.join([topic], { sessionTimeoutMs: LONG_SESSION_MS });
      const dueMs = Number(await alarmOf(group.stub)) - 60_000;
      await runInDurableObject(group.stub, (_, { storage }) => storage.setAlarm(dueMs));
      await interrupt(group.stub);
      await group.join([topic], { sessionTimeoutMs: LONG_SESSION_MS });
      expect(await alarmOf(group.stub)).toBe(dueMs);
    },
  );

  // The runtime stamps heartbeats with the real time, so here the join is in the past instead of the alarm in the future.
  async function joinLongAgo(group: Group, realMs: number): Promise<Member> {
    const topic = await createTopic(1);
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(realMs - LONG_SESSION_MS + 60_000);
    return group.join([topic], { sessionTimeoutMs: LONG_SESSION_MS });
  }

  test.each(TWINS)(
    "[GRP-7] a member that has sent a heartbeat in between is not removed$when",
    async ({ interrupt }) => {
      const realMs = Date.now();
      const group = new Group();
      const a = await joinLongAgo(group, realMs);
      await a.socket.untilPong();
      await interrupt(group.stub);
      // Past the deadline counted from the join, before the one counted from the heartbeat.
      await group.alarmAt(realMs + 120_000);
      expect((await describeGroup(group.id)).members).toMatchObject([{ memberId: a.memberId }]);
      expect(await a.socket.untilPong()).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-7] a member that has sent nothing since its join is removed$when",
    async ({ interrupt }) => {
      const realMs = Date.now();
      const group = new Group();
      const a = await joinLongAgo(group, realMs);
      await interrupt(group.stub);
      await group.alarmAt(realMs + 120_000);
      expect(await a.socket.closed).toMatchObject({ code: 4003 });
      expect((await describeGroup(group.id)).members).toEqual([]);
    },
  );

  test.each(TWINS)(
    "[GRP-7] a member that does not revoke within its rebalance timeout is removed$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const topic = await createTopic(6);
      const group = new Group();
      const a = await group.join([topic], {
        sessionTimeoutMs: LONG_SESSION_MS,
        rebalanceTimeoutMs: 60_000,
      });
      vi.setSystemTime(startMs + 5_000);
      const b = await group.join([topic], { sessionTimeoutMs: LONG_SESSION_MS });
      await a.assignment((each) => each.state === "UNREVOKED_PARTITIONS");
      await interrupt(group.stub);
      await group.alarmAt(startMs + 5_000 + 59_999);
      expect(await b.socket.untilPong()).toEqual([]);
      await interrupt(group.stub);
      group.drop(a);
      await group.alarmAt(startMs + 5_000 + 60_000);
      expect(await a.socket.closed).toMatchObject({
        code: 4003,
        reason: expect.stringContaining("rebalance timeout"),
      });
      expect(partitionsOf(await b.assignment())).toEqual([0, 1, 2, 3, 4, 5]);
    },
  );

  test.each(TWINS)(
    "[GRP-7] a member that returns in time is not removed by the old deadline$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      await group.breakConnection(a);
      vi.setSystemTime(startMs + SESSION_MS - 1_000);
      await interrupt(group.stub);
      group.drop(a);
      const again = await group.join([topic], { memberId: a.memberId, memberEpoch: a.epoch });
      await group.alarmAt(startMs + SESSION_MS + 1_000);
      expect(await b.socket.untilPong()).toEqual([]);
      expect(await again.socket.untilPong()).toEqual([]);
      expect((await describeGroup(group.id)).members).toHaveLength(2);
    },
  );

  test("[GRP-11] a heartbeat is answered with pong and does not wake the group", async () => {
    const topic = await createTopic(1);
    const group = new Group();
    const a = await group.join([topic]);
    await a.socket.untilPong();
    await evict(group.stub);
    expect(await a.socket.untilPong()).toEqual([]);
    // Evicting it again is impossible only if nothing has woken it.
    await expect(evict(group.stub)).rejects.toThrow("not currently running");
    expect(await a.commit(topic, { 0: 1 })).toMatchObject({ type: "committed" });
  });

  test("[HIB-2] members whose sockets a restart took keep their partitions for a session timeout from then", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const startMs = Date.now();
    const topic = await createTopic(6);
    const group = new Group();
    const { a } = await settledPair(group, topic);
    const restartMs = startMs + SESSION_MS - 1_000;
    vi.setSystemTime(restartMs);
    await evict(group.stub, "close");
    await a.socket.closed;
    // Any request that wakes the group makes it note the loss then, and not only with its next alarm.
    expect(await group.isSilent(a.memberId)).toBe(true);
    // Counted from when they were last seen they would be gone by now.
    await group.alarmAt(restartMs);
    await group.alarmAt(restartMs + SESSION_MS - 1);
    expect((await describeGroup(group.id)).members).toHaveLength(2);
    await group.alarmAt(restartMs + SESSION_MS);
    expect((await describeGroup(group.id)).members).toHaveLength(1);
  });

  test("[HIB-2] members that return after a restart continue with what they held", async () => {
    const topic = await createTopic(6);
    const group = new Group();
    const { a, b } = await settledPair(group, topic);
    const epoch = await group.epoch;
    await evict(group.stub, "close");
    for (const member of [a, b]) {
      await member.socket.closed;
      const held = [...member.held].sort();
      group.drop(member);
      const again = await group.join([topic], {
        memberId: member.memberId,
        memberEpoch: member.epoch,
        owned: held,
        sessionTimeoutMs: LONG_SESSION_MS,
      });
      expect(again.latest).toMatchObject({ memberEpoch: member.epoch, state: "STABLE" });
      expect([...again.held].sort()).toEqual(held);
    }
    expect(await group.epoch).toBe(epoch);
    expect(group.ownedTwice).toEqual([]);
  });
});

describe("offsets", () => {
  test.each(TWINS)(
    "[OFF-1] a commit with a stale epoch is rejected whole$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a } = await settledPair(group, topic);
      const own = Number([...a.held][0]?.split(":")[1]);
      await interrupt(group.stub);
      for (const memberEpoch of [a.epoch - 1, a.epoch + 1]) {
        expect(await a.commit(topic, { [own]: 5 }, { memberEpoch })).toMatchObject({
          type: "error",
          code: "STALE_MEMBER_EPOCH",
          errorCode: 113,
          retriable: true,
        });
      }
      expect(await committedOffsets(group.id, topic.name)).toEqual(Array(6).fill(null));
      expect(await a.commit(topic, { [own]: 5 })).toMatchObject({
        type: "committed",
        rejected: [],
      });
    },
  );

  test.each(TWINS)(
    "[OFF-1] a commit for another member's partition is rejected, the others count$when",
    async ({ interrupt }) => {
      const topic = await createTopic(6);
      const group = new Group();
      const { a, b } = await settledPair(group, topic);
      const [own] = [...a.held].map((place) => Number(place.split(":")[1]));
      const [foreign] = [...b.held].map((place) => Number(place.split(":")[1]));
      await interrupt(group.stub);
      const answer = await a.commit(topic, { [own as number]: 3, [foreign as number]: 4, 99: 1 });
      expect(answer).toMatchObject({
        type: "committed",
        rejected: [
          { topicId: topic.topicId, partition: foreign, code: "FENCED_MEMBER_EPOCH" },
          { topicId: topic.topicId, partition: 99, code: "FENCED_MEMBER_EPOCH" },
        ],
      });
      await interrupt(group.stub);
      const committed = await committedOffsets(group.id, topic.name);
      expect(committed[own as number]).toBe(3);
      expect(committed[foreign as number]).toBeNull();
    },
  );

  test.each(TWINS)(
    "[OFF-1] an owner that must revoke still commits, and no longer once it has$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = new Group();
      const a = await group.join([topic]);
      const b = await group.join([topic]);
      const kept = partitionsOf(await a.assignment());
      const moving = kept[0] === 0 ? 1 : 0;
      await interrupt(group.stub);
      expect(await a.commit(topic, { [moving]: 8 })).toMatchObject({ rejected: [] });
      a.letGo();
      await a.assignment((each) => each.state === "STABLE");
      await interrupt(group.stub);
      expect(await a.commit(topic, { [moving]: 9 })).toMatchObject({
        rejected: [{ partition: moving, code: "FENCED_MEMBER_EPOCH" }],
      });
      // [OFF-2] The next owner starts at the old one's last commit.
      expect((await b.assignment()).partitions).toMatchObject([
        { partition: moving, committedOffset: 8 },
      ]);
    },
  );

  test.each(TWINS)(
    "[OFF-1] nobody commits over a socket that has not joined or was replaced$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = new Group();
      await group.join([topic]);
      await interrupt(group.stub);
      const stranger = await group.open();
      expect(await stranger.commit(topic, { 0: 5 }, { memberEpoch: 1 })).toMatchObject({
        type: "error",
        code: "UNKNOWN_MEMBER_ID",
        errorCode: 25,
      });
      expect(await committedOffsets(group.id, topic.name)).toEqual([null]);
    },
  );

  test.each(TWINS)(
    "[OFF-1] a member that was removed cannot commit any more$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const topic = await createTopic(1);
      const group = new Group();
      const a = await group.join([topic]);
      await a.commit(topic, { 0: 2 });
      await group.alarmAt(startMs + SESSION_MS);
      await a.socket.closed;
      await interrupt(group.stub);
      const zombie = await group.open(a.memberId);
      zombie.sendJoin([topic], { memberEpoch: a.epoch, owned: [...a.held] });
      expect(await zombie.error()).toMatchObject({ code: "UNKNOWN_MEMBER_ID" });
      expect(await zombie.commit(topic, { 0: 9 }, { memberEpoch: a.epoch })).toMatchObject({
        code: "UNKNOWN_MEMBER_ID",
      });
      expect(await committedOffsets(group.id, topic.name)).toEqual([2]);
    },
  );

  test.each(TWINS)(
    "[OFF-2] the next owner starts at the committed offsets$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = new Group();
      const a = await group.join([topic]);
      expect(await a.commit(topic, { 0: 11, 1: 0 })).toMatchObject({ rejected: [] });
      await interrupt(group.stub);
      group.drop(a);
      a.socket.send({ type: "leave" });
      await a.socket.closed;
      expect(await committedOffsets(group.id, topic.name)).toEqual([11, 0]);
      await interrupt(group.stub);
      const b = await group.join([topic]);
      expect(b.latest?.partitions).toMatchObject([
        { partition: 0, committedOffset: 11 },
        { partition: 1, committedOffset: 0 },
      ]);
    },
  );

  test.each(TWINS)(
    "[OFF-3] a committed offset goes back only by a commit after a seek$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = new Group();
      const a = await group.join([topic]);
      await a.commit(topic, { 0: 10, 1: 10 });
      await interrupt(group.stub);
      const refused = await a.commit(topic, { 0: 9, 1: 10 });
      expect(refused).toMatchObject({
        rejected: [
          { partition: 0, code: "INVALID_REQUEST", detail: expect.stringMatching(/9.*10/) },
        ],
      });
      expect(await committedOffsets(group.id, topic.name)).toEqual([10, 10]);
      expect(await a.commit(topic, { 0: 4 }, { isRewind: true })).toMatchObject({ rejected: [] });
      await interrupt(group.stub);
      expect(await committedOffsets(group.id, topic.name)).toEqual([4, 10]);
    },
  );

  test("[OFF-1] a commit with an illegal offset closes the socket and changes nothing", async () => {
    const topic = await createTopic(1);
    const group = new Group();
    const a = await group.join([topic]);
    await a.commit(topic, { 0: 3 });
    const offsets = [{ topicId: topic.topicId, partition: 0, offset: -1 }];
    a.socket.send({ type: "commit", requestId: 9, memberEpoch: a.epoch, offsets });
    expect(await a.socket.closed).toMatchObject({
      code: 4000,
      reason: expect.stringMatching(/offsets\[0\]\.offset.*0 to/),
    });
    expect(await committedOffsets(group.id, topic.name)).toEqual([3]);
  });
});

describe("deleting", () => {
  test.each(TWINS)(
    "[GRP-10] a group with members cannot be deleted$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = new Group();
      const a = await group.join([topic]);
      await a.commit(topic, { 0: 3 });
      await interrupt(group.stub);
      const answer = await call("DELETE", `/v1/groups/${group.id}`);
      expect(answer).toMatchObject({
        status: 409,
        body: { code: "NON_EMPTY_GROUP", errorCode: 68 },
      });
      expect(await a.commit(topic, { 0: 4 })).toMatchObject({ rejected: [] });
      expect(await committedOffsets(group.id, topic.name)).toEqual([4]);
    },
  );

  test.each(TWINS)(
    "[GRP-10] a deleted group is unknown, and a new one of its name begins from nothing$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = new Group();
      const a = await group.join([topic]);
      const first = a.latest as AssignmentMessage;
      await a.commit(topic, { 0: 3 });
      group.drop(a);
      a.socket.send({ type: "leave" });
      await a.socket.closed;
      await interrupt(group.stub);
      await expectStatus(204, "DELETE", `/v1/groups/${group.id}`);
      await interrupt(group.stub);
      for (const method of ["GET", "DELETE"]) {
        expect(await call(method, `/v1/groups/${group.id}`)).toMatchObject({
          status: 404,
          body: { code: "GROUP_ID_NOT_FOUND", errorCode: 69 },
        });
      }
      expect(await listedGroups()).not.toContain(group.id);
      const tables = await runInDurableObject(group.stub, (_, { storage }) =>
        Array.from(
          storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'"),
          ({ name }) => name,
        ).filter((name) => !name.startsWith("_cf_")),
      );
      expect(tables).toEqual([]);

      const again = await group.join([topic]);
      expect(again.latest).toMatchObject({ memberEpoch: 1, memberNumber: 1 });
      expect(again.latest?.partitions).toMatchObject([{ committedOffset: null }]);
      // [ATT-3] The part that distinguishes its owner tokens from its namesake's.
      expect(again.latest?.incarnation).toBeGreaterThan(first.incarnation);
      // It hears of topics again, too.
      await expectStatus(200, "PATCH", `/v1/topics/${topic.name}`, { partitions: 2 });
      expect((await again.assignment()).partitions).toHaveLength(2);
    },
  );
});

describe("the flight recorder", () => {
  test.each(TWINS)(
    "[HIS-1] [HIS-2] the history over HTTP has joins, moves and leaves, oldest first$when",
    async ({ interrupt }) => {
      const topic = await createTopic(2);
      const group = unique("group");
      await readAs(group, topic, { 0: 0 });
      await interrupt(groupStub(env, group));
      await readAs(group, topic, { 1: 0 });
      const path = `/v1/groups/${group}/history`;
      interface History {
        readonly groupId: string;
        readonly history: { type: string; reason?: string; atMs: number; epoch: number }[];
      }
      const { groupId, history } = await expectStatus<History>(200, "GET", path);
      expect(groupId).toBe(group);
      const types = history.map(({ type }) => type);
      expect(types.filter((type) => type === "joined")).toHaveLength(2);
      expect(types.slice(-2)).toEqual(["removed", "rebalanced"]);
      expect(history.at(-2)).toMatchObject({ reason: "left" });
      expect(history.map(({ atMs }) => atMs)).toEqual(
        history.map(({ atMs }) => atMs).sort((a, b) => a - b),
      );
      const newest = await expectStatus<History>(200, "GET", `${path}?limit=2`);
      expect(newest.history).toEqual(history.slice(-2));
      await expectStatus(400, "GET", `${path}?limit=0`);
      await expectStatus(404, "GET", `/v1/groups/${unique("nobody")}/history`);
    },
  );
});

describe("deleting offsets", () => {
  test.each(TWINS)(
    "[OFF-7] committed offsets in topics without a subscriber are forgotten, others refused and kept$when",
    async ({ interrupt }) => {
      const [one, two] = [await createTopic(2), await createTopic(1)];
      const group = unique("group");
      await readAs(group, one, { 0: 3, 1: 4 });
      await readAs(group, two, { 0: 5 });
      const path = `/v1/groups/${group}/offsets`;
      const unknown = await call("DELETE", `${path}?topics=${one.name},${unique("nobody")}`);
      expect(unknown).toMatchObject({ status: 404, body: { code: "UNKNOWN_TOPIC_OR_PARTITION" } });
      expect(await committedOffsets(group, one.name)).toEqual([3, 4]);
      await interrupt(groupStub(env, group));
      await expectStatus(204, "DELETE", `${path}?topics=${one.name}`);
      await interrupt(groupStub(env, group));
      expect(await committedOffsets(group, one.name)).toEqual([]);
      expect(await committedOffsets(group, two.name)).toEqual([5]);

      const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      member.send({ type: "join", memberId: unique("m"), memberEpoch: 0, topics: [two.name] });
      await member.next((message): message is CoordinatorMessage => typeof message === "object");
      const busy = await call("DELETE", `${path}?topics=${two.name}`);
      expect(busy).toMatchObject({ status: 409, body: { code: "GROUP_SUBSCRIBED_TO_TOPIC" } });
      expect(await committedOffsets(group, two.name)).toEqual([5]);
      member.close(1000);
      expect(await call("DELETE", path)).toMatchObject({ status: 400 });
      const nobody = await call("DELETE", `/v1/groups/${unique("g")}/offsets?topics=a`);
      expect(nobody).toMatchObject({ status: 404, body: { code: "GROUP_ID_NOT_FOUND" } });
    },
  );
});
