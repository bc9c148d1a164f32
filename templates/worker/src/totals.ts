// Consumes in a Durable Object, within milliseconds. The object stays awake, which costs about $4 a month.
import { DurableObject } from "cloudflare:workers";
import { type Batch, type Consumer, Rivulet } from "rivulet";
import { overBinding } from "rivulet/worker";
import type { Env } from "./env.ts";
import { BadRecord, setAside } from "./failed.ts";
import { type Order, orderOf } from "./order.ts";

/** The longest call of the alarm. If the object dies, the next alarm starts it again within this time. */
const SLICE_MS = 30_000;

/** Adds up each customer's orders. */
export class Totals extends DurableObject<Env> {
  #consumer: Consumer | null = null;
  #ended: Promise<void> | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS totals (customer TEXT PRIMARY KEY, total REAL) STRICT");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS next (partition INTEGER PRIMARY KEY, offset INTEGER) STRICT",
    );
  }

  /** Starts the consumer unless it runs. It then runs until `stop`, in alarms that follow one another. */
  async start(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now());
  }

  /** Keeps the object awake, as an event in progress does. The next alarm waits for the end of this one. */
  override async alarm(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + SLICE_MS);
    this.#ended ??= this.#consume();
    await Promise.race([this.#ended, scheduler.wait(SLICE_MS)]);
  }

  /** Finishes the batch in progress, commits, and closes. The group keeps the partitions for 45 s, then others get them. */
  async stop(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.#consumer?.close();
  }

  totals(): Record<string, number> {
    const rows = this.ctx.storage.sql
      .exec<{ customer: string; total: number }>("SELECT customer, total FROM totals")
      .toArray();
    return Object.fromEntries(rows.map(({ customer, total }) => [customer, total]));
  }

  async #consume(): Promise<void> {
    this.#consumer = new Rivulet(overBinding(this.env.RIVULET)).consumer({
      groupId: "totals",
      topics: ["orders"],
      instanceId: "totals", // A static member: if the object starts again within 45 s, nothing is rebalanced.
    });
    try {
      await this.#consumer.run({ eachBatch: (batch) => this.#add(batch) });
    } catch (error) {
      console.error("the consumer ended, and the next alarm starts it again:", error);
    }
    this.#consumer = null;
    this.#ended = null;
  }

  /** Adds a batch, and stores where it ends in the same transaction. A record that comes again is not added twice. */
  async #add({ topic, partition, records }: Batch): Promise<void> {
    const orders: { readonly offset: number; readonly order: Order }[] = [];
    for (const record of records) {
      try {
        orders.push({ offset: record.offset, order: orderOf(record.value) });
      } catch (error) {
        if (!(error instanceof BadRecord)) throw error;
        await setAside(this.env.RIVULET, "totals", { topic, partition, ...record }, error);
      }
    }
    const { sql } = this.ctx.storage;
    this.ctx.storage.transactionSync(() => {
      const [row] = sql.exec("SELECT offset FROM next WHERE partition = ?", partition);
      let next = Number(row?.offset ?? 0);
      for (const { offset, order } of orders) {
        if (offset < next) continue;
        next = offset + 1;
        sql.exec(
          "INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET total = total + excluded.total",
          ...[order.customer, order.total],
        );
      }
      sql.exec("INSERT OR REPLACE INTO next VALUES (?, ?)", partition, next);
    });
  }
}
