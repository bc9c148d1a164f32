// A broker in memory that answers at once, for a consumer's tests, which control the clock.

import type { Compressor } from "../../src/core/log/record-batch.ts";
import type { TopicPartition } from "../../src/core/record.ts";
import type { Socket, SocketEvents, Transport } from "../../src/member/transport.ts";
import { CLOSE_FATAL, CLOSE_SESSION_ENDED } from "../../src/protocol/close-codes.ts";
import type { MemberMessage } from "../../src/protocol/group-socket.ts";
import { PING, PONG } from "../../src/protocol/heartbeat.ts";
import type { ReaderMessage } from "../../src/protocol/partition-socket.ts";
import { Consumer, type ConsumerOptions } from "../../src/sdk/consumer.ts";
import { batchOf, type Place, parsePlace, placeOf } from "./places.ts";

/** Gives its one member its places, by default `t:0` and `t:1`, with three records each. */
export class OneMemberBroker implements Transport {
  /** The member's messages to the coordinator after its join, a line each. */
  readonly log: string[] = [];
  #heldAnswer: (() => void) | null = null;
  /** Commits are answered once the test says so. */
  holdsCommits = false;
  /** Partitions' messages arrive on the test's command: each frame of these, in order. */
  heldFrames: Place[] = [];
  /** A partition's messages, a frame each: the first offset, the number of records, and the compression. */
  batches: [number, number, Compressor?][] = [[0, 3]];
  /** The group's committed offset in each partition. */
  committedOffset: number | null = 0;
  places: readonly Place[] = ["t:0", "t:1"];
  /** The epoch of each join. */
  readonly joins: number[] = [];
  /** It opens no socket any more. */
  isClosed = false;
  readonly #frames: (() => void)[] = [];
  #group: SocketEvents | null = null;

  openGroup(_groupId: string, events: SocketEvents): Socket {
    this.#group = events;
    if (this.isClosed) queueMicrotask(() => events.closed(1006, ""));
    return socket(events, (message: MemberMessage) => this.#member(events, message));
  }

  openPartition(place: TopicPartition, events: SocketEvents): Socket {
    return socket(events, (message: ReaderMessage) => {
      if (message.type !== "attach") return;
      const { attachId, windowBytes } = message;
      const offset = typeof message.offset === "number" ? message.offset : 0;
      const bounds = { logStartOffset: 0, highWatermark: 3 };
      if (offset > 3) {
        const error = { type: "error", code: "OFFSET_OUT_OF_RANGE", detail: "not in the log" };
        events.text(JSON.stringify({ ...error, attachId, ...bounds }));
        return;
      }
      const attached = { type: "attached", attachId, windowBytes, offset, ...bounds };
      const frames = [
        () => events.text(JSON.stringify(attached)),
        ...this.batches.map(
          ([base, count, compression]) =>
            () =>
              events.bytes(batchOf(placeOf(place), base, count, compression)),
        ),
      ];
      if (this.heldFrames.includes(placeOf(place))) this.#frames.push(...frames);
      else for (const frame of frames) frame();
    });
  }

  /** The next held frame arrives. */
  deliverFrame(): void {
    this.#frames.shift()?.();
  }

  /** The coordinator has removed the member. */
  endSession(): void {
    this.#group?.closed(CLOSE_SESSION_ENDED, "UNKNOWN_MEMBER_ID: session timeout");
  }

  closeGroup(code: number, reason: string): void {
    this.#group?.closed(code, reason);
  }

  /** The coordinator ends the membership with an error that a retry does not fix. */
  refuse(): void {
    this.#group?.closed(CLOSE_FATAL, "INVALID_GROUP_ID: no");
  }

  /** The coordinator takes a partition away. */
  revoke(place: Place): void {
    const left = this.places.filter((each) => each !== place);
    this.#group?.text(JSON.stringify(assignment({ memberId: "m" }, left, 2)));
  }

  answerCommit(): void {
    this.#heldAnswer?.();
    this.#heldAnswer = null;
  }

  #member(events: SocketEvents, message: MemberMessage): void {
    switch (message.type) {
      case "join":
        this.joins.push(message.memberEpoch);
        events.text(JSON.stringify(assignment(message, this.places, 1, this.committedOffset)));
        return;
      case "commit": {
        const offsets = message.offsets.map(
          ({ topicId, partition, offset }) =>
            `${topicId.replace("id-", "")}:${partition}=${offset}`,
        );
        this.log.push(`commit ${offsets.join(" ")}`);
        const { requestId } = message;
        this.#heldAnswer = () =>
          events.text(JSON.stringify({ type: "committed", requestId, rejected: [] }));
        if (!this.holdsCommits) this.answerCommit();
        return;
      }
      default:
        this.log.push(message.type);
    }
  }
}

function socket<Message>(events: SocketEvents, receive: (message: Message) => void): Socket {
  queueMicrotask(() => events.opened());
  return {
    send: (data) =>
      queueMicrotask(() => (data === PING ? events.text(PONG) : receive(JSON.parse(String(data))))),
    close: (code, reason) => queueMicrotask(() => events.closed(code, reason)),
  };
}

function assignment(
  { memberId, requestId }: { memberId: string; requestId?: number | undefined },
  places: readonly Place[],
  memberEpoch = 1,
  committedOffset: number | null = 0,
) {
  return {
    type: "assignment",
    requestId,
    memberId,
    memberEpoch,
    incarnation: 1,
    memberNumber: 1,
    heartbeatIntervalMs: 5_000,
    sessionTimeoutMs: 45_000,
    state: "STABLE",
    partitions: places.map((place) => ({
      ...parsePlace(place),
      committedOffset,
    })),
    missingTopics: [],
  };
}

/** A consumer that commits only when it ends, with its events and actions. */
export function started(
  options: Partial<ConsumerOptions>,
  handle: (place: Place, offset: number) => unknown,
  isBatch = false,
  over: (broker: Transport) => Transport = (broker) => broker,
) {
  const broker = new OneMemberBroker();
  const lost: Place[][] = [];
  const ended = { error: null as unknown, isOver: false };
  const consumer = new Consumer(over(broker), {
    groupId: "g",
    topics: ["t"],
    autoCommit: false,
    onLost: (places) => lost.push(places.map(placeOf)),
    ...options,
  });
  const handlers = isBatch
    ? {
        eachBatch: ({
          records,
          ...place
        }: TopicPartition & { records: readonly { offset: number }[] }) =>
          handle(placeOf(place), records[0]?.offset ?? -1),
      }
    : {
        eachRecord: ({ offset }: { offset: number }, place: TopicPartition) =>
          handle(placeOf(place), offset),
      };
  consumer
    .run(handlers)
    .catch((error: unknown) => {
      ended.error = error;
    })
    .finally(() => {
      ended.isOver = true;
    });
  return { broker, consumer, lost, ended };
}
