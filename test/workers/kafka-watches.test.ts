// Members that speak Kafka's protocol and fall silent: by the group's alarm, and when the connection that watches for them
// goes.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type GroupStub, groupStub } from "../../src/env.ts";
import { WATCHED_KINDS, watch } from "./kafka-members.ts";
import { alarmOf, describeGroup, env, eventually, evict, TWINS, unique } from "./support.ts";

const SESSION_MS = 10_000;

afterEach(() => void vi.useRealTimers());

function silentSince(stub: GroupStub, query: string): Promise<SqlStorageValue> {
  return runInDurableObject(stub, (_, { storage }) => storage.sql.exec(query).one().atMs ?? null);
}

describe.each(WATCHED_KINDS)("$kind", ({ join, beat, silentSince: query }) => {
  test("[CLS-3] [GRP-7] that says it is alive has a session from then on", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const startMs = Date.now();
    const group = unique("group");
    const stub = groupStub(env, group);
    await join(stub, SESSION_MS);
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
    "[CLS-3] [GRP-7] that is silent for its session is removed by the alarm, and not before$when",
    async ({ interrupt }) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const startMs = Date.now();
      const group = unique("group");
      const stub = groupStub(env, group);
      await join(stub, SESSION_MS);
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
      const memberId = await join(stub, SESSION_MS);
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
    const memberId = await join(stub, SESSION_MS);
    const [older, newer] = [await watch(stub, memberId), await watch(stub, memberId)];
    expect(await older.closed).toEqual({ code: 1000, reason: "watched by another connection" });
    await evict(stub);
    expect(await newer.untilPong()).toEqual([]);
    expect(await silentSince(stub, query)).toBe(null);
  });
});
