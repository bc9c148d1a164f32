// The cluster's tasks: who does which, in which order, when again, and the time of the alarm.
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  ClusterStore,
  type StoredTask,
  type Task,
} from "../../../../durable-objects/cluster/cluster-store.ts";
import { Jobs } from "../../../../durable-objects/cluster/jobs.ts";
import type { Transactional } from "../../../../durable-objects/shared/sql.ts";
import { nodeSql } from "../../../support/node-sql.ts";

const HOUR_MS = 3_600_000;

let storage: Transactional;
let store: ClusterStore;
/** The time that the object's clock shows. */
let nowMs: number;
let alarmMs: number | null;
/** The tasks that workers have begun, and those under way. */
let begun: string[];
let atWork: Map<string, { done: () => void; fail: () => void }>;
/** Called each time that nothing is under way and something waits. */
let waiting: number;
/** The time at which the alarm must ring for something else. */
let otherwiseMs: number | null;

beforeEach(() => {
  storage = nodeSql();
  store = new ClusterStore(storage);
  nowMs = 1_000_000_000;
  alarmMs = null;
  begun = [];
  atWork = new Map();
  waiting = 0;
  otherwiseMs = null;
});

const nameOf = (task: Task) =>
  task.type === "tell-group"
    ? `${task.groupId}/${task.topic}`
    : task.type === "configure-all"
      ? "all"
      : `${task.type === "destroy-topic" ? "destroy" : "configure"} ${task.topicId}`;

/** One life of the object's jobs. */
function life(): Jobs {
  return new Jobs({
    store,
    run: (task) =>
      new Promise<void>((resolve, reject) => {
        const name = nameOf(task);
        begun.push(name);
        const ends = (end: () => void) => () => {
          atWork.delete(name);
          end();
        };
        const fail = ends(() => reject(new Error("out of reach, for the test")));
        atWork.set(name, { done: ends(resolve), fail });
      }),
    setAlarm: async (atMs) => {
      alarmMs = atMs;
    },
    nowMs: () => nowMs,
    failed: () => {},
    otherwiseDueMs: () => otherwiseMs,
    waiting: () => {
      waiting++;
    },
  });
}

const tell = (groupId: string, topic = "t") =>
  store.addTask({ type: "tell-group", groupId, topic });
const configure = (topicId: string) => store.addTask({ type: "configure-topic", topicId });
const destroy = (topicId: string) =>
  store.addTask({ type: "destroy-topic", topicId, partitions: 1 });
/** Lets everything continue that waits only for its turn. */
const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};
const done = async (...names: string[]) => {
  for (const name of names) atWork.get(name)?.done();
  await settle();
};
const fail = async (...names: string[]) => {
  for (const name of names) atWork.get(name)?.fail();
  await settle();
};
const left = () => store.tasksAfter(0, 10_000).tasks.map(({ task }) => nameOf(task));
/** Does the tasks and returns true if they have ended. */
function doing(jobs: Jobs, tasks: readonly StoredTask[]): { ended: boolean } {
  const state = { ended: false };
  void jobs.do(tasks).then(() => {
    state.ended = true;
  });
  return state;
}
const ring = async (jobs: Jobs) => {
  void jobs.doAll();
  await settle();
};
const waitMs = () => (alarmMs === null ? null : alarmMs - nowMs);

describe("a change", () => {
  test("[CLU-8] waits for its own tasks, and for no others", async () => {
    const jobs = life();
    const slow = doing(jobs, [destroy("slow")]);
    const quick = doing(jobs, [tell("g"), tell("h")]);
    await settle();
    expect(begun).toEqual(["destroy slow", "g/t", "h/t"]);
    await done("g/t");
    expect(quick.ended).toBe(false);
    await done("h/t");
    expect([quick.ended, slow.ended]).toEqual([true, false]);
    await done("destroy slow");
    expect(slow.ended).toBe(true);
    expect([left(), alarmMs]).toEqual([[], null]);
  });

  test("[CLU-8] is answered even if a task of it has failed, which stays", async () => {
    const jobs = life();
    const change = doing(jobs, [tell("g"), tell("h")]);
    await settle();
    await fail("g/t");
    expect(change.ended).toBe(false);
    await done("h/t");
    expect(change.ended).toBe(true);
    expect(left()).toEqual(["g/t"]);
    expect(waitMs()).toBe(1_000);
    expect(waiting).toBe(1);
  });

  test("[CLU-8] without tasks costs nothing", async () => {
    alarmMs = 5;
    await life().do([]);
    expect(alarmMs).toBe(5);
  });

  test("[CLU-8] sets the alarm before anything is done, in case the object ends", async () => {
    const jobs = life();
    void jobs.do([tell("g")]);
    expect(waitMs()).toBe(10_000);
    await settle();
    nowMs += 8_000;
    const second = doing(jobs, [tell("h")]);
    await settle();
    await done("h/t");
    expect(second.ended).toBe(true);
    expect(waitMs(), "the first one is at work").toBe(10_000);
    await done("g/t");
    expect(alarmMs).toBe(null);
  });
});

