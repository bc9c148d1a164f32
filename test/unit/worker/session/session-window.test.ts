import { beforeEach, describe, expect, test } from "vitest";
import {
  FIRST_SESSION_WINDOW_BYTES,
  MAX_SESSION_PARTITION_WINDOW_BYTES,
  MIN_SESSION_PARTITION_WINDOW_BYTES,
  SESSION_WINDOW_BYTES,
} from "../../../../src/core/limits.ts";
import type { Socket, SocketEvents, Transport } from "../../../../src/member/transport.ts";
import { PING, PONG } from "../../../../src/protocol/heartbeat.ts";
import {
  ASKED_WINDOW_BYTES,
  SessionWindow,
} from "../../../../src/worker/session/session-window.ts";

/** A partition of a session, from both sides. */
class Partition {
  /** The messages sent to the partition. */
  readonly sent: unknown[] = [];
  /** The consumer's events. */
  readonly told: unknown[] = [];
  readonly consumer: Socket;
  readonly #events: SocketEvents;

  constructor(window: SessionWindow, partition = 0) {
    let events: SocketEvents | null = null;
    const transport: Transport = {
      openGroup: () => ({ send: () => {}, close: () => {} }),
      openPartition: (_, given) => {
        events = given;
        return { send: (data) => void this.sent.push(data), close: () => {} };
      },
    };
    this.consumer = window.over(transport).openPartition(
      { topic: "t", topicId: "id", partition },
      {
        opened: () => {},
        text: (data) => void this.told.push(data === PONG ? data : JSON.parse(data)),
        bytes: () => {},
        closed: (code) => void this.told.push(code),
      },
    );
    this.#events = events as unknown as SocketEvents;
  }

  /** Attaches, and returns the requested window. */
  attach(attachId = 1): number {
    const asked = { type: "attach", attachId, offset: 0, windowBytes: ASKED_WINDOW_BYTES };
    this.consumer.send(JSON.stringify(asked));
    return JSON.parse(String(this.sent.at(-1))).windowBytes;
  }

  attached(windowBytes: number): void {
    this.#events.text(JSON.stringify({ type: "attached", attachId: 1, offset: 0, windowBytes }));
  }

  pong(): void {
    this.#events.text(PONG);
  }

  push(bytes: number): void {
    this.#events.bytes(new Uint8Array(bytes));
  }

  /** Returns bytes, and returns the window requested with them, if any. */
  giveBack(bytes: number): number | undefined {
    this.consumer.send(JSON.stringify({ type: "window", attachId: 1, bytes }));
    return JSON.parse(String(this.sent.at(-1))).windowBytes;
  }

  break(): void {
    this.#events.closed(1006, "");
  }
}

