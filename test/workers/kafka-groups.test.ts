// A group's object as Kafka's clients come to it, where more than one thing happens at a time.
import { expect, test } from "vitest";
import { ERRORS } from "../../src/core/errors.ts";
import { groupStub } from "../../src/env.ts";
import { createTopic, env, unique } from "./support.ts";

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