describe("each task", () => {
  test("[CLU-8] has one worker, whoever asks for it", async () => {
    const jobs = life();
    const [task] = [tell("g")];
    const both = [doing(jobs, [task]), doing(jobs, [task])];
    await ring(jobs);
    await ring(jobs);
    expect(begun).toEqual(["g/t"]);
    await done("g/t");
    expect(both.map(({ ended }) => ended)).toEqual([true, true]);
    expect(begun).toHaveLength(1);
  });

  test("[CLU-8] follows those about the same thing, and waits for no others", async () => {
    const jobs = life();
    const tasks = [
      configure("a"),
      destroy("a"),
      configure("b"),
      tell("g"),
      tell("g"),
      tell("g", "u"),
    ];
    doing(jobs, tasks);
    await settle();
    expect(begun).toEqual(["configure a", "configure b", "g/t", "g/u"]);
    await done("configure a", "g/t");
    expect(begun.slice(4)).toEqual(["destroy a", "g/t"]);
  });

  test("[CLU-8] behind a failed one is done all the same", async () => {
    const jobs = life();
    doing(jobs, [configure("a"), destroy("a")]);
    await settle();
    await fail("configure a");
    expect(begun).toEqual(["configure a", "destroy a"]);
    await done("destroy a");
    expect(left()).toEqual(["configure a"]);
  });

  test("[CLU-8] short ones have room beside long ones, and both have bounds", async () => {
    const jobs = life();
    doing(
      jobs,
      Array.from({ length: 6 }, (_, i) => destroy(`t${i}`)),
    );
    doing(
      jobs,
      Array.from({ length: 100 }, (_, i) => tell(`g${i}`)),
    );
    await settle();
    expect(begun.filter((name) => name.startsWith("destroy"))).toHaveLength(4);
    expect(begun.filter((name) => name.startsWith("g"))).toHaveLength(64);
    for (let i = 0; i < 200 && atWork.size > 0; i++) await done(...atWork.keys());
    expect(begun).toHaveLength(106);
    expect(new Set(begun).size).toBe(106);
    expect(left()).toEqual([]);
  });

  test("[CLU-8] one about many things takes its place among the tasks about each", async () => {
    const jobs = life();
    const order: string[] = [];
    doing(jobs, [configure("a")]);
    await settle();
    void jobs.inLine("topic a", async () => void order.push("all"));
    const failing = jobs.inLine("topic b", () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(order).toEqual([]);
    await done("configure a");
    expect(order).toEqual(["all"]);
  });
});

describe("a task that fails", () => {
  test("[CLU-8] is tried again, later each time, up to an hour, and not before", async () => {
    const jobs = life();
    doing(jobs, [destroy("a")]);
    await settle();
    for (let i = 0; i < 14; i++) {
      const wait = Math.min(HOUR_MS, 1_000 * 2 ** i);
      await fail("destroy a");
      expect(waitMs(), `after ${i + 1}`).toBe(wait);
      nowMs += wait - 1;
      await ring(jobs);
      expect(begun, "not yet").toHaveLength(i + 1);
      expect(waitMs()).toBe(1);
      nowMs += 1;
      await ring(jobs);
      expect(begun).toHaveLength(i + 2);
    }
    await done("destroy a");
    expect([left(), alarmMs]).toEqual([[], null]);
  });

  test("[CLU-8] delays no other: each has a wait of its own", async () => {
    const jobs = life();
    doing(jobs, [tell("g")]);
    await settle();
    await fail("g/t");
    for (let i = 0; i < 5; i++) {
      nowMs += waitMs() ?? 0;
      await ring(jobs);
      await fail("g/t");
    }
    expect(waitMs()).toBe(32_000);
    const other = doing(jobs, [tell("h")]);
    await settle();
    expect(begun.at(-1)).toBe("h/t");
    await fail("h/t");
    expect([other.ended, waitMs()]).toEqual([true, 1_000]);
    nowMs += 1_000;
    const before = begun.length;
    await ring(jobs);
    expect(begun.slice(before)).toEqual(["h/t"]);
    await done("h/t");
    expect(waitMs()).toBe(31_000);
  });

  test("[CLK-1] waits no longer after the clock was set back", async () => {
    const jobs = life();
    doing(jobs, [tell("g")]);
    await settle();
    await fail("g/t");
    nowMs -= HOUR_MS;
    doing(jobs, [tell("h")]);
    await settle();
    await done("h/t");
    expect(waitMs()).toBe(0);
    await ring(jobs);
    expect(begun).toEqual(["g/t", "h/t", "g/t"]);
  });
});

describe("another life", () => {
  test("[CLU-8] does what the previous one left, more than a page of it, each once", async () => {
    const all = Array.from({ length: 2_500 }, (_, i) => nameOf(tell(`g${i}`).task));
    const jobs = life();
    await jobs.resume();
    expect(waitMs()).toBe(1_000);
    const ended = vi.fn();
    void jobs.doAll().then(ended);
    await settle();
    for (let i = 0; i < 200 && left().length > 0; i++) await done(...atWork.keys());
    await settle();
    expect(ended).toHaveBeenCalledTimes(1);
    expect(begun).toEqual(all);
    expect([left(), alarmMs]).toEqual([[], null]);
  });

  test("[CLU-8] does at once what had failed, and what was under way when it ended", async () => {
    const first = life();
    doing(first, [tell("g"), tell("h")]);
    await settle();
    await fail("g/t"); // The other one is under way when the object ends.
    atWork.clear();
    begun = [];
    const second = life();
    await second.resume();
    await ring(second);
    expect(begun).toEqual(["g/t", "h/t"]);
    await done("g/t", "h/t");
    expect([left(), alarmMs]).toEqual([[], null]);
  });

  test("[CLU-8] that begins with a change does not take the alarm from what was left", async () => {
    tell("left");
    const jobs = life();
    await jobs.resume();
    const change = doing(jobs, [tell("g")]);
    await settle();
    await done("g/t");
    expect([change.ended, left(), waitMs()]).toEqual([true, ["left/t"], 1_000]);
    await ring(jobs);
    await done("left/t");
    expect(alarmMs).toBe(null);
  });

  test("[CLU-8] [VER-3] leaves a task of a newer release to that release, and does those behind it", async () => {
    for (let i = 0; i < 1_001; i++)
      storage.sql.exec(`INSERT INTO tasks (task) VALUES ('{"type":"of-a-newer-release"}')`);
    tell("g");
    const jobs = life();
    await jobs.resume();
    expect(waitMs()).toBe(1_000);
    await ring(jobs);
    expect(begun).toEqual(["g/t"]);
    await done("g/t");
    expect(alarmMs, "nothing more to do").toBe(null);
    expect(store.hasTasks).toBe(true);
    await ring(jobs);
    expect(begun).toHaveLength(1);
  });

  test("[CLU-8] [DEL-1] the alarm also rings for other due work, and for whatever comes first", async () => {
    otherwiseMs = nowMs + 5_000;
    const jobs = life();
    doing(jobs, [tell("g")]);
    await settle();
    expect(waitMs()).toBe(5_000);
    await fail("g/t");
    expect(waitMs()).toBe(1_000);
    nowMs += 1_000;
    await ring(jobs);
    await done("g/t");
    expect(waitMs()).toBe(4_000);
  });

  test("[CLU-8] sets no alarm if nothing is left", async () => {
    await life().resume();
    expect(alarmMs).toBe(null);
  });
});
