// The owners that may attach to a partition: one that its group has signed, or to which the group says it has assigned the
// partition. Each test has a twin whose objects are evicted in the middle.
import { beforeAll, describe, expect, test } from "vitest";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import type { AssignmentMessage, CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import {
  createTopic,
  env,
  isBytes,
  produce,
  signedOwner,
  signer,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

beforeAll(() => signer.load());

interface Owner {
  readonly group: string;
  readonly incarnation: number;
  readonly memberEpoch: number;
  readonly memberNumber: number;
  readonly signature?: string;
}

const FENCED = 4001;
/** The largest that the protocol takes. */
const MAX_EPOCH = 2 ** 31 - 1;
const YEAR_MS = 365 * 86_400_000;
const place = ({ topicId }: TopicJson) => ({ topicId, partition: 0 });

/** A member that reads the topic in its group, and its owner token. */
async function join(group: string, topic: TopicJson) {
  const socket = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
  socket.send({ type: "join", memberId: unique("m"), memberEpoch: 0, topics: [topic.name] });
  const assignment = await socket.next(
    (message): message is AssignmentMessage =>
      typeof message === "object" &&
      "type" in message &&
      message.type === "assignment" &&
      message.partitions.length > 0,
  );
  const { incarnation, memberEpoch, memberNumber, partitions } = assignment;
  const bare = { group, incarnation, memberEpoch, memberNumber };
  const { signature } = partitions[0] ?? {};
  if (signature === undefined) throw new Error("the group has signed nothing");
  return { socket, bare, owner: { ...bare, signature } };
}

async function attach({ name }: TopicJson, owner: Owner) {
  const path = `/v1/topics/${name}/partitions/0/socket`;
  const socket = await TestSocket.open<{ type: string }>(path);
  socket.send({ type: "attach", attachId: 1, offset: 0, windowBytes: 10_000, owner });
  return socket;
}

async function expectRefused(topic: TopicJson, owner: Owner): Promise<void> {
  const { group, memberNumber } = owner;
  const { closed } = await attach(topic, owner);
  expect(await closed, JSON.stringify(owner)).toEqual({
    code: FENCED,
    reason: `FENCED_MEMBER_EPOCH: group ${group} has not assigned this partition to member ${memberNumber}`,
  });
}

/** A topic with a record, a group, and the objects that may be evicted. */
async function scene() {
  const topic = await createTopic(1);
  await produce(topic.name, [{ value: "a" }]);
  const group = unique("group");
  const objects = [
    partitionStub(env, topic.topicId, 0),
    groupStub(env, group),
    clusterStub(env),
  ] as const;
  return { topic, group, objects };
}

describe.each(TWINS)("an owner token$when", ({ interrupt }) => {
  test("[ATT-5] that is forged, from the far future, is refused, and the honest member attaches", async () => {
    const { topic, group, objects } = await scene();
    const { owner, bare } = await join(group, topic);
    const future = Date.now() + 100 * YEAR_MS;
    const far = { memberEpoch: MAX_EPOCH, memberNumber: MAX_EPOCH };
    const forged: Owner[] = [
      { ...bare, ...far },
      { ...bare, ...far, incarnation: future },
      { ...bare, incarnation: future },
      { ...bare, memberNumber: bare.memberNumber + 1 },
    ];
    for (const each of forged) {
      await expectRefused(topic, each);
      await interrupt(...objects);
      for (const signature of ["", "AAAAAAAAAAAAAAAAAAAAAA==", owner.signature])
        await expectRefused(topic, { ...each, signature });
    }
    await interrupt(...objects);
    const honest = await attach(topic, owner);
    await honest.next(isBytes);
    // Nor do those that come once it reads.
    for (const each of forged) await expectRefused(topic, each);
    await interrupt(...objects);
    await produce(topic.name, [{ value: "b" }]);
    await honest.next(isBytes);
  });

  test("[ATT-5] of a missing group is refused, and creates none", async () => {
    const { topic, group, objects } = await scene();
    const owner = { group, incarnation: Date.now(), memberEpoch: 1, memberNumber: 1 };
    await expectRefused(topic, owner);
    await interrupt(...objects);
    await expectRefused(topic, { ...owner, signature: "AAAAAAAAAAAAAAAAAAAAAA==" });
    expect(await clusterStub(env).hasGroup({ groupId: group })).toBe(false);
  });

  test.each<[string, object]>([
    ["partition", { partition: 1 }],
    ["topic", { topicId: crypto.randomUUID() }],
    ["group", { group: "another" }],
    ["incarnation", { incarnation: 1 }],
    ["epoch", { memberEpoch: 1 }],
    ["member", { memberNumber: 1 }],
  ])("[ATT-5] whose signature is for another %s is refused", async (_, other) => {
    const { topic, group, objects } = await scene();
    const { owner: honest } = await join(group, topic);
    // One that the group does not know, so that the signature alone decides.
    const owner = { group, incarnation: Date.now(), memberEpoch: 7, memberNumber: 7 };
    const { topicId, partition, ...fields } = { ...owner, ...place(topic), ...other };
    const { signature } = signedOwner(fields, { topicId, partition });
    await interrupt(...objects);
    await expectRefused(topic, { ...owner, signature });
    await interrupt(...objects);
    await (await attach(topic, honest)).next(isBytes);
  });

  test.each(["no", "another epoch's"])(
    "[ATT-5] of a member, at an epoch that the group has not reached, with %s signature, does not fence it out",
    async (which) => {
      const { topic, group, objects } = await scene();
      const { owner, bare } = await join(group, topic);
      const ahead = { ...bare, memberEpoch: bare.memberEpoch + 1_000 };
      const { signature } = owner;
      const forged = which === "no" ? ahead : { ...ahead, signature };
      const forger = await attach(topic, forged);
      await forger.until(() => forger.received.length > 0, "an answer").catch(() => {});
      await interrupt(...objects);
      const honest = await attach(topic, owner);
      await honest.next(isBytes);
      await expectRefused(topic, forged);
    },
  );

  test.each(["still reads", "has gone"])(
    "[ATT-5] of an older epoch that is replayed is refused when the newer owner %s",
    async (what) => {
      const { topic, group, objects } = await scene();
      const first = await join(group, topic);
      const reader = await attach(topic, first.owner);
      await reader.next(isBytes);
      first.socket.send({ type: "leave" });
      await first.socket.closed;
      const second = await join(group, topic);
      expect(second.bare.memberEpoch).toBeGreaterThan(first.bare.memberEpoch);
      await interrupt(...objects);
      const newer = await attach(topic, second.owner);
      await newer.next(isBytes);
      expect(await reader.closed).toMatchObject({ code: FENCED });
      if (what === "has gone") {
        newer.close(1000);
        await newer.closed;
      }
      await interrupt(...objects);
      const replayed = await attach(topic, first.owner);
      const { code, reason } = await replayed.closed;
      expect(code).toBe(FENCED);
      expect(reason).not.toContain("has not assigned"); // It is signed, and older.
      expect(replayed.received).toEqual([]);
      if (what === "has gone") return;
      await produce(topic.name, [{ value: "b" }]);
      await newer.next(isBytes);
    },
  );

  test("[ATT-5] without a signature, as from a client of release 0.2, is admitted if the group knows it", async () => {
    const { topic, group, objects } = await scene();
    const first = await join(group, topic);
    await interrupt(...objects);
    const reader = await attach(topic, first.bare);
    await reader.next(isBytes);
    await interrupt(...objects);
    await produce(topic.name, [{ value: "b" }]);
    await reader.next(isBytes);
    first.socket.send({ type: "leave" });
    await first.socket.closed;
    await interrupt(...objects);
    await expectRefused(topic, first.bare);
    const second = await join(group, topic);
    await interrupt(...objects);
    await expectRefused(topic, first.bare);
    await (await attach(topic, second.bare)).next(isBytes);
  });
});
