// What Kafka's clients send and take word for word, where other clients' requests would hide a difference.
import { afterEach, describe, expect, test } from "vitest";
import { ERRORS, KAFKA_ERRORS } from "../../src/core/errors.ts";
import { groupStub } from "../../src/env.ts";
import * as messages from "../../src/kafka/messages.ts";
import { Kafka } from "./kafka-socket.ts";
import { closeSockets, createTopic, env, listedGroups, TWINS, unique } from "./support.ts";

afterEach(closeSockets);

const { NONE } = KAFKA_ERRORS;

interface Member {
  readonly memberId: string;
  readonly generationId: number;
}

/** Joins a classic group as its only member, as clients of JoinGroup 9 do. */
async function joinClassic(kafka: Kafka, groupId: string): Promise<Member> {
  const join = {
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 1_000,
    groupInstanceId: null,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array() }],
    reason: null,
  };
  const told = await kafka.ask<Member>(messages.JOIN_GROUP, 9, { ...join, memberId: "" });
  const { memberId, generationId } = await kafka.ask<Member>(messages.JOIN_GROUP, 9, {
    ...join,
    memberId: told.memberId,
  });
  await kafka.ask(messages.SYNC_GROUP, 5, {
    groupId,
    generationId,
    memberId,
    groupInstanceId: null,
    protocolType: "consumer",
    protocolName: "range",
    assignments: [{ memberId, assignment: new Uint8Array() }],
  });
  return { memberId, generationId };
}

describe("a fetch of positions that names a member and its epoch", () => {
  const fetchAs = async (kafka: Kafka, groupId: string, name: string, asked: object) => {
    const answer = await kafka.ask<{
      groups: {
        errorCode: number;
        topics: { partitions: { committedOffset: number }[] }[];
      }[];
    }>(messages.OFFSET_FETCH, 9, {
      groups: [{ groupId, topics: [{ name, partitions: [0] }], ...asked }],
      requireStable: true,
    });
    const [group] = answer.groups;
    return group?.errorCode === NONE
      ? group.topics[0]?.partitions[0]?.committedOffset
      : `error ${group?.errorCode}`;
  };
  const commit = (groupId: string, topic: string, token: object) =>
    groupStub(env, groupId).commitOffsets(
      { memberId: "", instanceId: null, generation: -1, ...token },
      [{ topic, partition: 0, offset: 7, metadata: "" }],
    );

  test.each(TWINS)("[CLS-11] is answered to a classic member$when", async ({ interrupt }) => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    const { memberId, generationId } = await joinClassic(kafka, groupId);
    await commit(groupId, name, { memberId, generation: generationId });
    await interrupt(groupStub(env, groupId));
    for (const memberEpoch of [-1, generationId, 9])
      expect(await fetchAs(kafka, groupId, name, { memberId, memberEpoch })).toBe(7);
    const left = { groupId, members: [{ memberId, groupInstanceId: null, reason: null }] };
    await kafka.ask(messages.LEAVE_GROUP, 5, left);
    const asked = { memberId, memberEpoch: generationId };
    expect(await fetchAs(kafka, groupId, name, asked)).toBe(7);
  });

  test.each(TWINS)("[CLS-11] is answered of commits by hand$when", async ({ interrupt }) => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    await commit(groupId, name, {});
    await interrupt(groupStub(env, groupId));
    const asked = { memberId: "anybody", memberEpoch: 3 };
    expect(await fetchAs(kafka, groupId, name, asked)).toBe(7);
  });

  test("[CLS-11] [FIL-1] finds nothing in a group that does not exist, and makes none", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    for (const memberId of [null, "", "anybody"])
      for (const memberEpoch of [-1, 0, 1])
        expect(await fetchAs(kafka, groupId, name, { memberId, memberEpoch })).toBe(-1);
    expect(await listedGroups()).not.toContain(groupId);
  });

  test("[CLS-11] [GRP-14] is refused to a stranger of a group that a native member made", async () => {
    const { name } = await createTopic(1);
    const kafka = await Kafka.open();
    const groupId = unique("group");
    const joined = await groupStub(env, groupId).heartbeat({
      memberId: "n",
      memberEpoch: 0,
      instanceId: null,
      clientId: null,
      rebalanceTimeoutMs: 1_000,
      topics: [name],
      topicPattern: null,
      owned: [],
    });
    const memberEpoch = joined.ok ? joined.memberEpoch : -1;
    const fetched = (memberId: string) => fetchAs(kafka, groupId, name, { memberId, memberEpoch });
    expect(await fetched("n")).toBe(-1);
    expect(await fetched("x")).toBe(`error ${ERRORS.UNKNOWN_MEMBER_ID.code}`);
  });
});
