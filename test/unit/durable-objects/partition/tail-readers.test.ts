// The readers of a partition, over its real log and fences: who may attach, what each is sent, and when it is not.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { PartitionStore } from "../../../../durable-objects/partition/partition-store.ts";
import { TailReaders } from "../../../../durable-objects/partition/tail-readers.ts";
import {
  DEFAULT_SESSION_TIMEOUT_MS,
  FENCE_REFRESH_MS,
  MAX_WINDOW_BYTES,
  MIN_READER_UNREAD_BYTES,
} from "../../../../src/core/limits.ts";
import { PartitionLog } from "../../../../src/core/log/partition-log.ts";
import { batches } from "../../../../src/core/log/record-batch.ts";
import { CLOSE_FENCED, CLOSE_REPLACED } from "../../../../src/protocol/close-codes.ts";
import type { Owner } from "../../../../src/protocol/partition-socket.ts";
import { fakeSocket, type TestedSocket } from "../../../support/fake-socket.ts";
import {
  appendOf,
  batchOf,
  configOf,
  PARTITION,
  shape,
  TOPIC,
} from "../../../support/log-fixtures.ts";
import { MemoryLogStore } from "../../../support/memory-log-store.ts";
import { nodeSql } from "../../../support/node-sql.ts";

const START_MS = 1_700_000_000_000;

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS });
});
afterEach(() => {
  vi.useRealTimers();
});

class Partition {
  readonly log = new PartitionLog(new MemoryLogStore(), configOf());
  readonly storage = nodeSql();
  readonly sockets: TestedSocket[] = [];
  /** False if no socket may be sent records. */
  mayRead = true;
  /** The time that every socket must wait before it is sent more, and the bytes that were sent. */
  waitMs = 0;
  sentBytes = 0;
  store: PartitionStore;
  readers: TailReaders;
  readonly gate = {
    mayRead: () => this.mayRead,
    waitMs: () => this.waitMs,
    sent: (_: unknown, bytes: number) => {
      this.sentBytes += bytes;
    },
  };

  constructor(records = 0) {
    this.store = new PartitionStore(this.storage, PARTITION);
    this.store.setTopic(TOPIC);
    this.readers = new TailReaders(this.log, this.store, [], this.gate);
    for (let i = 0; i < records; i++) this.append();
  }

  /** As after an eviction: only the sockets' attachments and the storage are left. */
  evict(): void {
    this.store = new PartitionStore(this.storage, PARTITION);
    this.readers = new TailReaders(this.log, this.store, this.sockets, this.gate);
  }

  /** One batch of one record, published to the readers. */
  append(valueBytes = 10): void {
    const { logEndOffset } = this.log;
    const batch = batchOf([shape(START_MS + logEndOffset, valueBytes)], logEndOffset, 0);
    this.log.commit([appendOf([batch])], START_MS + logEndOffset);
    this.readers.pumpAll();
  }

  open(): TestedSocket {
    const socket = fakeSocket();
    this.sockets.push(socket);
    return socket;
  }

  attach(socket: TestedSocket, options: Partial<Parameters<TailReaders["attach"]>[1]> = {}) {
    return this.readers.attach(socket, {
      type: "attach",
      attachId: 1,
      offset: 0,
      windowBytes: 1_000_000,
      ...options,
    });
  }
}

/** The base offsets of the batches sent since the last call, and the messages as they are. */
function received(socket: TestedSocket): unknown[] {
  return socket
    .take()
    .flatMap((sent) =>
      sent instanceof Uint8Array
        ? Array.from(batches(sent), ({ header }) => header.baseOffset)
        : [sent],
    );
}

function offsets(socket: TestedSocket): unknown[] {
  return received(socket).filter((each) => typeof each === "number");
}

const owner = (
  group: string,
  memberEpoch: number,
  memberNumber = 1,
  incarnation = START_MS,
): Owner => ({ group, incarnation, memberEpoch, memberNumber });

