// The HTTP API over objects that respond as a test wants: the calls of a request, and its response.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { AppendRequest } from "../../src/calls/partition-calls.ts";
import { ANYBODY } from "../../src/core/access/caller.ts";
import { fail } from "../../src/core/errors.ts";
import { MAX_ANSWER_BYTES_IN_PROGRESS } from "../../src/core/limits.ts";
import { type Env, withCaller } from "../../src/env.ts";
import { memory } from "../../src/memory.ts";
import { forgetEverything } from "../../src/worker/edge/isolate.ts";
import { app } from "../../src/worker/http/app.ts";
import { timestampParameter } from "../../src/worker/http/parameters.ts";
import { FeedBench } from "../unit/worker/kafka/feed-bench.ts";
import { brokerOf } from "../unit/worker/kafka/kafka-bench.ts";

beforeEach(() => {
  forgetEverything();
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  forgetEverything();
  vi.restoreAllMocks();
});

const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} };

async function asked(env: Env, path: string, init: RequestInit = {}): Promise<Response> {
  return await app.fetch(
    new Request(`http://localhost${path}`, init),
    withCaller(env, ANYBODY),
    context as never,
  );
}

async function answered(env: Env, path: string, init: RequestInit = {}) {
  const response = await asked(env, path, init);
  const { status } = response;
  return { status, body: (await response.json()) as Record<string, unknown> };
}

const post = (body: string, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  body,
  headers,
});
const NDJSON = { "content-type": "application/x-ndjson" };

