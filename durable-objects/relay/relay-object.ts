// A relay: it serves hundreds of readers of a partition, which pushes appended records to it once for all of
// them. It stores nothing. Its readers' positions are in the attachments of their sockets, as at a partition.
// It reads what it does not have from the partition. So both may be evicted, and neither keeps the other awake.
import { DurableObject } from "cloudflare:workers";
import type { Bounds } from "../../src/calls/partition-calls.ts";
import {
  type Push,
  RELAY_CALLS,
  type RelayCalls,
  type RelayRequest,
} from "../../src/calls/relay-calls.ts";
import { topicResource } from "../../src/core/access/grants.ts";
import { QuotaBook } from "../../src/core/access/quota-book.ts";
import { assert } from "../../src/core/assert.ts";
import {
  BrokerError,
  ERRORS,
  errorOf,
  type Failure,
  fail,
  failureOf,
  type Result,
} from "../../src/core/errors.ts";
import { MAX_SOCKETS_PER_RELAY } from "../../src/core/limits.ts";
import { RelayedLog } from "../../src/core/log/relayed-log.ts";
import type { RelaySnapshot } from "../../src/core/metrics/snapshot.ts";
import { type Env, type PartitionStub, partitionStub } from "../../src/env.ts";
import { memory } from "../../src/memory.ts";
import { PING, PONG } from "../../src/protocol/heartbeat.ts";
import { isUnknownType, parseFrame } from "../../src/protocol/parse.ts";
import { readerMessage } from "../../src/protocol/partition-socket.ts";
import { type Fences, TailReaders } from "../partition/tail-readers.ts";
import type { ObjectSocket } from "../shared/object-socket.ts";
import { readerGate } from "../shared/reader-gate.ts";
import { upgradeReader } from "../shared/reader-upgrade.ts";
import { reportToMetrics } from "../shared/reporter.ts";
import { serveCalls } from "../shared/serve-calls.ts";
import { SilentSockets } from "../shared/silent-sockets.ts";
import { assertRead, closeFatal, errorFields, finishClose, sendJson } from "../shared/socket.ts";
import { SocketAccess } from "../shared/socket-access.ts";
import { keyTag } from "../shared/socket-caller.ts";
import { trace } from "../shared/trace.ts";
import { type Counting, countEvents, ObjectUsage } from "../shared/usage.ts";
import { CatchUp } from "./catch-up.ts";

/** The parts of a relay that knows its partition's log. They do not exist before the first push or question. */
interface Parts {
  readonly topic: string;
  readonly log: RelayedLog;
  readonly readers: TailReaders;
}

/** Owners attach at their partition, which has the fences. */
const NO_FENCES: Fences = {
  fence: () => null,
  polledAtMs: () => 0,
  notePoll: () => assert(false, "a relay has no owners"),
  setFence: () => assert(false, "a relay has no owners"),
};

