// librdkafka in this process, by its bindings for Node.
import { KafkaClient } from "kafka-crab-js";
import { Check, RECORDS_PER_CALL, type Side, VALUE_BYTES } from "./side.ts";

/** It rejects more than 100,000 unacknowledged records. */
const RECORDS_PER_FLUSH = 50_000;

export function librdkafkaSide(brokers: string): Side {
  const client = () => new KafkaClient({ brokers, clientId: "bench", logLevel: "error" });
  return {
    name: "librdkafka",
    note: `kafka-crab-js over TCP, idempotent: calls of ${RECORDS_PER_CALL} records, flushed every ${RECORDS_PER_FLUSH}; recvBatch`,
    produce: async (topic, records) => {
      // Otherwise each call flushes, and waits for the others' records too.
      const producer = client().createProducer({
        autoFlush: false,
        configuration: { "enable.idempotence": true },
      });
      const payload = Buffer.alloc(VALUE_BYTES, 120);
      let acknowledged = 0;
      for (let sent = 0; sent < records; ) {
        const messages = Array.from({ length: RECORDS_PER_CALL }, () => ({ payload }));
        await producer.send({ topic, messages });
        sent += RECORDS_PER_CALL;
        if (sent % RECORDS_PER_FLUSH !== 0 && sent < records) continue;
        for (const { error } of await producer.flush()) {
          if (error !== undefined) throw new Error(error.message);
          acknowledged++;
        }
      }
      const endMs = performance.now();
      if (acknowledged !== records) throw new Error(`${acknowledged} are acknowledged`);
      return endMs;
    },
    consume: async (topic, records) => {
      const consumer = client().createConsumer({
        groupId: `${topic}-librdkafka`,
        enableAutoCommit: true,
        configuration: { "auto.offset.reset": "earliest" },
      });
      await consumer.subscribe(topic);
      const check = new Check();
      while (check.count < records)
        for (const { offset, payload } of await consumer.recvBatch(RECORDS_PER_CALL, 100))
          check.take(offset, payload.length);
      const endMs = performance.now();
      await consumer.disconnect();
      return endMs;
    },
  };
}
