import { describe, expect, test } from "vitest";
import { RENEWED } from "../../../src/member/transport.ts";
import {
  CLOSE_FATAL,
  CLOSE_FENCED,
  CLOSE_REPLACED,
  CLOSE_SESSION_ENDED,
  CLOSE_UNAUTHENTICATED,
} from "../../../src/protocol/close-codes.ts";
import { BACKOFF_MS, ConsumerHarness, SESSION_MS } from "../../support/consumer-harness.ts";
import { FakeBroker } from "../../support/fake-broker.ts";
import { batchOf, type Place } from "../../support/places.ts";

const HEARTBEAT_MS = 5_000;
/** At once, now and then, and only on request. */
const INTERVALS = [0, 60_000, Number.POSITIVE_INFINITY];

/** The relevant part of a log: without the heartbeats of sockets. */
function withoutPings(log: readonly string[]): string[] {
  return log.filter((line) => !line.startsWith("ping"));
}

/** Joined with `t:0` at 0, records 0 to `count` − 1 delivered and not processed. */
function reading(count = 3, config: ConstructorParameters<typeof ConsumerHarness>[0] = {}) {
  const consumer = ConsumerHarness.joined({ "t:0": 0 }, config);
  consumer.data("t:0", 0, count);
  consumer.take();
  return consumer;
}

/** Plays a broker that responds again: the group socket breaks, comes back, and joins with epoch `epoch`. */
function reconnectGroup(consumer: ConsumerHarness): void {
  consumer.breakGroup();
  consumer.advance(BACKOFF_MS);
  consumer.openGroup();
}

describe("a newer release", () => {
  test("[VER-8] that sends messages of unknown types is understood like one that does not", () => {
    const consumer = reading(3);
    const unknown = { type: "of-a-newer-release", requestId: 0, attachId: 1, offset: 9 } as never;
    consumer.fromCoordinator(unknown);
    consumer.fromPartition("t:0", unknown);
    expect(consumer.take()).toEqual([]);
    const other = reading(3);
    for (const each of [consumer, other]) each.processed("t:0", 3);
    consumer.fromCoordinator(unknown);
    const told = other.take();
    expect(consumer.take()).toEqual(told);
    for (const each of [consumer, other]) each.committed();
    expect(consumer.take()).toEqual(other.take());
  });
});

describe("joining", () => {
  test("[SES-1] a member joins, attaches where the group has committed, and learns once that all is ready", () => {
    const consumer = new ConsumerHarness({ topics: ["t", "u"], clientId: "c", instanceId: "i" });
    consumer.start();
    expect(consumer.take()).toEqual(["open group"]);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["join epoch 0 owns []"]);
    expect(consumer.group.sent).toMatchObject([
      { topics: ["t", "u"], clientId: "c", instanceId: "i", sessionTimeoutMs: SESSION_MS },
    ]);
    consumer.assign({ "t:0": 5, "t:1": null, "u:3": 9 }, { epoch: 4 });
    expect(consumer.take()).toEqual(["open t:0", "open t:1", "open u:3"]);
    for (const place of ["u:3", "t:0", "t:1"] as const) consumer.open(place);
    expect(consumer.take()).toEqual(["attach u:3 9", "attach t:0 5", "attach t:1 earliest"]);
    expect(consumer.attach("t:0")).toMatchObject({
      windowBytes: 1_000,
      owner: { group: "g", incarnation: 7, memberEpoch: 4, memberNumber: 3 },
    });
    consumer.attached("t:0");
    consumer.attached("t:1", 2);
    expect(consumer.take()).toEqual([]);
    expect(consumer.core.assignment).toEqual([]);
    consumer.attached("u:3");
    expect(consumer.take()).toEqual(["assigned t:0@5 t:1@2 u:3@9"]);
    expect(consumer.core.assignment).toHaveLength(3);
  });

  test("[SES-1] starting twice joins once", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.start();
    expect(consumer.take()).toEqual(["open group"]);
  });

  test("[SES-1] a partition that is slow to attach does not keep the others waiting forever", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.assign({ "t:0": 0, "t:1": 0 });
    consumer.connect("t:0");
    consumer.data("t:0", 0, 2);
    consumer.take();
    consumer.advance(SESSION_MS / 10);
    expect(withoutPings(consumer.take())).toEqual(["assigned t:0@0", "records t:0 0-1"]);
    consumer.connect("t:1");
    expect(consumer.take()).toContain("assigned t:1@0");
  });

  test("[SES-1] partitions that come later are announced alone", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.assign({ "t:0": 0, "t:1": 4 }, { epoch: 2 });
    expect(consumer.take()).toEqual(["open t:1"]);
    consumer.connect("t:1");
    expect(consumer.take()).toEqual(["attach t:1 4", "assigned t:1@4"]);
  });

  test("[SES-1] a member without partitions is told so once, and only when that is final", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.take();
    consumer.assign({}, { state: "UNRELEASED_PARTITIONS" });
    expect(consumer.take()).toEqual([]);
    consumer.assign({}, { epoch: 2 });
    expect(consumer.take()).toEqual(["assigned "]);
    consumer.assign({}, { epoch: 3 });
    expect(consumer.take()).toEqual([]);
  });

  test("[SES-1] a member that joins again is told again that it has nothing", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.assign({});
    consumer.breakGroup(CLOSE_SESSION_ENDED);
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    consumer.take();
    consumer.assign({}, { epoch: 3 });
    expect(consumer.take()).toEqual(["assigned "]);
  });

  test("[SES-1] records that arrive before all is ready are delivered after it, in order", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.assign({ "t:0": 3, "t:1": 0 });
    consumer.connect("t:0");
    consumer.data("t:0", 3, 2);
    consumer.data("t:0", 5, 1);
    consumer.take();
    consumer.connect("t:1");
    expect(consumer.take()).toEqual([
      "attach t:1 0",
      "assigned t:0@3 t:1@0",
      "records t:0 3-4",
      "records t:0 5-5",
    ]);
  });

  test("[SES-1] of a batch that begins before the position only the rest is delivered", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 5 });
    consumer.data("t:0", 2, 6);
    expect(consumer.take()).toEqual(["records t:0 5-7"]);
  });

  test("[SES-1] a frame of several batches is delivered as one, in offset order", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    const frame = [batchOf("t:0", 0, 2), batchOf("t:0", 2, 3), batchOf("t:0", 5, 1)];
    consumer.frame("t:0", Buffer.concat(frame));
    expect(consumer.take()).toEqual(["records t:0 0-5"]);
  });

  test("[SES-1] a retriable refusal is retried, later each time", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    for (let waitMs = BACKOFF_MS; waitMs <= 4 * BACKOFF_MS; waitMs *= 2) {
      consumer.openGroup();
      consumer.take();
      consumer.coordinatorError("COORDINATOR_NOT_AVAILABLE");
      expect(consumer.take()).toEqual(["error COORDINATOR_NOT_AVAILABLE", "close group 4004"]);
      consumer.advance(waitMs - 1);
      expect(consumer.take()).toEqual([]);
      consumer.advance(1);
      expect(consumer.take()).toEqual(["open group"]);
    }
  });

  test("[SES-1] once joined, the next break is repaired as fast as the first", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    for (const waitMs of [BACKOFF_MS, 2 * BACKOFF_MS]) {
      consumer.breakGroup();
      consumer.advance(waitMs);
    }
    consumer.openGroup();
    consumer.assign({});
    consumer.breakGroup();
    consumer.take();
    consumer.advance(BACKOFF_MS);
    expect(consumer.take()).toEqual(["open group"]);
  });

  test.each(["KAFKA_STORAGE_ERROR", "COORDINATOR_NOT_AVAILABLE"])(
    "[SES-1] a fatal close for a retriable reason, %s, is repaired by connecting again, and nothing is lost",
    (name) => {
      const consumer = reading();
      consumer.breakGroup(CLOSE_FATAL, `${name}: the write failed, nothing was stored`);
      expect(consumer.take()).toEqual([`error ${name}`]);
      expect(consumer.isClosed).toBe(false);
      consumer.advance(BACKOFF_MS);
      expect(consumer.take()).toEqual(["open group"]);
      consumer.openGroup();
      expect(consumer.take()).toEqual(["join epoch 1 owns [t:0]"]);
      consumer.assign({ "t:0": 0 });
      consumer.data("t:0", 3, 1);
      expect(consumer.take(), "the membership goes on where it was").toEqual(["records t:0 3-3"]);
    },
  );

  test.each([
    ["INVALID_REQUEST: topics: must not be empty", "INVALID_REQUEST"],
    // A reason without an error name, as from another broker: it is not known whether it may pass.
    ["no reason that anybody knows", "UNKNOWN_SERVER_ERROR"],
    // The name is at the beginning; the rest of the text does not count.
    ["INVALID_REQUEST: not KAFKA_STORAGE_ERROR: really", "INVALID_REQUEST"],
  ])(
    "[SES-1] a fatal close that is final ends the consumer even before it has joined (%s)",
    (reason, name) => {
      const consumer = new ConsumerHarness();
      consumer.start();
      consumer.openGroup();
      consumer.take();
      consumer.breakGroup(CLOSE_FATAL, reason);
      expect(consumer.take()).toEqual([`fatal ${name}`, "closed"]);
      expect(consumer.core.nextTimerMs).toBeNull();
    },
  );

  test("[GRP-8] a final refusal ends the consumer", () => {
    const consumer = new ConsumerHarness({ instanceId: "i" });
    consumer.start();
    consumer.openGroup();
    consumer.take();
    consumer.coordinatorError("UNRELEASED_INSTANCE_ID");
    expect(consumer.take()).toEqual(["fatal UNRELEASED_INSTANCE_ID", "close group 1000", "closed"]);
    expect(consumer.core.nextTimerMs).toBeNull();
  });
});

