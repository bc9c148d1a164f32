// Ten tellers, one account: who decides on an old balance is told, and decides anew.
import { BrokerError, jsonSerde, Rivulet } from "rivulet";

type Event = { type: "deposited" | "withdrawn"; amount: number };

const rivulet = new Rivulet({ url: process.env.RIVULET_URL ?? "http://127.0.0.1:8787" });
const topic = `account-${crypto.randomUUID()}`;
await rivulet.admin.createTopic({ name: topic, config: { "retention.ms": -1 } });
const producer = rivulet.newProducer({ valueSerde: jsonSerde<Event>() });
await producer.send(topic, [{ value: { type: "deposited", amount: 200 } }]);

/** A reader's knowledge of the account: the events before offset `next`. */
class Account {
  balance = 0;
  next = 0;

  /** Reads on to offset `end`. */
  async readTo(end: number): Promise<void> {
    if (this.next >= end) return;
    const reader = await rivulet.reader({
      topic,
      valueSerde: jsonSerde<Event>(),
      onAssigned: ([place]) => void (place && reader.seek(place, this.next)),
    });
    for await (const { offset, value } of reader) {
      const amount = value?.amount ?? 0;
      this.balance += value?.type === "withdrawn" ? -amount : amount;
      this.next = offset + 1;
      if (this.next >= end) break;
    }
  }

  /** False where there is not enough. */
  async withdraw(amount: number): Promise<boolean> {
    for (;;) {
      if (this.balance < amount) return false;
      try {
        const value: Event = { type: "withdrawn", amount };
        await producer.send(topic, [{ value, partition: 0 }], { expectedOffset: this.next });
        return true;
      } catch (error) {
        if (!(error instanceof BrokerError) || error.code !== "INVALID_UPDATE_VERSION") throw error;
        await this.readTo(error.data.nextOffset ?? 0);
      }
    }
  }
}

const withdrawals = await Promise.all(
  Array.from({ length: 10 }, async () => {
    const account = new Account();
    await account.readTo(1);
    return account.withdraw(30);
  }),
);
const done = withdrawals.filter((each) => each).length;
console.log(`${done} withdrawals, ${withdrawals.length - done} refused`);

const account = new Account();
const { offset: end } = await rivulet.admin.listOffset(topic, 0, "latest");
await account.readTo(end);
console.log(`balance ${account.balance}, read from ${end} events`);
await producer.close();
await rivulet.admin.deleteTopic(topic);
