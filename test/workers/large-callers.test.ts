// The largest possible credentials: whatever letters their names have, each kind of socket keeps its opener, with the
// longest of its other data, across hibernation. Larger ones are rejected where they are made.

import { runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Caller } from "../../src/core/access/caller.ts";
import type { Grant } from "../../src/core/access/grants.ts";
import { whyNotKept } from "../../src/core/access/kept-caller.ts";
import { confined } from "../../src/core/access/namespace.ts";
import { callerOfKey } from "../../src/core/access/stored-key.ts";
import { MAX_CALLER_BYTES, MAX_GRANTS, MAX_GRANTS_BYTES } from "../../src/core/limits.ts";
import { clusterStub, groupStub, partitionStub } from "../../src/env.ts";
import type { AssignmentMessage } from "../../src/protocol/group-socket.ts";
import {
  call,
  closeSockets,
  createTopic,
  env,
  evict,
  expectStatus,
  isBytes,
  ORIGIN,
  produce,
  signer,
  TestSocket,
  type TopicJson,
  unique,
} from "./support.ts";

afterEach(() => closeSockets());
beforeAll(() => signer.load());

/** The platform's bound on an attachment. */
const MAX_ATTACHMENT_BYTES = 16_384;
const NAMESPACE = `${"n".repeat(63)}.`;
const QUOTA = {
  producerByteRate: 1_000_000_000_000,
  consumerByteRate: 1_000_000_000_000,
  requestRate: 1_000_000_000_000,
  connections: 1_000_000_000_000,
};
const SCRIPTS = [
  ["ASCII", "x"],
  ["Latin-1", "é"],
  ["CJK", "語"],
  ["emoji", "🚀"],
] as const;

const ALL: Grant[] = [
  { topics: { prefix: "" }, operations: ["READ", "WRITE"] },
  { groups: { prefix: "" }, operations: ["READ"] },
];

/** This many grants with names of this many letters between them. The first two are on everything in the namespace. */
function grantsOf(letter: string, letters: number, count: number = MAX_GRANTS): Grant[] {
  const others = count - ALL.length;
  const named = Array.from({ length: others }, (_, i): Grant => {
    const length = Math.floor(letters / others) + (i < letters % others ? 1 : 0);
    return { topics: { prefix: letter.repeat(length) }, operations: ["READ"] };
  });
  return [...ALL, ...named];
}

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;

/** The most letters that a key may have. */
function mostLetters(letter: string, principal: string): number {
  const isGood = (letters: number) => {
    const grants = grantsOf(letter, letters);
    const id = "i".repeat(16);
    const known = { id, principal: `User:${principal}`, grants, namespace: NAMESPACE };
    const caller = callerOfKey({ ...known, expiresAtMs: null });
    return bytesOf(grants) <= MAX_GRANTS_BYTES && whyNotKept(caller) === null;
  };
  let letters = 0;
  while (isGood(letters + 1)) letters++;
  return letters;
}

type Message = { readonly type: string } & Partial<AssignmentMessage>;
const is =
  (type: string) =>
  (message: Message | Uint8Array | "pong"): message is Message =>
    typeof message === "object" && "type" in message && message.type === type;
const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });

async function open(path: string, credential: string): Promise<TestSocket<Message>> {
  const headers = { upgrade: "websocket", ...bearer(credential) };
  const response = await exports.default.fetch(`${ORIGIN}${path}`, { headers });
  const { webSocket } = response;
  if (webSocket === null) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  const socket = new TestSocket<Message>(webSocket, () => {});
  webSocket.accept();
  return socket;
}

interface Made {
  readonly id: string;
  readonly key: string;
}

const outsideOf = ({ name }: TopicJson) => name.slice(NAMESPACE.length);

