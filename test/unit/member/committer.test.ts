// When a consumer commits, and what. The test controls the clock, and answers every commit at once.
import { describe, expect, test } from "vitest";
import { ConsumerHarness } from "../../support/consumer-harness.ts";

type Config = ConstructorParameters<typeof ConsumerHarness>[0];
/** A commit: when, in milliseconds since the join, and the offset. */
type Commit = readonly [atMs: number, offset: number];

const STEP_MS = 10;
/** More records than any test processes. */
const MANY = 1_000;
const KAFKAS: Config = { commitIntervalMs: 5_000 };
const PLAIN: Config = { ...KAFKAS, commitsFirstAtOnce: true };
const NOT_BY_ITSELF: Config = { commitIntervalMs: Number.POSITIVE_INFINITY };

/** From `fromMs` to `untilMs`, at this interval in milliseconds. */
function every(ms: number, untilMs: number, fromMs = 0): number[] {
  return Array.from({ length: (untilMs - fromMs) / ms + 1 }, (_, i) => fromMs + i * ms);
}

/** A member that has `t:0`, and its commits. */
class Timeline {
  readonly consumer: ConsumerHarness;
  readonly commits: Commit[] = [];
  readonly #startMs: number;
  #seen = 0;

  constructor(config: Config) {
    this.consumer = ConsumerHarness.joined({ "t:0": 0 }, config);
    this.#startMs = this.consumer.nowMs;
  }

  get atMs(): number {
    return this.consumer.nowMs - this.#startMs;
  }

  until(atMs: number): void {
    while (this.atMs < atMs) {
      this.consumer.advance(STEP_MS);
      this.consumer.pong();
      this.answer();
    }
  }

  answer(): void {
    const commit = this.consumer.commits[this.#seen];
    if (commit === undefined) return;
    this.#seen++;
    this.commits.push([this.atMs, commit.offsets[0]?.offset ?? -1]);
    this.consumer.committed();
    this.answer();
  }
}

/** Processes a record at each of the times, then waits until `untilMs`. `isBusy` leaves records in hand all the time. */
function commitsOf(
  config: Config,
  { atMs, untilMs, isBusy }: { atMs: readonly number[]; untilMs: number; isBusy: boolean },
): readonly Commit[] {
  const timeline = new Timeline(config);
  const { consumer } = timeline;
  if (isBusy) consumer.data("t:0", 0, MANY);
  for (const [offset, ms] of atMs.entries()) {
    timeline.until(ms);
    if (!isBusy) consumer.data("t:0", offset, 1);
    consumer.processed("t:0", offset + 1);
    timeline.answer();
  }
  timeline.until(untilMs);
  return timeline.commits;
}

describe("what is processed while records are in hand", () => {
  test.each<[string, Config, number[], Commit[]]>([
    [
      "for 20 s is committed four times",
      KAFKAS,
      every(100, 19_900),
      [
        [5_000, 50],
        [10_000, 100],
        [15_000, 150],
        [20_000, 200],
      ],
    ],
    ["once is committed an interval later", KAFKAS, [30], [[5_030, 1]]],
    [
      "at an interval shorter than a second is committed as often as that",
      { commitIntervalMs: 200 },
      every(100, 500),
      [
        [200, 2],
        [400, 4],
        [600, 6],
      ],
    ],
    [
      "at an interval of 0 is committed each time",
      { commitIntervalMs: 0 },
      [0, 10, 50],
      [
        [0, 1],
        [10, 2],
        [50, 3],
      ],
    ],
    ["is not committed without autoCommit", NOT_BY_ITSELF, every(100, 19_000), []],
    [
      "by a plain client is committed at once, and then once in an interval",
      PLAIN,
      every(100, 10_000),
      [
        [0, 1],
        [5_000, 51],
        [10_000, 101],
      ],
    ],
    [
      "last by a plain client is committed within an interval",
      PLAIN,
      [0, 200, 300],
      [
        [0, 1],
        [5_200, 3],
      ],
    ],
  ])("[SES-12] %s", (_, config, atMs, expected) => {
    expect(commitsOf(config, { atMs, untilMs: 20_000, isBusy: true })).toEqual(expected);
  });
});

describe("what is processed with nothing left in hand", () => {
  test.each<[string, Config, number[], Commit[]]>([
    ["is committed 250 ms after", KAFKAS, [30], [[280, 1]]],
    ["is committed 250 ms after the last of it", KAFKAS, [0, 100, 200], [[450, 3]]],
    [
      "again and again is committed a second apart",
      KAFKAS,
      [0, 300, 600, 1_300],
      [
        [250, 1],
        [1_250, 3],
        [2_250, 4],
      ],
    ],
    [
      "without a pause is committed once in an interval, and 250 ms after its end",
      KAFKAS,
      every(100, 12_000),
      [
        [5_000, 50],
        [10_000, 100],
        [12_250, 121],
      ],
    ],
    [
      "at an interval shorter than a second does not wait for that second",
      { commitIntervalMs: 500 },
      [0, 300],
      [
        [250, 1],
        [800, 2],
      ],
    ],
    [
      "at an interval of 0 is committed each time",
      { commitIntervalMs: 0 },
      [0, 10],
      [
        [0, 1],
        [10, 2],
      ],
    ],
    ["is not committed without autoCommit", NOT_BY_ITSELF, every(1_000, 10_000), []],
    [
      "by a plain client is committed at once, and then a second apart",
      PLAIN,
      [0, 100, 900, 6_300],
      [
        [0, 1],
        [1_150, 3],
        [6_300, 4],
      ],
    ],
    [
      "by a plain client is not committed at once within an interval of any commit",
      PLAIN,
      [0, 4_400, 5_010],
      [
        [0, 1],
        [4_650, 2],
        [5_650, 3],
      ],
    ],
  ])("[SES-12] %s", (_, config, atMs, expected) => {
    expect(commitsOf(config, { atMs, untilMs: 20_000, isBusy: false })).toEqual(expected);
  });

  test("[SES-12] is committed with what else is processed, even if another partition is busy", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 }, KAFKAS);
    consumer.data("t:0", 0, 1);
    consumer.data("t:1", 0, 9);
    consumer.processed("t:1", 4);
    consumer.processed("t:0", 1);
    consumer.take();
    consumer.advance(249);
    expect(consumer.take()).toEqual([]);
    consumer.advance(1);
    expect(consumer.take()).toEqual(["commit epoch 1 t:0=1 t:1=4"]);
  });
});

