// A list's view of groups without asking them, and an object's notes that save questions to the cluster.
import { runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { GroupObject } from "../../durable-objects/group/group-object.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import type { PartitionMessage } from "../../src/protocol/partition-socket.ts";
import * as messages from "../support/kafka-schemas.ts";
import { requestIn } from "./calls.ts";
import { joinClassic } from "./kafka-members.ts";
import { Kafka } from "./kafka-socket.ts";
import {
  closeSockets,
  createTopic,
  env,
  eventually,
  evict,
  expectStatus,
  produce,
  readAs,
  stopCluster,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => {
  vi.restoreAllMocks();
  closeSockets();
});

const cluster = clusterStub(env);

interface Group {
  readonly groupId: string;
  readonly protocolType: string;
  readonly groupState: string;
  readonly groupType: string;
}

/** The group's state for Kafka clients. */
async function listed(group: string): Promise<Group | undefined> {
  const kafka = await Kafka.open();
  const request = { statesFilter: [], typesFilter: [] };
  const { groups } = await kafka.ask<{ groups: Group[] }>(messages.LIST_GROUPS, 5, request);
  return groups.find(({ groupId }) => groupId === group);
}

/** Waits until the group is listed in this state. */
const untilListed = (group: string, groupState: string) =>
  eventually(
    async () => (await listed(group))?.groupState === groupState,
    `${group} to be listed as ${groupState}`,
  );

/** Returns true if the object is in memory. It is evicted. */
async function wasAwake(stub: DurableObjectStub): Promise<boolean> {
  try {
    await evict(stub);
    return true;
  } catch (error) {
    if (String(error).includes("not currently running")) return false;
    throw error;
  }
}

/** A member that polls, and so holds no socket. */
const poll = (group: string, topic: string, more: object = {}) =>
  expectStatus(200, "POST", `/v1/groups/${group}/poll`, {
    ...{ instanceId: "i", topics: [topic] },
    ...more,
  });

describe("ListGroups", () => {
  test.each(TWINS)(
    "[KFK-34] shows whether a group has members, and their protocol, and does not wake it$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const [polled, classic, left] = [unique("polled"), unique("classic"), unique("left")];
      await poll(polled, topic.name);
      // Its alarm must not ring meanwhile.
      await joinClassic(groupStub(env, classic), {
        sessionTimeoutMs: 300_000,
        rebalanceTimeoutMs: 300_000,
      });
      await readAs(left, topic, { 0: 0 });
      await untilListed(left, "Empty");
      await untilListed(classic, "Stable");
      await untilListed(polled, "Stable");
      const groups = [polled, classic, left];
      for (const group of groups) await evict(groupStub(env, group));
      await interrupt(cluster);
      expect([await listed(polled), await listed(classic), await listed(left)]).toEqual([
        { ...shown(polled), groupState: "Stable", groupType: "consumer" },
        { ...shown(classic), groupState: "Stable", groupType: "classic" },
        { ...shown(left), groupState: "Empty", groupType: "consumer" },
      ]);
      for (const group of groups) expect(await wasAwake(groupStub(env, group)), group).toBe(false);
    },
  );

  const shown = (groupId: string) => ({ groupId, protocolType: "consumer" });

  test.each(TWINS)(
    "[KFK-34] follows a group that empties and fills$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      for (let i = 0; i < 2; i++) {
        await poll(group, topic.name);
        await untilListed(group, "Stable");
        await interrupt(groupStub(env, group), cluster);
        await poll(group, topic.name, { leave: true });
        await untilListed(group, "Empty");
        await interrupt(groupStub(env, group), cluster);
      }
    },
  );

  test.each(TWINS)("[KFK-34] gets each change once, and no others$when", async ({ interrupt }) => {
    const topic = await createTopic(1);
    const group = unique("group");
    const told: string[] = [];
    const original = ClusterObject.prototype.summarizeGroup as unknown as (
      ...args: unknown[]
    ) => Promise<void>;
    vi.spyOn(ClusterObject.prototype, "summarizeGroup").mockImplementation(async function (
      this: ClusterObject,
      ...args: unknown[]
    ) {
      const { groupId, summary } = requestIn("cluster", "summarizeGroup", args);
      if (groupId === group) told.push(summary.groupState);
      return original.apply(this, args);
    } as never);
    // It is new, and listed with its first member.
    for (let i = 0; i < 3; i++) {
      await poll(group, topic.name, { ack: [] });
      await produce(topic.name, [{ value: "a" }]);
      await interrupt(groupStub(env, group));
    }
    expect((await listed(group))?.groupState).toBe("Stable");
    expect(told).toEqual([]);
    await poll(group, topic.name, { leave: true });
    await untilListed(group, "Empty");
    expect(told).toEqual(["Empty"]);
  });

  test.each(TWINS)(
    "[KFK-34] shows the last report while the cluster was reachable, and later the current one$when",
    async ({ interrupt }) => {
      const topic = await createTopic(1);
      const group = unique("group");
      await poll(group, topic.name);
      await untilListed(group, "Stable");
      const restart = stopCluster();
      await poll(group, topic.name, { leave: true });
      await eventually(
        async () => (await groupStub(env, group).summary())?.groupState === "Empty",
        "the group to be empty",
      );
      expect(restart()).toContain("summarizeGroup");
      expect((await listed(group))?.groupState).toBe("Stable");
      await interrupt(groupStub(env, group));
      await expectStatus(200, "PATCH", `/v1/groups/${group}`, { config: { "group.max.size": 9 } });
      await untilListed(group, "Empty");
    },
  );

  test("[KFK-34] asks a group that an earlier release left, once", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await readAs(group, topic, { 0: 0 });
    await untilListed(group, "Empty");
    await runInDurableObject(cluster, (_, { storage }) => {
      storage.sql.exec("UPDATE groups SET summary = NULL WHERE group_id = ?", group);
    });
    await evict(groupStub(env, group));
    expect((await listed(group))?.groupState).toBe("Empty");
    expect(await wasAwake(groupStub(env, group))).toBe(true);
    expect((await listed(group))?.groupState).toBe("Empty");
    expect(await wasAwake(groupStub(env, group))).toBe(false);
  });

  test("[KFK-34] has no deleted group, and shows a new one as it is", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await readAs(group, topic, { 0: 0 });
    await untilListed(group, "Empty");
    await expectStatus(204, "DELETE", `/v1/groups/${group}`);
    expect(await listed(group)).toBe(undefined);
    await poll(group, topic.name);
    await untilListed(group, "Stable");
    await poll(group, topic.name, { leave: true });
    await untilListed(group, "Empty");
  });
});