describe("a reader with a quota", () => {
  test("[QUO-3] is sent nothing until it has waited, and then everything that it missed", () => {
    const partition = new Partition(2);
    const socket = partition.open();
    partition.attach(socket);
    expect(offsets(socket)).toEqual([0, 1]);
    expect(partition.sentBytes).toBeGreaterThan(0);
    partition.waitMs = 500;
    partition.append();
    partition.append();
    expect(offsets(socket)).toEqual([]);
    vi.advanceTimersByTime(499);
    partition.append();
    expect(offsets(socket)).toEqual([]);
    partition.waitMs = 0;
    vi.advanceTimersByTime(1);
    expect(offsets(socket)).toEqual([2, 3, 4]);
    partition.append();
    expect(offsets(socket)).toEqual([5]);
  });

  test("[QUO-3] waits as long as it must", () => {
    const partition = new Partition(1);
    const socket = partition.open();
    partition.waitMs = 60_000;
    partition.attach(socket);
    vi.advanceTimersByTime(59_000);
    expect(offsets(socket)).toEqual([]);
    partition.waitMs = 0;
    vi.advanceTimersByTime(10_000);
    expect(offsets(socket)).toEqual([0]);
  });

  test("[QUO-3] that has gone is waited for no more", () => {
    const partition = new Partition(1);
    const socket = partition.open();
    partition.waitMs = 500;
    partition.attach(socket);
    partition.readers.remove(socket);
    partition.waitMs = 0;
    vi.advanceTimersByTime(1_000);
    expect(offsets(socket)).toEqual([]);
  });
});

describe("attaching", () => {
  test.each([
    { offset: 0, begins: 0 },
    { offset: 2, begins: 2 },
    { offset: 4, begins: 4 },
    { offset: "earliest", begins: 1 },
    { offset: "latest", begins: 4 },
    { offset: { durationMs: 0 }, begins: 1 },
    { offset: { durationMs: 1_000 }, begins: 1 },
    { offset: { durationMs: -2 }, begins: 2 },
    { offset: { durationMs: -60_000 }, begins: 4 },
  ] as const)("[TAIL-1] at $offset a reader begins at $begins", ({ offset, begins }) => {
    const partition = new Partition(4);
    if (begins !== 0) partition.log.deleteRecordsBefore(1, 0);
    const socket = partition.open();
    expect(partition.attach(socket, { attachId: 9, offset })).toBe(true);
    const [attached, ...sent] = received(socket);
    expect(attached).toEqual({
      type: "attached",
      attachId: 9,
      offset: begins,
      logStartOffset: begins === 0 ? 0 : 1,
      highWatermark: 4,
      windowBytes: 1_000_000,
    });
    expect(sent).toEqual([0, 1, 2, 3].slice(begins));
    partition.append();
    expect(received(socket)).toEqual([4]);
  });

  test.each([-1, 0, 5])("[TAIL-3] at %d it is refused with the bounds of the log", (offset) => {
    const partition = new Partition(4);
    partition.log.deleteRecordsBefore(1, 0);
    const socket = partition.open();
    expect(partition.attach(socket, { offset })).toBe(false);
    partition.readers.openWindow(socket, { type: "window", attachId: 1, bytes: 1_000 });
    expect(received(socket)).toEqual([
      expect.objectContaining({
        type: "error",
        attachId: 1,
        code: "OFFSET_OUT_OF_RANGE",
        logStartOffset: 1,
        highWatermark: 4,
      }),
    ]);
    partition.append();
    expect(received(socket)).toEqual([]);
    expect(socket.closed).toBe(null);
    expect(partition.attach(socket, { offset: 4 })).toBe(true);
    expect(offsets(socket)).toEqual([4]);
  });

  test("[TAIL-2] a window is at least a byte and at most the bound", () => {
    const partition = new Partition();
    const windows = [0, 1, MAX_WINDOW_BYTES, MAX_WINDOW_BYTES + 1].map((windowBytes) => {
      const socket = partition.open();
      partition.attach(socket, { windowBytes });
      return received(socket)[0];
    });
    expect(windows).toMatchObject(
      [1, 1, MAX_WINDOW_BYTES, MAX_WINDOW_BYTES].map((windowBytes) => ({ windowBytes })),
    );
  });

  test("[TAIL-2] data in flight over a socket is subtracted from its next window, and never more than all of it", () => {
    const partition = new Partition(2);
    const socket = partition.open();
    partition.attach(socket, { windowBytes: 500 });
    const sent = socket.take().slice(1) as Uint8Array[];
    const inFlight = sent.reduce((size, { length }) => size + length, 0);
    expect(inFlight).toBeGreaterThan(100);
    partition.attach(socket, { attachId: 2, offset: 2, windowBytes: 400 });
    expect(received(socket)[0]).toMatchObject({ attachId: 2, windowBytes: 400 - inFlight });
    partition.attach(socket, { attachId: 3, offset: 2, windowBytes: 50 });
    expect(received(socket)[0]).toMatchObject({ attachId: 3, windowBytes: 0 });
    partition.append();
    expect(received(socket)).toEqual([]);
    partition.readers.openWindow(socket, { type: "window", attachId: 3, bytes: inFlight });
    expect(received(socket)).toEqual([2]);
  });
});

