// Several of Kafka's idempotent producers at a time: each is separate.
import { Producer } from "@platformatic/kafka";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CLIENTS } from "./kafka/clients.ts";
import { platformaticAt } from "./kafka/platformatic.ts";
import { KafkaRig, TRANSPORTS } from "./kafka/rig.ts";

let rig: KafkaRig;
beforeAll(async () => {
  rig = await KafkaRig.start();
});
afterAll(() => rig.stop());

const WAYS = TRANSPORTS.flatMap((transport) => CLIENTS.map((client) => ({ transport, client })));

test.each(WAYS)(
  "[IDM-7] producers of $client.name over $transport store everything that each sends",
  async ({ transport, client }) => {
    const topic = await rig.newTopic(1);
    const producers = 4;
    const record = { partition: 0, key: null, headers: {}, timestamp: 1 };
    for (let i = 0; i < producers; i++) {
      const value = Buffer.from(`of producer ${i}`);
      await client.send(rig.address(transport), topic, [{ ...record, value }], "none");
    }
    expect(await rig.rivulet.admin.listOffset(topic, 0, "latest")).toEqual({ offset: producers });
  },
);

test.each(TRANSPORTS)(
  "[IDM-7] two producers of @platformatic/kafka that alternate over %s store everything they send",
  async (transport) => {
    const topic = await rig.newTopic(1);
    const open = () =>
      new Producer({ ...platformaticAt(rig.address(transport)), idempotent: true });
    const producers = [open(), open()];
    const offsets: (bigint | undefined)[] = [];
    for (let i = 0; i < 6; i++) {
      const message = { topic, partition: 0, value: Buffer.from(`${i}`) };
      const sent = await producers[i % 2]?.send({ messages: [message] });
      offsets.push(sent?.offsets?.[0]?.offset);
    }
    await Promise.all(producers.map((producer) => producer.close()));
    expect(offsets).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
  },
);
