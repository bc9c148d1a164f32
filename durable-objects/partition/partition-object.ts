// One partition: its log, its tail readers, and who may read for which group. The core decides
// (src/core/log), this object stores and tells, in that order: admit → persist → publish. A reply or a
// frame sent after `sql.exec` leaves only when the write is durable (output gate), so nobody ever sees
// a record that could still be lost [LOG-5].
import { DurableObject } from "cloudflare:workers";
import type * as z from "zod";
import { assert } from "../../src/core/assert.ts";
import type { Topic } from "../../src/core/cluster/topics.ts";
import { BrokerError, type Failure, fail, type Result } from "../../src/core/errors.ts";
import { MAX_FETCH_BYTES, MAX_READERS_PER_PARTITION } from "../../src/core/limits.ts";
import { concatBytes, validateAppend } from "../../src/core/log/append.ts";
import { mayAttach } from "../../src/core/log/fences.ts";
import { PartitionLog, type TimestampCandidate } from "../../src/core/log/partition-log.ts";
import { clampWindow, openWindow, pump, type TailReader } from "../../src/core/log/tail-reader.ts";
import { clusterStub, type Env } from "../../src/env.ts";
import { CLOSE_FENCED, CLOSE_REPLACED } from "../../src/protocol/close-codes.ts";
import { PING, PONG } from "../../src/protocol/heartbeat.ts";
import { parseFrame } from "../../src/protocol/parse.ts";
import {
  type attachMessage,
  type PartitionMessage,
  readerMessage,
} from "../../src/protocol/partition-socket.ts";
import { close, closeFatal, errorFields, finishClose, send, sendJson } from "../shared/socket.ts";
import { storageOf } from "../shared/sql.ts";
import { trace } from "../shared/trace.ts";
import { type AppendResult, GroupCommit } from "./group-commit.ts";
import { SqlLogStore } from "./sql-log-store.ts";

/** Lives in the socket's attachment, so that it outlives hibernation. */
interface Reader {
  readonly attachId: number;
  readonly tail: TailReader;
}

/** How far the clocks of two objects may be apart. */
const CLOCK_SKEW_MS = 60_000;

type AttachMessage = z.output<typeof attachMessage>;

export class PartitionObject extends DurableObject<Env> {
  readonly #store: SqlLogStore;
  readonly #commits: GroupCommit;
  readonly #topicId: string;
  readonly #partition: number;
  readonly #readers = new Map<WebSocket, Reader>();
  #log: PartitionLog;
  #topic: Topic | null;
  #isDestroyed = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name = ctx.id.name ?? "";
    const slash = name.lastIndexOf("/");
    assert(slash > 0, `a partition is named topic-id/number, not ${name}`);
    this.#topicId = name.slice(0, slash);
    this.#partition = Number(name.slice(slash + 1));
    trace(env, "partition", name, "start");