describe("the window of a session", () => {
  let window: SessionWindow;
  beforeEach(() => {
    window = new SessionWindow();
  });

  test.each([
    [1, FIRST_SESSION_WINDOW_BYTES, MAX_SESSION_PARTITION_WINDOW_BYTES],
    [5, Math.floor(FIRST_SESSION_WINDOW_BYTES / 5), Math.floor(SESSION_WINDOW_BYTES / 5)],
    [8, FIRST_SESSION_WINDOW_BYTES / 8, SESSION_WINDOW_BYTES / 8],
    [1_000, MIN_SESSION_PARTITION_WINDOW_BYTES, MIN_SESSION_PARTITION_WINDOW_BYTES],
  ])(
    "[SES-13] is shared by %i partitions, at first and once the client has read much",
    (count, first, most) => {
      const partitions = Array.from({ length: count }, (_, i) => new Partition(window, i));
      for (const each of partitions) expect(each.attach()).toBe(first);
      for (let round = 0; round < 20; round++) for (const each of partitions) each.giveBack(first);
      for (const each of partitions) expect(each.attach(2)).toBe(most);
    },
  );

  test("[SES-13] doubles when as much was returned as it holds, from whatever partition", () => {
    const [one, other] = [new Partition(window), new Partition(window, 1)];
    const half = FIRST_SESSION_WINDOW_BYTES / 2;
    for (const each of [one, other]) expect(each.attach()).toBe(half);
    expect(one.giveBack(half)).toBeUndefined();
    expect(other.giveBack(half - 1)).toBeUndefined();
    expect(other.giveBack(1)).toBe(2 * half);
    expect(other.giveBack(1), "asked for once").toBeUndefined();
    expect(one.giveBack(1), "with what it gives back next").toBe(2 * half);
  });

  test("[SES-13] is never more than it is, except for the least share of each partition, whoever comes and grows when", () => {
    const partitions = [new Partition(window)];
    const windows = new Map<Partition, number>();
    const note = (partition: Partition, bytes: number | undefined) => {
      if (bytes !== undefined) windows.set(partition, bytes);
    };
    for (let i = 0; i < 64; i++) {
      const latest = partitions.at(-1) as Partition;
      note(latest, latest.attach());
      for (const each of partitions) note(each, each.giveBack(200_000));
      const sum = [...windows.values()].reduce((total, bytes) => total + bytes, 0);
      const least = MIN_SESSION_PARTITION_WINDOW_BYTES * partitions.length;
      expect(sum).toBeLessThanOrEqual(SESSION_WINDOW_BYTES + least);
      partitions.push(new Partition(window, i + 1));
    }
  });

  test("[SES-13] takes nothing from a partition when others come", () => {
    const partition = new Partition(window);
    expect(partition.attach()).toBe(FIRST_SESSION_WINDOW_BYTES);
    for (let i = 1; i < 8; i++) new Partition(window, i);
    expect(partition.giveBack(FIRST_SESSION_WINDOW_BYTES)).toBeUndefined();
  });

  test("[SES-13] is shared by those that are still read", () => {
    const [one, other, last] = Array.from({ length: 3 }, (_, i) => new Partition(window, i));
    for (let i = 3; i < 16; i++) new Partition(window, i).consumer.close(1000, "done");
    one?.consumer.close(1000, "done");
    other?.break();
    expect(other?.told).toEqual([1006]);
    expect(last?.attach()).toBe(FIRST_SESSION_WINDOW_BYTES);
  });

  test("[SES-13] looks to the consumer like the one that it requested, less what is in flight", () => {
    for (let i = 1; i < 8; i++) new Partition(window, i);
    const partition = new Partition(window);
    const bytes = partition.attach();
    partition.attached(bytes);
    expect(partition.told.at(-1)).toMatchObject({ windowBytes: ASKED_WINDOW_BYTES });
    partition.attach(2);
    partition.attached(bytes - 1_000);
    expect(partition.told.at(-1)).toMatchObject({ windowBytes: ASKED_WINDOW_BYTES - 1_000 });
  });

  test("[SES-13] counts what came and was not returned, and nothing from before an attach, or from a socket that has gone", () => {
    const [one, other] = [new Partition(window), new Partition(window, 1)];
    for (const each of [one, other]) {
      each.push(5);
      each.attach();
      expect(window.heldBytes).toBe(each === one ? 0 : 300);
      each.push(7);
      each.attached(1_000);
      each.push(300);
    }
    expect(window.heldBytes).toBe(600);
    one.giveBack(100);
    expect(window.heldBytes).toBe(500);
    one.giveBack(1_000);
    expect(window.heldBytes, "never less than nothing").toBe(300);
    other.break();
    expect(window.heldBytes).toBe(0);
  });

  test("[SES-13] leaves everything else as it is", () => {
    const partition = new Partition(window);
    partition.consumer.send(PING);
    partition.giveBack(3);
    expect(partition.sent).toEqual([PING, '{"type":"window","attachId":1,"bytes":3}']);
    partition.pong();
    expect(partition.told).toEqual([PONG]);
  });
});