describe("reading", () => {
  test("[TAIL-2] bytes returned for another attach, or over another socket, do not count", () => {
    const partition = new Partition(1);
    const [socket, stranger] = [partition.open(), partition.open()];
    partition.attach(socket, { attachId: 5, windowBytes: 1 });
    expect(offsets(socket)).toEqual([0]);
    partition.append();
    const giveBack = (over: TestedSocket, attachId: number) =>
      partition.readers.openWindow(over, { type: "window", attachId, bytes: 1_000 });
    giveBack(socket, 4);
    giveBack(stranger, 5);
    expect([...received(socket), ...received(stranger)]).toEqual([]);
    giveBack(socket, 5);
    expect(received(socket)).toEqual([1]);
  });

  test("[HIB-1] after an eviction each reads on at its place, with its window, and a refused one does not", () => {
    const partition = new Partition(1);
    const [reader, full, refused, silent] = Array.from({ length: 4 }, () => partition.open()) as [
      TestedSocket,
      TestedSocket,
      TestedSocket,
      TestedSocket,
    ];
    partition.attach(reader);
    partition.attach(full, { windowBytes: 1 });
    partition.attach(refused);
    partition.attach(refused, { attachId: 2, offset: 99 });
    silent.serializeAttachment({ silentSinceMs: 1 });
    for (const socket of partition.sockets) socket.take();
    partition.evict();
    partition.append();
    expect(partition.sockets.map(received)).toEqual([[1], [], [], []]);
    partition.readers.openWindow(full, { type: "window", attachId: 1, bytes: 1_000 });
    expect(received(full)).toEqual([1]);
    partition.readers.openWindow(refused, { type: "window", attachId: 2, bytes: 1_000 });
    expect(received(refused)).toEqual([]);
  });

  test("[TAIL-3] one whose next record is deleted is told so once, and may attach again", () => {
    const partition = new Partition(3);
    const socket = partition.open();
    partition.attach(socket, { windowBytes: 1 });
    socket.take();
    partition.log.deleteRecordsBefore(2, 0);
    const open = () =>
      partition.readers.openWindow(socket, { type: "window", attachId: 1, bytes: 1_000 });
    open();
    expect(received(socket)).toMatchObject([{ code: "OFFSET_OUT_OF_RANGE", attachId: 1 }]);
    open();
    partition.append();
    expect(received(socket)).toEqual([]);
    partition.attach(socket, { attachId: 2, offset: "earliest" });
    expect(offsets(socket)).toEqual([2, 3]);
  });

  test("[TAIL-1] one that has gone is sent nothing more", () => {
    const partition = new Partition();
    const [gone, other] = [partition.open(), partition.open()];
    partition.attach(gone);
    partition.attach(other);
    partition.readers.remove(gone);
    for (const socket of partition.sockets) socket.take();
    partition.append();
    expect([received(gone), received(other)]).toEqual([[], [0]]);
  });

  test("[TAIL-4] readers at the same offset are sent the same bytes, made once", () => {
    const partition = new Partition();
    const sockets = [partition.open(), partition.open()];
    for (const socket of sockets) partition.attach(socket);
    for (const socket of sockets) socket.take();
    partition.append();
    const [one, other] = sockets.map((socket) => socket.take()[0]);
    expect(one).toBe(other);
  });
});

