// A Worker that consumes in a cron trigger. Each run polls its group until nothing is left, and writes a receipt for each
// payment.
import type { RivuletService } from "rivulet";

interface Env {
  readonly RIVULET: RivuletService;
}

/** The part of a polled record that this Worker uses. */
interface Payment {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string;
}

type Ack = Pick<Payment, "topic" | "partition" | "offset">;

/** Runs begin a minute apart, so one ends before the next begins. */
const RUN_MS = 50_000;
/** The group keeps this member's partitions while a few runs fail, and does not rebalance between two runs. */
const SESSION_MS = 300_000;

export default {
  fetch: (request: Request, env: Env): Promise<Response> => env.RIVULET.fetch(request),

  async scheduled(_controller: unknown, env: Env): Promise<void> {
    const endMs = Date.now() + RUN_MS;
    const poll = await pollerOf(env);
    let ack: readonly Ack[] = [];
    for (;;) {
      // The last poll only acknowledges. The record that it returns comes again in the next run.
      const isLast = Date.now() >= endMs;
      const payments = await poll({ ack, maxRecords: isLast ? 1 : 100 });
      if (isLast || payments.length === 0) return;
      for (const payment of payments) await writeReceipt(env, payment);
      ack = lastOfEachPartition(payments);
    }
  },
};

/** Returns a function that polls. Like every request from outside, a poll needs a token if the broker is not open. */
async function pollerOf(env: Env) {
  const admin = await env.RIVULET.admin;
  const { token } = await admin.createToken({ ttlMs: 2 * RUN_MS });
  return async (options: { ack: readonly Ack[]; maxRecords: number }): Promise<Payment[]> => {
    const body = { instanceId: "cron", topics: ["payments"], sessionTimeoutMs: SESSION_MS };
    const response = await env.RIVULET.fetch(
      new Request("http://rivulet/v1/groups/receipts/poll", {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ ...body, ...options }),
      }),
    );
    if (!response.ok) throw new Error(await response.text());
    const { records } = (await response.json()) as { records: Payment[] };
    return records;
  };
}

/** Writes a receipt. If a run fails, its payments come again; the idempotency key lets each have one receipt. */
async function writeReceipt(env: Env, { partition, offset, key, value }: Payment): Promise<void> {
  const { amount } = JSON.parse(value) as { amount: number };
  const receipt = { key, value: { customer: key, paid: amount } };
  const [outcome] = await env.RIVULET.produce("receipts", [receipt], {
    idempotencyKey: `payment-${partition}-${offset}`,
  });
  if (outcome === undefined || "error" in outcome) throw new Error(outcome?.error.detail);
}

function lastOfEachPartition(payments: readonly Payment[]): Ack[] {
  const last = new Map<number, Ack>();
  for (const { topic, partition, offset } of payments)
    last.set(partition, { topic, partition, offset });
  return [...last.values()];
}
