// Bodies of requests as they arrive: what is made of them, what they hold meanwhile, and how they end.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  BODY_PIECE_BYTES,
  BODY_PIECE_MS,
  MAX_DISCARDED_BYTES,
  MAX_REQUEST_BYTES,
} from "../../../../src/core/limits.ts";
import { memory } from "../../../../src/memory.ts";
import { Invocation } from "../../../../src/worker/edge/invocation.ts";
import { forgetEverything } from "../../../../src/worker/edge/isolate.ts";
import { IncomingBody, readBytes, readText } from "../../../../src/worker/http/body.ts";
import type { BodyLines } from "../../../../src/worker/http/body-lines.ts";
import { produceLines } from "../../../../src/worker/http/bulk.ts";
import { acceptsLines, contentType } from "../../../../src/worker/http/lines.ts";
import { brokerOf } from "../kafka/kafka-bench.ts";

beforeEach(() => {
  vi.useFakeTimers();
  forgetEverything();
});
afterEach(() => {
  expect(memory.bodies.bytes).toBe(0);
  vi.useRealTimers();
});

type Read = (target: Uint8Array) => Promise<number | null> | number | null;

/** A body whose reads a test answers: with the bytes that were written to the target, or null at the end. */
class Source {
  taken = 0;
  isCancelled = false;
  readonly #read: Read;
  #fail: (error: Error) => void = () => {};

  constructor(read: Read) {
    this.#read = read;
  }

  /** One with these bytes, which gives this many at a time. */
  static of(bytes: Uint8Array, atOnce = Number.POSITIVE_INFINITY): Source {
    let at = 0;
    return new Source((target) => {
      const piece = bytes.subarray(at, at + Math.min(target.length, atOnce));
      at += piece.length;
      target.set(piece);
      return piece.length === 0 ? null : piece.length;
    });
  }

  request(headers: Record<string, string> = {}): Request {
    const read = async (target: Uint8Array) => {
      const broken = new Promise<never>((_, reject) => {
        this.#fail = reject;
      });
      broken.catch(() => {}); // Perhaps nobody reads any more.
      const length = await Promise.race([this.#read(target), broken]);
      this.taken += length ?? 0;
      return { value: target.subarray(0, length ?? 0), done: length === null };
    };
    const readAtLeast = async (least: number, target: Uint8Array) => {
      let size = 0;
      while (size < least) {
        const { value, done } = await read(target.subarray(size));
        if (done) break;
        size += value.length;
      }
      return { value: target.subarray(0, size), done: size === 0 };
    };
    const cancel = async () => {
      this.isCancelled = true;
      this.#fail(new Error("cancelled"));
    };
    const body = { getReader: () => ({ read, readAtLeast, cancel }) };
    return { headers: new Headers(headers), body } as unknown as Request;
  }
}

function bytesOf(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) % 256);
}

async function gzipped(bytes: Uint8Array): Promise<Uint8Array> {
  const packed = new Response(bytes).body?.pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** Bytes are not compared by `expect`, which takes them one by one. */
const isSame = (a: Uint8Array, b: Uint8Array) =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

const announced = (size: number) => ({ "content-length": String(size) });
const PIECE = BODY_PIECE_BYTES;

describe("a whole body", () => {
  test.each([0, 1, 1_023, 1_024, 1_025, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7])(
    "[BND-2] of %i bytes is what came, whatever it announces and however it comes",
    async (size) => {
      const bytes = bytesOf(size);
      const announcements = [{}, announced(size), announced(1), announced(size + 5_000)];
      for (const headers of announcements)
        for (const atOnce of [7_777, Number.POSITIVE_INFINITY])
          expect(isSame(await readBytes(Source.of(bytes, atOnce).request(headers)), bytes)).toBe(
            true,
          );
    },
  );

  test.each([1_024, PIECE + 1, 2 * PIECE - 1, 200_000])(
    "[BND-1] that announces its %i bytes holds one more, to see its end",
    async (size) => {
      const body = new IncomingBody(Source.of(bytesOf(size)).request(announced(size)));
      let most = 0;
      const hold = vi.spyOn(body, "hold").mockImplementation((bytes) => {
        most = bytes;
      });
      await body.bytes();
      expect(hold).toHaveBeenCalled();
      expect(most).toBe(Math.max(size, 1_024) + 1);
      body.close();
    },
  );

  test("[BND-2] that is at the bound is read, a longer one is not, and is drained for its client", async () => {
    const zeros = (size: number) => {
      let left = size;
      return new Source((target) => {
        const length = Math.min(left, target.length);
        left -= length;
        return length === 0 ? null : length;
      });
    };
    expect(await readBytes(zeros(MAX_REQUEST_BYTES).request())).toHaveLength(MAX_REQUEST_BYTES);
    const refused = { code: "MESSAGE_TOO_LARGE" };
    const long = zeros(MAX_REQUEST_BYTES + 1);
    await expect(readBytes(long.request())).rejects.toMatchObject(refused);
    expect(long.taken).toBe(MAX_REQUEST_BYTES + 1);
    const endless = zeros(2 * MAX_DISCARDED_BYTES);
    const request = endless.request(announced(MAX_REQUEST_BYTES + 1));
    await expect(readBytes(request)).rejects.toMatchObject(refused);
    expect(endless.taken).toBe(MAX_DISCARDED_BYTES + BODY_PIECE_BYTES);
    expect(endless.isCancelled).toBe(true);
  });

  test("[BND-2] that breaks off says after how many bytes", async () => {
    let reads = 0;
    const source = new Source((target) => {
      if (++reads > 1) throw new Error("the connection was lost");
      return Math.min(target.length, 700);
    });
    await expect(readBytes(source.request())).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: expect.stringMatching(/broke off, after its first \d+ bytes: the connection/),
    });
  });

  test("[BND-2] compressed with gzip is decompressed, in another way rejected", async () => {
    const bytes = bytesOf(100_000);
    const packed = { "content-encoding": "GZIP" };
    expect(await readBytes(Source.of(await gzipped(bytes), 999).request(packed))).toEqual(bytes);
    const identity = { "content-encoding": "identity" };
    expect(await readBytes(Source.of(bytes).request(identity))).toEqual(bytes);
    await expect(
      readBytes(Source.of(bytes).request({ "content-encoding": "br" })),
    ).rejects.toMatchObject({ code: "INVALID_REQUEST", message: expect.stringContaining("is br") });
    await expect(readBytes(Source.of(bytes).request(packed))).rejects.toMatchObject({
      code: "INVALID_REQUEST",
    });
  });

  test("[BND-2] as text is UTF-8, without its byte-order mark", async () => {
    const text = (...bytes: number[]) => readText(Source.of(Uint8Array.from(bytes)).request());
    expect(await text(0xef, 0xbb, 0xbf, 0x61)).toBe("a");
    await expect(text(0x61, 0xff)).rejects.toThrow("the body is not valid UTF-8");
  });
});

