// Errors as they are made, thrown, carried and shown; and the small tools that everything uses.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { concatBytes, fromBase64, sizeOf, toBase64 } from "../../../src/core/bytes.ts";
import {
  attempt,
  BrokerError,
  brokerErrorOf,
  ERRORS,
  type ErrorName,
  errorOf,
  fail,
  failureOf,
  httpStatusOf,
  isErrorName,
  preview,
  unwrap,
} from "../../../src/core/errors.ts";
import { mapConcurrently } from "../../../src/core/map-concurrently.ts";
import {
  brokerError,
  damaged,
  failureOf as failureOfPlatform,
  isStorageFailure,
  ObjectError,
} from "../../../src/core/platform-errors.ts";

/** Number and `retriable` of each error in Kafka (protocol/Errors.java). */
const IN_KAFKA: Readonly<Record<ErrorName, readonly [code: number, retriable: boolean]>> = {
  UNKNOWN_SERVER_ERROR: [-1, false],
  OFFSET_OUT_OF_RANGE: [1, false],
  CORRUPT_MESSAGE: [2, true],
  UNKNOWN_TOPIC_OR_PARTITION: [3, true],
  REQUEST_TIMED_OUT: [7, true],
  MESSAGE_TOO_LARGE: [10, false],
  NETWORK_EXCEPTION: [13, true],
  COORDINATOR_NOT_AVAILABLE: [15, true],
  INVALID_TOPIC_EXCEPTION: [17, false],
  INVALID_GROUP_ID: [24, false],
  UNKNOWN_MEMBER_ID: [25, false],
  INVALID_SESSION_TIMEOUT: [26, false],
  TOPIC_AUTHORIZATION_FAILED: [29, false],
  GROUP_AUTHORIZATION_FAILED: [30, false],
  CLUSTER_AUTHORIZATION_FAILED: [31, false],
  SASL_AUTHENTICATION_FAILED: [58, false],
  RESOURCE_NOT_FOUND: [91, false],
  INVALID_TIMESTAMP: [32, false],
  UNSUPPORTED_VERSION: [35, false],
  TOPIC_ALREADY_EXISTS: [36, false],
  INVALID_PARTITIONS: [37, false],
  INVALID_CONFIG: [40, false],
  INVALID_REQUEST: [42, false],
  OUT_OF_ORDER_SEQUENCE_NUMBER: [45, false],
  INVALID_PRODUCER_EPOCH: [47, false],
  KAFKA_STORAGE_ERROR: [56, true],
  NON_EMPTY_GROUP: [68, false],
  GROUP_ID_NOT_FOUND: [69, false],
  UNSUPPORTED_COMPRESSION_TYPE: [76, false],
  GROUP_MAX_SIZE_REACHED: [81, false],
  DUPLICATE_RESOURCE: [92, false],
  GROUP_SUBSCRIBED_TO_TOPIC: [86, false],
  INVALID_RECORD: [87, false],
  THROTTLING_QUOTA_EXCEEDED: [89, true],
  INVALID_UPDATE_VERSION: [95, false],
  UNKNOWN_TOPIC_ID: [100, true],
  FENCED_MEMBER_EPOCH: [110, false],
  UNRELEASED_INSTANCE_ID: [111, false],
  STALE_MEMBER_EPOCH: [113, false],
  INVALID_RECORD_STATE: [121, false],
  INVALID_REGULAR_EXPRESSION: [128, false],
};

/** The differences from Kafka in the table. Each row has a comment that says why. */
const UNLIKE_KAFKA: readonly ErrorName[] = ["CORRUPT_MESSAGE", "STALE_MEMBER_EPOCH"];

const PLACE = { name: "partition x/0", file: "x.sqlite" };

const NAMES = Object.keys(ERRORS) as ErrorName[];

