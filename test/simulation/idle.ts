// Groups whose members are connected while nothing happens, for hours of simulated time. Objects sleep as soon as they can.
// The run counts how often each group's object is woken, and what it writes.
import { bundle, type Exports } from "./bundle.ts";
import { GLOBALS } from "./globals.ts";
import { Actor } from "./scheduler.ts";
import { World } from "./world.ts";

export interface Idle {
  readonly groups: number;
  readonly membersPerGroup: number;
  readonly hours: number;
}

export interface IdleCounts {
  /** Per group and hour. */
  readonly wakes: number;
  readonly writes: number;
  /** The members that still own partitions in the end. */
  readonly members: number;
}

/** The platform puts an object to sleep after about ten seconds. */
const SLEEP_MS = 10_000;
const HOUR_MS = 3_600_000;

export async function idle(
  { groups, membersPerGroup, hours }: Idle,
  program?: Exports,
): Promise<IdleCounts> {
  const nothing = () => {};
  const observer = {
    received: nothing,
    sent: nothing,
    written: nothing,
    threw: nothing,
    crashed: nothing,
  };
  const world = new World(program ?? (await bundle(GLOBALS)), 1, observer);
  const { scheduler } = world;
  const owned = new Map<string, number>();
  const operator = world.environment(new Actor("operator"));
  const { Rivulet } = operator.program;
  const rivuletOf = ({ url, fetch, WebSocket }: typeof operator) =>
    new Rivulet({ url, fetch: fetch as never, WebSocket: WebSocket as never });
  const sleep = () => {
    for (const object of world.objects) object.evict();
  };
  const run = async (ms: number) => {
    const untilMs = scheduler.nowMs + ms;
    while (scheduler.nowMs < untilMs) {
      await scheduler.run(Math.min(untilMs, scheduler.nowMs + SLEEP_MS), nothing, () => false);
      sleep();
    }
  };
  scheduler.after(new Actor("admin"), 0, () => {
    void (operator.fetch as typeof fetch)(`${operator.url}/v1/topics`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "t", partitions: membersPerGroup }),
    });
  });
  await run(30_000);
  for (let group = 0; group < groups; group++)
    for (let member = 0; member < membersPerGroup; member++) {
      const name = `g${group}-${member}`;
      const actor = new Actor(name);
      scheduler.after(actor, 0, () => {
        const count = (change: number) => owned.set(name, (owned.get(name) ?? 0) + change);
        const consumer = rivuletOf(world.environment(actor)).consumer({
          groupId: `g${group}`,
          topics: ["t"],
          clientId: name,
          onAssigned: (partitions) => void count(partitions.length),
          onRevoked: (partitions) => void count(-partitions.length),
          onLost: (partitions) => void count(-partitions.length),
        });
        void consumer.run({ eachRecord: nothing });
      });
    }
  await run(120_000);
  const counted = () => {
    const objects = world.objects.filter(({ kind }) => kind === "group");
    return {
      starts: objects.reduce((sum, { starts }) => sum + starts, 0),
      writes: objects.reduce((sum, { storage }) => sum + storage.writes, 0),
    };
  };
  const before = counted();
  await run(hours * HOUR_MS);
  const after = counted();
  world.close();
  const perGroupHour = groups * hours;
  return {
    wakes: (after.starts - before.starts) / perGroupHour,
    writes: (after.writes - before.writes) / perGroupHour,
    members: [...owned.values()].filter((partitions) => partitions > 0).length,
  };
}