    this.#store = new SqlLogStore(storageOf(ctx.storage));
    this.#topic = this.#store.topic();
    this.#log = new PartitionLog(this.#store);
    this.#commits = new GroupCommit({
      commit: (appends) => this.#log.commit(appends),
      sync: () => ctx.storage.sync(),
      committed: () => this.#pumpAll(),
    });
    // [HIB-1] Readers carry on where they were: position and window are in their attachments.
    for (const socket of ctx.getWebSockets()) {
      const reader = socket.deserializeAttachment() as Reader | null;
      if (reader !== null) this.#readers.set(socket, reader);
    }
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** Appends whole record batches; their records get consecutive offsets from `baseOffset` on. */
  async append(bytes: Uint8Array): Promise<AppendResult> {
    const topic = await this.#loadTopic();
    if (!topic.ok) return topic;
    const append = validateAppend(bytes, topic.topic.config.maxMessageBytes);
    if (!append.ok) return append;
    return this.#commits.append(append);
  }

  /** Whole batches from the one that holds `offset` on; at least one where there is one. */
  async read(request: { offset: number; maxBytes: number }): Promise<
    Result<{
      batches: Uint8Array;
      nextOffset: number;
      logStartOffset: number;
      highWatermark: number;
    }>
  > {
    const topic = await this.#loadTopic();
    if (!topic.ok) return topic;
    const inRange = this.#log.checkOffset(request.offset);
    if (!inRange.ok) return inRange;
    const { pieces, nextOffset } = this.#log.read(
      request.offset,
      Math.min(request.maxBytes, MAX_FETCH_BYTES),
    );
    return { ok: true, batches: concatBytes(pieces), nextOffset, ...this.#bounds() };
  }

  /** The bounds of the log. */
  async offsets(): Promise<Result<{ logStartOffset: number; highWatermark: number }>> {
    const topic = await this.#loadTopic();
    return topic.ok ? { ok: true, ...this.#bounds() } : topic;
  }

  /** [LOG-6] The next batch that may hold a record with at least this timestamp, or null. */
  async findBatchByTimestamp(
    timestamp: number,
    from: number,
  ): Promise<
    Result<{
      candidate: TimestampCandidate | null;
      logStartOffset: number;
      highWatermark: number;
    }>
  > {
    const topic = await this.#loadTopic();
    if (!topic.ok) return topic;
    const candidate = this.#log.findBatchByTimestamp(timestamp, from);
    return { ok: true, candidate, ...this.#bounds() };
  }

  /** [LOG-8] Everything before `before` is gone for readers, and freed with its segment. */
  async deleteRecords(before: number): Promise<Result<{ logStartOffset: number }>> {
    const topic = await this.#loadTopic();
    if (!topic.ok) return topic;
    const { highWatermark } = this.#bounds();
    if (before > highWatermark) {
      return fail("OFFSET_OUT_OF_RANGE", `before is ${before}, the log ends at ${highWatermark}`);
    }
    this.#log.deleteRecordsBefore(before);
    return { ok: true, logStartOffset: this.#log.logStartOffset };
  }

  /** A change of topic config. An unused partition learns it with its first use. */
  configure(topic: Topic): void {
    if (this.#topic === null || this.#isDestroyed) return;
    this.#store.setTopic(topic);
    this.#topic = topic;
  }

  /** [CLU-4] Frees everything. From here on this partition does not exist; repeating it is harmless. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    this.#topic = null;
    for (const socket of this.ctx.getWebSockets()) {
      closeFatal(socket, new BrokerError("UNKNOWN_TOPIC_ID", "the topic was deleted"));
    }
    this.#readers.clear();
    await this.ctx.storage.deleteAll();
    this.#log = new PartitionLog(new SqlLogStore(storageOf(this.ctx.storage)));
  }

  #bounds(): { logStartOffset: number; highWatermark: number } {
    return { logStartOffset: this.#log.logStartOffset, highWatermark: this.#log.logEndOffset };
  }

  /**
   * What this partition is. On first use it asks the cluster, so creating a topic wakes no partition, and
   * a request that comes after a topic's deletion finds nothing instead of creating an orphan.
   */
  async #loadTopic(): Promise<Result<{ topic: Topic }>> {
    if (this.#topic !== null) return { ok: true, topic: this.#topic };
    const found = await clusterStub(this.env).topicById(this.#topicId);
    // Another request may have come first meanwhile, or the topic may have been deleted.
    if (this.#topic !== null) return { ok: true, topic: this.#topic };
    if (this.#isDestroyed || !found.ok) return this.#unknownTopic();
    if (this.#partition >= found.topic.partitions) {
      return fail(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `topic ${found.topic.name} has no partition ${this.#partition}`,
      );
    }
    this.#store.setTopic(found.topic);
    this.#topic = found.topic;
    return { ok: true, topic: found.topic };
  }

  #unknownTopic(): Failure {
    return fail(
      "UNKNOWN_TOPIC_ID",
      `topic id ${this.#topicId} does not exist; the topic was deleted`,
    );
  }

  /** The upgrade to a partition socket. */
  override async fetch(): Promise<Response> {
    const topic = await this.#loadTopic();
    if (!topic.ok) return Response.json(topic, { status: 404 });
    if (this.ctx.getWebSockets().length >= MAX_READERS_PER_PARTITION) {
      const failure = fail(
        "THROTTLING_QUOTA_EXCEEDED",
        `the partition has ${MAX_READERS_PER_PARTITION} readers, the bound`,
      );
      return Response.json(failure, { status: 429 });
    }
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): void {
    try {
      this.#handle(socket, data);
    } catch (error) {
      this.#readers.delete(socket);
      closeFatal(socket, error);
    }
  }

  #handle(socket: WebSocket, data: string | ArrayBuffer): void {
    const message = parseFrame(readerMessage, data);
    if (message.type === "attach") {
      this.#attach(socket, message);
      return;
    }
    const reader = this.#readers.get(socket);
    if (reader === undefined || reader.attachId !== message.attachId) return; // Of before a seek or an error.
    this.#update(socket, { ...reader, tail: openWindow(reader.tail, message.bytes) });
    this.#pumpOne(socket);
  }

  #attach(socket: WebSocket, message: AttachMessage): void {
    const { attachId, owner } = message;
    if (owner !== undefined && !this.#admit(socket, owner)) return;
    const offset = this.#startOffset(message.offset);
    const inRange = this.#log.checkOffset(offset);
    if (!inRange.ok) {
      this.#refuseOffset(socket, attachId, inRange);
      return;
    }
    // [TAIL-2] What this socket has in flight from an earlier attach is taken off until it is given back.
    const before = this.#readers.get(socket)?.tail;
    const inFlight = before === undefined ? 0 : before.maxWindowBytes - before.windowBytes;
    const maxWindowBytes = clampWindow(message.windowBytes);
    const windowBytes = Math.max(0, maxWindowBytes - inFlight);
    const tail = {
      nextOffset: offset,
      windowBytes,
      maxWindowBytes,
      owner: owner ?? null,
    };
    this.#update(socket, { attachId, tail });
    this.#tell(socket, { type: "attached", attachId, offset, ...this.#bounds(), windowBytes });
    this.#pumpOne(socket);
  }

  /**
   * [ATT-1] [ATT-2] Admits the newest owner only, and closes the socket of the one before it in the same
   * turn, before anything is sent to the newcomer: a partition never feeds two members of a group.
   */
  #admit(socket: WebSocket, owner: NonNullable<AttachMessage["owner"]>): boolean {
    const latestMs = Date.now() + CLOCK_SKEW_MS;
    if (owner.incarnation > latestMs) {
      // An incarnation is a time. One from the future would lock the group out for as long as it lies ahead.
      const bound = `owner.incarnation is ${owner.incarnation}, it must be at most ${latestMs}`;
      throw new BrokerError("INVALID_REQUEST", bound);
    }
    const newest = this.#store.fence(owner.group);
    if (!mayAttach(newest, owner)) {
      this.#readers.delete(socket);
      close(
        socket,
        CLOSE_FENCED,
        `FENCED_MEMBER_EPOCH: a newer owner attached for group ${owner.group}`,
      );
      return false;
    }
    this.#store.setFence(owner.group, owner, Date.now(), newest === null);
    for (const [other, reader] of this.#readers) {
      if (other === socket || reader.tail.owner?.group !== owner.group) continue;
      this.#readers.delete(other);
      const isSameMember = reader.tail.owner.memberNumber === owner.memberNumber;
      close(other, isSameMember ? CLOSE_REPLACED : CLOSE_FENCED, "a newer owner attached");
    }
    return true;
  }

  #startOffset(offset: AttachMessage["offset"]): number {
    if (offset === "earliest") return this.#log.logStartOffset;
    if (offset === "latest") return this.#log.logEndOffset;
    return offset;
  }

  #pumpAll(): void {
    for (const socket of this.#readers.keys()) this.#pumpOne(socket);
  }

  #pumpOne(socket: WebSocket): void {
    const reader = this.#readers.get(socket);
    if (reader === undefined) return;
    const inRange = this.#log.checkOffset(reader.tail.nextOffset);
    if (!inRange.ok) {
      this.#refuseOffset(socket, reader.attachId, inRange);
      return;
    }
    const tail = pump(this.#log, reader.tail, (pieces) => send(socket, concatBytes(pieces)));
    if (tail !== reader.tail) this.#update(socket, { ...reader, tail });
  }

  /** [TAIL-3] Nothing can be read there (any more); the reader may attach elsewhere. */
  #refuseOffset(socket: WebSocket, attachId: number, failure: Failure): void {
    this.#readers.delete(socket);
    socket.serializeAttachment(null);
    this.#tell(socket, { type: "error", attachId, ...errorFields(failure), ...this.#bounds() });
  }

  #update(socket: WebSocket, reader: Reader): void {
    this.#readers.set(socket, reader);
    socket.serializeAttachment(reader);
  }

  #tell(socket: WebSocket, message: PartitionMessage): void {
    sendJson(socket, message);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#readers.delete(socket);
    finishClose(socket, code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#readers.delete(socket);
  }
}