describe("a client that does not take what it was sent", () => {
  /** Its client takes nothing: everything that is sent stays unread. */
  function stalled(partition: Partition): TestedSocket {
    const socket = partition.open();
    socket.onSend = ({ length }) => {
      socket.bufferedAmount += length;
    };
    return socket;
  }

  test("[BND-18] is sent no more than the bound and a frame, and the rest once it has taken it", () => {
    const partition = new Partition();
    const socket = stalled(partition);
    partition.attach(socket, { windowBytes: MAX_WINDOW_BYTES });
    for (let i = 0; i < 12; i++) partition.append(20_000);
    const before = offsets(socket);
    expect(before).toEqual([0, 1, 2, 3]);
    expect(socket.bufferedAmount).toBeLessThan(2 * MIN_READER_UNREAD_BYTES);
    vi.advanceTimersByTime(60_000);
    expect(offsets(socket)).toEqual([]);
    socket.bufferedAmount = 0;
    vi.advanceTimersByTime(10_000);
    const after = offsets(socket);
    expect(after[0]).toBe(4);
    socket.bufferedAmount = 0;
    vi.advanceTimersByTime(10_000);
    const more = offsets(socket);
    socket.bufferedAmount = 0;
    vi.advanceTimersByTime(10_000);
    expect([...before, ...after, ...more, ...offsets(socket)]).toEqual(
      Array.from({ length: 12 }, (_, i) => i),
    );
    expect(vi.getTimerCount()).toBe(0);
  });

  test("[BND-18] is waited for only while there is something for it, and room for it in its window", () => {
    const partition = new Partition();
    const socket = stalled(partition);
    socket.bufferedAmount = MIN_READER_UNREAD_BYTES + 1;
    partition.attach(socket, { windowBytes: 1 });
    expect(vi.getTimerCount(), "there is nothing").toBe(0);
    partition.append();
    expect(vi.getTimerCount(), "there is a record").toBe(1);
    socket.bufferedAmount = 0;
    vi.advanceTimersByTime(60_000);
    expect(offsets(socket)).toEqual([0]);
    socket.bufferedAmount = MIN_READER_UNREAD_BYTES + 1;
    partition.append();
    expect(vi.getTimerCount(), "its window is used up").toBe(0);
  });

  test("[BND-18] is not waited for once it has gone", () => {
    const partition = new Partition();
    const socket = stalled(partition);
    partition.attach(socket);
    socket.bufferedAmount = MIN_READER_UNREAD_BYTES + 1;
    partition.append();
    partition.readers.remove(socket);
    socket.take();
    vi.advanceTimersByTime(60_000);
    expect([socket.sent, vi.getTimerCount()]).toEqual([[], 0]);
  });
});

