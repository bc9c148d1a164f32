// Takes orders over HTTP, and consumes them in two ways: in a cron trigger and in a Durable Object. Keep the way that fits.
import type { Env } from "./env.ts";
import { isOrder, orderOf } from "./order.ts";
import { type PolledRecord, pollUntilEmpty } from "./poll.ts";

export { Totals } from "./totals.ts";

/** A run of the cron trigger ends before the next one begins, a minute later. */
const RUN_MS = 50_000;

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const totals = env.TOTALS.getByName("orders");
    switch (`${request.method} ${pathname}`) {
      case "POST /orders":
        return takeOrder(request, env);
      case "PUT /consumer":
        await totals.start();
        return new Response("started\n");
      case "DELETE /consumer":
        await totals.stop();
        return new Response("stopped\n");
      case "GET /totals":
        return Response.json(await totals.totals());
      default:
        // The broker's own API and console, for `npx rivulet` and people. A deployed broker asks who calls.
        return env.RIVULET.fetch(request);
    }
  },

  async scheduled(_controller, env) {
    await pollUntilEmpty(env.RIVULET, {
      groupId: "invoices",
      topics: ["orders"],
      endMs: Date.now() + RUN_MS,
      handle: (record) => writeInvoice(env, record),
    });
  },
} satisfies ExportedHandler<Env>;

async function takeOrder(request: Request, env: Env): Promise<Response> {
  const order = await request.json().catch(() => null);
  if (!isOrder(order))
    return new Response("an order is JSON with a customer and a total\n", { status: 400 });
  const { customer, total } = order;
  const [outcome] = await env.RIVULET.produce("orders", [
    { key: customer, value: { customer, total } },
  ]);
  if (outcome === undefined || "error" in outcome)
    return new Response(`${outcome?.error.code}: ${outcome?.error.detail}\n`, { status: 503 });
  const { partition, offset } = outcome;
  return new Response(`stored in partition ${partition} at offset ${offset}\n`, { status: 201 });
}

/** Writes an invoice. An order may come twice if a run fails; the idempotency key lets it have one invoice all the same. */
async function writeInvoice(env: Env, { partition, offset, value }: PolledRecord): Promise<void> {
  const { customer, total } = orderOf(value);
  const invoice = { key: customer, value: { due: total } };
  const [outcome] = await env.RIVULET.produce("invoices", [invoice], {
    idempotencyKey: `order-${partition}-${offset}`,
  });
  if (outcome === undefined || "error" in outcome) throw new Error(outcome?.error.detail);
}
