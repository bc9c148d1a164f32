// A Worker that reaches the broker over the network.
import { exchange } from "./exchange.ts";

export default {
  async fetch(_request: Request, env: { readonly BROKER: string }): Promise<Response> {
    return Response.json(await exchange(env.BROKER, "worker"));
  },
};