describe("the secret that signs owners", () => {
  /** The cluster's calls for the secret. */
  const asked = () => vi.spyOn(ClusterObject.prototype, "secret");
  const isAssignment = (each: unknown): each is CoordinatorMessage & { type: "assignment" } =>
    (each as Partial<CoordinatorMessage> | null)?.type === "assignment";

  test("[CLU-5] [ATT-5] is requested in the first life of a group and of a partition, and in no other", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await produce(topic.name, [{ value: "a" }]);
    const [groupObject, partition] = [groupStub(env, group), partitionStub(env, topic.topicId, 0)];
    const attach = async () => {
      const memberId = unique("m");
      const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
      member.send({ type: "join", memberId, memberEpoch: 0, topics: [topic.name] });
      const { memberEpoch, ...assignment } = await member.next(isAssignment);
      const [place] = assignment.partitions as [(typeof assignment.partitions)[number]];
      const reader = await TestSocket.open<PartitionMessage>(
        `/v1/topics/${topic.name}/partitions/0/socket`,
      );
      const { incarnation, memberNumber } = assignment;
      const owner = { group, incarnation, memberNumber, memberEpoch, signature: place.signature };
      reader.send({ type: "attach", attachId: 1, offset: 0, owner });
      await reader.next(
        (each): each is PartitionMessage =>
          (each as Partial<PartitionMessage>)?.type === "attached",
      );
      member.send({ type: "leave" });
      await member.closed;
      reader.close();
      await reader.closed;
    };
    await attach();
    for (let life = 0; life < 2; life++) {
      await evict(groupObject, "close");
      await evict(partition, "close");
      const secret = asked();
      await attach();
      expect(secret, `life ${life}`).not.toHaveBeenCalled();
      secret.mockRestore();
    }
    // Without the cluster they still sign and trust each other.
    await evict(groupObject, "close");
    await evict(partition, "close");
    const isOwner = vi.spyOn(GroupObject.prototype, "isOwner");
    const restart = stopCluster();
    await attach();
    expect(restart()).not.toContain("secret");
    expect(isOwner).not.toHaveBeenCalled();
  });

  test("[FIL-1] is not noted by an object that was only queried", async () => {
    const stub = partitionStub(env, crypto.randomUUID(), 0);
    expect(await stub.offsets()).toMatchObject({ ok: false });
    const group = groupStub(env, unique("nobody"));
    expect(await group.summary()).toBe(null);
    for (const each of [stub, group])
      expect(
        await runInDurableObject(each as never, (_, { storage }: DurableObjectState) =>
          Array.from(storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'notes'")),
        ),
      ).toEqual([]);
  });
});
