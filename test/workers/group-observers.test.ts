// [GRP-19] The sockets of observers of a group.
import { afterEach, describe, expect, test } from "vitest";
import { groupStub } from "../../src/env.ts";
import { CLOSE_SESSION_ENDED } from "../../src/protocol/close-codes.ts";
import type { GroupChangedMessage } from "../../src/protocol/group-events.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import {
  call,
  closeSockets,
  createTopic,
  env,
  expectStatus,
  readAs,
  TestSocket,
  TWINS,
  unique,
} from "./support.ts";

afterEach(() => closeSockets());

const observe = (group: string) =>
  TestSocket.open<GroupChangedMessage>(`/v1/groups/${group}/events`);
const isChange =
  (what: "group" | "offsets") =>
  (message: unknown): message is GroupChangedMessage =>
    (message as Partial<GroupChangedMessage>)[what] === true;

describe.each(TWINS)("whoever looks at a group$when", ({ interrupt }) => {
  test("[GRP-19] is notified of members that come and go, and of commits, and is no member", async () => {
    const topic = await createTopic(2);
    const group = unique("group");
    await readAs(group, topic, { 0: 0 });
    const observer = await observe(group);
    await interrupt(groupStub(env, group));
    const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
    member.send({ type: "join", memberId: unique("m"), memberEpoch: 0, topics: [topic.name] });
    const assigned = await member.next(
      (each): each is CoordinatorMessage & { type: "assignment" } =>
        typeof each === "object" && "type" in each && each.type === "assignment",
    );
    expect(await observer.next(isChange("group"))).toEqual({ type: "changed", group: true });
    await interrupt(groupStub(env, group));
    const offsets = [{ topicId: topic.topicId, partition: 0, offset: 0 }];
    member.send({ type: "commit", requestId: 1, memberEpoch: assigned.memberEpoch, offsets });
    expect(await observer.next(isChange("offsets"))).toMatchObject({ offsets: true });
    const { members } = await expectStatus<{ members: object[] }>(
      200,
      "GET",
      `/v1/groups/${group}`,
    );
    expect(members).toHaveLength(1);
    observer.send("whatever it says");
    await interrupt(groupStub(env, group));
    member.close();
    expect(await observer.next(isChange("group"))).toMatchObject({ group: true });
  });

  test("[GRP-19] is notified of nothing that was not stored, and its socket closes with the group", async () => {
    const topic = await createTopic(1);
    const group = unique("group");
    await readAs(group, topic, { 0: 0 });
    const observer = await observe(group);
    await interrupt(groupStub(env, group));
    await expectStatus(200, "GET", `/v1/groups/${group}`);
    expect(observer.received).toEqual([]);
    await expectStatus(204, "DELETE", `/v1/groups/${group}`);
    expect(await observer.closed).toMatchObject({ code: CLOSE_SESSION_ENDED });
  });
});

test("[GRP-19] looking at a group creates none", async () => {
  const group = unique("none");
  const headers = { upgrade: "websocket" };
  const answer = await call("GET", `/v1/groups/${group}/events`, undefined, headers);
  expect(answer).toMatchObject({ status: 404, body: { code: "GROUP_ID_NOT_FOUND" } });
  expect((await call("GET", `/v1/groups/${group}`)).status).toBe(404);
});