describe("partition sockets", () => {
  test("[SES-1] a socket that breaks is opened again after a back-off and continues behind the last record", () => {
    const consumer = reading();
    consumer.processed("t:0", 3);
    consumer.take();
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS - 1);
    expect(consumer.take()).toEqual([]);
    consumer.advance(1);
    expect(consumer.take()).toEqual(["open t:0"]);
    consumer.open("t:0");
    expect(consumer.take()).toEqual(["attach t:0 3"]);
    consumer.attached("t:0");
    consumer.data("t:0", 3, 1);
    expect(consumer.take(), "nothing is announced anew").toEqual(["records t:0 3-3"]);
  });

  test("[SES-1] a socket that cannot be opened is retried ever more seldom, up to five seconds apart", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      consumer.breakSocket("t:0");
      const brokenMs = consumer.nowMs;
      while (!consumer.hasSocket("t:0")) {
        consumer.advance(1);
        consumer.pong();
      }
      waits.push(consumer.nowMs - brokenMs);
    }
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    consumer.connect("t:0");
    const bytes = consumer.data("t:0", 0, 1);
    expect(bytes).toBeGreaterThan(0);
    consumer.processed("t:0", 1);
    consumer.breakSocket("t:0");
    consumer.take();
    consumer.advance(BACKOFF_MS);
    expect(consumer.take(), "a good frame starts the count anew").toContain("open t:0");
  });

  test("[SES-1] records held back when the socket broke are fetched again, once", () => {
    const consumer = reading();
    consumer.processed("t:0", 3);
    consumer.pause("t:0");
    consumer.data("t:0", 3, 2);
    consumer.data("t:0", 5, 2);
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.take();
    consumer.open("t:0");
    expect(consumer.take()).toEqual(["attach t:0 3"]);
    consumer.attached("t:0");
    consumer.data("t:0", 3, 4);
    consumer.resume("t:0");
    expect(consumer.offsets("t:0")).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test("[SES-5] a socket that returns is not attached while the application has records in hand", () => {
    const consumer = reading();
    consumer.data("t:0", 3, 2);
    consumer.processed("t:0", 1);
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.committed();
    consumer.take();
    consumer.open("t:0");
    consumer.processed("t:0", 4);
    expect(consumer.take()).toEqual(["commit epoch 1 t:0=4"]);
    consumer.processed("t:0", 5);
    expect(consumer.take(), "all is done").toEqual(["attach t:0 5"]);
    consumer.attached("t:0");
    consumer.data("t:0", 5, 1);
    expect(consumer.offsets("t:0")).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("[SES-5] records finished while the socket is away let it attach at once when it returns", () => {
    const consumer = reading();
    consumer.breakSocket("t:0");
    consumer.processed("t:0", 3);
    consumer.advance(BACKOFF_MS);
    consumer.take();
    consumer.open("t:0");
    expect(consumer.take()).toEqual(["attach t:0 3"]);
  });

  test("[SES-1] data over an abandoned socket is ignored, as are frames before the response to attach", () => {
    const consumer = reading();
    consumer.processed("t:0", 3);
    const old = consumer.socket("t:0");
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.open("t:0");
    consumer.take();
    consumer.frame("t:0", batchOf("t:0", 3, 1), old);
    consumer.frame("t:0", batchOf("t:0", 3, 1));
    expect(consumer.take()).toEqual([]);
    consumer.attached("t:0");
    consumer.data("t:0", 3, 1);
    expect(consumer.take()).toEqual(["records t:0 3-3"]);
  });

  test("[SES-1] nothing of a corrupt frame is delivered; it is reported and requested again", () => {
    const consumer = reading();
    consumer.processed("t:0", 3);
    consumer.take();
    const corrupt = Buffer.concat([batchOf("t:0", 3, 2), batchOf("t:0", 5, 2).subarray(0, 70)]);
    consumer.frame("t:0", corrupt);
    expect(consumer.take()).toEqual(["error CORRUPT_MESSAGE", "close t:0 1000"]);
    consumer.advance(BACKOFF_MS);
    consumer.open("t:0");
    expect(consumer.take()).toEqual(["open t:0", "attach t:0 3"]);
  });

  test("[SES-1] a silent socket is pinged, and replaced if it does not answer", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    const lines: string[] = [];
    for (let second = 0; second < 60; second++) {
      consumer.advance(1_000);
      consumer.pong();
      consumer.core.pong(consumer.socket("t:1").connection, consumer.nowMs);
      lines.push(...consumer.take());
      if (lines.includes("open t:0")) break;
    }
    expect(lines).toContain("ping t:0");
    expect(lines).toContain("close t:0 1000");
    expect(lines).not.toContain("close t:1 1000");
  });

  test("[SES-1] a refused attach that is retriable is retried over a new socket", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.assign({ "t:0": 3 });
    consumer.open("t:0");
    consumer.take();
    consumer.attachError("t:0", "UNKNOWN_TOPIC_OR_PARTITION");
    expect(consumer.take()).toEqual(["error UNKNOWN_TOPIC_OR_PARTITION", "close t:0 1000"]);
    consumer.advance(BACKOFF_MS);
    consumer.connect("t:0");
    expect(consumer.take()).toEqual(["open t:0", "attach t:0 3", "assigned t:0@3"]);
  });

  test.each(["TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"] as const)(
    "[ACL-7] %s in response to an attach is final, and the others go with it",
    (code) => {
      const consumer = ConsumerHarness.joined({ "t:0": 3, "t:1": 0 });
      consumer.attachError("t:0", code);
      expect(consumer.take()).toEqual([
        "close t:0 1000",
        "close t:1 1000",
        "lost t:0 t:1",
        `fatal ${code}`,
        "close group 1000",
        "closed",
      ]);
    },
  );

  test("[ACL-7] so is the loss of the right to read in a reader without a group", () => {
    const consumer = new ConsumerHarness({
      groupId: null,
      partitions: [{ topic: "t", topicId: "id-t", partition: 0 }],
    });
    consumer.start();
    consumer.connect("t:0", 0);
    consumer.take();
    consumer.attachError("t:0", "TOPIC_AUTHORIZATION_FAILED");
    expect(consumer.take()).toContain("fatal TOPIC_AUTHORIZATION_FAILED");
    expect(consumer.isClosed).toBe(true);
  });

  test("[ATT-5] an attach has the signature of the partition, of the same message as the epoch", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.assign({ "t:0": 0, "t:1": 0 }, { epoch: 4, signs: true });
    consumer.connect("t:0");
    const owner = () => consumer.attach("t:0").owner;
    expect(owner()).toMatchObject({ memberEpoch: 4, signature: "t:0 at 4" });
    consumer.assign({ "t:0": 0, "t:1": 0 }, { epoch: 5, signs: true });
    consumer.connect("t:1");
    expect(consumer.attach("t:1").owner).toMatchObject({ memberEpoch: 5, signature: "t:1 at 5" });
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.connect("t:0");
    expect(owner(), "again, with what came last").toMatchObject({
      memberEpoch: 5,
      signature: "t:0 at 5",
    });
    consumer.assign({ "t:0": 0, "t:1": 0 }, { epoch: 6 });
    consumer.seek("t:0", 1);
    expect(owner(), "the group could not sign this one").toMatchObject({ memberEpoch: 6 });
    expect(owner()?.signature).toBe(undefined);
    consumer.attached("t:0");
    consumer.breakSocket("t:0", CLOSE_FENCED);
    consumer.assign({ "t:0": 0, "t:1": 0 }, { epoch: 7, signs: true });
    consumer.connect("t:0");
    expect(owner()).toMatchObject({ memberEpoch: 7, signature: "t:0 at 7" });
  });

  test.each([
    ["earliest", 40, "records t:0 40-41"],
    ["latest", 90, "records t:0 90-91"],
  ] as const)(
    "[SES-1] a position that the log no longer has is replaced by %s, and the group's with it",
    (from, start, delivered) => {
      const consumer = new ConsumerHarness({ from });
      consumer.start();
      consumer.openGroup();
      // The log was cut, or is another one: either way the group is beyond its end.
      consumer.assign({ "t:0": 100 });
      consumer.open("t:0");
      consumer.take();
      consumer.attachError("t:0", "OFFSET_OUT_OF_RANGE");
      expect(consumer.take()).toEqual(["error OFFSET_OUT_OF_RANGE", `attach t:0 ${from}`]);
      consumer.attached("t:0", start);
      // From latest it is committed at once, from earliest when there is occasion to.
      if (from === "earliest") consumer.assign({ "t:0": 100 }, { epoch: 2 });
      expect(consumer.commits).toMatchObject([{ offsets: [{ offset: start, isRewind: true }] }]);
      consumer.committed();
      consumer.data("t:0", start, 2);
      expect(consumer.take()).toEqual(expect.arrayContaining([`assigned t:0@${start}`, delivered]));
      consumer.processed("t:0", start + 2);
      expect(consumer.commits.at(-1)?.offsets).toEqual([
        { topicId: "id-t", partition: 0, offset: start + 2 },
      ]);
    },
  );
});

