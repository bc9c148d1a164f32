// Members that speak Kafka's protocol and fall silent: by the group's alarm, and when the connection that watches for
// them goes.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type GroupStub, groupStub } from "../../src/env.ts";
import { watchUrl } from "../../src/protocol/watch-socket.ts";
import {
  alarmOf,
  createTopic,
  describeGroup,
  env,
  eventually,
  evict,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

const SESSION_MS = 10_000;

afterEach(() => void vi.useRealTimers());

type Stub = GroupStub;

interface Kind {
  readonly kind: string;
  /** Joins as the only member, and has what it is assigned. Returns its id. */
  join(stub: Stub): Promise<string>;
  /** Says that the member is alive, and nothing else. */
  beat(stub: Stub): Promise<unknown>;
  /** Since when it is silent, as stored. */
  readonly silentSince: string;
}

const KINDS: readonly Kind[] = [
  {
    kind: "a classic member",
    join: async (stub) => {
      const { memberId, generation } = await stub.joinClassic({
        ...{ memberId: "", newMemberId: "classic", instanceId: null },
        ...{ clientId: "", clientHost: "/", protocolType: "consumer" },
        ...{ sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: SESSION_MS },
        protocols: [{ name: "range", metadata: new Uint8Array() }],
        ...{ mustKnowId: false, canSkipAssignment: false },
      });
      const assignments = [{ memberId, assignment: new Uint8Array() }];
      const token = { memberId, instanceId: null, generation };
      await stub.syncClassic({ ...token, protocolType: null, protocolName: null, assignments });
      return memberId;
    },
    beat: async (stub) => {
      const token = { memberId: "classic", instanceId: null, generation: 1 };
      expect(await stub.heartbeatClassic(token)).toBe(0);
    },
    silentSince: "SELECT json_extract(json, '$.members[0].silentSinceMs') AS atMs FROM classic",
  },
  {
    kind: "a member of KIP-848",
    join: async (stub) => {
      const { name } = await createTopic(1);
      await stub.alterConfig({
        changes: {
          "consumer.min.session.timeout.ms": SESSION_MS,
          "consumer.session.timeout.ms": SESSION_MS,
        },
      });
      const joined = await stub.heartbeat({
        ...{ memberId: "native", memberEpoch: 0, instanceId: null, clientId: null },
        ...{ rebalanceTimeoutMs: 1_000, topics: [name], topicPattern: null, owned: [] },
      });
      if (!joined.ok) throw new Error(joined.detail);
      return "native";
    },
    beat: async (stub) => {
      const answer = await stub.heartbeat({
        ...{ memberId: "native", memberEpoch: 1, instanceId: null, clientId: null },
        ...{ rebalanceTimeoutMs: -1, topics: null, topicPattern: null, owned: null },
      });
      expect(answer).toMatchObject({ ok: true, assignment: null });
    },
    silentSince: "SELECT json_extract(json, '$.silentSinceMs') AS atMs FROM members",
  },
];

function silentSince(stub: Stub, query: string): Promise<SqlStorageValue> {
  return runInDurableObject(stub, (_, { storage }) => storage.sql.exec(query).one().atMs ?? null);
}

async function watch(stub: Stub, memberId: string): Promise<TestSocket<object>> {
  const { webSocket } = await stub.fetch(watchUrl(memberId), { headers: { upgrade: "websocket" } });
  const socket = new TestSocket<object>(webSocket as WebSocket, () => {});
  webSocket?.accept();
  return socket;
}

describe.each(KINDS)("$kind", ({ join, beat, silentSince: query }) => {
  test("[CLS-3] [GRP-7] that says it is alive has a session from then on", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const startMs = Date.now();
    const group = unique("group");
    const stub = groupStub(env, group);
    await join(stub);
    vi.setSystemTime(startMs + SESSION_MS / 2);
    await beat(stub);
    const members: number[] = [];
    for (const ms of [SESSION_MS, 1.5 * SESSION_MS - 1, 1.5 * SESSION_MS]) {
      vi.setSystemTime(startMs + ms);
      await runDurableObjectAlarm(stub);
      members.push((await describeGroup(group)).members.length);
    }
    expect(members).toEqual([1, 1, 0]);
  });

  test.each(TWINS)(
    "[CLS-3] [GRP-7] that says nothing for its session is removed by the alarm, and not before$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const group = unique("group");
      const stub = groupStub(env, group);
      await join(stub);
      await interrupt(stub);
      const ring = async (ms: number) => {
        vi.setSystemTime(startMs + ms);
        expect(await runDurableObjectAlarm(stub), "the alarm is set").toBe(true);
        return (await describeGroup(group)).members.length;
      };
      expect(await alarmOf(stub)).toBe(startMs + SESSION_MS);
      expect(await ring(SESSION_MS - 1)).toBe(1);
      expect(await ring(SESSION_MS)).toBe(0);
    },
  );

  test.each(TWINS)(
    "[KFK-20] is there as long as it is watched, and has a session from when that ends$when",
    async ({ interrupt }) => {
      const stub = groupStub(env, unique("group"));
      const memberId = await join(stub);
      const socket = await watch(stub, memberId);
      await interrupt(stub);
      await stub.describe(); // It wakes up.
      expect(await silentSince(stub, query)).toBe(null);
      const beforeMs = Date.now();
      socket.close(1000);
      await eventually(async () => (await silentSince(stub, query)) !== null, "it to be silent");
      expect(await silentSince(stub, query)).toBeGreaterThanOrEqual(beforeMs);
    },
  );

  test("[KFK-20] whose watch is taken over by another connection is still there", async () => {
    const stub = groupStub(env, unique("group"));
    const memberId = await join(stub);
    const [older, newer] = [await watch(stub, memberId), await watch(stub, memberId)];
    expect(await older.closed).toEqual({ code: 1000, reason: "watched by another connection" });
    await evict(stub);
    expect(await newer.untilPong()).toEqual([]);
    expect(await silentSince(stub, query)).toBe(null);
  });
});
