// Prepared Produce requests over one connection, so that the client costs next to nothing.
import { encodeBatch } from "../../../src/core/log/record-batch.ts";
import { RawKafka } from "../../support/kafka-client.ts";
import { decodeResponse, encodeRequest, framed } from "../../support/kafka-frames.ts";
import { PRODUCE } from "../../support/kafka-schemas.ts";

const VERSION = 7;
export const RECORDS_PER_BATCH = 256;
export const RECORD_BYTES = 992;
const IN_FLIGHT = 5;

interface Produced {
  readonly topics: { readonly partitions: { readonly errorCode: number }[] }[];
}

/** Appends `count` batches of 254 KB to a topic's only partition, with five unanswered. */
export async function produceRaw(address: string, topic: string, batches: number): Promise<void> {
  const value = new Uint8Array(RECORD_BYTES - 10).fill(120);
  const record = { key: null, value, headers: [], timestamp: Date.now() };
  const records = [encodeBatch(Array.from({ length: RECORDS_PER_BATCH }, () => record))];
  const topics = [{ name: topic, partitions: [{ partition: 0, records }] }];
  const body = { transactionalId: null, acks: -1, timeoutMs: 30_000, topics };
  const request = framed(encodeRequest(PRODUCE, VERSION, body));
  const client = new RawKafka(address);
  for (let sent = 0, answered = 0; answered < batches; answered++) {
    for (; sent < batches && sent - answered < IN_FLIGHT; sent++) client.write(request);
    const answer = decodeResponse<Produced>(PRODUCE, VERSION, await client.frame());
    const errorCode = answer.topics[0]?.partitions[0]?.errorCode;
    if (errorCode !== 0) throw new Error(`${topic}: error ${errorCode}`);
  }
  client.close();
}
