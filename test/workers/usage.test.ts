// [RPT-4] An object's own counts, beside the platform's.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test } from "vitest";
import type { ObjectUsage } from "../../durable-objects/shared/usage.ts";
import { NO_USAGE, since } from "../../src/core/metrics/usage.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import { nativeJoin } from "./kafka-members.ts";
import { meteredFromStart } from "./metering.ts";
import {
  closeSockets,
  createTopic,
  env,
  evict,
  expectStatus,
  fetchRecords,
  isBytes,
  produce,
  readAs,
  TestSocket,
  unique,
} from "./support.ts";

afterEach(() => closeSockets());

function usageOf(stub: DurableObjectStub): Promise<ObjectUsage["counts"]> {
  return runInDurableObject(
    stub,
    (object) => (object as unknown as { usage: ObjectUsage }).usage.counts,
  );
}

/** Runs the action from the beginning of a life, or from `before` on, and compares the rows. */
async function compared(
  stub: DurableObjectStub,
  action: () => Promise<unknown>,
  before: ObjectUsage["counts"] = NO_USAGE,
) {
  const { written, read } = await meteredFromStart(stub, action);
  const counted = since(before, await usageOf(stub));
  expect([counted.rowsWritten, counted.rowsRead]).toEqual([written, read]);
  return counted;
}

describe("an object counts", () => {
  test("[RPT-4] the rows of a partition: of its first use, of appends, reads and waking up", async () => {
    const topic = await createTopic(1);
    const stub = partitionStub(env, topic.topicId, 0);
    const first = await compared(stub, async () => {
      for (let i = 0; i < 3; i++) await produce(topic.name, [{ value: "a".repeat(1_000) }]);
      await fetchRecords(topic.name, 0);
    });
    expect(first.rowsWritten).toBeGreaterThan(3);
    expect(first.rowsRead).toBeGreaterThan(3);
    expect(first.requests).toBeGreaterThanOrEqual(4);
    expect(first.messages).toBe(0);
    await evict(stub);
    const woken = await compared(stub, () => fetchRecords(topic.name, 0));
    expect(woken.rowsRead).toBeGreaterThan(0);
    expect(woken.requests).toBeGreaterThanOrEqual(1);
  });

  test("[RPT-4] the rows of a group: of joining, committing, leaving and its alarm", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    const stub = groupStub(env, group);
    const counted = await compared(stub, async () => {
      await readAs(group, topic, { 0: 0, 1: 0 });
      await stub.heartbeat(nativeJoin("m", topic.name));
      await runDurableObjectAlarm(stub);
      await expectStatus(200, "GET", `/v1/groups/${group}`);
    });
    expect(counted.rowsWritten).toBeGreaterThan(5);
    expect(counted.messages).toBeGreaterThanOrEqual(2);
  });

  test("[RPT-4] the rows of the cluster: of a topic that comes and goes", async () => {
    const stub = clusterStub(env);
    const change = async () => {
      const topic = await createTopic(3);
      await expectStatus(204, "DELETE", `/v1/topics/${topic.name}`);
    };
    const counted = await compared(stub, change, await usageOf(stub));
    expect(counted.rowsWritten).toBeGreaterThan(3);
  });

  test("[RPT-4] messages that come over sockets, and not what it sends", async () => {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }, { value: "b" }]);
    const stub = partitionStub(env, topic.topicId, 0);
    const before = await usageOf(stub);
    const path = `/v1/topics/${topic.name}/partitions/0/socket`;
    const reader = await TestSocket.open<PartitionMessage>(path);
    reader.send({ type: "attach", offset: 0, windowBytes: 100_000 });
    const bytes = await reader.next(isBytes);
    reader.send({ type: "window", bytes: bytes.length });
    await produce(topic.name, [{ value: "c" }]);
    await reader.next((each): each is Uint8Array => isBytes(each) && each !== bytes);
    const after = await usageOf(stub);
    expect(after.messages - before.messages).toBe(2);
    expect(after.requests - before.requests).toBe(2); // The upgrade and the append.
  });
});
