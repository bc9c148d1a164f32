// Requests as they arrive over TCP: whole, however the stream is cut, and in no more memory than the received bytes.
import { describe, expect, test } from "vitest";
import {
  KAFKA_FIRST_READ_BYTES,
  MAX_KAFKA_REQUEST_BYTES,
  MAX_KAFKA_USUAL_BYTES,
  MIN_KAFKA_HALF_SENT_BYTES,
} from "../../../../src/core/limits.ts";
import { Incoming } from "../../../../src/worker/kafka/incoming.ts";
import { framed } from "../../../support/kafka-frames.ts";

/** Lets everything happen that has a reason to. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A stream whose pieces a test sends. A read takes as much as there is, and the buffer that it is given. */
class Stream {
  #bytes = Buffer.alloc(0);
  #isOver = false;
  #wake = () => {};
  readonly reads: { least: number; room: number }[] = [];
  readonly #isReading = new Set<object>();

  send(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async readAtLeast(least: number, view: Uint8Array<ArrayBuffer>) {
    expect(this.#isReading.size).toBe(0); // The platform takes one at a time.
    expect(view.length).toBeGreaterThan(0);
    this.#isReading.add(view);
    this.reads.push({ least, room: view.length });
    const [at, room] = [view.byteOffset, view.length];
    const buffer = view.buffer.transfer(); // Nobody else can use it from now on.
    while (this.#bytes.length < least && !this.#isOver)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#isReading.clear();
    if (this.#bytes.length < least) return { done: true };
    const piece = this.#bytes.subarray(0, room);
    this.#bytes = this.#bytes.subarray(piece.length);
    const value = new Uint8Array(buffer, at, piece.length);
    value.set(piece);
    return { done: false, value };
  }
}

function incoming() {
  const stream = new Stream();
  const told: (number | "waits")[] = [];
  const mostHeld = { bytes: 0, came: 0, times: 0 };
  const reader = new Incoming(stream, () => MAX_KAFKA_REQUEST_BYTES, {
    came: (bytes) => {
      told.push(bytes);
      mostHeld.came += bytes;
      mostHeld.bytes = reader.heldBytes;
      mostHeld.times = Math.max(mostHeld.times, reader.heldBytes / mostHeld.came);
    },
    waits: () => told.push("waits"),
  });
  return { stream, told, mostHeld, reader };
}

const request = (length: number, byte: number) => Buffer.alloc(length, byte);

describe("requests over TCP", () => {
  test.each([1, 2, 5, 4_095, 4_096, 4_097, 1_000_000])(
    "[KFK-2] come out whole if %i bytes come at a time, and stay whole",
    async (step) => {
      const requests = [3, 0, 70_000, 1, 4_092, 4_093, 9_000, 9_000, 20].map(request);
      const all = Buffer.concat(requests.map(framed));
      const { stream, reader } = incoming();
      const read = (async () => {
        const out: Uint8Array[] = [];
        for (;;) {
          const next = await reader.next();
          if (next === null) return out;
          out.push(next);
        }
      })();
      for (let at = 0; at < all.length; at += step) {
        stream.send(all.subarray(at, at + step));
        if (step > 5 || at % 1_000 === 0) await settle();
      }
      stream.end();
      // Compared when all is read: none lies in a buffer that a later read used.
      expect((await read).map((each) => Buffer.from(each))).toEqual(requests);
    },
  );

  test("[BND-1] take twice the memory of what has arrived, whatever is announced", async () => {
    const { stream, reader, mostHeld } = incoming();
    void reader.next();
    const all = framed(request(MAX_KAFKA_REQUEST_BYTES, 7));
    stream.send(all.subarray(0, 5));
    await settle();
    expect(reader.heldBytes).toBe(KAFKA_FIRST_READ_BYTES);
    const step = 50_000;
    for (let at = 5; at < all.length - 1; at += step) {
      stream.send(all.subarray(at, Math.min(at + step, all.length - 1)));
      await settle();
      expect(reader.heldBytes).toBeLessThanOrEqual(
        Math.max(KAFKA_FIRST_READ_BYTES, 2 * (at + step)),
      );
    }
    expect(mostHeld.bytes).toBe(all.length);
    expect(stream.reads.every(({ least }) => least <= MIN_KAFKA_HALF_SENT_BYTES)).toBe(true);
  });

  test("[BND-1] are read in two pieces if others of their size came before, up to a bound, and an idle connection has a small buffer", async () => {
    const { stream, reader } = incoming();
    const large = framed(request(200_000, 1));
    stream.send(large);
    await reader.next();
    expect(stream.reads.length).toBeGreaterThan(2);
    stream.reads.length = 0;
    stream.send(large);
    expect(await reader.next()).toEqual(new Uint8Array(200_000).fill(1));
    expect(stream.reads).toEqual([
      { least: 1, room: KAFKA_FIRST_READ_BYTES },
      { least: MIN_KAFKA_HALF_SENT_BYTES, room: large.length - KAFKA_FIRST_READ_BYTES },
    ]);
    void reader.next();
    expect(stream.reads.at(-1)?.room).toBe(KAFKA_FIRST_READ_BYTES);
    expect(reader.heldBytes).toBe(0);
    stream.send(framed(request(3 * MAX_KAFKA_USUAL_BYTES, 2)));
    await settle();
    void reader.next();
    stream.send(framed(request(MAX_KAFKA_REQUEST_BYTES, 3)).subarray(0, 100));
    await settle();
    expect(reader.heldBytes).toBe(MAX_KAFKA_USUAL_BYTES);
  });

  test("[BND-11] are reported as they come, and so is that they are waited for", async () => {
    const { stream, told, reader } = incoming();
    const next = reader.next();
    stream.send(framed(request(10_000, 1)).subarray(0, 2));
    await settle();
    expect(told).toEqual(["waits", 2, "waits"]);
    expect(reader.buffered).toBe(2);
    stream.send(framed(request(10_000, 1)).subarray(2));
    expect(await next).toHaveLength(10_000);
    expect(told.filter((each) => each !== "waits").reduce((a, b) => Number(a) + Number(b))).toBe(
      10_004,
    );
    expect(reader.buffered).toBe(0);
  });

  test("[BND-16] one piece is read ahead, whatever is there already, and belongs to what follows", async () => {
    const { stream, reader } = incoming();
    const [small, next, large] = [
      framed(request(10, 1)),
      framed(request(20, 2)),
      framed(request(5_000, 3)),
    ];
    stream.send(Buffer.concat([small, next, large.subarray(0, 7)]));
    expect(await reader.next()).toHaveLength(10);
    const gone: string[] = [];
    reader.look(() => gone.push("gone"));
    reader.look(() => gone.push("twice"));
    expect(await reader.next()).toHaveLength(20);
    stream.send(large.subarray(7));
    expect(await reader.next()).toEqual(new Uint8Array(5_000).fill(3));
    const last = reader.next();
    reader.look(() => gone.push("while it is read"));
    stream.send(framed(request(1, 4)));
    expect(await last).toHaveLength(1);
    expect(gone).toEqual([]);
    reader.look(() => gone.push("gone"));
    stream.end();
    await settle();
    expect(gone).toEqual(["gone"]);
    expect(await reader.next()).toBe(null);
  });
});
