// The subjects of a simulation: the Worker, the objects and the SDK, as they ship.
export { ClusterObject } from "../../durable-objects/cluster/cluster-object.ts";
export { GroupObject } from "../../durable-objects/group/group-object.ts";
export { PartitionObject } from "../../durable-objects/partition/partition-object.ts";
export { RelayObject } from "../../durable-objects/relay/relay-object.ts";
export { Rivulet } from "../../src/sdk/index.ts";
export { forgetEverything } from "../../src/worker/edge/isolate.ts";
export { app } from "../../src/worker/http/app.ts";