describe("errors", () => {
  test("[ERR-1] the table is ordered by number, and each number appears once", () => {
    const codes = Object.values(ERRORS).map(({ code }) => code);
    expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b));
  });

  test("[ERR-1] numbers and retriable are Kafka's, except where a comment says why not", () => {
    const differing = NAMES.filter((name) => {
      const { code, retriable } = ERRORS[name];
      const [kafkaCode, kafkaRetriable] = IN_KAFKA[name];
      return code !== kafkaCode || retriable !== kafkaRetriable;
    });
    expect(differing).toEqual(UNLIKE_KAFKA);
    const source = readFileSync("src/core/errors.ts", "utf8");
    const explained = [
      ...source.matchAll(/^ {2}\/\/ Kafka marks .*\n(?: {2}\/\/ .*\n)* {2}([A-Z_]+):/gm),
    ];
    expect(explained.map(([, name]) => name)).toEqual(UNLIKE_KAFKA);
  });

  test("[ERR-1] each has an HTTP status of the request's fault, or of the broker's", () => {
    const byBroker = NAMES.filter((name) => ERRORS[name].httpStatus >= 500);
    expect(byBroker).toEqual([
      "UNKNOWN_SERVER_ERROR",
      "REQUEST_TIMED_OUT",
      "NETWORK_EXCEPTION",
      "COORDINATOR_NOT_AVAILABLE",
      "KAFKA_STORAGE_ERROR",
    ]);
    for (const name of NAMES) expect(ERRORS[name].httpStatus, name).toBeGreaterThanOrEqual(400);
  });

  test("[IDM-1] only an error found after the search for a repeat says that no earlier attempt was stored", () => {
    expect(NAMES.filter((name) => ERRORS[name].outcomeKnown)).toEqual([
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      "INVALID_PRODUCER_EPOCH",
      "INVALID_UPDATE_VERSION",
    ]);
  });

  test("[ERR-1] each has Kafka's number, and says whether a retry may help, unless given otherwise", () => {
    for (const code of NAMES) {
      const { code: errorCode, retriable } = ERRORS[code];
      expect(new BrokerError(code, "why")).toMatchObject({ code, errorCode, retriable, data: {} });
      for (const told of [true, false])
        expect(new BrokerError(code, "why", { retriable: told }).retriable).toBe(told);
      // A failure and an exception are equivalent: neither way loses anything.
      const failure = { ...fail(code, "why"), logStartOffset: 3 };
      expect(failureOf(errorOf(failure))).toEqual(failure);
    }
    const lost = damaged("why");
    expect(failureOf(lost)).toEqual({ ...fail("KAFKA_STORAGE_ERROR", "why"), retriable: false });
    expect(errorOf(failureOf(lost)).retriable).toBe(false);
  });

  test("[ERR-1] [CRC-2] a batch that was sent wrong is the request's fault, and a stored one the broker's", () => {
    const status = (code: ErrorName, offset?: number) =>
      httpStatusOf(new BrokerError(code, "", { data: offset === undefined ? {} : { offset } }));
    expect(status("CORRUPT_MESSAGE")).toBe(400);
    expect(status("CORRUPT_MESSAGE", 0)).toBe(500);
    expect(status("OFFSET_OUT_OF_RANGE", 0)).toBe(416);
    expect(status("GROUP_ID_NOT_FOUND")).toBe(404);
    expect(status("INVALID_REQUEST")).toBe(400);
  });

  test("[ERR-1] a broker's error that is thrown is a failure, and anything else is thrown on", () => {
    expect(attempt(() => 5)).toBe(5);
    const thrown = () => {
      throw new BrokerError("INVALID_REQUEST", "why");
    };
    expect(attempt(thrown)).toEqual(fail("INVALID_REQUEST", "why"));
    expect(() =>
      attempt(() => {
        throw new RangeError("a bug");
      }),
    ).toThrow(RangeError);
    expect(unwrap({ ok: true as const, value: 1 })).toEqual({ ok: true, value: 1 });
    expect(() => unwrap(fail("INVALID_REQUEST", "why"))).toThrow("why");
  });

  test("[ERR-1] a foreign error keeps its code if it is one of ours, and its message if it has one", () => {
    const own = new BrokerError("INVALID_REQUEST", "why");
    expect(brokerErrorOf(own, "UNKNOWN_SERVER_ERROR")).toBe(own);
    const told = (error: unknown) => {
      const { code, message } = brokerErrorOf(error, "UNKNOWN_SERVER_ERROR");
      return [code, message];
    };
    const named = Object.assign(new Error("m"), { code: "INVALID_REQUEST" });
    expect(told(named)).toEqual(["INVALID_REQUEST", "m"]);
    const other = Object.assign(new Error("m"), { code: "ECONNRESET" });
    expect(told(other)).toEqual(["UNKNOWN_SERVER_ERROR", "m"]);
    expect(told("text")).toEqual(["UNKNOWN_SERVER_ERROR", '"text"']);
    expect(told(null)).toEqual(["UNKNOWN_SERVER_ERROR", "null"]);
    expect(["INVALID_REQUEST", "toString", 5, null, ["INVALID_REQUEST"]].map(isErrorName)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  test.each([
    [undefined, "nothing"],
    [null, "null"],
    [5, "5"],
    ["x".repeat(78), `"${"x".repeat(78)}"`],
    ["x".repeat(79), `"${"x".repeat(79)}…`],
    [Array.from({ length: 10 }, () => 1), "[1,1,1,1,1,1,1,1,1,1]"],
    [Array.from({ length: 11 }, () => 1), "a list of 11"],
    [{ length: 11 }, '{"length":11}'],
    [5n, "bigint"],
    [Symbol.iterator, "Symbol(Symbol.iterator)"],
  ])("[ERR-1] %s is shown as %s", (value, text) => {
    expect(preview(value)).toBe(text);
  });
});

describe("the platform's errors", () => {
  test("[ERR-2] only a full, damaged or failing storage is a storage failure", () => {
    const kinds = ["overloaded", "full", "damaged", "storage", "unanswered", "unexpected"] as const;
    expect(kinds.filter(isStorageFailure)).toEqual(["full", "damaged", "storage"]);
  });

  test.each([
    { error: { overloaded: true, retryable: true, message: "disk is full" }, is: "overloaded" },
    { error: new Error("SQLITE_FULL: database or disk is full"), is: "full" },
    { error: new Error("SQLITE_CORRUPT: database disk image is malformed"), is: "damaged" },
    { error: damaged("why"), is: "damaged" },
    { error: new BrokerError("KAFKA_STORAGE_ERROR", "why"), is: "unexpected" },
    {
      error: new BrokerError("TOPIC_ALREADY_EXISTS", "why", { retriable: false }),
      is: "unexpected",
    },
    { error: new Error("internal error; reference = abc"), is: "storage" },
    { error: new Error("SQLITE_IOERR"), is: "storage" },
    { error: Object.assign(new Error("x"), { retryable: true }), is: "unanswered" },
    { error: Object.assign(new Error("x"), { durableObjectReset: true }), is: "unanswered" },
    { error: new Error("Network connection lost."), is: "unanswered" },
    { error: new Error("Durable Object reset because its code was updated."), is: "unanswered" },
    ...[
      "Durable Object storage operation exceeded timeout",
      "Durable Object was reset",
      "The object has been reset",
      "The object was evicted",
      "The object has been destroyed",
      "The runtime is shutting down",
      "disconnected: peer",
      "Disconnected",
      "This one was superseded",
      "The pipe is broken.",
    ].map((message) => ({ error: new Error(message), is: "unanswered" as const })),
    { error: new Error("the object has begun; nothing is broken"), is: "unexpected" },
    { error: new Error("x is not a function"), is: "unexpected" },
    { error: "text", is: "unexpected" },
    { error: null, is: "unexpected" },
    { error: undefined, is: "unexpected" },
    { error: new ObjectError(new Error("SQLITE_FULL"), PLACE), is: "full" },
  ] as const)("[ERR-2] $error is $is", ({ error, is }) => {
    expect(failureOfPlatform(error)).toBe(is);
  });

  test.each([
    {
      error: new Error("SQLITE_FULL"),
      code: "KAFKA_STORAGE_ERROR",
      retriable: true,
      says: "no room",
    },
    {
      error: new Error("SQLITE_CORRUPT"),
      code: "KAFKA_STORAGE_ERROR",
      retriable: false,
      says: "damaged (SQLITE_CORRUPT)",
    },
    {
      error: new Error("SQLITE_IOERR"),
      code: "KAFKA_STORAGE_ERROR",
      retriable: true,
      says: "(SQLITE_IOERR)",
    },
    {
      error: new Error("internal error; reference = abc"),
      code: "KAFKA_STORAGE_ERROR",
      retriable: true,
      says: "(the broker's log has the details)",
    },
    {
      error: new Error("Network connection lost."),
      code: "REQUEST_TIMED_OUT",
      retriable: true,
      says: "did not answer",
    },
    {
      error: Object.assign(new Error("x"), { overloaded: true }),
      code: "THROTTLING_QUOTA_EXCEEDED",
      retriable: true,
      says: "overloaded",
    },
    {
      error: new Error("x is not a function"),
      code: "UNKNOWN_SERVER_ERROR",
      retriable: ERRORS.UNKNOWN_SERVER_ERROR.retriable,
      says: "unexpected",
    },
  ] as const)(
    "[ERR-2] $error is reported as $code, by the object's name",
    ({ error, code, retriable, says }) => {
      expect(brokerError(error)).toMatchObject({
        code,
        retriable,
        message: expect.stringContaining(says),
      });
      const named = brokerError(new ObjectError(error, PLACE));
      expect(named).toMatchObject({ code, retriable, message: expect.stringContaining(says) });
      if (code !== "UNKNOWN_SERVER_ERROR") expect(named.message).toContain(PLACE.name);
    },
  );

  test("[ERR-2] a broker's error that an object threw arrives as it was, even if its class was lost on the way", () => {
    const own = new BrokerError("INVALID_REQUEST", "why", { data: { offset: 3 } });
    expect(brokerError(own)).toBe(own);
    const crossed = Object.assign(new Error("why"), {
      code: "KAFKA_STORAGE_ERROR",
      data: { offset: 3 },
      retriable: false,
    });
    for (const error of [crossed, new ObjectError(crossed, PLACE)])
      expect(brokerError(error)).toMatchObject({
        code: "KAFKA_STORAGE_ERROR",
        message: "why",
        data: { offset: 3 },
        retriable: false,
      });
  });
});

describe("many at a time", () => {
  test("[BND-16] a bounded number runs at once, in order, and each result is at its place", async () => {
    for (const [count, limit] of [
      [7, 3],
      [2, 5],
      [0, 3],
    ] as const) {
      let running = 0;
      let most = 0;
      const begun: number[] = [];
      const items = Array.from({ length: count }, (_, i) => i);
      const results = await mapConcurrently(items, limit, async (item) => {
        begun.push(item);
        most = Math.max(most, ++running);
        for (let turn = 0; turn < (item % 3) + 1; turn++) await Promise.resolve();
        running--;
        return item * 2;
      });
      expect(results).toEqual(items.map((item) => item * 2));
      expect(begun).toEqual(items);
      expect(most).toBe(Math.min(count, limit));
    }
  });

  test("[BND-16] once one fails nothing new begins", async () => {
    const begun: number[] = [];
    const work = mapConcurrently([0, 1, 2, 3, 4, 5], 2, async (item) => {
      begun.push(item);
      await Promise.resolve();
      if (item === 1) throw new Error("no");
    });
    await expect(work).rejects.toThrow("no");
    await Promise.resolve();
    expect(begun.length).toBeLessThanOrEqual(3);
  });
});

describe("bytes", () => {
  test("[PRD-5] pieces are joined in order; one alone is not copied", () => {
    const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    const none = new Uint8Array();
    expect(concatBytes([a, none, b])).toEqual(Uint8Array.of(1, 2, 3));
    expect(concatBytes([a])).toBe(a);
    expect(concatBytes([])).toEqual(none);
    expect([sizeOf([a, none, b]), sizeOf([])]).toEqual([3, 0]);
  });

  test("[PRD-5] base64 is the same where the platform has none of its own", () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const text = Buffer.from(all).toString("base64");
    const { fromBase64: own } = Uint8Array as unknown as { fromBase64: unknown };
    const { toBase64: ownTo } = Uint8Array.prototype as unknown as { toBase64: unknown };
    const check = () => {
      expect(toBase64(all)).toBe(text);
      expect(fromBase64(text)).toEqual(all);
      expect(() => fromBase64("~")).toThrow();
    };
    check();
    try {
      Reflect.deleteProperty(Uint8Array, "fromBase64");
      Reflect.deleteProperty(Uint8Array.prototype, "toBase64");
      check();
      Object.defineProperty(Uint8Array.prototype, "toBase64", {
        value: () => "the platform's",
        configurable: true,
      });
      Object.defineProperty(Uint8Array, "fromBase64", {
        value: () => all.subarray(0, 1),
        configurable: true,
      });
      expect(toBase64(all)).toBe("the platform's");
      expect(fromBase64(text)).toEqual(Uint8Array.of(0));
    } finally {
      Reflect.deleteProperty(Uint8Array, "fromBase64");
      Reflect.deleteProperty(Uint8Array.prototype, "toBase64");
      const put = (on: object, name: string, value: unknown) => {
        if (value !== undefined)
          Object.defineProperty(on, name, { value, configurable: true, writable: true });
      };
      put(Uint8Array, "fromBase64", own);
      put(Uint8Array.prototype, "toBase64", ownTo);
    }
  });
});
