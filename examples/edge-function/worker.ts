// An edge function that produces: `env.RIVULET` is the broker.
import type { RivuletService } from "rivulet";

interface Env {
  readonly RIVULET: RivuletService;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname !== "/orders") return env.RIVULET.fetch(request);
    if (request.method === "PUT") {
      const admin = await env.RIVULET.admin;
      if ((await admin.listTopics()).some(({ name }) => name === "orders"))
        return new Response("orders is there already\n");
      const { name, partitions } = await admin.createTopic({ name: "orders", partitions: 3 });
      return new Response(`created ${name} with ${partitions} partitions\n`);
    }
    const order = (await request.json().catch(() => null)) as { customer?: string } | null;
    if (typeof order?.customer !== "string")
      return new Response("an order is JSON with a customer\n", { status: 400 });
    const [outcome] = await env.RIVULET.produce("orders", [{ key: order.customer, value: order }]);
    if (outcome === undefined || "error" in outcome)
      return new Response(`${outcome?.error.code}: ${outcome?.error.detail}\n`, { status: 503 });
    return new Response(`stored in partition ${outcome.partition} at offset ${outcome.offset}\n`);
  },
};
