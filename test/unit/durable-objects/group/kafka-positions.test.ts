// The calls of Kafka clients about a group's committed offsets, over a cluster whose responses the test makes. The tests
// show what is decided before it is asked, and what again afterward.
import { describe, expect, test } from "vitest";
import { ERRORS, type ErrorName, KAFKA_ERRORS } from "../../../../src/core/errors.ts";
import { MAX_OFFSET_METADATA_LENGTH } from "../../../../src/core/limits.ts";
import { consumerSubscription } from "../../../support/classic-bytes.ts";
import {
  BY_HAND,
  beat,
  KafkaMembersRig,
  LOST,
  OUT_OF_REACH,
  offset,
  standingDate,
} from "../../../support/kafka-members-rig.ts";

standingDate();

const { NONE } = KAFKA_ERRORS;
const codeOf = (name: ErrorName) => ERRORS[name].code;

function committed(rig: KafkaMembersRig): Record<string, number> {
  const { offsets } = rig.state;
  return Object.fromEntries(Array.from(offsets, ([key, each]) => [key, each.offset]));
}

describe("commits", () => {
  test("[CLS-6] each offset has its own code, in its place, and a wrong one stops no other", async () => {
    const rig = new KafkaMembersRig();
    const long = "m".repeat(MAX_OFFSET_METADATA_LENGTH);
    const answer = await rig.kafka.commitOffsets(BY_HAND, [
      offset("t", 0, { offset: -1 }),
      offset("nobodys"),
      offset("t", 2, { offset: 0, metadata: long }),
      offset("t", 3),
      offset("t", -1),
      offset("u", 1, { metadata: `${long}m` }),
      offset("t", 1, { offset: Number.MAX_SAFE_INTEGER }),
      offset("t", 1, { offset: Number.MAX_SAFE_INTEGER + 1 }),
      offset("u", 1, { offset: 7, leaderEpoch: 0 }),
    ]);
    const unknown = codeOf("UNKNOWN_TOPIC_OR_PARTITION");
    const invalid = codeOf("INVALID_REQUEST");
    expect(answer).toEqual({
      errorCode: NONE,
      errorCodes: [
        ...[invalid, unknown, NONE, unknown, unknown],
        ...[KAFKA_ERRORS.OFFSET_METADATA_TOO_LARGE, NONE, invalid, NONE],
      ],
    });
    expect(committed(rig)).toEqual({ "t:2": 0, "t:1": Number.MAX_SAFE_INTEGER, "u:1": 7 });
    expect(rig.kafka.committedOffsets(null).offsets).toEqual([
      { topic: "t", partition: 2, offset: 0, metadata: long },
      { topic: "t", partition: 1, offset: Number.MAX_SAFE_INTEGER, metadata: "" },
      { topic: "u", partition: 1, offset: 7, metadata: "", leaderEpoch: 0 },
    ]);
    expect(rig.asked).toEqual([["nobodys", "t", "u"]]);
    expect(rig.steps).toEqual(["stored", "told"]);
  });

  test("[GRP-13] if nothing of a commit is legal, nobody is asked, and nothing is created", async () => {
    const rig = new KafkaMembersRig();
    const answer = await rig.kafka.commitOffsets(BY_HAND, [offset("t", 0, { offset: -1 })]);
    expect(answer.errorCodes).toEqual([codeOf("INVALID_REQUEST")]);
    expect([rig.asked, rig.exists]).toEqual([[], false]);
    expect(rig.steps).toEqual(["told"]); // Nothing was listed, so nothing must be unlisted.
  });

  test("[GRP-13] if nothing of a commit counts, the group is unlisted, and knows no topic", async () => {
    const rig = new KafkaMembersRig();
    const answer = await rig.kafka.commitOffsets(BY_HAND, [offset("t", 3), offset("x")]);
    expect(answer.errorCodes).toEqual(Array(2).fill(codeOf("UNKNOWN_TOPIC_OR_PARTITION")));
    expect(rig.steps).toEqual(["told", "unlisted"]);
    expect([rig.exists, rig.state.topics.size]).toEqual([false, 0]);
  });

  test("[GRP-13] a topic without a commit is not learned, and a known one not asked for", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.commitOffsets(BY_HAND, [offset("t"), offset("u", 9)]);
    expect([...rig.state.topics.keys()]).toEqual(["t"]);
    await rig.kafka.commitOffsets(BY_HAND, [offset("t", 1), offset("u", 1), offset("no/name")]);
    expect(rig.asked).toEqual([["t", "u"], ["u"]]);
    expect([...rig.state.topics.keys()]).toEqual(["t", "u"]);
    await rig.kafka.commitOffsets(BY_HAND, [offset("t", 2)]);
    expect(rig.asked).toHaveLength(2);
  });

  test("[OFF-10] a group that is committed to by hand is empty from then on, and stays so", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.commitOffsets(BY_HAND, [offset("t")]);
    expect(rig.state.emptySinceMs).not.toBe(null);
    const { a } = { a: await rig.settledClassic() };
    expect(rig.state.emptySinceMs).toBe(null);
    await rig.kafka.commitOffsets(a, [offset("t", 1)]);
    expect(rig.state.emptySinceMs).toBe(null);
  });

  test("[CLS-6] with an unreachable cluster the commit may be retried, with lost data it may not", async () => {
    const rig = new KafkaMembersRig();
    rig.refusal = OUT_OF_REACH;
    expect(await rig.kafka.commitOffsets(BY_HAND, [offset("t")])).toEqual({
      errorCode: codeOf("COORDINATOR_NOT_AVAILABLE"),
      errorCodes: [],
    });
    rig.refusal = LOST;
    await expect(rig.kafka.commitOffsets(BY_HAND, [offset("t")])).rejects.toMatchObject({
      code: "KAFKA_STORAGE_ERROR",
      retriable: false,
    });
    expect(committed(rig)).toEqual({});
  });

  test.each([
    { who: "a native member", isThere: true, join: (rig: KafkaMembersRig) => rig.joinNative("a") },
    {
      who: "a classic member",
      isThere: true,
      join: (rig: KafkaMembersRig) => {
        rig.alterConfig({ "group.max.size": 9 });
        rig.joinAtOnce();
      },
    },
    {
      who: "a classic member, of a group that stores nothing yet",
      isThere: false,
      join: (rig: KafkaMembersRig) => {
        rig.joinAtOnce();
        rig.state.incarnation = 0;
      },
    },
  ])("[CLS-6] [GRP-14] $who that joins meanwhile voids a commit by hand", async (row) => {
    const rig = new KafkaMembersRig();
    rig.meanwhile = () => {
      row.join(rig);
      rig.steps.length = 0;
    };
    expect(await rig.kafka.commitOffsets(BY_HAND, [offset("t")])).toEqual({
      errorCode: codeOf("UNKNOWN_MEMBER_ID"),
      errorCodes: [],
    });
    expect(committed(rig)).toEqual({});
    expect(rig.steps).toEqual(row.isThere ? ["told"] : ["told", "unlisted"]);
  });

  test("[CLS-6] a classic member commits at its generation, even backward, and at no other", async () => {
    const rig = new KafkaMembersRig();
    const token = await rig.settledClassic();
    await rig.kafka.commitOffsets(token, [offset("t", 0, { offset: 9 })]);
    await rig.kafka.commitOffsets(token, [offset("t", 0, { offset: 3 })]);
    expect(committed(rig)).toEqual({ "t:0": 3 });
    const older = { ...token, generation: token.generation - 1 };
    rig.asked.length = 0;
    await rig.kafka.commitOffsets(older, [offset("u")]);
    expect(rig.asked, "it is refused before").toEqual([]);
    expect(await rig.kafka.commitOffsets(older, [offset("t")])).toEqual({
      errorCode: KAFKA_ERRORS.ILLEGAL_GENERATION,
      errorCodes: [],
    });
    expect(committed(rig)).toEqual({ "t:0": 3 });
  });

  test("[CLS-9] commits to a deleted topic are rejected, and no others", async () => {
    const rig = new KafkaMembersRig();
    const token = await rig.settledClassic();
    await rig.kafka.commitOffsets(token, [offset("t")]);
    rig.changeTopic("t", null);
    const answer = await rig.kafka.commitOffsets(token, [
      offset("t"),
      offset("u", 0, { offset: -1 }),
      offset("u"),
    ]);
    expect(answer.errorCodes).toEqual([
      KAFKA_ERRORS.ILLEGAL_GENERATION,
      codeOf("INVALID_REQUEST"),
      NONE,
    ]);
    expect(committed(rig)).toEqual({ "u:0": 5 });
  });

  test("[OFF-11] a member that heartbeats commits what is its own, at its epoch", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m"));
    const token = { memberId: "m", instanceId: null, generation: 1 };
    const answer = await rig.kafka.commitOffsets(token, [offset("t", 1), offset("u")]);
    expect(answer).toEqual({ errorCode: NONE, errorCodes: [NONE, codeOf("FENCED_MEMBER_EPOCH")] });
    expect(committed(rig)).toEqual({ "t:1": 5 });
    const ahead = { ...token, generation: 2 };
    expect(await rig.kafka.commitOffsets(ahead, [offset("t")])).toEqual({
      errorCode: codeOf("STALE_MEMBER_EPOCH"),
      errorCodes: [],
    });
    // It may go back: its seeks are not known here.
    await rig.kafka.commitOffsets(token, [offset("t", 1, { offset: 2 })]);
    expect(committed(rig)).toEqual({ "t:1": 2 });
  });
});