describe("a body that does not move", () => {
  /** Reads a body that brings this many bytes each time, and says how it ended. */
  function reading(everyMs: number, bytes: number) {
    const source = new Source(
      (target) =>
        new Promise((resolve) =>
          setTimeout(() => resolve(Math.min(bytes, target.length)), everyMs),
        ),
    );
    const end = { error: null as { code?: string } | null };
    const body = new IncomingBody(source.request());
    void body
      .bytes()
      .catch((error: { code?: string }) => {
        end.error = error;
      })
      .finally(() => body.close());
    return { source, end };
  }

  test.each([
    ["that brings nothing", 10 * BODY_PIECE_MS, 1],
    ["that brings a byte a second", 1_000, 1],
    ["that brings too little by a byte", BODY_PIECE_MS / 2 + 1, BODY_PIECE_BYTES / 2],
  ])("[BND-2] %s is ended in time", async (_, everyMs, bytes) => {
    const { source, end } = reading(everyMs, bytes);
    await vi.advanceTimersByTimeAsync(BODY_PIECE_MS - 1);
    expect(end.error).toBeNull();
    await vi.advanceTimersByTimeAsync(2);
    expect(end.error).toMatchObject({ code: "REQUEST_TIMED_OUT" });
    expect(source.isCancelled).toBe(true);
    await vi.runAllTimersAsync();
  });

  test("[BND-2] one that moves, however slowly, is read on", async () => {
    const pauseMs = BODY_PIECE_MS - 1_000;
    const source = new Source(
      (target) => new Promise((resolve) => setTimeout(() => resolve(target.length), pauseMs)),
    );
    const body = new IncomingBody(source.request());
    const pieces: number[] = [];
    const read = (async () => {
      for await (const piece of body.pieces()) pieces.push(piece.length);
    })();
    await vi.advanceTimersByTimeAsync(10 * pauseMs);
    expect(pieces).toEqual(Array(10).fill(BODY_PIECE_BYTES));
    body.close();
    await expect(read).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });
});

test("[BLK-1] a body without lines is done at once, with one line that says so", async () => {
  const close = vi.fn();
  const lines = { async *[Symbol.asyncIterator]() {}, body: { close }, hold: () => {} };
  const answers: unknown[] = [];
  const invocation = new Invocation(brokerOf({ t: 1 }));
  for await (const text of produceLines(invocation, "t", lines as unknown as BodyLines))
    answers.push(JSON.parse(text));
  expect(answers).toEqual([{ lines: 0, stored: 0, refused: 0, errors: [], done: true }]);
  expect(close).toHaveBeenCalledTimes(1);
});

test.each([
  [{}, false, ""],
  [{ accept: "application/json", "content-type": "Application/JSON" }, false, "application/json"],
  [
    {
      accept: "text/html, Application/x-NDJSON",
      "content-type": "application/x-ndjson ; charset=utf-8",
    },
    true,
    "application/x-ndjson",
  ],
])(
  "[BLK-3] lines are requested, and told from JSON, by their media type: %j",
  (headers, asks, type) => {
    const request = Source.of(new Uint8Array()).request(headers as Record<string, string>);
    expect([acceptsLines(request), contentType(request)]).toEqual([asks, type]);
  },
);