describe("producing", () => {
  /** Partitions that accept records, and one that refuses them. */
  function broker() {
    const appends: AppendRequest[] = [];
    const partition = {
      append: async (request: AppendRequest) => {
        appends.push(request);
        return { ok: true, baseOffset: 7, logAppendTimeMs: null };
      },
      beginRequest: async () => ({ ok: true, request: null }),
    };
    const env = brokerOf({ t: 2 }, { partition });
    const refusing = { append: async () => fail("INVALID_RECORD", "no key") };
    return {
      appends,
      env: {
        ...env,
        PARTITION: { getByName: (place: string) => (place.endsWith("/1") ? refusing : partition) },
      } as unknown as Env,
    };
  }

  const sound = { value: "a", partition: 0 };
  const wrong = { value: "b", partition: 1 };

  test.each([
    ["all are stored", [sound, sound], 200],
    ["some are", [wrong, sound], 207],
  ])("[PRD-4] [PRD-1] the status says whether %s", async (_, records, status) => {
    const { env } = broker();
    const told = await answered(env, "/v1/topics/t/records", post(JSON.stringify({ records })));
    expect(told.status).toBe(status);
    expect(told.body.results).toHaveLength(2);
  });

  test("[PRD-4] if none is stored, the response is the problem of the first, with all of them", async () => {
    const { env } = broker();
    const body = JSON.stringify({ records: [wrong, wrong] });
    const told = await answered(env, "/v1/topics/t/records", post(body));
    expect(told).toMatchObject({
      status: 400,
      body: {
        code: "INVALID_RECORD",
        results: [{ error: { code: "INVALID_RECORD" } }, { partition: 1 }],
      },
    });
  });

  test.each([
    ["in the query", "?expectedOffset=7", { records: [sound] }, 200, 7],
    ["in the body", "", { records: [sound], expectedOffset: 7 }, 200, 7],
    ["at 0", "?expectedOffset=0", { records: [sound] }, 200, 0],
    ["nowhere", "", { records: [sound] }, 200, null],
    ["in both", "?expectedOffset=7", { records: [sound], expectedOffset: 7 }, 400, undefined],
    ["below 0", "?expectedOffset=-1", { records: [sound] }, 400, undefined],
    ["twice", "?expectedOffset=7&expectedOffset=7", { records: [sound] }, 400, undefined],
    ["in another word", "?expectedoffset=7", { records: [sound] }, 400, undefined],
    ["beside a token", "?access_token=x&expectedOffset=7", { records: [sound] }, 200, 7],
  ])(
    "[CND-1] [PRD-4] [CLI-12] a condition is given %s",
    async (_, query, body, status, expected) => {
      const { env, appends } = broker();
      const told = await answered(env, `/v1/topics/t/records${query}`, post(JSON.stringify(body)));
      expect(told.status).toBe(status);
      expect(appends.map(({ expectedOffset }) => expectedOffset)).toEqual(
        expected === undefined ? [] : [expected],
      );
    },
  );

  test.each([
    ["a record a line", '{"value":1,"partition":0}\n\n \r\n{"value":2,"partition":0}', 200, ""],
    ["a line that is no JSON, by its number", '{"value":1}\n\n{', 400, "line 3"],
    [
      "a line that is no record, by its number",
      '{"value":1}\n\n{"valu":1}',
      400,
      "line 3: unknown",
    ],
    ["a wrong field", '\n{"value":1,"partition":-1}', 400, "line 2: partition: must be"],
    [
      "a wrong partition",
      '\n{"value":1}\n{"value":1,"partition":2}',
      404,
      "line 3: partition is 2",
    ],
    ["a record that is too large", `\n\n{"value":"${"x".repeat(2e6)}"}`, 413, "line 3 has"],
    ["no line at all", "\n\n", 400, "records"],
  ])("[PRD-4] lines: %s", async (_, body, status, detail) => {
    const { env } = broker();
    const told = await answered(env, "/v1/topics/t/records", post(body, NDJSON));
    expect(told.status).toBe(status);
    if (status === 200) expect(told.body.results).toHaveLength(2);
    else expect(told.body.detail).toContain(detail);
    // With a key, and if lines are requested, the words are the same.
    const keyed = post(body, { ...NDJSON, "idempotency-key": "k" });
    if (status !== 200)
      expect((await answered(env, "/v1/topics/t/records", keyed)).body).toEqual(told.body);
    if (!detail.startsWith("line")) return;
    const inLines = post(body, { ...NDJSON, accept: "application/x-ndjson" });
    const last = (await (await asked(env, "/v1/topics/t/records", inLines)).text()).trim();
    expect(JSON.parse(last.split("\n").at(-1) as string).error).toEqual(told.body);
  });

  test("[KEY-1] a key is rejected where it is not kept, and ignored except for records", async () => {
    const { env } = broker();
    const key = { "idempotency-key": "k" };
    const lines = { ...NDJSON, accept: "application/x-ndjson", ...key };
    expect((await answered(env, "/v1/topics/t/records", post("{}", lines))).status).toBe(400);
    for (const [method, path, status] of [
      ["POST", "/v1/topics", 400],
      ["PATCH", "/v1/topics/t", 400],
      ["DELETE", "/v1/topics/t/partitions/0/records?before=1", 400],
      ["POST", "/v1/topics/t/partitions/0/batches", 400],
      ["GET", "/v1/topics/t", 200],
    ] as const) {
      const told = await answered(env, path, { method, headers: key });
      expect([path, told.status]).toEqual([path, status]);
      if (status === 400) expect(told.body.detail).toContain("Idempotency-Key");
    }
  });
});

