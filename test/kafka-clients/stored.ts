// The broker's stored data: the batches' headers, as a fetch returns them.
import { COMPRESSIONS, type CompressionName } from "../../src/core/log/compression.ts";
import { batches } from "../../src/core/log/record-batch.ts";
import { RawKafka } from "../support/kafka-client.ts";
import { FETCH } from "../support/kafka-schemas.ts";

export interface StoredBatch {
  readonly compression: CompressionName | undefined;
  readonly recordCount: number;
  readonly producerId: number;
}

interface Fetched {
  readonly topics: readonly {
    readonly partitions: readonly {
      readonly highWatermark: number;
      readonly records: Uint8Array | null;
    }[];
  }[];
}

/** All batches of each partition, in order. */
export async function storedBatches(
  broker: string,
  topic: string,
  partitions: number,
): Promise<StoredBatch[][]> {
  const client = new RawKafka(broker);
  try {
    const all: StoredBatch[][] = [];
    for (let partition = 0; partition < partitions; partition++)
      all.push(await ofPartition(client, topic, partition));
    return all;
  } finally {
    client.close();
  }
}

async function ofPartition(client: RawKafka, topic: string, partition: number) {
  const stored: StoredBatch[] = [];
  for (let fetchOffset = 0; ; ) {
    const place = { partition, fetchOffset, partitionMaxBytes: 1_000_000 };
    const { topics } = await client.ask<Fetched>(FETCH, 11, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ name: topic, partitions: [place] }],
    });
    const answer = topics[0]?.partitions[0];
    for (const { header } of batches(answer?.records ?? new Uint8Array())) {
      const { compression, recordCount, producerId, baseOffset, lastOffsetDelta } = header;
      stored.push({ compression: nameOf(compression), recordCount, producerId });
      fetchOffset = baseOffset + lastOffsetDelta + 1;
    }
    if (fetchOffset >= (answer?.highWatermark ?? 0)) return stored;
  }
}

function nameOf(compression: number): CompressionName | undefined {
  const names = Object.keys(COMPRESSIONS) as CompressionName[];
  return names.find((name) => COMPRESSIONS[name] === compression);
}