describe("the window", () => {
  test("[SES-5] the bytes of a frame are returned once it is processed, not before", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    const bytes = consumer.data("t:0", 0, 3);
    consumer.processed("t:0", 2);
    expect(consumer.take().filter((line) => line.startsWith("window"))).toEqual([]);
    consumer.processed("t:0", 3);
    expect(consumer.take()).toContain(`window t:0 ${bytes}`);
  });

  test("[SES-5] everything received is returned in the end, in few messages", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 }, { windowBytes: 2_000 });
    let received = 0;
    for (let i = 0; i < 40; i++) received += consumer.data("t:0", 2 * i, 2);
    consumer.take();
    for (let offset = 1; offset <= 80; offset++) consumer.processed("t:0", offset);
    const windows = consumer.take().flatMap((line) => {
      const [kind, , bytes] = line.split(" ");
      return kind === "window" ? [Number(bytes)] : [];
    });
    expect(windows.reduce((sum, bytes) => sum + bytes, 0)).toBe(received);
    expect(windows.length).toBeLessThan(10);
  });

  test("[SES-5] a pause keeps the window of held-back records", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.pause("t:0");
    const bytes = consumer.data("t:0", 0, 3);
    expect(consumer.take()).toEqual([]);
    consumer.resume("t:0");
    consumer.processed("t:0", 3);
    expect(consumer.take()).toEqual(
      expect.arrayContaining(["records t:0 0-2", `window t:0 ${bytes}`]),
    );
  });

  test("[SES-5] window due before a seek is no longer due after it", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.data("t:0", 0, 1);
    consumer.data("t:0", 1, 1);
    consumer.processed("t:0", 1);
    expect(consumer.take(), "small change is kept").not.toContainEqual(
      expect.stringMatching(/^window/),
    );
    consumer.seek("t:0", 0);
    consumer.attached("t:0");
    const bytes = consumer.data("t:0", 0, 2);
    consumer.take();
    consumer.processed("t:0", 2);
    expect(consumer.take()).toContain(`window t:0 ${bytes}`);
  });

  test("[SES-5] window that was due when the socket broke is not returned to the new one", () => {
    const consumer = reading();
    consumer.breakSocket("t:0");
    consumer.processed("t:0", 3);
    consumer.advance(BACKOFF_MS);
    consumer.take();
    consumer.connect("t:0");
    // The attach has requested a whole window.
    expect(consumer.take()).toEqual(["attach t:0 3"]);
    const bytes = consumer.data("t:0", 3, 1);
    consumer.processed("t:0", 4);
    expect(consumer.take()).toContain(`window t:0 ${bytes}`);
  });
});

describe("giving up", () => {
  test("[SES-2] revoked, released, committed, answered, and only then given up", () => {
    const consumer = reading();
    consumer.assign({}, { epoch: 2 });
    expect(consumer.take()).toEqual(["close t:0 1000", "revoked t:0"]);
    consumer.processed("t:0", 2);
    expect(consumer.take()).toEqual(["commit epoch 2 t:0=2"]);
    consumer.committed();
    expect(consumer.take(), "the application has not let go").toEqual([]);
    consumer.processed("t:0", 3);
    consumer.released("t:0");
    expect(consumer.take(), "the commit is not answered").toEqual(["commit epoch 2 t:0=3"]);
    consumer.committed();
    expect(consumer.take()).toEqual(["say revoked t:0"]);
  });

  test("[SES-2] the last commit does not wait for the commit interval", () => {
    const consumer = reading(3, { commitIntervalMs: 10_000 });
    consumer.assign({}, { epoch: 2 });
    consumer.processed("t:0", 3);
    consumer.take();
    consumer.released("t:0");
    expect(consumer.take()).toEqual(["commit epoch 2 t:0=3"]);
    consumer.committed();
    expect(consumer.take()).toEqual(["say revoked t:0"]);
  });

  test("[SES-2] a partition with nothing to commit is given up as soon as it is released", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 4, "t:1": 2 });
    consumer.assign({ "t:1": 2 }, { epoch: 2 });
    expect(consumer.take()).toEqual(["close t:0 1000", "revoked t:0"]);
    consumer.released("t:0");
    expect(consumer.take()).toEqual(["say revoked t:0"]);
    expect(consumer.core.assignment).toEqual([{ topic: "t", partition: 1 }]);
  });

  test("[SES-2] a release while a commit is in flight waits for the one that carries the rest", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.assign({}, { epoch: 2 });
    consumer.processed("t:0", 3);
    consumer.released("t:0");
    consumer.take();
    consumer.committed();
    expect(consumer.take()).toEqual(["commit epoch 2 t:0=3"]);
    consumer.committed();
    expect(consumer.take()).toEqual(["say revoked t:0"]);
  });

  test("[SES-2] several partitions are given up each in its own time", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0, "t:2": 0 });
    for (const place of ["t:0", "t:1"] as const) consumer.data(place, 0, 2);
    consumer.assign({ "t:2": 0 }, { epoch: 2 });
    consumer.take();
    consumer.released("t:1");
    expect(consumer.take()).toEqual(["say revoked t:1"]);
    consumer.processed("t:0", 2);
    consumer.released("t:0");
    consumer.committed();
    expect(consumer.take()).toEqual(["commit epoch 2 t:0=2", "say revoked t:0"]);
  });

  test("[SES-2] a repeated request to give a partition up is heard once", () => {
    const consumer = reading();
    consumer.assign({}, { epoch: 2 });
    consumer.take();
    consumer.assign({}, { epoch: 3 });
    expect(consumer.take()).toEqual([]);
  });

  test("[SES-2] a partition that the application never had is given up at once", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.assign({ "t:0": 0, "t:1": 0 }, { epoch: 2 });
    consumer.open("t:1");
    consumer.take();
    consumer.assign({ "t:0": 0 }, { epoch: 3 });
    expect(consumer.take()).toEqual(["close t:1 1000", "say revoked t:1"]);
  });

  test("[SES-2] a release of a partition that was not taken away does nothing", () => {
    const consumer = reading();
    consumer.released("t:0");
    consumer.released("t:7");
    expect(consumer.take()).toEqual([]);
    consumer.data("t:0", 3, 1);
    expect(consumer.take()).toEqual(["records t:0 3-3"]);
  });

  test("[SES-2] records processed after the release are not committed", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.assign({}, { epoch: 2 });
    consumer.released("t:0");
    consumer.processed("t:0", 3);
    consumer.committed();
    expect(consumer.commits.map(({ offsets }) => offsets[0]?.offset)).toEqual([1]);
    expect(consumer.take()).toContain("say revoked t:0");
  });

  test("[SES-2] a partition given up while the connection was away is not claimed on return", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.assign({ "t:0": 0 }, { epoch: 2 });
    consumer.breakGroup();
    consumer.released("t:1");
    consumer.take();
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["open group", "join epoch 2 owns [t:0]"]);
  });

  test.each(INTERVALS)(
    "[SES-2] records processed during a commit are committed before the partition is given up, though other commits wait %s ms",
    (commitIntervalMs) => {
      const consumer = reading(3, { commitIntervalMs });
      consumer.processed("t:0", 1);
      consumer.commitNow();
      consumer.processed("t:0", 3);
      consumer.assign({}, { epoch: 2 });
      consumer.released("t:0");
      consumer.take();
      consumer.committed();
      expect(consumer.take()).toEqual(["commit epoch 2 t:0=3"]);
      consumer.committed();
      expect(consumer.take()).toEqual(["say revoked t:0"]);
    },
  );

  test.each(INTERVALS.slice(1))(
    "[LOP-2] a delayed commit is sent again half a second later, though other commits wait %s ms",
    (commitIntervalMs) => {
      // One record stays in hand, or the idle commit would be made.
      const consumer = reading(4, { commitIntervalMs });
      consumer.processed("t:0", 1);
      consumer.commitNow();
      consumer.commitNow();
      consumer.coordinatorError("THROTTLING_QUOTA_EXCEEDED", { answersCommit: true });
      consumer.take();
      consumer.processed("t:0", 2);
      consumer.advance(499);
      expect(consumer.take()).toEqual([]);
      consumer.advance(1);
      expect(consumer.take()).toEqual(["commit epoch 1 t:0=2"]);
      consumer.processed("t:0", 3);
      consumer.committed();
      consumer.advance(HEARTBEAT_MS + 1);
      // A commit of what came meanwhile was not requested, and no other timer makes it.
      expect(consumer.commits.map(({ requestId }) => requestId)).toEqual([1, 2]);
    },
  );

  test("[LOP-2] a commit requested while the group was unreachable is made on return, and only that", () => {
    const consumer = reading(9, { commitIntervalMs: Number.POSITIVE_INFINITY });
    consumer.processed("t:0", 1);
    consumer.breakGroup();
    consumer.commitNow();
    consumer.processed("t:0", 2);
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    consumer.take();
    consumer.assign({ "t:0": 0 });
    expect(consumer.take()).toEqual(["commit epoch 1 t:0=2"]);
    consumer.committed();
    consumer.processed("t:0", 3);
    reconnectGroup(consumer);
    consumer.assign({ "t:0": 2 });
    expect(consumer.commits).toHaveLength(1);
  });

  test.each(INTERVALS)(
    "[SES-2] a commit that the connection cut off is repeated before the partition is given up, though other commits wait %s ms",
    (commitIntervalMs) => {
      const consumer = reading(3, { commitIntervalMs });
      consumer.assign({}, { epoch: 2 });
      consumer.processed("t:0", 3);
      consumer.released("t:0");
      reconnectGroup(consumer);
      expect(consumer.take().at(-1), "it is held until then").toBe("join epoch 2 owns [t:0]");
      consumer.assign({}, { epoch: 2, state: "UNREVOKED_PARTITIONS" });
      expect(consumer.take()).toEqual(["commit epoch 2 t:0=3"]);
      consumer.committed();
      expect(consumer.take()).toEqual(["say revoked t:0"]);
    },
  );

  test("[SES-2] a release between a join and its response is sent after the response", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.assign({ "t:0": 0 }, { epoch: 2 });
    reconnectGroup(consumer);
    expect(consumer.take().at(-1)).toBe("join epoch 2 owns [t:0 t:1]");
    // The join has already claimed it. Unless it is taken back, the next owner waits for it in vain.
    consumer.released("t:1");
    consumer.assign({ "t:0": 0 }, { epoch: 2, state: "UNREVOKED_PARTITIONS" });
    expect(consumer.take()).toEqual(["say revoked t:1"]);
  });

  test("[SES-2] a release that a second join has already sent is not sent again", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.assign({ "t:0": 0 }, { epoch: 2 });
    reconnectGroup(consumer);
    consumer.released("t:1");
    consumer.breakGroup();
    consumer.advance(2 * BACKOFF_MS);
    consumer.openGroup();
    expect(consumer.take().at(-1)).toBe("join epoch 2 owns [t:0]");
    consumer.assign({ "t:0": 0 }, { epoch: 3 });
    expect(consumer.take()).toEqual([]);
  });

  test("[SES-2] a partition that returns after it was given up begins where the group then is", () => {
    const consumer = reading();
    consumer.assign({}, { epoch: 2 });
    consumer.processed("t:0", 3);
    consumer.released("t:0");
    consumer.committed();
    consumer.assign({ "t:0": 8 }, { epoch: 4 });
    consumer.take();
    consumer.connect("t:0");
    expect(consumer.take()).toEqual(["attach t:0 8", "assigned t:0@8"]);
    expect(consumer.attach("t:0").owner?.memberEpoch).toBe(4);
  });
});

