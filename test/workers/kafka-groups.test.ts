// A group's object as Kafka's clients come to it, where more than one thing happens at a time.
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import type { GroupObject } from "../../durable-objects/group/group-object.ts";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { groupStub } from "../../src/env.ts";
import {
  call,
  committedOffsets,
  createTopic,
  env,
  expectStatus,
  listedGroups,
  TWINS,
  unique,
} from "./support.ts";

const JOIN = {
  memberId: "",
  newMemberId: "classic",
  instanceId: null,
  clientId: "",
  clientHost: "/",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 1_000,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array() }],
  mustKnowId: false,
  canSkipAssignment: false,
};

test("[KCG-1] who joins a new group at the same time with the classic protocol and with KIP-848: one kind is refused", async () => {
  const { name } = await createTopic(1);
  const stub = groupStub(env, unique("group"));
  const [native, classic] = await Promise.all([
    stub.heartbeat({
      memberId: "native",
      memberEpoch: 0,
      instanceId: null,
      clientId: null,
      rebalanceTimeoutMs: 1_000,
      topics: [name],
      topicPattern: null,
      owned: [],
    }),
    stub.joinClassic(JOIN),
  ]);
  expect([native.ok, classic.errorCode === 0]).toContain(false);
  expect([native.ok, classic.errorCode === 0]).toContain(true);
});

test("[CLS-6] who leaves while the topic of its commit is looked up commits nothing", async () => {
  const { name } = await createTopic(1);
  const stub = groupStub(env, unique("group"));
  const { memberId, generation } = await stub.joinClassic(JOIN);
  const assignments = [{ memberId, assignment: new Uint8Array() }];
  const token = { memberId, instanceId: null, generation };
  await stub.syncClassic({ ...token, protocolType: null, protocolName: null, assignments });
  const [committed] = await Promise.all([
    stub.commitOffsets(token, [{ topic: name, partition: 0, offset: 1, metadata: "" }]),
    stub.leaveClassic([{ memberId, instanceId: null }]),
  ]);
  expect(committed.errorCode).toBe(ERRORS.UNKNOWN_MEMBER_ID.code);
  const described = await stub.describe();
  expect(described).toMatchObject({ group: { offsets: [] } });
});

const ASKS_FOR_ID = { ...JOIN, mustKnowId: true, sessionTimeoutMs: 1_800_000 };

test.each([
  { title: "asks for its id", join: ASKS_FOR_ID, code: KAFKA_ERRORS.MEMBER_ID_REQUIRED },
  {
    title: "names an id of nobody",
    join: { ...JOIN, memberId: "stranger" },
    code: ERRORS.UNKNOWN_MEMBER_ID.code,
  },
  {
    title: "names no protocol",
    join: { ...JOIN, protocols: [] },
    code: KAFKA_ERRORS.INCONSISTENT_GROUP_PROTOCOL,
  },
])("[CLS-10] [GRP-13] one that $title makes no group", async ({ join, code }) => {
  const group = unique("group");
  const stub = groupStub(env, group);
  expect((await stub.joinClassic(join)).errorCode).toBe(code);
  expect(await listedGroups()).not.toContain(group);
  expect(await tablesOf(stub)).toEqual([]);
  expect(await call("GET", `/v1/groups/${group}`)).toMatchObject({ status: 404 });
});

/** Each is done in a group that somebody was told an id in. */
const WITH_A_PENDING_ID: Record<string, (group: string, topic: string) => Promise<void>> = {
  "a member of KIP-848 joins": async (group, topic) => {
    const joined = await groupStub(env, group).heartbeat({
      memberId: "native",
      memberEpoch: 0,
      instanceId: null,
      clientId: null,
      rebalanceTimeoutMs: 1_000,
      topics: [topic],
      topicPattern: null,
      owned: [],
    });
    expect(joined).toMatchObject({ ok: true });
  },
  "a poller joins": async (group, topic) => {
    await expectStatus(200, "POST", `/v1/groups/${group}/poll`, {
      instanceId: "i",
      topics: [topic],
    });
  },
  "a commit is made by hand": async (group, topic) => {
    const token = { memberId: "", instanceId: null, generation: -1 };
    const offset = { topic, partition: 0, offset: 0, metadata: "" };
    const committed = await groupStub(env, group).commitOffsets(token, [offset]);
    expect(committed).toEqual({ errorCode: 0, errorCodes: [0] });
  },
  "positions are reset": async (group, topic) => {
    await expectStatus(200, "POST", `/v1/groups/${group}/offsets`, {
      topics: [topic],
      to: "earliest",
    });
    expect(await committedOffsets(group, topic)).toEqual([0]);
  },
  "the group is deleted": async (group) => {
    await expectStatus(204, "DELETE", `/v1/groups/${group}`);
  },
};

describe.each(Object.entries(WITH_A_PENDING_ID))("where an id was given out, %s", (_, act) => {
  test.each(TWINS)("[CLS-10] [GRP-14] as if it had not been$when", async ({ interrupt }) => {
    const { name } = await createTopic(1);
    const group = unique("group");
    const stub = groupStub(env, group);
    await stub.alterConfig({ "group.max.size": 1 });
    const asked = await stub.joinClassic(ASKS_FOR_ID);
    expect(asked.errorCode).toBe(KAFKA_ERRORS.MEMBER_ID_REQUIRED);
    await interrupt(stub);
    await act(group, name);
  });
});

/** The tables that the object has made for itself. */
function tablesOf(stub: DurableObjectStub<GroupObject>): Promise<string[]> {
  return runInDurableObject(stub, (_, { storage }) =>
    [
      ...storage.sql.exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      ),
    ].map(({ name }) => name),
  );
}
