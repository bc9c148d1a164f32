// Append frames of the partition socket, as the SDK writes and the partition reads them.
import { expect, test } from "vitest";
import { type AppendFrame, writeAppendFrame } from "../../../src/protocol/append-frame.ts";
import { readAppendFrame } from "../../../src/protocol/read-append-frame.ts";

const bufferOf = (bytes: Uint8Array) => new Uint8Array(bytes).buffer;
const written = (frame: AppendFrame) => bufferOf(writeAppendFrame(frame));

test.each([null, 0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 3 * 2 ** 32 + 5, Number.MAX_SAFE_INTEGER])(
  "[CND-1] a frame with the expected offset %s is read as it was written",
  (expectedOffset) => {
    for (const requestId of [0, 7, 2 ** 32 - 1])
      for (const batches of [Uint8Array.of(), Uint8Array.of(1, 2, 3)]) {
        const frame = { requestId, expectedOffset, batches };
        expect(readAppendFrame(written(frame))).toEqual(frame);
      }
  },
);

test.each([-2, -(2 ** 32), -Number.MAX_SAFE_INTEGER, 2 ** 53, 2 ** 60])(
  "[CND-1] a frame with the expected offset %s is rejected",
  (expectedOffset) => {
    const frame = written({ requestId: 1, expectedOffset, batches: Uint8Array.of(1) });
    const refused = `expectedOffset is ${expectedOffset}, it must be -1 (none) to 9007199254740991`;
    expect(() => readAppendFrame(frame)).toThrow(refused);
  },
);

test("[ERR-1] a frame without a whole header is rejected", () => {
  const frame = written({ requestId: 1, expectedOffset: null, batches: Uint8Array.of() });
  expect(frame.byteLength).toBe(12);
  for (let length = 0; length < 12; length++)
    expect(() => readAppendFrame(frame.slice(0, length))).toThrow(
      `binary frame has ${length} bytes, its header alone needs 12`,
    );
});