describe("a credential that runs out", () => {
  test("[SDK-40] a renewed socket is opened again at once, announced to nobody, and resumes", () => {
    const consumer = reading();
    consumer.processed("t:0", 2);
    consumer.take();
    consumer.breakGroup(RENEWED);
    expect(consumer.take()).toEqual(["open group"]);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["join epoch 1 owns [t:0]"]);
    consumer.assign({ "t:0": 0 });
    expect(consumer.take(), "what was not answered is sent again").toEqual([
      "commit epoch 1 t:0=2",
    ]);
    consumer.committed();
    consumer.breakSocket("t:0", RENEWED);
    consumer.advance(BACKOFF_MS);
    expect(consumer.take()).toEqual(["open t:0"]);
    consumer.open("t:0");
    expect(consumer.take(), "once the record in hand is done").toEqual([]);
    consumer.processed("t:0", 3);
    expect(consumer.take()).toContain("attach t:0 3");
    expect(consumer.outages).toBe(0);
  });

  test("[SDK-40] 4005 makes it connect again, and resume", () => {
    const consumer = reading();
    consumer.breakGroup(CLOSE_UNAUTHENTICATED, "SASL_AUTHENTICATION_FAILED: expired");
    consumer.breakSocket("t:0", CLOSE_UNAUTHENTICATED);
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["open group", "open t:0", "join epoch 1 owns [t:0]"]);
    expect(consumer.outages).toBe(1);
  });

  test("[SDK-40] [SES-6] a renewal does not delay a close", () => {
    const consumer = reading();
    consumer.processed("t:0", 2);
    consumer.close();
    consumer.breakGroup(RENEWED);
    expect(consumer.isClosed).toBe(true);
  });

  test.each(["TOPIC_AUTHORIZATION_FAILED", "SASL_AUTHENTICATION_FAILED"] as const)(
    "[ACL-7] %s in response to a join is final",
    (code) => {
      const consumer = new ConsumerHarness();
      consumer.start();
      consumer.openGroup();
      consumer.take();
      consumer.coordinatorError(code);
      expect(consumer.take()).toEqual([`fatal ${code}`, "close group 1000", "closed"]);
    },
  );
});

describe("losing", () => {
  test("[SES-3] a partition that a newer owner has is lost; the others continue", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.data("t:0", 0, 2);
    consumer.data("t:1", 0, 2);
    consumer.take();
    consumer.breakSocket("t:0", CLOSE_FENCED);
    expect(consumer.take()).toEqual(["lost t:0"]);
    expect(consumer.core.assignment).toEqual([{ topic: "t", partition: 1 }]);
    consumer.data("t:1", 2, 1);
    consumer.advance(HEARTBEAT_MS - 1);
    expect(consumer.take(), "it is not opened again").toEqual(["records t:1 2-2"]);
  });

  test("[SES-3] records processed after a partition was lost are not committed", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.committed();
    consumer.take();
    consumer.breakSocket("t:0", CLOSE_FENCED);
    // The application was in the middle of a record and has not checked yet.
    consumer.processed("t:0", 2);
    expect(consumer.take()).toEqual(["lost t:0"]);
  });

  test("[SES-3] records processed and not committed when a partition was lost stay uncommitted", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 }, { commitIntervalMs: 500 });
    for (const place of ["t:0", "t:1"] as const) consumer.data(place, 0, 3);
    consumer.processed("t:0", 2);
    consumer.processed("t:1", 1);
    consumer.breakSocket("t:0", CLOSE_FENCED);
    consumer.take();
    consumer.advance(500);
    expect(consumer.take()).toEqual(["commit epoch 1 t:1=1"]);
  });

  test("[SES-3] a partition that was lost cannot be sought", () => {
    const consumer = reading();
    consumer.breakSocket("t:0", CLOSE_FENCED);
    expect(consumer.seek("t:0", 0)).toBe(false);
    expect(consumer.take()).toEqual(["lost t:0"]);
  });

  test("[SES-3] a lost partition is the consumer's again only with a newer epoch", () => {
    const consumer = reading();
    consumer.breakSocket("t:0", CLOSE_FENCED);
    consumer.take();
    consumer.assign({ "t:0": 9 }, { epoch: 1 });
    expect(consumer.take()).toEqual([]);
    consumer.assign({ "t:0": 9 }, { epoch: 2 });
    consumer.connect("t:0");
    expect(consumer.take()).toEqual(["open t:0", "attach t:0 9", "assigned t:0@9"]);
  });

  test("[SES-3] a lost partition is not claimed when the member resumes", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.breakSocket("t:0", CLOSE_FENCED);
    reconnectGroup(consumer);
    expect(consumer.take().at(-1)).toBe("join epoch 1 owns [t:1]");
  });

  test("[SES-3] records delivered before a partition was lost do not count when it is back", () => {
    const consumer = reading();
    const before = consumer.attachId("t:0");
    consumer.breakGroup(CLOSE_SESSION_ENDED);
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    consumer.assign({ "t:0": 0 }, { epoch: 5 });
    consumer.connect("t:0");
    consumer.take();
    // A handler of the previous membership returns only now.
    consumer.processed("t:0", 3, before);
    expect(consumer.take()).toEqual([]);
  });

  test("[SES-4] a session that the coordinator has ended loses everything, and a new one begins with epoch 0", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.data("t:0", 0, 3);
    consumer.processed("t:0", 2);
    consumer.take();
    consumer.breakGroup(CLOSE_SESSION_ENDED, "UNKNOWN_MEMBER_ID: session timeout");
    expect(consumer.take()).toEqual(["close t:0 1000", "close t:1 1000", "lost t:0 t:1"]);
    expect(consumer.core.assignment).toEqual([]);
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["open group", "join epoch 0 owns []"]);
    consumer.assign({ "t:1": 4 }, { epoch: 9 });
    consumer.connect("t:1");
    expect(consumer.take(), "nothing of before is committed").toEqual([
      "open t:1",
      "attach t:1 4",
      "assigned t:1@4",
    ]);
  });

  test("[SES-4] a consumer that is cut off gives up exactly when its session is over", () => {
    const consumer = reading();
    while (!consumer.take().includes("ping group")) consumer.advance(1);
    // The coordinator may have seen the ping as early as it was sent, however late its answer comes.
    const sentMs = consumer.nowMs;
    consumer.advance(1_000);
    consumer.pong();
    consumer.advance(500);
    consumer.breakGroup();
    // Whatever it tries, no connection is established.
    while (consumer.nowMs < sentMs + SESSION_MS - 1) {
      consumer.advance(1);
      if (consumer.hasGroup) consumer.breakGroup();
    }
    expect(consumer.held.has("t:0")).toBe(true);
    consumer.take();
    consumer.advance(1);
    expect(consumer.take()).toEqual(expect.arrayContaining(["close t:0 1000", "lost t:0"]));
    consumer.advance(5_000);
    consumer.openGroup();
    expect(consumer.take().at(-1)).toBe("join epoch 0 owns []");
  });

  test("[SES-4] a connection that is silent for a session timeout counts as none", () => {
    // The shortest possible session. Its socket is open, but nobody answers: the group has removed the member, and others
    // have its partitions.
    const consumer = reading(3, { sessionTimeoutMs: 1_000 });
    consumer.advance(999);
    expect(consumer.take()).not.toContain("lost t:0");
    consumer.advance(1);
    expect(consumer.take()).toContain("lost t:0");
  });

  test("[SES-4] a consumer that returns in time resumes with its epoch and what it holds", () => {
    const consumer = reading();
    consumer.breakGroup();
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["open group", "join epoch 1 owns [t:0]"]);
    consumer.data("t:0", 3, 1);
    consumer.assign({ "t:0": 0 }, { epoch: 3 });
    consumer.processed("t:0", 4);
    expect(consumer.take()).toEqual([
      "records t:0 3-3",
      expect.stringMatching(/^window/),
      "commit epoch 3 t:0=4",
    ]);
    consumer.advance(2_000);
    expect(consumer.held.has("t:0")).toBe(true);
  });

  test.each(["UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH"] as const)(
    "[SES-4] if a resume is refused with %s, everything is lost and the member joins again on the same socket",
    (code) => {
      const consumer = reading();
      reconnectGroup(consumer);
      consumer.take();
      consumer.coordinatorError(code);
      expect(consumer.take()).toEqual(["close t:0 1000", "lost t:0", "join epoch 0 owns []"]);
    },
  );

  test("[SES-4] partitions that a resume claimed and the end of the session took are given up", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.assign({ "t:0": 0 }, { epoch: 2 });
    consumer.breakGroup();
    // Connections are tried and given up; the current one is established in the last millisecond.
    consumer.advance(SESSION_MS - 1);
    consumer.take();
    consumer.openGroup();
    expect(consumer.take()).toEqual(["join epoch 2 owns [t:0 t:1]"]);
    consumer.advance(1);
    const atTheEnd = consumer.take();
    expect(atTheEnd).toContain("lost t:0 t:1");
    // The coordinator was a little slower and has taken the member back, with all it claimed.
    consumer.assign({ "t:0": 0 }, { epoch: 2, state: "UNREVOKED_PARTITIONS" });
    const isGivenUp = (line: string) =>
      line === "say revoked t:1" || line.startsWith("join epoch 0");
    const said = [...atTheEnd, ...consumer.take()];
    expect(said.some(isGivenUp), "t:1 is not kept from others").toBe(true);
  });

  test("[SES-4] a connection replaced by one that the consumer had given up is made again", () => {
    const consumer = reading();
    while (consumer.hasGroup) consumer.advance(1_000);
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    consumer.take();
    // The join in flight over the dead connection arrives after all, and after the second one: to the coordinator the second
    // connection is the older. There is no other member behind it.
    consumer.breakGroup(CLOSE_REPLACED, "the member connected again");
    consumer.advance(5_000);
    expect(consumer.isClosed).toBe(false);
    expect(consumer.take()).toContain("open group");
  });

  test("[SES-1] a partition socket replaced by one that the consumer had given up is made again", () => {
    const consumer = reading();
    consumer.processed("t:0", 3);
    consumer.committed();
    // It says nothing any more and is given up; messages in flight over it arrive after all.
    const first = consumer.socket("t:0");
    while (!first.isClosed) {
      consumer.advance(1_000);
      consumer.pong();
    }
    consumer.advance(BACKOFF_MS);
    consumer.connect("t:0");
    consumer.breakSocket("t:0", CLOSE_REPLACED);
    consumer.take();
    for (let seconds = 0; seconds < 10 && !consumer.hasSocket("t:0"); seconds++) {
      consumer.advance(1_000);
      consumer.pong();
    }
    // No newer owner has it: unless the consumer attaches again, nobody reads it until the next rebalance.
    expect(consumer.take()).toContain("open t:0");
  });

  test("[SES-3] another connection of the same member ends this consumer", () => {
    const consumer = reading();
    consumer.breakGroup(CLOSE_REPLACED, "the member connected again");
    expect(consumer.take()).toEqual([
      "close t:0 1000",
      "lost t:0",
      "fatal UNKNOWN_MEMBER_ID",
      "closed",
    ]);
  });

  test("[SES-3] a fatal close ends this consumer with the error it names", () => {
    const consumer = reading();
    consumer.breakGroup(CLOSE_FATAL, "INVALID_REQUEST: topics: must not be empty");
    expect(consumer.take()).toEqual([
      "close t:0 1000",
      "lost t:0",
      "fatal INVALID_REQUEST",
      "closed",
    ]);
  });

  test("[SES-3] only partitions that the application knew of are reported as lost", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.assign({ "t:0": 0, "t:1": 0 }, { epoch: 2 });
    consumer.take();
    consumer.breakGroup(CLOSE_SESSION_ENDED);
    expect(consumer.take().at(-1)).toBe("lost t:0");
  });
});