/** A member of a group with the longest id, which reads the topic. Its sockets are evicted in the middle. */
async function readsInGroup(topic: TopicJson, credential: string, letter: string): Promise<void> {
  const tag = unique("g");
  const letters = Math.floor((255 - NAMESPACE.length - tag.length) / letter.length);
  const group = `${tag}${letter.repeat(letters)}`;
  const memberId = letter.repeat(Math.floor(255 / letter.length));
  const member = await open(`/v1/groups/${encodeURIComponent(group)}/socket`, credential);
  member.send({ type: "join", memberId, memberEpoch: 0, topics: [outsideOf(topic)] });
  const { incarnation, memberEpoch, memberNumber, sessionTimeoutMs, partitions } =
    await member.next(
      (message): message is Message =>
        is("assignment")(message) && (message.partitions?.length ?? 0) > 0,
    );
  const path = `/v1/topics/${outsideOf(topic)}/partitions/0/socket`;
  const reader = await open(path, credential);
  const signature = partitions?.[0]?.signature;
  const owner = { group, incarnation, memberEpoch, memberNumber, sessionTimeoutMs, signature };
  const attachId = Number.MAX_SAFE_INTEGER;
  reader.send({ type: "attach", attachId, offset: "latest", owner });
  await reader.next(is("attached"));
  await evict(partitionStub(env, topic.topicId, 0));
  await evict(groupStub(env, NAMESPACE + group));
  await produce(topic.name, [{ value: "a" }]);
  await reader.next(isBytes);
  const offsets = [{ topicId: topic.topicId, partition: 0, offset: 1 }];
  member.send({ type: "commit", requestId: 1, memberEpoch, offsets });
  expect(await member.next(is("committed"))).toMatchObject({ rejected: [] });
}

async function readsStream(topic: TopicJson, credential: string): Promise<void> {
  const path = `/v1/topics/${outsideOf(topic)}/stream?from=earliest`;
  const socket = await open(path, credential);
  await socket.next(is("records"));
  const { body } = await exports.default.fetch(`${ORIGIN}${path}`, { headers: bearer(credential) });
  const events = (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/^data:/m.test(text)) {
    const { value, done } = await events.read();
    if (done) throw new Error(`the stream ended: ${text}`);
    text += value;
  }
  expect(text).not.toContain("event: error");
  await events.cancel();
}

describe.each(SCRIPTS)("the largest credential in %s", (_script, letter) => {
  const principal = letter.repeat(256 / letter.length);
  const letters = mostLetters(letter, principal);

  test("[ACL-9] a key opens every kind of socket, and one with a letter more is refused by its size", async () => {
    const topic = await createTopic(1, {}, NAMESPACE + unique("t"));
    const grants = grantsOf(letter, letters);
    const body = { principal, grants, namespace: NAMESPACE, quota: QUOTA };
    const { id, key } = await expectStatus<Made>(201, "POST", "/v1/keys", body);
    await readsInGroup(topic, key, letter);
    await readsStream(topic, key);
    const larger = grantsOf(letter, letters + 1);
    const inside = confined(larger, NAMESPACE);
    const isWritten = bytesOf(larger) <= MAX_GRANTS_BYTES;
    const bound = isWritten ? MAX_CALLER_BYTES : MAX_GRANTS_BYTES;
    for (const [method, path, asked] of [
      ["POST", "/v1/keys", { ...body, grants: larger }],
      ["PATCH", `/v1/keys/${id}`, { grants: larger }],
    ] as const) {
      const { status, body: said } = await call<{ detail: string }>(method, path, asked);
      expect(status).toBe(400);
      expect(said.detail).toMatch(new RegExp(`^grants: .*\\b${bound}\\b`));
      const size = isWritten ? bytesOf(inside) : bytesOf(larger);
      const told = (said.detail.match(/\d+/g) ?? []).map(Number);
      expect(told.some((each) => each >= size)).toBe(true);
    }
    await expectStatus(200, "PATCH", `/v1/keys/${id}`, { grants });
  });

  test("[ACL-9] a token opens every kind of socket", async () => {
    const topic = await createTopic(1, {}, NAMESPACE + unique("t"));
    const made = { principal, grants: ALL, namespace: NAMESPACE, quota: QUOTA };
    const { key } = await expectStatus<Made>(201, "POST", "/v1/keys", made);
    // A token's own bound of 4,096 characters is what ends it.
    let token = "";
    for (let count = ALL.length; ; count += 4) {
      const asked = { grants: grantsOf(letter, count, count), subject: principal, quota: QUOTA };
      const answer = await call<{ token: string }>("POST", "/v1/tokens", asked, bearer(key));
      if (answer.status !== 200) break;
      token = answer.body.token;
    }
    await readsInGroup(topic, token, letter);
    await readsStream(topic, token);
  });

  test("[ACL-9] the longest of a socket's other data leaves room in its attachment", async () => {
    const topic = await createTopic(1, {}, NAMESPACE + unique("t"));
    const grants = confined(grantsOf(letter, letters), NAMESPACE);
    const caller: Caller = {
      principal: `User:${principal}`,
      grants,
      expiresAtMs: null,
      keyId: null,
    };
    expect(whyNotKept(caller)).toBeNull();
    const numbers = Number.MAX_SAFE_INTEGER;
    const group = letter.repeat(Math.floor(255 / letter.length));
    const owner = { group, incarnation: numbers, memberEpoch: numbers, memberNumber: numbers };
    const tail = { nextOffset: numbers, windowBytes: numbers, maxWindowBytes: numbers, owner };
    const times = { heardMs: numbers, sessionTimeoutMs: numbers, isStopped: true };
    const longId = letter.repeat(Math.floor(292 / letter.length));
    const states = [
      { attachId: numbers, tail, ...times },
      { watches: longId, openedAtMs: numbers, sessionTimeoutMs: numbers },
      {
        memberId: longId,
        memberNumber: numbers,
        sessionTimeoutMs: numbers,
        joinedAtMs: numbers,
        movedAtMs: numbers,
      },
    ];
    const stub = partitionStub(env, topic.topicId, 0);
    await runInDurableObject(stub, (_, state) => {
      const { 1: server } = new WebSocketPair();
      state.acceptWebSocket(server);
      const bytes = new Uint8Array(MAX_CALLER_BYTES);
      for (const each of states) server.serializeAttachment({ ...each, caller: bytes });
      expect(() => server.serializeAttachment(new Uint8Array(MAX_ATTACHMENT_BYTES))).toThrow(
        `${MAX_ATTACHMENT_BYTES} bytes`,
      );
      server.close();
    });
  });
});

