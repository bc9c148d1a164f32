// The assignor alone, at the size of the largest group. It shows what a join or a leave costs the group's object in CPU and memory. Every change of membership computes the whole target again.
import { Worker } from "node:worker_threads";
import type { AssignorMember } from "../../../src/core/group/assignor/assignor.ts";
import { uniform } from "../../../src/core/group/assignor/uniform.ts";
import { median, printTable, round } from "../report.ts";
import { type Assignment, CHANGES, type Change, SHAPES, type Shape } from "./assign-shapes.ts";

const ROUNDS = 5;
/** Often enough for a computation of a second; the samples interrupt it. */
const HEAP_SAMPLE_MS = 5;
const MIB = 1024 * 1024;

export async function benchAssign(): Promise<void> {
  const rows: string[][] = [];
  for (const shape of SHAPES) {
    const settled = uniform(shape.members(CHANGES.again, new Map()), shape.topics);
    for (const [name, change] of Object.entries(CHANGES)) {
      const before: Assignment = name === "first" ? new Map() : settled;
      const { ms, after } = time(shape, change, before);
      const heapBytes = await peakHeapBytes(shape.name, name);
      const { moved, least } = countMoves(shape, change, before, after);
      rows.push([shape.name, name, round(ms, 0), round(heapBytes / MIB, 0), moved, least]);
    }
  }
  console.log(
    `uniform, 1,000 members and 10,000 partitions, medians of ${ROUNDS}. Moved: taken from a member that stays\n`,
  );
  printTable(["shape", "change", "ms", "peak heap growth, MiB", "moved", "least"], rows);
}

function time(shape: Shape, change: Change, before: Assignment): { ms: number; after: Assignment } {
  const members = shape.members(change, before);
  const times: number[] = [];
  let after: Assignment = new Map();
  for (let i = 0; i < ROUNDS; i++) {
    const startMs = performance.now();
    after = uniform(members, shape.topics);
    times.push(performance.now() - startMs);
  }
  return { ms: median(times), after };
}

/**
 * The computation's addition to an object's heap of 128 MB, uncollected garbage included. It runs in a thread of its own,
 * since a function that does not yield cannot sample itself.
 */
async function peakHeapBytes(shape: string, change: string): Promise<number> {
  const worker = new Worker(new URL("./assign-worker.ts", import.meta.url), {
    workerData: { shape, change },
    resourceLimits: { maxOldGenerationSizeMb: 128 },
  });
  const failed = new Promise<never>((_, reject) => worker.once("error", reject));
  const said = () => new Promise((resolve) => worker.once("message", resolve));
  const heap = async () => (await worker.getHeapStatistics()).used_heap_size;
  try {
    await Promise.race([said(), failed]); // The input is ready.
    const beforeBytes = await heap();
    let isDone = false;
    const done = said().then(() => {
      isDone = true;
    });
    worker.postMessage("go");
    let peakBytes = beforeBytes;
    while (!isDone) {
      peakBytes = Math.max(peakBytes, await Promise.race([heap(), failed]));
      await new Promise((resolve) => setTimeout(resolve, HEAP_SAMPLE_MS));
    }
    await done;
    return peakBytes - beforeBytes;
  } finally {
    await worker.terminate();
  }
}

/**
 * `least`, where it is easy to state. A member that stays need not lose anything when another leaves. A newcomer must get
 * its share. The share is known in advance if everybody subscribes to everything and the balance of totals alone decides.
 * Otherwise no fewer partitions can move than it got.
 */
function countMoves(
  shape: Shape,
  change: Change,
  before: Assignment,
  after: Assignment,
): { moved: string; least: string } {
  let moved = 0;
  const stay = new Set(shape.members(change, before).map(({ memberId }) => memberId));
  for (const [memberId, partitions] of before) {
    if (stay.has(memberId)) moved += partitions.difference(after.get(memberId) ?? new Set()).size;
  }
  if (before.size === 0) return { moved: "-", least: "-" };
  const newcomers: AssignorMember[] = shape
    .members(change, before)
    .filter(({ memberId }) => !before.has(memberId));
  if (newcomers.length === 0) return { moved: String(moved), least: "0" };
  const got = newcomers.reduce((sum, { memberId }) => sum + (after.get(memberId)?.size ?? 0), 0);
  const partitions = shape.topics.reduce((sum, topic) => sum + topic.partitions, 0);
  const least = shape.isEven
    ? String(Math.floor(partitions / stay.size))
    : `≥ ${got} (the newcomer's)`;
  return { moved: String(moved), least };
}