describe("committing", () => {
  test("[SES-2] records processed within the interval are committed together", () => {
    const consumer = reading(6, { commitIntervalMs: 500 });
    consumer.processed("t:0", 1);
    consumer.advance(499);
    consumer.processed("t:0", 4);
    expect(consumer.commits).toEqual([]);
    consumer.advance(1);
    expect(consumer.take().at(-1)).toBe("commit epoch 1 t:0=4");
    consumer.committed();
    consumer.advance(2_000);
    expect(consumer.commits, "there is nothing new").toHaveLength(1);
  });

  test("[SES-2] one commit is in flight at a time; its response sends what came meanwhile", () => {
    const consumer = reading(6);
    for (const offset of [1, 2, 3]) consumer.processed("t:0", offset);
    expect(consumer.take().filter((line) => line.startsWith("commit"))).toEqual([
      "commit epoch 1 t:0=1",
    ]);
    consumer.committed();
    expect(consumer.take()).toEqual(["commit epoch 1 t:0=3"]);
    consumer.committed();
    expect(consumer.take()).toEqual([]);
  });

  test("[SES-2] a commit rejected as stale is sent again with the newer epoch", () => {
    const consumer = reading();
    consumer.processed("t:0", 2);
    consumer.assign({ "t:0": 0 }, { epoch: 2 });
    consumer.take();
    consumer.coordinatorError("STALE_MEMBER_EPOCH", { answersCommit: true });
    expect(consumer.take()).toEqual(["commit epoch 2 t:0=2"]);
    consumer.committed();
    expect(consumer.take()).toEqual([]);
  });

  test("[SES-3] a partition whose commit is rejected is reported and not retried", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    for (const place of ["t:0", "t:1"] as const) consumer.data(place, 0, 2);
    consumer.processed("t:0", 1);
    consumer.processed("t:1", 1);
    consumer.committed();
    consumer.take();
    consumer.processed("t:0", 2);
    consumer.committed({ "t:1": "FENCED_MEMBER_EPOCH" });
    expect(consumer.take()).toEqual([
      expect.stringMatching(/^window/),
      "error FENCED_MEMBER_EPOCH",
      "commit epoch 1 t:0=2",
    ]);
  });

  test("[OFF-1] a rejected offset is reported by its topic's name, or its id if the partition is gone", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.committed({ "t:0": "FENCED_MEMBER_EPOCH", "u:9": "UNKNOWN_TOPIC_ID" });
    const told = consumer.effects.flatMap((each) => (each.type === "error" ? [each.error] : []));
    expect(told.map(({ message }) => message)).toEqual([
      "commit of t/0: because",
      "commit of id-u/9: because",
    ]);
  });

  test("[OFF-1] a rejection of another commit than the one in flight changes nothing", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.take();
    const code = "THROTTLING_QUOTA_EXCEEDED";
    const refusal = { type: "error" as const, code, errorCode: 89, retriable: true, detail: "no" };
    consumer.fromCoordinator({ ...refusal, requestId: 99 } as never);
    consumer.advance(500);
    expect(consumer.take()).toEqual([]);
    consumer.committed();
    expect(consumer.commits).toHaveLength(1);
  });

  test("[SES-3] a commit by a member unknown to the group loses everything and joins again", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.take();
    consumer.coordinatorError("UNKNOWN_MEMBER_ID", { answersCommit: true });
    expect(consumer.take()).toEqual(["close t:0 1000", "lost t:0", "join epoch 0 owns []"]);
  });

  test("[SES-2] a commit that broke with the connection is sent again after the resume", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.processed("t:0", 2);
    reconnectGroup(consumer);
    consumer.take();
    consumer.assign({ "t:0": 0 }, { epoch: 1 });
    expect(consumer.take()).toEqual(["commit epoch 1 t:0=2"]);
  });

  test("[SES-2] a response to an earlier commit settles nothing of a later one", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    const early = consumer.lastCommit.requestId;
    reconnectGroup(consumer);
    consumer.processed("t:0", 3);
    consumer.assign({ "t:0": 0 }, { epoch: 1 });
    consumer.take();
    consumer.fromCoordinator({ type: "committed", requestId: early, rejected: [] });
    expect(consumer.take()).toEqual([]);
    consumer.processed("t:0", 2, consumer.attachId("t:0"));
    expect(consumer.take(), "the later one is in flight").toEqual([]);
  });
});

describe("what the application is told", () => {
  test("[SES-10] a connection that is lost or cannot be made is reported once, until it is repaired", () => {
    const consumer = reading();
    for (let i = 0; i < 5; i++) {
      consumer.breakGroup();
      consumer.advance(10_000);
    }
    expect(consumer.outages).toBe(1);
    consumer.openGroup();
    consumer.assign({ "t:0": 0 });
    consumer.breakGroup();
    expect(consumer.outages).toBe(2);
  });

  test("[SES-10] a partition socket closed for good ends the consumer with the error it names", () => {
    const consumer = reading();
    const { connection } = consumer.socket("t:0");
    consumer.breakConnection(connection, CLOSE_FATAL, "INVALID_REQUEST: windowBytes: is wrong");
    expect(consumer.take()).toContain("fatal INVALID_REQUEST");
    expect(consumer.effects.findLast(({ type }) => type === "error")).toMatchObject({
      error: { message: "windowBytes: is wrong" },
    });
    expect(consumer.isClosed).toBe(true);
  });

  test("[SES-10] one closed for a retriable reason is reported and opened again", () => {
    const consumer = reading();
    const { connection } = consumer.socket("t:0");
    consumer.breakConnection(connection, CLOSE_FATAL, "KAFKA_STORAGE_ERROR: full");
    expect(consumer.take()).toContain("error KAFKA_STORAGE_ERROR");
    consumer.advance(BACKOFF_MS);
    expect(consumer.take()).toContain("open t:0");
  });
});