test("[ACL-9] a too large key of an earlier release is told so by every socket, and may be fixed", async () => {
  const topic = await createTopic(1, {}, NAMESPACE + unique("t"));
  const asked = { principal: "old", grants: ALL, namespace: NAMESPACE };
  const { id, key } = await expectStatus<Made>(201, "POST", "/v1/keys", asked);
  const stored = (await clusterStub(env).apiKey({ id })).key;
  if (stored === null) throw new Error("the key is not stored");
  // Each of them becomes three, with the namespace in two.
  const cluster: Grant[] = Array(MAX_GRANTS - ALL.length).fill({ cluster: ["ALL"] });
  const grants = [...ALL, ...cluster];
  await clusterStub(env).putApiKey({ key: { ...stored, grants } });
  const refused = {
    status: 400,
    body: {
      code: "INVALID_REQUEST",
      detail: expect.stringMatching(/^grants: .* bytes, the bound/),
    },
  };
  const upgrade = { upgrade: "websocket" };
  const at = `/v1/topics/${outsideOf(topic)}`;
  for (const [path, headers] of [
    [`${at}/partitions/0/socket`, upgrade],
    [`/v1/groups/${unique("g")}/socket`, upgrade],
    [`/v1/groups/${unique("g")}/consume?topics=${outsideOf(topic)}`, upgrade],
    [`${at}/stream`, upgrade],
    [`${at}/stream`, {}],
  ] as const)
    expect(await call("GET", path, undefined, { ...headers, ...bearer(key) }), path).toMatchObject(
      refused,
    );
  // Requests without a socket continue.
  await expectStatus(200, "GET", `${at}/partitions/0/records`, undefined, bearer(key));
  await expectStatus(200, "PATCH", `/v1/keys/${id}`, { expiresAt: Date.now() + 3_600_000 });
  expect(await call("PATCH", `/v1/keys/${id}`, { grants })).toMatchObject(refused);
  expect(await call("POST", "/v1/keys", { ...asked, grants })).toMatchObject(refused);
  const token = await call("POST", "/v1/tokens", { grants: cluster.slice(0, 90) }, bearer(key));
  expect(token).toMatchObject(refused);
  await expectStatus(200, "PATCH", `/v1/keys/${id}`, { grants: ALL });
  await (await open(`${at}/partitions/0/socket`, key)).close();
});
