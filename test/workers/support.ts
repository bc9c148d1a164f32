// Shared by the tests inside workerd: requests to the Worker, sockets with a message queue, eviction, and waiting for
// conditions. Nothing here sleeps: every wait is for an event, with a guard on top.
import {
  evictDurableObject,
  reset,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env as bindings, exports } from "cloudflare:workers";
import { expect, type MockInstance, vi } from "vitest";
import { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
import { Notes } from "../../durable-objects/shared/notes.ts";
import { OwnerSigner, type SignedOwner } from "../../durable-objects/shared/owner-signature.ts";
import { WALL_CLOCK } from "../../durable-objects/shared/wall-clock.ts";
import { CLUSTER_CALLS } from "../../src/calls/cluster-calls.ts";
import { OBJECT_SOCKET_URL, upgradeFor } from "../../src/calls/socket-caller.ts";
import { decodeAnyBatch } from "../../src/compression/decode.ts";
import { ANYBODY } from "../../src/core/access/caller.ts";
import {
  batches,
  type Compressor,
  decodeBatch,
  encodeBatch,
} from "../../src/core/log/record-batch.ts";
import type { ConsumerRecord } from "../../src/core/record.ts";
import { type Env, partitionStub, withCaller } from "../../src/env.ts";
import type { CoordinatorMessage } from "../../src/protocol/group-socket.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";

/** The bindings, for code that runs with all rights. */
export const env: Env = withCaller(bindings, ANYBODY);

/** The header with which the Worker opens a socket of an object for such a caller. */
export const UPGRADE = new Request(OBJECT_SOCKET_URL, upgradeFor(ANYBODY));

/** Signs as the groups of this broker do. A test loads it in `beforeAll`. */
export let signer = newSigner();

function newSigner(): OwnerSigner {
  return new OwnerSigner(env, new Notes({ exec: () => [] }, () => false));
}

/** Deletes all objects, and what is known of them outside. The next test finds a broker that has just been deployed. */
export async function startAnew(): Promise<void> {
  await reset();
  forgetEverything();
  signer = newSigner();
}

/** An owner token as the group gives it to the member that owns the partition. */
export function signedOwner<O extends Omit<SignedOwner, "topicId" | "partition">>(
  owner: O,
  { topicId, partition }: Pick<SignedOwner, "topicId" | "partition">,
): O & { readonly signature: string } {
  const { group, incarnation, memberEpoch, memberNumber } = owner;
  const token = { group, incarnation, memberEpoch, memberNumber, topicId, partition };
  const signature = signer.sign(token);
  if (signature === null) throw new Error("the signer is not loaded");
  return { ...owner, signature };
}

/** Ends a wait that would never end. Far above what anything here takes, below the test's own timeout. */
const GUARD_MS = 10_000;
const POLL_MS = 10;
/** A long wait asks less often, because each question takes time from what is waited for. */
const MAX_POLL_MS = 50;
/** No task of the cluster waits longer for its next try. */
const LONGEST_WAIT_MS = 60 * 60_000;

// Eviction.

/**
 * Evicts the object; its sockets hibernate, or close, and its storage stays. On a busy machine the runtime gives up before
 * the object has ended its work, so it is asked again.
 */
export async function evict(
  stub: DurableObjectStub,
  webSockets: "hibernate" | "close" = "hibernate",
): Promise<void> {
  const deadlineMs = performance.now() + GUARD_MS;
  for (;;) {
    try {
      return await evictDurableObject(stub, { webSockets });
    } catch (error) {
      const isBusy = String(error).includes("Timed out waiting to evict");
      if (!isBusy || performance.now() > deadlineMs) throw error;
    }
  }
}

/** A test as it is, and its twin in which the objects are evicted in the middle and nobody may notice. */
export const TWINS: readonly {
  readonly when: string;
  readonly interrupt: (...stubs: readonly DurableObjectStub[]) => Promise<void>;
}[] = [
  { when: "", interrupt: async () => {} },
  {
    when: " (evicted in the middle)",
    interrupt: async (...stubs) => {
      for (const stub of stubs) await evict(stub).catch(unlessOutOfMemory);
    },
  },
];

function unlessOutOfMemory(error: unknown): void {
  if (!String(error).includes("not currently running")) throw error;
}

// Storage.

/**
 * Matching statements of this object fail from now on, until the returned function is called, which returns the number of
 * failures.
 */
export function refuse(
  stub: DurableObjectStub,
  pattern: RegExp,
  onRefused: () => void = () => {},
): Promise<() => number> {
  return runInDurableObject(stub, (_, { storage }) => {
    const { sql } = storage;
    const exec = sql.exec.bind(sql);
    let refused = 0;
    sql.exec = ((query: string, ...bindings: unknown[]) => {
      if (!pattern.test(query)) return exec(query, ...bindings);
      refused++;
      onRefused();
      throw new Error("database or disk is full: SQLITE_FULL");
    }) as typeof sql.exec;
    return () => {
      Reflect.deleteProperty(sql, "exec");
      return refused;
    };
  });
}

// Races.

type Asked = keyof ClusterObject &
  (
    | "isGroupMade"
    | "noteGroupMade"
    | "noteLogEnd"
    | "retireIncarnation"
    | "subscribe"
    | "usePartition"
  );

/**
 * The cluster's next call of this method begins only when the action is done, so that happens while somebody waits for the
 * cluster. The action runs in the cluster object and needs its own stubs.
 */
export function whileAsked(method: Asked, action: () => Promise<unknown>): void {
  type Call = (...parameters: unknown[]) => unknown;
  const original = ClusterObject.prototype[method] as Call;
  const spy = vi.spyOn(ClusterObject.prototype, method) as unknown as MockInstance<Call>;
  spy.mockImplementationOnce(async function (this: unknown, ...parameters) {
    spy.mockRestore();
    await action();
    return original.apply(this, parameters);
  });
}

/** From now on an object with this storage sees a wall clock that is off by this much. */
export function shiftWall(sql: SqlStorage, ms: number): void {
  setWall(sql, () => Date.now() + ms);
}

/** From now on an object with this storage sees a wall clock that has stopped at this time. */
export function stopWall(sql: SqlStorage, atMs: number): void {
  setWall(sql, () => atMs);
}

function setWall(sql: SqlStorage, now: () => number): void {
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: unknown[]) =>
    query === WALL_CLOCK ? [{ ms: now() }] : exec(query, ...bindings)) as never;
}