describe("no answer", () => {
  /** Seconds in which all sockets answer pings and nothing else. Returns the actions besides pinging. */
  function pingFor(consumer: ConsumerHarness, seconds: number): string[] {
    const lines: string[] = [];
    for (let second = 0; second < seconds; second++) {
      consumer.advance(1_000);
      for (const { connection, isClosed, isOpen } of consumer.sockets)
        if (isOpen && !isClosed) consumer.run(() => consumer.core.pong(connection, consumer.nowMs));
      lines.push(...withoutPings(consumer.take()));
    }
    return lines;
  }

  test("[SES-9] a join without a response is sent again over a new socket", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.take();
    expect(pingFor(consumer, 29)).toEqual([]);
    expect(pingFor(consumer, 10)).toEqual([expect.stringMatching(/^close group/), "open group"]);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["join epoch 0 owns []"]);
  });

  test("[SES-9] a commit without a response is sent again after a resume; nothing is lost meanwhile", () => {
    const consumer = reading();
    consumer.processed("t:0", 2);
    consumer.take();
    expect(pingFor(consumer, 40)).toEqual([expect.stringMatching(/^close group/), "open group"]);
    consumer.openGroup();
    consumer.assign({ "t:0": 0 });
    expect(consumer.take()).toEqual(["join epoch 1 owns [t:0]", "commit epoch 1 t:0=2"]);
    consumer.committed();
    expect(pingFor(consumer, 60)).toEqual([]);
  });

  test("[SES-9] commits that are each answered in time are no silence", () => {
    const consumer = reading(60);
    for (let next = 1; next <= 60; next++) {
      consumer.processed("t:0", next);
      expect(pingFor(consumer, 1)).not.toContain("open group");
      consumer.committed();
    }
  });

  test("[SES-9] a lost release is repeated by a resume that no longer claims the partition", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.assign({ "t:0": 0 }, { epoch: 2, state: "UNREVOKED_PARTITIONS" });
    // The application takes its time: that is no silence of the coordinator.
    expect(pingFor(consumer, 60)).not.toContain("open group");
    consumer.released("t:1");
    consumer.take();
    expect(pingFor(consumer, 40)).toEqual([expect.stringMatching(/^close group/), "open group"]);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["join epoch 2 owns [t:0]"]);
  });

  test("[SES-9] a close does not wait forever for its last commit", () => {
    const consumer = reading();
    consumer.processed("t:0", 2);
    consumer.close();
    expect(consumer.isClosed).toBe(false);
    pingFor(consumer, 40);
    expect(consumer.isClosed).toBe(true);
  });

  test("[SES-9] an attach without a response is made again over a new socket", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.assign({ "t:0": 4 });
    consumer.open("t:0");
    consumer.take();
    expect(pingFor(consumer, 46)).toEqual(["close t:0 1000", "open t:0"]);
    consumer.open("t:0");
    expect(consumer.take()).toEqual(["attach t:0 4"]);
  });
});

describe("from latest", () => {
  /** Assigned `t:0`, where the group has committed nothing; latest is 50. */
  function settling(config: Partial<ConsumerHarness["config"]> = {}): ConsumerHarness {
    const consumer = new ConsumerHarness({ from: "latest", commitIntervalMs: 500, ...config });
    consumer.start();
    consumer.openGroup();
    consumer.assign({ "t:0": null });
    consumer.open("t:0");
    consumer.take();
    return consumer;
  }

  test("[SES-7] the offset is committed, and the commit answered, before anything is delivered", () => {
    const consumer = settling();
    expect(consumer.attach("t:0").offset).toBe("latest");
    consumer.attached("t:0", 50);
    expect(consumer.take()).toEqual(["commit epoch 1 t:0=50"]);
    consumer.data("t:0", 50, 2);
    consumer.advance(2_000);
    expect(consumer.take()).toEqual([]);
    consumer.committed();
    expect(consumer.take()).toEqual(["assigned t:0@50", "records t:0 50-51"]);
  });

  test("[SES-7] an offset that the group has is used as it is", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 7 }, { from: "latest" });
    consumer.data("t:0", 7, 1);
    expect(consumer.take()).toEqual(["records t:0 7-7"]);
    expect(consumer.commits).toEqual([]);
  });

  test("[SES-7] from earliest nothing is committed before something is processed", () => {
    const consumer = ConsumerHarness.joined({ "t:0": null });
    consumer.data("t:0", 0, 1);
    consumer.assign({ "t:0": null }, { epoch: 2 });
    consumer.advance(2_000);
    consumer.close();
    expect(consumer.commits).toEqual([]);
    expect(consumer.isClosed).toBe(true);
  });

  test.each(INTERVALS)(
    "[SES-7] several partitions are announced together once all their offsets are committed, though other commits wait %s ms",
    (commitIntervalMs) => {
      const consumer = new ConsumerHarness({ from: "latest", commitIntervalMs });
      consumer.start();
      consumer.openGroup();
      consumer.assign({ "t:0": null, "t:1": null });
      consumer.connect("t:0", 50);
      consumer.connect("t:1", 60);
      consumer.take();
      consumer.committed();
      expect(consumer.take()).toEqual(["commit epoch 1 t:1=60"]);
      consumer.committed();
      expect(consumer.take()).toEqual(["assigned t:0@50 t:1@60"]);
    },
  );

  test.each(INTERVALS)(
    "[SES-7] an offset whose commit was cut off is committed after the resume, though other commits wait %s ms",
    (commitIntervalMs) => {
      const consumer = settling({ commitIntervalMs });
      consumer.attached("t:0", 50);
      consumer.data("t:0", 50, 1);
      reconnectGroup(consumer);
      consumer.take();
      consumer.assign({ "t:0": null });
      consumer.advance(500);
      expect(consumer.take()).toEqual(["commit epoch 1 t:0=50"]);
      consumer.committed();
      expect(consumer.take()).toEqual(["assigned t:0@50", "records t:0 50-50"]);
    },
  );

  test("[SES-7] a partition socket that breaks before the commit is answered does not change this", () => {
    const consumer = settling();
    consumer.attached("t:0", 50);
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.connect("t:0");
    consumer.data("t:0", 50, 1);
    const before = consumer.take();
    expect(before).toContain("attach t:0 50");
    expect(before.filter((line) => /^(assigned|records)/.test(line))).toEqual([]);
    consumer.committed();
    expect(consumer.take()).toEqual(["assigned t:0@50", "records t:0 50-50"]);
  });

  test("[SES-7] latest is committed before anything is delivered even while consuming", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 7 }, { from: "latest" });
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.open("t:0");
    // Retention was faster.
    consumer.attachError("t:0", "OFFSET_OUT_OF_RANGE");
    consumer.attached("t:0", 50);
    expect(consumer.take().slice(-2)).toEqual([
      "attach t:0 latest",
      "commit epoch 1 t:0=50 rewind",
    ]);
    const bytes = consumer.data("t:0", 50, 1);
    expect(consumer.take()).toEqual([]);
    consumer.committed();
    expect(consumer.take()).toEqual(["records t:0 50-50"]);
    consumer.processed("t:0", 51);
    expect(consumer.take()).toContain(`window t:0 ${bytes}`);
  });

  test("[SES-7] if latest is what the group has already committed, records flow", () => {
    const consumer = new ConsumerHarness({ from: "latest" });
    consumer.start();
    consumer.openGroup();
    consumer.assign({ "t:0": 50 });
    consumer.open("t:0");
    // Beyond the end when it was requested; then a record was appended.
    consumer.attachError("t:0", "OFFSET_OUT_OF_RANGE");
    consumer.attached("t:0", 50);
    if (consumer.commits.length > 0) consumer.committed();
    consumer.data("t:0", 50, 1);
    expect(consumer.take()).toEqual(
      expect.arrayContaining(["assigned t:0@50", "records t:0 50-50"]),
    );
  });
});

