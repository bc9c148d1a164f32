import { describe, expect, test, vi } from "vitest";
import { BrokerError } from "../../../src/core/errors.ts";
import { brokerError, failureOf, ObjectError } from "../../../src/core/platform-errors.ts";
import { LogFilter } from "../../../src/self-host/log-filter.ts";
import {
  failingObjects,
  forgetTroubles,
  noteFailure,
  noteSuccess,
} from "../../../src/storage-health.ts";
import { messagesIn } from "../../support/log-lines.ts";

const PLACE = { name: "group g", file: "/data/g.sqlite" };

describe("what the platform throws", () => {
  test.each([
    ["database or disk is full: SQLITE_FULL", {}, "full", "KAFKA_STORAGE_ERROR", true],
    [
      "Durable Object was reset: database or disk is full: SQLITE_FULL",
      { durableObjectReset: true },
      "full",
      "KAFKA_STORAGE_ERROR",
      true,
    ],
    [
      "database disk image is malformed: SQLITE_CORRUPT",
      {},
      "damaged",
      "KAFKA_STORAGE_ERROR",
      false,
    ],
    ["file is not a database: SQLITE_NOTADB", {}, "damaged", "KAFKA_STORAGE_ERROR", false],
    ["disk I/O error: SQLITE_IOERR", { retryable: true }, "storage", "KAFKA_STORAGE_ERROR", true],
    [
      "attempt to write a readonly database: SQLITE_READONLY",
      {},
      "storage",
      "KAFKA_STORAGE_ERROR",
      true,
    ],
    ["unable to open database file: SQLITE_CANTOPEN", {}, "storage", "KAFKA_STORAGE_ERROR", true],
    ["internal error; reference = abc123", {}, "storage", "KAFKA_STORAGE_ERROR", true],
    ["too many requests", { overloaded: true }, "overloaded", "THROTTLING_QUOTA_EXCEEDED", true],
    ["Network connection lost.", { retryable: true }, "unanswered", "REQUEST_TIMED_OUT", true],
    ["Network connection lost.", {}, "unanswered", "REQUEST_TIMED_OUT", true],
    ["the object was reset", { durableObjectReset: true }, "unanswered", "REQUEST_TIMED_OUT", true],
    ["x is not a function", {}, "unexpected", "UNKNOWN_SERVER_ERROR", false],
  ] as const)("[ERR-2] %s", (message, properties, failure, code, retriable) => {
    const thrown = Object.assign(new Error(message), properties);
    expect(failureOf(thrown)).toBe(failure);
    for (const error of [thrown, new ObjectError(thrown, PLACE)])
      expect(brokerError(error)).toMatchObject({ code, retriable });
    const { message: detail } = brokerError(new ObjectError(thrown, PLACE));
    expect(detail).not.toContain("reference =");
    if (failure !== "unexpected") expect(detail).toMatch(/^group g/);
  });

  test("[ERR-2] a broker's own error arrives unchanged over two calls", () => {
    const own = { code: "KAFKA_STORAGE_ERROR", data: {}, retriable: false };
    const cluster = Object.assign(new Error("cluster: it is elsewhere"), own);
    const passedOn = new Error(cluster.message, { cause: cluster }); // An ObjectError, after a call.
    const error = new ObjectError(passedOn, PLACE);
    expect(error.failure).toBe("damaged");
    expect(brokerError(error)).toMatchObject({ ...own, message: cluster.message });
  });

  test("[ERR-2] a broker's own error arrives unchanged over a call", () => {
    const how = { data: { offset: 7 }, retriable: false };
    const own = new BrokerError("KAFKA_STORAGE_ERROR", "t/0: its storage is gone", how);
    const remote = Object.assign(new Error(own.message), { code: own.code, ...how });
    for (const error of [own, new ObjectError(own, PLACE), remote, new ObjectError(remote, PLACE)])
      expect(brokerError(error)).toMatchObject({
        code: "KAFKA_STORAGE_ERROR",
        message: "t/0: its storage is gone",
        retriable: false,
      });
    expect(failureOf(remote)).toBe("damaged");
  });
});

