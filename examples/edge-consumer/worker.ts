// A Durable Object that runs the SDK's consumer over the service binding. It adds up sales in its own database.
import { DurableObject } from "cloudflare:workers";
import { type Batch, type Consumer, Rivulet, type RivuletService } from "rivulet";
import { overBinding } from "rivulet/worker";

interface Env {
  readonly RIVULET: RivuletService;
  readonly TOTALS: DurableObjectNamespace<Totals>;
}

/** The longest call of the alarm. If the object dies, the next alarm starts it again within this time. */
const SLICE_MS = 30_000;

export class Totals extends DurableObject<Env> {
  #consumer: Consumer | null = null;
  #ended: Promise<void> | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS totals (product TEXT PRIMARY KEY, amount REAL) STRICT");
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
      .exec<{ product: string; amount: number }>(
        "SELECT product, amount FROM totals ORDER BY product",
      )
      .toArray();
    return Object.fromEntries(rows.map(({ product, amount }) => [product, amount]));
  }

  async #consume(): Promise<void> {
    this.#consumer = new Rivulet(overBinding(this.env.RIVULET)).consumer({
      groupId: "totals",
      topics: ["sales"],
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
  #add({ partition, records }: Batch): void {
    const { sql } = this.ctx.storage;
    this.ctx.storage.transactionSync(() => {
      const [row] = sql.exec("SELECT offset FROM next WHERE partition = ?", partition);
      let next = Number(row?.offset ?? 0);
      for (const { offset, value } of records) {
        if (value === null || offset < next) continue;
        next = offset + 1;
        const { product, amount } = JSON.parse(new TextDecoder().decode(value));
        sql.exec(
          "INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
          ...[product, amount],
        );
      }
      sql.exec("INSERT OR REPLACE INTO next VALUES (?, ?)", partition, next);
    });
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    const totals = env.TOTALS.getByName("sales");
    if (pathname === "/totals") return Response.json(await totals.totals());
    if (pathname !== "/consumer") return env.RIVULET.fetch(request);
    if (request.method === "DELETE") {
      await totals.stop();
      return new Response("stopped\n");
    }
    await totals.start();
    return new Response("started\n");
  },
};