describe("a change with a large answer", () => {
  /** More than fits in a response that takes no room. */
  const COUNT = 5_000;
  const json = JSON.stringify({ records: Array(COUNT).fill({ value: 1, partition: 0 }) });
  const lines = '{"value":1,"partition":0}\n'.repeat(COUNT);
  const reset = JSON.stringify({ to: "latest" });

  test.each([
    ["records", "/v1/topics/t/records", json, {}, 1],
    ["records under a condition", "/v1/topics/t/records?expectedOffset=0", json, {}, 1],
    ["records with a key", "/v1/topics/t/records", json, { "idempotency-key": "k" }, 2],
    ["lines", "/v1/topics/t/records", lines, NDJSON, 1],
    ["a reset", "/v1/groups/g/offsets", reset, {}, 1],
  ] as [string, string, string, Record<string, string>, number][])(
    "[BND-6] %s: is refused before anything is changed, or answered whole",
    async (_, path, body, headers, calls) => {
      const changes: string[] = [];
      let meanwhile = () => {};
      const changed = (name: string, answer: object) => async () => {
        meanwhile();
        changes.push(name);
        return { ok: true, ...answer };
      };
      const plan = { producerId: 1, atMs: 0, partitions: 1, random: 0, maxMessageBytes: 1e6 };
      const offsets = Array.from({ length: COUNT }, (_, partition) => ({
        topic: "t",
        topicId: "id-t",
        partition,
        committedOffset: 1,
      }));
      const env = brokerOf(
        { t: 1 },
        {
          partition: {
            append: changed("append", { baseOffset: 0, logAppendTimeMs: null }),
            beginRequest: changed("begin", { request: { plan } }),
            offsets: async () => ({ ok: true, logStartOffset: 0, highWatermark: 8 }),
          },
          group: {
            describe: async () => ({ ok: true, group: { members: [], offsets } }),
            resetOffsets: changed("reset", {}),
          },
        },
      );
      const unread = Array.from({ length: 1_024 }, () => memory.answers.hold(() => {}));
      /** Small unread responses take all the remaining room. */
      const fill = () => {
        try {
          for (const holding of unread) holding.set(MAX_ANSWER_BYTES_IN_PROGRESS / unread.length);
        } catch {} // There is no room for that one.
      };
      fill();
      const refused = await answered(env, path, post(body, headers));
      expect(refused).toMatchObject({
        status: 429,
        body: { code: "THROTTLING_QUOTA_EXCEEDED", retriable: true },
      });
      expect(changes).toEqual([]);

      for (const holding of unread) holding.release();
      meanwhile = fill;
      const done = await answered(env, path, post(body, headers));
      expect(done.status).toBe(200);
      expect(done.body[path.endsWith("/offsets") ? "offsets" : "results"]).toHaveLength(COUNT);
      expect(changes).toHaveLength(calls);
      for (const holding of unread) holding.release();
      expect(memory.answers.bytes).toBe(0);
    },
  );

  test("[BND-6] a change that fails releases the room of its response", async () => {
    const append = async () => {
      expect(memory.answers.bytes).toBeGreaterThan(0);
      return fail("INVALID_RECORD", "for the test");
    };
    const none = await answered(brokerOf({}), "/v1/topics/t/records", post(json));
    expect(none.status).toBe(404);
    expect(memory.answers.bytes).toBe(0);
    forgetEverything(); // The missing topic is remembered for a moment.
    const env = brokerOf({ t: 1 }, { partition: { append } });
    expect((await answered(env, "/v1/topics/t/records", post(json))).status).toBe(400);
    expect(memory.answers.bytes).toBe(0);
  });
});

describe("a stream", () => {
  /** The offset from which each partition is read. */
  async function starts(query: string, headers: Record<string, string> = {}) {
    const bench = new FeedBench();
    bench.topic("t", "id", 3);
    const response = await asked(bench.env, `/v1/topics/t/stream${query}`, { headers });
    if (response.status !== 200) return (await response.json()) as { detail: string };
    await new Promise((resolve) => setImmediate(resolve));
    const at = bench.sockets.map(({ place, socket }) => [place, socket.attach.offset]);
    await response.body?.cancel();
    return Object.fromEntries(at);
  }

  const all = (offset: unknown) => ({ "id/0": offset, "id/1": offset, "id/2": offset });

  test.each([
    ["", {}, all("latest")],
    ["?from=earliest", {}, all("earliest")],
    ["?from=latest", {}, all("latest")],
    ["?partition=1", {}, { "id/1": "latest" }],
    ["?partition=1&from=latest", {}, { "id/1": "latest" }],
    ["?partition=1&from=5", {}, { "id/1": 5 }],
    ["?partition=1&from=0", {}, { "id/1": 0 }],
    ["?from=0:4,2:6", {}, { "id/0": 4, "id/1": 0, "id/2": 6 }],
    ["?from=latest", { "last-event-id": "1:9" }, { "id/0": 0, "id/1": 9, "id/2": 0 }],
    ["?from=0:4,1:5", { "last-event-id": "1:9" }, { "id/0": 4, "id/1": 9, "id/2": 0 }],
    ["?partition=2", { "last-event-id": "0:1,2:3" }, { "id/2": 3 }],
    ["?partition=1&from=5", { "last-event-id": "1:9" }, { "id/1": 5 }],
    ["?from=latest", { "last-event-id": "" }, all("latest")],
  ] as [string, Record<string, string>, object][])(
    "[STR-1] [STR-2] [STR-6] begins where the reader says: %s %j",
    async (query, headers, expected) => {
      expect(await starts(query, headers)).toEqual(expected);
    },
  );

  test.each([
    ["?from=5", {}, "partition must be given"],
    ["?from=never", {}, "from"],
    ["?partition=3", {}, "partition is 3, topic t has 3 (0 to 2)"],
    ["?partition=-1", {}, "partition"],
    ["", { "last-event-id": "5" }, "Last-Event-ID"],
    ["", { "last-event-id": "0:1," }, "Last-Event-ID"],
    ["?form=latest", {}, "form"],
  ] as [string, Record<string, string>, string][])(
    "[STR-2] [PRD-4] is rejected if that is nowhere: %s %j",
    async (query, headers, detail) => {
      expect((await starts(query, headers)).detail).toContain(detail);
    },
  );
});