describe("owners", () => {
  test.each([
    { newcomer: owner("g", 6), code: CLOSE_REPLACED, what: "of the same member" },
    { newcomer: owner("g", 5), code: CLOSE_REPLACED, what: "of the same owner" },
    { newcomer: owner("g", 6, 2), code: CLOSE_FENCED, what: "of another member" },
    { newcomer: owner("g", 1, 2, START_MS + 1), code: CLOSE_FENCED, what: "of a new life of it" },
  ])("[ATT-2] a newer one $what closes the socket before it with $code", ({ newcomer, code }) => {
    const partition = new Partition();
    const [older, newer, other] = [partition.open(), partition.open(), partition.open()];
    partition.attach(partition.open());
    partition.attach(older, { owner: owner("g", 5) });
    partition.attach(other, { owner: owner("h", 50) });
    let wasClosed = false;
    newer.onSend = () => {
      wasClosed ||= older.closed !== null;
    };
    expect(partition.attach(newer, { owner: newcomer })).toBe(true);
    expect(wasClosed).toBe(true);
    expect(older.closed).toEqual({ code, reason: "a newer owner attached" });
    expect([newer.closed, other.closed]).toEqual([null, null]);
    older.take();
    partition.append();
    expect(received(older)).toEqual([]);
    expect(offsets(newer)).toEqual([0]);
    expect(offsets(other)).toEqual([0]);
  });

  test.each([
    ["epoch", owner("g", 4, 9)],
    ["member", owner("g", 5, 0)],
    ["incarnation", owner("g", 9, 9, START_MS - 1)],
  ])("[ATT-1] one with an older %s is closed, and reads nothing", (_, late) => {
    const partition = new Partition(1);
    const [current, older] = [partition.open(), partition.open()];
    partition.attach(current, { owner: owner("g", 5) });
    partition.evict();
    expect(partition.attach(older, { owner: late })).toBe(false);
    expect(older.closed).toEqual({
      code: CLOSE_FENCED,
      reason: "FENCED_MEMBER_EPOCH: a newer owner attached for group g",
    });
    partition.append();
    expect(older.sent).toEqual([]);
    expect(current.closed).toBe(null);
  });

  test("[ATT-1] a socket that is refused as an owner does not read on as what it was", () => {
    const partition = new Partition();
    const [current, older] = [partition.open(), partition.open()];
    partition.attach(current, { owner: owner("g", 5) });
    partition.attach(older);
    partition.attach(older, { owner: owner("g", 4) });
    older.take();
    partition.append();
    expect(older.sent).toEqual([]);
  });

  test("[ATT-2] a socket that attaches again as the same owner, or a newer one, stays open", () => {
    const partition = new Partition(1);
    const socket = partition.open();
    for (const [attachId, memberEpoch] of [
      [1, 5],
      [2, 5],
      [3, 6],
    ] as const)
      expect(partition.attach(socket, { attachId, owner: owner("g", memberEpoch) })).toBe(true);
    expect(socket.closed).toBe(null);
    expect(offsets(socket)).toEqual([0, 0, 0]);
  });

  test("[ATT-4] a group counts as new once, and groups with readers are known", () => {
    const partition = new Partition();
    const setFence = vi.spyOn(partition.store, "setFence");
    partition.attach(partition.open());
    for (const [group, epoch] of [
      ["g", 1],
      ["h", 1],
      ["g", 2],
    ] as const)
      partition.attach(partition.open(), { owner: owner(group, epoch) });
    partition.readers.admit(null, owner("polls", 1));
    expect(setFence.mock.calls.map(([, , , isNew]) => isNew)).toEqual([true, true, false, true]);
    expect(setFence.mock.calls.at(-1)?.[4]()).toEqual(new Set(["g", "h"]));
  });

  test("[ATT-4] an attached owner counts even if its fence was forgotten", () => {
    const partition = new Partition();
    const [current, older, newer] = [partition.open(), partition.open(), partition.open()];
    partition.attach(current, { owner: owner("g", 5) });
    partition.storage.sql.exec("DELETE FROM fences");
    expect(partition.attach(older, { owner: owner("g", 4) })).toBe(false);
    expect(partition.attach(newer, { owner: owner("g", 6) })).toBe(true);
    expect(current.closed?.code).toBe(CLOSE_REPLACED);
  });

  test("[POL-2] one that reads by calls cuts the socket off, is admitted again, and fences older ones", () => {
    const partition = new Partition();
    const socket = partition.open();
    partition.attach(socket, { owner: owner("g", 5, 1) });
    expect(partition.readers.admit(null, owner("g", 6, 2))).toBe(null);
    expect(socket.closed?.code).toBe(CLOSE_FENCED);
    expect(partition.readers.admit(null, owner("g", 6, 2))).toBe(null);
    expect(partition.readers.admit(null, owner("g", 5, 1))).toMatchObject({
      error: "FENCED_MEMBER_EPOCH",
    });
  });

  test("[ATT-4] a repeated poll is noted once an hour, and one of a newer owner at once", () => {
    const partition = new Partition();
    const { storage } = partition;
    const noted = () => [
      partition.store.polledAtMs("g") - START_MS,
      ...Array.from(
        storage.sql.exec<{ attached_at_ms: number }>("SELECT attached_at_ms FROM fences"),
        ({ attached_at_ms }) => attached_at_ms - START_MS,
      ),
    ];
    const pollAfter = (passedMs: number, memberEpoch: number) => {
      vi.setSystemTime(START_MS + passedMs);
      partition.readers.admit(null, owner("g", memberEpoch));
      return noted();
    };
    expect(pollAfter(0, 1)).toEqual([0, 0]);
    expect(pollAfter(FENCE_REFRESH_MS - 1, 1)).toEqual([0, 0]);
    const secondMs = FENCE_REFRESH_MS - 1;
    expect(pollAfter(secondMs, 2)).toEqual([secondMs, secondMs]);
    const thirdMs = secondMs + FENCE_REFRESH_MS;
    expect(pollAfter(thirdMs, 2)).toEqual([thirdMs, thirdMs]);
    partition.evict();
    expect(pollAfter(thirdMs + 1, 2)).toEqual([thirdMs, thirdMs]);
    // A reader over a socket is no poll, and its fence is written each time.
    vi.setSystemTime(thirdMs + START_MS + 2);
    partition.attach(partition.open(), { owner: owner("g", 2) });
    expect(noted()).toEqual([thirdMs, thirdMs + 2]);
  });
});

