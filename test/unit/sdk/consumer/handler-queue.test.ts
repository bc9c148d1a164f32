import { expect, test } from "vitest";
import { HandlerQueue } from "../../../../src/sdk/consumer/handler-queue.ts";

const PLACE = { topic: "t", partition: 0 };
const record = (offset: number) => ({
  offset,
  timestamp: 0,
  key: null,
  value: null,
  headers: [],
});
const deliveryOf = (...offsets: number[]) => ({ attachId: 1, records: offsets.map(record) });

const EVENTS = {
  add: (queue) => queue.add(deliveryOf(0, 1)),
  enter: (queue) => queue.enter(),
  leave: (queue) => queue.leave(),
  pause: (queue) => queue.pause(),
  resume: (queue) => queue.resume(),
  seek: (queue) => queue.seek(),
  stop: (queue) => queue.stop(),
  end: (queue) => queue.end(),
} satisfies Record<string, (queue: HandlerQueue) => void>;
type Event = keyof typeof EVENTS;

/** A state as in the table: `open`, with `busy` while code of the application runs, and `full` if records wait. */
type Situation =
  | `${"open" | "paused"}${"" | " busy"}${"" | " full"}`
  | `${"stopping" | "gone"}${"" | " busy"}`;

/** The way to each situation, the possible next events, and where each leads. Others change nothing. */
const TABLE: Record<
  Situation,
  { by: Event[]; next: string; to: Partial<Record<Event, Situation>> }
> = {
  open: {
    by: [],
    next: "wait",
    to: { add: "open full", enter: "open busy", pause: "paused", stop: "stopping", end: "gone" },
  },
  "open full": {
    by: ["add"],
    next: "handle",
    to: {
      enter: "open busy full",
      pause: "paused full",
      seek: "open",
      stop: "stopping",
      end: "gone",
    },
  },
  "open busy": {
    by: ["enter"],
    next: "wait",
    to: {
      add: "open busy full",
      leave: "open",
      pause: "paused busy",
      stop: "stopping busy",
      end: "gone busy",
    },
  },
  "open busy full": {
    by: ["enter", "add"],
    next: "wait",
    to: {
      leave: "open full",
      pause: "paused busy full",
      seek: "open busy",
      stop: "stopping busy",
      end: "gone busy",
    },
  },
  paused: {
    by: ["pause"],
    next: "wait",
    to: {
      add: "paused full",
      enter: "paused busy",
      resume: "open",
      stop: "stopping",
      end: "gone",
    },
  },
  "paused full": {
    by: ["add", "pause"],
    next: "wait",
    to: {
      enter: "paused busy full",
      resume: "open full",
      seek: "paused",
      stop: "stopping",
      end: "gone",
    },
  },
  "paused busy": {
    by: ["enter", "pause"],
    next: "wait",
    to: {
      add: "paused busy full",
      leave: "paused",
      resume: "open busy",
      stop: "stopping busy",
      end: "gone busy",
    },
  },
  "paused busy full": {
    by: ["enter", "add", "pause"],
    next: "wait",
    to: {
      leave: "paused full",
      resume: "open busy full",
      seek: "paused busy",
      stop: "stopping busy",
      end: "gone busy",
    },
  },
  stopping: { by: ["stop"], next: "release", to: { enter: "stopping busy", end: "gone" } },
  "stopping busy": {
    by: ["enter", "stop"],
    next: "wait",
    to: { leave: "stopping", end: "gone busy" },
  },
  gone: { by: ["end"], next: "wait", to: { enter: "gone busy" } },
  "gone busy": { by: ["enter", "end"], next: "wait", to: { leave: "gone" } },
};

const cases = (Object.keys(TABLE) as Situation[]).flatMap((from) =>
  (Object.keys(EVENTS) as Event[])
    // Only what has begun ends.
    .filter((event) => event !== "leave" || from.includes("busy"))
    .map((event) => ({ from, event, to: TABLE[from].to[event] ?? from })),
);

test.each(cases)(
  "[SES-1] a handler's partition that is $from: $event → $to",
  ({ from, event, to }) => {
    const queue = queueAfter(TABLE[from].by);
    expect(situationOf(queue)).toBe(from);
    EVENTS[event](queue);
    expect(situationOf(queue)).toBe(to);
    expect(queue.next).toBe(TABLE[to].next);
  },
);

test("[SES-1] a partition stays busy until everything that works on it has ended", () => {
  const queue = queueAfter(["enter", "enter", "stop", "leave"]);
  expect(queue.next).toBe("wait");
  queue.leave();
  expect(queue.next).toBe("release");
});

test.each([
  { event: "add", goesOn: true, left: [[0, 1]] },
  { event: "enter", goesOn: true, left: [] },
  { event: "resume", goesOn: true, left: [] },
  { event: "pause", goesOn: false, left: [[3, 4]] },
  { event: "seek", goesOn: false, left: [] },
  { event: "stop", goesOn: false, left: [] },
  { event: "end", goesOn: false, left: [] },
] as { event: Event; goesOn: boolean; left: number[][] }[])(
  "[SES-1] after a record was handled, $event: the delivery continues: $goesOn",
  ({ event, goesOn, left }) => {
    const queue = new HandlerQueue(PLACE);
    queue.add(deliveryOf(2, 3, 4));
    expect(queue.take()).toEqual(deliveryOf(2, 3, 4));
    expect(queue.mayHandle(0)).toBe(true);
    EVENTS[event](queue);
    expect(queue.mayHandle(1)).toBe(goesOn);
    expect(queue.mayHandle(1)).toBe(goesOn);
    queue.resume();
    expect(waitingIn(queue)).toEqual(left);
  },
);

test.each(["stop", "end"] as const)("[SES-1] %s takes a record back from a loop", (event) => {
  const queue = new HandlerQueue(PLACE);
  let isAbandoned = false;
  queue.abandon = () => {
    isAbandoned = true;
  };
  EVENTS[event](queue);
  expect(isAbandoned).toBe(true);
});

function queueAfter(events: readonly Event[]): HandlerQueue {
  const queue = new HandlerQueue(PLACE);
  for (const event of events) EVENTS[event](queue);
  return queue;
}

/** Takes everything that an open queue hands out, and returns the offsets of each delivery. */
function waitingIn(queue: HandlerQueue): number[][] {
  const all: number[][] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take())
    all.push(next.records.map(({ offset }) => offset));
  return all;
}

function situationOf(queue: HandlerQueue): string {
  const { state, isBusy } = queue;
  return [state, isBusy ? "busy" : "", isFull(queue) ? "full" : ""].filter(Boolean).join(" ");
}

/** Returns true if records wait. It takes them to look, and puts them back. */
function isFull(queue: HandlerQueue): boolean {
  const { state } = queue;
  queue.resume();
  const taken = queue.take();
  if (taken !== undefined) queue.add(taken);
  if (state === "paused") queue.pause();
  return taken !== undefined;
}