describe("an answer", () => {
  test.each([
    ["gzip", "gzip"],
    ["br, gzip;q=0.5", "gzip"],
    ["GZIP", "gzip"],
    ["gzip;q=0", null],
    ["gzip; q=0.0", null],
    ["gzip ;q=0.000, br", null],
    ["gzip;q=0.001", "gzip"],
    ["gzip;q=1", "gzip"],
    ["br", null],
    ["", null],
    ["xgzip", null],
  ])("[WEB-1] is compressed if the client accepts it: %j", async (accepted, encoding) => {
    const response = await asked(brokerOf({ t: 1 }), "/v1/topics/t", {
      headers: { "accept-encoding": accepted },
    });
    expect(response.headers.get("content-encoding")).toBe(encoding);
    expect(response.headers.get("vary")?.includes("accept-encoding") ?? false).toBe(
      encoding !== null,
    );
  });

  test.each([
    ["application/x-ndjson", true],
    ["*/*, Application/X-NDJSON ;q=0.1", true],
    ["application/x-ndjson;charset=utf-8;q=1.0", true],
    ["application/x-ndjson;q=0", false],
    ["application/json, application/x-ndjson ; q=0.000", false],
    ["application/x-ndjson-2, */*", false],
    ["*/*", false],
    ["", false],
  ])("[WEB-1] is in lines if the client accepts them: %j", async (accept, isTaken) => {
    const partition = {
      append: async () => ({ ok: true, baseOffset: 0, logAppendTimeMs: null }),
      offsets: async () => ({ ok: true, logStartOffset: 0, highWatermark: 0 }),
      read: async () => ({ ok: true, batches: new Uint8Array(), nextOffset: 0 }),
    };
    const env = brokerOf({ t: 1 }, { partition });
    const produced = post('{"value":1}', { ...NDJSON, accept });
    for (const [path, init] of [
      ["/v1/topics/t/records", produced],
      ["/v1/topics/t/partitions/0/records", { headers: { accept } }],
    ] as const) {
      const type = (await asked(env, path, init)).headers.get("content-type") ?? "";
      expect([path, type.includes("ndjson")]).toEqual([path, isTaken]);
    }
  });

  test.each([
    ["text/html, */*;q=0.8", true],
    ["text/html;q=0, */*", false],
    ["application/json", false],
  ])("[WEB-4] is a page if the client accepts one: %j", async (accept, isTaken) => {
    const { headers } = await asked(brokerOf({}), "/", { headers: { accept } });
    expect(headers.get("content-type")?.includes("html")).toBe(isTaken);
  });

  test("[WEB-2] is for pages of any origin", async () => {
    const origin = { origin: "https://page.test" };
    const told = await asked(brokerOf({ t: 1 }), "/v1/topics/t", { headers: origin });
    expect(told.headers.get("access-control-allow-origin")).toBe("*");
    const before = await asked(brokerOf({}), "/v1/topics", {
      method: "OPTIONS",
      headers: { ...origin, "access-control-request-method": "PATCH" },
    });
    expect(before.headers.get("access-control-allow-methods")).toBe("GET,POST,PATCH,DELETE");
    expect(before.headers.get("access-control-max-age")).toBe("86400");
  });

  test.each([
    ["/v1/topics/%ff", 400, "is not percent-encoded UTF-8"],
    ["/v1/nothing", 404, ""],
    ["/v1/topics/none", 404, "there is none"],
    ["/v1/topics/t/partitions/x/records", 400, "partition"],
    ["/v1/topics/t/partitions/-1/records", 400, "partition"],
    ["/v1/topics/t/partitions/2/records", 404, "partition is 2"],
    ["/v1/topics/t/partitions/0/records?maxRecords=0", 400, "maxRecords"],
    ["/v1/topics/t/partitions/0/offsets?at=soon", 400, "at: must be earliest"],
    ["/v1/topics/t/partitions/0/socket", 400, "this path is a WebSocket"],
    ["/v1/groups/g/socket", 400, "this path is a WebSocket"],
    ["/v1/groups/g/consume", 400, "topics: must name at least one topic"],
    ["/v1/groups/g/consume?topics=none", 404, "there is none"],
    ["/v1/groups/g/consume?pattern=(", 400, "pattern"],
    ["/v1/groups/g/consume?topics=t", 400, "this path is a WebSocket"],
  ])("[ERR-1] is a problem if the request is wrong: %s", async (path, status, detail) => {
    const told = await answered(brokerOf({ t: 2 }), path);
    expect(told.status).toBe(status);
    expect(told.body.detail).toContain(detail);
  });

  test.each([
    ["/v1/groups/g/socket", { error: "GROUP_MAX_SIZE_REACHED", detail: "full" }, 409, false],
    [
      "/v1/topics/t/partitions/0/socket",
      { error: "THROTTLING_QUOTA_EXCEEDED", detail: "busy" },
      429,
      true,
    ],
    [
      "/v1/topics/t/partitions/0/socket",
      { error: "KAFKA_STORAGE_ERROR", detail: "damaged", retriable: false },
      503,
      false,
    ],
    [
      "/v1/topics/t/partitions/0/socket?topicId=id-t",
      { error: "KAFKA_STORAGE_ERROR", detail: "full" },
      503,
      true,
    ],
    ["/v1/groups/g/socket", { error: "what?" }, 500, false],
  ])(
    "[ERR-2] is the problem of an object that refuses a socket: %s %j",
    async (path, failure, status, retriable) => {
      const stub = { fetch: async () => new Response(JSON.stringify(failure), { status: 400 }) };
      const env = brokerOf({ t: 1 }, { partition: stub, group: stub });
      const told = await answered(env, path, { headers: { upgrade: "websocket" } });
      expect(told).toMatchObject({ status, body: { retriable } });
      expect(told.body.detail).toBe(
        "detail" in failure ? failure.detail : "the upgrade was refused",
      );
    },
  );
});

test.each([
  ["0", 0],
  ["-1", -1],
  ["253402300799999", 253_402_300_799_999],
  ["1234567890123456", null],
  ["1.5", null],
  ["1970-01-01", 0],
  ["1970-01-01T00:00Z", 0],
  ["1970-01-01T00:00:01.5Z", 1_500],
  ["1970-01-01T01:00:00+01:00", 0],
  ["1970-01-01T00:00:01", 1_000],
  ["1970-13-01", null],
  ["2026-02-30", null],
  ["2026-02-31T00:00Z", null],
  ["2025-02-29T00:00:00+02:00", null],
  ["2024-02-29", 1_709_164_800_000],
  ["1970-01-01T00:00Zx", null],
  ["x1970-01-01", null],
  ["yesterday", null],
  ["", null],
])("[LOG-6] a time in a query is milliseconds or ISO 8601: %j", (text, expected) => {
  expect(timestampParameter(text)).toBe(expected);
});
