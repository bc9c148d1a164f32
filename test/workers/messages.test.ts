// Sockets between two releases: the version that a client names, unknown fields and messages.
import { exports } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { groupStub, partitionStub } from "../../src/env.ts";
import {
  createTopic,
  env,
  eventually,
  ORIGIN,
  produce,
  recordBatch,
  TestSocket,
  type TopicJson,
  TWINS,
  unique,
} from "./support.ts";

type Message = Readonly<Record<string, unknown>>;

interface Kind {
  readonly kind: string;
  readonly path: (topic: TopicJson, group: string) => string;
  /** A client's first message, and the broker's response. */
  readonly first: (topic: TopicJson) => object | null;
  readonly answer: Message;
  readonly types: string;
}

const KINDS: readonly Kind[] = [
  {
    kind: "a group socket",
    path: (_, group) => `/v1/groups/${group}/socket`,
    first: ({ name }) => ({ type: "join", memberId: unique("m"), memberEpoch: 0, topics: [name] }),
    answer: { type: "assignment", partitions: [{ partition: 0 }] },
    types: "join, revoked, commit, leave",
  },
  {
    kind: "a partition socket",
    path: ({ name }) => `/v1/topics/${name}/partitions/0/socket`,
    first: () => ({ type: "attach", attachId: 7, offset: "latest" }),
    answer: { type: "attached", attachId: 7, offset: 1 },
    types: "attach, window, watch",
  },
  {
    kind: "a plain socket",
    path: ({ name }, group) => `/v1/groups/${group}/consume?topics=${name}`,
    first: () => null,
    answer: { type: "assigned", partitions: [{ partition: 0 }] },
    types: "ack, seek, pause, resume, leave, ping",
  },
];

const isMessage = (message: unknown): message is Message =>
  typeof message === "object" && message !== null && "type" in message;

describe.each(KINDS)("$kind", ({ path, first, answer, types }) => {
  async function place() {
    const topic = await createTopic(1);
    await produce(topic.name, [{ value: "a" }]);
    return { topic, group: unique("group") };
  }

  test.each(TWINS)(
    "[VER-8] answers a message of an unknown type, and continues$when",
    async ({ interrupt }) => {
      const { topic, group } = await place();
      const socket = await TestSocket.open<Message>(path(topic, group));
      const unknown = { type: "of-a-newer-release", offset: 1 };
      socket.send(unknown);
      const refused = {
        type: "error",
        code: "UNSUPPORTED_VERSION",
        errorCode: 35,
        retriable: false,
        detail: `type: must be one of ${types}; got "of-a-newer-release"`,
      };
      const isRefusal = (message: unknown): message is Message =>
        isMessage(message) && message.type === "error";
      expect(await socket.next(isRefusal)).toEqual(refused);
      const message = first(topic);
      if (message !== null) socket.send({ ...message, ofANewerRelease: { a: [1] } });
      const isAnswer = (told: unknown): told is Message =>
        isMessage(told) && told.type === answer.type;
      if (message !== null) expect(await socket.next(isAnswer)).toMatchObject(answer);
      else
        expect(
          await eventually(async () => socket.received.find(isAnswer), "the answer"),
        ).toMatchObject(answer);
      await interrupt(partitionStub(env, topic.topicId, 0), groupStub(env, group));
      socket.send(unknown);
      expect(await socket.next(isRefusal)).toEqual(refused);
      socket.close(1000, "");
      expect((await socket.closed).code).toBe(1000);
    },
  );

  test.each([
    ["in the query", "v=1", {}, null],
    ["as 0, of release 0.1", "v=0", {}, null],
    ["as a subprotocol", "", { "sec-websocket-protocol": "rivulet.v1" }, "rivulet.v1"],
    [
      "among other protocols",
      "",
      { "sec-websocket-protocol": "chat, rivulet.v1, rivulet.v9" },
      "rivulet.v1",
    ],
    ["not at all", "", {}, null],
  ])("[VER-7] accepts a version that is named %s", async (_, v, headers, selected) => {
    const { topic, group } = await place();
    const response = await upgrade(path(topic, group), v, headers);
    expect(response.status).toBe(101);
    expect(response.headers.get("sec-websocket-protocol")).toBe(selected);
    response.webSocket?.accept();
    response.webSocket?.close(1000, "");
  });

  test.each([
    ["v=2", {}, "UNSUPPORTED_VERSION", "v is 2"],
    ["", { "sec-websocket-protocol": "rivulet.v3" }, "UNSUPPORTED_VERSION", "v is 3"],
    ["v=new", {}, "INVALID_REQUEST", "v: must be a whole number"],
  ])("[VER-7] refuses the version %s %j before the upgrade", async (v, headers, code, detail) => {
    const { topic, group } = await place();
    const response = await upgrade(path(topic, group), v, headers);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code,
      detail: expect.stringContaining(detail),
    });
  });
});

function upgrade(path: string, v: string, headers: Record<string, string>): Promise<Response> {
  const url = `${ORIGIN}${path}${v === "" ? "" : `${path.includes("?") ? "&" : "?"}${v}`}`;
  return exports.default.fetch(url, { headers: { upgrade: "websocket", ...headers } });
}

test("[VER-9] an object that lacks the method of a call is waited out: the error is retriable", async () => {
  const topic = await createTopic(1);
  const stub = partitionStub(env, topic.topicId, 0) as unknown as Record<
    string,
    (request: object) => Promise<unknown>
  >;
  await expect(stub.ofANewerRelease?.({ a: 1 })).rejects.toMatchObject({
    failure: "older",
    place: { name: `partition ${topic.topicId}/0` },
  });
  const known = partitionStub(env, topic.topicId, 0);
  expect(await known.append({ batches: recordBatch(["a"]) })).toMatchObject({ baseOffset: 0 });
});