describe("owners that are silent", () => {
  const SESSION_MS = 20_000;
  const NEVER = Number.POSITIVE_INFINITY;

  /** A partition whose readers have answered pings at these times. */
  class Watched extends Partition {
    readonly answered = new Map<unknown, number>();

    /** The time when the first owner is silent, from the start on. */
    get nextMs(): number {
      return this.readers.nextSilenceMs((socket) => this.answered.get(socket) ?? 0) - START_MS;
    }

    /** The groups that are notified now. */
    told(): string[] {
      const answeredMs = (socket: unknown) => this.answered.get(socket) ?? 0;
      const silent = this.readers.takeSilentOwners(answeredMs, Date.now());
      return silent.map(({ group, memberNumber }) => `${group} ${memberNumber}`);
    }

    own(group: string, more: { sessionTimeoutMs?: number; windowBytes?: number } = {}) {
      const { sessionTimeoutMs, windowBytes = 1_000_000 } = more;
      const session = sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs };
      const socket = this.open();
      this.attach(socket, { windowBytes, owner: { ...owner(group, 1), ...session } });
      return socket;
    }

    /** Everything that it was sent is returned. */
    giveBack(socket: TestedSocket): void {
      this.readers.openWindow(socket, { type: "window", attachId: 1, bytes: 1_000_000 });
    }
  }

  const at = (ms: number) => vi.setSystemTime(START_MS + ms);

  test("[GRP-17] one that has not returned what it was sent is reported when its session has passed", () => {
    const partition = new Watched(1);
    partition.own("g", { sessionTimeoutMs: SESSION_MS });
    expect(partition.nextMs).toBe(SESSION_MS);
    at(SESSION_MS - 1);
    expect(partition.told()).toEqual([]);
    at(SESSION_MS);
    expect(partition.told()).toEqual(["g 1"]);
  });

  test("[GRP-17] so is one that has no room for what there is", () => {
    const partition = new Watched();
    const socket = partition.own("g", { sessionTimeoutMs: SESSION_MS, windowBytes: 1 });
    partition.append(1_000); // One batch exceeds the window.
    partition.append(1_000);
    expect(offsets(socket)).toEqual([0]);
    at(SESSION_MS);
    expect(partition.told()).toEqual(["g 1"]);
  });

  test("[GRP-17] it is reported again only when another session has passed, as long as it is silent", () => {
    const partition = new Watched(1);
    const socket = partition.own("g", { sessionTimeoutMs: SESSION_MS });
    at(SESSION_MS + 500);
    expect([partition.told(), partition.told()]).toEqual([["g 1"], []]);
    expect(partition.nextMs).toBe(2 * SESSION_MS + 500);
    at(2 * SESSION_MS + 499);
    expect(partition.told()).toEqual([]);
    at(2 * SESSION_MS + 500);
    expect(partition.told()).toEqual(["g 1"]);
    partition.answered.set(socket, Date.now());
    at(3 * SESSION_MS + 499);
    expect(partition.told()).toEqual([]);
  });

  test("[GRP-17] messages and answered pings are signs of life, whichever was last", () => {
    const partition = new Watched(1);
    const socket = partition.own("g", { sessionTimeoutMs: SESSION_MS });
    partition.answered.set(socket, START_MS + 7_000);
    expect(partition.nextMs).toBe(7_000 + SESSION_MS);
    at(9_000);
    partition.readers.openWindow(socket, { type: "window", attachId: 1, bytes: 1 });
    expect(partition.nextMs).toBe(9_000 + SESSION_MS);
    at(10_000);
    partition.readers.openWindow(socket, { type: "window", attachId: 2, bytes: 1 });
    expect(partition.nextMs, "it is for an earlier attach").toBe(9_000 + SESSION_MS);
    partition.evict();
    expect(partition.nextMs, "it is kept over an eviction").toBe(9_000 + SESSION_MS);
    at(11_000);
    partition.attach(socket, { owner: { ...owner("g", 1), sessionTimeoutMs: SESSION_MS } });
    expect(partition.nextMs).toBe(11_000 + SESSION_MS);
  });

  test("[GRP-17] while nothing is unread nobody is watched, however silent", () => {
    const partition = new Watched();
    const socket = partition.own("g", { sessionTimeoutMs: SESSION_MS });
    at(10 * SESSION_MS);
    expect([partition.nextMs, partition.told()]).toEqual([NEVER, []]);
    partition.answered.set(socket, Date.now());
    partition.append();
    expect(partition.nextMs).toBe(11 * SESSION_MS);
    partition.giveBack(socket);
    expect([partition.nextMs, partition.told()]).toEqual([NEVER, []]);
  });

  test("[GRP-17] a reader that owns nothing, was refused, or has gone is not watched", () => {
    const partition = new Watched(3);
    const plain = partition.open();
    partition.attach(plain);
    const refused = partition.own("refused");
    partition.attach(refused, { offset: 99, owner: owner("refused", 1) });
    partition.readers.remove(partition.own("gone"));
    expect(partition.nextMs).toBe(NEVER);
    at(10 * SESSION_MS);
    expect(partition.told()).toEqual([]);
  });

  test("[GRP-17] each group is told of its own, at its own time", () => {
    const partition = new Watched(1);
    partition.own("slow", { sessionTimeoutMs: 60_000 });
    partition.own("fast", { sessionTimeoutMs: 6_000 });
    partition.own("done", { sessionTimeoutMs: 1_000 });
    partition.giveBack(partition.sockets[2] as TestedSocket);
    expect(partition.nextMs).toBe(6_000);
    at(6_000);
    expect(partition.told()).toEqual(["fast 1"]);
    at(60_000);
    expect(partition.told()).toEqual(["slow 1", "fast 1"]);
  });

  test("[VER-8] one that names no session timeout has the default, and so has an earlier reader", () => {
    const partition = new Watched(1);
    const socket = partition.own("g");
    expect(partition.nextMs).toBe(DEFAULT_SESSION_TIMEOUT_MS);
    const {
      heardMs: _,
      sessionTimeoutMs: __,
      ...older
    } = socket.deserializeAttachment() as {
      heardMs: number;
      sessionTimeoutMs: number;
    };
    socket.serializeAttachment(older);
    partition.evict();
    partition.answered.set(socket, START_MS + 5_000);
    expect(partition.nextMs).toBe(5_000 + DEFAULT_SESSION_TIMEOUT_MS);
  });
});