describe("pause, resume and seek", () => {
  test("[SES-1] while paused nothing is delivered, and afterward everything in order", () => {
    const consumer = reading();
    consumer.pause("t:0");
    consumer.data("t:0", 3, 2);
    consumer.data("t:0", 5, 2);
    expect(consumer.take()).toEqual([]);
    consumer.resume("t:0");
    expect(consumer.take()).toEqual(["records t:0 3-4", "records t:0 5-6"]);
    consumer.data("t:0", 7, 1);
    expect(consumer.take()).toEqual(["records t:0 7-7"]);
    consumer.resume("t:0");
    expect(consumer.take()).toEqual([]);
  });

  test("[SES-1] a pause affects its partition alone", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.pause("t:0");
    consumer.data("t:0", 0, 1);
    consumer.data("t:1", 0, 1);
    expect(consumer.take()).toEqual(["records t:1 0-0"]);
  });

  test("[SES-1] after a seek delivery continues there, and earlier frames are ignored", () => {
    const consumer = reading();
    const before = consumer.attach("t:0").attachId ?? 0;
    expect(consumer.seek("t:0", 10)).toBe(true);
    expect(consumer.take().at(-1)).toBe("attach t:0 10");
    expect(consumer.attach("t:0").attachId).toBeGreaterThan(before);
    consumer.data("t:0", 3, 2);
    // The response to an earlier attach does not count either.
    const bounds = { logStartOffset: 0, highWatermark: 9, windowBytes: 1_000 };
    consumer.fromPartition("t:0", { type: "attached", offset: 0, attachId: before, ...bounds });
    consumer.data("t:0", 5, 2);
    expect(consumer.take()).toEqual([]);
    consumer.attached("t:0");
    consumer.data("t:0", 8, 4);
    expect(consumer.take()).toEqual(["records t:0 10-11"]);
  });

  test("[SES-1] records delivered before a seek no longer count as processed", () => {
    const consumer = reading();
    const before = consumer.attachId("t:0");
    consumer.seek("t:0", 0);
    consumer.attached("t:0");
    consumer.take();
    consumer.processed("t:0", 3, before);
    expect(consumer.take()).toEqual([]);
    consumer.data("t:0", 0, 1);
    expect(consumer.take()).toEqual(["records t:0 0-0"]);
    expect(consumer.attachId("t:0")).toBeGreaterThan(before);
  });

  test("[OFF-3] the commit after a seek may go back, the ones after that may not", () => {
    const consumer = reading();
    consumer.processed("t:0", 3);
    consumer.committed();
    consumer.seek("t:0", 1);
    consumer.attached("t:0");
    consumer.data("t:0", 0, 3);
    consumer.take();
    consumer.processed("t:0", 2);
    expect(consumer.lastCommit.offsets).toMatchObject([{ isRewind: true }]);
    for (let answers = 0; answers < 2; answers++) consumer.committed();
    consumer.processed("t:0", 3);
    expect(consumer.commits.at(-1)?.offsets).toEqual([
      { topicId: "id-t", partition: 0, offset: 3 },
    ]);
  });

  test("[OFF-3] a commit that was in flight at the seek does not use up the right to go back", () => {
    const consumer = reading();
    consumer.processed("t:0", 3);
    consumer.seek("t:0", 1);
    consumer.attached("t:0");
    consumer.committed();
    consumer.data("t:0", 0, 3);
    consumer.processed("t:0", 2);
    const after = consumer.commits.slice(1).flatMap(({ offsets }) => offsets);
    expect(after.length).toBeGreaterThan(0);
    for (const offset of after) expect(offset).toMatchObject({ isRewind: true });
  });

  test.each([
    { what: "with nothing in flight", isInFlight: false },
    { what: "with a commit in flight", isInFlight: true },
  ])(
    "[LOP-2] a commit after a seek back, $what, is done once the group is back",
    ({ isInFlight }) => {
      const consumer = reading();
      consumer.processed("t:0", 3);
      if (!isInFlight) consumer.committed();
      consumer.seek("t:0", 1);
      consumer.attached("t:0");
      const isDone = consumer.core.uncommitted();
      consumer.commitNow();
      expect(isDone()).toBe(false);
      if (isInFlight) {
        consumer.committed();
        expect(isDone()).toBe(false);
      }
      expect(consumer.lastCommit.offsets).toMatchObject([{ offset: 1, isRewind: true }]);
      consumer.committed();
      expect(isDone()).toBe(true);
    },
  );

  test("[LOP-2] a commit is done even if more is processed before each response", () => {
    const consumer = reading(9);
    consumer.processed("t:0", 3);
    consumer.processed("t:0", 4);
    const isDone = consumer.core.uncommitted();
    consumer.processed("t:0", 5);
    consumer.committed();
    expect(isDone()).toBe(false);
    consumer.processed("t:0", 6);
    consumer.committed();
    expect(isDone()).toBe(true);
    const isNextDone = consumer.core.uncommitted();
    consumer.processed("t:0", 7);
    consumer.committed();
    expect(isNextDone(), "it carried the 6").toBe(true);
  });

  test("[SES-1] a seek drops the records that a pause holds back", () => {
    const consumer = reading();
    consumer.pause("t:0");
    consumer.data("t:0", 3, 2);
    consumer.seek("t:0", 8);
    consumer.attached("t:0");
    consumer.data("t:0", 8, 1);
    consumer.take();
    consumer.resume("t:0");
    expect(consumer.take()).toEqual(["records t:0 8-8"]);
  });

  test("[SES-1] a seek while the socket is away decides where it attaches, whatever was in hand", () => {
    const consumer = reading();
    consumer.breakSocket("t:0");
    const before = consumer.attachId("t:0");
    consumer.seek("t:0", 1);
    consumer.take();
    // The application has dropped its records, so nobody will ever report them as processed.
    consumer.advance(BACKOFF_MS);
    consumer.open("t:0");
    expect(consumer.take()).toEqual(expect.arrayContaining(["open t:0", "attach t:0 1"]));
    consumer.attached("t:0");
    consumer.processed("t:0", 3, before);
    consumer.data("t:0", 0, 3);
    expect(consumer.take()).toEqual(["records t:0 1-2"]);
    for (const { offsets } of consumer.commits) expect(offsets).toMatchObject([{ offset: 1 }]);
  });

  test("[SES-1] a seek while the socket is open but waits for the application attaches at once", () => {
    const consumer = reading();
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.open("t:0");
    consumer.take();
    consumer.seek("t:0", 20);
    expect(consumer.take()).toContain("attach t:0 20");
  });

  test("[SES-1] a partition that is not held cannot be sought", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.assign({ "t:1": 0 }, { epoch: 2 });
    consumer.take();
    expect(consumer.seek("t:0", 1), "being given up").toBe(false);
    expect(consumer.seek("t:9", 1)).toBe(false);
    expect(consumer.take()).toEqual([]);
  });
});

describe("heartbeats", () => {
  test("[SES-4] the group socket is pinged each heartbeat interval", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    const beats: number[] = [];
    const startMs = consumer.nowMs;
    for (let ms = 0; ms < 4 * HEARTBEAT_MS; ms += 100) {
      consumer.advance(100);
      if (!consumer.take().includes("ping group")) continue;
      beats.push(consumer.nowMs - startMs);
      consumer.pong();
    }
    expect(beats).toEqual([5_000, 10_000, 15_000, 20_000]);
  });

  test("[SES-4] a short session beats three times", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 }, { sessionTimeoutMs: 6_000 });
    consumer.advance(1_999);
    expect(consumer.take()).toEqual([]);
    consumer.advance(1);
    expect(consumer.take()).toEqual(["ping group"]);
  });

  test("[SES-4] the coordinator says how often", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.advance(HEARTBEAT_MS);
    consumer.pong();
    consumer.assign({ "t:0": 0 }, { epoch: 2, heartbeatMs: 2_000 });
    consumer.advance(HEARTBEAT_MS);
    consumer.pong();
    consumer.take();
    consumer.advance(2_000);
    expect(consumer.take()).toContain("ping group");
  });

  test("[SES-4] a connection that answers no heartbeat is dropped and the membership resumed on another", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.advance(HEARTBEAT_MS);
    consumer.pong();
    consumer.take();
    const heardMs = consumer.nowMs;
    while (consumer.hasGroup && consumer.nowMs < heardMs + SESSION_MS) consumer.advance(100);
    expect(consumer.nowMs - heardMs, "well within the session").toBeLessThan(SESSION_MS / 2);
    expect(consumer.take()).toContain("close group 4004");
    consumer.advance(BACKOFF_MS);
    consumer.openGroup();
    expect(consumer.take()).toEqual(["open group", "join epoch 1 owns [t:0]"]);
  });

  test("[SES-4] any message is a sign of life of the connection, only an answered heartbeat one of the session", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    const joinedMs = consumer.nowMs;
    for (let epoch = 2; consumer.nowMs + 2 * HEARTBEAT_MS < joinedMs + SESSION_MS; epoch++) {
      consumer.advance(2 * HEARTBEAT_MS);
      consumer.assign({ "t:0": 0 }, { epoch });
    }
    expect(consumer.take()).not.toContain("close group 4004");
    expect(consumer.held.has("t:0")).toBe(true);
    // The coordinator heard no heartbeat: it counts from the join.
    consumer.advance(joinedMs + SESSION_MS - consumer.nowMs);
    expect(consumer.take()).toContain("lost t:0");
  });

  test("[SES-4] a connection that is never established is given up too", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.take();
    consumer.advance(SESSION_MS);
    expect(consumer.take()).toEqual(expect.arrayContaining(["close group 4004", "open group"]));
  });
});

