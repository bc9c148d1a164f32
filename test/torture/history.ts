// The events of a run, one line of JSON per event and one file per process. A line is written, with one system call, before
// the announced action is done. So a killed process has lost no line that anything later depends on. Times are those of
// CLOCK_MONOTONIC, which all processes of a machine share.
import { closeSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A partition and an offset in it. */
export type Place = readonly [partition: number, offset: number];

/** `kafka`: any of Kafka's clients. */
export type MemberKind = "sdk" | "plain" | "kafka";

export type Happening =
  // Producers. The records of a send are numbered on from `first`; an id is `<who>-<number>`.
  | { readonly e: "send"; readonly first: number; readonly count: number }
  /** The outcome of each record: where it is, or the error's name. */
  | { readonly e: "sent"; readonly first: number; readonly outcomes: readonly (Place | string)[] }
  // Members of groups.
  | {
      readonly e: "member";
      readonly group: string;
      readonly topic: string;
      readonly kind: MemberKind;
    }
  | { readonly e: "assigned"; readonly places: readonly Place[] }
  | { readonly e: "revoked" | "lost"; readonly partitions: readonly number[] }
  /** For a Kafka client: from here on each partition may restart, at the group's commits. */
  | { readonly e: "rebalanced" }
  /** Records at consecutive offsets come to the handler; before that the SDK checked its clock. */
  | {
      readonly e: "start";
      readonly p: number;
      readonly o: number;
      readonly ids: readonly string[];
      readonly lookedNs?: number;
    }
  /** The handler is done with them. */
  | { readonly e: "end"; readonly p: number; readonly o: number; readonly count: number }
  /** A plain client asks whether it is still heard, and is answered. */
  | { readonly e: "ping" | "pong" }
  /** A fault that a consumer repaired by itself. */
  | { readonly e: "warning"; readonly code: string; readonly detail: string }
  /** The error that ended a consumer. */
  | { readonly e: "fatal"; readonly code: string; readonly detail: string }
  // The run itself.
  | {
      readonly e: "committed";
      readonly group: string;
      readonly epoch: number;
      readonly offsets: readonly (readonly [partition: number, committed: number | null])[];
      /** The partitions of all members, one member's behind another's. */
      readonly held?: readonly number[];
    }
  | { readonly e: "fault"; readonly kind: string; readonly target: string }
  /** The groups did not reach the end of the logs, though nothing disturbed them any more. */
  | { readonly e: "stuck"; readonly detail: string };

export type Event = Happening & {
  /** Nanoseconds. */
  readonly t: number;
  /** The process. */
  readonly who: string;
};

export function historyPath(folder: string, who: string): string {
  return join(folder, `${who}.ndjson`);
}

export class HistoryWriter {
  readonly #file: number;

  constructor(folder: string, who: string) {
    this.#file = openSync(historyPath(folder, who), "a");
  }

  write(happening: Happening): void {
    // Below 2^53 for the first hundred days after the machine was started.
    const t = Number(process.hrtime.bigint());
    writeSync(this.#file, `${JSON.stringify({ t, ...happening })}\n`);
  }
}

/** The events of all files of a folder in the order of their times. */
export function* readHistory(folder: string): Generator<Event> {
  const heads = readdirSync(folder)
    .filter((name) => name.endsWith(".ndjson"))
    .map((name) => eventsOf(join(folder, name), name.slice(0, -".ndjson".length)))
    .map((events) => ({ events, next: events.next() }));
  for (;;) {
    let first: { events: Generator<Event>; next: IteratorYieldResult<Event> } | null = null;
    for (const head of heads) {
      if (head.next.done) continue;
      if (first === null || head.next.value.t < first.next.value.t)
        first = head as { events: Generator<Event>; next: IteratorYieldResult<Event> };
    }
    if (first === null) return;
    yield first.next.value;
    first.next = first.events.next() as IteratorYieldResult<Event>;
  }
}

function* eventsOf(path: string, who: string): Generator<Event> {
  const file = openSync(path, "r");
  const buffer = Buffer.alloc(256 * 1024);
  const utf8 = new TextDecoder();
  let rest = "";
  for (let size = readSync(file, buffer); size > 0; size = readSync(file, buffer)) {
    const lines = (rest + utf8.decode(buffer.subarray(0, size), { stream: true })).split("\n");
    // An unfinished line was being written when its process was killed: it does not count.
    rest = lines.pop() ?? "";
    for (const line of lines) yield { ...(JSON.parse(line) as Event), who };
  }
  closeSync(file);
}
