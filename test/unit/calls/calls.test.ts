// Calls between the Worker and the objects, as two releases make them to each other.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toArguments, toRequest } from "../../../src/calls/calls.ts";
import { CLUSTER_CALLS } from "../../../src/calls/cluster-calls.ts";
import { GROUP_CALLS } from "../../../src/calls/group-calls.ts";
import { PARTITION_CALLS } from "../../../src/calls/partition-calls.ts";
import { RELAY_CALLS } from "../../../src/calls/relay-calls.ts";
import { brokerError, failureOf, ObjectError } from "../../../src/core/platform-errors.ts";

const bytes = Uint8Array.of(1, 2, 3);
const owner = { group: "g", incarnation: 1, memberEpoch: 2, memberNumber: 3 };

/** Calls as release 0.1 makes them, and as they have been since. */
const CALLS = [
  [
    "cluster",
    "createTopic",
    ["t", 2, { "retention.ms": 1 }],
    { name: "t", partitions: 2, overrides: { "retention.ms": 1 } },
  ],
  ["cluster", "alterTopic", ["t", { partitions: 3 }], { name: "t", partitions: 3 }],
  ["cluster", "alterTopic", ["t", { config: {} }], { name: "t", config: {} }],
  ["cluster", "alterDefaults", [{}], { changes: {} }],
  ["cluster", "alterDefaults", [{ changes: 1, name: 2 }], { changes: { changes: 1, name: 2 } }],
  ["cluster", "usedPartitions", [["a", "b"]], { topicIds: ["a", "b"] }],
  [
    "cluster",
    "subscribe",
    ["g", ["t"], null, true],
    { groupId: "g", names: ["t"], pattern: null, mustExist: true },
  ],
  ["cluster", "subscribe", ["g", [], "t.*"], { groupId: "g", names: [], pattern: "t.*" }],
  ["cluster", "topics", [], {}],
  ["partition", "append", [bytes], { batches: bytes }],
  [
    "partition",
    "append",
    [bytes, null, null, true],
    { batches: bytes, expectedOffset: null, keyed: null, isOwn: true },
  ],
  ["partition", "read", [{ offset: 1, maxBytes: 2 }], { offset: 1, maxBytes: 2 }],
  [
    "partition",
    "readAs",
    [owner, { offset: "latest", maxBytes: 2 }],
    { owner, offset: "latest", maxBytes: 2 },
  ],
  [
    "partition",
    "configure",
    [{ name: "t", topicId: "id" }],
    { topic: { name: "t", topicId: "id" } },
  ],
  ["partition", "beginRequest", ["k", "h", null], { key: "k", bodyHash: "h", plan: null }],
  ["group", "poll", [{ memberId: "m", acks: [] }], { memberId: "m", acks: [] }],
  ["group", "deliver", ["m", 2, []], { memberId: "m", memberEpoch: 2, deliveries: [] }],
  ["group", "changeTopic", ["t", null], { name: "t", topic: null }],
  ["group", "committedOffsets", [null], { member: null }],
  [
    "group",
    "committedOffsets",
    [{ memberId: "m", memberEpoch: 3 }],
    { member: { memberId: "m", memberEpoch: 3 } },
  ],
  ["group", "summary", [], {}],
] as const satisfies readonly (readonly [
  "cluster" | "partition" | "group",
  string,
  readonly unknown[],
  object,
])[];

describe.each(CALLS)("%s.%s %#", (kind, method, positions, request) => {
  test("[VER-9] is understood from release 0.1", () => {
    expect(toRequest(kind, method, positions)).toEqual(request);
  });

  test("[VER-9] is sent so that release 0.1 understands it", () => {
    const sent = toArguments(kind, method, request);
    // It reads this many arguments, and ignores unknown fields and arguments.
    const read = sent.slice(0, positions.length);
    expect(read).toMatchObject(positions as unknown as unknown[]);
  });

  test("[VER-9] arrives as it was made, with fields of a newer release, and by name alone", () => {
    expect(toRequest(kind, method, toArguments(kind, method, request))).toEqual(request);
    const newer = { ...request, ofANewerRelease: { a: 1 } };
    expect(toRequest(kind, method, toArguments(kind, method, newer))).toEqual(newer);
    expect(toRequest(kind, method, [{ ...newer, callsVersion: 3 }])).toEqual(newer);
  });
});

test("[VER-9] any request of named fields arrives as it was made", () => {
  const request = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue());
  const calls = CALLS.filter(([, method]) => method !== "readAs" && method !== "alterTopic");
  fc.assert(
    fc.property(fc.constantFrom(...calls), request, ([kind, method], made) => {
      fc.pre(!Object.hasOwn(made, "callsVersion") && !Object.hasOwn(made, "__proto__"));
      expect(toRequest(kind, method, toArguments(kind, method, made))).toEqual(made);
    }),
  );
});

test("[VER-9] no bytes are sent twice", () => {
  const sent = toArguments("partition", "append", { batches: bytes, isOwn: true });
  expect(sent.filter((each) => each === bytes)).toHaveLength(1);
  expect(sent.at(-1)).toEqual({ callsVersion: expect.any(Number) });
});

test("[VER-9] an object that is older than its caller says that nothing was done", () => {
  const thrown = new TypeError('The RPC receiver does not implement the method "acquire".');
  expect(failureOf(thrown)).toBe("older");
  const told = brokerError(new ObjectError(thrown, { name: "group orders", file: "f" }));
  expect(told).toMatchObject({
    code: "COORDINATOR_NOT_AVAILABLE",
    retriable: true,
    message: "group orders still runs an older release and is about to be replaced; try again",
  });
});

test("[VER-10] calls that store something each time are not repeated, and read-only calls are", () => {
  const all = { ...CLUSTER_CALLS, ...PARTITION_CALLS, ...GROUP_CALLS, ...RELAY_CALLS };
  const once = Object.keys(all).filter((method) => !all[method as keyof typeof all]);
  expect(once.sort()).toEqual([
    "acknowledge",
    "acquire",
    "append",
    "createTopic",
    "deleteApiKey",
    "deleteTopic",
    "destroy",
    "joinClassic",
    "leave",
    "leaveClassic",
    "noteAudit",
    "purgeTopic",
    "recoverTo",
    "undeleteTopic",
  ]);
  expect(PARTITION_CALLS.destroy).toBe(true); // A group's is answered with GROUP_ID_NOT_FOUND the second time.
});