test("[SES-12] a partition without work is committed even if another never rests, and both share the commit", () => {
  const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 }, KAFKAS);
  consumer.data("t:0", 0, 1);
  consumer.data("t:1", 0, MANY);
  consumer.processed("t:0", 1);
  consumer.take();
  for (let offset = 1; offset <= 4; offset++) {
    consumer.advance(60);
    consumer.processed("t:1", offset);
    expect(consumer.commits).toEqual([]);
  }
  consumer.take();
  consumer.advance(10);
  expect(consumer.take()).toEqual(["commit epoch 1 t:0=1 t:1=4"]);
});

describe("a commit", () => {
  test.each([KAFKAS, PLAIN])(
    "[SES-12] that is delayed is made half a second later, with what came meanwhile (%o)",
    (config) => {
      const consumer = ConsumerHarness.joined({ "t:0": 0 }, config);
      consumer.data("t:0", 0, 1);
      consumer.processed("t:0", 1);
      consumer.advance(250);
      consumer.coordinatorError("THROTTLING_QUOTA_EXCEEDED", { answersCommit: true });
      consumer.data("t:0", 1, 1);
      consumer.processed("t:0", 2);
      consumer.advance(499);
      expect(consumer.commits).toHaveLength(1);
      consumer.advance(1);
      expect(consumer.commits.map(({ offsets }) => offsets[0]?.offset)).toEqual([1, 2]);
    },
  );

  test.each([KAFKAS, PLAIN, NOT_BY_ITSELF])(
    "[SES-2] before a partition is given up waits for nothing, even just after another (%o)",
    (config) => {
      const consumer = ConsumerHarness.joined({ "t:0": 0 }, config);
      consumer.data("t:0", 0, 3);
      consumer.processed("t:0", 1);
      consumer.commitNow();
      consumer.committed();
      consumer.assign({}, { epoch: 2 });
      consumer.processed("t:0", 2);
      consumer.take();
      consumer.released("t:0");
      expect(consumer.take()).toEqual(["commit epoch 2 t:0=2"]);
    },
  );

  test.each([KAFKAS, PLAIN, NOT_BY_ITSELF])(
    "[SES-6] at a close waits for nothing, even just after another (%o)",
    (config) => {
      const consumer = ConsumerHarness.joined({ "t:0": 0 }, config);
      consumer.data("t:0", 0, 3);
      consumer.processed("t:0", 1);
      consumer.commitNow();
      consumer.committed();
      consumer.processed("t:0", 2);
      consumer.take();
      consumer.close();
      expect(consumer.take()).toContain("commit epoch 1 t:0=2");
    },
  );

  test("[SES-12] on request comes before the one that is due, and that is then not made", () => {
    const timeline = new Timeline(KAFKAS);
    timeline.consumer.data("t:0", 0, 2);
    timeline.consumer.processed("t:0", 1);
    timeline.until(1_000);
    timeline.consumer.commitNow();
    timeline.answer();
    timeline.until(20_000);
    expect(timeline.commits).toEqual([[1_000, 1]]);
  });
});