export class RelayObject extends DurableObject<Env> implements RelayCalls, Counting {
  readonly usage = new ObjectUsage();
  readonly #topicId: string;
  readonly #number: number;
  readonly #relay: number;
  readonly #silent: SilentSockets;
  readonly #access: SocketAccess;
  /** [QUO-2] The remaining quotas of callers that read here. */
  readonly #quotas = new QuotaBook();
  /** The latest attach of each socket. The partition may have to be asked where it starts. */
  readonly #attaching = new WeakMap<WebSocket, symbol>();
  readonly #counts = { deliveredBytes: 0 };
  #parts: Parts | null = null;
  /** True if the partition pushes here, as far as this life knows. */
  #isSubscribed = false;
  #loading: Promise<Result<{ parts: Parts }>> | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name = ctx.id.name ?? "";
    const [topicId, partition, relay, ...rest] = name.split("/");
    assert(
      relay !== undefined && rest.length === 0,
      `a relay is named topic-id/partition/number, not ${name}`,
    );
    this.#topicId = topicId as string;
    this.#number = Number(partition);
    this.#relay = Number(relay);
    trace(env, "relay", name, "start");
    this.#silent = new SilentSockets(ctx.getWebSockets());
    this.#access = new SocketAccess({
      env,
      waitUntil: (promise) => ctx.waitUntil(promise),
      ended: (socket) => this.#forget(socket),
      changed: () => {}, // Every message and every frame is judged by the current rights.
    });
    reportToMetrics({
      ...{ env, ctx, usage: this.usage },
      hasNews: () => false,
      snapshot: () => this.#snapshot(),
    });
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  #snapshot(): RelaySnapshot | null {
    if (this.#parts === null) return null;
    return {
      kind: "relay",
      ...{ life: this.usage.life, usage: this.usage.counts, storedBytes: 0 },
      ...{ topic: this.#parts.topic, topicId: this.#topicId },
      ...{ partition: this.#number, relay: this.#relay, readers: this.#parts.readers.count },
      ...this.#counts,
    };
  }

  /** The partition exists already, so its location does not matter. */
  get #partition(): PartitionStub {
    return partitionStub(this.env, this.#topicId, this.#number);
  }

  #assemble(topic: string, { logStartOffset, highWatermark }: Bounds): Parts {
    const log = new RelayedLog({ logStartOffset, highWatermark }, memory.tails);
    const catchUp = new CatchUp({
      log,
      partition: () => this.#partition,
      refused: (socket, failure) => this.#refused(socket, failure),
      failed: (socket, error) => {
        this.#forget(socket);
        closeFatal(socket, error);
      },
      waitUntil: (promise) => this.ctx.waitUntil(promise),
    });
    const readers: TailReaders = new TailReaders(log, NO_FENCES, this.ctx.getWebSockets(), {
      ...readerGate(topic, this.#access, this.#quotas, this.#counts),
      fetches: (socket, offset) => {
        if (log.holds(offset)) return false;
        catchUp.add(socket, readers);
        return true;
      },
    });
    return { topic, log, readers };
  }

  /** [RLY-2] */
  async push({ topic, from, nextOffset, batches, ...bounds }: Push): Promise<{ readers: number }> {
    this.#parts ??= this.#assemble(topic, { ...bounds, highWatermark: from });
    const { log, readers } = this.#parts;
    log.push({ baseOffset: from, nextOffset, bytes: batches }, bounds.logStartOffset);
    readers.pumpAll();
    const count = readers.count + this.#silent.count;
    this.#isSubscribed = count > 0;
    return { readers: count };
  }

  /** [ACL-8] */
  async revokeKey({ keyId }: RelayRequest<"revokeKey">): Promise<void> {
    this.#access.revoke(this.ctx.getWebSockets(keyTag(keyId)));
  }

  /** [CLU-4] */
  async end(): Promise<void> {
    this.#parts = null;
    this.#isSubscribed = false;
    for (const socket of this.ctx.getWebSockets()) this.#end(socket, this.#unknownTopic());
  }

  /** Subscribes, unless the partition pushes here already. */
  async #load(): Promise<Result<{ parts: Parts }>> {
    if (this.#parts !== null && this.#isSubscribed) return { ok: true, parts: this.#parts };
    this.#loading ??= this.#subscribe().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #subscribe(): Promise<Result<{ parts: Parts }>> {
    const found = await this.#partition.subscribeRelay({ relay: this.#relay });
    if (!found.ok) return found;
    const { logStartOffset, highWatermark } = found;
    const bounds = { logStartOffset, highWatermark };
    this.#parts ??= this.#assemble(found.topic, bounds);
    this.#parts.log.learn(bounds);
    this.#isSubscribed = true;
    this.#parts.readers.pumpAll(); // Some may have been waiting in the previous life.
    return { ok: true, parts: this.#parts };
  }

  /** Upgrades a request to the socket of a reader. */
  override async fetch(request: Request): Promise<Response> {
    const loaded = await this.#load();
    if (!loaded.ok) return Response.json(loaded, { status: ERRORS[loaded.error].httpStatus });
    const { ctx, env } = this;
    const [silent, access] = [this.#silent, this.#access];
    const maxSockets = MAX_SOCKETS_PER_RELAY;
    return upgradeReader(request, { ctx, env, silent, access, own: "relay", maxSockets });
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    try {
      const loaded = await this.#load();
      if (!loaded.ok) return this.#end(socket, loaded);
      if (!this.#access.isGood(socket, Date.now())) return;
      assertRead(socket);
      if (typeof data !== "string")
        throw new BrokerError(
          "INVALID_REQUEST",
          "a relay takes no appends; send them to the partition",
        );
      const message = parseFrame(readerMessage, data);
      if (message.type === "window") return loaded.parts.readers.openWindow(socket, message);
      if (message.owner !== undefined)
        throw new BrokerError(
          "INVALID_REQUEST",
          "owner: a relay takes none; attach at the partition",
        );
      await this.#attach(loaded.parts, socket, message);
    } catch (error) {
      if (isUnknownType(error))
        return sendJson(socket, { type: "error", ...errorFields(failureOf(error)) });
      this.#forget(socket);
      closeFatal(socket, error);
    }
  }

  async #attach(
    parts: Parts,
    socket: WebSocket,
    message: Parameters<TailReaders["attach"]>[1],
  ): Promise<void> {
    const mine = Symbol();
    this.#attaching.set(socket, mine);
    const refused = this.#access.whyNot(socket, "READ", topicResource(parts.topic));
    if (refused !== null) return parts.readers.refuse(socket, message.attachId, refused);
    const { offset } = message;
    if (typeof offset === "number" && parts.log.isKnown(offset)) {
      this.#attachAt(parts, socket, message, offset);
      return;
    }
    // The partition knows the current end of its log. The relay may not know it yet.
    const located = await this.#partition.locate({ offset });
    if (this.#attaching.get(socket) !== mine) return; // A later attach of this socket counts.
    if (!located.ok) {
      if (located.error === "UNKNOWN_TOPIC_ID") return this.#end(socket, located);
      return parts.readers.refuse(socket, message.attachId, located);
    }
    this.#attachAt(parts, socket, message, located.offset);
  }

  #attachAt(
    { readers }: Parts,
    socket: WebSocket,
    message: Parameters<TailReaders["attach"]>[1],
    offset: number,
  ): void {
    if (readers.attach(socket, { ...message, offset })) this.#silent.delete(socket);
  }

  #refused(socket: ObjectSocket, failure: Failure): void {
    if (failure.error === "UNKNOWN_TOPIC_ID") this.#end(socket, failure);
    else this.#parts?.readers.stop(socket, failure);
  }

  #end(socket: ObjectSocket, failure: Failure): void {
    this.#forget(socket);
    closeFatal(socket, errorOf(failure));
  }

  #unknownTopic(): Failure {
    const detail = `topic id ${this.#topicId} does not exist; the topic was deleted`;
    return fail("UNKNOWN_TOPIC_ID", detail);
  }

  #forget(socket: WebSocket): void {
    this.#silent.delete(socket);
    this.#parts?.readers.remove(socket);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#forget(socket);
    finishClose(socket, code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#forget(socket);
  }
}

serveCalls(RelayObject, "relay", RELAY_CALLS);
countEvents(RelayObject);
