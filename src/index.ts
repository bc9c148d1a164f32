// The Worker: the HTTP API, and the classes of its objects.
import type { Env } from "./env.ts";
import { app } from "./http/app.ts";
import { serveTcp } from "./kafka/tcp.ts";

export { ClusterObject } from "../durable-objects/cluster/cluster-object.ts";
export { GroupObject } from "../durable-objects/group/group-object.ts";
export { PartitionObject } from "../durable-objects/partition/partition-object.ts";
export { Rivulet } from "./rpc/rivulet.ts";

export default { fetch: app.fetch, connect: serveTcp } satisfies ExportedHandler<Env>;