describe("failures that are noted", () => {
  const failed = (message: string) => new ObjectError(new Error(message), PLACE);

  test("[ERR-3] [ERR-4] count until the same succeeds, and are logged in one line, once a minute", () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const told = vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(console, "log").mockImplementation(() => {});
    for (let i = 0; i < 50; i++) noteFailure(failed("SQLITE_FULL"), "commit");
    expect(failingObjects()).toBe(1);
    expect(messagesIn(told.mock.calls)).toEqual([
      "storage full: group g, /data/g.sqlite: commit: SQLITE_FULL",
    ]);
    vi.setSystemTime(Date.now() + 61_000);
    noteFailure(failed("SQLITE_FULL"), "commit");
    expect(messagesIn(told.mock.calls)[1]).toBe(
      "storage full: group g, /data/g.sqlite: commit: SQLITE_FULL, 49 times more",
    );
    noteSuccess(PLACE, "describe"); // A full disk is read.
    expect(failingObjects()).toBe(1);
    noteSuccess(PLACE, "commit");
    expect(failingObjects()).toBe(0);
    noteFailure(failed("SQLITE_CORRUPT"), "commit");
    noteSuccess(PLACE, "describe"); // Restored.
    expect(failingObjects()).toBe(0);
    vi.restoreAllMocks();
    vi.useRealTimers();
    forgetTroubles();
  });

  test("[ERR-3] partial damage is logged once a minute, however often another part works", () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const told = vi.spyOn(console, "error").mockImplementation(() => {});
    const over = vi.spyOn(console, "log").mockImplementation(() => {});
    for (let i = 0; i < 50; i++) {
      noteFailure(failed("SQLITE_CORRUPT"), "append");
      expect(failingObjects()).toBe(1);
      noteSuccess(PLACE, "read");
      expect(failingObjects()).toBe(0);
    }
    expect([told.mock.calls.length, over.mock.calls.length]).toEqual([1, 1]);
    vi.setSystemTime(Date.now() + 61_000);
    noteFailure(failed("SQLITE_CORRUPT"), "append");
    expect(messagesIn(told.mock.calls)[1]).toBe(
      "storage damaged: group g, /data/g.sqlite: append: SQLITE_CORRUPT, 49 times more",
    );
    noteSuccess(PLACE, "append");
    expect(over.mock.calls.length).toBe(2);
    expect(failingObjects()).toBe(0);
    vi.restoreAllMocks();
    vi.useRealTimers();
    forgetTroubles();
  });

  test("[ERR-4] once one finds room on the disk again, the others count no more, except for damage", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(console, "log").mockImplementation(() => {});
    const other = (message: string, name: string) =>
      new ObjectError(new Error(message), { name, file: "" });
    noteFailure(failed("SQLITE_FULL"), "commit");
    noteFailure(other("internal error; reference = x", "group h"), "poll");
    noteFailure(other("SQLITE_CORRUPT", "group i"), "poll");
    expect(failingObjects()).toBe(3);
    noteSuccess(PLACE, "commit");
    expect(failingObjects()).toBe(1);
    vi.restoreAllMocks();
    forgetTroubles();
  });

  test("[ERR-4] failures other than the storage's do not count", () => {
    noteFailure(failed("Network connection lost."), "commit");
    noteFailure(failed("x is not a function"), "commit");
    expect(failingObjects()).toBe(0);
  });
});

test("[ERR-3] the reason replaces workerd's reference, and the addresses go", () => {
  const filter = new LogFilter();
  const lines = [
    "workerd/jsg/util.c++:320: error: e = workerd/util/sqlite.c++:914: failed: SQLite failed; dbErrorMessage(prepareResult, db) = file is not a database: SQLITE_NOTADB",
    "stack: /a/workerd@3c63c30 /a/workerd@68538f0; sentryErrorContext = jsgInternalError; wdErrId = abc123; sentryTag = NOSENTRY",
    "storage failed: group g, /data/g.sqlite: poll: internal error; reference = abc123",
    "workerd/jsg/util.c++:320: error: e = workerd/util/sqlite.c++:663: failed: unable to open database file: SQLITE_CANTOPEN",
    "stack: /a/workerd@3c63c30; wdErrId = def456",
    "something else: internal error; reference = def456",
    "internal error; reference = nobody",
    "workerd/server/server.c++:1: error: another",
    "stack: /a/workerd@1",
  ];
  expect(lines.map((line) => filter.line(line)).filter((line) => line !== null)).toEqual([
    "storage failed: group g, /data/g.sqlite: poll: file is not a database: SQLITE_NOTADB",
    "something else: unable to open database file: SQLITE_CANTOPEN",
    "internal error; reference = nobody",
    "workerd/server/server.c++:1: error: another",
    "stack: /a/workerd@1",
  ]);
});

test.each([
  ['{"level":"error","message":"it broke"}', "it broke"],
  ['{"level":"error","message":"it broke","requestId":"r-1"}', "it broke (request r-1)"],
  ['{"level":"error","message":"cut', '{"level":"error","message":"cut'],
  ['{"audit":{"at":"now"}}', '{"audit":{"at":"now"}}'],
])("[ERR-5] the line %s of the log is printed as %s, or unchanged on request", (line, text) => {
  expect(new LogFilter().line(line)).toBe(text);
  expect(new LogFilter(true).line(line)).toBe(line);
});

test("[MODE-4] a failed TLS handshake is logged like any connection that is closed", () => {
  const line =
    "workerd/server/server/listen/mod.rs:363: error: TCP connect() handler threw: TLS handshake failed: received fatal alert: UnknownCA";
  expect(new LogFilter().line(line)).toBe(
    "kafka: connection closed: TLS handshake failed: received fatal alert: UnknownCA",
  );
});
