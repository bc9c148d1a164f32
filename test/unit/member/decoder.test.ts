// The first compressed batch: the decompressor is loaded then, and nothing overtakes the batch meanwhile.
import { expect, test, vi } from "vitest";
import { compressor } from "../../../src/compression/compress.ts";
import { COMPRESSIONS } from "../../../src/core/log/compression.ts";
import type { Compressor } from "../../../src/core/log/record-batch.ts";
import { Consumer } from "../../../src/sdk/consumer.ts";
import { OneMemberBroker } from "../../support/one-member-broker.ts";

test("[PKG-1] [SES-1] records of all frames are handled in order, compressed or not", async () => {
  const zstd = compressor(COMPRESSIONS.zstd) as Compressor;
  const gzip = compressor(COMPRESSIONS.gzip) as Compressor;
  const broker = new OneMemberBroker();
  broker.batches = [
    [0, 1],
    [1, 2, zstd],
    [3, 1],
    [4, 2, gzip],
    [6, 1],
  ];
  const consumer = new Consumer(broker, { groupId: "g", topics: ["t"], commitIntervalMs: 0 });
  const handled: number[] = [];
  const running = consumer.run({
    eachRecord: ({ offset }, { partition }) => {
      if (partition === 0) handled.push(offset);
    },
  });
  // The decompressor may take its time to load.
  await vi.waitFor(() => expect(handled).toHaveLength(7), 10_000);
  expect(handled).toEqual([0, 1, 2, 3, 4, 5, 6]);
  await vi.waitFor(() => expect(broker.log.join(" ")).toContain("t:0=7"));
  await consumer.close();
  await running;
});
