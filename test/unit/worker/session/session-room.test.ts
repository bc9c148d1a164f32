import { describe, expect, test } from "vitest";
import { MAX_SESSION_IN_HAND_BYTES } from "../../../../src/core/limits.ts";
import type { TopicPartition } from "../../../../src/core/record.ts";
import { SessionRoom } from "../../../../src/worker/session/session-room.ts";
import { ConsumerHarness } from "../../../support/consumer-harness.ts";

const PLACES = ["t:0", "t:1", "t:2"] as const;
type Name = (typeof PLACES)[number];

/** A session with three partitions of two frames each. Each frame has two records. */
class Bench {
  readonly room: SessionRoom;
  readonly consumer: ConsumerHarness;

  constructor(maxBytes: number) {
    this.room = new SessionRoom(maxBytes);
    const { isFull } = this.room;
    this.consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0, "t:2": 0 }, { isFull });
    for (const offset of [0, 2]) for (const place of PLACES) this.consumer.data(place, offset, 2);
  }

  processed(place: Name, offset: number): void {
    this.consumer.processed(place, offset);
    this.serve();
  }

  serve(): void {
    const nameOf = ({ topic, partition }: TopicPartition) => `${topic}:${partition}` as Name;
    this.room.serve({
      pause: (place) => this.consumer.pause(nameOf(place)),
      resume: (place) => this.consumer.resume(nameOf(place)),
    });
  }

  /** The records that were delivered since the last call. */
  get delivered(): string[] {
    return this.consumer.take().filter((line) => line.startsWith("records"));
  }
}

describe("what a session holds of all its partitions", () => {
  test("[SES-11] is everything if the bound is far", () => {
    const { delivered } = new Bench(MAX_SESSION_IN_HAND_BYTES);
    expect(delivered).toHaveLength(6);
  });

  test("[SES-11] goes one frame beyond the bound; the rest comes as there is room, each partition in its turn", () => {
    const bench = new Bench(1);
    expect(bench.delivered).toEqual(["records t:0 0-1"]);
    bench.processed("t:0", 1);
    expect(bench.delivered, "one of two is still in hand").toEqual([]);
    const steps: [Name, number, string][] = [
      ["t:0", 2, "records t:1 0-1"],
      ["t:1", 2, "records t:2 0-1"],
      ["t:2", 2, "records t:0 2-3"],
      ["t:0", 4, "records t:1 2-3"],
      ["t:1", 4, "records t:2 2-3"],
    ];
    for (const [place, offset, next] of steps) {
      bench.processed(place, offset);
      expect(bench.delivered).toEqual([next]);
    }
  });

  test("[SES-11] later records wait behind those that already wait", () => {
    const bench = new Bench(1);
    bench.consumer.data("t:0", 4, 2);
    expect(bench.delivered).toEqual(["records t:0 0-1"]);
    bench.processed("t:0", 2);
    expect(bench.delivered).toEqual(["records t:1 0-1"]);
  });

  test.each([
    ["pause", (consumer: ConsumerHarness) => consumer.pause("t:0")],
    ["seek", (consumer: ConsumerHarness) => consumer.seek("t:0", 0)],
  ])("[SES-11] a %s leaves the room to others", (_, leave) => {
    const bench = new Bench(1);
    expect(bench.delivered).toHaveLength(1);
    leave(bench.consumer);
    bench.serve();
    expect(bench.delivered).toEqual(["records t:1 0-1"]);
  });

  test("[SES-11] a partition that was paused while it waited gets its records after that", () => {
    const bench = new Bench(1);
    bench.consumer.pause("t:1");
    bench.processed("t:0", 2);
    expect(bench.delivered).toEqual(["records t:0 0-1", "records t:2 0-1"]);
    bench.consumer.resume("t:1");
    bench.processed("t:2", 2);
    bench.processed("t:0", 4);
    bench.processed("t:2", 4);
    expect(bench.delivered).toEqual(["records t:0 2-3", "records t:2 2-3", "records t:1 0-1"]);
  });
});