/** Rings the cluster's alarm when every waiting retry is due. */
export async function ringLater(cluster: DurableObjectStub): Promise<void> {
  const later = (ms: number) =>
    runInDurableObject(cluster, (_, { storage }) => {
      Reflect.deleteProperty(storage.sql, "exec");
      if (ms > 0) shiftWall(storage.sql, ms);
    });
  await later(LONGEST_WAIT_MS);
  await runDurableObjectAlarm(cluster);
  await later(0);
}

// Waiting.

export async function guarded<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: number | null = null;
  const guard = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${GUARD_MS} ms for ${what}`)), GUARD_MS);
  });
  try {
    return await Promise.race([promise, guard]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks until the answer is neither null, undefined nor false. For conditions that no message announces. */
export async function eventually<T>(
  ask: () => Promise<T | null | undefined | false>,
  what: string,
): Promise<T> {
  const deadlineMs = performance.now() + GUARD_MS;
  for (let pauseMs = POLL_MS; ; pauseMs = Math.min(pauseMs * 1.2, MAX_POLL_MS)) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadlineMs) throw new Error(`waited ${GUARD_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

// Names.

let used = 0;

/** Tests of a file share their storage, so each takes its own names. */
export function unique(prefix: string): string {
  return `${prefix}-${++used}-${crypto.randomUUID().slice(0, 8)}`;
}

// HTTP.

export interface Answer<Body> {
  readonly status: number;
  readonly contentType: string | null;
  readonly body: Body;
}

export const ORIGIN = "https://localhost";

/** `body`: a string or bytes as they are, anything else as JSON. The response's body is parsed, if any. */
export async function call<Body>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<Body>> {
  const isPlain = typeof body === "string" || body instanceof Uint8Array;
  const response = await exports.default.fetch(`${ORIGIN}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: isPlain ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    contentType: response.headers.get("content-type"),
    body: (text === "" ? null : JSON.parse(text)) as Body,
  };
}

/** Like `call`, and the test fails unless the response has this status. */
export async function expectStatus<Body>(
  status: number,
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<Body> {
  const answer = await call<Body>(method, path, body, headers);
  expect(answer, `${method} ${path}`).toMatchObject({ status });
  return answer.body;
}

export interface TopicJson {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
  /** Every key, with its value in effect. */
  readonly config: Readonly<Record<string, string | number>>;
  /** The overrides. */
  readonly overrides: Readonly<Record<string, string | number>>;
}

export function createTopic(
  partitions: number,
  config: Readonly<Record<string, unknown>> = {},
  name = unique("topic"),
): Promise<TopicJson> {
  return expectStatus(201, "POST", "/v1/topics", { name, partitions, config });
}

/** The config of a topic that is freed when it is deleted: see deleted-topics.test.ts for those that are kept. */
export const FREED = { "topic.delete.delay.ms": 0 };

/** Creates a topic that is freed when it is deleted. */
export const createFreedTopic: typeof createTopic = (partitions, config, name) =>
  createTopic(partitions, { ...FREED, ...config }, name);

export interface Stored {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
}

export async function produce(
  topic: string,
  records: readonly Readonly<Record<string, unknown>>[],
): Promise<Stored[]> {
  const path = `/v1/topics/${topic}/records`;
  return (await expectStatus<{ results: Stored[] }>(200, "POST", path, { records })).results;
}

export interface JsonRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key?: string | null;
  readonly keyBase64?: string;
  readonly value?: string | null;
  readonly valueBase64?: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface Fetched {
  readonly records: JsonRecord[];
  readonly nextOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

export function fetchRecords(topic: string, partition: number, query = ""): Promise<Fetched> {
  return expectStatus(200, "GET", `/v1/topics/${topic}/partitions/${partition}/records${query}`);
}

export interface GroupJson {
  readonly groupId: string;
  readonly state: string;
  readonly epoch: number;
  readonly assignor: string;
  readonly members: {
    readonly memberId: string;
    readonly instanceId?: string;
    readonly clientId?: string;
    readonly memberEpoch: number;
    readonly connected: boolean;
    readonly assignment: { readonly topic: string; readonly partitions: number[] }[];
    readonly target: { readonly topic: string; readonly partitions: number[] }[];
  }[];
  readonly offsets: {
    readonly topic: string;
    readonly partition: number;
    readonly committedOffset: number | null;
    readonly logEndOffset: number;
    readonly lag: number | null;
    readonly oldestUnreadMs: number | null;
  }[];
}

export async function listedGroups(): Promise<string[]> {
  const { groups } = await expectStatus<{ groups: { groupId: string }[] }>(
    200,
    "GET",
    "/v1/groups",
  );
  return groups.map(({ groupId }) => groupId);
}

export function describeGroup(group: string): Promise<GroupJson> {
  return expectStatus(200, "GET", `/v1/groups/${group}`);
}

/** Committed offsets of one topic, by partition. */
export async function committedOffsets(group: string, topic: string): Promise<(number | null)[]> {
  const { offsets } = await describeGroup(group);
  return offsets.filter((each) => each.topic === topic).map((each) => each.committedOffset);
}

/** Makes the group have read the topic: a member joins, commits these offsets and leaves. */
export async function readAs(
  group: string,
  topic: TopicJson,
  offsets: Readonly<Record<number, number>>,
): Promise<void> {
  const member = await TestSocket.open<CoordinatorMessage>(`/v1/groups/${group}/socket`);
  const next = (type: CoordinatorMessage["type"]) =>
    member.next(
      (message): message is CoordinatorMessage =>
        typeof message === "object" && "type" in message && message.type === type,
    );
  member.send({ type: "join", memberId: unique("m"), memberEpoch: 0, topics: [topic.name] });
  const assignment = await next("assignment");
  const memberEpoch = assignment.type === "assignment" ? assignment.memberEpoch : 0;
  const { topicId } = topic;
  const commits = Object.entries(offsets).map(([partition, offset]) => ({
    topicId,
    partition: Number(partition),
    offset,
  }));
  member.send({ type: "commit", requestId: 1, memberEpoch, offsets: commits });
  expect(await next("committed")).toMatchObject({ rejected: [] });
  member.send({ type: "leave" });
  await member.closed;
}

// Sockets.

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

const open = new Set<TestSocket<unknown>>();

/** For `afterEach`: closes every socket that a test left open. */
export function closeSockets(): void {
  for (const socket of open) socket.close(1000, "test is over");
  open.clear();
}

/**
 * A socket through the Worker. Received messages queue up; `next` reads on from where it stopped, and skips messages that
 * the predicate rejects. `Text` is the type of its JSON messages.
 */
export class TestSocket<Text> {
  readonly closed: Promise<Closed>;
  /** Everything received, in order: parsed JSON, bytes, or the text "pong". */
  readonly received: (Text | Uint8Array | "pong")[] = [];
  readonly #socket: WebSocket;
  #position = 0;
  #wake: () => void = () => {};
  #closed: Closed | null = null;

  constructor(socket: WebSocket, onEvent: (event: Text | Uint8Array | Closed | "pong") => void) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      const message = typeof data === "string" ? parseText<Text>(data) : new Uint8Array(data);
      this.received.push(message);
      onEvent(message);
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => {
        this.#closed = { code, reason };
        onEvent(this.#closed);
        resolve(this.#closed);
        this.#wake();
      });
    });
    open.add(this);
  }

  /**
   * `onEvent` gets messages and the close as they come, to compare the order between sockets. `from` is the platform's data
   * about the request's origin.
   */
  static async open<Text>(
    path: string,
    onEvent: (event: Text | Uint8Array | Closed | "pong") => void = () => {},
    from: object = {},
  ): Promise<TestSocket<Text>> {
    const init = { headers: { upgrade: "websocket" }, cf: from };
    const response = await exports.default.fetch(`${ORIGIN}${path}`, init as RequestInit);
    const { webSocket } = response;
    if (webSocket === null)
      throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    const socket = new TestSocket<Text>(webSocket, onEvent);
    webSocket.accept();
    return socket;
  }

  /** A string or bytes as they are, anything else as JSON. */
  send(message: string | Uint8Array | object): void {
    const isPlain = typeof message === "string" || message instanceof Uint8Array;
    this.#socket.send(isPlain ? message : JSON.stringify(message));
  }

  /** Without a code, like a browser's `close()`. */
  close(code?: number, reason?: string): void {
    try {
      this.#socket.close(code, reason);
    } catch {
      // Closed already.
    }
  }

  /** The next message that satisfies the predicate. Fails when the socket closes without one. */
  async next<T extends Text | Uint8Array | "pong">(
    predicate: (message: Text | Uint8Array | "pong") => message is T,
  ): Promise<T> {
    return await guarded(this.#find(predicate), "a message").catch((error: unknown) => {
      const received = this.received.map((each) =>
        isBytes(each) ? `${each.length} bytes` : JSON.stringify(each),
      );
      throw new Error(`${error}; received so far: ${received.join(" ")}`);
    });
  }

  async #find<T extends Text | Uint8Array | "pong">(
    predicate: (message: Text | Uint8Array | "pong") => message is T,
  ): Promise<T> {
    for (;;) {
      while (this.#position < this.received.length) {
        const message = this.received[this.#position++] as Text | Uint8Array | "pong";
        if (predicate(message)) return message;
      }
      await this.#more();
    }
  }

  /** Waits until `onEvent` has gathered what the test wants. */
  async until(isTrue: () => boolean, what: string): Promise<void> {
    const wait = async () => {
      while (!isTrue()) await this.#more();
    };
    await guarded(wait(), what).catch((error: unknown) => {
      throw new Error(`${error}; received so far: ${JSON.stringify(this.received)}`);
    });
  }

  async #more(): Promise<void> {
    if (this.#closed !== null)
      throw new Error(`closed with ${JSON.stringify(this.#closed)} instead of a message`);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /**
   * The messages since the last one taken, up to the answer to a heartbeat sent now. The answer comes after everything sent
   * before it, so this shows that something was *not* sent, without waiting for it.
   */
  async untilPong(): Promise<(Text | Uint8Array)[]> {
    const from = this.#position;
    this.send("ping");
    await this.next((message): message is "pong" => message === "pong");
    return this.received.slice(from, this.#position - 1) as (Text | Uint8Array)[];
  }
}

function parseText<Text>(text: string): Text | "pong" {
  return text === "pong" ? "pong" : (JSON.parse(text) as Text);
}

export function isBytes(message: unknown): message is Uint8Array {
  return message instanceof Uint8Array;
}

/** The records of whole batches that lie one behind another. */
export function decodeAll(bytes: Uint8Array): ConsumerRecord[] {
  return [...batches(bytes)].flatMap(({ start }) => decodeBatch(bytes, start));
}

// Batches and partitions.

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder();

export interface BatchOptions {
  /** The producer, and its first sequence number. */
  readonly producer?: readonly [producerId: number, producerEpoch: number, baseSequence: number];
  readonly keys?: readonly (string | null)[];
  readonly timestamps?: readonly number[];
  readonly compression?: Compressor;
}

/** One batch: a record for each value, at the timestamps or now. */
export function recordBatch(
  values: readonly (string | null)[],
  { producer, keys, timestamps, compression }: BatchOptions = {},
): Uint8Array {
  const bytes = (text: string | null | undefined) => (text ? UTF8.encode(text) : null);
  const nowMs = Date.now();
  const records = values.map((value, index) => ({
    key: bytes(keys?.[index]),
    value: bytes(value),
    headers: [],
    timestamp: timestamps?.[index] ?? nowMs,
  }));
  const [producerId = -1, producerEpoch = -1, baseSequence = -1] = producer ?? [];
  const options = { producerId, producerEpoch, baseSequence };
  return encodeBatch(records, compression === undefined ? options : { ...options, compression });
}

export function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece, position);
    position += piece.length;
  }
  return bytes;
}

/** Everything stored, as [offset, value], by as many reads as needed. */
export async function readValues(topic: TopicJson, partition = 0): Promise<[number, string][]> {
  const stub = partitionStub(env, topic.topicId, partition);
  const bounds = await stub.offsets();
  if (!bounds.ok) throw new Error(bounds.detail);
  const all: [number, string][] = [];
  for (let offset = bounds.logStartOffset; ; ) {
    const result = await stub.read({ offset, maxBytes: 500_000 });
    if (!result.ok) throw new Error(result.detail);
    for (const { start } of batches(result.batches)) {
      for (const { offset: at, value } of decodeAnyBatch(result.batches, start))
        if (at >= offset) all.push([at, value === null ? "null" : FROM_UTF8.decode(value)]);
    }
    offset = result.nextOffset;
    if (offset >= result.highWatermark) return all;
  }
}

/** The base offsets of the segments. */
export function segmentsOf(stub: DurableObjectStub): Promise<number[]> {
  return runInDurableObject(stub, (_, { storage }) =>
    Array.from(
      storage.sql.exec<{ base_offset: number }>(
        "SELECT base_offset FROM segments ORDER BY base_offset",
      ),
      (row) => row.base_offset,
    ),
  );
}

/** The time of the partition's alarm, or null. */
export function alarmOf(stub: DurableObjectStub): Promise<number | null> {
  return runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
}

// An unreachable cluster.

/**
 * No call reaches the cluster object until the returned function is called. It returns the methods that were called
 * meanwhile. The object itself is unchanged.
 */
export function stopCluster(): () => string[] {
  const called: string[] = [];
  const spies = Object.keys(CLUSTER_CALLS).map((method) =>
    (
      vi.spyOn(ClusterObject.prototype, method as never) as unknown as MockInstance
    ).mockImplementation(async () => {
      called.push(method);
      throw new Error("Network connection lost.");
    }),
  );
  return () => {
    for (const spy of spies) spy.mockRestore();
    return called;
  };
}
