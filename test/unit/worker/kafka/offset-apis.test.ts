// Offsets as Kafka clients commit, fetch and delete them.
import { describe, expect, test, vi } from "vitest";
import { ERRORS } from "../../../../src/core/errors.ts";
import { MAX_OFFSETS_PER_COMMIT } from "../../../../src/core/limits.ts";
import { offsetCommit } from "../../../../src/worker/kafka/apis/offset-commit.ts";
import { offsetDelete } from "../../../../src/worker/kafka/apis/offset-delete.ts";
import { offsetFetch } from "../../../../src/worker/kafka/apis/offset-fetch.ts";
import {
  ask,
  asked,
  brokerOf,
  freshQuietIsolate,
  type PerPartition,
  partitionsOf,
  UNKNOWN,
} from "./kafka-bench.ts";

freshQuietIsolate();

describe("positions", () => {
  const log = { offsets: async () => ({ ok: true, logStartOffset: 2, highWatermark: 9 }) };
  const committing = (...partitions: object[]) => ({
    groupId: "g",
    memberId: "",
    groupInstanceId: null,
    generationId: -1,
    ...asked(...partitions),
  });
  const position = (partition: number, committedOffset: number, more: object = {}) => ({
    partition,
    committedOffset,
    committedLeaderEpoch: -1,
    committedMetadata: null,
    ...more,
  });

  test("[KFK-11] [OFF-13] a commit goes to the group as it is, and -1 and -2 as the log's ends", async () => {
    const commitOffsets = vi.fn(async () => ({ errorCode: 0, errorCodes: [0, 0, 0, UNKNOWN] }));
    const env = brokerOf({ t: 3 }, { partition: log, group: { commitOffsets } });
    const request = committing(
      position(0, 5, { committedLeaderEpoch: 0, committedMetadata: "m" }),
      position(1, -1),
      position(2, -2),
      position(3, -1),
    );
    expect(partitionsOf(await ask(offsetCommit, env, request))).toEqual([
      { partition: 0, errorCode: 0 },
      { partition: 1, errorCode: 0 },
      { partition: 2, errorCode: 0 },
      { partition: 3, errorCode: UNKNOWN },
    ]);
    const sent = (partition: number, offset: number) => ({
      topic: "t",
      partition,
      offset,
      metadata: "",
    });
    expect(commitOffsets.mock.calls).toEqual([
      [
        {
          token: { memberId: "", instanceId: null, generation: -1 },
          offsets: [
            { ...sent(0, 5), metadata: "m", leaderEpoch: 0 },
            sent(1, 9),
            sent(2, 2),
            sent(3, 0),
          ],
        },
      ],
    ]);
  });

  test.each([
    ["the group refuses it", async () => ({ errorCode: 25, errorCodes: [] }), 25],
    [
      "the group does not answer",
      async () => Promise.reject(new Error("Network connection lost")),
      ERRORS.COORDINATOR_NOT_AVAILABLE.code,
    ],
  ])("[KFK-11] if %s, each partition of a commit says so", async (_, commitOffsets, errorCode) => {
    const env = brokerOf({ t: 2 }, { group: { commitOffsets } });
    const request = committing(position(0, 5), position(1, 6));
    expect(partitionsOf(await ask(offsetCommit, env, request))).toEqual([
      { partition: 0, errorCode },
      { partition: 1, errorCode },
    ]);
  });

  test("[KFK-14] a commit, and a deletion, of too many offsets is rejected, each of them", async () => {
    const many = Array.from({ length: MAX_OFFSETS_PER_COMMIT + 1 }, (_, i) => position(i, 1));
    const committed = partitionsOf(
      await ask<PerPartition>(offsetCommit, brokerOf({}), committing(...many)),
    );
    expect(committed).toHaveLength(many.length);
    expect(new Set(committed.map(({ errorCode }) => errorCode))).toEqual(
      new Set([ERRORS.INVALID_REQUEST.code]),
    );
    const deletion = { groupId: "g", ...asked(...many) };
    expect(await ask(offsetDelete, brokerOf({}), deletion)).toEqual({
      errorCode: ERRORS.INVALID_REQUEST.code,
      topics: [],
    });
    const deletePositions = vi.fn(async ({ positions }: { positions: readonly object[] }) =>
      positions.map(() => 0),
    );
    const env = brokerOf({}, { group: { deletePositions } });
    const whole = { groupId: "g", ...asked(...many.slice(1)) };
    const { errorCode, topics } = await ask<PerPartition & { errorCode: number }>(
      offsetDelete,
      env,
      whole,
    );
    expect([errorCode, partitionsOf({ topics }).length]).toEqual([0, MAX_OFFSETS_PER_COMMIT]);
  });

  const found = { topic: "t", partition: 1, offset: 5, metadata: "m" };
  const shown = { partition: 1, committedOffset: 5, committedLeaderEpoch: -1, metadata: "m" };
  const none = { partition: 0, committedOffset: -1, metadata: "" };

  test.each([
    ["those that are named, each once", [{ name: "t", partitions: [0, 1, 0] }], [none, shown]],
    ["all, where none is named", null, [shown]],
  ])("[KFK-14] OffsetFetch returns %s, in every version", async (_, topics, expected) => {
    const committedOffsets = vi.fn(async () => ({ offsets: [found] }));
    const env = brokerOf({ t: 2 }, { group: { committedOffsets } });
    const old = await ask<PerPartition>(offsetFetch, env, { groupId: "g", topics }, { version: 7 });
    expect(partitionsOf(old)).toMatchObject(expected);
    const groups = [
      { groupId: "g", memberId: null, memberEpoch: -1, topics },
      { groupId: "g", memberId: "", memberEpoch: -1, topics },
      { groupId: "g", memberId: "m", memberEpoch: 3, topics },
      { groupId: "g", memberId: "", memberEpoch: 0, topics },
    ];
    const each = await ask<{ groups: PerPartition[] }>(
      offsetFetch,
      env,
      { groups },
      { version: 9 },
    );
    for (const one of each.groups) expect(partitionsOf(one)).toMatchObject(expected);
    // A member counts by its id or its epoch, and the same question is asked once.
    expect(committedOffsets.mock.calls).toEqual([
      [{ member: null }],
      [{ member: null }],
      [{ member: { memberId: "m", memberEpoch: 3 } }],
      [{ member: { memberId: "", memberEpoch: 0 } }],
    ]);
    expect(each.groups).toHaveLength(3);
  });

  test.each([
    [
      1,
      {
        topics: [
          {
            name: "t",
            partitions: [{ partition: 1, committedOffset: -1, metadata: "", errorCode: 25 }],
          },
        ],
      },
    ],
    [2, { errorCode: 25, topics: [] }],
    [7, { errorCode: 25, topics: [] }],
  ])(
    "[KFK-14] OffsetFetch %i reports an error where its version has room",
    async (version, expected) => {
      const env = brokerOf({}, { group: { committedOffsets: async () => ({ offsets: 25 }) } });
      const request = { groupId: "g", topics: [{ name: "t", partitions: [1, 1] }] };
      expect(await ask(offsetFetch, env, request, { version })).toEqual(expected);
    },
  );
});
