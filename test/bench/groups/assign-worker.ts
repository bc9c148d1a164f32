// One computation of the assignor, whose heap is watched from outside.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { uniform } from "../../../src/core/group/assignor/uniform.ts";
import { type Assignment, CHANGES, SHAPES } from "./assign-shapes.ts";

const input = workerData as { shape: string; change: keyof typeof CHANGES };
const shape = SHAPES.find(({ name }) => name === input.shape);
if (shape === undefined || parentPort === null) throw new Error("started by assign.ts only");
const before: Assignment =
  input.change === "first"
    ? new Map()
    : uniform(shape.members(CHANGES.again, new Map()), shape.topics);
const members = shape.members(CHANGES[input.change], before);
parentPort.once("message", () => {
  const after = uniform(members, shape.topics);
  parentPort?.postMessage(after.size);
});
// Otherwise the leftovers of the preparation would count as before, and their collection as a saving.
setFlagsFromString("--expose-gc");
runInNewContext("gc")();
parentPort.postMessage("ready");
