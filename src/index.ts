// The Worker: the HTTP API, and the classes of its objects.
import { type Env, withFrom } from "./env.ts";
import { app } from "./worker/http/app.ts";
import { serveTcp } from "./worker/kafka/tcp.ts";

export { ClusterObject } from "../durable-objects/cluster/cluster-object.ts";
export { GroupObject } from "../durable-objects/group/group-object.ts";
export { MetricsObject } from "../durable-objects/metrics/metrics-object.ts";
export { PartitionObject } from "../durable-objects/partition/partition-object.ts";
export { RelayObject } from "../durable-objects/relay/relay-object.ts";
export { Rivulet } from "./worker/rpc/rivulet.ts";

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),
  connect: (socket, env, context) => {
    const waitUntil = (promise: Promise<unknown>) => context.waitUntil(promise);
    return serveTcp(socket, withFrom(env, { way: "kafka", waitUntil }));
  },
} satisfies ExportedHandler<Env>;
