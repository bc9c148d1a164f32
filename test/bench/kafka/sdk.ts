// The SDK, over HTTP and WebSockets.
import { Rivulet } from "../../../src/sdk/index.ts";
import { Check, RECORDS_PER_CALL, type Side, VALUE_BYTES } from "./side.ts";

const CALLS_AT_ONCE = 16;

export function sdkSide(url: string): Side {
  return {
    name: "rivulet",
    note: `the SDK: calls of ${RECORDS_PER_CALL} records, ${CALLS_AT_ONCE} at once; eachRecord`,
    produce: async (topic, records) => {
      const { producer } = new Rivulet({ url });
      const value = new Uint8Array(VALUE_BYTES).fill(120);
      let begun = 0;
      const sendSome = async () => {
        while (begun++ < records / RECORDS_PER_CALL) {
          const all = Array.from({ length: RECORDS_PER_CALL }, () => ({ value }));
          for (const outcome of await producer.send(topic, all))
            if ("error" in outcome) throw new Error(outcome.error.detail);
        }
      };
      await Promise.all(Array.from({ length: CALLS_AT_ONCE }, sendSome));
      const endMs = performance.now();
      await producer.close();
      return endMs;
    },
    consume: async (topic, records) => {
      const consumer = new Rivulet({ url }).consumer({ groupId: `${topic}-sdk`, topics: [topic] });
      const check = new Check();
      let endMs = 0;
      await consumer.run({
        eachRecord: ({ offset, value }) => {
          check.take(offset, value?.length ?? 0);
          if (check.count < records) return;
          endMs = performance.now();
          void consumer.close();
        },
      });
      return endMs;
    },
  };
}