describe("the end", () => {
  test("[SES-6] a close commits what was processed, then leaves", () => {
    const consumer = reading(3, { commitIntervalMs: 500 });
    consumer.processed("t:0", 2);
    consumer.take();
    consumer.close();
    expect(consumer.take()).toEqual(["close t:0 1000", "commit epoch 1 t:0=2"]);
    consumer.committed();
    expect(consumer.take()).toEqual(["leave", "close group 1000", "closed"]);
    expect(consumer.core.nextTimerMs).toBeNull();
  });

  test("[SES-6] a close with nothing to commit leaves at once", () => {
    const consumer = reading();
    consumer.close();
    expect(consumer.take()).toEqual(["close t:0 1000", "leave", "close group 1000", "closed"]);
    consumer.close();
    consumer.core.tick(consumer.nowMs + SESSION_MS);
    expect(consumer.core.takeEffects()).toEqual([]);
  });

  test("[SES-6] a close waits for the commit in flight and for what came after it", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.processed("t:0", 3);
    consumer.take();
    consumer.close();
    consumer.close();
    expect(consumer.take()).toEqual(["close t:0 1000"]);
    consumer.committed();
    expect(consumer.take()).toEqual(["commit epoch 1 t:0=3"]);
    consumer.committed();
    expect(consumer.take()).toEqual(["leave", "close group 1000", "closed"]);
  });

  test("[SES-6] a close commits partitions that are being given up as well", () => {
    const consumer = reading();
    consumer.assign({}, { epoch: 2 });
    consumer.processed("t:0", 3);
    consumer.close();
    consumer.committed();
    expect(consumer.take().slice(-4)).toEqual([
      "commit epoch 2 t:0=3",
      "leave",
      "close group 1000",
      "closed",
    ]);
  });

  test("[SES-6] a commit rejected as stale during a close is sent again with the newer epoch", () => {
    const consumer = reading();
    consumer.processed("t:0", 2);
    consumer.close();
    consumer.assign({}, { epoch: 2 });
    consumer.take();
    consumer.coordinatorError("STALE_MEMBER_EPOCH", { answersCommit: true });
    expect(consumer.take()).toEqual(["commit epoch 2 t:0=2"]);
    consumer.committed();
    expect(consumer.take()).toEqual(["leave", "close group 1000", "closed"]);
  });

  test("[SES-6] after a close nothing is opened again, whatever was under way", () => {
    const consumer = ConsumerHarness.joined({ "t:0": 0, "t:1": 0 });
    consumer.data("t:0", 0, 1);
    consumer.processed("t:0", 1);
    consumer.breakSocket("t:1");
    consumer.close();
    consumer.take();
    consumer.advance(HEARTBEAT_MS - 1);
    expect(consumer.take()).toEqual([]);
    consumer.committed();
    expect(consumer.take()).toEqual(["leave", "close group 1000", "closed"]);
  });

  test.each(["closed", "silent"])(
    "[SES-6] a close ends even if the connection is %s before the response arrives",
    (how) => {
      const consumer = reading();
      consumer.processed("t:0", 1);
      consumer.close();
      if (how === "closed") consumer.breakGroup();
      else consumer.advance(SESSION_MS);
      expect(consumer.take().at(-1)).toBe("closed");
    },
  );

  test("[SES-6] a close ends even if the member is no longer known", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.close();
    consumer.coordinatorError("UNKNOWN_MEMBER_ID", { answersCommit: true });
    expect(consumer.take().at(-1)).toBe("closed");
  });

  test("[SES-6] a close while cut off ends at once", () => {
    const consumer = reading();
    consumer.processed("t:0", 1);
    consumer.breakGroup();
    consumer.take();
    consumer.close();
    expect(consumer.take()).toEqual(["close t:0 1000", "closed"]);
  });

  test("[SES-6] a close while the connection is being opened sends nothing into it", () => {
    const consumer = reading();
    consumer.breakGroup();
    consumer.advance(BACKOFF_MS);
    consumer.take();
    consumer.close();
    expect(consumer.take()).toEqual(["close t:0 1000", "close group 1000", "closed"]);
  });

  test("[SES-6] a close before the join was answered ends the connection", () => {
    const consumer = new ConsumerHarness();
    consumer.start();
    consumer.openGroup();
    consumer.take();
    consumer.close();
    // A clean close is a leave, should the join be accepted just now.
    expect(consumer.take()).toEqual(["close group 1000", "closed"]);
  });

  test("[GRP-8] the close of a static member commits and does not leave", () => {
    const consumer = reading(3, { instanceId: "i" });
    consumer.processed("t:0", 2);
    consumer.close();
    consumer.take();
    consumer.committed();
    expect(consumer.take()).toEqual(["close group 1000", "closed"]);
  });

  test("[SES-6] a static member that leaves commits and says so", () => {
    const consumer = reading(3, { instanceId: "i", commitIntervalMs: 500 });
    consumer.processed("t:0", 2);
    consumer.take();
    consumer.run(() => consumer.core.leave());
    const log = consumer.take();
    expect(log.indexOf("commit epoch 1 t:0=2")).toBeGreaterThanOrEqual(0);
    expect(log.indexOf("leave")).toBeGreaterThan(log.indexOf("commit epoch 1 t:0=2"));
    if (!consumer.isClosed) consumer.committed();
    expect(consumer.isClosed).toBe(true);
  });

  test("[GRP-6] a client that has vanished commits, does not leave, and starts its timeout", () => {
    const consumer = reading(3, { commitIntervalMs: 500 });
    consumer.processed("t:0", 2);
    consumer.take();
    consumer.run(() => consumer.core.abandon());
    expect(consumer.take()).toEqual([
      "commit epoch 1 t:0=2",
      "close t:0 1000",
      "close group 4004",
      "closed",
    ]);
  });
});

describe("a reader without a group", () => {
  function reader(from: "earliest" | "latest"): ConsumerHarness {
    const consumer = new ConsumerHarness({
      groupId: null,
      from,
      partitions: [0, 1].map((partition) => ({ topic: "t", topicId: "id-t", partition })),
    });
    consumer.start();
    return consumer;
  }

  test.each(["earliest", "latest"] as const)(
    "[SES-1] it reads all partitions from %s, joins nothing and commits nothing",
    (from) => {
      const consumer = reader(from);
      expect(consumer.take()).toEqual(["open t:0", "open t:1"]);
      consumer.connect("t:0", 5);
      expect(consumer.attach("t:0")).toMatchObject({ offset: from });
      expect(consumer.attach("t:0")).not.toHaveProperty("owner");
      consumer.connect("t:1", 0);
      consumer.data("t:0", 5, 2);
      expect(consumer.take()).toEqual([
        `attach t:0 ${from}`,
        `attach t:1 ${from}`,
        "assigned t:0@5 t:1@0",
        "records t:0 5-6",
      ]);
      consumer.processed("t:0", 7);
      expect(consumer.take()).toEqual([expect.stringMatching(/^window t:0/)]);
      consumer.advance(10_000);
      expect(consumer.take()).toEqual([]);
    },
  );

  test("[SES-1] it continues behind what it was given, and seeks", () => {
    const consumer = reader("latest");
    consumer.connect("t:0", 5);
    consumer.connect("t:1", 0);
    consumer.data("t:0", 5, 2);
    consumer.processed("t:0", 7);
    consumer.breakSocket("t:0");
    consumer.advance(BACKOFF_MS);
    consumer.take();
    consumer.connect("t:0");
    expect(consumer.take()).toEqual(["attach t:0 7"]);
    expect(consumer.seek("t:0", 2)).toBe(true);
    consumer.attached("t:0");
    consumer.data("t:0", 0, 4);
    expect(consumer.take()).toEqual(["attach t:0 2", "records t:0 2-3"]);
  });

  test("[SES-6] its close ends at once", () => {
    const consumer = reader("earliest");
    for (const place of ["t:0", "t:1"] as Place[]) consumer.connect(place, 0);
    consumer.data("t:0", 0, 2);
    consumer.processed("t:0", 1);
    consumer.take();
    consumer.close();
    expect(consumer.take()).toEqual(["close t:0 1000", "close t:1 1000", "closed"]);
  });
});

// Random stories. The harness checks every delivery: nothing that is not held, no gap, nothing twice. The broker checks that
// nothing is left out and no more committed than was processed.

describe("joining again", () => {
  test("[SES-2] a response to an earlier join is not taken for the response to a later one", () => {
    // Found by the simulation: the response to an abandoned join came after the next join, which claims nothing, was sent.
    // Its partitions went to others while they were consumed here.
    const consumer = ConsumerHarness.joined({ "t:0": 0 });
    consumer.coordinatorError("FENCED_MEMBER_EPOCH");
    const second = consumer.joinRequestId;
    consumer.take();
    consumer.assign({ "t:0": 0 }, { epoch: 5, requestId: second - 1 });
    expect(consumer.take()).toEqual([]);
    consumer.assign({ "t:0": 0 }, { epoch: 6, requestId: second });
    expect(consumer.take()).toContain("open t:0");
  });
});

describe("whatever happens", () => {
  test("[SES-1] across broken and dead sockets and pauses one member gets each record once, in order", () => {
    const records = 40;
    for (let seed = 1; seed <= 120; seed++) {
      const broker = new FakeBroker({
        seed,
        clients: 1,
        partitions: 3,
        recordsPerPartition: records,
        // A session so long that nothing is ever lost: then nothing may come twice either.
        config: {
          sessionTimeoutMs: 1_800_000,
          windowBytes: 400,
          commitIntervalMs: seed % 2 === 0 ? 0 : 50,
        },
        isRough: false,
      });
      tell(seed, () => {
        for (let i = 0; i < 400; i++) broker.step();
        broker.finish();
        expect(broker.lostCount).toBe(0);
        for (const { place } of broker.logs) {
          const offsets = broker.clients[0]?.harness.offsets(place);
          expect(offsets).toEqual(Array.from({ length: records }, (_, offset) => offset));
          expect(broker.processed.get(place)).toBe(records);
        }
        broker.closeAll();
      });
    }
  });

  test("[SES-4] cut off for longer than a session or not, a member processes every record in the end", () => {
    let lost = 0;
    for (let seed = 1; seed <= 120; seed++) {
      const broker = new FakeBroker({
        seed,
        clients: 1,
        partitions: 3,
        recordsPerPartition: 40,
        config: { sessionTimeoutMs: 6_000, windowBytes: 400, commitIntervalMs: 50 },
        isRough: true,
      });
      tell(seed, () => {
        for (let i = 0; i < 400; i++) broker.step();
        broker.finish();
        broker.closeAll();
      });
      lost += broker.lostCount;
    }
    expect(lost, "sessions did end").toBeGreaterThan(20);
  });

  test("[SES-2] members that come, go and vanish pass partitions on without skipping a record", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const broker = new FakeBroker({
        seed,
        clients: 3,
        partitions: 4,
        recordsPerPartition: 30,
        config: { sessionTimeoutMs: 9_000, windowBytes: 400, commitIntervalMs: 50 },
        isRough: true,
      });
      tell(seed, () => {
        for (let i = 0; i < 600; i++) broker.step();
        broker.finish();
        broker.closeAll();
      });
    }
  });
});

/** Names the story in its failure, so that it can be repeated. */
function tell(seed: number, story: () => void): void {
  try {
    story();
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