describe("positions", () => {
  test("[KFK-14] each committed offset is deleted or refused by itself, even in a topic that is read", async () => {
    const rig = new KafkaMembersRig();
    expect(await rig.kafka.deletePositions([{ topic: "t", partition: 0 }])).toBe(
      codeOf("GROUP_ID_NOT_FOUND"),
    );
    await rig.kafka.commitOffsets(BY_HAND, [offset("t"), offset("t", 1), offset("u")]);
    rig.joinNative("m", { topics: ["u"] });
    const positions = [
      { topic: "u", partition: 0 },
      { topic: "t", partition: 1 },
      { topic: "x", partition: 0 },
      { topic: "t", partition: 2 },
    ];
    expect(await rig.kafka.deletePositions(positions)).toEqual([
      codeOf("GROUP_SUBSCRIBED_TO_TOPIC"),
      NONE,
      codeOf("UNKNOWN_TOPIC_OR_PARTITION"),
      NONE,
    ]);
    expect(committed(rig)).toEqual({ "t:0": 5, "u:0": 5 });
  });

  test("[KFK-14] committed offsets in topics that a classic consumer subscribes to are kept, others are not", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.commitOffsets(BY_HAND, [offset("t"), offset("u")]);
    const protocols = [{ name: "range", metadata: consumerSubscription("t") }];
    await rig.settledClassic({ protocols });
    const positions = ["t", "u"].map((topic) => ({ topic, partition: 0 }));
    expect(await rig.kafka.deletePositions(positions)).toEqual([
      codeOf("GROUP_SUBSCRIBED_TO_TOPIC"),
      NONE,
    ]);
    expect(committed(rig)).toEqual({ "t:0": 5 });
    expect(await rig.kafka.deletePositions([])).toEqual([]);
  });

  test("[KFK-14] if members of another protocol are there, none is deleted", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.commitOffsets(BY_HAND, [offset("t")]);
    await rig.settledClassic({ protocolType: "connect" });
    expect(await rig.kafka.deletePositions([{ topic: "t", partition: 0 }])).toBe(
      codeOf("NON_EMPTY_GROUP"),
    );
    expect(committed(rig)).toEqual({ "t:0": 5 });
  });

  test("[CLS-11] committed offsets are returned to callers that name nobody, and to members at their epoch", async () => {
    const rig = new KafkaMembersRig();
    await rig.kafka.heartbeat(beat("m"));
    const ask = (memberId: string, memberEpoch: number) =>
      rig.kafka.committedOffsets({ memberId, memberEpoch }).offsets;
    expect(rig.kafka.committedOffsets(null)).toEqual({ offsets: [] });
    expect(ask("m", 1)).toEqual([]);
    expect(ask("m", 2)).toBe(codeOf("STALE_MEMBER_EPOCH"));
    expect(ask("n", 1)).toBe(codeOf("UNKNOWN_MEMBER_ID"));
  });
});
