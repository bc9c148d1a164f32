// What a simulation runs: the Worker, the objects and the SDK, as they ship.
export { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
export { GroupObject } from "../../durable-objects/group/group-object.ts";
export { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
export { Rivulet } from "../../src/client/index.ts";
export { forgetEverything } from "../../src/edge/isolate.ts";
export { app } from "../../src/http/app.ts";