describe("incarnations of a group", () => {
  test("[CLK-5] an owner of an earlier one is known by the fence, and by the attached readers", () => {
    const partition = new Partition();
    const isEarlier = (incarnation: number) =>
      partition.readers.isOfEarlierIncarnation(owner("g", 1, 1, incarnation));
    expect(isEarlier(1)).toBe(false);
    partition.attach(partition.open(), { owner: owner("g", 1, 1, 5) });
    expect([4, 5, 6].map(isEarlier)).toEqual([true, false, false]);
    expect(partition.readers.isOfEarlierIncarnation(owner("other", 1, 1, 4))).toBe(false);
    partition.readers.remove(partition.sockets[0] as TestedSocket);
    expect(isEarlier(4), "the fence remembers").toBe(true);
  });

  test("[CLK-5] one that its group does have is admitted, at any epoch, and others are cut off", () => {
    const partition = new Partition(1);
    const [wrong, same, other, plain] = [0, 1, 2, 3].map(() => partition.open());
    partition.attach(wrong as TestedSocket, { owner: owner("g", 9, 9, 5) });
    partition.attach(other as TestedSocket, { owner: owner("h", 9, 9, 5) });
    partition.attach(plain as TestedSocket);
    const restored = owner("g", 1, 1, 2);
    partition.attach(same as TestedSocket, { owner: restored });
    expect(same?.closed?.code, "as it is refused before").toBe(CLOSE_FENCED);
    partition.readers.forgetOtherIncarnations(restored);
    expect(wrong?.closed).toEqual({
      code: CLOSE_FENCED,
      reason: "the group has another incarnation",
    });
    expect([other?.closed, plain?.closed]).toEqual([null, null]);
    const again = partition.open();
    expect(partition.attach(again, { owner: restored })).toBe(true);
    partition.readers.forgetOtherIncarnations(restored);
    expect(again.closed, "it is of this incarnation").toBe(null);
    partition.evict();
    const later = partition.open();
    expect(partition.attach(later, { owner: owner("g", 2, 1, 2) })).toBe(true);
  });
});
